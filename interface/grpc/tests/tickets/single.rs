//! Calls about one ticket: read it, report on it, get a token for it.

use hive_proto::grpc::neural_hive::execution::{
    ExecutionTicket, GetTicketRequest, TokenRequest, UpdateStatusRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::desk::{Client, Desk, minimal, reason, wrong_field};

/// Ids that no ticket can have.
fn impossible() -> [String; 3] {
    [String::new(), "tk-\0".to_owned(), "x".repeat(37)]
}

async fn update(client: &mut Client, id: &str, status: &str) -> Result<ExecutionTicket, Status> {
    send(client, UpdateStatusRequest { ticket_id: id.into(), status: status.into(), ..Default::default() })
        .await
}

async fn send(client: &mut Client, request: UpdateStatusRequest) -> Result<ExecutionTicket, Status> {
    client.update_ticket_status(request).await.map(tonic::Response::into_inner)
}

async fn get(client: &mut Client, ticket_id: &str) -> Result<ExecutionTicket, Status> {
    let request = GetTicketRequest { ticket_id: ticket_id.to_owned() };
    client.get_ticket(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_ticket_is_found_by_its_id_or_named_as_missing() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    client.create_ticket(minimal("tk-abc123")).await.unwrap();
    let found = get(&mut client, "tk-abc123").await.unwrap();
    assert_eq!((found.status.as_str(), found.description.as_deref()), ("PENDING", Some("Build é")));

    let missing = get(&mut client, "tk-none").await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "Ticket tk-none not found"));
    let injected = get(&mut client, "' OR 1=1 --").await.unwrap_err();
    assert_eq!(injected.code(), Code::NotFound);
    for id in impossible() {
        assert_eq!(wrong_field(&get(&mut client, &id).await.unwrap_err()), "ticket_id");
    }
}

#[tokio::test]
async fn a_status_is_any_known_word_and_the_word_is_judged_before_the_id() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    client.create_ticket(minimal("tk-1")).await.unwrap();
    for bad in ["", "assigned", "RUNNING ", "\0"] {
        assert_eq!(wrong_field(&update(&mut client, "tk-none", bad).await.unwrap_err()), "status");
    }
    let missing = update(&mut client, "tk-none", "RUNNING").await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "Ticket tk-none not found"));
    for id in impossible() {
        assert_eq!(wrong_field(&update(&mut client, &id, "RUNNING").await.unwrap_err()), "ticket_id");
    }
    let running = update(&mut client, "tk-1", "in_progress").await.unwrap();
    assert_eq!((running.status.as_str(), running.version), ("RUNNING", 2));
    assert!(running.started_at.is_some());
}

#[tokio::test]
async fn the_table_of_moves_holds_and_repeats_change_nothing() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    client.create_ticket(minimal("tk-1")).await.unwrap();
    let refused = update(&mut client, "tk-1", "COMPLETED").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "INVALID_TRANSITION"));
    assert_eq!(refused.message(), "invalid transition of ticket tk-1 from PENDING to COMPLETED");

    update(&mut client, "tk-1", "RUNNING").await.unwrap();
    let done = update(&mut client, "tk-1", "COMPLETED").await.unwrap();
    assert!(done.completed_at > done.started_at);
    assert_eq!(update(&mut client, "tk-1", "completed").await.unwrap(), done);
    let late = update(&mut client, "tk-1", "RUNNING").await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
    assert_eq!(get(&mut client, "tk-1").await.unwrap(), done);
}

#[tokio::test]
async fn a_report_is_fenced_by_its_epoch_and_adds_to_what_is_known() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    client.create_ticket(minimal("tk-1")).await.unwrap();
    let report = |status: &str, epoch| UpdateStatusRequest {
        ticket_id: "tk-1".into(),
        status: status.into(),
        agent_id: "agent-1".into(),
        epoch,
        ..Default::default()
    };
    assert_eq!(wrong_field(&send(&mut client, report("RUNNING", None)).await.unwrap_err()), "epoch");
    let nobody = UpdateStatusRequest { agent_id: String::new(), ..report("RUNNING", Some(1)) };
    assert_eq!(wrong_field(&send(&mut client, nobody).await.unwrap_err()), "agent_id");

    let unasked = send(&mut client, report("RUNNING", Some(2))).await.unwrap_err();
    assert_eq!(reason(&unasked), "NOT_YOURS", "nobody takes what was not dispatched");
    desk.dispatch("tk-1", "agent-1").await;
    let taken = send(&mut client, report("RUNNING", Some(2))).await.unwrap();
    assert_eq!((taken.agent_id.as_deref(), taken.epoch), (Some("agent-1"), Some(2)));
    let stale = send(&mut client, report("COMPLETED", Some(1))).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::FailedPrecondition, "STALE_EPOCH"));
    let other = UpdateStatusRequest { agent_id: "agent-2".into(), ..report("COMPLETED", Some(2)) };
    assert_eq!(reason(&send(&mut client, other).await.unwrap_err()), "NOT_YOURS");

    let failed = UpdateStatusRequest {
        error_message: format!("bang\0{}", "é".repeat(64 * 1024)),
        retryable: Some(false),
        actual_duration_ms: Some(77),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        ..report("FAILED", Some(2))
    };
    let failed = send(&mut client, failed).await.unwrap();
    assert_eq!((failed.retryable, failed.actual_duration_ms), (Some(false), Some(77)));
    assert_eq!(failed.metadata["k"], "v");
    let error = failed.error_message.clone().unwrap();
    assert!(error.starts_with("bang\u{fffd}é") && error.len() <= 64 * 1024, "{} bytes", error.len());
    let again = send(&mut client, report("FAILED", Some(2))).await.unwrap();
    assert_eq!(again.error_message, failed.error_message, "an empty error text leaves what is stored");
}

#[tokio::test]
async fn a_token_is_given_while_there_is_work() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    client.create_ticket(minimal("tk-abc123")).await.unwrap();
    let request = || TokenRequest { ticket_id: "tk-abc123".into() };
    let token = client.generate_token(request()).await.unwrap().into_inner();
    assert_eq!((token.token_type.as_str(), token.expires_in), ("Bearer", 3_600));
    assert_eq!(token.scopes, ["ticket:read", "ticket:update", "task:build", "security:elevated"]);
    assert!(token.token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."));
    let another = client.generate_token(request()).await.unwrap().into_inner();
    assert_ne!(another.token, token.token);

    let missing = client.generate_token(TokenRequest { ticket_id: "tk-none".into() }).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "Ticket tk-none not found"));
    for id in impossible() {
        let refused = client.generate_token(TokenRequest { ticket_id: id }).await.unwrap_err();
        assert_eq!(wrong_field(&refused), "ticket_id");
    }
    update(&mut client, "tk-abc123", "FAILED").await.unwrap();
    let over = client.generate_token(request()).await.unwrap_err();
    assert_eq!(over.code(), Code::FailedPrecondition);
    assert_eq!(over.message(), "Cannot generate token for ticket with status FAILED");
}

#[tokio::test]
async fn without_a_database_calls_fail_fast_and_say_nothing_of_it() {
    let desk = Desk::open().await;
    let mut client = desk.client();
    client.create_ticket(minimal("tk-1")).await.unwrap();
    desk.database.close().await.unwrap();
    let errors = [
        get(&mut client, "tk-2").await.unwrap_err(),
        update(&mut client, "tk-2", "RUNNING").await.unwrap_err(),
        client.create_ticket(minimal("tk-2")).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.code(), error.message()), (Code::Unavailable, "the ticket store is unavailable"));
        assert!(error.get_details_retry_info().is_some());
    }
}
