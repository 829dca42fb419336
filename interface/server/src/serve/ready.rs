//! Whether what is needed answers: a database by reading one row by its key that is not there, a neighbour by its health.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hive_application::error::{Effect, Error, ErrorKind};
use hive_domain::ids::{AgentId, TicketId, WorkflowId};
use hive_grpc_kit::client::Channel;
use hive_grpc_kit::health::proto::HealthCheckRequest;
use hive_grpc_kit::health::proto::health_check_response::ServingStatus;
use hive_grpc_kit::health::proto::health_client::HealthClient;
use hive_grpc_kit::health::{Dependency, HealthReporter};
use hive_http::health::Readiness;
use hive_mapping::status::from_status;
use tokio::sync::Notify;
use tonic::Code;

use crate::roles::{Role, Roles};
use crate::wire::Hive;

/// No one's id.
const NOBODY: &str = "ready";

/// How long a neighbour may take to say how it is.
const ANSWER: Duration = Duration::from_secs(1);
/// How long anything may take to answer.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// Time between two looks at a database that does not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Something needed, and the gRPC servers that tell how it is.
struct Needed<L> {
    look: L,
    told: Vec<Dependency>,
}

/// A check by the name that `/ready` shows.
pub(super) type Check = (String, Arc<dyn Readiness>);

/// One check a database. What a check finds, gRPC health tells too.
pub(super) fn databases(hive: &Hive, reporters: &[HealthReporter]) -> Vec<Check> {
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
        if hive.supervision.is_shared() {
            let sole = hive.supervision.clone();
            checks.push(check("supervision", move || std::future::ready(sole.check()), reporters));
        }
    }
    checks
}

/// One check a neighbour in another process.
pub(super) fn neighbours(hive: &Hive, roles: &Roles) -> Vec<Check> {
    // The others ask nothing of anybody.
    let asks = roles.has(Role::Orchestration) || roles.has(Role::Agent);
    let remote = hive.neighbours.remote.iter().filter(|_| asks);
    let check = |(name, channel): &(&str, Channel)| -> Check {
        let channel = channel.clone();
        let look = move || ask(channel.clone());
        ((*name).to_owned(), Arc::new(Needed { look, told: Vec::new() }))
    };
    remote.map(check).collect()
}

/// Looks at the databases when something failed because one may be away, and then until all answer: gRPC health follows
/// them without anybody asking, and nobody asks them while all is well.
pub(super) async fn follow(databases: Vec<Check>, failed: Arc<Notify>) {
    loop {
        failed.notified().await;
        loop {
            let mut all_answer = true;
            for (_, database) in &databases {
                all_answer &= database.is_ready().await;
            }
            if all_answer {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Whether a neighbour serves.
async fn ask(channel: Channel) -> Result<(), Error> {
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(ANSWER);
    match HealthClient::new(channel).check(request).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => return Ok(()),
        Ok(_) => {}
        // It serves, but not its health.
        Err(status) if status.code() == Code::Unimplemented => return Ok(()),
        Err(status) => return Err(from_status("the neighbour", status)),
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
        let answered = match tokio::time::timeout(LONGEST_LOOK, (self.look)()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => error.kind() == ErrorKind::NotFound,
            Err(_) => false,
        };
        for told in &self.told {
            if answered { told.up() } else { told.down("it does not answer") }
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers from a list, the last one for ever, and counts how often it was asked.
    struct Database {
        answers: Mutex<Vec<bool>>,
        asked: tokio::sync::watch::Sender<usize>,
    }

    #[async_trait]
    impl Readiness for Database {
        async fn is_ready(&self) -> bool {
            self.asked.send_modify(|asked| *asked += 1);
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.remove(0) } else { answers[0] }
        }
    }

    #[tokio::test]
    async fn a_database_is_asked_when_something_failed_and_until_it_answers() {
        let asked = tokio::sync::watch::Sender::new(0);
        let database = Database { answers: Mutex::new(vec![false, false, true]), asked: asked.clone() };
        let failed = Arc::new(Notify::new());
        let following = follow(vec![("store".to_owned(), Arc::new(database))], Arc::clone(&failed));
        let mut heard = asked.subscribe();
        let following = tokio::spawn(following);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*asked.borrow(), 0, "nobody asks while nothing fails");
        failed.notify_one();
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, heard.wait_for(|asked| *asked == 3)).await.unwrap().unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*asked.borrow(), 3, "and nobody once it answers");
        following.abort();
    }
}
