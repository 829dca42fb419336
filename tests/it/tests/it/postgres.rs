//! The platform on PostgreSQL: a plan, settings, and a server that goes away and comes back.

use std::env;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use hive_it::folder::{Folder, temporary};
use hive_it::process::{Hive, LIMIT};
use hive_it::random::Random;
use hive_it::up::{Rest, Up, up};
use hive_it::{audit, plan};
use hive_postgres::{Cluster, Stop, URL, programs};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const ROLES: [(&str, &str); 3] = [
    ("TICKETS__DATABASE_URL", "tickets"),
    ("ORCHESTRATION__DATABASE_URL", "orchestration"),
    ("REGISTRY__DATABASE_URL", "registry"),
];

/// A call that is to fail while the database is away must not take longer. It takes about a second; this is for a machine
/// that does much else.
const FAST: Duration = Duration::from_secs(20);

/// A server of its own with a database for each role; none where PostgreSQL is not installed.
fn cluster() -> Option<Cluster> {
    if programs().is_none() && env::var_os("CI").is_none() && env::var_os(URL).is_none() {
        return None;
    }
    let cluster = Cluster::start().expect("a server");
    ROLES.iter().for_each(|(_, database)| cluster.create(database).expect("a database"));
    Some(cluster)
}

/// The command line with every database on the server.
fn on(cluster: &Cluster, hive: Hive) -> Hive {
    ROLES.iter().fold(hive, |hive, (name, database)| hive.env(name, &cluster.url(database)))
}

fn stored(cluster: &Cluster, plan_id: &str) -> Folder {
    Folder::of_servers(&cluster.url("tickets"), &cluster.url("orchestration"), plan_id)
}

fn files(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_plan_runs_and_is_remembered() {
    let Some(cluster) = cluster() else { return };
    let (data, folder) = (temporary(), temporary());
    let message = plan::layered("on-a-server", 4, 3, &mut Random::new(3));
    let file = plan::write(folder.path(), "plan.json", message.to_string());
    let migrated = on(&cluster, Hive::new(["migrate"]).data(data.path())).finish().exits_with(0);
    assert!(migrated.out.contains("/tickets, 127.0.0.1:"), "{}", migrated.out);
    for _ in 0..2 {
        let _ = on(&cluster, Hive::run(&file).data(data.path())).finish().exits_with(0);
    }
    assert!(!files(data.path()).iter().any(|name| name.ends_with(".db")), "nothing is kept in the folder");
    assert_eq!(audit::problems(&stored(&cluster, "on-a-server"), &message), [""; 0]);
}

#[test]
fn settings_never_show_a_password() {
    let secret = "s3cret";
    let url = format!("postgres://somebody:{secret}@127.0.0.1:1/nothing");
    let data = temporary();
    let dump = Hive::new(["config", "dump"]).env("TICKETS__DATABASE_URL", &url);
    let dump = dump.env("POSTGRES_PASSWORD", secret).finish().exits_with(0);
    let absent = Hive::new(["migrate"]).data(data.path()).env("TICKETS__DATABASE_URL", &url).finish();
    let wrong = Hive::new(["migrate"]).data(data.path()).env("TICKETS__DATABASE_URL", &url[1..]).finish();
    for finished in [dump, absent, wrong.exits_with(64)] {
        assert!(!finished.out.contains(secret) && !finished.err.contains(secret), "{finished:?}");
    }
}

fn ticket(id: &str) -> Value {
    json!({
        "ticket_id": id, "plan_id": "load", "intent_id": "load", "decision_id": "load",
        "task_id": id, "task_type": "EXECUTE", "description": "made under load",
        "priority": "NORMAL", "risk_band": "low", "security_level": "INTERNAL",
        "sla": {"deadline": 4_102_444_800_000_i64, "timeout_ms": 60_000, "max_retries": 1},
        "qos": {"delivery_mode": "AT_LEAST_ONCE", "consistency": "EVENTUAL", "durability": "PERSISTENT"},
    })
}

/// What callers were told.
#[derive(Default)]
struct Told {
    saved: Vec<String>,
    failed: usize,
}

/// Callers that create tickets all the time.
struct Load {
    end: Arc<AtomicBool>,
    told: Arc<(Mutex<Told>, Condvar)>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(rest: Rest) -> Self {
        let (end, told): (Arc<AtomicBool>, Arc<(Mutex<Told>, Condvar)>) = Default::default();
        let callers = (0..8).map(|caller| {
            let (end, told) = (Arc::clone(&end), Arc::clone(&told));
            spawn(move || {
                for n in 0.. {
                    if end.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("{caller}-{n}");
                    let begun = Instant::now();
                    let (status, body) = rest.post("/api/v1/tickets", &ticket(&id));
                    assert!(begun.elapsed() < FAST, "{status} after {:?}", begun.elapsed());
                    let mut told_now = told.0.lock().expect("what was told");
                    match status {
                        200 | 201 => told_now.saved.push(id),
                        503 => told_now.failed += 1,
                        other => panic!("{other}: {body}"),
                    }
                    told.1.notify_all();
                }
            })
        });
        let callers = callers.collect();
        Load { end, told, callers }
    }

    /// Waits until so many more calls succeeded, or failed.
    fn more(&self, count: usize, of: fn(&Told) -> usize) {
        let (told, changed) = &*self.told;
        let told = told.lock().expect("what was told");
        let before = of(&told);
        let (_told, waited) =
            changed.wait_timeout_while(told, LIMIT, |told| of(told) < before + count).expect("what was told");
        assert!(!waited.timed_out(), "no {count} more calls end as they must");
    }

    /// Ends the callers; what they were told is saved.
    fn end(self) -> Vec<String> {
        self.end.store(true, Ordering::Relaxed);
        self.callers.into_iter().for_each(|caller| caller.join().expect("every answer is as it must be"));
        std::mem::take(&mut self.told.0.lock().expect("what was told").saved)
    }
}

#[test]
fn what_starts_before_its_database_waits_for_it() {
    let Some(mut cluster) = cluster() else { return };
    let data = temporary();
    cluster.stop(Stop::Fast).expect("the server stops");
    let mut running = on(&cluster, up(data.path())).start();
    let _ = running.wait_for_line("waiting for database 127.0.0.1:");
    cluster.run().expect("the server starts");
    let _ = running.wait_for_line("hive: tickets serves grpc");
    running.terminate();
    let _ = running.finish().exits_with(0);
}

/// A server that is there and refuses is not waited for: no waiting would help.
#[test]
fn what_its_database_refuses_ends_at_once() {
    let Some(cluster) = cluster() else { return };
    let (_, server) =
        cluster.url("tickets").split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a URL");
    for (url, told) in [
        (cluster.url("no_such_database"), "the server has no such database"),
        (format!("postgres://nobody:s3cret@{server}"), "refuses the user, the password"),
        (format!("{}?sslmode=require", cluster.url("tickets")), "the server has no TLS"),
    ] {
        let data = temporary();
        let refused =
            on(&cluster, up(data.path())).env("TICKETS__DATABASE_URL", &url).finish().exits_with(64);
        assert!(refused.err.contains(told), "{}", refused.err);
        assert!(!refused.err.contains("s3cret"), "{}", refused.err);
    }
}

/// The server stops under load, once as if the power failed and once in good order: calls fail at once with "not
/// available", so does readiness, and everything goes on by itself when it is back: calls, and a plan under way.
#[test]
fn the_server_goes_away_and_comes_back() {
    let Some(mut cluster) = cluster() else { return };
    let data = temporary();
    let up = Up::of(on(&cluster, up(data.path())));
    let message = plan::layered("through-outages", 24, 3, &mut Random::new(7));
    let runtime = Runtime::new().expect("threads");
    let submitted = runtime.block_on(up.submit(&message));
    let load = Load::start(up.rest());
    for how in [Stop::Immediate, Stop::Fast] {
        load.more(50, |told| told.saved.len());
        cluster.stop(how).expect("the server stops");
        load.more(8, |told| told.failed);
        let begun = Instant::now();
        let (status, body) = up.get("/ready");
        assert_eq!((status, begun.elapsed() < FAST), (503, true), "{body}");
        cluster.run().expect("the server starts");
        let back = Instant::now();
        while up.get("/ready").0 != 200 {
            assert!(back.elapsed() < LIMIT, "not ready again");
        }
    }
    load.more(50, |told| told.saved.len());
    let saved = load.end();
    for id in &saved {
        assert_eq!(up.get(&format!("/api/v1/tickets/{id}")).0, 200, "{id} was acknowledged");
    }
    let workflow = runtime.block_on(up.end_of(&submitted.workflow_id));
    assert_eq!(workflow.plan_status, "SUCCESS");
    let _ = up.end().exits_with(0);
    let folder = stored(&cluster, "through-outages");
    assert_eq!(audit::problems(&Folder { log: of_plan(&folder), ..folder.clone() }, &message), [""; 0]);
}

/// The log of the tickets of the plan, without those of the load.
fn of_plan(folder: &Folder) -> Vec<Arc<hive_domain::tickets::TicketChange>> {
    let changes = folder.log.iter().filter(|change| change.ticket.content.plan_id.as_str() != "load");
    changes.cloned().collect()
}

/// Two platforms on one database: the second waits, and goes on where the first ends.
#[test]
fn a_second_platform_waits_for_the_end_of_the_first() {
    let Some(cluster) = cluster() else { return };
    let data = [temporary(), temporary()];
    let first = Up::of(on(&cluster, up(data[0].path())));
    let mut second = on(&cluster, up(data[1].path())).start();
    let line = second.wait_for_line("is with another process");
    assert!(line.contains("the hosting of agents"), "{line}");
    assert_eq!(first.get("/ready").0, 200);
    let _ = first.end().exits_with(0);
    second.wait_for_line("serves");
    second.terminate();
    let _ = second.finish().exits_with(0);
}
