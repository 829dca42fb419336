//! Every example plan ends as its README says.

use hive_domain::orchestration::telemetry::{INCIDENTS_TOPIC, TELEMETRY_TOPIC};
use hive_domain::tickets::{TicketAction, TicketStatus};
use hive_it::folder::{Folder, Life, temporary};
use hive_it::process::{Finished, Hive};
use hive_it::{audit, document, example};
use serde_json::Value;

fn run(name: &str, code: i32) -> (Value, Finished) {
    let finished = Hive::run(&example(name)).json().finish().exits_with(code);
    (finished.json(), finished)
}

/// Asserts that a plan of `tasks` tasks succeeds; hands back its tickets.
fn succeeds(name: &str, tasks: usize) -> Vec<Value> {
    let (result, finished) = run(name, 0);
    assert_eq!(result["status"], "SUCCESS", "{name}");
    assert_eq!(result["consistent"], true, "{name}: {}", result["errors"]);
    assert_eq!(result["metrics"]["total_tickets"], tasks, "{name}");
    assert_eq!(result["metrics"]["successful"], tasks, "{name}");
    let tickets = result["tickets"].as_array().expect("tickets are an array").clone();
    assert_eq!(tickets.len(), tasks, "{name}");
    assert!(tickets.iter().all(|ticket| ticket["status"] == "COMPLETED"), "{name}");
    assert!(finished.left_behind.is_empty(), "{name} left behind {:?}", finished.left_behind);
    tickets
}

fn ticket<'a>(tickets: &'a [Value], task: &str) -> &'a Value {
    tickets.iter().find(|ticket| ticket["task_id"] == task).expect("the task has a ticket")
}

#[test]
fn diamond_succeeds_and_leaves_nothing_behind() {
    let tickets = succeeds("diamond.json", 6);
    let ended = |task: &str| ticket(&tickets, task)["completed_at"].as_i64();
    let started = |task: &str| ticket(&tickets, task)["started_at"].as_i64();
    for check in ["unit-tests", "scan-dependencies", "plan-infrastructure"] {
        assert!(started(check) >= ended("collect-changes") && ended(check) <= started("build-image"));
    }
}

#[test]
fn fan_out_succeeds() {
    succeeds("fan-out.json", 62);
}

#[test]
fn a_long_chain_succeeds() {
    succeeds("chain.json", 40);
}

#[test]
fn a_thousand_tasks_succeed() {
    succeeds("thousand.json", 1_000);
}

#[test]
fn a_ledger_entry_succeeds() {
    succeeds("ledger.json", 4);
}

#[test]
fn a_task_that_fails_twice_succeeds_at_the_third_try() {
    let tickets = succeeds("retries.json", 4);
    let retries: Vec<i64> = tickets.iter().filter_map(|ticket| ticket["retry_count"].as_i64()).collect();
    assert_eq!(ticket(&tickets, "fetch-statements")["retry_count"], 2);
    assert_eq!(retries.iter().sum::<i64>(), 2, "only this one was tried again");
}

#[test]
fn a_failed_plan_is_undone_in_reverse_order_and_reported() {
    let data = temporary();
    let plan = example("compensates.json");
    let result = Hive::run(&plan).data(data.path()).json().finish().exits_with(1).json();
    assert_eq!(result["status"], "FAILED");
    assert_eq!(result["metrics"]["compensated"], 3);
    assert_eq!(result["compensation_results"].as_array().map(Vec::len), Some(3));

    let folder = Folder::read(data.path(), "release-payments-7.0");
    let status = |task: &str| -> Vec<TicketStatus> {
        let lives = folder.tickets.iter().filter(|life| life.ticket.content().task_id.as_str() == task);
        lives.map(|life| life.ticket.status()).collect()
    };
    for undone in ["build-payments-image", "deploy-canary", "probe-canary"] {
        assert!(status(undone).contains(&TicketStatus::Compensated), "{undone}: {:?}", status(undone));
    }
    for never in ["deploy-everywhere", "announce-release"] {
        assert_eq!(status(never), [TicketStatus::Cancelled], "{never}");
        let reason = folder.ticket(never).and_then(|life| life.ticket.state().error_message.clone());
        assert!(
            reason.is_some_and(|text| text.contains("probe-canary") || text.contains("ticket")),
            "{never}"
        );
    }
    assert_eq!(undone(&folder), ["probe-canary", "deploy-canary", "build-payments-image"]);
    assert_eq!(folder.told(INCIDENTS_TOPIC).len(), 1, "one incident");
    assert_eq!(folder.told(TELEMETRY_TOPIC).len(), 1, "one frame");
}

/// The tasks in the order in which they were undone.
fn undone(folder: &Folder) -> Vec<&str> {
    let ends = folder.log.iter().filter(|change| change.event.action == TicketAction::Compensated);
    ends.map(|change| change.ticket.content.task_id.as_str()).collect()
}

#[test]
fn a_plan_that_nobody_approved_creates_nothing_and_says_which() {
    for (name, plan_id, status) in [
        ("rejected.json", "partner-direct-access", "REJECTED"),
        ("awaiting-approval.json", "retire-crm-v1", "AWAITING_APPROVAL"),
    ] {
        let data = temporary();
        let finished = Hive::run(&example(name)).data(data.path()).json().finish().exits_with(1);
        let expected = serde_json::json!({
            "plan_id": plan_id,
            "workflow_id": format!("orch-{plan_id}"),
            "status": status,
            "tickets": [],
        });
        assert_eq!(finished.json(), expected, "{name}");
        assert!(Folder::read(data.path(), plan_id).is_untouched(), "{name}");
        let spoken = Hive::run(&example(name)).finish().exits_with(1);
        let words = format!("{}{}", spoken.out, spoken.err).to_lowercase().replace('_', " ");
        assert!(words.contains(&status.to_lowercase().replace('_', " ")), "{name}: {words}");
    }
}

#[test]
fn a_plan_that_waits_for_an_agent_says_what_it_waits_for() {
    let data = temporary();
    let mut running = Hive::run(&example("waits-for-agent.json")).data(data.path()).start();
    let line = running.wait_for_line("quantum-annealing");
    assert!(line.contains("solve-routes"), "the line names the task: {line}");
    assert!(running.kill().was_killed());
    let folder = Folder::read(data.path(), "routes-utrecht-2026-03-03");
    assert!(folder.is_midway(), "it waits");
}

#[test]
fn invalid_plans_say_all_that_is_wrong() {
    let cases: [(&str, &[&str]); 8] = [
        ("cycle", &["CYCLE"]),
        ("unknown-dependency", &["UNKNOWN_DEPENDENCY", "UNKNOWN_TASK_IN_ORDER"]),
        ("duplicate-task", &["DUPLICATE_TASK_ID"]),
        ("missing-fields", &["MISSING_FIELD"; 3]),
        ("wrong-types", &["SCHEMA_INVALID"; 8]),
        ("expired", &["PLAN_EXPIRED"; 2]),
        ("estimate-over-policy", &["POLICY_VIOLATION"]),
        ("not-json", &["SCHEMA_INVALID"]),
    ];
    for (name, expected) in cases {
        assert_eq!(codes(name), expected, "{name}");
    }
    let mut codes = codes("several-errors-at-once");
    assert_eq!(codes.len(), 14);
    codes.dedup();
    assert_eq!(codes.len(), 14, "each of another code");
}

/// The codes that `invalid/<name>.json` is refused with, sorted.
fn codes(name: &str) -> Vec<String> {
    let plan = example(&format!("invalid/{name}.json"));
    let data = temporary();
    let finished = Hive::run(&plan).data(data.path()).json().finish().exits_with(2);
    let errors = finished.json()["errors"].as_array().expect("errors are an array").clone();
    assert!(Folder::read(data.path(), "any").is_untouched(), "{name}");
    for error in &errors {
        let keys: Vec<&String> = error.as_object().expect("an error is an object").keys().collect();
        assert_eq!(keys, ["code", "message", "path"], "{name}");
        let text = |key: &str| error[key].as_str().expect("text");
        let line = format!("{} at {}: {}", text("code"), text("path"), text("message"));
        assert!(finished.err.contains(&line), "{name}: `{line}` is not in: {}", finished.err);
    }
    let spoken = Hive::run(&plan).finish().exits_with(2);
    assert_eq!(spoken.err.lines().count(), finished.err.lines().count(), "people see the same");
    assert!(spoken.out.is_empty(), "{name}: {}", spoken.out);
    let mut codes: Vec<String> =
        errors.iter().filter_map(|error| Some(error["code"].as_str()?.to_owned())).collect();
    codes.sort();
    codes
}

#[test]
fn a_finished_example_keeps_every_promise() {
    let data = temporary();
    let plan = example("retries.json");
    let _ = Hive::run(&plan).data(data.path()).finish().exits_with(0);
    let message = document::json(&std::fs::read_to_string(&plan).unwrap());
    let folder = Folder::read(data.path(), "reconcile-2026-03-01");
    assert_eq!(audit::problems(&folder, &message["cognitive_plan"]), [""; 0]);
}

#[test]
fn the_audit_sees_what_is_lost_and_what_is_twice() {
    let data = temporary();
    let plan = example("diamond.json");
    let _ = Hive::run(&plan).data(data.path()).finish().exits_with(0);
    let message = document::json(&std::fs::read_to_string(&plan).unwrap());
    let folder = Folder::read(data.path(), "release-checkout-3.4");
    let problems = |spoil: &dyn Fn(&mut Folder)| {
        let mut folder = folder.clone();
        spoil(&mut folder);
        audit::problems(&folder, &message["cognitive_plan"])
    };
    assert_eq!(problems(&|_| {}), [""; 0]);
    let spoils: [&dyn Fn(&mut Folder); 7] = [
        &|folder| drop(folder.tickets.pop()),
        &|folder| folder.tickets.push(folder.tickets[0].clone()),
        &|folder| repeat_last(&mut folder.tickets[0]),
        &|folder| drop(folder.log.remove(7)),
        &|folder| folder.log.swap(8, 9),
        &|folder| folder.flow = None,
        &|folder| folder.messages.push(folder.messages[0].clone()),
    ];
    for (index, spoil) in spoils.iter().enumerate() {
        assert!(!problems(spoil).is_empty(), "spoil {index} was not seen");
    }
}

fn repeat_last(life: &mut Life) {
    let last = life.history.last().cloned();
    life.history.extend(last);
}
