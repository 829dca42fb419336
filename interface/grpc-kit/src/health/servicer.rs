//! The servicer of the health protocol, over the reporter.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::{Request, Response, Status};

use super::{
    HealthReporter, ServingStatus,
    proto::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus as Wire, health_server::Health,
    },
};
use crate::{
    call::Call,
    failure::{Failure, Kind},
};

/// Tells what a [`HealthReporter`] knows.
#[derive(Clone, Debug)]
pub struct HealthServicer {
    reporter: HealthReporter,
    watches: Arc<Semaphore>,
}

/// Watches at once, unless [`HealthServicer::at_most`] says otherwise.
const MAX_WATCHES: usize = 10_000;

impl HealthServicer {
    /// A servicer for this server.
    pub fn new(reporter: HealthReporter) -> Self {
        Self { reporter, watches: Arc::new(Semaphore::new(MAX_WATCHES)) }
    }

    /// Bounds how many clients may watch at once. Checks are not bounded: they end by themselves.
    #[must_use]
    pub fn at_most(self, watches: usize) -> Self {
        Self { watches: Arc::new(Semaphore::new(watches)), ..self }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    let status = match status {
        ServingStatus::Serving => Wire::Serving,
        ServingStatus::NotServing => Wire::NotServing,
    };
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for HealthServicer {
    type WatchStream = WatchStream;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.reporter.status(&request.get_ref().service) {
            Some(status) => Ok(Response::new(response(status))),
            None => Err(Failure::new(Kind::NotFound, "unknown service").into()),
        }
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let statuses = self.reporter.statuses();
        let statuses: HashMap<_, _> =
            statuses.into_iter().map(|(name, status)| (name, response(status))).collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<WatchStream>, Status> {
        let Ok(place) = Arc::clone(&self.watches).try_acquire_owned() else {
            return Err(Failure::new(Kind::Overloaded, "too many watches").untouched().into());
        };
        let draining = Call::of(&request).map(|call| call.draining()).unwrap_or_default();
        let updates: Pin<Box<dyn Stream<Item = _> + Send>> =
            match self.reporter.subscribe(&request.get_ref().service) {
                Some(statuses) => Box::pin(updates(statuses)),
                None => Box::pin(unknown()),
            };
        Ok(Response::new(WatchStream { updates: Box::pin(draining.end(updates)), _place: place }))
    }
}

/// The status now and at every change.
fn updates(
    mut statuses: watch::Receiver<ServingStatus>,
) -> impl Stream<Item = Result<HealthCheckResponse, Status>> + Send {
    statuses.mark_changed();
    futures_util::stream::unfold(statuses, |mut statuses| async move {
        statuses.changed().await.ok()?;
        let status = *statuses.borrow_and_update();
        Some((Ok(response(status)), statuses))
    })
}

/// Services are fixed once the server is built, so an unknown name stays unknown; the protocol still wants the stream
/// to stay open.
fn unknown() -> impl Stream<Item = Result<HealthCheckResponse, Status>> + Send {
    use futures_util::StreamExt as _;
    let unknown = HealthCheckResponse { status: Wire::ServiceUnknown.into() };
    futures_util::stream::iter([Ok(unknown)]).chain(futures_util::stream::pending())
}

/// The statuses of one watch, until the server drains.
pub struct WatchStream {
    updates: Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>,
    _place: OwnedSemaphorePermit,
}

impl std::fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchStream").finish_non_exhaustive()
    }
}

impl Stream for WatchStream {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.updates.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};
    use tonic::Code;

    use super::*;

    fn ask(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    fn servicer() -> (HealthReporter, HealthServicer) {
        let reporter = HealthReporter::new();
        reporter.add_service("a");
        reporter.running();
        (reporter.clone(), HealthServicer::new(reporter))
    }

    #[tokio::test]
    async fn check_and_list_tell_the_present() {
        let (_, servicer) = servicer();
        let check = servicer.check(ask("a")).await.expect("known").into_inner();
        assert_eq!(check.status(), Wire::Serving);
        assert_eq!(servicer.check(ask("b")).await.expect_err("unknown").code(), Code::NotFound);
        let list = servicer.list(Request::new(HealthListRequest {})).await.expect("a list").into_inner();
        assert_eq!(list.statuses.len(), 2);
    }

    #[tokio::test]
    async fn watch_tells_every_change() {
        let (reporter, servicer) = servicer();
        let mut watch = servicer.watch(ask("a")).await.expect("a stream").into_inner();
        assert_eq!(watch.next().await.expect("an item").expect("a status").status(), Wire::Serving);
        assert!(watch.next().now_or_never().is_none());
        reporter.drain();
        assert_eq!(watch.next().await.expect("an item").expect("a status").status(), Wire::NotServing);
    }

    #[tokio::test]
    async fn watches_are_bounded_and_checks_are_not() {
        let (reporter, _) = servicer();
        let servicer = HealthServicer::new(reporter).at_most(1);
        let first = servicer.watch(ask("a")).await.expect("a stream");
        let refused = servicer.watch(ask("a")).await.map(|_| ()).expect_err("one too many");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        servicer.check(ask("a")).await.expect("known");
        drop(first);
        servicer.watch(ask("a")).await.expect("free again");
    }

    #[tokio::test]
    async fn watching_an_unknown_name_stays_open() {
        let (_, servicer) = servicer();
        let mut watch = servicer.watch(ask("b")).await.expect("a stream").into_inner();
        assert_eq!(watch.next().await.expect("an item").expect("a status").status(), Wire::ServiceUnknown);
        assert!(watch.next().now_or_never().is_none());
    }
}
