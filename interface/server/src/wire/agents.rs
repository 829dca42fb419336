//! The agents that a process hosts.
//!
//! Beside the registry they are called `agent-1` and so on, and need no proof: the data folder is theirs. Elsewhere they
//! are named after the machine, and show the token of their last registration.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hive_agent::{Agent, AgentConfig, announcement};
use hive_application::error::{Error, ErrorKind, chain};
use hive_application::registry::{Registration, Registry};
use hive_domain::ids::AgentId;
use hive_domain::registry::public::AgentSnapshot;
use hive_domain::registry::{AgentFilter, Claim};
use hive_domain::tickets::{Report, TicketStatus};
use hive_grpc_kit::drain::Draining;
use tokio::sync::watch;

use super::neighbours::Neighbours;
use super::sole::Sole;
use super::tokens::{self, Tokens};
use super::{Ground, Hive};
use crate::background::Background;
use crate::exit::Failure;
use crate::lock::DataFolder;

/// Tickets an agent works on at a time.
const PLACES: usize = 10;
/// Registrations under way at a time.
const AT_A_TIME: usize = 64;
/// Marks the agents that live beside the registry, in their metadata.
const HOSTING: (&str, &str) = ("hosting", "registry");

/// The agents of a process.
#[derive(Debug)]
pub(crate) struct Agents {
    hosts: Vec<Host>,
    /// How many work that would take leave.
    present: watch::Sender<usize>,
}

/// One agent and what it needs.
#[derive(Clone)]
struct Host {
    agent_id: AgentId,
    /// None for one that has yet to register.
    registered: Option<Registration>,
    proof: Proof,
    neighbours: Neighbours,
    ground: Ground,
    present: watch::Sender<usize>,
}

/// Why an agent may have its id.
#[derive(Clone)]
enum Proof {
    /// It lives beside the registry, in the one process that hosts agents there.
    Host(Sole),
    /// It was given a token; it takes leave when the process ends.
    Tokens(Arc<Tokens>, Draining),
}

impl Agents {
    /// Registers `agent-1` to `agent-<count>` beside the registry. An agent that an earlier process hosted and this one
    /// does not is let go, and its tickets return to the queue: nobody else could ever end them. Waits while another
    /// process hosts agents there.
    pub(crate) async fn hosted(hive: &Hive, count: u16, background: &mut Background) -> Result<Self, Error> {
        let alone = if count == 0 {
            hive.hosting.is_free().await?
        } else {
            hive.hosting.keep(background);
            hive.hosting.held().await;
            true
        };
        let present = watch::Sender::new(0);
        let ids = (1..=count).map(|number| AgentId::parse(&format!("agent-{number}")));
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
        let registering = stream::iter(ids).map(|agent_id| {
            let mut host = Host::new(agent_id, Proof::Host(hive.hosting.clone()), hive, &present);
            async move {
                host.registered = Some(host.register().await?);
                Ok::<_, Error>(host)
            }
        });
        let hosts: Vec<Host> = registering.buffered(AT_A_TIME).try_collect().await?;
        let ours: HashSet<&AgentId> = hosts.iter().map(|host| &host.agent_id).collect();
        if let (Some(registry), Some(_), true) = (&hive.registry, &hive.tickets, alone) {
            for agent in hosted_before(registry).await? {
                if !ours.contains(&agent.agent_id) {
                    let released = leave(&hive.neighbours, &agent.agent_id, agent.epoch).await?;
                    let agent_id = agent.agent_id;
                    tracing::info!(agent.id = %agent_id, released, "agent {agent_id} is not hosted any more");
                }
            }
        }
        Ok(Agents { hosts, present })
    }

    /// Agents `<name>-1` to `<name>-<count>` away from the registry. They register as soon as it can be reached, and leave
    /// when `draining` begins.
    pub(crate) fn guests(
        hive: &Hive,
        count: u16,
        name: &str,
        folder: &DataFolder,
        draining: &Draining,
    ) -> Result<Self, Failure> {
        let path = folder.file(tokens::FILE);
        let tokens = Tokens::read(path.clone())
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        let (tokens, present) = (Arc::new(tokens), watch::Sender::new(0));
        let host = |number| {
            let id = AgentId::parse(&format!("{name}-{number}"));
            let id = id.map_err(|error| Failure::Usage(format!("--name {error}")))?;
            let proof = Proof::Tokens(Arc::clone(&tokens), draining.clone());
            Ok(Host::new(id, proof, hive, &present))
        };
        Ok(Agents { hosts: (1..=count).map(host).collect::<Result<_, Failure>>()?, present })
    }

    /// Keeps the agents working.
    pub(crate) fn keep_going(&self, background: &mut Background) {
        for host in &self.hosts {
            let host = host.clone();
            background.keep("an agent", move |again| host.run(again));
        }
    }

    /// Completes when every agent that takes leave has left.
    pub(crate) async fn left(&self) {
        // It is never closed.
        let _ = self.present.subscribe().wait_for(|present| *present == 0).await;
    }
}

/// An agent that works, and will take leave.
struct Present(watch::Sender<usize>);

impl Present {
    fn new(of: &watch::Sender<usize>) -> Self {
        of.send_modify(|present| *present += 1);
        Present(of.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.send_modify(|present| *present -= 1);
    }
}

impl Host {
    fn new(agent_id: AgentId, proof: Proof, hive: &Hive, present: &watch::Sender<usize>) -> Self {
        let (neighbours, ground) = (hive.neighbours.clone(), hive.ground.clone());
        Host { agent_id, registered: None, proof, neighbours, ground, present: present.clone() }
    }

    /// Works until something fails. An agent that the registry forgot, as after a long standstill of the machine, or that
    /// was registered anew without it, registers again, which fences what it was before.
    fn run(&self, again: bool) -> BoxFuture<'static, Result<(), Error>> {
        let host = self.clone();
        Box::pin(async move {
            match host.work(again).await {
                Err(error) if error.kind() == ErrorKind::NotFound || error.reason() == "STALE_EPOCH" => {
                    tracing::warn!(agent.id = %host.agent_id, error = chain(&error), "an agent is not known any more");
                    Ok(())
                }
                ended => ended,
            }
        })
    }

    async fn work(&self, again: bool) -> Result<(), Error> {
        let draining = match &self.proof {
            Proof::Host(sole) => return sole.during(self.host(again)).await,
            Proof::Tokens(_, draining) => draining,
        };
        let (mut begun, mut stop) = (draining.clone(), draining.clone());
        tokio::select! {
            biased;
            () = begun.draining() => {}
            registered = self.register() => {
                let epoch = registered?.epoch;
                let _present = Present::new(&self.present);
                self.agent(epoch).execute(async move { stop.draining().await }).await?;
                if let Err(error) = leave(&self.neighbours, &self.agent_id, epoch).await {
                    tracing::warn!(agent.id = %self.agent_id, error = chain(&error), "an agent left without a word");
                }
            }
        }
        std::future::pending().await
    }

    async fn host(&self, again: bool) -> Result<(), Error> {
        let known = self.registered.as_ref().filter(|_| !again);
        let epoch = match known {
            Some(registration) => registration.epoch,
            None => self.register().await?.epoch,
        };
        self.agent(epoch).execute(std::future::pending()).await
    }

    fn agent(&self, epoch: u64) -> Agent {
        let config = AgentConfig { agent_id: self.agent_id.clone(), epoch, max_concurrent: PLACES };
        let Neighbours { desk, registry, .. } = &self.neighbours;
        let Ground { timer, clock, .. } = self.ground.clone();
        Agent::new(config, Arc::clone(desk), Arc::clone(registry), timer, clock)
    }

    async fn register(&self) -> Result<Registration, Error> {
        let mut announcement = announcement(self.agent_id.as_str(), PLACES);
        let claim = match &self.proof {
            Proof::Host(_) => {
                let (key, value) = HOSTING;
                announcement.metadata.insert(key.to_owned(), value.to_owned());
                Claim::Host
            }
            Proof::Tokens(tokens, _) => {
                let fresh = || format!("token-{}", self.ground.ids.uuid());
                tokens.claim(&self.agent_id, fresh).map_err(Error::internal)?
            }
        };
        match self.neighbours.registry.register(announcement, claim).await {
            // Somebody else has the id: it is free when that one leaves, or its lease runs out.
            Err(error) if error.reason() == "AGENT_ID_HELD" => {
                Err(Error::new(ErrorKind::Aborted, "AGENT_ID_HELD", error.to_string()))
            }
            answer => answer,
        }
    }
}

/// The registered agents that live, or lived, beside the registry.
async fn hosted_before(registry: &Registry) -> Result<Vec<AgentSnapshot>, Error> {
    let (mut found, mut after) = (Vec::new(), None);
    let (key, value) = HOSTING;
    loop {
        let page = registry.list(&AgentFilter::default(), after).await?;
        found.extend(
            page.agents
                .into_iter()
                .filter(|agent| agent.metadata.get(key).is_some_and(|hosting| hosting == value)),
        );
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// First the tickets, then the registration: interrupted in between, the next start finds the agent again.
async fn leave(neighbours: &Neighbours, agent_id: &AgentId, epoch: u64) -> Result<u64, Error> {
    // Neither this nor what follows counts a try: the agent did nothing wrong.
    let mut released = neighbours.gateway.fence(agent_id, epoch.saturating_add(1)).await?;
    // What is left was dispatched to it and not taken.
    for ticket_id in neighbours.desk.held(agent_id).await? {
        match neighbours.desk.report(&ticket_id, TicketStatus::Pending, Report::default()).await {
            Ok(_) => released += 1,
            // Somebody else was faster, such as a timeout.
            Err(error) if error.kind() == ErrorKind::FailedPrecondition => {}
            Err(error) => return Err(error),
        }
    }
    neighbours.registry.deregister(agent_id, epoch).await?;
    Ok(released)
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("agent_id", &self.agent_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hive_application::context::CallContext;
    use hive_application::orchestration::Unobserved;
    use hive_application::registry::RegistryDesk;
    use hive_application::tickets::{NewTicket, OrderTicketCommand, Tickets};
    use hive_domain::ids::TicketId;
    use hive_domain::json::Json;
    use hive_domain::tickets::{Dispatch, Order};
    use hive_peers::in_process::RegistryPeer;

    use super::*;
    use crate::lock::DataFolder;
    use crate::output::testing::content;
    use crate::roles::Roles;
    use crate::settings::{Settings, Sources};
    use crate::wire::stores::Stores;

    fn tickets(hive: &Hive) -> &Tickets {
        hive.tickets.as_ref().unwrap()
    }

    /// A ticket dispatched to `agent`, which did not take it yet.
    async fn dispatch(hive: &Hive, agent: &AgentId) -> TicketId {
        let context = CallContext::internal("test");
        let new = NewTicket { content: Arc::new(content("a")), metadata: BTreeMap::new() };
        let created = tickets(hive).create.execute(&context, vec![new]).await.unwrap();
        let ticket_id = created[0].id().clone();
        let dispatch = Dispatch { agent: agent.clone(), epoch: 1, allocation: Json::Null, not_before: None };
        let command = OrderTicketCommand { ticket_id: ticket_id.clone(), order: Order::Dispatch(dispatch) };
        tickets(hive).order.execute(&context, &command).await.unwrap();
        ticket_id
    }

    #[tokio::test]
    async fn an_agent_that_is_not_hosted_any_more_leaves_its_tickets() {
        let folder = DataFolder::temporary().unwrap();
        let (settings, _) = Settings::read(&Sources::default()).unwrap();
        let stores = Stores::open(&folder, &Roles::all(), &settings).await.unwrap();
        let hive = Hive::new(&stores, &settings, Arc::new(Unobserved)).unwrap();
        let mut background = Background::default();
        let before = Agents::hosted(&hive, 2, &mut background).await.unwrap();
        let ids: Vec<AgentId> = before.hosts.iter().map(|host| host.agent_id.clone()).collect();
        assert_eq!(ids.iter().map(AgentId::as_str).collect::<Vec<_>>(), ["agent-1", "agent-2"]);
        let ticket_id = dispatch(&hive, &ids[1]).await;

        let foreign = announcement("foreign", PLACES);
        let registry = RegistryPeer::new(hive.registry.clone().unwrap());
        let foreign = registry.register(foreign, Claim::None).await.unwrap().agent_id;

        let after = Agents::hosted(&hive, 1, &mut background).await.unwrap();
        assert_eq!((after.hosts.len(), after.hosts[0].registered.as_ref().unwrap().epoch), (1, 2));
        let ticket = tickets(&hive).get(&ticket_id).await.unwrap();
        assert_eq!((ticket.status(), ticket.state().retry_count), (TicketStatus::Pending, 0));
        assert_eq!(ticket.state().assigned_worker, None);
        assert_eq!(
            hive.registry.as_ref().unwrap().get(&ids[1]).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(hive.registry.as_ref().unwrap().get(&foreign).await.is_ok(), "it is hosted elsewhere");
        stores.close().await;
    }
}
