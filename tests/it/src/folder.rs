//! A data folder as its process left it, read in-process through the ports.
//!
//! What is read is a copy: the next process finds the folder exactly as the last one left it, with everything that
//! SQLite has to recover still to be recovered.

use std::path::Path;
use std::sync::Arc;

use hive_application::error::{Error, chain};
use hive_application::orchestration::{StoredFlow, StoredMessage};
use hive_application::tickets::{HistoryEntry, LogFilter, TicketFilter, TicketQuery};
use hive_domain::ids::{PlanId, WorkflowId};
use hive_domain::tickets::{Ticket, TicketChange, TicketStatus};
use hive_sql::{Config, OrchestrationDatabase, Server, TicketDatabase};
use tempfile::TempDir;

const PAGE: usize = 1_000;

/// One ticket and all that happened to it.
#[derive(Debug, Clone)]
pub struct Life {
    /// The row.
    pub ticket: Ticket,
    /// Its history, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// Everything a data folder holds about one plan.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// The tickets of the plan, those that undo others included.
    pub tickets: Vec<Life>,
    /// The whole ticket log.
    pub log: Vec<Arc<TicketChange>>,
    /// The flow of the plan.
    pub flow: Option<StoredFlow>,
    /// Flows of any plan that have not ended.
    pub open_flows: Vec<WorkflowId>,
    /// Everything orchestration has to tell.
    pub messages: Vec<StoredMessage>,
}

impl Folder {
    /// Reads `path`; what is not there yet is empty.
    pub fn read(path: &Path, plan_id: &str) -> Self {
        let copy = copy(path);
        let there = |name: &str| Some(copy.path().join(name)).filter(|file| file.exists()).map(Config::new);
        Folder::of(there("tickets.db"), there("orchestration.db"), plan_id)
    }

    /// Reads the PostgreSQL databases that these URLs name.
    pub fn of_servers(tickets: &str, orchestration: &str, plan_id: &str) -> Self {
        let at = |url: &str| Some(Config::postgres(Server::from_url(url).expect("a database URL")));
        Folder::of(at(tickets), at(orchestration), plan_id)
    }

    fn of(tickets: Option<Config>, orchestration: Option<Config>, plan_id: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let folder = runtime.expect("a runtime").block_on(read(tickets, orchestration, plan_id));
        folder.unwrap_or_else(|error| panic!("the folder cannot be read: {}", chain(&error)))
    }

    /// Whether it holds neither a ticket nor a flow.
    pub fn is_untouched(&self) -> bool {
        self.tickets.is_empty() && self.log.is_empty() && self.flow.is_none() && self.open_flows.is_empty()
    }

    /// Whether it was left between the first and the last ticket event.
    pub fn is_midway(&self) -> bool {
        !self.log.is_empty() && self.tickets.iter().any(|life| !life.ticket.status().is_terminal())
    }

    /// The ticket of a task.
    pub fn ticket(&self, task_id: &str) -> Option<&Life> {
        self.tickets.iter().find(|life| life.ticket.content().task_id.as_str() == task_id)
    }

    /// Tickets in this status.
    pub fn count(&self, status: TicketStatus) -> usize {
        self.tickets.iter().filter(|life| life.ticket.status() == status).count()
    }

    /// Messages of a topic.
    pub fn told(&self, topic: &str) -> Vec<&StoredMessage> {
        self.messages.iter().filter(|stored| stored.message.topic == topic).collect()
    }
}

/// An empty folder, removed when it is dropped.
pub fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The databases with their write-ahead logs, without what SQLite makes anew.
fn copy(path: &Path) -> TempDir {
    let copy = temporary();
    let Ok(entries) = std::fs::read_dir(path) else { return copy };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".db") || text.ends_with(".db-wal") {
            std::fs::copy(entry.path(), copy.path().join(&name)).expect("a database can be copied");
        }
    }
    copy
}

async fn read(
    tickets: Option<Config>,
    orchestration: Option<Config>,
    plan_id: &str,
) -> Result<Folder, Error> {
    let plan_id = PlanId::parse(plan_id).expect("plan ids of tests are valid");
    let mut folder = Folder::default();
    if let Some(config) = tickets {
        let database = TicketDatabase::open(&config).await?;
        read_tickets(&database, &plan_id, &mut folder).await?;
        database.close().await?;
    }
    if let Some(config) = orchestration {
        let database = OrchestrationDatabase::open(&config).await?;
        read_orchestration(&database, &plan_id, &mut folder).await?;
        database.close().await?;
    }
    Ok(folder)
}

async fn read_tickets(database: &TicketDatabase, plan_id: &PlanId, folder: &mut Folder) -> Result<(), Error> {
    let (repository, log) = (database.repository(), database.log());
    let filter = TicketFilter { plan_id: Some(plan_id.clone()), ..TicketFilter::default() };
    loop {
        let offset = folder.tickets.len() as u64;
        let query = TicketQuery { filter: filter.clone(), offset, limit: PAGE as u64, after: None };
        let page = repository.list(&query).await?;
        if page.tickets.is_empty() {
            break;
        }
        for ticket in page.tickets {
            let history = repository.history(ticket.id()).await?;
            folder.tickets.push(Life { ticket, history });
        }
    }
    let end = log.end().await?;
    let mut read_to = 0;
    while read_to < end {
        let page = log.read(read_to, &LogFilter::default(), PAGE).await?;
        assert!(page.read_to > read_to, "reading the log after {read_to} does not go on to {end}");
        read_to = page.read_to;
        folder.log.extend(page.changes);
    }
    Ok(())
}

async fn read_orchestration(
    database: &OrchestrationDatabase,
    plan_id: &PlanId,
    folder: &mut Folder,
) -> Result<(), Error> {
    let journal = database.journal();
    folder.flow = journal.find(&WorkflowId::for_plan(plan_id)).await?;
    folder.open_flows = journal.list_open().await?;
    loop {
        let after = folder.messages.last().map_or(0, |stored| stored.offset);
        let page = journal.read_messages(after, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        folder.messages.extend(page);
    }
}
