//! A plan is remembered: what ended answers with its result, and nothing else may come under its id.

use hive_it::folder::{Folder, temporary};
use hive_it::process::Hive;
use hive_it::{example, plan};
use serde_json::{Value, json};

#[test]
fn an_ended_plan_answers_with_its_stored_result() {
    let data = temporary();
    for (name, plan_id, code) in
        [("diamond.json", "release-checkout-3.4", 0), ("compensates.json", "release-payments-7.0", 1)]
    {
        let run = || Hive::run(&example(name)).data(data.path()).json().finish().exits_with(code).json();
        let first = run();
        let before = Folder::read(data.path(), plan_id);
        let second = run();
        assert_eq!(first, second, "{name}");
        let after = Folder::read(data.path(), plan_id);
        assert_eq!(before.log, after.log, "{name}: no ticket changed");
        assert_eq!(before.flow, after.flow, "{name}: the journal did not grow");
    }
}

#[test]
fn the_same_plan_in_another_notation_is_the_same_plan() {
    let data = temporary();
    let mut plan = plan::single("noted", "One task", 0);
    let result = run(data.path(), &plan, 0);
    plan["a key nobody knows"] = json!(1);
    assert_eq!(run(data.path(), &plan, 0)["consolidated_at"], result["consolidated_at"]);
}

#[test]
fn other_content_under_the_same_id_is_refused() {
    let data = temporary();
    let mut plan = plan::single("taken", "One task", 0);
    run(data.path(), &plan, 0);
    let before = Folder::read(data.path(), "taken");

    plan["tasks"][0]["description"] = json!("Another task");
    let refused = run(data.path(), &plan, 2);
    assert_eq!(refused["errors"][0]["code"], "PLAN_CONFLICT", "{refused}");
    assert_eq!(refused["errors"][0]["path"], "plan_id", "{refused}");
    assert_eq!(refused["errors"].as_array().map(Vec::len), Some(1), "{refused}");
    let after = Folder::read(data.path(), "taken");
    assert_eq!((before.log, before.flow), (after.log, after.flow));
}

#[test]
fn a_refusal_is_no_end() {
    let data = temporary();
    let mut plan = plan::single("judged-afresh", "One task", 0);
    plan["risk_band"] = json!("extreme");
    assert_eq!(run(data.path(), &plan, 2)["errors"][0]["path"], "risk_band");
    plan["risk_band"] = json!("low");
    assert_eq!(run(data.path(), &plan, 0)["status"], "SUCCESS");
}

fn run(data: &std::path::Path, message: &Value, code: i32) -> Value {
    let folder = temporary();
    let plan = plan::write(folder.path(), "plan.json", message.to_string());
    Hive::run(&plan).data(data).json().finish().exits_with(code).json()
}
