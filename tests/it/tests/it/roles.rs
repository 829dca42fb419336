//! The platform as four processes.

use hive_it::folder::{Folder, temporary};
use hive_it::process::Hive;
use hive_it::random::Random;
use hive_it::roles::{Processes, ROLES, Role};
use hive_it::{audit, plan};

#[test]
fn a_plan_runs_through_four_processes_that_end_well() {
    let (data, plans) = (temporary(), temporary());
    let message = plan::layered("four", 4, 3, &mut Random::new(7));
    let file = plan::write(plans.path(), "four.json", message.to_string());
    let mut processes = Processes::start(data.path());
    for (role, service) in [
        (Role::Tickets, "execution-ticket-service"),
        (Role::Registry, "service-registry"),
        (Role::Orchestration, "orchestrator-dynamic"),
        (Role::Agent, "hive-agent"),
    ] {
        let (status, body) = processes.get(role, "/health");
        assert_eq!((status, body.contains(service)), (200, true), "{body}");
        processes.wait_until_ready(role);
    }
    let (status, body) = processes.get(Role::Tickets, "/grpc-health");
    assert_eq!((status, body.contains("\"grpc_server_running\":true")), (200, true), "{body}");
    assert_eq!(processes.get(Role::Registry, "/grpc-health").0, 404);
    let ran = processes.submit(&file).finish().exits_with(0);
    assert!(ran.out.contains("plan four: SUCCESS: 12 tickets: 12 completed"), "{}", ran.out);
    let healthy = processes.health().finish().exits_with(0);
    assert_eq!(healthy.out.matches(" SERVING\n").count(), 3, "{}", healthy.out);

    let again = processes.submit(&file).finish().exits_with(0);
    assert!(again.out.contains("ended before"), "{}", again.out);
    let refused = processes.submit(&hive_it::example("invalid/cycle.json")).finish().exits_with(2);
    assert!(refused.err.contains("error: CYCLE at tasks[0].dependencies"), "{}", refused.err);

    // A role whose neighbour is gone says so, and says that it is well again.
    let _ = processes.end(Role::Agent).exits_with(0);
    let _ = processes.end(Role::Registry).exits_with(0);
    let (status, body) = processes.get(Role::Orchestration, "/ready");
    assert_eq!((status, body.contains("\"service-registry\":false")), (503, true), "{body}");
    for role in [Role::Registry, Role::Agent] {
        processes.start_role(role, data.path());
    }
    processes.wait_until_ready(Role::Orchestration);
    processes.end_all();
    assert_eq!(audit::problems(&Folder::read(data.path(), "four"), &message), [""; 0]);
}

#[test]
fn whichever_process_is_killed_the_plan_completes_and_nothing_happens_twice() {
    let (data, plans) = (temporary(), temporary());
    let mut random = Random::new(13);
    let mut processes = Processes::start(data.path());
    let mut messages = Vec::new();
    for role in ROLES {
        let plan_id = format!("killed-{role:?}");
        let message = plan::layered(&plan_id, 8, 2, &mut random);
        let file = plan::write(plans.path(), &format!("{plan_id}.json"), message.to_string());
        let mut watching = processes.submit(&file).start();
        watching.wait_for_line("COMPLETED");
        assert!(processes.kill(role).was_killed());
        processes.start_role(role, data.path());
        let ran = watching.finish().exits_with(0);
        assert!(ran.out.contains(": SUCCESS: 16 tickets: 16 completed"), "{}", ran.out);
        messages.push((plan_id, message));
    }
    processes.end_all();
    for (plan_id, message) in messages {
        let folder = Folder::read(data.path(), &plan_id);
        assert_eq!(audit::problems(&folder, &message), [""; 0], "{plan_id}");
    }
}

#[test]
fn agents_asked_to_end_finish_what_they_have_and_leave() {
    let (data, plans) = (temporary(), temporary());
    let mut processes = Processes::start(data.path());
    let message = plan::single("left", "Takes a moment", 1_000);
    let file = plan::write(plans.path(), "left.json", message.to_string());
    let mut watching = processes.submit(&file).start();
    watching.wait_for_line("RUNNING");
    let _ = processes.end(Role::Agent).exits_with(0);
    let ran = watching.finish().exits_with(0);
    assert!(ran.out.contains("1 completed;"), "no retry: {}", ran.out);
    processes.start_role(Role::Agent, data.path());
    processes.end_all();
}

#[test]
fn neighbours_that_are_down_at_the_start_are_waited_for() {
    let (data, plans) = (temporary(), temporary());
    let mut processes = Processes::start(data.path());
    for role in ROLES.into_iter().rev() {
        let _ = processes.end(role).exits_with(0);
    }
    for role in [Role::Orchestration, Role::Agent] {
        processes.start_role(role, data.path());
        let (status, body) = processes.get(role, "/ready");
        assert_eq!((status, body.contains("\"execution-ticket-service\":false")), (503, true), "{body}");
    }
    let message = plan::single("patient", "Waits", 1);
    let file = plan::write(plans.path(), "patient.json", message.to_string());
    let mut watching = processes.submit(&file).start();
    watching.wait_for_line("generating_tickets");
    for role in [Role::Tickets, Role::Registry] {
        processes.start_role(role, data.path());
    }
    let _ = watching.finish().exits_with(0);
    processes.end_all();
}

#[test]
fn a_part_of_a_folder_is_served_once() {
    let data = temporary();
    let ports = |hive: Hive| {
        ["GRPC__SERVER__PORT", "HTTP_PORT", "PROMETHEUS_PORT"]
            .iter()
            .fold(hive, |hive, port| hive.env(port, "0"))
    };
    let mut first = ports(Hive::new(["serve", "tickets"])).data(data.path()).start();
    first.wait_for_line("hive: metrics serves");
    let second = ports(Hive::new(["serve", "tickets"])).data(data.path()).finish().exits_with(64);
    assert!(second.err.contains(&format!("in use by process {}", first.pid())), "{}", second.err);
    let mut other = ports(Hive::new(["serve", "registry"])).data(data.path()).start();
    other.wait_for_line("hive: metrics serves");
    for running in [first, other] {
        running.terminate();
        let _ = running.finish().exits_with(0);
    }
}
