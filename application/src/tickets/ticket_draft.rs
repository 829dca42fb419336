//! A ticket as a caller sends it: what is left out gets its default, what is sent is held to the ticket schema.

use std::collections::BTreeMap;

use hive_domain::json::{Json, Object};
use hive_domain::tickets::Ticket;

use super::create_tickets::NewTicket;
use super::draft_fields::Fields;
use crate::error::Error;

/// What a caller sent of a ticket. `None` is what was not sent; texts are as they came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TicketDraft {
    /// 1 to 36 printable characters. Empty counts as not sent: a random UUID.
    pub ticket_id: Option<String>,
    /// Required, 1 to 36 printable characters.
    pub plan_id: Option<String>,
    /// Required, 1 to 36 printable characters.
    pub intent_id: Option<String>,
    /// Required, 1 to 36 printable characters.
    pub decision_id: Option<String>,
    /// At most 36 printable characters; empty counts as not sent.
    pub correlation_id: Option<String>,
    /// At most 64 printable characters; empty counts as not sent.
    pub trace_id: Option<String>,
    /// At most 32 printable characters; empty counts as not sent.
    pub span_id: Option<String>,
    /// Required, 1 to 255 printable characters.
    pub task_id: Option<String>,
    /// Required, an exact word.
    pub task_type: Option<String>,
    /// Required, may be empty.
    pub description: Option<String>,
    /// Default none.
    pub dependencies: Option<Vec<String>>,
    /// Any letter case. A new ticket is PENDING.
    pub status: Option<String>,
    /// Required.
    pub priority: Option<GivenPriority>,
    /// Required, an exact word.
    pub risk_band: Option<String>,
    /// Required, with all its parts.
    pub sla: Option<SlaDraft>,
    /// Required, with all its parts.
    pub qos: Option<QosDraft>,
    /// Default none.
    pub parameters: Option<Object>,
    /// Default none.
    pub required_capabilities: Option<Vec<String>>,
    /// Required, an exact word.
    pub security_level: Option<String>,
    /// Milliseconds since 1970. Default now.
    pub created_at: Option<i64>,
    /// Milliseconds the work should take.
    pub estimated_duration_ms: Option<i64>,
    /// Default none.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Default none.
    pub predictions: Option<Json>,
    /// Default 1.
    pub schema_version: Option<i64>,
    /// The first field with a value that only the service gives, such as `started_at`; such a draft is refused.
    pub set_by_service: Option<&'static str>,
}

/// A priority as callers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenPriority {
    /// A word of the schema in any letter case.
    Word(String),
    /// The platform's 1–10 scale.
    Scale(i128),
}

/// A service level as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlaDraft {
    /// Milliseconds since 1970.
    pub deadline: Option<i64>,
    /// Milliseconds, positive.
    pub timeout_ms: Option<i64>,
    /// Not negative.
    pub max_retries: Option<i64>,
}

/// Delivery promises as sent: exact words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QosDraft {
    /// How often the effect may happen.
    pub delivery_mode: Option<String>,
    /// How soon every reader must see it.
    pub consistency: Option<String>,
    /// Whether it must survive a restart.
    pub durability: Option<String>,
}

/// Metadata from a JSON value by the rule of the ticket model: whatever is no object is empty, and a value that is no
/// text becomes its JSON text, null the empty one.
pub fn metadata_of(value: &Json) -> BTreeMap<String, String> {
    let text = |value: &Json| match value {
        Json::Text(text) => text.clone(),
        Json::Null => String::new(),
        other => other.canonical(),
    };
    let members = value.as_object().into_iter().flatten();
    members.map(|(key, value)| (key.clone(), text(value))).collect()
}

impl TicketDraft {
    /// The ticket that the draft asks for. `prefix` stands before the names of fields in errors; `now` is milliseconds
    /// since 1970.
    pub(super) fn resolve(
        &self,
        prefix: &str,
        now: i64,
        new_id: impl FnOnce() -> String,
    ) -> Result<NewTicket, Error> {
        Fields::new(self, prefix).read(now, new_id)
    }

    /// The first field in which a stored ticket is not what this draft, resolved to `wanted`, asks for. What the caller
    /// did not send is not compared, nor is anything that changes in a ticket's life.
    pub(super) fn difference(&self, wanted: &NewTicket, stored: &Ticket) -> Option<&'static str> {
        let (new, old) = (&wanted.content, stored.content());
        let known = |(key, value): (&String, &String)| stored.state().metadata.get(key) == Some(value);
        let optional = |new: &Option<String>, old: &Option<String>| new.is_some() && new != old;
        let fields = [
            ("plan_id", new.plan_id != old.plan_id),
            ("intent_id", new.intent_id != old.intent_id),
            ("decision_id", new.decision_id != old.decision_id),
            ("correlation_id", optional(&new.correlation_id, &old.correlation_id)),
            ("trace_id", optional(&new.trace_id, &old.trace_id)),
            ("span_id", optional(&new.span_id, &old.span_id)),
            ("task_id", new.task_id != old.task_id),
            ("task_type", new.task_type != old.task_type),
            ("description", new.description != old.description),
            ("dependencies", self.dependencies.is_some() && new.dependencies != old.dependencies),
            ("priority", new.priority != old.priority),
            ("risk_band", new.risk_band != old.risk_band),
            ("sla", new.sla != old.sla),
            ("qos", new.qos != old.qos),
            ("parameters", self.parameters.is_some() && new.parameters != old.parameters),
            (
                "required_capabilities",
                self.required_capabilities.is_some()
                    && new.required_capabilities != old.required_capabilities,
            ),
            ("security_level", new.security_level != old.security_level),
            ("created_at", self.created_at.is_some() && new.created_at != old.created_at),
            (
                "estimated_duration_ms",
                new.estimated_duration_ms.is_some() && new.estimated_duration_ms != old.estimated_duration_ms,
            ),
            ("metadata", !wanted.metadata.iter().all(known)),
            ("predictions", new.predictions.is_some() && new.predictions != old.predictions),
            ("schema_version", self.schema_version.is_some() && new.schema_version != old.schema_version),
        ];
        fields.into_iter().find_map(|(name, differs)| differs.then_some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::tickets::testing::draft;

    const NOW: i64 = 1_700_000_000_000;

    fn resolve(draft: &TicketDraft) -> Result<NewTicket, Error> {
        draft.resolve("", NOW, || "11111111-1111-4111-8111-111111111111".to_owned())
    }

    fn refused(change: impl FnOnce(&mut TicketDraft)) -> (String, String) {
        let mut draft = draft();
        change(&mut draft);
        let error = resolve(&draft).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        (error.field().unwrap_or_default().to_owned(), error.to_string())
    }

    #[test]
    fn what_is_left_out_gets_its_default() {
        let new = resolve(&TicketDraft { ticket_id: Some(String::new()), ..draft() }).unwrap();
        let content = &new.content;
        assert_eq!(content.ticket_id.as_str(), "11111111-1111-4111-8111-111111111111");
        assert_eq!(content.created_at.millis(), NOW);
        assert_eq!(content.schema_version, 1);
        assert!(content.dependencies.is_empty() && content.parameters.is_empty() && new.metadata.is_empty());
    }

    #[test]
    fn every_required_field_is_missed_by_name() {
        type Clear = fn(&mut TicketDraft);
        let clears: [(&str, Clear); 17] = [
            ("plan_id", |d| d.plan_id = None),
            ("intent_id", |d| d.intent_id = None),
            ("decision_id", |d| d.decision_id = None),
            ("task_id", |d| d.task_id = None),
            ("task_type", |d| d.task_type = None),
            ("description", |d| d.description = None),
            ("priority", |d| d.priority = None),
            ("risk_band", |d| d.risk_band = None),
            ("security_level", |d| d.security_level = None),
            ("sla", |d| d.sla = None),
            ("sla.deadline", |d| d.sla.as_mut().unwrap().deadline = None),
            ("sla.timeout_ms", |d| d.sla.as_mut().unwrap().timeout_ms = None),
            ("sla.max_retries", |d| d.sla.as_mut().unwrap().max_retries = None),
            ("qos", |d| d.qos = None),
            ("qos.delivery_mode", |d| d.qos.as_mut().unwrap().delivery_mode = None),
            ("qos.consistency", |d| d.qos.as_mut().unwrap().consistency = None),
            ("qos.durability", |d| d.qos.as_mut().unwrap().durability = None),
        ];
        for (name, clear) in clears {
            assert_eq!(refused(clear), (name.to_owned(), format!("{name} is required")));
        }
    }

    #[test]
    fn words_are_exact_but_for_priority_and_status() {
        assert_eq!(refused(|d| d.task_type = Some("build".into())).0, "task_type");
        assert_eq!(refused(|d| d.risk_band = Some("HIGH".into())).0, "risk_band");
        assert_eq!(refused(|d| d.status = Some("RUNNING".into())).0, "status");
        assert_eq!(refused(|d| d.status = Some("assigned".into())).0, "status");
        let mut draft = draft();
        draft.status = Some("pending".into());
        for (given, word) in [
            (GivenPriority::Word("high".into()), "HIGH"),
            (GivenPriority::Scale(-3), "LOW"),
            (GivenPriority::Scale(9), "CRITICAL"),
        ] {
            draft.priority = Some(given);
            assert_eq!(resolve(&draft).unwrap().content.priority.as_str(), word);
        }
    }

    #[test]
    fn ids_and_texts_are_bounded_and_printable() {
        assert_eq!(refused(|d| d.ticket_id = Some("x".repeat(37))).0, "ticket_id");
        assert_eq!(refused(|d| d.ticket_id = Some("tk-\0".into())).0, "ticket_id");
        assert_eq!(refused(|d| d.span_id = Some("x".repeat(33))).0, "span_id");
        assert_eq!(refused(|d| d.dependencies = Some(vec!["a".into(), String::new()])).0, "dependencies[1]");
        let long = "x".repeat(64 * 1024 + 1);
        let (field, text) = refused(|d| d.description = Some(long.clone()));
        assert_eq!((field.as_str(), text.contains("65537 bytes")), ("description", true), "{text}");
        assert_eq!(refused(|d| d.description = Some("a\0b".into())).0, "description");
        assert_eq!(refused(|d| d.metadata = Some([("k".into(), "\0".into())].into())).0, "metadata");
        let deep = Json::List(vec![Json::Text("\0".into())]);
        assert_eq!(refused(|d| d.parameters = Some([("k".into(), deep.clone())].into())).0, "parameters");
        assert_eq!(refused(|d| d.predictions = Some(deep.clone())).0, "predictions");
        assert_eq!(
            refused(|d| d.required_capabilities = Some(vec![long.clone()])).0,
            "required_capabilities[0]"
        );
        assert_eq!(refused(|d| d.sla.as_mut().unwrap().max_retries = Some(1 << 40)).0, "sla.max_retries");
        assert_eq!(refused(|d| d.schema_version = Some(1 << 40)).0, "schema_version");
        assert_eq!(refused(|d| d.set_by_service = Some("started_at")).0, "started_at");
    }

    #[test]
    fn metadata_becomes_text_as_in_the_ticket_model() {
        let value = Json::Object(
            [
                ("a".to_owned(), Json::Object([("k".to_owned(), Json::Int(1))].into())),
                ("b".to_owned(), Json::Int(2)),
                ("n".to_owned(), Json::Null),
                ("t".to_owned(), Json::Bool(true)),
                ("s".to_owned(), "plain".into()),
            ]
            .into(),
        );
        let texts: Vec<_> = metadata_of(&value).into_values().collect();
        assert_eq!(texts, [r#"{"k": 1}"#, "2", "", "plain", "true"]);
        assert!(metadata_of(&Json::Int(1)).is_empty());
    }
}
