//! The ticket context on its database: saving the tickets of a plan, and whole lives of tickets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use hive_application::clock::Clock;
use hive_application::context::CallContext;
use hive_application::orchestration::TicketGateway;
use hive_application::tickets::{ChangeTicketStatusCommand, NewTicket, OrderTicketCommand, Tickets};
use hive_domain::ids::{AgentId, DecisionId, IntentId, PlanId, TaskId, TicketId, WorkflowId};
use hive_domain::json::{Json, object};
use hive_domain::orchestration::generation::{SlaConfig, generate};
use hive_domain::orchestration::limits::Limits;
use hive_domain::orchestration::message::Message;
use hive_domain::orchestration::validation::{Verdict, validate};
use hive_domain::tickets::public::{
    Consistency, DeliveryMode, Dispatch, Durability, Order, Priority, Qos, Report as TicketReport, RiskBand,
    SecurityLevel, Sla, TaskType, TicketContent, TicketStatus,
};
use hive_domain::time::Timestamp;
use hive_peers::in_process::TicketPeer;
use hive_sql::{Config, TicketDatabase};

use crate::plans::layered;
use crate::report::Report;
use crate::validation::median_ms;

pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }
}

async fn open(folder: &std::path::Path) -> (TicketDatabase, Tickets) {
    let database = TicketDatabase::open(&Config::new(folder.join("tickets.db"))).await.unwrap();
    let tickets = Tickets::new(database.repository(), database.log(), Arc::new(WallClock));
    (database, tickets)
}

/// C2: from the judged plan to all tickets durable.
pub(crate) async fn generation(report: &mut Report) {
    for (tasks, goal) in [(1_000, "ms (goal 100)"), (10_000, "ms")] {
        let mut times = Vec::new();
        for round in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let (database, tickets) = open(folder.path()).await;
            let peer = TicketPeer::new(tickets);
            let approved = approved(&format!("plan-{round}"), tasks);
            let workflow_id = WorkflowId::for_plan(&approved.plan.plan_id);
            let begin = Instant::now();
            let planned = generate(&approved, &workflow_id, WallClock.now(), &SlaConfig::default());
            for part in planned.chunks(1_000) {
                peer.create(part.to_vec()).await.unwrap();
            }
            times.push(begin.elapsed());
            database.close().await.unwrap();
        }
        report.add(
            "generation",
            format!("{tasks} tickets durable after the start of C2"),
            median_ms(&mut times),
            goal,
        );
    }
}

fn approved(plan_id: &str, tasks: usize) -> hive_domain::orchestration::plan::ApprovedPlan {
    let text = layered(plan_id, tasks).to_string();
    let limits = Limits::default();
    let body = hive_application::messages::decode(text.as_bytes(), usize::MAX, limits.max_nesting).unwrap();
    let message = Message::open(body, &limits, |_| Err(String::new())).unwrap();
    match validate(&message, None, &limits, Timestamp::from_millis(1)).verdict {
        Verdict::Run(approved) => *approved,
        verdict => panic!("{verdict:?}"),
    }
}

const CALLERS: usize = 64;
const SPAN: Duration = Duration::from_secs(2);

/// create, dispatch, RUNNING, COMPLETED, each a call of its own, with its history and outbox rows.
pub(crate) async fn life(report: &mut Report) {
    let mut rates = Vec::new();
    for callers in [1, CALLERS, CALLERS, CALLERS] {
        let folder = tempfile::tempdir().unwrap();
        let (database, tickets) = open(folder.path()).await;
        let begin = Instant::now();
        let lives = (0..callers).map(|_| tokio::spawn(lives(tickets.clone(), begin)));
        let lived: usize = join_all(lives).await.into_iter().map(Result::unwrap).sum();
        #[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth of tickets")]
        let rate = lived as f64 / begin.elapsed().as_secs_f64();
        database.close().await.unwrap();
        if callers == 1 {
            report.add("life", "whole lives of tickets, one caller", rate, "/s");
        } else {
            rates.push(rate);
        }
    }
    rates.sort_by(f64::total_cmp);
    let what = format!("whole lives of tickets, {CALLERS} callers, median of {}", rates.len());
    report.add("life", what, rates[rates.len() / 2], "/s (at least 3000, goal 5000)");
}

async fn lives(tickets: Tickets, begin: Instant) -> usize {
    let context = CallContext::internal("bench");
    let agent = AgentId::parse("agent-1").unwrap();
    let mut lived = 0;
    while begin.elapsed() < SPAN {
        let content = content();
        let ticket_id = content.ticket_id.clone();
        let new = NewTicket { content: content.into(), metadata: BTreeMap::new() };
        tickets.create.execute(&context, vec![new]).await.unwrap();
        let order = Order::Dispatch(Dispatch {
            agent: agent.clone(),
            epoch: 1,
            allocation: object([("agent_id", "agent-1".into()), ("agent_score", Json::Float(0.75))]),
            not_before: None,
        });
        let order = OrderTicketCommand { ticket_id: ticket_id.clone(), order };
        tickets.order.execute(&context, &order).await.unwrap();
        for status in [TicketStatus::Running, TicketStatus::Completed] {
            let report = TicketReport::by(agent.clone(), 1);
            let command = ChangeTicketStatusCommand { ticket_id: ticket_id.clone(), status, report };
            tickets.change_status.execute(&context, &command).await.unwrap();
        }
        lived += 1;
    }
    lived
}

pub(crate) fn content() -> TicketContent {
    let now = WallClock.now();
    let id = uuid::Uuid::new_v4().to_string();
    TicketContent {
        ticket_id: TicketId::parse(&id).unwrap(),
        plan_id: PlanId::parse(&id[..8]).unwrap(),
        intent_id: IntentId::parse("intent-bench").unwrap(),
        decision_id: DecisionId::parse("decision-bench").unwrap(),
        correlation_id: Some(id.clone()),
        trace_id: None,
        span_id: None,
        task_id: TaskId::parse("task-1").unwrap(),
        task_type: TaskType::Transform,
        description: "Aggregate the readings of a district and store them".to_owned(),
        dependencies: Vec::new(),
        priority: Priority::Normal,
        risk_band: RiskBand::Medium,
        sla: Sla { deadline: now.plus_ms(60_000), timeout_ms: 60_000, max_retries: 2 },
        qos: Qos {
            delivery_mode: DeliveryMode::AtLeastOnce,
            consistency: Consistency::Eventual,
            durability: Durability::Persistent,
        },
        parameters: BTreeMap::from([("source".to_owned(), "district".into())]),
        required_capabilities: vec!["read".to_owned(), "compute".to_owned()],
        security_level: SecurityLevel::Internal,
        created_at: now,
        estimated_duration_ms: Some(800),
        predictions: None,
        schema_version: 1,
    }
}
