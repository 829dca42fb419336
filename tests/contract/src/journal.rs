//! The suite of `Journal`.

use std::sync::Arc;

use futures_util::future::join_all;
use hive_application::error::ErrorKind;
use hive_application::orchestration::{
    FlowOpening, Journal, JournalEntry, JournalWrite, Opened, OutboxMessage, StoredFlow, StoredMessage,
};
use hive_domain::ids::WorkflowId;
use hive_domain::json::{Json, object};
use hive_domain::orchestration::generation::SlaConfig;

use crate::fixture::JournalFixture;
use crate::samples::{at, plan};

fn opening(plan_name: &str, ms: i64) -> FlowOpening {
    let plan_id = plan(plan_name);
    FlowOpening {
        workflow_id: WorkflowId::for_plan(&plan_id),
        plan_hash: format!("hash of {plan_name}"),
        plan: object([("tasks", Json::List(vec![Json::from(0.1), Json::from("é\"")]))]),
        sla: SlaConfig { timeout_multiplier: 2.5, ..SlaConfig::default() },
        opened_at: at(ms),
        plan_id,
    }
}

fn entry(kind: &str, number: i64) -> JournalEntry {
    JournalEntry { kind: kind.to_owned(), payload: object([("number", Json::from(number))]) }
}

fn message(id: &str, text: &str) -> OutboxMessage {
    OutboxMessage {
        message_id: id.to_owned(),
        topic: "execution.tickets".to_owned(),
        key: "p".to_owned(),
        payload: object([("text", Json::from(text))]),
        at: at(1),
    }
}

fn write(flow: &FlowOpening, entries: Vec<JournalEntry>, messages: Vec<OutboxMessage>) -> JournalWrite {
    JournalWrite { workflow_id: flow.workflow_id.clone(), entries, messages, outcome: None, at: at(2) }
}

async fn messages(journal: &dyn Journal) -> Vec<String> {
    messages_after(journal, 0).await.into_iter().map(|stored| stored.message.message_id).collect()
}

/// All that was committed. A page may hold less than its limit while somebody writes, in any database of a server; only
/// an empty page says that there is no more.
async fn messages_after(journal: &dyn Journal, after: u64) -> Vec<StoredMessage> {
    let mut read: Vec<StoredMessage> = Vec::new();
    loop {
        let after = read.last().map_or(after, |last| last.offset);
        let page = journal.read_messages(after, 10).await.unwrap();
        if page.is_empty() {
            assert!(read.windows(2).all(|pair| pair[0].offset < pair[1].offset));
            return read;
        }
        read.extend(page);
    }
}

/// A flow is opened once; whoever opens it again gets what is remembered.
pub async fn opens_a_flow_once(fixture: &impl JournalFixture) {
    let (journal, close) = fixture.open().await;
    let flow = opening("p", 1);
    assert_eq!(journal.find(&flow.workflow_id).await.unwrap(), None);
    assert_eq!(journal.open(flow.clone()).await.unwrap(), Opened::New);
    journal.append(write(&flow, vec![entry("planned", 1)], Vec::new())).await.unwrap();
    let remembered = StoredFlow { opening: flow.clone(), entries: vec![entry("planned", 1)], outcome: None };
    let other = FlowOpening { plan_hash: "another".to_owned(), opened_at: at(9), ..flow.clone() };
    for again in [flow.clone(), other] {
        assert_eq!(journal.open(again).await.unwrap(), Opened::Existing(remembered.clone()));
    }
    let stranger = WorkflowId::parse("orch-someone-else").unwrap();
    let error = journal.open(FlowOpening { workflow_id: stranger.clone(), ..flow }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "a plan has one flow");
    assert_eq!(journal.find(&stranger).await.unwrap(), None);
    close.await;
}

/// Twenty open the same flow at once: for one it is new.
pub async fn twenty_race_to_open_a_flow(fixture: &impl JournalFixture) {
    let (journal, close) = fixture.open().await;
    let tasks = (0..20).map(|_| {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move { journal.open(opening("p", 1)).await.unwrap() })
    });
    let outcomes = join_all(tasks.collect::<Vec<_>>()).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Ok(Opened::New))).count(), 1);
    close.await;
}

/// Entries and messages are appended together; to a flow that is not open, neither.
pub async fn appends_all_or_nothing(fixture: &impl JournalFixture) {
    let (journal, close) = fixture.open().await;
    let (flow, unknown) = (opening("p", 1), opening("unknown", 1));
    journal.open(flow.clone()).await.unwrap();
    let both = write(&flow, vec![entry("a", 1), entry("b", 2)], vec![message("m1", "x")]);
    journal.append(both).await.unwrap();
    for entries in [vec![entry("a", 1)], Vec::new()] {
        for sent in [vec![message("lost", "x")], Vec::new()] {
            let error = journal.append(write(&unknown, entries.clone(), sent)).await.unwrap_err();
            assert_eq!((error.kind(), error.reason()), (ErrorKind::FailedPrecondition, "FLOW_NOT_OPEN"));
        }
    }
    assert_eq!(messages(&*journal).await, ["m1"]);
    assert_eq!(journal.find(&unknown.workflow_id).await.unwrap(), None);
    let stored = journal.find(&flow.workflow_id).await.unwrap().unwrap();
    assert_eq!(stored.entries, [entry("a", 1), entry("b", 2)]);
    close.await;
}

/// The outcome ends a flow: it is no longer open, and takes nothing more.
pub async fn an_outcome_ends_the_flow(fixture: &impl JournalFixture) {
    let (journal, close) = fixture.open().await;
    let flows = [opening("late", 3), opening("early", 1), opening("middle", 2)];
    for flow in &flows {
        journal.open(flow.clone()).await.unwrap();
    }
    let open = |names: &[&str]| -> Vec<WorkflowId> {
        names.iter().map(|name| WorkflowId::for_plan(&plan(name))).collect()
    };
    assert_eq!(journal.list_open().await.unwrap(), open(&["early", "middle", "late"]));
    let outcome = object([("status", Json::from("completed"))]);
    let end = JournalWrite {
        outcome: Some(outcome.clone()),
        ..write(&flows[2], vec![entry("ended", 9)], vec![message("result", "x")])
    };
    journal.append(end.clone()).await.unwrap();
    assert_eq!(journal.list_open().await.unwrap(), open(&["early", "late"]));
    let late = write(&flows[2], vec![entry("too late", 1)], vec![message("too late", "x")]);
    for again in [end, late] {
        assert_eq!(journal.append(again).await.unwrap_err().reason(), "FLOW_NOT_OPEN");
    }
    let stored = journal.find(&flows[2].workflow_id).await.unwrap().unwrap();
    assert_eq!((stored.outcome, stored.entries), (Some(outcome), vec![entry("ended", 9)]));
    assert_eq!(messages(&*journal).await, ["result"]);
    close.await;
}

/// A message is saved once by its id, and read in order and by the page.
pub async fn a_message_is_saved_once(fixture: &impl JournalFixture) {
    let (journal, close) = fixture.open().await;
    let flow = opening("p", 1);
    journal.open(flow.clone()).await.unwrap();
    journal.publish(vec![message("a", "first"), message("b", "x"), message("a", "twice")]).await.unwrap();
    let again = vec![message("a", "again"), message("c", "x")];
    journal.append(write(&flow, vec![entry("e", 1)], again)).await.unwrap();
    journal.publish(Vec::new()).await.unwrap();
    assert_eq!(messages(&*journal).await, ["a", "b", "c"]);
    let first = journal.read_messages(0, 1).await.unwrap();
    assert_eq!(first[0].message, message("a", "first"));
    let rest = messages_after(&*journal, first[0].offset).await;
    assert_eq!(rest.iter().map(|stored| stored.message.message_id.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert!(journal.read_messages(rest[1].offset, 10).await.unwrap().is_empty());
    close.await;
}

/// Flows that are written at once keep each its own order, and all is there after the journal was closed.
pub async fn everything_survives_in_order(fixture: &impl JournalFixture) {
    let (journal, close) = fixture.open().await;
    const ENTRIES: i64 = 150;
    let flows: Vec<_> = (0..6).map(|n| opening(&format!("p{n}"), n)).collect();
    let tasks = flows.iter().cloned().map(|flow| {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            journal.open(flow.clone()).await.unwrap();
            // Large and small writes, with messages and without.
            let mut number = 0;
            while number < ENTRIES {
                let size =
                    [1, 1, 70, 3].into_iter().cycle().nth(usize::try_from(number).unwrap()).unwrap_or(1);
                let until = ENTRIES.min(number + size);
                let entries = (number..until).map(|n| entry("step", n)).collect();
                let sent = (number % 2 == 0).then(|| message(&format!("{}-{number}", flow.plan_id), "x"));
                journal.append(write(&flow, entries, sent.into_iter().collect())).await.unwrap();
                number = until;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let sent = messages(&*journal).await;
    close.await;

    let (journal, close) = fixture.open().await;
    let expected: Vec<_> = (0..ENTRIES).map(|n| entry("step", n)).collect();
    for flow in &flows {
        let stored = journal.find(&flow.workflow_id).await.unwrap().unwrap();
        assert_eq!((&stored.opening, &stored.entries), (flow, &expected));
    }
    assert_eq!(journal.list_open().await.unwrap().len(), 6);
    assert_eq!(messages(&*journal).await, sent);
    close.await;
}

/// Old messages go, but for the newest; whoever asks to go on from what is gone is told.
pub async fn old_messages_go(fixture: &impl JournalFixture) {
    let (journal, close) = fixture.open().await;
    const OLD: usize = 1_100;
    for part in (0..OLD).collect::<Vec<_>>().chunks(100) {
        journal.publish(part.iter().map(|n| message(&format!("old {n}"), "x")).collect()).await.unwrap();
    }
    let young = |id| OutboxMessage { at: at(5_000), ..message(id, "x") };
    journal.publish(vec![young("a"), young("b")]).await.unwrap();
    let offset = journal.read_messages(0, 2).await.unwrap()[1].offset;
    close.await;
    assert_eq!(fixture.prune(at(5_000)).await, OLD as u64);
    assert_eq!(fixture.prune(at(5_000)).await, 0);
    let (journal, close) = fixture.open().await;
    assert_eq!(messages(&*journal).await, ["a", "b"]);
    let error = journal.read_messages(offset, 10).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::OutOfRange, "LOG_PRUNED"));
    close.await;
    assert_eq!(fixture.prune(at(6_000)).await, 1);
    let (journal, close) = fixture.open().await;
    journal.publish(vec![young("c")]).await.unwrap();
    assert_eq!(messages(&*journal).await, ["b", "c"]);
    close.await;
}

/// Stamps the suite.
#[macro_export]
macro_rules! journal {
    ($fixture:expr) => {
        $crate::stamp!($fixture; journal:
            opens_a_flow_once,
            twenty_race_to_open_a_flow,
            appends_all_or_nothing,
            an_outcome_ends_the_flow,
            a_message_is_saved_once,
            old_messages_go,
            everything_survives_in_order,
        );
    };
}
