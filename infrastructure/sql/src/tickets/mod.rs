//! The ticket context's database: tickets with their history, and the outbox read as a log.

mod by_id;
#[expect(unreachable_pub, reason = "the derives of sea-orm put the models into public traits")]
mod entity;
mod follower;
mod hot_tickets;
mod list;
mod log;
mod mapping;
mod near_tickets;
mod operation;
mod payload;
mod postgres;
mod repository;
mod sqlite;
mod sqlite_store;
mod stored;
mod tail;
mod totals;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hive_application::error::Error;
use hive_application::tickets::{TicketLog, TicketRepository};
use hive_domain::time::Timestamp;
use hive_migration::tickets::Schema;
use tokio::task::JoinHandle;

use crate::database::{Config, Place};
use crate::engine::near::Near;
use crate::engine::pruning::{Pruning, keep_pruning};
use crate::engine::reader::Reader;
use crate::engine::{self, postgres::Pools};
use crate::writer::Writer;
use follower::Follower;
use hot_tickets::HotTickets;
use log::SqlTicketLog;
use near_tickets::NearTickets;
use operation::{Answer, Insert, Operation, Update};
use repository::SqlTicketRepository;
use stored::Stored;
use tail::Tail;
use totals::Totals;

/// How this database is called in errors.
const WHAT: &str = "the ticket store";

/// How old records leave the log. What belongs to a plan with a ticket that is not over stays, however old: whoever follows
/// the plan may stand anywhere in it.
const PRUNING: Pruning = Pruning {
    window: "SELECT id, at FROM ticket_outbox WHERE id > $1 AND id < (SELECT max(id) FROM ticket_outbox) \
        AND id <= (SELECT coalesce(min(position), 9223372036854775807) FROM log_offsets WHERE at >= $2) \
        ORDER BY id LIMIT 500",
    delete: "DELETE FROM ticket_outbox WHERE id > $1 AND id <= $2 AND at < $3 AND plan_id NOT IN \
        (SELECT t.plan_id FROM execution_tickets t \
        WHERE t.plan_id IN (SELECT o.plan_id FROM ticket_outbox o WHERE o.id > $1 AND o.id <= $2) \
        AND (t.status IN ('PENDING', 'RUNNING', 'COMPENSATING') OR t.updated_at >= $3)) RETURNING id",
};

/// The open ticket database.
#[derive(Debug)]
pub struct TicketDatabase {
    shared: Arc<Shared>,
    pruning: Mutex<Option<JoinHandle<()>>>,
}

/// What the ports of this database share.
#[derive(Debug)]
struct Shared {
    reader: Reader,
    writer: Writer<Operation, Answer>,
    /// PostgreSQL only: another one, which takes every other large create. While the disk takes in what one has written,
    /// the server works for the other.
    beside: Option<Beside>,
    hot: Arc<HotTickets>,
    totals: Arc<Totals>,
    log: Log,
    /// What lies before the end of the log.
    stored: Stored,
    /// SQLite only: reads without another thread.
    near: Option<NearTickets>,
}

/// Tickets of one create that are worth another connection.
const LARGE: usize = 64;

/// A second writer, and whether it is its turn.
#[derive(Debug)]
struct Beside {
    writer: Writer<Operation, Answer>,
    turn: AtomicBool,
}

/// How far the log goes.
#[derive(Debug)]
enum Log {
    /// This process alone writes and knows the end.
    Tail(Arc<Tail>),
    /// Others may write too.
    Followed(Arc<Follower>),
}

impl Shared {
    /// Creates tickets, all or nothing. Who is before whom matters to nobody: whatever changes them comes after the answer.
    async fn create(&self, inserts: Vec<Insert>) -> Result<Answer, Error> {
        let turn = |beside: &&Beside| inserts.len() >= LARGE && beside.turn.fetch_not(Ordering::Relaxed);
        let Some(beside) = self.beside.as_ref().filter(turn) else {
            return self.writer.submit(Operation::Create(inserts)).await;
        };
        let answer = beside.writer.submit(Operation::Create(inserts)).await;
        self.writer.written().notify_one();
        answer
    }

    /// Refuses what the database cannot store.
    fn check(&self, inserts: &[Insert]) -> Result<(), Error> {
        if matches!(self.log, Log::Tail(_)) {
            return Ok(());
        }
        inserts.iter().try_for_each(Insert::check)
    }

    /// As [`Self::check`], for a change.
    fn check_update(&self, update: &Update) -> Result<(), Error> {
        if matches!(self.log, Log::Tail(_)) {
            return Ok(());
        }
        update.check()?;
        self.check(&update.spawned)
    }
}

impl TicketDatabase {
    /// Opens or makes the database and brings its schema up to date. `Unavailable` when that is impossible.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let hot = Arc::new(HotTickets::new(config.hot_tickets));
        let totals = Arc::new(Totals::new());
        let shared = match &config.place {
            Place::File(path) => {
                let (writer, reader) = engine::sqlite::open::<Schema>(WHAT, path, config).await?;
                let near = NearTickets::new(Near::new(WHAT, path, config), Arc::clone(&hot));
                let stored = Stored::new(reader.clone(), Arc::clone(&hot));
                let tail = Arc::new(Tail::new(stored.newest().await?, config.log_tail.max(1)));
                let store = sqlite_store::Store::new(Arc::clone(&hot), Arc::clone(&tail));
                let writer = Writer::start(WHAT, writer, config, store)?;
                Shared {
                    reader,
                    writer,
                    beside: None,
                    hot,
                    totals,
                    log: Log::Tail(tail),
                    stored,
                    near: Some(near),
                }
            }
            Place::Postgres(server) => {
                let Pools { writer, reader } =
                    engine::postgres::open::<Schema>(WHAT, server, config, Some(postgres::OUTBOX.rebase))
                        .await?;
                let following = engine::postgres::following(WHAT, server, config);
                let stored = Stored::new(following.behind.clone(), Arc::clone(&hot));
                let follower = Follower::start(following, config, Arc::clone(&hot), Arc::clone(&totals));
                let store = || postgres::Store::new(Arc::clone(&hot), Arc::clone(&follower));
                let second = writer.options().clone();
                let second = second.connect_lazy_with(writer.connect_options().as_ref().clone());
                let beside = Beside {
                    writer: Writer::start(WHAT, second, config, store())?,
                    turn: AtomicBool::default(),
                };
                let writer = Writer::start(WHAT, writer, config, store())?;
                Shared {
                    reader,
                    writer,
                    beside: Some(beside),
                    hot,
                    totals,
                    log: Log::Followed(follower),
                    stored,
                    near: None,
                }
            }
        };
        let database = TicketDatabase { shared: Arc::new(shared), pruning: Mutex::new(None) };
        let shared = Arc::clone(&database.shared);
        let (age, written) = (config.retention, shared.writer.written());
        let keeping = keep_pruning("the ticket log", age, written, move |before| {
            let shared = Arc::clone(&shared);
            async move { shared.writer.prune(before).await }
        });
        *database.pruning.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(keeping));
        Ok(database)
    }

    /// Takes the records out of the log that were made before `before`, which every reader has passed who remembered a
    /// place since, and whose plans are over; tells how many. The database does so by itself, see [`Config::retention`].
    pub async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        self.shared.writer.prune(before.millis()).await
    }

    /// The tickets.
    pub fn repository(&self) -> Arc<dyn TicketRepository> {
        Arc::new(SqlTicketRepository::new(Arc::clone(&self.shared)))
    }

    /// The log of their changes.
    pub fn log(&self) -> Arc<dyn TicketLog> {
        Arc::new(SqlTicketLog::new(Arc::clone(&self.shared)))
    }

    /// Finishes the writes that wait, then closes the database. What is asked afterwards is answered `Unavailable`.
    pub async fn close(&self) -> Result<(), Error> {
        if let Some(pruning) = self.pruning.lock().unwrap_or_else(PoisonError::into_inner).take() {
            pruning.abort();
        }
        self.shared.writer.close().await;
        if let Some(beside) = &self.shared.beside {
            beside.writer.close().await;
        }
        if let Log::Followed(follower) = &self.shared.log {
            follower.stop().await?;
            self.shared.stored.close().await?;
        }
        if let Some(near) = &self.shared.near {
            near.close().await;
        }
        self.shared.reader.close().await
    }
}
