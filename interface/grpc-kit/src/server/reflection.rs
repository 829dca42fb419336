//! Reflection over what was registered, in both versions that clients ask for.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, codegen::BoxFuture};
use tonic_reflection::server::{Builder, v1, v1alpha};
use tower::{BoxError, Service};

use super::router::{RequestBody, Servicers};
use crate::{
    call::Call,
    failure::{Failure, Kind},
};

/// Streams of reflection at once: tools of people open them, not services.
const STREAMS: usize = 128;

/// Mounts `grpc.reflection.v1` and `v1alpha`: they list the given services and themselves, and nothing that is declared
/// in the same files but not served.
///
/// # Errors
/// When a descriptor set cannot be read.
pub(super) fn mount(
    servicers: &mut Servicers,
    services: &[String],
    descriptors: &[&'static [u8]],
) -> Result<(), tonic_reflection::server::Error> {
    let builder = || {
        let mut builder = Builder::configure();
        for descriptor in descriptors {
            builder = builder.register_encoded_file_descriptor_set(descriptor);
        }
        for service in services.iter().map(String::as_str).chain([V1, V1_ALPHA]) {
            builder = builder.with_service_name(service);
        }
        builder
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
            // No service has the details of an error in its descriptor; with these, clients can show them in words.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .include_reflection_service(false)
    };
    let v1: v1::ServerReflectionServer<_> = builder().build_v1()?;
    let places = Arc::new(Semaphore::new(STREAMS));
    servicers.add(V1, Bounded { inner: v1, places: Arc::clone(&places) });
    let v1alpha: v1alpha::ServerReflectionServer<_> = builder().build_v1alpha()?;
    servicers.add(V1_ALPHA, Bounded { inner: v1alpha, places });
    Ok(())
}

/// The service modern clients ask.
pub(super) const V1: &str = "grpc.reflection.v1.ServerReflection";
/// The service older clients ask.
pub(super) const V1_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

/// Reflection, which by itself goes on for as long as its client does: so many at once, and until the server drains.
#[derive(Clone)]
struct Bounded<S> {
    inner: S,
    places: Arc<Semaphore>,
}

impl<S> Service<Request<RequestBody>> for Bounded<S>
where
    S: Service<
            Request<Questions>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
            Future = BoxFuture<Response<tonic::body::Body>, Infallible>,
        >,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let refusal = Failure::new(Kind::Overloaded, "too many streams of reflection").untouched();
            return Box::pin(std::future::ready(Ok(Status::from(refusal).into_http())));
        };
        let draining = request.extensions().get::<Arc<Call>>().map(|call| call.draining());
        let mut draining = draining.unwrap_or_default();
        let drained: Drained = Box::pin(async move { draining.draining().await });
        self.inner.call(request.map(|inner| Questions { inner, drained, _place: place }))
    }
}

type Drained = Pin<Box<dyn Future<Output = ()> + Send>>;

pin_project! {
    /// What a client asks, until the server drains. Whoever answers reads it to its end, and ends then.
    struct Questions {
        #[pin]
        inner: RequestBody,
        drained: Drained,
        _place: OwnedSemaphorePermit,
    }
}

impl Body for Questions {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        match this.inner.poll_frame(cx) {
            Poll::Pending => this.drained.as_mut().poll(cx).map(|()| None),
            asked => asked,
        }
    }
}
