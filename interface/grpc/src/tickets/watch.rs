//! Changes of tickets as a stream. It holds at most one page of the log and lives as long as its caller reads it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt};
use hive_application::error::{Error, ErrorKind, invalid_id};
use hive_application::tickets::{LogFilter, TicketApi};
use hive_domain::ids::{AgentId, PlanId};
use hive_mapping::ticket::event;
use hive_proto::grpc::neural_hive::execution as wire;
use tonic::Status;

use crate::status::to_status;

/// Bounds of watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchConfig {
    /// Streams open at once.
    pub max_streams: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        WatchConfig { max_streams: 4_096 }
    }
}

/// Opens streams, up to a number of them.
#[derive(Debug, Clone)]
pub(super) struct Watches {
    config: WatchConfig,
    open: Arc<AtomicUsize>,
}

/// One open stream; dropped with it.
struct Place(Arc<AtomicUsize>);

/// What a caller of WatchTickets reads.
pub struct EventStream {
    events: BoxStream<'static, Result<wire::TicketEvent, Status>>,
    _place: Place,
}

impl Watches {
    pub(super) fn new(config: WatchConfig) -> Self {
        Watches { config, open: Arc::default() }
    }

    /// The changes a request asks for. `ResourceExhausted` when too many streams are open.
    pub(super) fn open(
        &self,
        api: &TicketApi,
        request: &wire::WatchTicketsRequest,
    ) -> Result<EventStream, Error> {
        let filter = LogFilter {
            plan_id: given(&request.plan_id).map(PlanId::parse).transpose().map_err(invalid_id("plan_id"))?,
            agent_id: given(&request.agent_id)
                .map(AgentId::parse)
                .transpose()
                .map_err(invalid_id("agent_id"))?,
        };
        let place = self.take_place()?;
        let changes = api.tickets.watch(filter, request.after);
        let events = changes.map(|change| change.map(|change| event(&change)).map_err(to_status)).boxed();
        Ok(EventStream { events, _place: place })
    }

    fn take_place(&self) -> Result<Place, Error> {
        let max = self.config.max_streams;
        let one_more = |open: usize| (open < max).then_some(open + 1);
        match self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Place(Arc::clone(&self.open))),
            Err(_) => Err(Error::new(
                ErrorKind::ResourceExhausted,
                "TOO_MANY_WATCHES",
                format!("{max} watches are open, which is all there may be"),
            )),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream for EventStream {
    type Item = Result<wire::TicketEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
