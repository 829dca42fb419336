//! The registry over gRPC.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use hive_application::context::CallContext;
use hive_grpc::registry::RegistryService;
use hive_mapping::agent::REGISTRATION_TOKEN;
use hive_proto::grpc::neural_hive::service_registry as wire;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use wire::agent_change_event::EventType;
use wire::service_registry_client::ServiceRegistryClient;
use wire::service_registry_server::ServiceRegistryServer;
use wire::{AgentStatus, AgentType};

use crate::stand::RegistryStand;

type Client = ServiceRegistryClient<ServiceRegistryServer<RegistryService>>;

fn client(stand: &RegistryStand) -> Client {
    ServiceRegistryClient::new(ServiceRegistryServer::new(RegistryService::new(stand.registry.clone())))
}

fn worker(agent_id: &str) -> wire::RegisterRequest {
    wire::RegisterRequest {
        agent_type: AgentType::Worker.into(),
        capabilities: vec!["python".to_owned(), "read".to_owned()],
        metadata: BTreeMap::from([("agent_id".to_owned(), agent_id.to_owned())]),
        ..wire::RegisterRequest::default()
    }
}

fn telemetry(success_rate: f64, total_executions: i64) -> wire::AgentTelemetry {
    wire::AgentTelemetry { success_rate, total_executions, ..wire::AgentTelemetry::default() }
}

fn heartbeat(agent_id: &str) -> wire::HeartbeatRequest {
    wire::HeartbeatRequest { agent_id: agent_id.to_owned(), ..wire::HeartbeatRequest::default() }
}

async fn get(client: &mut Client, agent_id: &str) -> Result<wire::AgentInfo, Status> {
    let request = wire::GetAgentRequest { agent_id: agent_id.to_owned() };
    client.get_agent(request).await.map(|answer| answer.into_inner().agent.unwrap())
}

fn violated(status: &Status) -> String {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    status.get_details_bad_request().unwrap().field_violations.remove(0).field
}

#[tokio::test]
async fn a_registered_agent_reads_back_with_defaults_and_its_figures() {
    let stand = RegistryStand::new().await;
    let mut client = client(&stand);
    let request = wire::RegisterRequest { telemetry: Some(telemetry(0.4, 10)), ..worker("w-1") };
    let made = client.register(request).await.unwrap().into_inner();
    assert_eq!((made.agent_id.as_str(), made.registered_at, made.epoch), ("w-1", 1_700_000_000, 1));
    assert!(made.registration_token.starts_with("token-"));

    let agent = get(&mut client, "w-1").await.unwrap();
    assert_eq!((agent.namespace.as_str(), agent.cluster.as_str()), ("default", "local"));
    assert_eq!((agent.version.as_str(), agent.schema_version, agent.epoch), ("1.0.0", 1, 1));
    assert_eq!((agent.registered_at, agent.last_seen), (1_700_000_000, 1_700_000_000));
    assert_eq!(agent.telemetry, Some(telemetry(0.4, 10)));
    assert_eq!(agent.status(), AgentStatus::Degraded);
    assert_eq!(agent.capabilities, ["python", "read"]);
    assert!(!format!("{agent:?}").contains(&made.registration_token));
}

#[tokio::test]
async fn a_bad_field_is_named() {
    let stand = RegistryStand::new().await;
    let mut client = client(&stand);
    let idle = wire::RegisterRequest { capabilities: Vec::new(), ..worker("w-1") };
    assert_eq!(violated(&client.register(idle).await.unwrap_err()), "capabilities");
    for agent_type in [0, 5, -1] {
        let request = wire::RegisterRequest { agent_type, ..worker("w-1") };
        assert_eq!(violated(&client.register(request).await.unwrap_err()), "agent_type");
    }
    let bragging = wire::RegisterRequest { telemetry: Some(telemetry(1.5, 1)), ..worker("w-1") };
    assert_eq!(violated(&client.register(bragging).await.unwrap_err()), "telemetry.success_rate");
    for malformed in ["", "a\nb"] {
        assert_eq!(violated(&get(&mut client, malformed).await.unwrap_err()), "agent_id");
        assert_eq!(violated(&client.heartbeat(heartbeat(malformed)).await.unwrap_err()), "agent_id");
        let request = wire::DeregisterRequest { agent_id: malformed.to_owned(), epoch: None };
        assert_eq!(violated(&client.deregister(request).await.unwrap_err()), "agent_id");
    }
}

#[tokio::test]
async fn a_held_id_takes_its_token_and_gets_a_higher_epoch() {
    let stand = RegistryStand::new().await;
    let mut client = client(&stand);
    let first = client.register(worker("w-1")).await.unwrap().into_inner();
    let refused = client.register(worker("w-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let mut in_call = Request::new(worker("w-1"));
    in_call.metadata_mut().insert(REGISTRATION_TOKEN, first.registration_token.parse().unwrap());
    let second = client.register(in_call).await.unwrap().into_inner();
    assert_eq!((second.agent_id.as_str(), second.epoch), ("w-1", 2));

    let mut in_metadata = worker("w-1");
    in_metadata.metadata.insert("registration_token".to_owned(), first.registration_token);
    assert_eq!(client.register(in_metadata).await.unwrap().into_inner().epoch, 3);

    let stale = wire::HeartbeatRequest { epoch: Some(2), ..heartbeat("w-1") };
    assert_eq!(client.heartbeat(stale).await.unwrap_err().code(), Code::FailedPrecondition);
    client.heartbeat(wire::HeartbeatRequest { epoch: Some(3), ..heartbeat("w-1") }).await.unwrap();
}

#[tokio::test]
async fn a_heartbeat_answers_the_status_and_the_unknown_learn_to_register() {
    let stand = RegistryStand::new().await;
    let mut client = client(&stand);
    client.register(worker("w-1")).await.unwrap();
    stand.advance(1_001);
    let heard = client.heartbeat(heartbeat("w-1")).await.unwrap().into_inner();
    assert_eq!((heard.status(), heard.last_seen), (AgentStatus::Healthy, 1_700_000_002));
    let failing = wire::HeartbeatRequest { telemetry: Some(telemetry(0.1, 9)), ..heartbeat("w-1") };
    let heard = client.heartbeat(failing).await.unwrap().into_inner();
    assert_eq!(heard.status(), AgentStatus::Unhealthy);

    let unknown = client.heartbeat(heartbeat("w-9")).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::NotFound, "Agente w-9 não encontrado"));
    assert_eq!(get(&mut client, "w-9").await.unwrap_err().message(), "Agente w-9 não encontrado");
}

#[tokio::test]
async fn leaving_twice_is_no_error() {
    let stand = RegistryStand::new().await;
    let mut client = client(&stand);
    client.register(worker("w-1")).await.unwrap();
    for success in [true, false] {
        let request = wire::DeregisterRequest { agent_id: "w-1".to_owned(), epoch: None };
        assert_eq!(client.deregister(request).await.unwrap().into_inner().success, success);
    }
    assert_eq!(get(&mut client, "w-1").await.unwrap_err().code(), Code::NotFound);
}

async fn discovered(client: &mut Client, filters: &[(&str, &str)]) -> Result<Vec<String>, Status> {
    let filters = filters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let capabilities = vec!["read".to_owned()];
    let found =
        client.discover_agents(wire::DiscoverRequest { capabilities, filters, max_results: 0 }).await?;
    let found = found.into_inner();
    assert!(found.ranked);
    Ok(found.agents.into_iter().map(|agent| agent.agent_id).collect())
}

#[tokio::test]
async fn discovery_ranks_filters_and_never_offers_the_expired() {
    let stand = RegistryStand::new().await;
    let mut client = client(&stand);
    let scout = wire::RegisterRequest { agent_type: AgentType::Scout.into(), ..worker("s-1") };
    client.register(scout).await.unwrap();
    let good = wire::RegisterRequest { telemetry: Some(telemetry(0.95, 10)), ..worker("w-1") };
    client.register(good).await.unwrap();
    client.register(worker("w-2")).await.unwrap();

    assert_eq!(discovered(&mut client, &[]).await.unwrap(), ["w-1", "s-1", "w-2"]);
    assert_eq!(discovered(&mut client, &[("agent_type", "scout")]).await.unwrap(), ["s-1"]);
    assert_eq!(discovered(&mut client, &[("status", "healthy")]).await.unwrap().len(), 3);
    assert_eq!(violated(&discovered(&mut client, &[("color", "red")]).await.unwrap_err()), "filters.color");
    assert_eq!(
        violated(&discovered(&mut client, &[("agent_type", "QUEEN")]).await.unwrap_err()),
        "filters.agent_type"
    );
    let workers = client.discover_workers(wire::DiscoverRequest::default()).await.unwrap().into_inner();
    let workers: Vec<_> = workers.agents.iter().map(|agent| agent.agent_id.as_str()).collect();
    assert_eq!(workers, ["w-1", "w-2"]);

    stand.advance(120_001);
    assert_eq!(discovered(&mut client, &[]).await.unwrap(), [""; 0]);
    let list = wire::ListAgentsRequest { agent_type: AgentType::Worker.into(), filters: BTreeMap::new() };
    let listed = client.list_agents(list).await.unwrap().into_inner().agents;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|agent| agent.status() == AgentStatus::Unhealthy));
    let bad = wire::ListAgentsRequest { agent_type: 9, filters: BTreeMap::new() };
    assert_eq!(violated(&client.list_agents(bad).await.unwrap_err()), "agent_type");
}

#[tokio::test]
async fn a_watcher_gets_the_agents_there_are_then_every_change() {
    let stand = RegistryStand::new().await;
    let mut client = client(&stand);
    client.register(worker("w-1")).await.unwrap();
    let scout = wire::RegisterRequest { agent_type: AgentType::Scout.into(), ..worker("s-1") };
    client.register(scout).await.unwrap();
    let watch = wire::WatchAgentsRequest { agent_type: AgentType::Worker.into(), with_snapshots: false };
    let mut events = client.watch_agents(watch).await.unwrap().into_inner();
    let mut next = async || {
        let event = events.next().await.unwrap().unwrap();
        let agent = event.agent.clone().unwrap();
        (event.event_type(), agent.agent_id.clone(), agent.status(), event.timestamp)
    };
    let at = 1_700_000_000;
    assert_eq!(next().await, (EventType::Registered, "w-1".to_owned(), AgentStatus::Healthy, at));

    client.heartbeat(heartbeat("s-1")).await.unwrap();
    client.register(worker("w-2")).await.unwrap();
    assert_eq!(next().await, (EventType::Registered, "w-2".to_owned(), AgentStatus::Healthy, at));
    client.heartbeat(heartbeat("w-1")).await.unwrap();
    assert_eq!(next().await, (EventType::Updated, "w-1".to_owned(), AgentStatus::Healthy, at));

    stand.advance(100_000);
    client.heartbeat(heartbeat("w-2")).await.unwrap();
    assert_eq!(next().await.0, EventType::Updated);
    stand.advance(20_001);
    stand.registry.expire_leases.execute(&CallContext::internal("test")).await.unwrap();
    let expired = (EventType::StatusChanged, "w-1".to_owned(), AgentStatus::Unhealthy, at + 121);
    assert_eq!(next().await, expired);
    client.deregister(wire::DeregisterRequest { agent_id: "w-2".to_owned(), epoch: None }).await.unwrap();
    assert_eq!(next().await.0, EventType::Deregistered);

    let bad = wire::WatchAgentsRequest { agent_type: 9, with_snapshots: false };
    assert_eq!(violated(&client.watch_agents(bad).await.unwrap_err()), "agent_type");
}

#[tokio::test]
async fn an_agent_is_notified_with_its_next_heartbeat() {
    let stand = RegistryStand::new().await;
    let mut client = client(&stand);
    client.register(worker("w-1")).await.unwrap();
    let mut notify = async |agent_id: &str| {
        let request = wire::NotifyAgentRequest {
            agent_id: agent_id.to_owned(),
            notification_type: "RECOVERY".to_owned(),
            message: "your tickets went elsewhere".to_owned(),
            metadata: [("incident".to_owned(), "i-1".to_owned())].into(),
        };
        client.notify_agent(request).await
    };
    let answer = notify("w-1").await.unwrap().into_inner();
    assert_eq!((answer.success, answer.error.as_str()), (true, ""));
    assert_eq!(notify("w-9").await.unwrap_err().code(), Code::NotFound);
    let mut beat = async || {
        let request = wire::HeartbeatRequest { agent_id: "w-1".to_owned(), ..Default::default() };
        client.heartbeat(request).await.unwrap().into_inner().notifications
    };
    let told = beat().await.remove(0);
    assert_eq!(
        (told.notification_type.as_str(), told.message.as_str()),
        ("RECOVERY", "your tickets went elsewhere")
    );
    assert_eq!((told.metadata["incident"].as_str(), told.timestamp_ms > 0), ("i-1", true));
    assert!(beat().await.is_empty());
}
