//! Agents on SQL.

use std::sync::Arc;

use async_trait::async_trait;
use hive_application::error::{Error, ErrorKind};
use hive_application::registry::{AgentListQuery, AgentRepository, Change};
use hive_domain::ids::AgentId;
use hive_domain::registry::Agent;
use hive_domain::time::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Shared;
use super::entity::{Column, Entity};
use super::mapping;
use super::operation::{Answer, Operation};
use crate::failure;

/// Decisions asked for before giving up on an agent that others change all the time. In every round somebody wins.
const MAX_DECISIONS: usize = 64;

/// The adapter of [`AgentRepository`].
#[derive(Debug)]
pub(super) struct SqlAgentRepository {
    shared: Arc<Shared>,
}

impl SqlAgentRepository {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        SqlAgentRepository { shared }
    }
}

#[async_trait]
impl AgentRepository for SqlAgentRepository {
    async fn find(&self, id: &AgentId) -> Result<Option<Agent>, Error> {
        let reader = &self.shared.reader;
        let row =
            reader.answer("agent by id", Entity::find_by_id(id.as_str()).one(&reader.database())).await?;
        row.map(mapping::agent).transpose()
    }

    async fn list(&self, query: &AgentListQuery) -> Result<Vec<Agent>, Error> {
        let mut select = Entity::find().filter(Column::RetiredAt.is_null());
        if let Some(agent_type) = query.agent_type {
            select = select.filter(Column::AgentType.eq(agent_type.as_str()));
        }
        if let Some(namespace) = &query.namespace {
            if self.shared.postgres && namespace.contains('\0') {
                // No stored text has it.
                return Ok(Vec::new());
            }
            select = select.filter(Column::Namespace.eq(namespace.as_str()));
        }
        if let Some(before) = query.last_seen_before {
            select = select.filter(Column::LastSeen.lt(before.millis()));
        }
        if let Some(after) = &query.after {
            select = select.filter(Column::AgentId.gt(after.as_str()));
        }
        let reader = &self.shared.reader;
        let select = select.order_by_asc(Column::AgentId).limit(query.limit as u64);
        let rows = reader.answer("agents", select.all(&reader.database())).await?;
        rows.into_iter().map(mapping::agent).collect()
    }

    async fn update(&self, id: &AgentId, change: &mut Change<'_>) -> Result<Agent, Error> {
        for _ in 0..MAX_DECISIONS {
            let found = self.find(id).await?;
            let expected = found.as_ref().map(Agent::revision);
            let agent = change(found)?;
            let operation = match expected {
                Some(expected) if expected == agent.revision() => return Ok(agent),
                Some(expected) => Operation::Replace { expected, row: mapping::row(&agent)? },
                None => Operation::Insert(mapping::row(&agent)?),
            };
            if self.shared.postgres {
                operation.check()?;
            }
            match self.shared.writer.submit(operation).await? {
                Answer::Written(true) => return Ok(agent),
                Answer::Written(false) => {}
                other => return Err(failure::unexpected(&other)),
            }
        }
        let message = format!("agent {id} is changed by too many at once");
        Err(Error::new(ErrorKind::Aborted, "TOO_MANY_WRITERS", message))
    }

    async fn forget(&self, retired_before: Timestamp, limit: usize) -> Result<u64, Error> {
        match self.shared.writer.submit(Operation::Forget { retired_before, limit }).await? {
            Answer::Forgotten(count) => Ok(count),
            other => Err(failure::unexpected(&other)),
        }
    }
}
