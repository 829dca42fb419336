//! Several processes on one database, and a database that fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hive_application::error::{Effect, ErrorKind};
use hive_application::tickets::{Creation, TicketFilter, TicketQuery};
use hive_contract::fixture::TicketFixture;
use hive_contract::samples::{BY, agent, at, content, dispatch_to, plan, ticket};
use hive_domain::tickets::{Annotation, Applied, Ticket, TicketStatus};
use hive_sql::{Config, Server, TicketDatabase};
use sqlx::{AssertSqlSafe, Executor};

use crate::scratch;

/// INV-4. Four processes create the same plan at once: each ticket is made once, and nobody waits for another in a
/// circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_created_by_four_processes_is_made_once() {
    let fixture = scratch!();
    let stores = join_all((0..4).map(|_| fixture.open())).await;
    let created = join_all(stores.iter().enumerate().map(|(n, store)| {
        let repository = Arc::clone(&store.repository);
        tokio::spawn(async move {
            let mut new = 0;
            for round in 0..10 {
                let mut tickets: Vec<_> =
                    (0..50).map(|task| ticket(&plan("p"), &format!("{round}-{task}"))).collect();
                tickets.rotate_left(n * 13);
                let outcome = repository.create(tickets).await.unwrap();
                new += outcome.iter().filter(|creation| matches!(creation, Creation::Created(_))).count();
            }
            new
        })
    }))
    .await;
    assert_eq!(created.into_iter().map(Result::unwrap).sum::<usize>(), 500);
    for store in stores {
        store.close.await;
    }
}

/// INV-2. Two processes end the same tickets in two ways, each knowing an older version: one of them does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_race_to_end_the_same_tickets() {
    let fixture = scratch!();
    let stores = [fixture.open().await, fixture.open().await];
    let ids: Vec<_> = (0..40).map(|n| content(&plan("p"), &format!("t{n}")).ticket_id).collect();
    let tickets = (0..40).map(|n| ticket(&plan("p"), &format!("t{n}"))).collect();
    stores[0].repository.create(tickets).await.unwrap();
    let race = ids.iter().flat_map(|id| {
        stores.iter().enumerate().map(|(n, store)| {
            let (repository, id) = (Arc::clone(&store.repository), id.clone());
            tokio::spawn(async move {
                let mut end = |ticket: &mut Ticket| match n {
                    0 => ticket.cancel("raced", at(1), BY),
                    _ => ticket.dispatch(dispatch_to(&agent("w1")), at(1), BY),
                };
                (id.clone(), repository.update(&id, &mut end).await)
            })
        })
    });
    for outcome in join_all(race.collect::<Vec<_>>()).await {
        let (id, outcome) = outcome.unwrap();
        // A ticket may be dispatched and then cancelled; never the other way round.
        match outcome {
            Ok((_, applied)) => assert_eq!(applied, Applied::Applied),
            Err(error) => assert_eq!(error.reason(), "INVALID_TRANSITION", "{id}: {error:?}"),
        }
    }
    for (n, id) in ids.iter().enumerate() {
        let found = stores[n % 2].repository.find(id).await.unwrap().unwrap();
        assert_eq!(found.status(), TicketStatus::Cancelled);
        let history = stores[n % 2].repository.history(id).await.unwrap();
        assert_eq!(history.len() as u64, found.version());
    }
    for store in stores {
        store.close.await;
    }
}

/// What one process remembers does not hide what another one changed.
#[tokio::test]
async fn what_another_process_changed_is_read() {
    let fixture = scratch!();
    let stores = [fixture.open().await, fixture.open().await];
    let id = content(&plan("p"), "t").ticket_id;
    stores[0].repository.create(vec![ticket(&plan("p"), "t")]).await.unwrap();
    let query = TicketQuery { filter: TicketFilter::default(), offset: 0, limit: 10, after: None };
    for (n, now) in (0..6).zip(1..) {
        let metadata = BTreeMap::from([(n.to_string(), "x".to_owned())]);
        let annotation = Annotation { metadata, ..Annotation::default() };
        let mut note = |ticket: &mut Ticket| ticket.annotate(&annotation, at(now), BY);
        let (changed, _) = stores[n % 2].repository.update(&id, &mut note).await.unwrap();
        for store in &stores {
            assert_eq!(store.repository.find(&id).await.unwrap().unwrap(), changed);
            assert_eq!(store.repository.list(&query).await.unwrap().tickets, std::slice::from_ref(&changed));
        }
    }
    for store in stores {
        store.close.await;
    }
}

/// What the schema refuses fails alone, whatever is committed with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_schema_refuses_fails_alone() {
    let fixture = scratch!();
    let store = fixture.open().await;
    let mut beside = fixture.beside().await;
    let trap = "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF NEW.task_id LIKE 'bad%' THEN RAISE EXCEPTION 'trapped at a path'; END IF; RETURN NEW; END $$; \
        CREATE TRIGGER trap BEFORE INSERT ON execution_tickets FOR EACH ROW EXECUTE FUNCTION trap()";
    sqlx::raw_sql(trap).execute(&mut beside).await.unwrap();
    let tasks = (0..64).map(|n| {
        let repository = store.repository.clone();
        let task = if n % 16 == 0 { format!("bad{n}") } else { format!("good{n}") };
        tokio::spawn(async move { (n, repository.create(vec![ticket(&plan("p"), &task)]).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (n, outcome) = task.await.unwrap();
        match outcome {
            Ok(_) => assert_ne!(n % 16, 0),
            Err(error) => {
                assert_eq!((n % 16, error.kind()), (0, ErrorKind::Internal));
                assert_eq!(error.to_string(), "internal error", "no SQL and no path for callers");
            }
        }
    }
    let mut beside = fixture.beside().await;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ticket_outbox").fetch_one(&mut beside).await.unwrap();
    assert_eq!(count, 60);
    store.close.await;
}

/// What the server ends because it takes too long is tried again in smaller parts; what takes too long alone fails alone,
/// and is told to have done nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_at_once_is_done_in_parts() {
    let fixture = scratch!();
    let store = fixture.open().await;
    let mut beside = fixture.beside().await;
    // As if more than four rows at once took longer than a statement may. What a sequence counted is never undone.
    let slow = "CREATE SEQUENCE ended; CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF (SELECT count(*) > 4 OR bool_or(task_id LIKE 'slow%') FROM made) THEN PERFORM nextval('ended'); \
        RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled'; \
        END IF; RETURN NULL; END $$; CREATE TRIGGER slow AFTER INSERT ON execution_tickets \
        REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION slow()";
    sqlx::raw_sql(slow).execute(&mut beside).await.unwrap();
    let tasks = (0..128).map(|n| {
        let repository = store.repository.clone();
        let task = if n % 32 == 0 { format!("slow{n}") } else { format!("quick{n}") };
        tokio::spawn(async move { (n, repository.create(vec![ticket(&plan("p"), &task)]).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (n, Ok(_)) => assert_ne!(n % 32, 0),
            (n, Err(error)) => {
                let told = (n % 32, error.kind(), error.effect());
                assert_eq!(told, (0, ErrorKind::Unavailable, Effect::None), "{error:?}");
            }
        }
    }
    let stored = "SELECT count(*) FROM execution_tickets";
    assert_eq!(sqlx::query_scalar::<_, i64>(stored).fetch_one(&mut beside).await.unwrap(), 124);
    let ended: i64 = sqlx::query_scalar("SELECT nextval('ended')").fetch_one(&mut beside).await.unwrap();
    assert!(ended > 5, "no batch was too large: {ended}");
    store.close.await;
}

/// How often every connection is cut, at least.
const CUTS: usize = 15;
/// Longer than a busy machine needs for that.
const LIMIT: Duration = Duration::from_secs(120);

/// How far callers got.
#[derive(Debug, Default)]
struct Progress {
    saved: AtomicUsize,
    failed: AtomicUsize,
    is_enough: AtomicBool,
}

impl Progress {
    fn is_far(&self) -> bool {
        self.saved.load(Ordering::Relaxed) > 100 && self.failed.load(Ordering::Relaxed) > 0
    }
}

/// Every connection is cut, again and again, while callers write: whatever they were told was saved is there, whatever
/// was told certain not to be is not, and calls succeed again without anything being started anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing() {
    let fixture = scratch!();
    let name = fixture.name();
    let url = format!("{}?application_name={name}", fixture.url());
    let database = TicketDatabase::open(&Config::postgres(Server::from_url(&url).unwrap())).await.unwrap();
    let progress: Arc<Progress> = Arc::default();
    let callers = (0..16).map(|caller| {
        let (repository, progress) = (database.repository(), Arc::clone(&progress));
        tokio::spawn(async move {
            let (mut saved, mut certain, mut unknown) = (Vec::new(), Vec::new(), 0);
            for n in 0.. {
                if progress.is_enough.load(Ordering::Relaxed) {
                    break;
                }
                let task = format!("{caller}-{n}");
                match repository.create(vec![ticket(&plan("p"), &task)]).await {
                    Ok(_) => {
                        progress.saved.fetch_add(1, Ordering::Relaxed);
                        saved.push(task);
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                        progress.failed.fetch_add(1, Ordering::Relaxed);
                        match error.effect() {
                            Effect::None => certain.push(task),
                            Effect::Unknown => unknown += 1,
                        }
                    }
                }
            }
            (saved, certain, unknown)
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut beside = fixture.beside().await;
    let cut = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{name}'"
    );
    let until = Instant::now() + LIMIT;
    let mut cuts = 0;
    while cuts < CUTS || !progress.is_far() {
        assert!(Instant::now() < until, "{progress:?} after {cuts} cuts");
        beside.execute("SELECT pg_sleep(0.2)").await.unwrap();
        beside.execute(AssertSqlSafe(cut.as_str())).await.unwrap();
        cuts += 1;
    }
    progress.is_enough.store(true, Ordering::Relaxed);
    let (mut saved, mut certain, mut unknown) = (Vec::new(), Vec::new(), 0);
    for caller in callers {
        let told = caller.await.unwrap();
        saved.extend(told.0);
        certain.extend(told.1);
        unknown += told.2;
    }
    assert_eq!(certain.len() + unknown, progress.failed.load(Ordering::Relaxed));
    let repository = database.repository();
    // Connections that were cut only now may still be met.
    let mut met = 0;
    for (task, there) in saved.iter().map(|task| (task, true)).chain(certain.iter().map(|task| (task, false)))
    {
        let id = content(&plan("p"), task).ticket_id;
        let found = loop {
            match repository.find(&id).await {
                Ok(found) => break found,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
            }
            met += 1;
            assert!(met < 32, "as often as there are connections");
        };
        assert_eq!(found.is_some(), there, "{task}");
    }
    database.close().await.unwrap();
}

/// After closing, callers learn that nothing happened.
#[tokio::test]
async fn a_closed_database_is_unavailable() {
    let fixture = scratch!();
    let store = fixture.open().await;
    store.close.await;
    let error = store.repository.create(vec![ticket(&plan("p"), "a")]).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    let error = store.repository.find(ticket(&plan("p"), "a").id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
