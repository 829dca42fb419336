//! Clients of before: the nine fields they know, where they know them.

use hive_proto::grpc::neural_hive::execution::UpdateStatusRequest;
use hive_proto::grpc::ticket_service as wire;
use prost::Message;
use tonic::Code;

use crate::desk::{Desk, minimal, wrong_field};

/// A ticket as the clients' own stubs have it.
#[derive(Clone, PartialEq, Message)]
struct OldTicket {
    #[prost(string, tag = "1")]
    ticket_id: String,
    #[prost(string, tag = "2")]
    plan_id: String,
    #[prost(string, tag = "3")]
    intent_id: String,
    #[prost(string, tag = "4")]
    task_id: String,
    #[prost(string, tag = "5")]
    task_type: String,
    #[prost(string, tag = "6")]
    description: String,
    #[prost(string, tag = "7")]
    status: String,
    #[prost(string, tag = "8")]
    priority: String,
    #[prost(int64, tag = "9")]
    created_at: i64,
}

#[derive(Clone, PartialEq, Message)]
struct OldList {
    #[prost(message, repeated, tag = "1")]
    tickets: Vec<OldTicket>,
    #[prost(int32, tag = "2")]
    total: i32,
}

#[tokio::test]
async fn old_stubs_read_what_we_send() {
    let desk = Desk::open().await;
    desk.client().create_ticket(minimal("tk-1")).await.unwrap();
    let list =
        desk.old_client().list_tickets(wire::ListTicketsRequest::default()).await.unwrap().into_inner();
    let seen = OldList::decode(list.encode_to_vec().as_slice()).unwrap();
    assert_eq!(seen.total, 1);
    let ticket = &seen.tickets[0];
    assert_eq!((ticket.ticket_id.as_str(), ticket.plan_id.as_str()), ("tk-1", "plan-xyz"));
    assert_eq!((ticket.intent_id.as_str(), ticket.task_id.as_str()), ("intent-1", "task-1"));
    assert_eq!((ticket.task_type.as_str(), ticket.description.as_str()), ("BUILD", "Build é"));
    assert_eq!((ticket.status.as_str(), ticket.priority.as_str()), ("PENDING", "HIGH"));
    assert_eq!(ticket.created_at, list.tickets[0].created_at);
}

#[test]
fn requests_have_the_bytes_of_old_stubs() {
    let list = wire::ListTicketsRequest { plan_id: "p".into(), status: "s".into(), offset: 1, limit: 2 };
    assert_eq!(list.encode_to_vec(), b"\x0a\x01p\x12\x01s\x18\x01\x20\x02");
    let update = wire::UpdateTicketStatusRequest {
        ticket_id: "t".into(),
        status: "s".into(),
        error_message: "e".into(),
    };
    assert_eq!(update.encode_to_vec(), b"\x0a\x01t\x12\x01s\x1a\x01e");
    let token = wire::GenerateTokenResponse { access_token: "a".into(), expires_at: 1 };
    assert_eq!(token.encode_to_vec(), b"\x0a\x01a\x10\x01");
}

#[tokio::test]
async fn words_they_do_not_know_are_failures() {
    let desk = Desk::open().await;
    let (mut client, mut old) = (desk.client(), desk.old_client());
    for (id, word, reason, shown) in
        [("tk-1", "CANCELLED", "not needed", "CANCELLED: not needed"), ("tk-2", "PREEMPTED", "", "PREEMPTED")]
    {
        client.create_ticket(minimal(id)).await.unwrap();
        for (status, error) in [("RUNNING", ""), (word, reason)] {
            let request = UpdateStatusRequest {
                ticket_id: id.into(),
                status: status.into(),
                error_message: error.into(),
                ..Default::default()
            };
            client.update_ticket_status(request).await.unwrap();
        }
        let request = wire::GetTicketRequest { ticket_id: id.into() };
        let ticket = old.get_ticket(request).await.unwrap().into_inner().ticket.unwrap();
        assert_eq!((ticket.status.as_str(), ticket.error_message.as_deref()), ("FAILED", Some(shown)));
    }
}

#[tokio::test]
async fn errors_are_those_of_today() {
    let desk = Desk::open().await;
    let mut old = desk.old_client();
    let get = |ticket_id: &str| wire::GetTicketRequest { ticket_id: ticket_id.into() };
    let missing = old.get_ticket(get("tk-none")).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "Ticket tk-none not found"));
    assert_eq!(wrong_field(&old.get_ticket(get("tk-\0")).await.unwrap_err()), "ticket_id");
    let update = |status: &str| wire::UpdateTicketStatusRequest {
        ticket_id: "tk-1".into(),
        status: status.into(),
        error_message: String::new(),
    };
    assert_eq!(wrong_field(&old.update_ticket_status(update("nonsense")).await.unwrap_err()), "status");
    assert_eq!(old.update_ticket_status(update("RUNNING")).await.unwrap_err().code(), Code::NotFound);
    let empty = wire::CreateTicketRequest { ticket: None };
    assert_eq!(old.create_ticket(empty).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn they_may_create_report_and_get_a_token() {
    let desk = Desk::open().await;
    let mut old = desk.old_client();
    let like = minimal("tk-1");
    let ticket = wire::ExecutionTicketProto {
        ticket_id: like.ticket_id,
        plan_id: like.plan_id,
        intent_id: like.intent_id,
        decision_id: like.decision_id,
        task_id: like.task_id,
        task_type: like.task_type,
        description: "Build".into(),
        priority: like.priority,
        risk_band: like.risk_band,
        security_level: like.security_level,
        sla: like.sla,
        qos: like.qos,
        ..Default::default()
    };
    let create = wire::CreateTicketRequest { ticket: Some(ticket) };
    let first = old.create_ticket(create.clone()).await.unwrap().into_inner().ticket.unwrap();
    assert_eq!((first.status.as_str(), first.description.as_str()), ("PENDING", "Build"));
    assert_eq!(old.create_ticket(create).await.unwrap().into_inner().ticket, Some(first));
    for status in ["IN_PROGRESS", "running"] {
        let update = wire::UpdateTicketStatusRequest {
            ticket_id: "tk-1".into(),
            status: status.into(),
            error_message: String::new(),
        };
        let ticket = old.update_ticket_status(update).await.unwrap().into_inner().ticket.unwrap();
        assert_eq!(ticket.status, "RUNNING");
    }
    let token = old.generate_token(wire::GenerateTokenRequest { ticket_id: "tk-1".into() }).await.unwrap();
    assert_eq!(token.into_inner().access_token.split('.').count(), 3);
}
