//! Processes that are killed while they make the schema and write: nothing they acknowledged is lost.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use hive_application::tickets::Creation;
use hive_contract::samples::{BY, agent, at, content, dispatch_to, plan, report_of, ticket};
use hive_domain::tickets::{Ticket, TicketStatus};
use hive_sql::{Config, TicketDatabase};

/// A folder with this file in it is one in which the child is to work.
const MARK: &str = "child";

/// How long the child may take to get somewhere: many times what a slow disk needs.
const LIMIT: Duration = Duration::from_secs(120);

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

/// When the child is killed.
#[derive(Clone, Copy)]
enum End {
    /// This long after its start.
    After(Duration),
    /// When it acknowledged so much.
    At(usize),
}

/// Starts the child in `folder`, kills it, and hands back what it acknowledged: task and status.
fn run_and_kill(folder: &Path, end: End) -> Vec<(String, TicketStatus)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let (send, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).all(|line| send.send(line).is_ok())
    });
    let (life, most) = match end {
        End::After(life) => (life, usize::MAX),
        End::At(count) => (LIMIT, count),
    };
    let (until, mut acknowledged) = (Instant::now() + life, Vec::new());
    let mut take_in = |line: &str| -> usize {
        let told = line.split_once("acknowledged ").and_then(|(_, told)| {
            let (task, status) = told.split_once(' ')?;
            Some((task.to_owned(), TicketStatus::parse(status)?))
        });
        acknowledged.extend(told);
        acknowledged.len()
    };
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if take_in(&line) < most => {}
            Ok(_) => break,
            Err(RecvTimeoutError::Timeout) => {
                assert!(matches!(end, End::After(_)), "the child gets nowhere");
                break;
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the child ended by itself"),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it was killed, and nobody read yet.
    for line in lines {
        take_in(&line);
    }
    acknowledged
}

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    for round in 0..16_u32 {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MARK), "").unwrap();
        // Half of the rounds end somewhere in the start or soon after, the others in the middle of writing, however fast
        // the disk is; the second process of a round starts on what the first one left.
        let end = match round % 2 {
            0 => End::After(Duration::from_micros(u64::from(round * round) * 700)),
            _ => End::At(round as usize * 8),
        };
        let mut acknowledged = run_and_kill(folder.path(), end);
        acknowledged.extend(run_and_kill(folder.path(), end));
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
}
