//! The data folder: one process at a time, and only a folder of ours.

use std::path::{Path, PathBuf};

use hive_it::folder::temporary;
use hive_it::process::Hive;
use hive_it::{example, plan};

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_folder() {
    let data = temporary();
    let folder = temporary();
    let slow =
        plan::write(folder.path(), "slow.json", plan::single("slow", "Takes long", 30_000).to_string());
    let mut first = Hive::run(&slow).data(data.path()).start();
    first.wait_for_line("only");

    let second = Hive::run(&example("ledger.json")).data(data.path()).finish().exits_with(64);
    let text = format!("{}{}", second.out, second.err);
    assert!(text.contains(&first.pid().to_string()), "pid {} is not in: {text}", first.pid());

    assert!(first.kill().was_killed());
    let _ = Hive::run(&example("ledger.json")).data(data.path()).finish().exits_with(0);
}

#[test]
fn a_leftover_pid_does_not_block() {
    let data = temporary();
    let _ = Hive::run(&example("ledger.json")).data(data.path()).finish().exits_with(0);
    for lock in locks(data.path()) {
        // The pid of a process that lives, but does not hold the folder.
        std::fs::write(lock, std::process::id().to_string()).unwrap();
    }
    let _ = Hive::run(&example("retries.json")).data(data.path()).finish().exits_with(0);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let parent = temporary();
    let file = plan::write(parent.path(), "no-folder", "x");
    let spoiled = parent.path().join("spoiled");
    std::fs::create_dir(&spoiled).unwrap();
    plan::write(&spoiled, "tickets.db", "this is no database, and longer than a header of one".repeat(100));
    for folder in [file, spoiled] {
        let finished = Hive::run(&example("ledger.json")).data(&folder).finish().exits_with(64);
        assert!(finished.err.contains(&*folder.to_string_lossy()), "{}", finished.err);
    }
}

/// Whatever lies in the folder and is no database.
fn locks(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the data folder is there");
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let found: Vec<PathBuf> = paths.filter(|path| !path.to_string_lossy().contains(".db")).collect();
    assert!(!found.is_empty(), "the folder holds a lock file");
    found
}
