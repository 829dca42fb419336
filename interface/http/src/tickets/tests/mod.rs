//! The ticket routes, on a real database.

mod creating;
mod garbage;
mod lifecycle;
mod reading;

use axum::Router;
use hive_application::context::CallContext;
use hive_application::tickets::{OrderTicketCommand, TicketApi};
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::json::Json;
use hive_domain::tickets::{Dispatch, Order};
use serde_json::{Value, json};

use crate::testing::ask;

/// Everything that a caller has to send.
fn draft(ticket_id: &str) -> Value {
    json!({
        "ticket_id": ticket_id,
        "plan_id": "plan-xyz",
        "intent_id": "intent-1",
        "decision_id": "dec-1",
        "task_id": "task-1",
        "task_type": "BUILD",
        "description": "Build é",
        "priority": "HIGH",
        "risk_band": "high",
        "sla": {"deadline": 1_737_100_800_000_i64, "timeout_ms": 300_000, "max_retries": 1},
        "qos": {"delivery_mode": "EXACTLY_ONCE", "consistency": "STRONG", "durability": "PERSISTENT"},
        "security_level": "CONFIDENTIAL",
    })
}

/// A draft with some of its members replaced.
fn draft_with(ticket_id: &str, others: &Value) -> Value {
    let mut draft = draft(ticket_id);
    for (key, value) in others.as_object().unwrap() {
        draft[key] = value.clone();
    }
    draft
}

async fn create(app: &Router, draft: &Value) -> Value {
    let (status, ticket) = ask(app, "POST", "/api/v1/tickets", Some(draft)).await;
    assert_eq!(status, 201, "{ticket}");
    ticket
}

/// Changes the status of `tk-1` and hands back what is answered.
async fn patch(app: &Router, body: Value) -> (u16, Value) {
    ask(app, "PATCH", "/api/v1/tickets/tk-1/status", Some(&body)).await
}

/// Hands `tk-1` to an agent, as orchestration does.
async fn dispatch(api: &TicketApi, agent: &str, epoch: u64) {
    let agent = AgentId::parse(agent).unwrap();
    let order = Order::Dispatch(Dispatch { agent, epoch, allocation: Json::Null, not_before: None });
    let command = OrderTicketCommand { ticket_id: TicketId::parse("tk-1").unwrap(), order };
    api.tickets.order.execute(&CallContext::internal("orchestrator"), &command).await.unwrap();
}
