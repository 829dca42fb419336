//! The command line and the settings: what is wrong is named, exits with 64, and gives away no secret.

use hive_it::example;
use hive_it::folder::temporary;
use hive_it::process::{Finished, Hive};

const SECRET: &str = "hunter2-do-not-print";

fn said(finished: &Finished) -> String {
    format!("{}{}", finished.out, finished.err)
}

#[test]
fn help_and_version_are_answers() {
    for arguments in
        [&["--help"][..], &["run", "--help"], &["config", "--help"], &["version"], &["--version"]]
    {
        let finished = Hive::new(arguments).finish().exits_with(0);
        assert!(!finished.out.trim().is_empty(), "{arguments:?}");
    }
    assert!(Hive::new(["version"]).finish().out.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let wrong: [&[&str]; 11] = [
        &["no-such-command"],
        &["run"],
        &["run", "a.json", "b.json"],
        &["run", "a.json", "--no-such-flag"],
        &["run", "a.json", "--agents", "many"],
        &["run", "a.json", "--agents", "0"],
        &["run", "a.json", "--output", "xml"],
        &["config", "no-such-command"],
        &["serve", "tickets", "--agents", "2"],
        &["serve", "orchestration", "--name", "worker"],
        &["serve", "agent", "registry", "--name", "worker"],
    ];
    for arguments in wrong {
        let finished = Hive::new(arguments).finish().exits_with(64);
        assert!(!finished.err.trim().is_empty(), "{arguments:?}");
        assert!(finished.out.is_empty(), "{arguments:?}: {}", finished.out);
    }
}

#[test]
fn an_unknown_key_is_named() {
    for command in [&["config", "check"][..], &["config", "dump"], &["run", "a.json"]] {
        let finished = Hive::new(command).env("ORCHESTRATION__NOPE", SECRET).finish().exits_with(64);
        let text = said(&finished);
        assert!(text.contains("ORCHESTRATION__NOPE"), "{command:?}: {text}");
        assert!(!text.contains(SECRET), "{command:?}: {text}");
    }
    let hive = Hive::run(&example("rejected.json")).env("TICKETS__NOPE", "1").env("REGISTRY__NOPE", "1");
    let text = said(&hive.finish().exits_with(64));
    assert!(text.contains("TICKETS__NOPE") && text.contains("REGISTRY__NOPE"), "all at once: {text}");
}

#[test]
fn a_bad_value_is_named_by_its_key_and_never_shown() {
    let finished =
        Hive::new(["config", "check"]).env("SCHEDULER_MAX_PARALLEL_TICKETS", SECRET).finish().exits_with(64);
    let text = said(&finished);
    assert!(text.contains("SCHEDULER_MAX_PARALLEL_TICKETS"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn the_settings_in_effect_can_be_shown_and_read_again() {
    let _ = Hive::new(["config", "check"]).finish().exits_with(0);
    let dump = |hive: Hive| hive.env("JWT_SECRET_KEY", SECRET).finish().exits_with(0).out;
    let shown = dump(Hive::new(["config", "dump"]).env("RETRY_MAX_INTERVAL_MS", "5000"));
    assert!(shown.contains("RETRY_MAX_INTERVAL_MS=5000"), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");

    let again = Hive::new(["config", "dump"]);
    std::fs::write(again.working_folder().join(".env"), &shown).unwrap();
    let values = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(values(&dump(again)), values(&shown));
}

#[test]
fn a_mistake_in_the_file_is_named_by_its_line() {
    let hive = Hive::new(["config", "check"]);
    let file = format!("LOG_LEVEL=warn\n\nSCHEDULER_MAX_PARALLEL_TICKETS={SECRET}\n");
    std::fs::write(hive.working_folder().join(".env"), file).unwrap();
    let text = said(&hive.finish().exits_with(64));
    assert!(text.contains("SCHEDULER_MAX_PARALLEL_TICKETS") && text.contains('3'), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}

/// Where nothing listens.
const NOWHERE: &str = "postgres://somebody:s3cret@127.0.0.1:1/nothing";

#[test]
fn a_database_that_is_away_is_named_and_waited_for_until_told_to_stop() {
    let (data, file) = (temporary(), example("ledger.json"));
    for hive in [Hive::new(["migrate"]), Hive::run(&file)] {
        let told = hive.data(data.path()).env("TICKETS__DATABASE_URL", NOWHERE).finish().exits_with(64);
        assert!(told.err.contains("hive: database 127.0.0.1:1/nothing: "), "{}", told.err);
        assert!(!told.err.contains("data folder") && !told.err.contains("s3cret"), "{}", told.err);
    }
    let hive = Hive::new(["serve", "tickets"]).data(data.path()).env("TICKETS__DATABASE_URL", NOWHERE);
    let mut running = hive.env("HTTP_PORT", "0").env("PROMETHEUS_PORT", "0").start();
    let _ = running.wait_for_line("waiting for database 127.0.0.1:1/nothing");
    running.terminate();
    let ended = running.finish().exits_with(0);
    assert!(!ended.err.contains("serves") && !ended.err.contains("s3cret"), "{}", ended.err);
}

#[test]
fn migrating_twice_changes_nothing() {
    let data = temporary();
    for _ in 0..2 {
        let _ = Hive::new(["migrate"]).data(data.path()).finish().exits_with(0);
    }
    for name in ["tickets.db", "orchestration.db", "registry.db"] {
        assert!(data.path().join(name).exists(), "{name}");
    }
    let _ = Hive::run(&example("ledger.json")).data(data.path()).finish().exits_with(0);
}
