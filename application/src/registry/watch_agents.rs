//! Following the registry: the agents there are, then what changes.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use hive_domain::ids::AgentId;
use hive_domain::registry::AgentFilter;
use hive_domain::registry::public::{AgentChange, AgentSnapshot};
use tracing::{Instrument as _, Span};

use super::change_feed::Read;
use super::{Registry, SPAN_TARGET};
use crate::error::Error;

/// One thing a watcher learns. The first is always a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentWatch {
    /// All registered agents, in any status, by id. Replaces whatever was known.
    Snapshot(Vec<AgentSnapshot>),
    /// One agent changed after the last snapshot.
    Changed(Arc<AgentChange>),
    /// The watcher was too slow and missed this many changes; a snapshot follows.
    Lagged {
        /// Changes missed.
        missed: u64,
    },
}

struct Watch {
    registry: Registry,
    position: u64,
    /// The revisions the last snapshot showed, of agents that did not change since.
    shown: HashMap<AgentId, u64>,
    wants_snapshot: bool,
    /// Lasts as long as somebody watches.
    span: Span,
}

pub(super) fn watch(registry: Registry) -> BoxStream<'static, Result<AgentWatch, Error>> {
    let span = tracing::info_span!(target: SPAN_TARGET, "watch_agents");
    let watch = Watch { registry, position: 0, shown: HashMap::new(), wants_snapshot: true, span };
    stream::try_unfold(watch, |mut watch| async move {
        let span = watch.span.clone();
        let next = watch.next().instrument(span).await?;
        Ok(Some((next, watch)))
    })
    .boxed()
}

impl Watch {
    async fn next(&mut self) -> Result<AgentWatch, Error> {
        if self.wants_snapshot {
            return self.snapshot().await.map(AgentWatch::Snapshot);
        }
        loop {
            let published = self.registry.feed.listen();
            match self.registry.feed.read(self.position) {
                Read::Change(change) => {
                    self.position += 1;
                    if self.is_news(&change) {
                        return Ok(AgentWatch::Changed(change));
                    }
                }
                Read::Lagged(missed) => {
                    self.wants_snapshot = true;
                    return Ok(AgentWatch::Lagged { missed });
                }
                Read::End => published.await,
            }
        }
    }

    async fn snapshot(&mut self) -> Result<Vec<AgentSnapshot>, Error> {
        // The position first: a change in between is then in the snapshot, or after the position, or both.
        self.position = self.registry.feed.end();
        let everything = AgentFilter::default();
        let mut agents = Vec::new();
        let mut after = None;
        loop {
            let page = self.registry.list(&everything, after).await?;
            agents.extend(page.agents);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.shown = agents.iter().map(|agent| (agent.agent_id.clone(), agent.revision)).collect();
        self.wants_snapshot = false;
        Ok(agents)
    }

    fn is_news(&mut self, change: &AgentChange) -> bool {
        let agent = &change.agent;
        match self.shown.get(&agent.agent_id) {
            Some(shown) if agent.revision <= *shown => false,
            Some(_) => {
                self.shown.remove(&agent.agent_id);
                true
            }
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake, Waker};

    use futures_util::FutureExt;
    use hive_domain::registry::public::AgentChangeKind;

    use super::super::change_feed::CAPACITY;
    use super::super::testing::{Fixture, draft, id, now_or_never};
    use super::*;

    type Stream = BoxStream<'static, Result<AgentWatch, Error>>;

    fn next(stream: &mut Stream) -> Option<AgentWatch> {
        stream.next().now_or_never().map(|item| item.unwrap().unwrap())
    }

    fn changed(stream: &mut Stream) -> (AgentChangeKind, u64) {
        match next(stream) {
            Some(AgentWatch::Changed(change)) => (change.kind, change.agent.epoch),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_snapshot_then_changes_then_patience() {
        let fixture = Fixture::new();
        fixture.register(draft("w-1"));
        let mut watch = fixture.registry.watch();
        let Some(AgentWatch::Snapshot(agents)) = next(&mut watch) else { panic!("no snapshot") };
        assert_eq!(agents.iter().map(|a| a.agent_id.as_str()).collect::<Vec<_>>(), ["w-1"]);
        assert_eq!(next(&mut watch), None);

        fixture.register(draft("w-2"));
        fixture.heartbeat("w-1");
        fixture.advance(120_001);
        now_or_never(fixture.registry.expire_leases.execute(&fixture.context)).unwrap();
        assert_eq!(changed(&mut watch), (AgentChangeKind::Registered, 1));
        assert_eq!(changed(&mut watch), (AgentChangeKind::Updated, 1));
        assert_eq!(changed(&mut watch), (AgentChangeKind::Expired, 1));
        assert_eq!(changed(&mut watch), (AgentChangeKind::Expired, 1));
        assert_eq!(next(&mut watch), None);

        fixture.register(draft("w-1"));
        assert_eq!(changed(&mut watch), (AgentChangeKind::Registered, 2));
    }

    #[test]
    fn a_waiting_watcher_is_woken() {
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let fixture = Fixture::new();
        let mut watch = fixture.registry.watch();
        next(&mut watch);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        assert!(watch.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
        assert!(!woken.0.load(Ordering::Relaxed));
        fixture.register(draft("w-1"));
        assert!(woken.0.load(Ordering::Relaxed));
        assert_eq!(changed(&mut watch), (AgentChangeKind::Registered, 1));
    }

    #[test]
    fn what_the_snapshot_showed_is_not_told_again() {
        let fixture = Fixture::new();
        let agent = fixture.register(draft("w-1")).agent_id;
        let mut watch = Watch {
            registry: fixture.registry.clone(),
            position: 0,
            shown: HashMap::from([(agent, 1)]),
            wants_snapshot: false,
            span: Span::none(),
        };
        // The registration is in the feed from position 0 and in what was shown.
        assert_eq!(watch.next().now_or_never().map(Result::unwrap), None);
        fixture.heartbeat("w-1");
        assert!(matches!(watch.next().now_or_never(), Some(Ok(AgentWatch::Changed(_)))));
    }

    #[test]
    fn a_slow_watcher_is_told_and_gets_a_new_snapshot() {
        let fixture = Fixture::new();
        fixture.register(draft("w-1"));
        let mut watch = fixture.registry.watch();
        next(&mut watch);
        for _ in 0..CAPACITY + 7 {
            fixture.heartbeat("w-1");
        }
        assert_eq!(next(&mut watch), Some(AgentWatch::Lagged { missed: 7 }));
        let Some(AgentWatch::Snapshot(agents)) = next(&mut watch) else { panic!("no snapshot") };
        assert_eq!(agents[0].revision, 1 + CAPACITY as u64 + 7);
        assert_eq!(agents[0].agent_id, id("w-1"));
        assert_eq!(next(&mut watch), None);
    }
}
