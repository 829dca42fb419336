//! The record of one call, opened once by the outermost layer and shared by all others through the request's
//! extensions: who, what, since when, until when.

use std::{
    cell::Cell,
    future::poll_fn,
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::time::Instant;

use crate::{
    auth::Principal,
    drain::Draining,
    methods::{Method, MethodId, Methods},
    trace_context::TraceContext,
};

/// The header that carries the request id, in both directions.
pub const REQUEST_ID_HEADER: &str = "x-correlation-id";

/// Accepted from callers when [`REQUEST_ID_HEADER`] is absent.
const ALTERNATIVE_HEADER: &str = "x-request-id";

const MAX_REQUEST_ID_BYTES: usize = 128;
const MAX_UNKNOWN_PATH_CHARS: usize = 200;

thread_local! {
    /// The call on whose behalf this thread works now.
    static CURRENT: Cell<Option<Arc<Call>>> = const { Cell::new(None) };
}

/// Does a step of a task on behalf of the call in `of`, if there is one; afterwards it is there again. It is moved, not
/// shared: a count of references would cost more than the rest.
pub(crate) fn within<T>(of: &mut Option<Arc<Call>>, step: impl FnOnce() -> T) -> T {
    struct Back<'a>(&'a mut Option<Arc<Call>>);
    impl Back<'_> {
        fn exchange(&mut self) {
            // A thread that ends works for nobody.
            let _ = CURRENT.try_with(|current| *self.0 = current.replace(self.0.take()));
        }
    }
    impl Drop for Back<'_> {
        fn drop(&mut self) {
            self.exchange();
        }
    }
    if of.is_none() {
        return step();
    }
    let mut back = Back(of);
    back.exchange();
    step()
}

/// What the server knows about the connection a call came in on.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The other end; `None` in memory.
    pub peer: Option<SocketAddr>,
    /// Tells when the server starts to drain.
    pub draining: Draining,
    /// Who the client's certificate says it is.
    pub identity: Option<Principal>,
    /// The server's methods, the same that its layers have. Here, so that the calls of one connection do not count a
    /// reference up and down that all cores share.
    pub methods: Arc<Methods>,
}

impl Connection {
    /// One in memory, of nobody in particular.
    pub fn new(methods: Arc<Methods>) -> Self {
        Self { peer: None, draining: Draining::default(), identity: None, methods }
    }
}

/// One call. Servicers get it from a request with [`Call::of`].
#[derive(Debug)]
pub struct Call {
    request_id: HeaderValue,
    started: Instant,
    method: MethodId,
    unknown_path: Option<Box<str>>,
    connection: Arc<Connection>,
    principal: OnceLock<Principal>,
    deadline: OnceLock<Instant>,
    took: OnceLock<Duration>,
    trace: OnceLock<TraceContext>,
}

impl Call {
    /// The call of this request, opened by the first layer that asks.
    pub fn enter<B>(request: &mut Request<B>, methods: &Arc<Methods>) -> Arc<Self> {
        if let Some(call) = request.extensions().get::<Arc<Self>>() {
            return Arc::clone(call);
        }
        let connection = request.extensions().get::<Arc<Connection>>().cloned();
        let connection = connection.unwrap_or_else(|| Arc::new(Connection::new(Arc::clone(methods))));
        Self::open(request, connection)
    }

    /// Opens the call of a request that came in on this connection.
    pub fn open<B>(request: &mut Request<B>, connection: Arc<Connection>) -> Arc<Self> {
        let path = request.uri().path();
        let method = connection.methods.resolve(path);
        let unknown = method == MethodId::UNKNOWN;
        let call = Arc::new(Self {
            request_id: request_id(request.headers()),
            started: Instant::now(),
            method,
            unknown_path: unknown.then(|| path.chars().take(MAX_UNKNOWN_PATH_CHARS).collect()),
            connection,
            principal: OnceLock::new(),
            deadline: OnceLock::new(),
            took: OnceLock::new(),
            trace: OnceLock::new(),
        });
        request.extensions_mut().insert(Arc::clone(&call));
        call
    }

    /// The call a servicer is in; `None` when no layer of this kit is above it.
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Arc<Self>> {
        request.extensions().get::<Arc<Self>>().cloned()
    }

    /// Runs work on behalf of this call: clients made by [`ClientFactory`](crate::client::ClientFactory) and used
    /// within carry its deadline, trace and correlation id on. A servicer, and the stream it answers with, run in their
    /// call's scope as they are; what they spawn leaves it, and takes it along by this.
    pub async fn scope<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut call = Some(self);
        poll_fn(|cx| within(&mut call, || work.as_mut().poll(cx))).await
    }

    /// The call whose [scope](Self::scope) this task is in.
    pub fn current() -> Option<Arc<Self>> {
        let current = CURRENT.try_with(|current| {
            let call = current.take();
            current.set(call.clone());
            call
        });
        current.ok().flatten()
    }

    /// The correlation id: the caller's when it sent a usable one, else a new UUID.
    pub fn request_id(&self) -> &str {
        std::str::from_utf8(self.request_id.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn request_id_header(&self) -> HeaderValue {
        self.request_id.clone()
    }

    /// When the call reached the stack.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// How long the call took, for those who saw it end: the first of them looks at the clock.
    pub(crate) fn took(&self) -> Duration {
        *self.took.get_or_init(|| self.started.elapsed())
    }

    /// The called method's position among the server's.
    pub fn method_id(&self) -> MethodId {
        self.method
    }

    /// The called method; the entry for unknown ones when no descriptor declares the path.
    pub fn method(&self) -> &Method {
        self.connection.methods.get(self.method)
    }

    /// The path as the caller sent it, cut at 200 characters when it is unknown.
    pub fn path(&self) -> &str {
        self.unknown_path.as_deref().unwrap_or(&self.method().path)
    }

    /// Whether a descriptor declares the path.
    pub(crate) fn is_known(&self) -> bool {
        self.method != MethodId::UNKNOWN
    }

    /// The address of the other end; `None` in memory.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.connection.peer
    }

    /// Resolves when the server starts to drain: a stream without a natural end should end then.
    pub fn draining(&self) -> Draining {
        self.connection.draining.clone()
    }

    /// Who calls; `None` when authentication is off, optional and unused, or has not happened yet.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.get()
    }

    /// Who the certificate of the connection says is calling.
    pub(crate) fn identity(&self) -> Option<&Principal> {
        self.connection.identity.as_ref()
    }

    pub(crate) fn set_principal(&self, principal: Principal) {
        // The first layer to identify the caller is right: a second one of the same call can only repeat it.
        let _ = self.principal.set(principal);
    }

    /// When the caller stops waiting, if it ever does: pass on to calls made on its behalf.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    pub(crate) fn set_deadline(&self, deadline: Instant) {
        let _ = self.deadline.set(deadline);
    }

    /// The trace this call belongs to: pass on to calls made on its behalf.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.get()
    }

    pub(crate) fn set_trace(&self, trace: TraceContext) {
        let _ = self.trace.set(trace);
    }
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    static NAME: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);
    static ALTERNATIVE: HeaderName = HeaderName::from_static(ALTERNATIVE_HEADER);
    let given = headers.get(&NAME).or_else(|| headers.get(&ALTERNATIVE));
    match given {
        Some(value) if is_usable(value.as_bytes()) => value.clone(),
        _ => new_request_id(),
    }
}

/// Ids end in logs and headers of other systems: visible ASCII without quotes, and short.
fn is_usable(bytes: &[u8]) -> bool {
    // Looked up, since every byte of every call's id is.
    const PLAIN: [bool; 256] = {
        let (mut plain, mut byte) = ([false; 256], 0);
        while byte < 256 {
            plain[byte] = (byte as u8).is_ascii_alphanumeric()
                || matches!(byte as u8, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=' | b'@');
            byte += 1;
        }
        plain
    };
    (1..=MAX_REQUEST_ID_BYTES).contains(&bytes.len()) && bytes.iter().all(|&byte| PLAIN[usize::from(byte)])
}

/// A version 4 UUID from a process-wide random key and a counter: unique, not secret, and without a system call.
fn new_request_id() -> HeaderValue {
    static KEYS: LazyLock<(RandomState, RandomState)> = LazyLock::new(Default::default);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let high = u128::from(KEYS.0.hash_one(count));
    let low = u128::from(KEYS.1.hash_one(count));
    let id = uuid::Builder::from_random_bytes((high << 64 | low).to_be_bytes()).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(headers: &[(&'static str, &str)]) -> Arc<Call> {
        let mut request = Request::builder().uri("/a.B/C");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).expect("a request");
        Call::enter(&mut request, &Arc::new(Methods::empty()))
    }

    #[test]
    fn the_callers_id_is_kept() {
        assert_eq!(
            enter(&[("x-correlation-id", "abc-123"), ("x-request-id", "other")]).request_id(),
            "abc-123"
        );
        assert_eq!(enter(&[("x-request-id", "other")]).request_id(), "other");
    }

    #[test]
    fn an_unusable_id_is_replaced() {
        let long = "x".repeat(129);
        for id in ["", "with space", "quote\"", &long] {
            let call = enter(&[("x-correlation-id", id)]);
            assert_eq!(uuid::Uuid::parse_str(call.request_id()).expect("a uuid").get_version_num(), 4);
        }
    }

    #[test]
    fn new_ids_differ() {
        assert_ne!(enter(&[]).request_id(), enter(&[]).request_id());
    }

    #[test]
    fn the_first_layer_opens_and_the_others_share() {
        let methods = Arc::new(Methods::empty());
        let mut request = Request::new(());
        let first = Call::enter(&mut request, &methods);
        assert!(Arc::ptr_eq(&first, &Call::enter(&mut request, &methods)));
    }

    #[test]
    fn the_innermost_scope_counts_and_ends_whatever_happens() {
        let current = || Call::current().map(|call| call.request_id().to_owned());
        let call = |id| Some(enter(&[("x-correlation-id", id)]));
        let (mut outer, mut inner) = (call("outer"), call("inner"));
        within(&mut outer, || {
            assert_eq!(within(&mut inner, current).as_deref(), Some("inner"));
            assert_eq!(within(&mut None, current).as_deref(), Some("outer"));
            let panics = std::panic::AssertUnwindSafe(|| within(&mut inner, || panic!("asked to")));
            assert!(std::panic::catch_unwind(panics).is_err());
            assert_eq!(current().as_deref(), Some("outer"));
        });
        assert_eq!(current(), None);
        assert!(outer.is_some() && inner.is_some());
    }

    #[test]
    fn an_unknown_path_is_kept_but_cut() {
        let mut request =
            Request::builder().uri(format!("/{}", "a".repeat(500))).body(()).expect("a request");
        let call = Call::enter(&mut request, &Arc::new(Methods::empty()));
        assert_eq!(call.path().len(), 200);
        assert_eq!(call.method_id(), MethodId::UNKNOWN);
    }
}
