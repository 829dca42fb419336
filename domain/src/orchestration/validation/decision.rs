//! Reads a consolidated decision: its own fields, not the plan in it.

use std::collections::BTreeMap;

use super::Subject;
use super::fields::{Defaults, Fields};
use super::reader::Reader;
use crate::ids::{DecisionId, IntentId, PlanId};
use crate::json::Json;
use crate::orchestration::finding::{Code, Quoted};
use crate::orchestration::message::NamedSection;
use crate::orchestration::path::Path;
use crate::orchestration::plan::{Decision, FinalDecision, Plan, SCHEMA_VERSION};
use crate::time::Timestamp;

/// A decision as far as it can be read.
pub(super) struct Read {
    pub(super) decision_id: Option<DecisionId>,
    pub(super) plan_id: Option<PlanId>,
    pub(super) intent_id: Option<IntentId>,
    pub(super) final_decision: Option<FinalDecision>,
    pub(super) requires_human_review: bool,
    pub(super) valid_until: Option<Timestamp>,
    tracing_ids: [Option<String>; 3],
    metadata: BTreeMap<String, String>,
}

pub(super) fn read(section: NamedSection<'_>, reader: &mut Reader<'_>) -> Read {
    let mut defaults = Defaults::default();
    let mut fields = Fields { section, reader, defaults: &mut defaults };
    let decision_id = fields.required("decision_id", |r, v, at| r.id(v, at, DecisionId::parse));
    let plan_id = fields.required("plan_id", |r, v, at| r.id(v, at, PlanId::parse));
    let final_decision = fields.required("final_decision", |r, v, at| {
        r.word(v, at, &FinalDecision::WORDS).and_then(FinalDecision::parse)
    });
    let intent_id = fields.optional("intent_id", "null", |r, v, at| r.id(v, at, IntentId::parse));
    let tracing_ids = fields.tracing_ids();
    let requires_human_review = fields.optional("requires_human_review", "false", Reader::flag);
    let valid_until = fields.optional("valid_until", "null", Reader::time);
    let mut metadata = fields.optional("metadata", "{}", Reader::text_map).unwrap_or_default();
    if final_decision == Some(FinalDecision::Conditional) {
        keep_conditions(&mut fields, &mut metadata);
    }
    check_the_rest(&mut fields);
    let at = *fields.section.at();
    defaults.warn(reader, &at, 1);
    Read {
        decision_id,
        plan_id,
        intent_id,
        final_decision,
        requires_human_review: requires_human_review.unwrap_or(false),
        valid_until,
        tracing_ids,
        metadata,
    }
}

/// A conditional decision runs; under what conditions must be seen later.
fn keep_conditions(fields: &mut Fields<'_, '_, '_, '_>, metadata: &mut BTreeMap<String, String>) {
    let word = FinalDecision::Conditional.as_str().to_owned();
    metadata.insert("decision.final_decision".to_owned(), word);
    for key in ["conditions", "compliance_checks", "guardrails_triggered"] {
        if let Some((value, at)) = fields.section.find(key)
            && let Some(text) = fields.reader.as_text(value, &at.key(key))
        {
            metadata.insert(format!("decision.{key}"), text);
        }
    }
}

/// Fields nothing here depends on: a wrong type is still a broken message. Their words are not checked, since the
/// platform has grown more of them than its schema lists.
fn check_the_rest(fields: &mut Fields<'_, '_, '_, '_>) {
    for key in ["consensus_method", "explainability_token", "reasoning_summary", "hash"] {
        fields.optional(key, "null", |r, v, at| r.text(v, at).map(drop));
    }
    for key in ["aggregated_confidence", "aggregated_risk"] {
        fields.optional(key, "null", Reader::fraction);
    }
    fields.optional("specialist_votes", "null", |r, v, at| match v {
        Json::List(_) | Json::Object(_) => Some(()),
        _ => {
            r.wrong_type("an array or an object", v, at);
            None
        }
    });
    fields.optional("consensus_metrics", "null", |r, v, at| r.object(v, at).map(drop));
    fields.optional("compliance_checks", "null", |r, v, at| r.object_of(v, at, Reader::flag));
    fields.optional("guardrails_triggered", "null", |r, v, at| r.texts(v, at).map(drop));
    fields.optional("created_at", "null", Reader::time);
    fields.schema_version(SCHEMA_VERSION);
}

impl Read {
    /// Says where decision and plan speak of different things. The plan's intent wins: the plan was made for it.
    pub(super) fn compare(&self, plan: &NamedSection<'_>, reader: &mut Reader<'_>) {
        let in_plan = |key| plan.find(key).and_then(|(value, _)| value.as_text());
        if let (Some(own), Some(other)) = (&self.plan_id, in_plan("plan_id"))
            && own.as_str() != other
        {
            let message = format_args!("the decision is about plan {own}, the plan is {}", Quoted(other));
            reader.findings.error(Code::PlanMismatch, Path::ROOT.key("plan_id"), message);
        }
        if let (Some(own), Some(other)) = (&self.intent_id, in_plan("intent_id"))
            && own.as_str() != other
        {
            let message =
                format_args!("the decision names intent {own}, the plan {}, which counts", Quoted(other));
            reader.findings.warning(Code::PlanMismatch, Path::ROOT.key("intent_id"), message);
        }
    }

    /// What a decision that runs nothing is about.
    pub(super) fn subject(self) -> Option<Subject> {
        Some(Subject { plan_id: self.plan_id?, intent_id: self.intent_id, decision_id: self.decision_id? })
    }

    /// The typed decision, completed by the plan; nothing when a required field could not be read.
    pub(super) fn complete(self, plan: &Plan) -> Option<Decision> {
        let [correlation_id, trace_id, span_id] = self.tracing_ids;
        Some(Decision {
            decision_id: self.decision_id?,
            final_decision: self.final_decision?,
            correlation_id: correlation_id.or_else(|| plan.correlation_id.clone()),
            trace_id: trace_id.or_else(|| plan.trace_id.clone()),
            span_id: span_id.or_else(|| plan.span_id.clone()),
            valid_until: self.valid_until,
            metadata: self.metadata,
        })
    }
}
