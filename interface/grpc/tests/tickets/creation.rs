//! Creating tickets, once each.

use futures_util::future::join_all;
use hive_proto::grpc::neural_hive::execution::{CreateTicketsRequest, ExecutionTicket};
use tonic::Code;

use crate::desk::{Desk, START, minimal, reason, wrong_field};

#[tokio::test]
async fn everything_sent_comes_back_and_the_rest_has_its_default() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    let sent = ExecutionTicket {
        correlation_id: Some("corr-1".into()),
        trace_id: Some("trace".into()),
        span_id: Some("span".into()),
        dependencies: vec!["tk-0".into()],
        parameters: r#"{"big":9223372036854775807,"one":1.0,"text":"é"}"#.into(),
        required_capabilities: vec!["python".into()],
        created_at: Some(5),
        estimated_duration_ms: Some(60_000),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        predictions: Some("[1,2.5]".into()),
        schema_version: Some(2),
        status: "pending".into(),
        ..minimal("tk-1")
    };
    let answer = client.create_ticket(sent.clone()).await.unwrap().into_inner();
    assert_eq!(
        (answer.ticket_id.as_str(), answer.status.as_str(), answer.created),
        ("tk-1", "PENDING", true)
    );
    let stored = ExecutionTicket { status: "PENDING".into(), version: 1, ..sent };
    assert_eq!(answer.ticket, Some(stored));

    let bare = client.create_ticket(minimal("")).await.unwrap().into_inner().ticket.unwrap();
    assert_eq!(bare.ticket_id, "00000000-0000-4000-8000-000000000000");
    assert!(bare.created_at.unwrap() >= START);
    assert_eq!((bare.schema_version, bare.parameters.as_str()), (Some(1), ""));
}

#[tokio::test]
async fn a_repeat_is_answered_and_another_content_refused() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    let first = client.create_ticket(minimal("tk-1")).await.unwrap().into_inner();
    let again = client.create_ticket(minimal("tk-1")).await.unwrap().into_inner();
    assert_eq!((again.created, again.ticket), (false, first.ticket));
    let other = ExecutionTicket { priority: "LOW".into(), ..minimal("tk-1") };
    let refused = client.create_ticket(other).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "TICKET_EXISTS"));
    assert_eq!(refused.message(), "Ticket tk-1 exists with another priority");
}

#[tokio::test]
async fn identical_creates_at_once_make_one_ticket() {
    let desk = Desk::open().await;
    let create = async || desk.client().create_ticket(minimal("tk-1")).await.unwrap().into_inner();
    let answers = join_all((0..200).map(|_| create())).await;
    assert_eq!(answers.iter().filter(|answer| answer.created).count(), 1);
    assert!(answers.iter().all(|answer| answer.ticket == answers[0].ticket));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    type Spoil = fn(&mut ExecutionTicket);
    let spoiled: [(&str, Spoil); 13] = [
        ("ticket_id", |t| t.ticket_id = "x".repeat(37)),
        ("plan_id", |t| t.plan_id.clear()),
        ("task_type", |t| t.task_type = "build".into()),
        ("description", |t| t.description = None),
        ("description", |t| t.description = Some("a\0".into())),
        ("status", |t| t.status = "COMPLETED".into()),
        ("sla.timeout_ms", |t| t.sla.as_mut().unwrap().timeout_ms = Some(-1)),
        ("qos", |t| t.qos = None),
        ("dependencies", |t| t.dependencies = vec![t.ticket_id.clone()]),
        ("parameters", |t| t.parameters = "[1]".into()),
        ("parameters", |t| t.parameters = format!("{{\"k\":{}{}}}", "[".repeat(64), "]".repeat(64))),
        ("predictions", |t| t.predictions = Some("{".into())),
        ("started_at", |t| t.started_at = Some(1)),
    ];
    for (field, spoil) in spoiled {
        let mut ticket = minimal("tk-1");
        spoil(&mut ticket);
        assert_eq!(wrong_field(&client.create_ticket(ticket.clone()).await.unwrap_err()), field);
        let bulk = CreateTicketsRequest { tickets: vec![minimal("tk-0"), ticket] };
        let refused = client.create_tickets(bulk).await.unwrap_err();
        assert_eq!(wrong_field(&refused), format!("tickets[1].{field}"));
    }
    let nothing = client
        .get_ticket(hive_proto::grpc::neural_hive::execution::GetTicketRequest { ticket_id: "tk-0".into() });
    assert_eq!(nothing.await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn many_are_created_in_order() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    client.create_ticket(minimal("tk-1")).await.unwrap();
    let tickets = (0..3).map(|number| minimal(&format!("tk-{number}"))).collect();
    let answer = client.create_tickets(CreateTicketsRequest { tickets }).await.unwrap().into_inner();
    let seen: Vec<_> =
        answer.tickets.iter().map(|ticket| (ticket.ticket_id.as_str(), ticket.created)).collect();
    assert_eq!(seen, [("tk-0", true), ("tk-1", false), ("tk-2", true)]);
    assert!(
        client.create_tickets(CreateTicketsRequest::default()).await.unwrap().into_inner().tickets.is_empty()
    );
    let many = CreateTicketsRequest { tickets: vec![minimal(""); 1_001] };
    assert_eq!(wrong_field(&client.create_tickets(many).await.unwrap_err()), "tickets");
}
