//! Bounds how often one caller calls: by principal, or by address, or IPv6 /64, when nobody was identified.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, MonotonicClock},
    state::keyed::DefaultKeyedStateStore,
};
use http::{Request, Response};
use tower::{Layer, Service};

use crate::{
    call::Call,
    early::Early,
    failure::{Failure, Kind},
    methods::Methods,
    origin::Origin,
};

/// After so many calls, callers that have their whole allowance back are forgotten, so that the table stays as small
/// as the number of callers that are busy.
const FORGET_EVERY: u32 = 16_384;

type Limiter = RateLimiter<u64, DefaultKeyedStateStore<u64>, MonotonicClock>;

/// Adds [`RateLimit`] to a stack.
#[derive(Clone)]
pub struct RateLimitLayer {
    methods: Arc<Methods>,
    limiter: Option<Arc<Limiter>>,
    calls: Arc<AtomicU32>,
}

impl RateLimitLayer {
    /// Allows each caller `per_second` calls a second, and `burst` at once after a pause. Without a rate, everything.
    pub fn new(methods: Arc<Methods>, per_second: Option<NonZeroU32>, burst: Option<NonZeroU32>) -> Self {
        let limiter = per_second.map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(burst.unwrap_or(rate));
            Arc::new(RateLimiter::dashmap_with_clock(quota, MonotonicClock))
        });
        Self { methods, limiter, calls: Arc::default() }
    }

    fn check(&self, call: &Call) -> Result<(), Failure> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.calls.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        limiter.check_key(&caller(call)).map_err(|early| {
            let wait = early.wait_time_from(limiter.clock().now());
            Failure::new(Kind::RateLimited, "too many calls").untouched().retry_after(wait)
        })
    }
}

impl std::fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimitLayer").field("limits", &self.limiter.is_some()).finish_non_exhaustive()
    }
}

/// Callers in memory, which have neither, share one allowance.
fn caller(call: &Call) -> u64 {
    if let Some(principal) = call.principal() {
        return principal.key();
    }
    let mut hasher = DefaultHasher::new();
    call.peer().map(|peer| Origin::from(peer.ip())).hash(&mut hasher);
    hasher.finish()
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit { inner, layer: self.clone() }
    }
}

/// Refuses calls above the rate with RESOURCE_EXHAUSTED and the time to wait.
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    layer: RateLimitLayer,
}

impl<S, B, RB> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<Failure>,
{
    type Response = S::Response;
    type Error = Failure;
    type Future = Early<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.layer.methods);
        match self.layer.check(&call) {
            Ok(()) => Early::go(self.inner.call(request)),
            Err(failure) => Early::no(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::{auth::Principal, call::Connection};

    fn layer(per_second: u32, burst: u32) -> RateLimitLayer {
        RateLimitLayer::new(Arc::new(Methods::empty()), NonZeroU32::new(per_second), NonZeroU32::new(burst))
    }

    async fn call(layer: &RateLimitLayer, subject: &str) -> Result<Response<()>, Failure> {
        let mut request = Request::new(());
        Call::enter(&mut request, &layer.methods).set_principal(Principal::named(subject));
        send(layer, request).await
    }

    async fn send(layer: &RateLimitLayer, request: Request<()>) -> Result<Response<()>, Failure> {
        let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
        layer.layer(service).oneshot(request).await
    }

    #[tokio::test]
    async fn each_caller_has_its_own_allowance() {
        let layer = layer(1, 2);
        for _ in 0..2 {
            call(&layer, "a").await.expect("within the burst");
        }
        let failure = call(&layer, "a").await.expect_err("too often");
        assert_eq!(failure.kind(), Kind::RateLimited);
        let wait = failure.retry_delay().expect("a time to wait");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        call(&layer, "b").await.expect("somebody else");
    }

    #[tokio::test]
    async fn who_was_not_identified_is_counted_by_address_or_ipv6_network() {
        let layer = layer(1, 1);
        let from = async |peer: &str| {
            let mut request = Request::new(());
            let peer = Some(peer.parse().expect("an address"));
            let connection = Connection { peer, ..Connection::new(Arc::clone(&layer.methods)) };
            request.extensions_mut().insert(Arc::new(connection));
            send(&layer, request).await.map(|_| ()).map_err(|failure| failure.kind())
        };
        let once = Err(Kind::RateLimited);
        assert_eq!((from("192.0.2.1:1").await, from("192.0.2.1:2").await), (Ok(()), once));
        assert_eq!((from("[2001:db8::1]:1").await, from("[2001:db8::2]:1").await), (Ok(()), once));
        assert_eq!((from("192.0.2.2:1").await, from("[2001:db8:0:1::1]:1").await), (Ok(()), Ok(())));
    }

    #[tokio::test]
    async fn without_a_rate_nothing_is_refused() {
        let layer = layer(0, 1);
        for _ in 0..100 {
            call(&layer, "a").await.expect("allowed");
        }
    }
}
