//! One trace from a plan to its tickets, as a collector sees it.

use std::collections::{HashMap, HashSet};

use hive_grpc_kit::testing::Channel;
use hive_it::certificates::Authority;
use hive_it::collector::{Collector, Span};
use hive_it::folder::temporary;
use hive_it::plan;
use hive_it::random::Random;
use hive_it::roles::Processes;
use hive_it::up::{Up, up};
use hive_proto::grpc::neural_hive::execution::TokenRequest;
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;
use hive_proto::grpc::neural_hive::orchestration::SubmissionStatus;
use hive_proto::grpc::neural_hive::service_registry::{
    DeregisterRequest, GetAgentRequest, HeartbeatRequest, ListAgentsRequest, NotifyAgentRequest,
    RegisterRequest, WatchAgentsRequest,
};
use tokio::runtime::Runtime;
use tonic::Request;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Spans that a finished plan leaves in its trace.
const OF_A_PLAN: [&str; 12] = [
    "orchestrator.validate_plan",
    "orchestration_workflow.run",
    "orchestrator.generate_tickets",
    "grpc.CreateTicket",
    "postgres.insert",
    "orchestrator.allocate_resources",
    "discover_agents",
    "match_agents",
    "orchestrator.publish_tickets",
    "postgres.update",
    "worker.execute_ticket",
    "orchestrator.consolidate_results",
];
/// Spans of what else may be asked, in the trace of whoever asks. Those that are nowhere: `mongodb.insert`, `kafka.produce`,
/// `kafka.consume` and `send_webhook` belong to engines that this process does not speak to; `orchestrator.get_ticket` and
/// its like are the spans of the calls.
const OF_CALLS: [&str; 8] = [
    "generate_jwt_token",
    "register_agent",
    "heartbeat",
    "get_agent",
    "list_agents",
    "watch_agents",
    "notify_agent",
    "deregister_agent",
];

/// A request in the trace of the caller.
fn traced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{CALLER}-01").parse().expect("a header");
    request.metadata_mut().insert("traceparent", parent);
    request
}

/// Asks everything that is asked of the registry and of tokens.
async fn ask_everything(up: &Up) {
    let mut registry = up.registry().await;
    let worker =
        RegisterRequest { agent_type: 1, capabilities: vec!["fly".to_owned()], ..RegisterRequest::default() };
    let agent_id = registry.register(traced(worker)).await.expect("registered").into_inner().agent_id;
    let id = || agent_id.clone();
    let beat = HeartbeatRequest { agent_id: id(), ..HeartbeatRequest::default() };
    registry.heartbeat(traced(beat)).await.expect("heard");
    let _ = registry.get_agent(traced(GetAgentRequest { agent_id: id() })).await.expect("the agent");
    registry.list_agents(traced(ListAgentsRequest::default())).await.expect("agents");
    let notification = NotifyAgentRequest { agent_id: id(), ..NotifyAgentRequest::default() };
    registry.notify_agent(traced(notification)).await.expect("an answer");
    let watched = registry.watch_agents(traced(WatchAgentsRequest::default())).await.expect("a stream");
    watched.into_inner().message().await.expect("an event").expect("an agent");
    let leave = DeregisterRequest { agent_id: id(), epoch: None };
    assert!(registry.deregister(traced(leave)).await.expect("an answer").into_inner().success);
    let channel = Channel::connect(up.tickets_address()).await.expect("the tickets listen");
    let mut tickets = TicketServiceClient::new(channel);
    tickets.create_ticket(crate::auth::ticket("asked-about")).await.expect("created");
    let token = TokenRequest { ticket_id: "asked-about".to_owned() };
    let _ = tickets.generate_token(traced(token)).await.expect("a token");
}

/// Runs a plan of 6 tasks under the caller's trace; hands back the spans and a ticket.
fn run(traced: bool) -> (Vec<Span>, String) {
    let data = temporary();
    let message = plan::layered("traced", 3, 2, &mut Random::new(7));
    let runtime = Runtime::new().expect("threads");
    let collector = runtime.block_on(Collector::start());
    let hive = up(data.path());
    let up = Up::of(if traced { hive.env("OTEL_EXPORTER_ENDPOINT", &collector.endpoint()) } else { hive });
    runtime.block_on(async {
        let submitted = up.submit_traced(&message, &format!("00-{TRACE}-{CALLER}-01")).await;
        assert_eq!(submitted.status(), SubmissionStatus::Accepted);
        assert_eq!(up.end_of(&submitted.workflow_id).await.plan_status, "SUCCESS");
        ask_everything(&up).await;
    });
    let (_, tickets) = up.get("/api/v1/tickets?plan_id=traced&limit=1");
    for text in up.open_metrics() {
        let of_the_call = |line: &&str| {
            line.starts_with("grpc_server_handling_seconds_bucket{") && line.contains("\"SubmitPlan\"")
        };
        let exemplar = format!(" # {{trace_id=\"{TRACE}\"}} ");
        let shown = text.lines().filter(of_the_call).filter(|line| line.contains(&exemplar)).count();
        assert!(shown == 1 && text.ends_with("\n# EOF\n"), "{text}");
    }
    assert!(!up.scrape().contains("trace_id="));
    // The end exports what waits.
    let _ = up.end().exits_with(0);
    (collector.spans(), tickets)
}

#[test]
fn a_plan_is_one_trace_down_to_the_work_of_the_agents() {
    let (spans, tickets) = run(true);
    let tickets: serde_json::Value = serde_json::from_str(&tickets).expect("JSON");
    assert_eq!(tickets["tickets"][0]["trace_id"], TRACE);
    let trace: Vec<&Span> = spans.iter().filter(|span| span.trace_id == TRACE).collect();
    let by_id: HashMap<&str, &Span> = trace.iter().map(|span| (span.span_id.as_str(), *span)).collect();
    let named = |name: &str| {
        let found: Vec<&Span> = trace.iter().copied().filter(|span| span.name == name).collect();
        assert!(
            !found.is_empty(),
            "no {name} in {:?}",
            trace.iter().map(|span| &span.name).collect::<Vec<_>>()
        );
        found
    };
    let parent = |span: &Span| by_id.get(span.parent.as_str()).map_or("", |parent| parent.name.as_str());

    let submit = named("neural_hive.orchestration.OrchestratorService/SubmitPlan")[0];
    assert_eq!((submit.parent.as_str(), submit.service.as_str()), (CALLER, "orchestrator-dynamic"));
    assert_eq!(submit.attribute("rpc.system"), Some("grpc"));
    let flow = named("orchestration_workflow.run")[0];
    assert_eq!((parent(flow), flow.service.as_str()), (submit.name.as_str(), "orchestrator-dynamic"));
    assert_eq!(flow.attribute("neural.hive.plan.id"), Some("traced"));
    assert_eq!(flow.attribute("neural.hive.workflow.id"), Some("orch-traced"));
    for (name, under, service) in [
        ("orchestrator.validate_plan", submit.name.as_str(), "orchestrator-dynamic"),
        ("orchestrator.generate_tickets", "orchestration_workflow.run", "orchestrator-dynamic"),
        ("grpc.CreateTicket", "orchestrator.generate_tickets", "orchestrator-dynamic"),
        ("postgres.insert", "grpc.CreateTicket", "execution-ticket-service"),
        ("orchestrator.allocate_resources", "orchestration_workflow.run", "orchestrator-dynamic"),
        ("orchestrator.publish_tickets", "orchestration_workflow.run", "orchestrator-dynamic"),
        ("orchestrator.consolidate_results", "orchestration_workflow.run", "orchestrator-dynamic"),
    ] {
        let span = named(name)[0];
        assert_eq!((parent(span), span.service.as_str()), (under, service), "{name}");
    }
    for name in OF_A_PLAN.into_iter().chain(OF_CALLS) {
        assert!(!named(name).is_empty(), "{name}");
    }
    let work = named("worker.execute_ticket");
    let tickets: HashSet<_> = work.iter().map(|span| span.attribute("neural.hive.ticket.id")).collect();
    assert_eq!(tickets.len(), 6, "at least one a ticket");
    assert!(work.iter().all(|span| span.service == "hive-agent" && parent(span) == submit.name));
    // A search for agents is the registry's, and belongs to the flow that needed it.
    let search = named("discover_agents")[0];
    assert_eq!(
        (search.service.as_str(), parent(search)),
        ("service-registry", "orchestrator.allocate_resources")
    );
    let matched = named("match_agents")[0];
    assert_eq!((matched.service.as_str(), parent(matched)), ("service-registry", "discover_agents"));
    assert_eq!(matched.attribute("neural.hive.capability.required"), Some("compute"));
    assert_eq!(matched.attribute("neural.hive.agents.matched"), Some("4"));
    // What was not asked under the trace is another one.
    assert!(spans.iter().any(|span| span.trace_id != TRACE && span.name == "GET /api/v1/tickets"));
}

#[test]
fn a_collector_is_reached_over_tls() {
    let authority = Authority::new();
    authority.sign_server("collector");
    let data = temporary();
    let runtime = Runtime::new().expect("threads");
    let collector = runtime.block_on(Collector::start_tls(&authority, "collector"));
    assert!(collector.endpoint().starts_with("https://"));
    let hive = up(data.path()).env("OTEL_EXPORTER_ENDPOINT", &collector.endpoint());
    // Who is trusted beside the system's authorities, as their readers have it.
    let up = Up::of(hive.env("SSL_CERT_FILE", &authority.file("ca.pem")));
    assert_eq!(up.get("/api/v1/tickets").0, 200);
    let _ = up.end().exits_with(0);
    assert!(collector.spans().iter().any(|span| span.name == "GET /api/v1/tickets"));
}

#[test]
fn without_an_address_nothing_is_exported_and_the_trace_is_kept() {
    let (spans, tickets) = run(false);
    assert_eq!(spans, []);
    let tickets: serde_json::Value = serde_json::from_str(&tickets).expect("JSON");
    let ticket = &tickets["tickets"][0];
    assert_eq!((&ticket["trace_id"], &ticket["span_id"]), (&TRACE.into(), &CALLER.into()));
}

#[test]
fn a_plan_is_one_trace_across_four_processes() {
    let (data, plans) = (temporary(), temporary());
    let message = plan::layered("far", 2, 2, &mut Random::new(7));
    let file = plan::write(plans.path(), "far.json", message.to_string());
    let runtime = Runtime::new().expect("threads");
    let collector = runtime.block_on(Collector::start());
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let processes = Processes::start_with(data.path(), &settings);
    let _ = processes.submit(&file).finish().exits_with(0);
    processes.end_all();

    let spans = collector.spans();
    let flow = spans.iter().find(|span| span.name == "orchestration_workflow.run").expect("the flow");
    let trace: Vec<&Span> = spans.iter().filter(|span| span.trace_id == flow.trace_id).collect();
    let named = |name: &str| trace.iter().find(|span| span.name == name);
    let insert = named("postgres.insert").expect("an insert");
    let create = named("grpc.CreateTicket").expect("a call");
    let served = trace.iter().find(|span| span.span_id == insert.parent).expect("a call that was served");
    assert_eq!(
        (served.parent.as_str(), served.attribute("rpc.system")),
        (create.span_id.as_str(), Some("grpc"))
    );
    assert_eq!(
        (create.service.as_str(), served.service.as_str()),
        ("orchestrator-dynamic", "execution-ticket-service")
    );
    assert_eq!(named("discover_agents").expect("a search").service, "service-registry");
    assert_eq!(named("worker.execute_ticket").expect("work").service, "hive-agent");
}
