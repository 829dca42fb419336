//! What waits for an agent, and what waits for a point in time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::tickets::public::{SecurityLevel, TicketContent};
use crate::time::Timestamp;

/// What a ticket needs of an agent. Tickets with equal needs get the same answer from C3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Need(u32);

/// Nodes that wait for an agent: for each need the most urgent first, then in plan order.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadyQueue {
    needs: HashMap<(Vec<String>, SecurityLevel), Need>,
    waiting: BTreeMap<Need, BTreeSet<(Reverse<u32>, u32)>>,
}

const SCALE: f64 = 1_000_000.0;

impl ReadyQueue {
    /// The need of a ticket.
    pub(super) fn need(&mut self, content: &Arc<TicketContent>) -> Need {
        #[expect(clippy::cast_possible_truncation, reason = "plans have far fewer than 2^32 tasks")]
        let next = Need(self.needs.len() as u32);
        let key = (content.required_capabilities.clone(), content.security_level);
        *self.needs.entry(key).or_insert(next)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a score lies between 0 and 1"
    )]
    pub(super) fn push(&mut self, need: Need, score: f64, node: u32) {
        self.waiting.entry(need).or_default().insert((Reverse((score * SCALE) as u32), node));
    }

    /// The most urgent node whose need is not among `busy`.
    pub(super) fn pop(&mut self, busy: &BTreeSet<Need>) -> Option<u32> {
        let open = self.waiting.iter().filter(|(need, _)| !busy.contains(need));
        let best = open.filter_map(|(need, nodes)| Some((*nodes.first()?, *need))).min()?;
        let nodes = self.waiting.get_mut(&best.1)?;
        let (_, node) = nodes.pop_first()?;
        if nodes.is_empty() {
            self.waiting.remove(&best.1);
        }
        Some(node)
    }
}

/// Why to look at a node again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// Its next try is due, after this many.
    Retry(u32, i32),
    /// The try that counts since then takes too long.
    Timeout(u32, Timestamp),
    /// Nobody took it in time.
    Deadline(u32),
}

/// Alarms by their time. One that lost its reason rings all the same and is then ignored.
#[derive(Debug, Clone, Default)]
pub(super) struct Alarms {
    pending: BTreeSet<(Timestamp, Alarm)>,
}

impl Alarms {
    pub(super) fn set(&mut self, at: Timestamp, alarm: Alarm) {
        self.pending.insert((at, alarm));
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.pending.first().map(|(at, _)| *at)
    }

    pub(super) fn ring(&mut self, now: Timestamp) -> Option<Alarm> {
        if self.next()? > now {
            return None;
        }
        self.pending.pop_first().map(|(_, alarm)| alarm)
    }
}
