//! Whether what is needed answers: a database by reading one row by its key that is not there, a neighbour by its health.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hive_application::error::{Effect, Error, ErrorKind};
use hive_domain::ids::{AgentId, TicketId, WorkflowId};
use hive_grpc_kit::health::proto::HealthCheckRequest;
use hive_grpc_kit::health::proto::health_check_response::ServingStatus;
use hive_grpc_kit::health::proto::health_client::HealthClient;
use hive_grpc_kit::health::{Dependency, HealthReporter};
use hive_http::health::Readiness;
use hive_wire::status::from_status;

use crate::roles::{Role, Roles};
use crate::wire::Hive;
use crate::wire::link::Link;

/// No one's id.
const NOBODY: &str = "ready";

/// How long a neighbour may take to say how it is.
const ANSWER: Duration = Duration::from_secs(1);

/// Something needed, and the gRPC servers that tell how it is.
struct Needed<L> {
    look: L,
    told: Vec<Dependency>,
}

type Check = (String, Arc<dyn Readiness>);

/// One check a database and a neighbour in another process, by the name that `/ready` shows. What a check finds, gRPC
/// health tells too.
pub(super) fn checks(hive: &Hive, roles: &Roles, reporters: &[HealthReporter]) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(tickets) = hive.tickets.clone() {
        let look = move || {
            let tickets = tickets.clone();
            async move { tickets.get(&TicketId::parse(NOBODY).map_err(Error::internal)?).await.map(drop) }
        };
        checks.push(check("tickets", look, reporters));
    }
    if let Some(registry) = hive.registry.clone() {
        let look = move || {
            let registry = registry.clone();
            async move { registry.get(&AgentId::parse(NOBODY).map_err(Error::internal)?).await.map(drop) }
        };
        checks.push(check("registry", look, reporters));
    }
    if let Some(flows) = hive.orchestration.clone() {
        let look = move || {
            let flows = flows.clone();
            async move { flows.find(&WorkflowId::parse(NOBODY).map_err(Error::internal)?).await.map(drop) }
        };
        checks.push(check("orchestration", look, reporters));
    }
    // The others ask nothing of anybody.
    let asks = roles.has(Role::Orchestration) || roles.has(Role::Agent);
    for (name, link) in hive.neighbours.remote.iter().filter(|_| asks) {
        let link = link.clone();
        let look = move || ask(link.clone());
        checks.push(((*name).to_owned(), Arc::new(Needed { look, told: Vec::new() }) as Arc<dyn Readiness>));
    }
    checks
}

/// Whether a neighbour serves.
async fn ask(link: Link) -> Result<(), Error> {
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(ANSWER);
    let unavailable = |status| from_status("the neighbour", status);
    let answer = HealthClient::new(link).check(request).await.map_err(unavailable)?;
    if answer.into_inner().status() == ServingStatus::Serving {
        return Ok(());
    }
    Err(Error::unavailable("the neighbour", "it says that it does not serve", Effect::None))
}

fn check<L, F>(name: &str, look: L, reporters: &[HealthReporter]) -> Check
where
    L: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let told: Vec<Dependency> = reporters.iter().map(|reporter| reporter.dependency(name)).collect();
    // It was opened just now.
    told.iter().for_each(Dependency::up);
    (name.to_owned(), Arc::new(Needed { look, told }))
}

#[async_trait]
impl<L, F> Readiness for Needed<L>
where
    L: Fn() -> F + Send + Sync,
    F: Future<Output = Result<(), Error>> + Send,
{
    async fn is_ready(&self) -> bool {
        let answered = match (self.look)().await {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        for told in &self.told {
            if answered { told.up() } else { told.down("it does not answer") }
        }
        answered
    }
}
