//! Step C1: decides whether a message lets a plan run, and finds everything that is wrong with it at once.
//!
//! | file | owns |
//! | --- | --- |
//! | `reader` | single values: type, range, length |
//! | `fields` | the fields of one object: required, defaulted |
//! | `decision`, `plan`, `tasks` | the fields each has |
//! | `structure` | ids, order, dependencies, cycles |
//! | `policy` | what risk bands allow |

mod decision;
mod fields;
mod plan;
mod policy;
mod reader;
mod structure;
mod tasks;

use std::fmt::Display;

use super::finding::{Code, Findings};
use super::limits::Limits;
use super::message::{Embedded, Message, NamedSection, Section, Shape};
use super::path::Path;
use super::plan::{ApprovedPlan, Decision, FinalDecision};
use crate::ids::{DecisionId, IntentId, PlanId};
use crate::json::Json;
use crate::time::Timestamp;
use reader::Reader;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The plan runs.
    Run(Box<ApprovedPlan>),
    /// It was decided that the plan does not run. No error.
    Rejected(Subject),
    /// A person has yet to decide. No error; a later message about the same plan is judged afresh.
    AwaitingApproval(Subject),
    /// The message breaks rules: the errors say which.
    Invalid,
}

/// What a message that runs nothing is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The plan.
    pub plan_id: PlanId,
    /// The intent it was made for, if the message names it.
    pub intent_id: Option<IntentId>,
    /// The decision; derived from the plan when the plan came on its own.
    pub decision_id: DecisionId,
}

/// The outcome of validation.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What becomes of the message. [`Verdict::Invalid`] exactly when there are errors.
    pub verdict: Verdict,
    /// Everything found, errors in the order of the rules.
    pub findings: Findings,
}

/// Judges a message at the time `now`. `ledger` is what the ledger holds for the plan of a decision that carries none
/// ([`Message::lacks_plan`]): the entry, or the plan itself.
pub fn validate(message: &Message, ledger: Option<&Json>, limits: &Limits, now: Timestamp) -> Report {
    Rules { limits, now: Some(now) }.judge(message, ledger)
}

/// Reads back a plan that was judged when it started.
pub(super) fn restore(stored: Json) -> Result<ApprovedPlan, Findings> {
    let rules = Rules { limits: &Limits::NONE, now: None };
    let message = Message::stored(stored);
    match rules.judge(&message, None) {
        Report { verdict: Verdict::Run(approved), .. } => Ok(*approved),
        Report { findings, .. } => Err(findings),
    }
}

/// What a message is held to.
struct Rules<'c> {
    limits: &'c Limits,
    /// Absent when a plan is resumed: its expiry and the policy were judged when it started.
    now: Option<Timestamp>,
}

impl Rules<'_> {
    fn judge(&self, message: &Message, ledger: Option<&Json>) -> Report {
        let mut findings = Findings::default();
        let mut reader = Reader { limits: self.limits, findings: &mut findings };
        let verdict = match message.shape() {
            Ok(Shape::Decision { decision, plan }) => {
                self.judge_decision(decision, &plan, ledger, &mut reader)
            }
            Ok(Shape::Plan(section)) => self.judge_plan(section, &mut reader),
            Err(finding) => {
                reader.findings.add_error(finding);
                None
            }
        };
        findings.close();
        let verdict = verdict.filter(|_| findings.is_clean()).unwrap_or(Verdict::Invalid);
        Report { verdict, findings }
    }
    fn judge_decision(
        &self,
        section: NamedSection<'_>,
        embedded: &Embedded<'_>,
        ledger: Option<&Json>,
        reader: &mut Reader<'_>,
    ) -> Option<Verdict> {
        let decision = decision::read(section, reader);
        if let Embedded::NoPlan(value) = embedded {
            reader.wrong_type("an object or JSON text", value, &Path::ROOT.key("cognitive_plan"));
        }
        match decision.final_decision {
            Some(FinalDecision::Reject) => return decision.subject().map(Verdict::Rejected),
            Some(FinalDecision::ReviewRequired) => return decision.subject().map(Verdict::AwaitingApproval),
            Some(_) if decision.requires_human_review => {
                return decision.subject().map(Verdict::AwaitingApproval);
            }
            // A decision that cannot be read is an error by now; its plan may have more of them.
            Some(FinalDecision::Approve | FinalDecision::Conditional) | None => {}
        }
        self.check_expiry(decision.valid_until, Path::ROOT.key("valid_until"), reader);
        let section = self.find_plan(embedded, ledger, decision.final_decision, reader)?;
        decision.compare(&section, reader);
        let plan = plan::read(section, reader, self)?;
        let decision = decision.complete(&plan)?;
        Some(Verdict::Run(Box::new(ApprovedPlan { decision, plan })))
    }

    /// The plan a decision is about: the one it carries, else the one in the ledger.
    fn find_plan<'a>(
        &self,
        embedded: &Embedded<'a>,
        ledger: Option<&'a Json>,
        decided: Option<FinalDecision>,
        reader: &mut Reader<'_>,
    ) -> Option<NamedSection<'a>> {
        match (embedded, ledger) {
            (Embedded::Plan(section), _) => return Some(*section),
            (Embedded::NoPlan(_), _) => {}
            (Embedded::Unreadable(flaw), _) => reader.findings.add_error((*flaw).clone()),
            (Embedded::Absent, Some(entry)) => {
                if let Err(finding) = self.limits.check_nesting(entry, "ledger") {
                    reader.findings.add_error(finding);
                    return None;
                }
                let members = reader.object(entry, &Path::Base(["ledger", ""]))?;
                return Some(Section::of_plan(members, "ledger"));
            }
            (Embedded::Absent, None) => {
                if decided.is_some() {
                    let message = "the decision carries no plan, and the ledger holds none";
                    let at = Path::ROOT.key("cognitive_plan");
                    reader.findings.error(Code::PlanNotFound, at, message);
                }
            }
        }
        None
    }

    /// A plan that came on its own carries its own approval.
    fn judge_plan(&self, section: NamedSection<'_>, reader: &mut Reader<'_>) -> Option<Verdict> {
        let word = |key| section.find(key).and_then(|(value, _)| value.as_text());
        let needs_approval = matches!(section.find("requires_approval"), Some((Json::Bool(true), _)));
        let verdict: Option<fn(Subject) -> Verdict> = match (word("status"), word("approval_status")) {
            (Some("rejected"), _) | (_, Some("rejected")) => Some(Verdict::Rejected),
            (_, approval) if needs_approval && approval != Some("approved") => {
                Some(Verdict::AwaitingApproval)
            }
            _ => None,
        };
        if let Some(verdict) = verdict {
            return plan::subject(section, reader).map(verdict);
        }
        let plan = plan::read(section, reader, self)?;
        let decision = Decision::of_direct_plan(&plan);
        Some(Verdict::Run(Box::new(ApprovedPlan { decision, plan })))
    }

    fn check_expiry(&self, valid_until: Option<Timestamp>, at: impl Display, reader: &mut Reader<'_>) {
        if let Some((end, now)) = valid_until.zip(self.now)
            && end < now
        {
            reader.findings.error(Code::PlanExpired, at, format_args!("valid until {end}, now it is {now}"));
        }
    }
}

#[cfg(test)]
mod tests;
