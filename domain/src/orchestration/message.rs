//! The shapes a plan arrives in, told apart: a decision about a plan, a plan on its own, or a ledger entry around one.
//!
//! | shape | told by | the plan is in |
//! | --- | --- | --- |
//! | decision | `decision_id`, or `final_decision` | `cognitive_plan`: an object, JSON text, or not there |
//! | plan | `tasks` | the message |
//! | ledger entry | `plan_data` | `plan_data`, completed by the ids beside it |
//! | nested plan | `cognitive_plan` without a decision | `cognitive_plan`, completed by the fields around it |

use super::finding::{Code, Finding, Quoted};
use super::limits::Limits;
use super::path::Path;
use crate::json::{Json, Object};

const PLAN: &str = "cognitive_plan";
const PLAN_DATA: &str = "plan_data";

/// A decoded message whose embedded plan, if it came as text, has been parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    body: Json,
    plan_flaw: Option<Finding>,
}

impl Message {
    /// Takes a decoded message. A plan embedded as JSON text is replaced by what `parse` reads from it; if it cannot be read,
    /// validation says so together with everything else. Refuses only nesting that is too deep to be walked.
    pub fn open(
        mut body: Json,
        limits: &Limits,
        parse: impl FnOnce(&str) -> Result<Json, String>,
    ) -> Result<Self, Finding> {
        limits.check_nesting(&body, "$")?;
        let mut plan_flaw = None;
        if let Json::Object(members) = &mut body
            && let Some(slot @ Json::Text(_)) = members.get_mut(PLAN)
        {
            match parse_plan(slot.as_text().unwrap_or_default(), limits, parse) {
                Ok(plan) => *slot = plan,
                Err(finding) => plan_flaw = Some(finding),
            }
        }
        Ok(Self { body, plan_flaw })
    }

    /// The message, its embedded plan parsed.
    pub fn body(&self) -> &Json {
        &self.body
    }

    /// The id of the decision, as it stands in the message; absent from a plan on its own.
    pub fn decision_id(&self) -> Option<&str> {
        self.body.get("decision_id")?.as_text()
    }

    /// The id of the plan, as it stands in the message.
    pub fn plan_id(&self) -> Option<&str> {
        let inner = |key| self.body.get(key).and_then(|plan| plan.get("plan_id"));
        let found = self.body.get("plan_id").or_else(|| inner(PLAN)).or_else(|| inner(PLAN_DATA));
        found.and_then(Json::as_text)
    }

    /// Whether this is a decision without a plan, which the ledger may complete.
    pub fn lacks_plan(&self) -> bool {
        matches!(self.shape(), Ok(Shape::Decision { plan: Embedded::Absent, .. }))
    }

    /// A message that this system wrote itself.
    pub(super) fn stored(body: Json) -> Self {
        Self { body, plan_flaw: None }
    }

    pub(super) fn shape(&self) -> Result<Shape<'_>, Finding> {
        let Json::Object(members) = &self.body else {
            let message = format_args!("the message must be an object, is {}", self.body.type_name());
            return Err(Finding::new(Code::SchemaInvalid, Path::ROOT, message));
        };
        let has = |key: &str| members.contains_key(key);
        if has("decision_id") || (has("final_decision") && !has("tasks")) {
            let decision = Section::plain(members, Path::ROOT);
            return Ok(Shape::Decision { decision, plan: self.embedded(members) });
        }
        const PLAN_KEYS: [&str; 8] =
            ["plan_id", "intent_id", "tasks", "execution_order", "risk_score", "risk_band", PLAN, PLAN_DATA];
        if !PLAN_KEYS.into_iter().any(has) {
            let message = "neither a decision (decision_id), a plan (tasks) nor a ledger entry (plan_data)";
            return Err(Finding::new(Code::SchemaInvalid, Path::ROOT, message));
        }
        Ok(Shape::Plan(Section::of_plan(members, "")))
    }

    fn embedded<'a>(&'a self, decision: &'a Object) -> Embedded<'a> {
        match (decision.get(PLAN), &self.plan_flaw) {
            (None | Some(Json::Null), _) => Embedded::Absent,
            (Some(Json::Object(plan)), _) => Embedded::Plan(Section::of_plan(plan, PLAN)),
            (Some(_), Some(flaw)) => Embedded::Unreadable(flaw),
            (Some(other), None) => Embedded::NoPlan(other),
        }
    }
}

fn parse_plan(
    text: &str,
    limits: &Limits,
    parse: impl FnOnce(&str) -> Result<Json, String>,
) -> Result<Json, Finding> {
    limits.check_json_text(text.as_bytes(), PLAN)?;
    parse(text).map_err(|reason| {
        let message = format_args!("the text {} is no JSON: {reason}", Quoted(text));
        Finding::new(Code::SchemaInvalid, PLAN, message)
    })
}

/// A message, told apart.
pub(super) enum Shape<'a> {
    Decision { decision: NamedSection<'a>, plan: Embedded<'a> },
    Plan(NamedSection<'a>),
}

/// What a decision has where its plan should be.
pub(super) enum Embedded<'a> {
    Absent,
    Plan(NamedSection<'a>),
    /// Text that is no JSON, and why.
    Unreadable(&'a Finding),
    /// A value that can be no plan.
    NoPlan(&'a Json),
}

/// A section whose path is known by name.
pub(super) type NamedSection<'v> = Section<'v, 'static>;

/// The object that fields are looked up in, and the one around it that completes it.
/// Its values live in `'v`, its path in `'p`.
#[derive(Clone, Copy)]
pub(super) struct Section<'v, 'p> {
    inner: &'v Object,
    at: Path<'p>,
    outer: Option<(&'v Object, Path<'p>)>,
}

impl<'v, 'p> Section<'v, 'p> {
    /// An object that stands for itself.
    pub(super) fn plain(inner: &'v Object, at: Path<'p>) -> Self {
        Self { inner, at, outer: None }
    }

    /// The plan in `members`: they are it, or hold it one level deeper. `name` is where they stand in the message.
    pub(super) fn of_plan(members: &'v Object, name: &'static str) -> Self {
        if !members.contains_key("tasks") {
            for key in [PLAN_DATA, PLAN] {
                if let Some(Json::Object(inner)) = members.get(key) {
                    let outer = Some((members, Path::Base([name, ""])));
                    return Self { inner, at: Path::Base([name, key]), outer };
                }
            }
        }
        Self::plain(members, Path::Base([name, ""]))
    }

    /// The object's own path.
    pub(super) fn at(&self) -> &Path<'p> {
        &self.at
    }

    /// A member of the object, else of the one around it, and the path of the object that has it.
    pub(super) fn find(&self, key: &str) -> Option<(&'v Json, Path<'p>)> {
        let own = self.inner.get(key).map(|value| (value, self.at));
        own.or_else(|| self.around(key))
    }

    /// The path of the object that has `key`, or should have it.
    pub(super) fn holder(&self, key: &str) -> Path<'p> {
        self.find(key).map_or(self.at, |(_, at)| at)
    }

    /// A member of the object around this one.
    pub(super) fn around(&self, key: &str) -> Option<(&'v Json, Path<'p>)> {
        let (members, at) = self.outer?;
        members.get(key).map(|value| (value, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    fn open(body: Json) -> Message {
        Message::open(body, &Limits::default(), |_| Err("unexpected end at column 3".to_owned())).unwrap()
    }

    fn tasks() -> Json {
        object([("tasks", Json::List(Vec::new()))])
    }

    #[test]
    fn shapes_are_told_apart() {
        let path = |body: Json| match open(body).shape() {
            Ok(Shape::Plan(section)) => format!("plan at {}", section.at()),
            Ok(Shape::Decision { plan: Embedded::Plan(section), .. }) => {
                format!("decision, plan at {}", section.at())
            }
            Ok(Shape::Decision { .. }) => "decision".to_owned(),
            Err(finding) => finding.to_string(),
        };
        assert_eq!(path(tasks()), "plan at $");
        assert_eq!(path(object([("plan_id", "p".into()), ("plan_data", tasks())])), "plan at plan_data");
        assert_eq!(path(object([("plan_id", "p".into()), (PLAN, tasks())])), "plan at cognitive_plan");
        assert_eq!(
            path(object([("decision_id", "d".into()), (PLAN, tasks())])),
            "decision, plan at cognitive_plan"
        );
        assert_eq!(
            path(object([("decision_id", "d".into()), (PLAN, object([(PLAN, tasks())]))])),
            "decision, plan at cognitive_plan.cognitive_plan"
        );
        assert_eq!(path(object([("final_decision", "approve".into())])), "decision");
        assert_eq!(path(Json::Int(3)), "SCHEMA_INVALID at $: the message must be an object, is an integer");
        assert!(path(object([("name", "x".into())])).contains("neither a decision"));
    }

    #[test]
    fn embedded_text_is_parsed_once_and_its_flaw_kept() {
        let body = object([("decision_id", "d".into()), (PLAN, "{tasks}".into())]);
        let message = Message::open(body.clone(), &Limits::default(), |text| {
            assert_eq!(text, "{tasks}");
            Ok(tasks())
        });
        assert_eq!(message.unwrap().body().get(PLAN), Some(&tasks()));
        let flawed = open(body);
        assert_eq!(
            flawed.plan_flaw.unwrap().to_string(),
            "SCHEMA_INVALID at cognitive_plan: the text `{tasks}` is no JSON: unexpected end at column 3"
        );
        let deep = open(object([("decision_id", "d".into()), (PLAN, "[".repeat(70).into())]));
        assert_eq!(deep.plan_flaw.unwrap().code, Code::NestingTooDeep);
    }

    #[test]
    fn ids_are_found_in_every_shape() {
        let plan = object([("plan_id", "p".into()), ("tasks", Json::List(Vec::new()))]);
        for body in [plan.clone(), object([(PLAN_DATA, plan.clone())]), object([(PLAN, plan)])] {
            let message = open(body);
            assert_eq!((message.plan_id(), message.decision_id()), (Some("p"), None));
            assert!(!message.lacks_plan());
        }
        assert!(open(object([("decision_id", "d".into()), (PLAN, Json::Null)])).lacks_plan());
    }

    #[test]
    fn a_message_too_deep_to_walk_is_refused() {
        let deep = (0..100).fold(Json::Null, |inner, _| Json::List(vec![inner]));
        let refused = Message::open(object([("tasks", deep)]), &Limits::default(), |_| Ok(Json::Null));
        assert_eq!(refused.unwrap_err().code, Code::NestingTooDeep);
    }
}
