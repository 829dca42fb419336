//! What orchestration and agents may expect of the other contexts, wherever these are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use hive_application::error::{Effect, Error, ErrorKind};
use hive_application::orchestration::{AgentNews, AgentQuery};
use hive_domain::ids::TicketId;
use hive_domain::orchestration::generation::PlannedTicket;
use hive_domain::registry::public::{AgentChangeKind, AgentTelemetry, AgentType};
use hive_domain::registry::{AnnouncementDraft, Claim};
use hive_domain::tickets::public::{Order, Report, TicketAction, TicketChange, TicketContent, TicketStatus};

use crate::fixture::{NeighbourFixture, Neighbours};
use crate::samples::{agent, content, dispatch_to, full_content, plan, report_of};

/// The longest that anything may take: many times what a busy machine needs.
const LIMIT: Duration = Duration::from_secs(60);

fn planned(content: TicketContent) -> PlannedTicket {
    let metadata = BTreeMap::from([("workflow_id".to_owned(), "é \"quoted\"".to_owned())]);
    PlannedTicket { content: Arc::new(content), metadata }
}

async fn next<T>(stream: &mut BoxStream<'static, Result<T, Error>>) -> T {
    let item = tokio::time::timeout(LIMIT, stream.next()).await.expect("something comes");
    item.expect("it has no end").unwrap()
}

fn told(error: &Error) -> (ErrorKind, &'static str, Option<&str>, Effect) {
    (error.kind(), error.reason(), error.field(), error.effect())
}

/// A ticket of a plan, created.
async fn created(of: &Neighbours, task: &str) -> TicketId {
    let content = content(&plan("p"), task);
    let id = content.ticket_id.clone();
    of.tickets.create(vec![planned(content)]).await.unwrap();
    id
}

/// One dispatched to `w-1`.
async fn dispatched(of: &Neighbours, task: &str) -> TicketId {
    let id = created(of, task).await;
    of.tickets.order(&id, Order::Dispatch(dispatch_to(&agent("w-1")))).await.unwrap();
    id
}

async fn status(of: &Neighbours, id: &TicketId) -> (TicketStatus, i32) {
    let tickets = of.tickets.list(&plan("p")).await.unwrap();
    let ticket = tickets.iter().find(|ticket| ticket.content.ticket_id == *id).expect("it is there");
    (ticket.state.status, ticket.state.retry_count)
}

/// Nothing is lost of a ticket, and creating it twice is creating it once.
pub async fn a_ticket_is_what_was_planned(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let plan_id = plan("p");
    let wanted = vec![planned(content(&plan_id, "before")), planned(full_content(&plan_id))];
    of.tickets.create(wanted.clone()).await.unwrap();
    of.tickets.create(wanted.clone()).await.unwrap();
    let mut found = of.tickets.list(&plan_id).await.unwrap();
    assert_eq!(found.len(), 2);
    found.sort_by_key(|ticket| ticket.content.task_id.as_str() == "full");
    for (ticket, planned) in found.iter().zip(&wanted) {
        assert_eq!(ticket.content, planned.content);
        assert_eq!((&ticket.state.metadata, ticket.version), (&planned.metadata, 1));
        assert_eq!(ticket.state.status, TicketStatus::Pending);
    }
    assert_eq!(of.tickets.list(&plan("other")).await.unwrap(), []);

    let other = TicketContent { description: "another".to_owned(), ..content(&plan_id, "before") };
    let error = of.tickets.create(vec![planned(other)]).await.unwrap_err();
    assert_eq!(told(&error), (ErrorKind::AlreadyExists, "TICKET_EXISTS", None, Effect::None));
    let wrong = TicketContent { estimated_duration_ms: Some(-1), ..content(&plan_id, "wrong") };
    let error = of.tickets.create(vec![planned(wrong)]).await.unwrap_err();
    let field = Some("estimated_duration_ms");
    assert_eq!(told(&error), (ErrorKind::InvalidArgument, "INVALID_FIELD", field, Effect::None));
}

/// More tickets than one message carries.
pub async fn a_large_plan_comes_back_whole(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let large = |number: usize| {
        let content = content(&plan("p"), &format!("task-{number}"));
        planned(TicketContent { description: "x".repeat(4_000), ..content })
    };
    of.tickets.create((0..1_100).map(large).collect()).await.unwrap();
    assert_eq!(of.tickets.list(&plan("p")).await.unwrap().len(), 1_100);
}

/// Every order does what it says, and one that cannot be obeyed says why.
pub async fn every_order_arrives(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let id = dispatched(&of, "a").await;
    let ticket = of.tickets.list(&plan("p")).await.unwrap().remove(0);
    let dispatch = dispatch_to(&agent("w-1"));
    assert_eq!(ticket.state.assigned_worker, Some(dispatch.agent.clone()));
    assert_eq!((ticket.state.epoch, &ticket.state.allocation), (Some(1), &Some(dispatch.allocation)));
    assert_eq!(ticket.state.not_before, dispatch.not_before);

    let order = async |id: &TicketId, order| of.tickets.order(id, order).await.unwrap();
    order(&id, Order::Lose(agent("w-1"), "overran".to_owned())).await;
    assert_eq!(status(&of, &id).await, (TicketStatus::Pending, 1));
    order(&id, Order::Fail("no".to_owned())).await;
    assert_eq!(status(&of, &id).await, (TicketStatus::Failed, 1));
    order(&id, Order::Retry).await;
    assert_eq!(status(&of, &id).await, (TicketStatus::Pending, 2));
    order(&id, Order::Compensate("undo".to_owned())).await;
    order(&id, Order::Compensated).await;
    assert_eq!(status(&of, &id).await.0, TicketStatus::Compensated);

    let other = created(&of, "b").await;
    order(&other, Order::Cancel("not wanted".to_owned())).await;
    order(&other, Order::Cancel("again".to_owned())).await;
    let error = of.tickets.order(&other, Order::Retry).await.unwrap_err();
    assert_eq!(told(&error), (ErrorKind::FailedPrecondition, "INVALID_TRANSITION", None, Effect::None));
    let nobody = TicketId::parse("nobody").unwrap();
    let error = of.tickets.order(&nobody, Order::Retry).await.unwrap_err();
    assert_eq!(told(&error), (ErrorKind::NotFound, "NOT_FOUND", None, Effect::None));
    assert_eq!(error.to_string(), "Ticket nobody not found");
}

/// A watcher hears what was and what comes, as it is stored, and goes on where another left off.
pub async fn changes_are_followed_from_any_place(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let id = created(&of, "a").await;
    let mut changes = of.tickets.watch(&plan("p"), 0).await.unwrap();
    let first = next(&mut changes).await;
    assert_eq!((first.event.action, first.event.old_status), (TicketAction::Created, None));
    of.tickets.order(&id, Order::Dispatch(dispatch_to(&agent("w-1")))).await.unwrap();
    let second: Arc<TicketChange> = next(&mut changes).await;
    assert_eq!(second.event.action, TicketAction::Dispatched);
    assert_eq!(second.event.changed_by, "orchestrator-dynamic");
    assert!(second.offset > first.offset);
    assert_eq!(second.ticket, of.tickets.list(&plan("p")).await.unwrap()[0]);

    let mut of_agent = of.desk.watch(&agent("w-1"), first.offset).await.unwrap();
    assert_eq!(next(&mut of_agent).await, second);
    let mut resumed = of.tickets.watch(&plan("p"), second.offset).await.unwrap();
    of.desk.report(&id, TicketStatus::Running, report_of(&agent("w-1"))).await.unwrap();
    for stream in [&mut changes, &mut of_agent, &mut resumed] {
        let third = next(stream).await;
        assert_eq!((third.event.action, third.event.changed_by.as_str()), (TicketAction::Started, "w-1"));
    }
}

/// An agent takes, works and reports; a report that is not its own is refused.
pub async fn an_agent_reports(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let (id, own) = (dispatched(&of, "a").await, agent("w-1"));
    assert_eq!(of.desk.held(&own).await.unwrap(), std::slice::from_ref(&id));
    let report = |status, report| of.desk.report(&id, status, report);
    let error = report(TicketStatus::Running, report_of(&agent("w-2"))).await.unwrap_err();
    assert_eq!(told(&error), (ErrorKind::FailedPrecondition, "NOT_YOURS", None, Effect::None));
    let taken = report(TicketStatus::Running, report_of(&own)).await.unwrap();
    assert_eq!((taken.state.agent_id.as_ref(), taken.state.epoch), (Some(&own), Some(1)));
    let error = report(TicketStatus::Completed, Report::by(own.clone(), 2)).await.unwrap_err();
    assert_eq!(told(&error), (ErrorKind::FailedPrecondition, "STALE_EPOCH", None, Effect::None));
    let failed = Report {
        error_message: Some("broke\nbadly".to_owned()),
        retryable: Some(false),
        actual_duration_ms: Some(17),
        ..report_of(&own)
    };
    let ended = report(TicketStatus::Failed, failed).await.unwrap();
    assert_eq!(ended.state.error_message.as_deref(), Some("broke\nbadly"));
    assert_eq!((ended.state.retryable, ended.state.actual_duration_ms), (Some(false), Some(17)));
    assert_eq!(of.desk.held(&own).await.unwrap(), []);
}

/// The place in the log is remembered and never goes back.
pub async fn an_agent_keeps_its_place(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let own = agent("w-1");
    assert_eq!(of.desk.committed(&own).await.unwrap(), 0);
    of.desk.commit(&own, 5).await.unwrap();
    of.desk.commit(&own, 3).await.unwrap();
    assert_eq!(of.desk.committed(&own).await.unwrap(), 5);
    assert_eq!(of.desk.committed(&agent("w-2")).await.unwrap(), 0);
}

/// What an agent held returns to the queue: with a try counted when it vanished, without when it is back.
pub async fn what_is_left_behind_returns(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let (own, id) = (agent("w-1"), dispatched(&of, "a").await);
    of.desk.report(&id, TicketStatus::Running, report_of(&own)).await.unwrap();
    assert_eq!(of.tickets.fence(&own, 1).await.unwrap(), 0);
    assert_eq!(of.tickets.fence(&own, 2).await.unwrap(), 1);
    assert_eq!(status(&of, &id).await, (TicketStatus::Pending, 0));
    of.tickets.order(&id, Order::Dispatch(dispatch_to(&own))).await.unwrap();
    assert_eq!(of.tickets.release_lost(&own).await.unwrap(), 1);
    assert_eq!(status(&of, &id).await, (TicketStatus::Pending, 1));
    assert_eq!(of.tickets.release_lost(&own).await.unwrap(), 0);
}

fn announcement(name: &str) -> AnnouncementDraft {
    AnnouncementDraft {
        agent_type: AgentType::Worker,
        capabilities: vec!["read".to_owned(), "write".to_owned()],
        metadata: BTreeMap::from([
            ("agent_id".to_owned(), name.to_owned()),
            ("max_concurrent_tasks".to_owned(), "3".to_owned()),
        ]),
        namespace: "n".to_owned(),
        cluster: "c".to_owned(),
        version: "2.0.1".to_owned(),
        telemetry: None,
    }
}

fn query(capability: &str) -> AgentQuery {
    AgentQuery { capabilities: vec![capability.to_owned()], namespace: None, max_results: 10 }
}

/// An agent is found as it was announced, by what it can do and where it is.
pub async fn an_agent_is_found(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let made = of.registry.register(announcement("w-1"), Claim::None).await.unwrap();
    let found = of.agents.discover(&query("read")).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].agent_id, found[0].epoch, found[0].revision), (&made.agent_id, 1, 1));
    assert_eq!((found[0].registered_at, found[0].max_concurrent_tasks), (made.registered_at, Some(3)));
    assert_eq!(
        (found[0].cluster.as_str(), found[0].version.as_str(), found[0].is_expired),
        ("c", "2.0.1", false)
    );
    let elsewhere = AgentQuery { namespace: Some("m".to_owned()), ..query("read") };
    for nothing in [query("fly"), query("no such\nword"), elsewhere] {
        assert_eq!(of.agents.discover(&nothing).await.unwrap(), [], "{nothing:?}");
    }
}

/// An id belongs to whoever has its token; an old incarnation is not heard.
pub async fn an_agent_comes_back(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let own = agent("w-1");
    let first = of.registry.register(announcement("w-1"), Claim::None).await.unwrap();
    let error = of.registry.register(announcement("w-1"), Claim::None).await.unwrap_err();
    assert_eq!(told(&error), (ErrorKind::PermissionDenied, "AGENT_ID_HELD", None, Effect::None));
    let second = of.registry.register(announcement("w-1"), Claim::Token(first.token)).await.unwrap();
    assert_eq!((second.agent_id.clone(), second.epoch), (own.clone(), 2));

    let figures = AgentTelemetry { success_rate: 0.25, total_executions: 4, ..AgentTelemetry::default() };
    of.registry.heartbeat(&own, 2, figures).await.unwrap();
    let error = of.registry.heartbeat(&own, 1, figures).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::FailedPrecondition, "STALE_EPOCH"));
    let error = of.registry.heartbeat(&agent("w-2"), 1, figures).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::NotFound, "NOT_FOUND"));
    assert_eq!(of.registry.deregister(&own, 1).await.unwrap_err().reason(), "STALE_EPOCH");
    assert!(of.registry.deregister(&own, 2).await.unwrap());
    assert!(!of.registry.deregister(&own, 2).await.unwrap());
}

/// A watcher is told who is there, be it nobody, then every change as it was.
pub async fn agents_are_followed(fixture: &impl NeighbourFixture) {
    let of = fixture.open().await;
    let mut news = of.agents.watch().await.unwrap();
    assert_eq!(next(&mut news).await, AgentNews::Present(Vec::new()));
    of.registry.register(announcement("w-1"), Claim::None).await.unwrap();
    let AgentNews::Changed(change) = next(&mut news).await else { panic!("no change") };
    assert_eq!(change.kind, AgentChangeKind::Registered);
    let found = of.agents.discover(&query("read")).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&change.agent));

    let mut later = of.agents.watch().await.unwrap();
    assert_eq!(next(&mut later).await, AgentNews::Present(found));
    of.registry.deregister(&agent("w-1"), 1).await.unwrap();
    for stream in [&mut news, &mut later] {
        let AgentNews::Changed(change) = next(stream).await else { panic!("no change") };
        assert_eq!(change.kind, AgentChangeKind::Deregistered);
        assert_eq!(change.agent.agent_id, agent("w-1"));
    }
}

/// Stamps this suite on a fixture.
#[macro_export]
macro_rules! neighbours {
    ($fixture:expr) => {
        $crate::stamp! {
            $fixture; neighbours:
            a_ticket_is_what_was_planned,
            a_large_plan_comes_back_whole,
            every_order_arrives,
            changes_are_followed_from_any_place,
            an_agent_reports,
            an_agent_keeps_its_place,
            what_is_left_behind_returns,
            an_agent_is_found,
            an_agent_comes_back,
            agents_are_followed,
        }
    };
}
