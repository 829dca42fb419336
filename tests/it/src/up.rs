//! `hive up` on free ports, and callers of its interfaces.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use hive_grpc_kit::testing::Channel;
use hive_proto::grpc::neural_hive::orchestration::orchestrator_service_client::OrchestratorServiceClient;
use hive_proto::grpc::neural_hive::orchestration::workflow_event::Event;
use hive_proto::grpc::neural_hive::orchestration::{
    SubmitPlanRequest, SubmitPlanResponse, WatchWorkflowRequest, Workflow,
};
use hive_proto::grpc::neural_hive::service_registry::service_registry_client::ServiceRegistryClient;
use serde_json::Value;

use crate::process::{Finished, Hive, LIMIT, Running};

/// The settings that give every server a free port.
const PORTS: [&str; 5] =
    ["GRPC__SERVER__PORT", "TICKETS__GRPC_PORT", "ORCHESTRATION__GRPC_PORT", "HTTP_PORT", "PROMETHEUS_PORT"];

/// `hive up` on a data folder.
#[must_use]
pub fn up(data: &Path) -> Hive {
    PORTS.iter().fold(Hive::new(["up"]).data(data), |hive, port| hive.env(port, "0"))
}

/// The running platform.
#[derive(Debug)]
pub struct Up {
    running: Running,
    registry: SocketAddr,
    tickets: SocketAddr,
    orchestration: SocketAddr,
    http: SocketAddr,
    metrics: SocketAddr,
}

impl Up {
    /// Starts it on a data folder and waits until it serves.
    pub fn start(data: &Path) -> Self {
        Self::of(up(data))
    }

    /// Starts the platform as the command says, and waits until it serves.
    pub fn of(hive: Hive) -> Self {
        let mut running = hive.start();
        let mut address = |name: &str| {
            let line = running.wait_for_line(&format!("hive: {name} serves"));
            let address = line.trim().rsplit(' ').next().expect("the line ends with the address");
            address.parse().expect("an address")
        };
        let registry = address("registry");
        let tickets = address("tickets");
        let orchestration = address("orchestration");
        let (http, metrics) = (address("http"), address("metrics"));
        Up { running, registry, tickets, orchestration, http, metrics }
    }

    /// A caller of orchestration.
    pub async fn orchestration(&self) -> OrchestratorServiceClient<Channel> {
        let channel = Channel::connect(self.orchestration).await.expect("orchestration listens");
        OrchestratorServiceClient::new(channel).max_decoding_message_size(usize::MAX)
    }

    /// A caller of the registry.
    pub async fn registry(&self) -> ServiceRegistryClient<Channel> {
        ServiceRegistryClient::new(Channel::connect(self.registry).await.expect("the registry listens"))
    }

    /// Hands in a plan.
    pub async fn submit(&self, plan: &Value) -> SubmitPlanResponse {
        let request = SubmitPlanRequest { message: plan.to_string().into_bytes() };
        self.orchestration().await.submit_plan(request).await.expect("an answer").into_inner()
    }

    /// Hands in a plan as part of a trace.
    pub async fn submit_traced(&self, plan: &Value, trace_parent: &str) -> SubmitPlanResponse {
        let message = plan.to_string().into_bytes();
        let mut request = tonic::Request::new(SubmitPlanRequest { message });
        request.metadata_mut().insert("traceparent", trace_parent.parse().expect("a header value"));
        self.orchestration().await.submit_plan(request).await.expect("an answer").into_inner()
    }

    /// Follows a flow to its end, and tells how it stood then.
    pub async fn end_of(&self, workflow_id: &str) -> Workflow {
        let request = WatchWorkflowRequest { workflow_id: workflow_id.to_owned() };
        let mut client = self.orchestration().await;
        let watching = async {
            let mut events = client.watch_workflow(request).await.expect("a stream").into_inner();
            let mut last = None;
            while let Some(event) = events.message().await.expect("an event") {
                if let Some(Event::Snapshot(workflow)) = event.event {
                    last = Some(workflow);
                }
            }
            last.expect("how it stands")
        };
        tokio::time::timeout(LIMIT, watching).await.expect("the flow ends")
    }

    /// Waits until a ticket of a flow is completed.
    pub async fn first_completed(&self, workflow_id: &str) {
        let request = WatchWorkflowRequest { workflow_id: workflow_id.to_owned() };
        let mut client = self.orchestration().await;
        let watching = async {
            let mut events = client.watch_workflow(request).await.expect("a stream").into_inner();
            while let Some(event) = events.message().await.expect("an event") {
                match event.event {
                    Some(Event::Snapshot(workflow))
                        if workflow.tickets.is_some_and(|of| of.completed > 0) =>
                    {
                        return;
                    }
                    Some(Event::Ticket(ticket)) if ticket.status == "COMPLETED" => return,
                    _ => {}
                }
            }
            panic!("the flow ended before");
        };
        tokio::time::timeout(LIMIT, watching).await.expect("a ticket is completed");
    }

    /// Where the tickets answer over gRPC.
    pub fn tickets_address(&self) -> SocketAddr {
        self.tickets
    }

    /// Status and body of a request to the REST port.
    pub fn send(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, String) {
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let body = body.map(Value::to_string).unwrap_or_default();
        ask(self.http, &format!("{method} {path}"), &token, &body).expect("an answer")
    }

    /// Status and body of GET on the REST port.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.http, path)
    }

    /// The REST port, for callers on other threads.
    pub fn rest(&self) -> Rest {
        Rest(self.http)
    }

    /// What the scrape port shows.
    pub fn scrape(&self) -> String {
        let (status, text) = get(self.metrics, "/metrics");
        assert_eq!(status, 200);
        text
    }

    /// What either port shows who asks for OpenMetrics.
    pub fn open_metrics(&self) -> [String; 2] {
        [self.metrics, self.http].map(|port| {
            let accept = "accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2\r\n";
            let (status, text) = ask(port, "GET /metrics", accept, "").expect("an answer");
            assert_eq!(status, 200);
            text
        })
    }

    /// Asks it to end, and waits for it.
    pub fn end(self) -> Finished {
        self.running.terminate();
        self.running.finish()
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.running.terminate();
    }

    /// Waits for its end.
    pub fn finish(self) -> Finished {
        self.running.finish()
    }

    /// Ends it with SIGKILL.
    pub fn kill(self) -> Finished {
        self.running.kill()
    }
}

/// A REST port.
#[derive(Debug, Clone, Copy)]
pub struct Rest(SocketAddr);

impl Rest {
    /// Status and body of POST; 0 when no answer comes.
    pub fn post(self, path: &str, body: &Value) -> (u16, String) {
        ask(self.0, &format!("POST {path}"), "", &body.to_string()).unwrap_or_default()
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, &format!("GET {path}"), "", "").expect("an answer")
}

/// Sends method and path, with these further headers; status and body of the answer, 0 when it breaks off.
fn ask(address: SocketAddr, what: &str, head: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let length = body.len();
    write!(
        stream,
        "{what} HTTP/1.1\r\nhost: hive\r\nconnection: close\r\n{head}content-type: application/json\r\n\
        content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}
