//! The composition: which adapter stands behind which port.
//!
//! | file | owns |
//! | --- | --- |
//! | `stores` | the databases of a data folder |
//! | `tickets`, `registry`, `orchestration` | one context each |
//! | `neighbours`, `link` | the way from one context to another, within the process or over gRPC |
//! | `agents` | the agents that a process hosts |
//! | `sole` | what one of several processes on a database does alone |
//! | `tokens` | what they show to register again |

pub(crate) mod agents;
pub(crate) mod link;
pub(crate) mod neighbours;
mod orchestration;
mod registry;
pub(crate) mod sole;
pub(crate) mod stores;
mod tickets;
mod tokens;

use std::sync::Arc;

use hive_application::clock::{Clock, Timer};
use hive_application::context::CallContext;
use hive_application::ids::IdGenerator;
use hive_application::orchestration::{FlowObserver, Orchestration};
use hive_application::registry::Registry;
use hive_application::tickets::Tickets;

use crate::background::Background;
use crate::clock::{SystemClock, TokioTimer};
use crate::exit::Failure;
use crate::ids::RandomIds;
use crate::settings::Settings;
use crate::telemetry::registry::count_agents;
use crate::telemetry::tickets::count_tickets;
use neighbours::Neighbours;
use sole::Sole;
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

/// The contexts that a process serves.
pub(crate) struct Hive {
    pub(crate) ground: Ground,
    pub(crate) tickets: Option<Tickets>,
    pub(crate) registry: Option<Registry>,
    pub(crate) orchestration: Option<Orchestration>,
    pub(crate) neighbours: Neighbours,
    /// Two that drive the same flows would undo what the other does.
    pub(crate) supervision: Sole,
    /// Two that host `agent-1` would fence each other's.
    pub(crate) hosting: Sole,
}

impl Hive {
    /// Puts the contexts onto the databases that are open, and makes them known to each other.
    pub(crate) fn new(
        stores: &Stores,
        settings: &Settings,
        observer: Arc<dyn FlowObserver>,
    ) -> Result<Self, Failure> {
        let ground = Ground::real();
        let terms = settings.registry.terms().map_err(|error| Failure::Defect(error.into()))?;
        let tickets = stores.tickets.as_ref().map(|database| tickets::context(database, &ground));
        let registry = stores.registry.as_ref().map(|database| registry::context(database, &ground, terms));
        let neighbours = Neighbours::new(tickets.as_ref(), registry.as_ref(), settings)?;
        let orchestration = stores.orchestration.as_ref().map(|database| {
            let config = settings.orchestration.config();
            orchestration::context(database, &ground, &neighbours, observer, config)
        });
        let supervision = Sole::new("the supervision of flows", settings.orchestration.database());
        let hosting = Sole::new("the hosting of agents", settings.registry.database());
        Ok(Hive { ground, tickets, registry, orchestration, neighbours, supervision, hosting })
    }

    /// What goes on beside the flows.
    pub(crate) fn keep_going(&self, settings: &Settings, background: &mut Background) {
        if let Some(orchestration) = &self.orchestration {
            let follow = orchestration.agents.clone();
            background.keep("following agents", move |_| {
                let follow = follow.clone();
                async move { follow.execute().await }
            });
        }
        let Some(registry) = self.registry.clone() else { return };
        let (ground, every_ms) = (self.ground.clone(), settings.registry.sweep_every_ms());
        background.keep("looking for silent agents", move |_| {
            let (registry, ground) = (registry.clone(), ground.clone());
            async move {
                loop {
                    registry.expire_leases.execute(&CallContext::internal(PRINCIPAL)).await?;
                    ground.timer.sleep_until(ground.clock.now().plus_ms(every_ms)).await;
                }
            }
        });
    }

    /// Keeps the counts of what there is up to date.
    pub(crate) fn count(&self, background: &mut Background) {
        if let Some(tickets) = self.tickets.clone() {
            background.keep("counting tickets", move |_| count_tickets(tickets.clone()));
        }
        if let Some(registry) = self.registry.clone() {
            background.keep("counting agents", move |_| count_agents(registry.clone()));
        }
    }

    /// Takes up every open flow, and each one submitted from now on, as soon as no other process does.
    pub(crate) fn supervise(&self, background: &mut Background) {
        let Some(orchestration) = &self.orchestration else { return };
        let (supervisor, sole) = (orchestration.supervisor.clone(), self.supervision.clone());
        sole.keep(background);
        background.keep("the flows", move |_| {
            let (supervisor, sole) = (supervisor.clone(), sole.clone());
            async move { sole.during(supervisor.execute()).await }
        });
    }
}
