//! Whether the databases answer, asked by reading one row by its key that is not there.

use std::sync::Arc;

use async_trait::async_trait;
use hive_application::error::{Error, ErrorKind};
use hive_domain::ids::{AgentId, TicketId, WorkflowId};
use hive_grpc_kit::health::{Dependency, HealthReporter};
use hive_http::health::Readiness;

use crate::wire::Hive;

/// No one's id.
const NOBODY: &str = "ready";

/// A database and the gRPC servers that tell how it is.
struct Database<L> {
    look: L,
    told: Vec<Dependency>,
}

/// One check a database, by the name that `/ready` shows. What a check finds, gRPC health tells too.
pub(super) fn checks(hive: &Hive, reporters: &[HealthReporter]) -> [(String, Arc<dyn Readiness>); 3] {
    let (tickets, registry, flows) =
        (hive.tickets.clone(), hive.registry.clone(), hive.orchestration.clone());
    let look_tickets = move || {
        let tickets = tickets.clone();
        async move { tickets.get(&TicketId::parse(NOBODY).map_err(Error::internal)?).await.map(drop) }
    };
    let look_registry = move || {
        let registry = registry.clone();
        async move { registry.get(&AgentId::parse(NOBODY).map_err(Error::internal)?).await.map(drop) }
    };
    let look_flows = move || {
        let flows = flows.clone();
        async move { flows.find(&WorkflowId::parse(NOBODY).map_err(Error::internal)?).await.map(drop) }
    };
    [
        check("tickets", look_tickets, reporters),
        check("registry", look_registry, reporters),
        check("orchestration", look_flows, reporters),
    ]
}

fn check<L, F>(name: &str, look: L, reporters: &[HealthReporter]) -> (String, Arc<dyn Readiness>)
where
    L: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let told: Vec<Dependency> = reporters.iter().map(|reporter| reporter.dependency(name)).collect();
    // It was opened just now.
    told.iter().for_each(Dependency::up);
    (name.to_owned(), Arc::new(Database { look, told }))
}

#[async_trait]
impl<L, F> Readiness for Database<L>
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
            if answered { told.up() } else { told.down("the database does not answer") }
        }
        answered
    }
}
