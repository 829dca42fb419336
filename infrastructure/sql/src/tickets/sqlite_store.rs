//! Tickets as a batch of the writer on SQLite.

use std::sync::Arc;

use hive_domain::tickets::TicketChange;
use sqlx::Sqlite;
use sqlx::sqlite::SqliteConnection;

use super::hot_tickets::HotTickets;
use super::operation::{Answer, Operation, Step};
use super::sqlite::{Statements, Written};
use super::tail::Tail;
use crate::engine::pruning::Pruned;
use crate::statement::Cell;
use crate::writer::{Batch, Failure};

/// The writing side.
#[derive(Debug)]
pub(super) struct Store {
    statements: Statements,
    hot: Arc<HotTickets>,
    tail: Arc<Tail>,
}

impl Store {
    pub(super) fn new(hot: Arc<HotTickets>, tail: Arc<Tail>) -> Self {
        Store { statements: Statements::new(), hot, tail }
    }
}

impl Batch for Store {
    type Engine = Sqlite;
    type Operation = Operation;
    type Answer = Answer;
    type Outcome = Written;

    const TRACKS: bool = true;

    /// Ids are spread at random: the more rows share a commit, the more share a page of an index.
    const MAX_WEIGHT: usize = 4_096;

    fn weight(operation: &Operation) -> usize {
        operation.weight()
    }

    async fn commit(
        &mut self,
        connection: &mut SqliteConnection,
        operations: &[Operation],
    ) -> Result<Written, Failure> {
        self.statements.write(connection, operations).await
    }

    async fn prune(
        &mut self,
        connection: &mut SqliteConnection,
        after: i64,
        before: i64,
    ) -> Result<Pruned, sqlx::Error> {
        super::PRUNING.run::<Sqlite>(connection, after, before).await
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
                    self.hot.keep(number, Arc::clone(&change));
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
            self.tail.append(changes);
        }
        written.answers
    }

    async fn find_track(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let newest = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM ticket_outbox");
        let end: i64 = newest.fetch_one(connection).await?;
        self.hot.clear();
        self.tail.restart(end.cast_unsigned());
        Ok(())
    }
}
