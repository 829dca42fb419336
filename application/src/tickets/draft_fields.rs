//! Reads the fields of a draft by the ticket schema, naming the one that is wrong.

use std::fmt;

use hive_domain::ids::{DecisionId, IdError, IntentId, PlanId, TaskId, TicketId, check_id};
use hive_domain::json::Json;
use hive_domain::tickets::{
    Consistency, DeliveryMode, Durability, Priority, Qos, RiskBand, SecurityLevel, Sla, TaskType,
    TicketContent, TicketStatus,
};
use hive_domain::time::Timestamp;

use super::create_tickets::NewTicket;
use super::ticket_draft::{GivenPriority, QosDraft, SlaDraft, TicketDraft};
use crate::error::Error;

/// UTF-8 bytes of one text.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// One draft being read.
pub(super) struct Fields<'a> {
    draft: &'a TicketDraft,
    prefix: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(draft: &'a TicketDraft, prefix: &'a str) -> Self {
        Fields { draft, prefix }
    }

    /// The ticket, with `now` and `new_id` for what is not sent.
    pub(super) fn read(&self, now: i64, new_id: impl FnOnce() -> String) -> Result<NewTicket, Error> {
        let draft = self.draft;
        if let Some(field) = draft.set_by_service {
            return Err(self.invalid(field, "is set by the service and must not be sent"));
        }
        self.status(draft.status.as_deref())?;
        let own_id = draft.ticket_id.as_deref().filter(|id| !id.is_empty());
        let ticket_id = match own_id {
            Some(id) => self.id("ticket_id", id, TicketId::parse)?,
            None => self.id("ticket_id", &new_id(), TicketId::parse)?,
        };
        let metadata = draft.metadata.clone().unwrap_or_default();
        metadata.iter().try_for_each(|(key, value)| {
            self.text("metadata", key)?;
            self.text("metadata", value)
        })?;
        let parameters = draft.parameters.clone().unwrap_or_default();
        for (key, value) in &parameters {
            self.text("parameters", key)?;
            self.json("parameters", value)?;
        }
        draft.predictions.iter().try_for_each(|value| self.json("predictions", value))?;
        let content = TicketContent {
            ticket_id,
            plan_id: self.required_id("plan_id", &draft.plan_id, PlanId::parse)?,
            intent_id: self.required_id("intent_id", &draft.intent_id, IntentId::parse)?,
            decision_id: self.required_id("decision_id", &draft.decision_id, DecisionId::parse)?,
            correlation_id: self.foreign_id("correlation_id", &draft.correlation_id, 36)?,
            trace_id: self.foreign_id("trace_id", &draft.trace_id, 64)?,
            span_id: self.foreign_id("span_id", &draft.span_id, 32)?,
            task_id: self.required_id("task_id", &draft.task_id, TaskId::parse)?,
            task_type: self.word("task_type", &draft.task_type, TaskType::parse)?,
            description: self.description()?,
            dependencies: self.dependencies()?,
            priority: self.priority()?,
            risk_band: self.word("risk_band", &draft.risk_band, RiskBand::parse)?,
            sla: self.sla(self.required("sla", draft.sla.as_ref())?)?,
            qos: self.qos(self.required("qos", draft.qos.as_ref())?)?,
            parameters,
            required_capabilities: self.capabilities()?,
            security_level: self.word("security_level", &draft.security_level, SecurityLevel::parse)?,
            created_at: Timestamp::from_millis(draft.created_at.unwrap_or(now)),
            estimated_duration_ms: draft.estimated_duration_ms,
            predictions: draft.predictions.clone().filter(|value| *value != Json::Null),
            schema_version: self.small("schema_version", draft.schema_version.unwrap_or(1))?,
        };
        Ok(NewTicket { content: content.into(), metadata })
    }

    /// An error about a field.
    pub(super) fn invalid(&self, field: &str, problem: impl fmt::Display) -> Error {
        Error::invalid(format!("{}{field}", self.prefix), problem)
    }

    fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, Error> {
        value.ok_or_else(|| self.invalid(field, "is required"))
    }

    fn id<T>(&self, field: &str, text: &str, parse: fn(&str) -> Result<T, IdError>) -> Result<T, Error> {
        parse(text).map_err(|problem| self.invalid(field, problem))
    }

    fn required_id<T>(
        &self,
        field: &str,
        value: &Option<String>,
        parse: fn(&str) -> Result<T, IdError>,
    ) -> Result<T, Error> {
        self.id(field, self.required(field, value.as_deref())?, parse)
    }

    fn foreign_id(&self, field: &str, value: &Option<String>, max: usize) -> Result<Option<String>, Error> {
        let Some(text) = value.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        check_id(text, max).map_err(|problem| self.invalid(field, problem))?;
        Ok(Some(text.to_owned()))
    }

    fn word<T>(&self, field: &str, value: &Option<String>, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
        let text = self.required(field, value.as_deref())?;
        parse(text).ok_or_else(|| self.invalid(field, "is not a word of the ticket schema"))
    }

    fn text(&self, field: &str, text: &str) -> Result<(), Error> {
        check_text(text).map_err(|problem| self.invalid(field, problem))
    }

    /// Every text inside a value, however deep.
    fn json(&self, field: &str, value: &Json) -> Result<(), Error> {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            match value {
                Json::Text(text) => self.text(field, text)?,
                Json::List(items) => open.extend(items),
                Json::Object(members) => {
                    members.keys().try_for_each(|key| self.text(field, key))?;
                    open.extend(members.values());
                }
                Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) => {}
            }
        }
        Ok(())
    }

    fn status(&self, given: Option<&str>) -> Result<(), Error> {
        let Some(text) = given else { return Ok(()) };
        match TicketStatus::parse(text) {
            Some(TicketStatus::Pending) => Ok(()),
            Some(_) => Err(self.invalid("status", "must be PENDING in a new ticket")),
            None => Err(self.invalid("status", "is not a ticket status")),
        }
    }

    fn description(&self) -> Result<String, Error> {
        let text = self.required("description", self.draft.description.as_ref())?;
        self.text("description", text)?;
        Ok(text.clone())
    }

    fn dependencies(&self) -> Result<Vec<TicketId>, Error> {
        let ids = self.draft.dependencies.iter().flatten().enumerate();
        ids.map(|(at, id)| self.id(&format!("dependencies[{at}]"), id, TicketId::parse)).collect()
    }

    fn capabilities(&self) -> Result<Vec<String>, Error> {
        let words = self.draft.required_capabilities.iter().flatten().enumerate();
        words
            .map(|(at, word)| {
                self.text(&format!("required_capabilities[{at}]"), word)?;
                Ok(word.clone())
            })
            .collect()
    }

    fn priority(&self) -> Result<Priority, Error> {
        match self.required("priority", self.draft.priority.as_ref())? {
            GivenPriority::Scale(number) => Ok(Priority::from_scale(*number)),
            GivenPriority::Word(word) => Priority::parse(&word.to_ascii_uppercase())
                .ok_or_else(|| self.invalid("priority", "must be LOW, NORMAL, HIGH or CRITICAL")),
        }
    }

    fn sla(&self, sla: &SlaDraft) -> Result<Sla, Error> {
        let max_retries = self.required("sla.max_retries", sla.max_retries)?;
        Ok(Sla {
            deadline: Timestamp::from_millis(self.required("sla.deadline", sla.deadline)?),
            timeout_ms: self.required("sla.timeout_ms", sla.timeout_ms)?,
            max_retries: self.small("sla.max_retries", max_retries)?,
        })
    }

    fn qos(&self, qos: &QosDraft) -> Result<Qos, Error> {
        Ok(Qos {
            delivery_mode: self.word("qos.delivery_mode", &qos.delivery_mode, DeliveryMode::parse)?,
            consistency: self.word("qos.consistency", &qos.consistency, Consistency::parse)?,
            durability: self.word("qos.durability", &qos.durability, Durability::parse)?,
        })
    }

    fn small(&self, field: &str, number: i64) -> Result<i32, Error> {
        i32::try_from(number).map_err(|_| self.invalid(field, "must fit 32 bits"))
    }
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TextError {
    /// More bytes than a text may have.
    #[error("has {0} bytes, at most {MAX_TEXT_BYTES} are accepted")]
    TooLong(usize),
    /// Databases cannot store NUL.
    #[error("must not hold NUL characters")]
    Nul,
}

/// The rule of every text a caller sends.
pub(super) fn check_text(text: &str) -> Result<(), TextError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(TextError::TooLong(text.len()));
    }
    if text.contains('\0') { Err(TextError::Nul) } else { Ok(()) }
}
