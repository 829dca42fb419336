//! Asked to end, the process ends cleanly and can go on later.

use hive_it::folder::{Folder, temporary};
use hive_it::process::Hive;
use hive_it::random::Random;
use hive_it::{audit, plan};

#[test]
fn sigterm_ends_cleanly_and_the_plan_goes_on_later() {
    let data = temporary();
    let folder = temporary();
    let message = plan::lengthy("terminated", 8, 2, &mut Random::new(7));
    let plan = plan::write(folder.path(), "plan.json", message.to_string());

    let mut running = Hive::run(&plan).data(data.path()).start();
    running.wait_for_line("layer-1-task-0");
    running.terminate();
    let stopped = running.finish().exits_with(1);
    assert!(stopped.err.contains("the same command goes on where it left off"), "{}", stopped.err);
    let folder = Folder::read(data.path(), "terminated");
    assert!(folder.is_midway(), "it was stopped on its way");

    let _ = Hive::run(&plan).data(data.path()).finish().exits_with(0);
    let folder = Folder::read(data.path(), "terminated");
    assert_eq!(audit::problems(&folder, &message), [""; 0]);
}

#[test]
fn stopped_without_a_folder_nothing_is_left() {
    let folder = temporary();
    let plan = plan::single("unkept", "Takes long", 30_000);
    let plan = plan::write(folder.path(), "plan.json", plan.to_string());
    let mut running = Hive::run(&plan).start();
    running.wait_for_line("only");
    running.terminate();
    let stopped = running.finish().exits_with(1);
    assert!(stopped.left_behind.is_empty(), "{:?}", stopped.left_behind);
}
