//! The outbox read as a log: its end comes from memory, what lies before from the database. On PostgreSQL, where others may
//! write too, the end in memory is what the follower has read.

use std::sync::Arc;

use async_trait::async_trait;
use event_listener::EventListener;
use hive_application::error::Error;
use hive_application::tickets::{LogFilter, LogPage, TicketLog};
use sea_orm::EntityTrait;

use super::entity::offset;
use super::operation::{Answer, Operation};
use super::tail::Place;
use super::{Log, Shared};
use crate::failure;

/// Records of one page at most, whatever the caller asks for.
const MAX_PAGE: usize = 1_000;

/// Characters of the name of a reader, as the column has them.
const MAX_CONSUMER: usize = 512;

/// The adapter of [`TicketLog`].
#[derive(Debug)]
pub(super) struct SqlTicketLog {
    shared: Arc<Shared>,
}

impl SqlTicketLog {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        SqlTicketLog { shared }
    }
}

#[async_trait]
impl TicketLog for SqlTicketLog {
    async fn read(&self, after: u64, filter: &LogFilter, limit: usize) -> Result<LogPage, Error> {
        let limit = limit.min(MAX_PAGE);
        let tail = match &self.shared.log {
            Log::Tail(tail) => tail,
            Log::Followed(follower) => {
                if follower.settled(after).await? <= after {
                    return Ok(LogPage { changes: Vec::new(), read_to: after });
                }
                follower.tail()
            }
        };
        match tail.read(after, filter, limit) {
            Place::Here(page) => Ok(page),
            Place::Stored(end) => {
                let page = self.shared.stored.page(after, end, filter, limit).await?;
                self.shared.stored.check_kept(after, filter).await?;
                Ok(page)
            }
        }
    }

    async fn end(&self) -> Result<u64, Error> {
        match &self.shared.log {
            Log::Tail(tail) => Ok(tail.end()),
            Log::Followed(follower) => follower.end().await,
        }
    }

    fn listen(&self) -> EventListener {
        match &self.shared.log {
            Log::Tail(tail) => tail.listen(),
            Log::Followed(follower) => follower.listen(),
        }
    }

    async fn committed(&self, consumer: &str) -> Result<u64, Error> {
        let reader = &self.shared.reader;
        let row = reader
            .answer("place of a reader", offset::Entity::find_by_id(consumer).one(&reader.database()))
            .await?;
        Ok(row.map_or(0, |row| row.position.cast_unsigned()))
    }

    async fn commit(&self, consumer: &str, offset: u64) -> Result<(), Error> {
        if consumer.chars().count() > MAX_CONSUMER {
            return Err(Error::invalid("consumer", format_args!("has more than {MAX_CONSUMER} characters")));
        }
        if consumer.contains('\0') {
            return Err(Error::invalid("consumer", "must not contain the character NUL"));
        }
        let operation = Operation::Commit { consumer: consumer.to_owned(), offset };
        match self.shared.writer.submit(operation).await? {
            Answer::Remembered => Ok(()),
            other => Err(failure::unexpected(&other)),
        }
    }
}
