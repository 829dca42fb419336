//! The built-in agents: registered by the process that hosts them, under ids that stay the same in a data folder.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hive_agent::{Agent, AgentConfig, announcement};
use hive_application::context::CallContext;
use hive_application::error::{Error, ErrorKind, chain};
use hive_application::registry::{DeregisterAgentCommand, RegisterAgentCommand, Registration, Registry};
use hive_application::tickets::{ChangeTicketStatusCommand, TicketFilter, TicketQuery, Tickets};
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::registry::{AgentFilter, Claim};
use hive_domain::tickets::{Report, TicketStatus};
use hive_peers::in_process::{DeskPeer, RegistryPeer};

use super::{Ground, Hive, PRINCIPAL};
use crate::telemetry::agents::TracedDesk;

/// Tickets an agent works on at a time.
const PLACES: usize = 10;
/// Registrations under way at a time.
const AT_A_TIME: usize = 64;
/// Tickets looked at together.
const PAGE: u64 = 500;

/// The built-in agents of a process, registered.
#[derive(Debug)]
pub(crate) struct Agents {
    hosts: Vec<Host>,
}

/// One agent and what it needs.
#[derive(Clone)]
pub(crate) struct Host {
    registration: Registration,
    tickets: Tickets,
    registry: Registry,
    ground: Ground,
}

impl Agents {
    /// Registers `agent-1` to `agent-<count>`. An agent that an earlier process hosted and this one does not is let go,
    /// and its tickets return to the queue: nobody else could ever end them.
    pub(crate) async fn register(hive: &Hive, count: u16) -> Result<Self, Error> {
        let registering = stream::iter(1..=count).map(|number| async move {
            let registration = register(&hive.registry, &format!("agent-{number}")).await?;
            let (tickets, registry) = (hive.tickets.clone(), hive.registry.clone());
            Ok::<_, Error>(Host { registration, tickets, registry, ground: hive.ground.clone() })
        });
        let hosts: Vec<Host> = registering.buffered(AT_A_TIME).try_collect().await?;
        let ours: HashSet<&AgentId> = hosts.iter().map(|host| &host.registration.agent_id).collect();
        for agent_id in registered(&hive.registry).await? {
            if !ours.contains(&agent_id) {
                let released = let_go(hive, &agent_id).await?;
                tracing::info!(agent.id = %agent_id, released, "agent {agent_id} is not hosted any more");
            }
        }
        Ok(Agents { hosts })
    }

    /// The agents, each to be run for as long as the process lives.
    pub(crate) fn into_hosts(self) -> impl Iterator<Item = Host> {
        self.hosts.into_iter()
    }
}

impl Host {
    /// Works until something fails. An agent that the registry forgot, as after a long standstill of the machine,
    /// registers again, which fences what it was before.
    pub(crate) fn run(&self, again: bool) -> BoxFuture<'static, Result<(), Error>> {
        let host = self.clone();
        Box::pin(async move {
            let Host { mut registration, tickets, registry, ground } = host;
            if again {
                registration = register(&registry, registration.agent_id.as_str()).await?;
            }
            let agent_id = registration.agent_id.clone();
            let config = AgentConfig { agent_id, epoch: registration.epoch, max_concurrent: PLACES };
            let desk = Arc::new(TracedDesk::new(Arc::new(DeskPeer::new(tickets))));
            let directory = Arc::new(RegistryPeer::new(registry));
            let agent = Agent::new(config, desk, directory, ground.timer, ground.clock);
            match agent.execute().await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    tracing::warn!(agent.id = %registration.agent_id, error = chain(&error), "an agent was forgotten");
                    Ok(())
                }
                ended => ended,
            }
        })
    }
}

async fn register(registry: &Registry, agent_id: &str) -> Result<Registration, Error> {
    let announcement = announcement(agent_id, PLACES);
    let command = RegisterAgentCommand { announcement, claim: Claim::Host };
    registry.register.execute(&CallContext::internal(PRINCIPAL), command).await
}

async fn registered(registry: &Registry) -> Result<Vec<AgentId>, Error> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = registry.list(&AgentFilter::default(), after).await?;
        found.extend(page.agents.into_iter().map(|agent| agent.agent_id));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// First the tickets, then the registration: interrupted in between, the next start finds the agent again.
async fn let_go(hive: &Hive, agent_id: &AgentId) -> Result<usize, Error> {
    let context = CallContext::internal(PRINCIPAL);
    let held = held_by(&hive.tickets, agent_id).await?;
    for ticket_id in &held {
        // Unsigned, so that neither a try is counted nor an epoch compared: the agent did nothing wrong.
        let report = Report::default();
        let command =
            ChangeTicketStatusCommand { ticket_id: ticket_id.clone(), status: TicketStatus::Pending, report };
        hive.tickets.change_status.execute(&context, &command).await?;
    }
    let command = DeregisterAgentCommand { agent_id: agent_id.clone(), epoch: None };
    hive.registry.deregister.execute(&context, &command).await?;
    Ok(held.len())
}

async fn held_by(tickets: &Tickets, agent_id: &AgentId) -> Result<Vec<TicketId>, Error> {
    let filter = TicketFilter {
        assigned_worker: Some(agent_id.clone()),
        status: Some(TicketStatus::Running),
        ..TicketFilter::default()
    };
    let mut found: Vec<TicketId> = Vec::new();
    loop {
        let query =
            TicketQuery { filter: filter.clone(), offset: found.len() as u64, limit: PAGE, after: None };
        let page = tickets.list(&query).await?;
        found.extend(page.tickets.iter().map(|ticket| ticket.id().clone()));
        if page.tickets.is_empty() || found.len() as u64 >= page.total {
            return Ok(found);
        }
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("agent_id", &self.registration.agent_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hive_application::orchestration::Unobserved;
    use hive_application::tickets::{NewTicket, OrderTicketCommand};
    use hive_domain::json::Json;
    use hive_domain::tickets::{Dispatch, Order};

    use super::*;
    use crate::lock::DataFolder;
    use crate::output::testing::content;
    use crate::settings::{Settings, Sources};
    use crate::wire::stores::Stores;

    /// A ticket dispatched to `agent`, which did not take it yet.
    async fn dispatch(hive: &Hive, agent: &AgentId) -> TicketId {
        let context = CallContext::internal("test");
        let new = NewTicket { content: Arc::new(content("a")), metadata: BTreeMap::new() };
        let created = hive.tickets.create.execute(&context, vec![new]).await.unwrap();
        let ticket_id = created[0].id().clone();
        let dispatch = Dispatch { agent: agent.clone(), epoch: 1, allocation: Json::Null, not_before: None };
        let command = OrderTicketCommand { ticket_id: ticket_id.clone(), order: Order::Dispatch(dispatch) };
        hive.tickets.order.execute(&context, &command).await.unwrap();
        ticket_id
    }

    #[tokio::test]
    async fn an_agent_that_is_not_hosted_any_more_leaves_its_tickets() {
        let folder = DataFolder::temporary().unwrap();
        let stores = Stores::open(&folder).await.unwrap();
        let (settings, _) = Settings::read(&Sources::default()).unwrap();
        let hive = Hive::new(&stores, &settings, Arc::new(Unobserved)).unwrap();
        let before = Agents::register(&hive, 2).await.unwrap();
        let ids: Vec<AgentId> = before.hosts.iter().map(|host| host.registration.agent_id.clone()).collect();
        assert_eq!(ids.iter().map(AgentId::as_str).collect::<Vec<_>>(), ["agent-1", "agent-2"]);
        let ticket_id = dispatch(&hive, &ids[1]).await;

        let after = Agents::register(&hive, 1).await.unwrap();
        assert_eq!((after.hosts.len(), after.hosts[0].registration.epoch), (1, 2));
        let ticket = hive.tickets.get(&ticket_id).await.unwrap();
        assert_eq!((ticket.status(), ticket.state().retry_count), (TicketStatus::Pending, 0));
        assert_eq!(ticket.state().assigned_worker, None);
        assert_eq!(hive.registry.get(&ids[1]).await.unwrap_err().kind(), ErrorKind::NotFound);
        stores.close().await;
    }
}
