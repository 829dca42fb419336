//! The tables are sound, and the words of labels are those of the domain.

use std::collections::HashSet;

use hive_domain::orchestration::flow::PlanStatus;
use hive_domain::registry::public::{AgentStatus, AgentType};
use hive_domain::tickets::TicketStatus;
use hive_domain::tickets::public::{Priority, RiskBand, TaskType};

use super::*;

#[test]
fn every_family_is_there_once_by_the_rules_of_names() {
    let mut names = HashSet::new();
    for family in all() {
        assert!(names.insert(family.name), "{} is there twice", family.name);
        assert!(
            family
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        );
        let counts = family.name.ends_with("_total");
        assert_eq!(
            counts,
            family.kind == Kind::Counter,
            "{}: counters, and only they, end with _total",
            family.name
        );
        assert!(!family.help.is_empty() && !family.help.contains(['|', '\n']), "{}", family.name);
    }
}

/// Handles are found by the place of a value, so the values of a label must be in the order of the domain.
#[test]
fn labels_are_in_the_order_of_the_domain() {
    fn same<T: Copy>(
        words: &[&str],
        all: &[T],
        word: impl Fn(T) -> &'static str,
        place: impl Fn(T) -> usize,
    ) {
        assert_eq!(words, all.iter().map(|value| word(*value)).collect::<Vec<_>>());
        assert!(all.iter().enumerate().all(|(at, value)| place(*value) == at));
    }
    same(TASK_TYPES, TaskType::ALL, TaskType::as_str, |value| value as usize);
    same(PRIORITIES, Priority::ALL, Priority::as_str, |value| value as usize);
    same(RISK_BANDS, RiskBand::ALL, RiskBand::as_str, |value| value as usize);
    same(TICKET_STATUSES, &TicketStatus::ALL, TicketStatus::as_str, |value| value as usize);
    let plans = [PlanStatus::Success, PlanStatus::Partial, PlanStatus::Failed];
    same(PLAN_STATUSES, &plans, PlanStatus::as_str, |value| value as usize);
    same(AGENT_TYPES, &AgentType::ALL, AgentType::as_str, |value| value as usize);
    same(AGENT_STATUSES, &AgentStatus::ALL, AgentStatus::as_str, |value| value as usize);
}

/// The families as `docs/observability.md` lists them.
fn rows() -> String {
    let mut rows = String::new();
    for family in all() {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = family.labels.iter().map(|(label, _)| format!("`{label}`")).collect();
        let moves = match family.moves {
            Moves::Always => "always".to_owned(),
            Moves::When(what) => format!("when {what}"),
            Moves::Never(reason) => format!("never: {reason}"),
        };
        let (name, help, labels) = (family.name, family.help, labels.join(", "));
        rows.push_str(&format!("| `{name}` | {kind} | {labels} | {help} | {moves} |\n"));
    }
    rows
}

#[test]
fn the_documentation_lists_every_family() {
    let rows = rows();
    let shown = include_str!("../../../../../docs/observability.md");
    assert!(shown.contains(&rows), "docs/observability.md is to hold these rows, in this order:\n{rows}");
}

#[test]
fn dashboards_ask_for_families_that_are_there() {
    let dashboards = [
        include_str!("../../../../../docs/observability/dashboards/orchestration-flow-c.json"),
        include_str!("../../../../../docs/observability/dashboards/execution-ticket-service.json"),
        include_str!("../../../../../docs/observability/dashboards/service-registry.json"),
    ];
    let mut asked = 0;
    for line in dashboards.iter().flat_map(|text| text.lines()) {
        let Some(query) = line.trim().strip_prefix("\"expr\": ") else { continue };
        let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        // Every name of a metric has two words at least, none of a label of ours with three does.
        for word in words.filter(|word| word.matches('_').count() > 1 && !word.starts_with("container_")) {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            assert!(find(family.unwrap_or(word)).is_some(), "{word} in {query}");
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked}");
}
