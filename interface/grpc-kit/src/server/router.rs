//! Finds the servicer of a call by its service's name: one look-up in place of a routing tree.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{body::Body, codegen::BoxFuture};
use tower::Service;

use crate::{
    early::Early,
    failure::{Failure, Kind},
    layer::{message_limit::LimitedRequest, metrics::ReceivedBody},
};

/// The request body servicers read: what came in, counted and bounded.
pub type RequestBody = LimitedRequest<ReceivedBody<Incoming>>;

/// What a generated servicer is: a service that never fails, in the future type code generation produces, so that
/// erasing its type costs no second allocation.
pub trait Servicer:
    Service<
        Request<RequestBody>,
        Response = Response<Body>,
        Error = Infallible,
        Future = BoxFuture<Response<Body>, Infallible>,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Servicer for S where
    S: Service<
            Request<RequestBody>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Response<Body>, Infallible>,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// A servicer whose type is erased. A call works on a clone: generated servicers are an `Arc` and two numbers.
trait Mounted: Send + Sync {
    fn call(&self, request: Request<RequestBody>) -> BoxFuture<Response<Body>, Infallible>;
}

impl<S: Servicer> Mounted for S {
    fn call(&self, request: Request<RequestBody>) -> BoxFuture<Response<Body>, Infallible> {
        Service::call(&mut self.clone(), request)
    }
}

/// The servicers by the full name of their service.
#[derive(Clone, Default)]
pub struct Router {
    // Few: their names are compared sooner than hashed.
    servicers: Arc<BTreeMap<Box<str>, Box<dyn Mounted>>>,
}

/// Servicers on their way into a [`Router`].
#[derive(Default)]
pub(super) struct Servicers(BTreeMap<Box<str>, Box<dyn Mounted>>);

impl Servicers {
    pub(super) fn add<S: Servicer>(&mut self, service: &str, servicer: S) {
        self.0.insert(service.into(), Box::new(servicer));
    }

    pub(super) fn into_router(self) -> Router {
        Router { servicers: Arc::new(self.0) }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.servicers.keys()).finish()
    }
}

impl std::fmt::Debug for Servicers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The service a path names, without its slash.
pub(super) fn service_of(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    // Byte by byte: for so short a text the search of the library takes longer to begin.
    path.bytes().position(|byte| byte == b'/').map_or(path, |end| &path[..end])
}

impl Service<Request<RequestBody>> for Router {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Early<RouterFuture>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        match self.servicers.get(service_of(request.uri().path())) {
            Some(servicer) => Early::go(RouterFuture(servicer.call(request))),
            None => Early::no(Failure::new(Kind::Unimplemented, "unknown service").untouched()),
        }
    }
}

/// The servicer's answer.
pub struct RouterFuture(BoxFuture<Response<Body>, Infallible>);

impl std::fmt::Debug for RouterFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RouterFuture")
    }
}

impl Future for RouterFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_service() {
        assert_eq!(service_of("/a.b.C/D"), "a.b.C");
        assert_eq!(service_of("/a.b.C/D/E"), "a.b.C");
        assert_eq!(service_of("/a"), "a");
        assert_eq!(service_of(""), "");
        assert_eq!(service_of("//x"), "");
    }
}
