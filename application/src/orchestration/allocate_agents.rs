//! C3: finds agents for the tickets that wait for one.

use std::collections::BTreeSet;

use hive_domain::orchestration::allocation::{Allocation, Choice};
use hive_domain::orchestration::flow::{Flow, FlowEntry, Ready};
use hive_domain::time::Timestamp;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::SPAN_TARGET;
use super::agent_pool::AgentPool;
use crate::error::{Error, chain};

/// What C3 found.
#[derive(Debug, Default)]
pub(super) struct Allocated {
    /// Tickets with their agents, places booked.
    pub(super) orders: Vec<(Ready, Allocation)>,
    /// Tickets newly set aside, as entries to make.
    pub(super) parked: Vec<FlowEntry>,
    /// The registry is away: tickets wait that could have an agent.
    pub(super) incomplete: bool,
}

/// Gives agents to waiting tickets, the most urgent first, as long as there are places.
pub(super) async fn execute(flow: &mut Flow, pool: &AgentPool, now: Timestamp) -> Result<Allocated, Error> {
    let mut found = Allocated::default();
    let mut busy = BTreeSet::new();
    let mut span = Span::none();
    while pool.has_room() {
        let Some(ready) = flow.next_ready(&busy) else { break };
        if span.is_none() {
            span = tracing::info_span!(target: SPAN_TARGET, "orchestrator.allocate_resources", allocated = Empty);
        }
        match pool.allocate(&ready.ticket_id, &ready.content).instrument(span.clone()).await {
            Ok(Choice::Chosen(allocation)) => found.orders.push((ready, allocation)),
            Ok(Choice::Busy) => {
                flow.put_back(&ready, now);
                busy.insert(ready.need);
            }
            Ok(Choice::NoAgent(reason)) => found.parked.extend(flow.park(&ready, reason, now)),
            Err(error) if error.is_transient() => {
                tracing::warn!(error = chain(&error), "agents cannot be looked for");
                flow.put_back(&ready, now);
                found.incomplete = true;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    span.record("allocated", found.orders.len());
    Ok(found)
}
