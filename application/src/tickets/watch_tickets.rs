//! Following the log: what is there, then what comes.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use hive_domain::tickets::TicketChange;

use super::ports::{LogFilter, TicketLog};
use crate::error::Error;

/// Changes read at once; also the most a slow consumer keeps in memory.
const PAGE: usize = 256;

struct Watch {
    log: Arc<dyn TicketLog>,
    filter: LogFilter,
    after: u64,
    page: VecDeque<Arc<TicketChange>>,
}

/// Every change after `after` that `filter` lets through, in order, without end.
pub(super) fn watch(
    log: Arc<dyn TicketLog>,
    filter: LogFilter,
    after: u64,
) -> BoxStream<'static, Result<Arc<TicketChange>, Error>> {
    let watch = Watch { log, filter, after, page: VecDeque::new() };
    stream::try_unfold(watch, |mut watch| async move {
        loop {
            if let Some(change) = watch.page.pop_front() {
                return Ok(Some((change, watch)));
            }
            let next = watch.log.listen();
            let page = watch.log.read(watch.after, &watch.filter, PAGE).await?;
            let moved = page.read_to > watch.after;
            watch.after = page.read_to.max(watch.after);
            watch.page = page.changes.into();
            if !moved {
                next.await;
            }
        }
    })
    .boxed()
}
