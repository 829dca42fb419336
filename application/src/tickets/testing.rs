//! What the tests of this context stand on: tickets in memory, a clock that stands still, ids that count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use event_listener::{Event, EventListener};
use hive_domain::ids::TicketId;
use hive_domain::tickets::{Applied, Ticket};
use hive_domain::time::Timestamp;

use super::{
    Change, Creation, GivenPriority, HistoryEntry, LogFilter, LogPage, QosDraft, SlaDraft, TicketApi,
    TicketCursor, TicketDraft, TicketLog, TicketPage, TicketQuery, TicketRepository, Tickets, TokenClaims,
    TokenConfig, TokenIssuer,
};
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::IdGenerator;

/// When everything happens.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

/// Tickets in the order of their creation.
#[derive(Default)]
pub(super) struct MemoryRepository {
    tickets: Mutex<Vec<Ticket>>,
}

impl MemoryRepository {
    pub(super) fn len(&self) -> usize {
        self.tickets.lock().unwrap().len()
    }
}

#[async_trait]
impl TicketRepository for MemoryRepository {
    async fn create(&self, tickets: Vec<Ticket>) -> Result<Vec<Creation>, Error> {
        let mut stored = self.tickets.lock().unwrap();
        let create = |ticket: Ticket| match stored.iter().find(|known| known.id() == ticket.id()) {
            Some(known) => Creation::Existing(known.clone()),
            None => {
                stored.push(ticket.saved(1));
                Creation::Created(stored[stored.len() - 1].clone())
            }
        };
        Ok(tickets.into_iter().map(create).collect())
    }

    async fn find(&self, id: &TicketId) -> Result<Option<Ticket>, Error> {
        Ok(self.tickets.lock().unwrap().iter().find(|ticket| ticket.id() == id).cloned())
    }

    async fn list(&self, query: &TicketQuery) -> Result<TicketPage, Error> {
        let stored = self.tickets.lock().unwrap();
        let plan = |ticket: &&Ticket| {
            query.filter.plan_id.as_ref().is_none_or(|plan| *plan == ticket.content().plan_id)
        };
        let total = stored.iter().filter(plan).count() as u64;
        // All are created at the same time, so the number alone decides.
        let after = query.after.map_or(u64::MAX, |cursor| cursor.number);
        let mut rest = stored
            .iter()
            .enumerate()
            .rev()
            .map(|(at, ticket)| (at as u64, ticket))
            .filter(|(number, ticket)| *number < after && plan(ticket))
            .skip(query.offset as usize);
        let page: Vec<_> = rest.by_ref().take(query.limit as usize).collect();
        let last = page.last().map(|(number, _)| TicketCursor { created_at: NOW, number: *number });
        let next = last.filter(|_| rest.next().is_some());
        Ok(TicketPage { tickets: page.into_iter().map(|(_, ticket)| ticket.clone()).collect(), total, next })
    }

    async fn update(&self, id: &TicketId, change: &mut Change<'_>) -> Result<(Ticket, Applied), Error> {
        let mut stored = self.tickets.lock().unwrap();
        let known = stored.iter_mut().find(|ticket| ticket.id() == id);
        let known = known.ok_or_else(|| Error::not_found("Ticket", id))?;
        let mut ticket = known.clone();
        let applied = change(&mut ticket)?;
        if applied == Applied::Applied {
            let version = ticket.version() + 1;
            *known = ticket.saved(version);
        }
        Ok((known.clone(), applied))
    }

    async fn history(&self, _: &TicketId) -> Result<Vec<HistoryEntry>, Error> {
        Ok(Vec::new())
    }
}

/// A log without changes.
struct SilentLog;

#[async_trait]
impl TicketLog for SilentLog {
    async fn read(&self, after: u64, _: &LogFilter, _: usize) -> Result<LogPage, Error> {
        Ok(LogPage { changes: Vec::new(), read_to: after })
    }

    async fn end(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn listen(&self) -> EventListener {
        Event::new().listen()
    }

    async fn committed(&self, _: &str) -> Result<u64, Error> {
        Ok(0)
    }

    async fn commit(&self, _: &str, _: u64) -> Result<(), Error> {
        Ok(())
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[derive(Default)]
struct CountingIds(AtomicU64);

impl IdGenerator for CountingIds {
    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct PlainIssuer;

impl TokenIssuer for PlainIssuer {
    fn issue(&self, claims: &TokenClaims) -> Result<String, Error> {
        Ok(format!("signed:{}", claims.sub))
    }
}

/// The interface on a store in memory.
pub(super) fn api(store: &Arc<MemoryRepository>) -> TicketApi {
    let repository: Arc<dyn TicketRepository> = Arc::<MemoryRepository>::clone(store);
    let clock = Arc::new(StoppedClock);
    let tickets = Tickets::new(repository, Arc::new(SilentLog), Arc::<StoppedClock>::clone(&clock));
    TicketApi::new(
        tickets,
        clock,
        Arc::new(CountingIds::default()),
        Arc::new(PlainIssuer),
        TokenConfig::default(),
    )
}

/// The least a caller must send.
pub(super) fn draft() -> TicketDraft {
    let text = |text: &str| Some(text.to_owned());
    TicketDraft {
        plan_id: text("plan-xyz"),
        intent_id: text("intent-1"),
        decision_id: text("dec-1"),
        task_id: text("task-1"),
        task_type: text("BUILD"),
        description: text("Build"),
        priority: Some(GivenPriority::Word("HIGH".to_owned())),
        risk_band: text("high"),
        sla: Some(SlaDraft {
            deadline: Some(1_737_100_800_000),
            timeout_ms: Some(300_000),
            max_retries: Some(3),
        }),
        qos: Some(QosDraft {
            delivery_mode: text("EXACTLY_ONCE"),
            consistency: text("STRONG"),
            durability: text("PERSISTENT"),
        }),
        security_level: text("CONFIDENTIAL"),
        ..TicketDraft::default()
    }
}
