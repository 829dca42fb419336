//! Following one flow: how it stands, then what changes, until it is over.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use hive_domain::ids::WorkflowId;
use hive_domain::orchestration::flow::FlowConfig;

use super::flow_feed::{FlowChange, FlowFeed, Read};
use super::flow_view::FlowView;
use super::ports::Journal;
use crate::error::Error;

/// One thing a watcher learns. The first is a snapshot; so is the last, of a flow that is over.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowWatch {
    /// How the flow stands. Replaces whatever was known.
    Snapshot(Box<FlowView>),
    /// One thing happened after the last snapshot.
    Changed(Arc<FlowChange>),
    /// The watcher was too slow and missed about this many changes; a snapshot follows.
    Lagged {
        /// Changes missed.
        missed: u64,
    },
}

/// Tells how flows stand: from memory those driven here, from the journal all others.
#[derive(Clone)]
pub struct WatchFlow {
    journal: Arc<dyn Journal>,
    feed: Arc<FlowFeed>,
    config: FlowConfig,
}

impl WatchFlow {
    pub(super) fn new(journal: Arc<dyn Journal>, feed: Arc<FlowFeed>, config: FlowConfig) -> Self {
        WatchFlow { journal, feed, config }
    }

    /// How a flow stands now; `NotFound` for one that never began.
    pub async fn get(&self, workflow_id: &WorkflowId) -> Result<FlowView, Error> {
        match self.feed.snapshot(workflow_id) {
            Some((view, _)) => Ok(view),
            None => self.remembered(workflow_id).await,
        }
    }

    /// How a flow stands, then every change; see [`FlowWatch`]. Ends after the snapshot of a flow that is over, or with
    /// an error: `NotFound` for a flow that never began.
    pub fn watch(&self, workflow_id: WorkflowId) -> BoxStream<'static, Result<FlowWatch, Error>> {
        let watch = Watch { flows: self.clone(), workflow_id, state: State::New };
        stream::try_unfold(watch, |mut watch| async move {
            let next = watch.next().await?;
            Ok(next.map(|next| (next, watch)))
        })
        .boxed()
    }

    async fn remembered(&self, workflow_id: &WorkflowId) -> Result<FlowView, Error> {
        let stored = self.journal.find(workflow_id).await?;
        let stored = stored.ok_or_else(|| Error::not_found("Workflow", workflow_id))?;
        let mut view = FlowView::of_stored(&stored, &self.config);
        if view.outcome.is_none() {
            view.failure = self.feed.failure(workflow_id).or(view.failure);
        }
        Ok(view)
    }
}

impl std::fmt::Debug for WatchFlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchFlow").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum State {
    /// A snapshot is due.
    New,
    /// The flow is driven here, and this is the next change to read.
    Live(u64),
    /// The flow is remembered but not driven; its snapshot was told.
    Waiting,
    /// The flow is over, and that was told.
    Over,
}

struct Watch {
    flows: WatchFlow,
    workflow_id: WorkflowId,
    state: State,
}

impl Watch {
    async fn next(&mut self) -> Result<Option<FlowWatch>, Error> {
        loop {
            let feed = &self.flows.feed;
            match self.state {
                State::Over => return Ok(None),
                State::New | State::Waiting => {
                    // Before looking: a flow that comes or goes after the look wakes this up.
                    let came_or_went = feed.listen();
                    if let Some((view, end)) = feed.snapshot(&self.workflow_id) {
                        self.state = State::Live(end);
                        return Ok(Some(FlowWatch::Snapshot(Box::new(view))));
                    }
                    let view = self.flows.remembered(&self.workflow_id).await?;
                    let told = matches!(self.state, State::Waiting);
                    self.state = if view.is_over() { State::Over } else { State::Waiting };
                    if view.is_over() || !told {
                        return Ok(Some(FlowWatch::Snapshot(Box::new(view))));
                    }
                    came_or_went.await;
                }
                State::Live(position) => match feed.read(&self.workflow_id, position) {
                    Read::Change(change) => {
                        self.state = State::Live(position + 1);
                        return Ok(Some(FlowWatch::Changed(change)));
                    }
                    Read::Lagged(missed) => {
                        self.state = State::New;
                        return Ok(Some(FlowWatch::Lagged { missed }));
                    }
                    Read::End(changed) => changed.await,
                    Read::Gone => self.state = State::New,
                },
            }
        }
    }
}
