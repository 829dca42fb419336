//! A layer around one servicer, for teams that take the kit as it is: below all layers of the kit, so that it knows who
//! calls, and what it refuses is rendered, counted and logged like any other refusal.

use std::{
    convert::Infallible,
    marker::PhantomData,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tonic::{body::Body, codegen::BoxFuture, server::NamedService};
use tower::{BoxError, Layer, Service};

use super::router::RequestBody;
use crate::failure::{Failure, render};

/// Puts a layer around a servicer. The result is registered in the servicer's place.
pub fn layered<L: Layer<T>, T>(layer: &L, servicer: T) -> Layered<L::Service, T> {
    Layered { inner: layer.layer(servicer), servicer: PhantomData }
}

/// A servicer of type `T` inside a layer, which together are the service `S`.
#[derive(Debug)]
pub struct Layered<S, T> {
    inner: S,
    servicer: PhantomData<fn() -> T>,
}

impl<S: Clone, T> Clone for Layered<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), servicer: PhantomData }
    }
}

impl<S, T: NamedService> NamedService for Layered<S, T> {
    const NAME: &'static str = T::NAME;
}

impl<S, T, RB> Service<Request<RequestBody>> for Layered<S, T>
where
    S: Service<Request<RequestBody>, Response = Response<RB>>,
    S::Error: Into<Failure>,
    S::Future: Send + 'static,
    RB: http_body::Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    /// A layer of the kit is ready at all times: what it cannot take it refuses.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let call = self.inner.call(request);
        Box::pin(async move {
            Ok(match call.await {
                Ok(response) => response.map(Body::new),
                Err(refusal) => render::status(&refusal.into()).into_http(),
            })
        })
    }
}
