//! Bad input is refused with its reason and leaves nothing behind.

use std::path::Path;

use hive_it::folder::{Folder, temporary};
use hive_it::plan;
use hive_it::process::Hive;
use serde_json::{Value, json};

/// Runs a file that must be refused; hands back its errors.
fn refused(plan: &Path) -> Vec<Value> {
    refuses(Hive::run(plan))
}

fn refuses(hive: Hive) -> Vec<Value> {
    let data = temporary();
    let finished = hive.data(data.path()).json().finish().exits_with(2);
    let answer = finished.json();
    let keys: Vec<&String> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["errors", "warnings"], "{answer}");
    assert!(Folder::read(data.path(), "any").is_untouched(), "something was created: {answer}");
    let errors = answer["errors"].as_array().expect("errors are an array").clone();
    assert!(!errors.is_empty(), "{answer}");
    for error in &errors {
        for key in ["code", "path", "message"] {
            assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "{key} is missing: {error}");
        }
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.len() < 2_000, "the message repeats the input: {} bytes", message.len());
    }
    errors
}

/// Asserts that a message has exactly this one error.
fn has_one_error(what: &str, message: impl AsRef<[u8]>, code: &str, path: &str) {
    let folder = temporary();
    let errors = refused(&plan::write(folder.path(), "plan.json", message));
    let found: Vec<(&Value, &Value)> = errors.iter().map(|error| (&error["code"], &error["path"])).collect();
    assert_eq!(found, [(&json!(code), &json!(path))], "{what}: {errors:?}");
}

#[test]
fn what_is_no_json_is_a_schema_error() {
    let cases: [(&str, &[u8]); 8] = [
        ("nothing", b""),
        ("space", b" \n\t "),
        ("words", b"not json at all"),
        ("half a document", br#"{"plan_id": "half", "tasks": ["#),
        ("two documents", b"{} {}"),
        ("no UTF-8", b"{\"plan_id\": \"\xff\xfe\"}"),
        ("binary", b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        ("a key twice", br#"{"plan_id": "one", "plan_id": "two"}"#),
    ];
    for (what, bytes) in cases {
        has_one_error(what, bytes, "SCHEMA_INVALID", "$");
    }
}

#[test]
fn json_that_is_no_message_is_a_schema_error() {
    for text in ["null", "7", "\"text\"", "[]", "{}", "[{\"plan_id\": \"in a list\"}]"] {
        has_one_error(text, text, "SCHEMA_INVALID", "$");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    has_one_error("65 levels", deep(65), "NESTING_TOO_DEEP", "$");
    has_one_error("a million open brackets", "[".repeat(1_000_000), "NESTING_TOO_DEEP", "$");
    let objects = "{\"a\":".repeat(200_000);
    has_one_error("objects", objects, "NESTING_TOO_DEEP", "$");
}

#[test]
fn wrong_types_are_named_by_their_paths() {
    let mut plan = plan::single("wrong", "One task", 0);
    plan["tasks"][0]["dependencies"] = json!("nothing");
    plan["risk_score"] = json!("high");
    plan["execution_order"] = json!({"0": "only"});
    let folder = temporary();
    let errors = refused(&plan::write(folder.path(), "plan.json", plan.to_string()));
    let mut paths: Vec<&str> = errors.iter().filter_map(|error| error["path"].as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["execution_order", "risk_score", "tasks[0].dependencies"], "{errors:?}");
    assert!(errors.iter().all(|error| error["code"] == "SCHEMA_INVALID"), "{errors:?}");
}

#[test]
fn a_description_of_ten_megabytes_is_refused() {
    let plan = plan::single("long", &"x".repeat(10 << 20), 0);
    has_one_error("10 MiB", plan.to_string(), "FIELD_TOO_LONG", "tasks[0].description");
}

#[test]
fn a_message_beyond_sixteen_mebibytes_is_refused_unread() {
    let plan = plan::single("large", &"x".repeat(17 << 20), 0);
    has_one_error("17 MiB", plan.to_string(), "MESSAGE_TOO_LARGE", "$");
    let endless = Hive::new(["run", "-"]).stdin(Path::new("/dev/zero"));
    assert_eq!(refuses(endless)[0]["code"], "MESSAGE_TOO_LARGE", "an endless input is not read to its end");
}

#[test]
fn a_file_that_cannot_be_read_is_an_input_error_that_names_it() {
    let folder = temporary();
    let missing = folder.path().join("no-such-plan.json");
    let locked = plan::write(folder.path(), "locked.json", "{}");
    deny(&locked);
    for path in [missing.as_path(), folder.path(), &locked, Path::new("/dev/zero")] {
        // Root reads everything.
        if path == locked && std::fs::read(path).is_ok() {
            continue;
        }
        let errors = refused(path);
        let found: Vec<(&Value, &Value)> =
            errors.iter().map(|error| (&error["code"], &error["path"])).collect();
        assert_eq!(found, [(&json!("INPUT_UNREADABLE"), &json!("$"))], "{errors:?}");
        let finished = Hive::run(path).finish().exits_with(2);
        assert!(finished.err.contains(&*path.to_string_lossy()), "{}", finished.err);
    }
}

fn deny(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o0)).expect("our own file");
}

#[test]
fn a_decision_without_a_plan_finds_none() {
    let decision = json!({
        "decision_id": "decision-1",
        "plan_id": "nowhere",
        "final_decision": "approve",
    });
    let folder = temporary();
    let errors = refused(&plan::write(folder.path(), "plan.json", decision.to_string()));
    assert_eq!(errors[0]["code"], "PLAN_NOT_FOUND", "{errors:?}");
}
