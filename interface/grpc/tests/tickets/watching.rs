//! Following the changes of tickets.

use hive_application::context::CallContext;
use hive_application::tickets::OrderTicketCommand;
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::json::Json;
use hive_domain::tickets::{Dispatch, Order};
use hive_grpc::tickets::WatchConfig;
use hive_proto::grpc::neural_hive::execution::{
    ExecutionTicket, TicketEvent, UpdateStatusRequest, WatchTicketsRequest,
};
use tonic::{Code, Streaming};

use crate::desk::{Client, Desk, minimal, reason, wrong_field};

async fn watch(client: &mut Client, plan_id: &str, after: u64) -> Streaming<TicketEvent> {
    let request = WatchTicketsRequest { plan_id: plan_id.into(), after, ..Default::default() };
    client.watch_tickets(request).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<TicketEvent>) -> TicketEvent {
    stream.message().await.unwrap().unwrap()
}

async fn report(client: &mut Client, id: &str, status: &str) {
    let request = UpdateStatusRequest { ticket_id: id.into(), status: status.into(), ..Default::default() };
    client.update_ticket_status(request).await.unwrap();
}

#[tokio::test]
async fn a_watch_shows_what_was_and_what_comes_and_can_be_resumed() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    client.create_ticket(minimal("tk-1")).await.unwrap();
    let other = ExecutionTicket { plan_id: "other".into(), ..minimal("tk-2") };
    client.create_ticket(other).await.unwrap();
    let mut stream = watch(&mut client, "plan-xyz", 0).await;
    let created = next(&mut stream).await;
    assert_eq!((created.action.as_str(), created.old_status.as_deref()), ("created", None));
    assert_eq!((created.new_status.as_str(), created.changed_by.as_str()), ("PENDING", "anonymous"));
    assert_eq!(created.ticket.unwrap().ticket_id, "tk-1");

    let mut reporter = desk.client();
    let (started, ()) = tokio::join!(next(&mut stream), report(&mut reporter, "tk-1", "RUNNING"));
    assert_eq!((started.action.as_str(), started.old_status.as_deref()), ("started", Some("PENDING")));
    assert!(started.offset > created.offset);
    assert_eq!(started.ticket.as_ref().unwrap().version, 2);
    drop(stream);

    report(&mut client, "tk-1", "COMPLETED").await;
    let mut resumed = watch(&mut client, "plan-xyz", created.offset).await;
    assert_eq!(next(&mut resumed).await, started);
    assert_eq!(next(&mut resumed).await.action, "completed");
}

#[tokio::test]
async fn an_agent_sees_the_tickets_allocated_to_it() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    for (id, agent) in [("tk-1", "agent-1"), ("tk-2", "agent-2")] {
        client.create_ticket(minimal(id)).await.unwrap();
        let dispatch = Dispatch {
            agent: AgentId::parse(agent).unwrap(),
            epoch: 3,
            allocation: Json::Object([("agent_score".to_owned(), Json::Float(0.5))].into()),
            not_before: None,
        };
        let ticket_id = TicketId::parse(id).unwrap();
        let command = OrderTicketCommand { ticket_id, order: Order::Dispatch(dispatch) };
        desk.api.tickets.order.execute(&CallContext::internal("orchestrator"), &command).await.unwrap();
    }
    let request = WatchTicketsRequest { agent_id: "agent-2".into(), ..Default::default() };
    let mut stream = client.watch_tickets(request).await.unwrap().into_inner();
    let event = next(&mut stream).await;
    assert_eq!((event.action.as_str(), event.changed_by.as_str()), ("dispatched", "orchestrator"));
    let ticket = event.ticket.unwrap();
    assert_eq!((ticket.ticket_id.as_str(), ticket.epoch), ("tk-2", Some(3)));
    assert_eq!(ticket.allocation.as_deref(), Some(r#"{"agent_score":0.5}"#));
}

#[tokio::test]
async fn watches_are_bounded_and_leave_their_place() {
    let desk = Desk::open().await;
    let mut client = desk.client_of(WatchConfig { max_streams: 2 });
    let first = watch(&mut client, "", 0).await;
    let second = watch(&mut client, "", 0).await;
    let refused = client.watch_tickets(WatchTicketsRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY_WATCHES"));
    drop(first);
    let third = watch(&mut client, "", 0).await;
    drop((second, third));
}

#[tokio::test]
async fn what_cannot_be_watched_is_named() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    let bad_plan = WatchTicketsRequest { plan_id: "\0".into(), ..Default::default() };
    assert_eq!(wrong_field(&client.watch_tickets(bad_plan).await.unwrap_err()), "plan_id");
    let bad_agent = WatchTicketsRequest { agent_id: "x".repeat(256), ..Default::default() };
    assert_eq!(wrong_field(&client.watch_tickets(bad_agent).await.unwrap_err()), "agent_id");
}
