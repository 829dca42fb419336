//! The orchestration context's database: flows, the journal of each, and the messages they send.

#[expect(unreachable_pub, reason = "the derives of sea-orm need public items")]
mod entity;
mod journal;
mod operation;
mod postgres;
mod sqlite;

use std::sync::{Arc, Mutex, PoisonError};

use hive_application::error::Error;
use hive_application::orchestration::Journal;
use hive_domain::time::Timestamp;
use hive_migration::orchestration::Schema;
use tokio::task::JoinHandle;

use crate::database::{Config, Place};
use crate::engine::horizon::Horizon;
use crate::engine::pruning::{Pruning, keep_pruning};
use crate::engine::reader::Reader;
use crate::engine::{self, postgres::Pools};
use crate::writer::Writer;
use journal::SqlJournal;
use operation::{Answer, Operation};

/// How this database is called in errors.
const WHAT: &str = "the journal";

/// How old messages leave the outbox.
const PRUNING: Pruning = Pruning {
    window: "SELECT id, at FROM (SELECT id, at FROM orchestration_outbox WHERE id > $1 \
        AND id < (SELECT max(id) FROM orchestration_outbox) ORDER BY id LIMIT 500) w WHERE at < $2 ORDER BY id",
    delete: "DELETE FROM orchestration_outbox WHERE id > $1 AND id <= $2 AND at < $3 RETURNING id",
};

/// The open orchestration database.
#[derive(Debug)]
pub struct OrchestrationDatabase {
    shared: Arc<Shared>,
    pruning: Mutex<Option<JoinHandle<()>>>,
}

/// What the ports of this database share.
#[derive(Debug)]
struct Shared {
    reader: Reader,
    writer: Writer<Operation, Answer>,
    /// Where others may write too: how far messages can be read.
    horizon: Option<Horizon>,
}

impl OrchestrationDatabase {
    /// Opens or makes the database and brings its schema up to date. `Unavailable` when that is impossible.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let shared = match &config.place {
            Place::File(path) => {
                let (writer, reader) = engine::sqlite::open::<Schema>(WHAT, path, config).await?;
                let store = sqlite::Store::new();
                let writer = Writer::start(WHAT, writer, config, store)?;
                Shared { reader, writer, horizon: None }
            }
            Place::Postgres(server) => {
                let outbox = postgres::OUTBOX;
                let Pools { writer, reader } =
                    engine::postgres::open::<Schema>(WHAT, server, config, Some(outbox.rebase)).await?;
                let store = postgres::Store::new();
                let writer = Writer::start(WHAT, writer, config, store)?;
                let horizon = Some(Horizon::new(outbox, reader.clone(), config.patience));
                Shared { reader, writer, horizon }
            }
        };
        let database = OrchestrationDatabase { shared: Arc::new(shared), pruning: Mutex::new(None) };
        let shared = Arc::clone(&database.shared);
        let (age, written) = (config.retention, shared.writer.written());
        let keeping = keep_pruning("the outbox of orchestration", age, written, move |before| {
            let shared = Arc::clone(&shared);
            async move { shared.writer.prune(before).await }
        });
        *database.pruning.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(keeping));
        Ok(database)
    }

    /// Takes the messages out of the outbox that were made before `before`, and tells how many. The database does so by
    /// itself, see [`Config::retention`].
    pub async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        self.shared.writer.prune(before.millis()).await
    }

    /// The journal.
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(SqlJournal::new(Arc::clone(&self.shared)))
    }

    /// Finishes the writes that wait, then closes the database. What is asked afterwards is answered `Unavailable`.
    pub async fn close(&self) -> Result<(), Error> {
        if let Some(pruning) = self.pruning.lock().unwrap_or_else(PoisonError::into_inner).take() {
            pruning.abort();
        }
        self.shared.writer.close().await;
        self.shared.reader.close().await
    }
}
