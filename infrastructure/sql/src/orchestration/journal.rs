//! The journal on SQL.

use std::sync::Arc;

use async_trait::async_trait;
use hive_application::error::{Error, ErrorKind};
use hive_application::orchestration::{
    FlowOpening, Journal, JournalEntry, JournalWrite, Opened, OutboxMessage, StoredFlow, StoredMessage,
};
use hive_domain::ids::{PlanId, WorkflowId};
use hive_domain::orchestration::generation::SlaConfig;
use hive_domain::time::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Shared;
use super::entity::{entry, floor, flow, message};
use super::operation::{Answer, Operation};
use crate::{failure, json};

/// The adapter of [`Journal`].
#[derive(Debug)]
pub(super) struct SqlJournal {
    shared: Arc<Shared>,
}

impl SqlJournal {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        SqlJournal { shared }
    }

    async fn submit(&self, operation: Operation) -> Result<Answer, Error> {
        if self.shared.horizon.is_some() {
            operation.check()?;
        }
        self.shared.writer.submit(operation).await
    }

    async fn write(&self, operation: Operation, workflow_id: Option<&WorkflowId>) -> Result<(), Error> {
        match self.submit(operation).await? {
            Answer::Appended => Ok(()),
            Answer::NotOpen => {
                let flow = workflow_id.map_or("", WorkflowId::as_str);
                let message = format!("Workflow {flow} is not open");
                Err(Error::new(ErrorKind::FailedPrecondition, "FLOW_NOT_OPEN", message))
            }
            other => Err(failure::unexpected(&other)),
        }
    }
}

#[async_trait]
impl Journal for SqlJournal {
    async fn open(&self, flow: FlowOpening) -> Result<Opened, Error> {
        let workflow_id = flow.workflow_id.clone();
        match self.submit(Operation::Open(flow)).await? {
            Answer::Opened(true) => Ok(Opened::New),
            Answer::Opened(false) => match self.find(&workflow_id).await? {
                Some(stored) => Ok(Opened::Existing(stored)),
                None => Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "PLAN_HAS_A_FLOW",
                    format!("the plan of {workflow_id} has another workflow"),
                )),
            },
            other => Err(failure::unexpected(&other)),
        }
    }

    async fn append(&self, write: JournalWrite) -> Result<(), Error> {
        let workflow_id = write.workflow_id.clone();
        self.write(Operation::Append(write), Some(&workflow_id)).await
    }

    async fn find(&self, workflow_id: &WorkflowId) -> Result<Option<StoredFlow>, Error> {
        let reader = &self.shared.reader;
        let row = flow::Entity::find_by_id(workflow_id.as_str());
        let Some(row) = reader.answer("flow by id", row.one(&reader.database())).await? else {
            return Ok(None);
        };
        let entries = entry::Entity::find()
            .filter(entry::Column::WorkflowId.eq(workflow_id.as_str()))
            .order_by_asc(entry::Column::Id);
        let entries = reader.answer("entries of a flow", entries.all(&reader.database())).await?;
        let entries = entries
            .into_iter()
            .map(|row| Ok(JournalEntry { payload: json::read("payload", &row.payload)?, kind: row.kind }))
            .collect::<Result<_, Error>>()?;
        let plan_id =
            PlanId::parse(&row.plan_id).map_err(|_| failure::unreadable("plan_id", row.plan_id.clone()))?;
        let opening = FlowOpening {
            workflow_id: workflow_id.clone(),
            plan_id,
            plan_hash: row.plan_hash,
            plan: json::read("plan", &row.plan)?,
            sla: SlaConfig {
                default_timeout_ms: row.sla_default_timeout_ms,
                min_timeout_ms: row.sla_min_timeout_ms,
                timeout_multiplier: row.sla_timeout_multiplier,
            },
            opened_at: Timestamp::from_millis(row.opened_at),
        };
        let outcome = row.outcome.map(|outcome| json::read("outcome", &outcome)).transpose()?;
        Ok(Some(StoredFlow { opening, entries, outcome }))
    }

    async fn list_open(&self) -> Result<Vec<WorkflowId>, Error> {
        let reader = &self.shared.reader;
        let ids = flow::Entity::find()
            .select_only()
            .column(flow::Column::WorkflowId)
            .filter(flow::Column::EndedAt.is_null())
            .order_by_asc(flow::Column::OpenedAt)
            .order_by_asc(flow::Column::WorkflowId)
            .into_tuple();
        let ids: Vec<String> = reader.answer("open flows", ids.all(&reader.database())).await?;
        let parse = |id: String| WorkflowId::parse(&id).map_err(|_| failure::unreadable("workflow_id", id));
        ids.into_iter().map(parse).collect()
    }

    async fn publish(&self, messages: Vec<OutboxMessage>) -> Result<(), Error> {
        self.write(Operation::Publish(messages), None).await
    }

    async fn read_messages(&self, after: u64, limit: usize) -> Result<Vec<StoredMessage>, Error> {
        let end = match &self.shared.horizon {
            None => i64::MAX,
            Some(horizon) => horizon.settled(after).await?.cast_signed(),
        };
        let reader = &self.shared.reader;
        let rows = message::Entity::find()
            .filter(message::Column::Id.gt(after.cast_signed()))
            .filter(message::Column::Id.lte(end))
            .order_by_asc(message::Column::Id)
            .limit(limit as u64);
        let rows = reader.answer("messages", rows.all(&reader.database())).await?;
        // After the rows: what was there then was there before.
        let floor = reader
            .answer("floor of the messages", floor::Entity::find_by_id(0).one(&reader.database()))
            .await?
            .map_or(0, |floor| floor.pruned.cast_unsigned());
        if after > 0 && after < floor {
            let message = "messages after that one are not kept any more; 0 starts at the oldest that is";
            return Err(Error::new(ErrorKind::OutOfRange, "LOG_PRUNED", message));
        }
        rows.into_iter().map(stored).collect()
    }
}

fn stored(row: message::Model) -> Result<StoredMessage, Error> {
    let message = OutboxMessage {
        payload: json::read("payload", &row.payload)?,
        message_id: row.message_id,
        topic: row.topic,
        key: row.key,
        at: Timestamp::from_millis(row.at),
    };
    Ok(StoredMessage { offset: row.id.cast_unsigned(), message })
}
