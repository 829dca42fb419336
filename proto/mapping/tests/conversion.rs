//! Whatever a ticket holds comes back from the wire as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use hive_domain::ids::{AgentId, DecisionId, IntentId, PlanId, TaskId, TicketId};
use hive_domain::json::Json;
use hive_domain::tickets::public::{
    Consistency, DeliveryMode, Durability, Priority, RiskBand, SecurityLevel, TaskType, TicketContent,
    TicketSnapshot, TicketState, TicketStatus,
};
use hive_domain::tickets::{Qos, Sla};
use hive_domain::time::Timestamp;
use hive_mapping::ticket::{snapshot, ticket};
use hive_proto::grpc::neural_hive::execution::ExecutionTicket;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;

fn id<T: std::fmt::Debug + Clone>(
    parse: impl Fn(&str) -> Option<T> + Clone,
) -> impl Strategy<Value = T> + Clone {
    "[a-zA-Z0-9 é🐝_.-]{1,36}".prop_filter_map("an id", move |text| parse(&text))
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(|number| Json::Int(number.into())),
        any::<u64>().prop_map(|number| Json::Int(number.into())),
        (-1e300..1e300f64).prop_map(Json::Float),
        Just(Json::Float(1.0)),
        any::<String>().prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::List),
            btree_map(any::<String>(), inner, 0..4).prop_map(Json::Object),
        ]
    })
}

fn time() -> impl Strategy<Value = Timestamp> + Clone {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn ids() -> impl Strategy<Value = (TicketId, PlanId, IntentId, DecisionId, TaskId, Vec<TicketId>)> {
    let ticket = id(|text| TicketId::parse(text).ok());
    (
        ticket.clone(),
        id(|text| PlanId::parse(text).ok()),
        id(|text| IntentId::parse(text).ok()),
        id(|text| DecisionId::parse(text).ok()),
        id(|text| TaskId::parse(text).ok()),
        vec(ticket, 0..4),
    )
}

type Words = (TaskType, Priority, RiskBand, SecurityLevel, Qos);

fn words() -> impl Strategy<Value = Words> {
    let qos = (select(DeliveryMode::ALL), select(Consistency::ALL), select(Durability::ALL))
        .prop_map(|(delivery_mode, consistency, durability)| Qos { delivery_mode, consistency, durability });
    (select(TaskType::ALL), select(Priority::ALL), select(RiskBand::ALL), select(SecurityLevel::ALL), qos)
}

fn content() -> impl Strategy<Value = TicketContent> {
    let texts = (of(any::<String>()), of(any::<String>()), of(any::<String>()), any::<String>());
    let sla = (time(), any::<i64>(), any::<i32>()).prop_map(|(deadline, timeout_ms, max_retries)| Sla {
        deadline,
        timeout_ms,
        max_retries,
    });
    let rest = (
        btree_map(any::<String>(), json(), 0..4),
        vec(any::<String>(), 0..4),
        time(),
        of(any::<i64>()),
        of(json()),
        any::<i32>(),
    );
    (ids(), words(), texts, sla, rest).prop_map(|(ids, words, texts, sla, rest)| {
        let (ticket_id, plan_id, intent_id, decision_id, task_id, dependencies) = ids;
        let (task_type, priority, risk_band, security_level, qos) = words;
        let (correlation_id, trace_id, span_id, description) = texts;
        let (
            parameters,
            required_capabilities,
            created_at,
            estimated_duration_ms,
            predictions,
            schema_version,
        ) = rest;
        TicketContent {
            ticket_id,
            plan_id,
            intent_id,
            decision_id,
            correlation_id,
            trace_id,
            span_id,
            task_id,
            task_type,
            description,
            dependencies,
            priority,
            risk_band,
            sla,
            qos,
            parameters,
            required_capabilities,
            security_level,
            created_at,
            estimated_duration_ms,
            predictions,
            schema_version,
        }
    })
}

fn state() -> impl Strategy<Value = TicketState> {
    let agent = of(id(|text| AgentId::parse(text).ok()));
    let undo = of(id(|text| TicketId::parse(text).ok()));
    let times = (of(time()), of(time()), of(time()), of(time()));
    let metadata = btree_map(any::<String>(), any::<String>(), 0..4)
        .prop_map(|pairs| pairs.into_iter().collect::<BTreeMap<_, _>>());
    let numbers = (of(any::<u64>()), of(any::<i64>()), any::<i32>(), of(any::<bool>()));
    (
        select(&TicketStatus::ALL[..]),
        metadata,
        (agent.clone(), agent, of(json())),
        times,
        numbers,
        undo,
        of(any::<String>()),
    )
        .prop_map(|(status, metadata, agents, times, numbers, compensation_ticket_id, error_message)| {
            let (assigned_worker, agent_id, allocation) = agents;
            let (dispatched_at, not_before, started_at, completed_at) = times;
            let (epoch, actual_duration_ms, retry_count, retryable) = numbers;
            TicketState {
                status,
                metadata,
                assigned_worker,
                allocation,
                agent_id,
                epoch,
                dispatched_at,
                not_before,
                started_at,
                completed_at,
                actual_duration_ms,
                retry_count,
                retryable,
                error_message,
                compensation_ticket_id,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_ticket_survives_the_wire(content in content(), state in state(), version in any::<u64>()) {
        let bytes = ticket(&content, &state, version).encode_to_vec();
        let back = snapshot(ExecutionTicket::decode(bytes.as_slice()).unwrap()).unwrap();
        prop_assert_eq!(back, TicketSnapshot { content: Arc::new(content), state, version });
    }

    #[test]
    fn no_bytes_and_no_text_make_it_panic(bytes in vec(any::<u8>(), 0..200), text in any::<String>()) {
        if let Ok(message) = ExecutionTicket::decode(bytes.as_slice()) {
            let _ = snapshot(message);
        }
        let odd = ExecutionTicket { ticket_id: text.clone(), parameters: text, ..ExecutionTicket::default() };
        prop_assert!(snapshot(odd).is_err());
    }
}
