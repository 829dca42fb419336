//! Tickets as a batch of the writer, and what the ports see of them in memory.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{Ticket, TicketChange};
use quick_cache::sync::Cache;
use sqlx::sqlite::SqliteConnection;

use super::hot::{Statements, Written};
use super::operation::{Answer, Operation, Step};
use super::tail::Tail;
use crate::database::Config;
use crate::statement::Cell;
use crate::writer::{Batch, Failure};

/// The newest version of a ticket, and the number of its row.
#[derive(Debug, Clone)]
struct Hot {
    number: i64,
    change: Arc<TicketChange>,
}

/// What is known of the committed state without asking the database.
#[derive(Debug)]
pub(super) struct View {
    /// The newest version of tickets that were changed lately, as this process committed it. A hint, never the truth:
    /// a write states the version it decided on, and the database compares.
    hot: Cache<TicketId, Hot>,
    /// The end of the log.
    pub(super) tail: Tail,
}

impl View {
    pub(super) fn new(end: u64, config: &Config) -> Self {
        View { hot: Cache::new(config.hot_tickets.max(1)), tail: Tail::new(end, config.log_tail.max(1)) }
    }

    /// The ticket as it was committed here last, and the number of its row.
    pub(super) fn hot(&self, id: &TicketId) -> Option<(Ticket, i64)> {
        self.hot.get(id).map(|hot| (hot.change.ticket.clone().into(), hot.number))
    }
}

/// The writing side.
#[derive(Debug)]
pub(super) struct Store {
    statements: Statements,
    view: Arc<View>,
}

impl Store {
    pub(super) fn new(view: Arc<View>) -> Self {
        Store { statements: Statements::new(), view }
    }
}

impl Batch for Store {
    type Operation = Operation;
    type Answer = Answer;
    type Outcome = Written;

    async fn commit(
        &mut self,
        connection: &mut SqliteConnection,
        operations: &[Operation],
    ) -> Result<Written, Failure> {
        self.statements.write(connection, operations).await
    }

    fn committed(&mut self, operations: Vec<Operation>, written: Written) -> Vec<Answer> {
        let mut offsets = written.offsets.into_iter();
        let mut inserted = written.inserted.into_iter();
        let mut new = written.new.into_iter();
        let mut changes = Vec::with_capacity(offsets.len());
        let mut keep = |number: &Cell, steps: Vec<Step>| {
            for (step, offset) in steps.into_iter().zip(&mut offsets) {
                let change = Arc::new(TicketChange { offset: offset.cast_unsigned(), ..step.change });
                if let Cell::Int(number) = *number {
                    let id = change.ticket.content.ticket_id.clone();
                    self.view.hot.insert(id, Hot { number, change: Arc::clone(&change) });
                }
                changes.push(change);
            }
        };
        for (operation, answer) in operations.into_iter().zip(&written.answers) {
            let inserts = match operation {
                Operation::Create(inserts) => inserts,
                Operation::Update(update) => {
                    if *answer == Answer::Updated {
                        keep(&update.number, update.steps);
                    }
                    update.spawned
                }
                Operation::Commit { .. } => continue,
            };
            for insert in inserts {
                if new.next() == Some(true) {
                    keep(&inserted.next().unwrap_or(Cell::Null), insert.steps);
                }
            }
        }
        if !changes.is_empty() {
            self.view.tail.append(changes);
        }
        written.answers
    }

    async fn find_track(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let newest = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM ticket_outbox");
        let end: i64 = newest.fetch_one(connection).await?;
        self.view.tail.restart(end.cast_unsigned());
        Ok(())
    }
}
