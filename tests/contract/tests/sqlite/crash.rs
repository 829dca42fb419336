//! Processes that are killed while they make the schema and write: nothing they acknowledged is lost.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hive_application::tickets::Creation;
use hive_contract::samples::{BY, agent, at, content, dispatch_to, plan, report_of, ticket};
use hive_domain::tickets::{Ticket, TicketStatus};
use hive_sql::{Config, TicketDatabase};

/// A folder with this file in it is one in which the child is to work.
const MARK: &str = "child";

/// The process that gets killed. It is this test binary again, told by its working folder what to do; run as an
/// ordinary test there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    if !Path::new(MARK).exists() {
        return;
    }
    let database = TicketDatabase::open(&Config::new("tickets.db")).await.unwrap();
    let lives = (0..16).map(|caller| {
        let repository = database.repository();
        tokio::spawn(async move {
            for n in 0.. {
                let task = format!("{}-{caller}-{n}", std::process::id());
                let created = repository.create(vec![ticket(&plan("p"), &task)]).await.unwrap();
                assert!(matches!(created[..], [Creation::Created(_)]));
                acknowledge(&task, TicketStatus::Pending);
                let id = content(&plan("p"), &task).ticket_id;
                let (order, report) = (dispatch_to(&agent("w1")), report_of(&agent("w1")));
                let mut dispatch = |ticket: &mut Ticket| ticket.dispatch(order.clone(), at(1), BY);
                repository.update(&id, &mut dispatch).await.unwrap();
                acknowledge(&task, TicketStatus::Running);
                for status in [TicketStatus::Running, TicketStatus::Completed] {
                    let mut change = |ticket: &mut Ticket| ticket.report(status, &report, at(2), BY);
                    repository.update(&id, &mut change).await.unwrap();
                    acknowledge(&task, status);
                }
            }
        })
    });
    for life in lives.collect::<Vec<_>>() {
        life.await.unwrap();
    }
}

fn acknowledge(task: &str, status: TicketStatus) {
    // One write, so that lines of several threads do not mix.
    let line = format!("acknowledged {task} {status}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Starts the child in `folder`, kills it after `life`, and hands back what it acknowledged: task and status.
fn run_and_kill(folder: &Path, life: Duration) -> Vec<(String, TicketStatus)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let lines: Vec<String> = BufReader::new(output).lines().map_while(Result::ok).collect();
        lines
    });
    let started = Instant::now();
    while started.elapsed() < life {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = reading.join().unwrap();
    lines
        .iter()
        .filter_map(|line| {
            let mut words = line.split_once("acknowledged ")?.1.split(' ');
            Some((words.next()?.to_owned(), TicketStatus::parse(words.next()?)?))
        })
        .collect()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    let mut acknowledged_in_all = 0;
    for round in 0..16_u32 {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MARK), "").unwrap();
        // The first rounds end in the middle of making the schema, the later ones in the middle of writing; the
        // second process of a round starts on what the first one left.
        let life = Duration::from_micros(u64::from(round * round) * 700);
        let mut acknowledged = run_and_kill(folder.path(), life);
        acknowledged.extend(run_and_kill(folder.path(), life));
        acknowledged_in_all += acknowledged.len();
        let database = TicketDatabase::open(&Config::new(folder.path().join("tickets.db"))).await.unwrap();
        let (repository, log) = (database.repository(), database.log());
        acknowledged.reverse();
        let mut told = std::collections::HashSet::new();
        for (task, status) in acknowledged {
            // Only the last thing acknowledged of a task must still be so, or have gone on.
            if !told.insert(task.clone()) {
                continue;
            }
            let id = content(&plan("p"), &task).ticket_id;
            let found = repository.find(&id).await.unwrap();
            let found = found.unwrap_or_else(|| panic!("{task} was acknowledged and is lost"));
            assert!(found.status() >= status, "{task}: {} after {status}", found.status());
            let history = repository.history(&id).await.unwrap();
            assert_eq!(history.len() as u64, found.version());
        }
        let query = hive_application::tickets::TicketQuery {
            filter: Default::default(),
            offset: 0,
            limit: 10_000,
            after: None,
        };
        let versions: u64 = repository.list(&query).await.unwrap().tickets.iter().map(Ticket::version).sum();
        assert_eq!(log.end().await.unwrap(), versions, "one change in the log for every version");
        database.close().await.unwrap();
    }
    assert!(acknowledged_in_all > 100, "the child must get somewhere: {acknowledged_in_all}");
}
