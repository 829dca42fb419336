//! Tells those who watch what changed: a bounded memory of the last changes, read at everyone's own pace.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};
use hive_domain::ids::AgentId;
use hive_domain::registry::public::AgentChange;

/// Changes remembered; a watcher further behind has to look at the agents anew.
pub(super) const CAPACITY: usize = 1_024;

/// The last changes, numbered from 0.
#[derive(Default)]
pub(super) struct ChangeFeed {
    memory: Mutex<Memory>,
    published: Event,
}

#[derive(Default)]
struct Memory {
    changes: VecDeque<Arc<AgentChange>>,
    /// The number of the first remembered change.
    first: u64,
    /// The newest revision of each agent with a remembered change, and the number of that change.
    newest: HashMap<AgentId, (u64, u64)>,
}

/// What a reader finds at its position.
pub(super) enum Read {
    /// The next change; the position moves on by one.
    Change(Arc<AgentChange>),
    /// Nothing yet.
    End,
    /// This many changes are forgotten.
    Lagged(u64),
}

impl ChangeFeed {
    /// Adds the changes of one agent. Two writers may get here in another order than they wrote: what is older than the
    /// last change of its agent is dropped, since its state was seen already.
    pub(super) fn publish(&self, changes: Vec<AgentChange>) {
        if changes.is_empty() {
            return;
        }
        let mut memory = self.lock();
        for change in changes {
            memory.push(change);
        }
        drop(memory);
        self.published.notify(usize::MAX);
    }

    /// The position after the newest change.
    pub(super) fn end(&self) -> u64 {
        self.lock().end()
    }

    /// What is at `position`.
    pub(super) fn read(&self, position: u64) -> Read {
        let memory = self.lock();
        if position < memory.first {
            return Read::Lagged(memory.first - position);
        }
        let index = usize::try_from(position - memory.first).unwrap_or(usize::MAX);
        memory.changes.get(index).map_or(Read::End, |change| Read::Change(Arc::clone(change)))
    }

    /// Completes after the next publication. Create it before the read that finds nothing.
    pub(super) fn listen(&self) -> EventListener {
        self.published.listen()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // Every change to the memory is complete at each step, so a panic elsewhere leaves it usable.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn end(&self) -> u64 {
        self.first + self.changes.len() as u64
    }

    fn push(&mut self, change: AgentChange) {
        let (agent, revision) = (&change.agent.agent_id, change.agent.revision);
        if self.newest.get(agent).is_some_and(|(newest, _)| revision < *newest) {
            return;
        }
        self.newest.insert(agent.clone(), (revision, self.end()));
        self.changes.push_back(Arc::new(change));
        if self.changes.len() > CAPACITY
            && let Some(forgotten) = self.changes.pop_front()
        {
            let agent = &forgotten.agent.agent_id;
            if self.newest.get(agent).is_some_and(|(_, number)| *number == self.first) {
                self.newest.remove(agent);
            }
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use hive_domain::registry::public::AgentChangeKind;

    use super::super::testing::{id, snapshot};
    use super::*;

    fn change(agent: &str, revision: u64) -> AgentChange {
        let agent = snapshot(id(agent), revision);
        AgentChange { kind: AgentChangeKind::Updated, at: agent.last_seen, agent }
    }

    fn revisions(feed: &ChangeFeed, mut position: u64) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Read::Change(change) = feed.read(position) {
            seen.push(change.agent.revision);
            position += 1;
        }
        seen
    }

    #[test]
    fn an_overtaken_change_is_dropped() {
        let feed = ChangeFeed::default();
        feed.publish(vec![change("a", 1)]);
        feed.publish(vec![change("a", 3), change("a", 3)]);
        feed.publish(vec![change("a", 2)]);
        feed.publish(vec![change("b", 1)]);
        assert_eq!(revisions(&feed, 0), [1, 3, 3, 1]);
    }

    #[test]
    fn memory_is_bounded_and_says_what_it_forgot() {
        let feed = ChangeFeed::default();
        for n in 0..CAPACITY as u64 + 10 {
            feed.publish(vec![change(&format!("w-{n}"), 1)]);
        }
        assert!(matches!(feed.read(0), Read::Lagged(10)));
        assert_eq!(revisions(&feed, 10).len(), CAPACITY);
        assert!(matches!(feed.read(feed.end()), Read::End));
        assert_eq!(feed.lock().newest.len(), CAPACITY);
    }
}
