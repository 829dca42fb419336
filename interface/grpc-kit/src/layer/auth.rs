//! Finds out who calls, by a bearer token, and whether they may call this method.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    auth::{Access, Found, Principal, Verifier},
    call::Call,
    early::Early,
    failure::{Failure, Kind},
    methods::Methods,
    origin::Origin,
    server::config::AuthMode,
};

pub use crate::auth::AccessRules;

const SCHEME: &[u8] = b"bearer ";

/// Adds [`Auth`] to a stack.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    methods: Arc<Methods>,
    mode: AuthMode,
    verifier: Option<Arc<Verifier>>,
    access: Vec<Access>,
}

impl AuthLayer {
    /// Verifies with `verifier`, by the mode. Without a verifier no token is valid.
    pub fn new(
        methods: Arc<Methods>,
        mode: AuthMode,
        verifier: Option<Arc<Verifier>>,
        rules: &AccessRules,
    ) -> Self {
        let access = methods.all().iter().map(|method| rules.access(method)).collect();
        Self { shared: Arc::new(Shared { methods, mode, verifier, access }) }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth { inner, shared: Arc::clone(&self.shared), last: None }
    }
}

/// Lets calls through with their [`Principal`] in the [`Call`] and the request's extensions, or refuses them. All
/// refusals of a token read alike.
#[derive(Debug)]
pub struct Auth<S> {
    inner: S,
    shared: Arc<Shared>,
    /// Most connections are one caller's, with one token for a long time.
    last: Option<Verified>,
}

impl<S: Clone> Clone for Auth<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared), last: None }
    }
}

/// A token that was verified.
#[derive(Debug)]
struct Verified {
    /// The whole header.
    header: Box<[u8]>,
    principal: Principal,
    /// Of the keys.
    generation: u64,
}

/// Why a call is not let through.
enum Refusal {
    For(Failure),
    /// Its token names a key that may have been published meanwhile.
    UntilRefetched,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::For(failure)
    }
}

impl Shared {
    fn check(
        &self,
        call: &Call,
        headers: &HeaderMap,
        refetched: bool,
        last: &mut Option<Verified>,
    ) -> Result<Option<Principal>, Refusal> {
        if self.mode == AuthMode::Off {
            return Ok(call.identity().cloned());
        }
        let Access::Ruled(rule) = &self.access[call.method_id().index()] else { return Ok(None) };
        let principal = match headers.get(AUTHORIZATION) {
            // The certificate was verified when the client connected, and speaks where no token does.
            None => match call.identity() {
                None if self.mode == AuthMode::Required => return Err(unauthenticated().into()),
                identity => identity.cloned(),
            },
            Some(header) => Some(self.verify(header.as_bytes(), call, refetched, last)?),
        };
        match &principal {
            Some(known) if rule.admits(known) => Ok(principal),
            None if rule.admits_anybody() => Ok(None),
            Some(_) => Err(Failure::new(Kind::PermissionDenied, "permission denied").untouched().into()),
            None => Err(unauthenticated().into()),
        }
    }

    fn verify(
        &self,
        header: &[u8],
        call: &Call,
        refetched: bool,
        last: &mut Option<Verified>,
    ) -> Result<Principal, Refusal> {
        if let (Some(verifier), Some(last)) = (&self.verifier, &last)
            && *last.header == *header
            && verifier.still_counts(last.generation, &last.principal)
        {
            return Ok(last.principal.clone());
        }
        let split = header.split_at_checked(SCHEME.len());
        let token = split.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME)).map(|(_, token)| token);
        let token = token.and_then(|token| std::str::from_utf8(token).ok());
        let (Some(verifier), Some(token)) = (&self.verifier, token) else {
            return Err(unauthenticated().into());
        };
        let (generation, from) = (verifier.generation(), origin(call));
        match verifier.find(token.trim(), from) {
            Found::Valid(principal) => {
                let principal = principal.apart();
                *last = Some(Verified { header: header.into(), principal: principal.clone(), generation });
                Ok(principal)
            }
            Found::UnknownKey | Found::NoKeysYet { .. } if !refetched => Err(Refusal::UntilRefetched),
            Found::NoKeysYet { tried } => {
                if tried {
                    verifier.failed(from);
                }
                let failure = Failure::new(Kind::Unavailable, "tokens cannot be verified at present");
                Err(failure.untouched().into())
            }
            Found::TooManyFailures(wait) => {
                let failure = Failure::new(Kind::RateLimited, "too many calls without a valid token");
                Err(failure.untouched().retry_after(wait).into())
            }
            Found::UnknownKey | Found::Invalid => {
                verifier.failed(from);
                Err(unauthenticated().into())
            }
        }
    }

    async fn refetch(&self, from: Option<Origin>) {
        if let Some(verifier) = &self.verifier {
            verifier.refetch(from).await;
        }
    }
}

fn origin(call: &Call) -> Option<Origin> {
    call.peer().map(|peer| Origin::from(peer.ip()))
}

fn unauthenticated() -> Failure {
    Failure::new(Kind::Unauthenticated, "authentication required").untouched()
}

impl<S> Auth<S> {
    /// The call below, or a refusal; `Err` gives the request back when the keys are to be fetched first.
    fn decide<B>(
        &mut self,
        mut request: Request<B>,
        refetched: bool,
    ) -> Result<Early<S::Future>, Box<Request<B>>>
    where
        S: Service<Request<B>>,
    {
        let call = Call::enter(&mut request, &self.shared.methods);
        match self.shared.check(&call, request.headers(), refetched, &mut self.last) {
            Ok(principal) => {
                if let Some(principal) = principal {
                    call.set_principal(principal.clone());
                    request.extensions_mut().insert(principal);
                }
                Ok(Early::go(self.inner.call(request)))
            }
            Err(Refusal::For(failure)) => Ok(Early::no(failure)),
            Err(Refusal::UntilRefetched) => Err(Box::new(request)),
        }
    }
}

/// The call below, once the keys were fetched.
type Refetched<F> = Pin<Box<dyn Future<Output = Option<Early<F>>> + Send>>;

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Decided { #[pin] call: Early<F> },
        // Boxed: tokens of unknown keys are rare.
        Waiting { refetched: Refetched<F> },
    }
}

pin_project! {
    /// The call below or a refusal, after the keys were fetched if the token names one that was not there.
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResponseFuture")
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<Failure>,
{
    type Output = Result<R, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Decided { call } => return call.poll(cx),
                StateProjection::Waiting { refetched } => {
                    let decided = ready!(refetched.as_mut().poll(cx));
                    let call = decided.unwrap_or_else(|| Early::no(unauthenticated()));
                    state.set(State::Decided { call });
                }
            }
        }
    }
}

impl<S, B, RB> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Error: Into<Failure>,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = Failure;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = match self.decide(request, false) {
            Ok(call) => State::Decided { call },
            Err(mut request) => {
                let mut this = self.clone();
                let from = origin(&Call::enter(&mut request, &this.shared.methods));
                State::Waiting {
                    refetched: Box::pin(async move {
                        this.shared.refetch(from).await;
                        this.decide(*request, true).ok()
                    }),
                }
            }
        };
        ResponseFuture { state }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, convert::Infallible};

    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::{
        auth::{Expectations, Keys},
        call::Connection,
        health::{DESCRIPTOR, SERVICE},
        testing::{TEST_SECRET, token},
    };

    const CHECK: &str = "/grpc.health.v1.Health/Check";

    fn layer(mode: AuthMode, rules: &AccessRules) -> AuthLayer {
        let mut methods = Methods::empty();
        methods.add(SERVICE, DESCRIPTOR).expect("the health service");
        let verifier = Verifier::new(Keys::default().with_secret(TEST_SECRET), Expectations::default());
        AuthLayer::new(Arc::new(methods), mode, Some(Arc::new(verifier)), rules)
    }

    /// The subject the servicer sees, or the refusal.
    async fn call(layer: &AuthLayer, path: &str, authorization: Option<&str>) -> Result<String, Kind> {
        call_as(layer, path, authorization, None).await
    }

    /// As [`call`], on the connection of a certificate with this id.
    async fn call_as(
        layer: &AuthLayer,
        path: &str,
        authorization: Option<&str>,
        id: Option<&str>,
    ) -> Result<String, Kind> {
        let service = service_fn(|request: Request<()>| async move {
            let subject =
                request.extensions().get::<Principal>().map(|principal| principal.subject().to_owned());
            Ok::<_, Infallible>(Response::new(subject.unwrap_or_default()))
        });
        let mut request = Request::builder().uri(path);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let mut request = request.body(()).expect("a request");
        let identity = id.map(|id| Principal::of_certificate(id.to_owned()));
        let connection = Connection { identity, ..Connection::new(Arc::clone(&layer.shared.methods)) };
        request.extensions_mut().insert(Arc::new(connection));
        let result = layer.layer(service).oneshot(request).await;
        result.map(Response::into_body).map_err(|failure| failure.kind())
    }

    #[tokio::test]
    async fn the_mode_decides_about_missing_tokens_never_about_wrong_ones() {
        let valid = format!("bEARER {}", token("alice", &[]));
        let rules = AccessRules::default();
        for (mode, none, wrong) in [
            (AuthMode::Off, Ok(""), Ok("")),
            (AuthMode::Optional, Ok(""), Err(Kind::Unauthenticated)),
            (AuthMode::Required, Err(Kind::Unauthenticated), Err(Kind::Unauthenticated)),
        ] {
            let layer = layer(mode, &rules);
            assert_eq!(call(&layer, CHECK, None).await, none.map(str::to_owned), "{mode:?}");
            for header in ["Bearer x.y.z", "Basic eDp5", "Bearer", ""] {
                assert_eq!(
                    call(&layer, CHECK, Some(header)).await,
                    wrong.map(str::to_owned),
                    "{mode:?} {header}"
                );
            }
            let subject = if mode == AuthMode::Off { "" } else { "alice" };
            assert_eq!(call(&layer, CHECK, Some(&valid)).await, Ok(subject.to_owned()));
        }
    }

    #[tokio::test]
    async fn scopes_are_needed_where_the_rules_say() {
        let scopes = HashMap::from([(format!("{SERVICE}/*"), vec!["read".to_owned()])]);
        let rules = AccessRules { scopes, ..AccessRules::default() };
        let layer = layer(AuthMode::Optional, &rules);
        let with = |scopes: &[&str]| format!("Bearer {}", token("a", scopes));
        assert_eq!(call(&layer, CHECK, Some(&with(&["read", "write"]))).await, Ok("a".to_owned()));
        assert_eq!(call(&layer, CHECK, Some(&with(&["write"]))).await, Err(Kind::PermissionDenied));
        assert_eq!(call(&layer, CHECK, None).await, Err(Kind::Unauthenticated));
    }

    #[tokio::test]
    async fn a_certificate_passes_where_the_rules_name_it() {
        const ID: &str = "spiffe://hive/orchestrator";
        let named = || HashMap::from([(CHECK.to_owned(), vec![ID.to_owned()])]);
        let scopes = HashMap::from([(format!("{SERVICE}/*"), vec!["read".to_owned()])]);
        let with = |subject: &str, scopes: &[&str]| Some(format!("Bearer {}", token(subject, scopes)));
        let (allowed, denied) = (|who: &str| Ok(who.to_owned()), Err(Kind::PermissionDenied));
        let both = AccessRules { scopes, identities: named(), ..AccessRules::default() };
        let only = AccessRules { identities: named(), ..AccessRules::default() };
        let other = Some("spiffe://hive/other");
        for mode in [AuthMode::Required, AuthMode::Optional] {
            let (both, only) = (layer(mode, &both), layer(mode, &only));
            for (layer, token, id, expected) in [
                (&both, None, Some(ID), allowed(ID)),
                (&both, None, other, denied.clone()),
                (&both, None, None, Err(Kind::Unauthenticated)),
                (&both, with("a", &["read"]), None, allowed("a")),
                // Neither speaks for the other, and a token may say what it likes.
                (&both, with("a", &[]), Some(ID), denied.clone()),
                (&both, with(ID, &[]), None, denied.clone()),
                (&only, None, Some(ID), allowed(ID)),
                (&only, None, other, denied.clone()),
                (&only, with(ID, &["read"]), None, denied.clone()),
                (&only, None, None, Err(Kind::Unauthenticated)),
            ] {
                let answer = call_as(layer, CHECK, token.as_deref(), id).await;
                assert_eq!(answer, expected, "{mode:?} {token:?} {id:?}");
            }
            let elsewhere = call_as(&only, "/grpc.health.v1.Health/List", None, other).await;
            assert_eq!(elsewhere, Ok("spiffe://hive/other".to_owned()));
        }
    }

    #[tokio::test]
    async fn a_rule_that_names_no_certificate_opens_no_door() {
        let identities = HashMap::from([(CHECK.to_owned(), Vec::new())]);
        let only = AccessRules { identities, ..AccessRules::default() };
        let scopes = HashMap::from([(CHECK.to_owned(), vec!["read".to_owned()])]);
        let both = AccessRules { scopes, ..only.clone() };
        let (id, bearer) = ("spiffe://hive/orchestrator", format!("Bearer {}", token("a", &["read"])));
        for mode in [AuthMode::Required, AuthMode::Optional] {
            let (both, only) = (layer(mode, &both), layer(mode, &only));
            assert_eq!(call(&only, CHECK, None).await, Err(Kind::Unauthenticated), "{mode:?}");
            assert_eq!(call(&only, CHECK, Some(&bearer)).await, Err(Kind::PermissionDenied), "{mode:?}");
            assert_eq!(call(&both, CHECK, Some(&bearer)).await, Ok("a".to_owned()), "{mode:?}");
            for layer in [&both, &only] {
                let answer = call_as(layer, CHECK, None, Some(id)).await;
                assert_eq!(answer, Err(Kind::PermissionDenied), "{mode:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_public_method_asks_nothing_and_an_unknown_one_does() {
        let rules = AccessRules { public: vec![CHECK.to_owned()], ..AccessRules::default() };
        let layer = layer(AuthMode::Required, &rules);
        assert_eq!(call(&layer, CHECK, None).await, Ok(String::new()));
        assert_eq!(call(&layer, "/no.Such/Method", None).await, Err(Kind::Unauthenticated));
    }

    #[tokio::test]
    async fn a_token_of_before_is_verified_anew_when_the_keys_change() {
        let service = |request: Request<()>| {
            let known = request.extensions().get::<Principal>().is_some();
            std::future::ready(Ok::<_, Infallible>(Response::new(known)))
        };
        let verifier = Verifier::new(Keys::default().with_secret(TEST_SECRET), Expectations::default());
        let verifier = Arc::new(verifier);
        let (rules, methods) = (AccessRules::default(), Arc::new(Methods::empty()));
        let layer = AuthLayer::new(methods, AuthMode::Required, Some(Arc::clone(&verifier)), &rules);
        let mut service = layer.layer(service_fn(service));
        let mut call = |subject| {
            let bearer = format!("Bearer {}", token(subject, &[]));
            service.call(Request::builder().header(AUTHORIZATION, bearer).body(()).expect("a request"))
        };
        for subject in ["alice", "alice", "bob"] {
            assert!(call(subject).await.expect("valid").into_body());
        }
        verifier.replace_keys(Keys::default().with_secret(b"another secret, as long as it has to be"));
        assert_eq!(call("bob").await.expect_err("of the old key").kind(), Kind::Unauthenticated);
    }
}
