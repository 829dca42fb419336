//! Settings of orchestration, and its config made from them.

use std::time::Duration;

use hive_application::orchestration::{Config, PoolConfig};
use hive_domain::orchestration::allocation::{AffinityWeights, AllocationConfig, PriorityWeights};
use hive_domain::orchestration::flow::{Backoff, FlowConfig};
use hive_domain::orchestration::generation::SlaConfig;
use hive_domain::orchestration::limits::Limits;
use hive_grpc_kit::settings::value::{number, port, switch, text, whole};
use hive_sql::Server;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::database::{DatabaseUrl, url};

const DAY_MS: i64 = 86_400_000;

/// Settings of orchestration. A field is called as its plain name in lower case.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrchestrationSettings {
    #[serde(deserialize_with = "url")]
    database_url: Option<DatabaseUrl>,
    /// Port of its gRPC server in `up`.
    #[serde(deserialize_with = "port")]
    pub(crate) grpc_port: u16,
    #[serde(deserialize_with = "whole::<_, _, 1, DAY_MS>")]
    sla_default_timeout_ms: i64,
    #[serde(deserialize_with = "whole::<_, _, 1, DAY_MS>")]
    sla_ticket_min_timeout_ms: i64,
    #[serde(deserialize_with = "number::<_, 1, 100>")]
    sla_ticket_timeout_buffer_multiplier: f64,
    #[serde(deserialize_with = "whole::<_, _, 1, 100_000>")]
    scheduler_max_parallel_tickets: usize,
    #[serde(deserialize_with = "weights")]
    scheduler_priority_weights: Weights,
    #[serde(deserialize_with = "switch")]
    scheduler_enable_affinity: bool,
    #[serde(deserialize_with = "number::<_, 0, 1>")]
    scheduler_affinity_plan_weight: f64,
    #[serde(deserialize_with = "number::<_, 0, 1>")]
    scheduler_affinity_anti_weight: f64,
    #[serde(deserialize_with = "number::<_, 0, 1>")]
    scheduler_affinity_intent_weight: f64,
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    retry_initial_interval_ms: i64,
    #[serde(deserialize_with = "number::<_, 1, 100>")]
    retry_backoff_coefficient: f64,
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    retry_max_interval_ms: i64,
    #[serde(deserialize_with = "switch")]
    compensation_enabled: bool,
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000>")]
    service_registry_max_results: usize,
    #[serde(deserialize_with = "whole::<_, _, 0, 3_600>")]
    service_registry_cache_ttl_seconds: i64,
    #[serde(deserialize_with = "whole::<_, _, 1, 87_600>")]
    outbox_retention_hours: u64,
    limits: LimitSettings,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitSettings {
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    max_tasks: usize,
    #[serde(deserialize_with = "whole::<_, _, 1, 1_073_741_824>")]
    max_field_bytes: usize,
    #[serde(deserialize_with = "whole::<_, _, 8, 256>")]
    max_nesting: usize,
    #[serde(deserialize_with = "whole::<_, _, 1, 1_073_741_824>")]
    max_message_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    risk: f64,
    qos: f64,
    sla: f64,
    #[serde(default)]
    priority: f64,
}

/// Sums of decimal fractions are off by less than that.
const ROUNDING: f64 = 1e-9;

fn weights<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Weights, D::Error> {
    const SHAPE: &str = r#"{"risk":0.35,"qos":0.25,"sla":0.25,"priority":0.15}, none below 0, together above 0 and at most 1"#;
    let unlike = || D::Error::custom(format_args!("must be JSON like {SHAPE}"));
    let weights: Weights = serde_json::from_str(&text(deserializer)?).map_err(|_| unlike())?;
    let all = [weights.risk, weights.qos, weights.sla, weights.priority];
    let sum: f64 = all.iter().sum();
    if all.iter().any(|weight| *weight < 0.0) || sum <= 0.0 || sum > 1.0 + ROUNDING {
        return Err(unlike());
    }
    Ok(weights)
}

impl OrchestrationSettings {
    /// The database, unless it is in the data folder.
    pub(crate) fn database(&self) -> Option<Server> {
        self.database_url.as_ref().and_then(DatabaseUrl::server)
    }

    /// How long messages stay in the outbox at least.
    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(self.outbox_retention_hours * 3_600)
    }

    /// What no single value shows: the field to blame, and why.
    pub(super) fn cross_check(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.retry_max_interval_ms < self.retry_initial_interval_ms {
            let message = "must not be below RETRY_INITIAL_INTERVAL_MS";
            problems.push(("retry_max_interval_ms", message.to_owned()));
        }
        let weights = self.affinity();
        if weights.plan + weights.anti + weights.intent > 1.0 + ROUNDING {
            let message = "must be at most 1 together with the other SCHEDULER_AFFINITY_*_WEIGHT";
            problems.push(("scheduler_affinity_plan_weight", message.to_owned()));
        }
        problems
    }

    /// The config of the context.
    pub(crate) fn config(&self) -> Config {
        let Weights { risk, qos, sla, priority } = self.scheduler_priority_weights;
        Config {
            limits: self.limits(),
            flow: FlowConfig {
                sla: SlaConfig {
                    default_timeout_ms: self.sla_default_timeout_ms,
                    min_timeout_ms: self.sla_ticket_min_timeout_ms,
                    timeout_multiplier: self.sla_ticket_timeout_buffer_multiplier,
                },
                allocation: AllocationConfig {
                    priority: PriorityWeights { risk, qos, sla, priority },
                    affinity: self.scheduler_enable_affinity.then(|| self.affinity()),
                },
                retry: Backoff {
                    initial_ms: self.retry_initial_interval_ms,
                    coefficient: self.retry_backoff_coefficient,
                    max_ms: self.retry_max_interval_ms,
                },
                compensation: self.compensation_enabled,
            },
            pool: PoolConfig {
                max_parallel: self.scheduler_max_parallel_tickets,
                discovery_ttl_ms: self.service_registry_cache_ttl_seconds * 1_000,
                max_results: self.service_registry_max_results,
                namespace: None,
            },
            max_flows: Config::default().max_flows,
        }
    }

    /// What messages are held to.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_tasks: self.limits.max_tasks,
            max_field_bytes: self.limits.max_field_bytes,
            max_nesting: self.limits.max_nesting,
            max_message_bytes: self.limits.max_message_bytes,
        }
    }

    fn affinity(&self) -> AffinityWeights {
        AffinityWeights {
            plan: self.scheduler_affinity_plan_weight,
            anti: self.scheduler_affinity_anti_weight,
            intent: self.scheduler_affinity_intent_weight,
        }
    }
}
