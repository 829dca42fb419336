//! Reads a plan: its fields, its tasks, the rules about the whole.

use super::fields::{Defaults, Fields};
use super::reader::{Reader, whole};
use super::structure::{self, Places};
use super::{Rules, Subject};
use super::{policy, tasks};
use crate::ids::{DecisionId, IntentId, PlanId};
use crate::json::Json;
use crate::orchestration::finding::{Code, Quoted};
use crate::orchestration::message::NamedSection;
use crate::orchestration::path::Path;
use crate::orchestration::plan::{Plan, SCHEMA_VERSION};
use crate::tickets::public::{Priority, RiskBand, SecurityLevel};

const BANDS: [&str; 4] = ["low", "medium", "high", "critical"];
const STATUSES: [&str; 4] = ["draft", "validated", "approved", "rejected"];
const APPROVALS: [&str; 3] = ["pending", "approved", "rejected"];
const DOMAINS: [&str; 7] =
    ["BUSINESS", "TECHNICAL", "SECURITY", "INFRASTRUCTURE", "BEHAVIOR", "OPERATIONAL", "COMPLIANCE"];

/// The plan, if nothing that it is made of is wrong. Everything that is wrong is among the findings.
pub(super) fn read(section: NamedSection<'_>, reader: &mut Reader<'_>, rules: &Rules<'_>) -> Option<Plan> {
    let mut defaults = Defaults::default();
    let mut fields = Fields { section, reader, defaults: &mut defaults };
    let plan_id = fields.required("plan_id", |r, v, at| r.id(v, at, PlanId::parse));
    let intent_id = fields.required("intent_id", |r, v, at| r.id(v, at, IntentId::parse));
    compare_with_envelope(&mut fields);
    let drafts = fields.required("tasks", tasks::read);
    let order = fields.required("execution_order", Reader::texts);
    let risk_score = fields.required("risk_score", Reader::fraction);
    let risk_band = fields.required("risk_band", |r, v, at| r.word(v, at, &BANDS).and_then(RiskBand::parse));
    let version = fields.optional("version", "\"1.0.0\"", Reader::text).unwrap_or("1.0.0");
    let [correlation_id, trace_id, span_id] = fields.tracing_ids();
    let created_at = fields.optional("created_at", "null", Reader::time);
    let valid_until = fields.optional("valid_until", "null", Reader::time);
    let total = fields.optional("estimated_total_duration_ms", "null", Reader::duration_ms);
    let domain = fields.optional("original_domain", "null", |r, v, at| r.word(v, at, &DOMAINS));
    let priority = fields.optional("original_priority", "null", priority);
    let security_level = fields.optional("original_security_level", "INTERNAL", security_level);
    let metadata = fields.optional("metadata", "{}", Reader::text_map).unwrap_or_default();
    check_the_rest(&mut fields);
    defaults.warn(reader, section.at(), 1);

    rules.check_expiry(valid_until, section.holder("valid_until").key("valid_until"), reader);
    let (tasks_in, order_in) = (section.holder("tasks"), section.holder("execution_order"));
    let places = Places { tasks: tasks_in.key("tasks"), order: order_in.key("execution_order") };
    let drafts = drafts?;
    let graph = structure::check(&drafts, order.as_deref(), &places, reader);
    if let Some((_, band)) = rules.now.zip(risk_band) {
        policy::check(band, &drafts, &places.tasks, reader);
    }
    Some(Plan {
        plan_id: plan_id?,
        intent_id: intent_id?,
        version: version.to_owned(),
        correlation_id,
        trace_id,
        span_id,
        risk_score: risk_score?,
        risk_band: risk_band?,
        created_at,
        valid_until,
        estimated_total_duration_ms: total,
        original_domain: domain.map(str::to_owned),
        priority,
        security_level: security_level.unwrap_or(SecurityLevel::Internal),
        metadata,
        tasks: drafts.into_iter().map(|draft| draft.task).collect::<Option<_>>()?,
        graph: graph?,
    })
}

/// What a plan that does not run is about; its other fields may be as they are.
pub(super) fn subject(section: NamedSection<'_>, reader: &mut Reader<'_>) -> Option<Subject> {
    let mut fields = Fields { section, reader, defaults: &mut Defaults::default() };
    let plan_id = fields.required("plan_id", |r, v, at| r.id(v, at, PlanId::parse));
    let intent_id = fields.optional("intent_id", "null", |r, v, at| r.id(v, at, IntentId::parse));
    let plan_id = plan_id?;
    Some(Subject { decision_id: DecisionId::for_direct_plan(&plan_id), plan_id, intent_id })
}

/// A plan inside another object must be the one that object speaks of.
fn compare_with_envelope(fields: &mut Fields<'_, '_, '_, '_>) {
    for key in ["plan_id", "intent_id"] {
        let own = fields.section.find(key);
        if let (Some((Json::Text(own), _)), Some((Json::Text(around), at))) =
            (own, fields.section.around(key))
            && own != around
        {
            let message = format_args!("is {} here and {} in the plan inside", Quoted(around), Quoted(own));
            if key == "plan_id" {
                fields.reader.findings.error(Code::PlanMismatch, at.key(key), message);
            } else {
                fields.reader.findings.warning(Code::PlanMismatch, at.key(key), message);
            }
        }
    }
}

/// Fields nothing here depends on: a wrong type is still a broken message.
fn check_the_rest(fields: &mut Fields<'_, '_, '_, '_>) {
    for key in ["risk_factors", "risk_matrix"] {
        fields.optional(key, "null", |r, v, at| r.object_of(v, at, Reader::number));
    }
    for key in ["explainability_token", "reasoning_summary", "approved_by"] {
        fields.optional(key, "null", |r, v, at| r.text(v, at).map(drop));
    }
    fields.optional("status", "draft", |r, v, at| r.word(v, at, &STATUSES).map(drop));
    fields.optional("complexity_score", "null", Reader::number);
    fields.optional("requires_approval", "false", Reader::flag);
    fields.optional("approval_status", "null", |r, v, at| r.word(v, at, &APPROVALS).map(drop));
    fields.optional("approved_at", "null", Reader::time);
    fields.optional("is_destructive", "false", Reader::flag);
    fields.optional("destructive_tasks", "[]", |r, v, at| r.texts(v, at).map(drop));
    fields.schema_version(SCHEMA_VERSION);
}

/// A word in any letter case or the platform's 1–10 scale, as number or text; anything else counts as not given.
fn priority(reader: &mut Reader<'_>, value: &Json, at: &Path<'_>) -> Option<Priority> {
    if let Some(number) = whole(value) {
        return Some(Priority::from_scale(number.into()));
    }
    let Json::Text(_) = value else {
        reader.wrong_type("text or an integer", value, at);
        return None;
    };
    let text = reader.text(value, at)?;
    let known = match text.to_ascii_uppercase().as_str() {
        "MEDIUM" => Some(Priority::Normal),
        word => {
            Priority::parse(word).or_else(|| word.parse::<i64>().ok().map(|n| Priority::from_scale(n.into())))
        }
    };
    if known.is_none() {
        let message = format_args!("{} is no priority; the risk band alone decides", Quoted(text));
        reader.findings.warning(Code::DefaultApplied, at, message);
    }
    known
}

fn security_level(reader: &mut Reader<'_>, value: &Json, at: &Path<'_>) -> Option<SecurityLevel> {
    let text = reader.text(value, at)?;
    let known = SecurityLevel::parse(&text.to_ascii_uppercase());
    if known.is_none() {
        let message = format_args!("{} is no security level, taken as INTERNAL", Quoted(text));
        reader.findings.warning(Code::DefaultApplied, at, message);
    }
    known
}
