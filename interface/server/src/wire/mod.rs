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
use hive_application::ids::IdGenerator;
use hive_application::orchestration::{FlowObserver, Orchestration};
use hive_application::registry::Registry;
use hive_application::tickets::Tickets;
use hive_domain::registry::RegistryError;
use hive_events::PlanIntake;

use crate::clock::{SystemClock, TokioTimer};
use crate::ids::RandomIds;
use crate::settings::Settings;
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
}
