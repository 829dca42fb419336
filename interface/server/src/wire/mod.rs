//! The composition: which adapter stands behind which port.
//!
//! | file | owns |
//! | --- | --- |
//! | `stores` | the databases of a data folder |
//! | `tickets`, `registry`, `orchestration` | one context each |
//! | `agents` | the built-in agents |

pub(crate) mod agents;
mod orchestration;
mod registry;
pub(crate) mod stores;
mod tickets;

use std::sync::Arc;

use hive_application::clock::{Clock, Timer};
use hive_application::context::CallContext;
use hive_application::ids::IdGenerator;
use hive_application::orchestration::{FlowObserver, Orchestration};
use hive_application::registry::Registry;
use hive_application::tickets::Tickets;
use hive_domain::registry::RegistryError;
use hive_events::PlanIntake;

use crate::background::Background;
use crate::clock::{SystemClock, TokioTimer};
use crate::ids::RandomIds;
use crate::settings::Settings;
use crate::telemetry::registry::count_agents;
use crate::telemetry::tickets::count_tickets;
use agents::Agents;
use stores::Stores;

/// The name under which this process acts for itself.
pub(crate) const PRINCIPAL: &str = "hive";

/// What every context needs.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) ids: Arc<dyn IdGenerator>,
}

impl Ground {
    fn real() -> Self {
        Ground { clock: Arc::new(SystemClock), timer: Arc::new(TokioTimer), ids: Arc::new(RandomIds) }
    }
}

/// All contexts in one process.
pub(crate) struct Hive {
    pub(crate) ground: Ground,
    pub(crate) tickets: Tickets,
    pub(crate) registry: Registry,
    pub(crate) orchestration: Orchestration,
    pub(crate) intake: PlanIntake,
}

impl Hive {
    /// Puts the contexts onto the databases.
    pub(crate) fn new(
        stores: &Stores,
        settings: &Settings,
        observer: Arc<dyn FlowObserver>,
    ) -> Result<Self, RegistryError> {
        let ground = Ground::real();
        let tickets = tickets::context(stores, &ground);
        let registry = registry::context(stores, &ground, settings.registry.terms()?);
        let config = settings.orchestration.config();
        let orchestration = orchestration::context(stores, &ground, &tickets, &registry, observer, config);
        let intake = PlanIntake::new(orchestration.validate.clone());
        Ok(Hive { ground, tickets, registry, orchestration, intake })
    }

    /// What goes on beside the flows, wherever they run.
    pub(crate) fn keep_going(&self, settings: &Settings, agents: Agents, background: &mut Background) {
        let follow = self.orchestration.agents.clone();
        background.keep("following agents", move |_| {
            let follow = follow.clone();
            async move { follow.execute().await }
        });
        let (registry, ground) = (self.registry.clone(), self.ground.clone());
        let every_ms = settings.registry.sweep_every_ms();
        background.keep("looking for silent agents", move |_| {
            let (registry, ground) = (registry.clone(), ground.clone());
            async move {
                loop {
                    registry.expire_leases.execute(&CallContext::internal(PRINCIPAL)).await?;
                    ground.timer.sleep_until(ground.clock.now().plus_ms(every_ms)).await;
                }
            }
        });
        for agent in agents.into_hosts() {
            background.keep("an agent", move |again| agent.run(again));
        }
    }

    /// Keeps the counts of what there is up to date.
    pub(crate) fn count(&self, background: &mut Background) {
        let (tickets, registry) = (self.tickets.clone(), self.registry.clone());
        background.keep("counting tickets", move |_| count_tickets(tickets.clone()));
        background.keep("counting agents", move |_| count_agents(registry.clone()));
    }

    /// Takes up every open flow, and each one submitted from now on.
    pub(crate) fn supervise(&self, background: &mut Background) {
        let supervisor = self.orchestration.supervisor.clone();
        background.keep("the flows", move |_| {
            let supervisor = supervisor.clone();
            async move { supervisor.execute().await }
        });
    }
}
