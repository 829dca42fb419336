//! Which agents answer a search, and in which order.

use std::collections::BTreeMap;

use super::agent::Agent;
use super::capability::Capabilities;
use super::error::RegistryError;
use super::lease::LeaseTerms;
use super::public::AgentSnapshot;
use super::status::{AgentStatus, AgentType};
use crate::time::Timestamp;

/// What an agent must be. `None` asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentFilter {
    /// Its type.
    pub agent_type: Option<AgentType>,
    /// Its namespace, exactly.
    pub namespace: Option<String>,
    /// Its cluster, exactly.
    pub cluster: Option<String>,
    /// Its version, exactly.
    pub version: Option<String>,
    /// Its status; HEALTHY also accepts DEGRADED.
    pub status: Option<AgentStatus>,
    /// Its security level, exactly; an agent that announces none has `INTERNAL`.
    pub security_level: Option<String>,
}

impl AgentFilter {
    const KEYS: &'static str = "agent_type, cluster, namespace, security_level, status, version";
    const SHOWN_KEY_CHARS: usize = 64;

    /// Reads filters by key. An unknown key, type or status is refused naming it.
    pub fn parse(filters: &BTreeMap<String, String>) -> Result<Self, RegistryError> {
        let mut filter = Self::default();
        for (key, value) in filters {
            match key.as_str() {
                "agent_type" => filter.agent_type = Some(read_type(value)?),
                "status" => filter.status = Some(read_status(value)?),
                "namespace" => filter.namespace = Some(value.clone()),
                "cluster" => filter.cluster = Some(value.clone()),
                "version" => filter.version = Some(value.clone()),
                "security_level" => filter.security_level = Some(value.clone()),
                unknown => {
                    let key = unknown.chars().take(Self::SHOWN_KEY_CHARS).collect();
                    return Err(RegistryError::UnknownFilter { key, known: Self::KEYS.to_owned() });
                }
            }
        }
        Ok(filter)
    }

    /// Whether the agent, seen at `now`, is what is asked for.
    pub fn admits(&self, agent: &Agent, terms: &LeaseTerms, now: Timestamp) -> bool {
        let record = agent.record();
        let exact = |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|w| w == actual);
        !agent.is_retired()
            && self.agent_type.is_none_or(|wanted| wanted == record.agent_type)
            && exact(&self.namespace, &record.namespace)
            && exact(&self.cluster, &record.cluster)
            && exact(&self.version, &record.version)
            && exact(&self.security_level, record.metadata.security_level())
            && self.status.is_none_or(|wanted| match wanted {
                AgentStatus::Healthy => agent.status(terms, now).is_selectable(),
                other => agent.status(terms, now) == other,
            })
    }
}

fn read_type(value: &str) -> Result<AgentType, RegistryError> {
    AgentType::parse(value).ok_or_else(|| {
        RegistryError::invalid("filters.agent_type", "must be WORKER, SCOUT, GUARD or ANALYST")
    })
}

fn read_status(value: &str) -> Result<AgentStatus, RegistryError> {
    AgentStatus::parse(value)
        .ok_or_else(|| RegistryError::invalid("filters.status", "must be HEALTHY, DEGRADED or UNHEALTHY"))
}

/// A search for agents that can do something, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentQuery {
    filter: AgentFilter,
    required: Capabilities,
    max_results: usize,
}

impl AgentQuery {
    /// Results when the caller does not say how many.
    pub const DEFAULT_MAX_RESULTS: usize = 5;
    /// Results at most; a larger wish is cut to this.
    pub const MAX_RESULTS: usize = 1_000;

    /// A search; `max_results` 0 means the default, a negative one is refused.
    pub fn new(filter: AgentFilter, required: Capabilities, max_results: i32) -> Result<Self, RegistryError> {
        let max_results = match usize::try_from(max_results) {
            Ok(0) => Self::DEFAULT_MAX_RESULTS,
            Ok(wanted) => wanted.min(Self::MAX_RESULTS),
            Err(_) => return Err(RegistryError::invalid("max_results", "must not be negative")),
        };
        Ok(Self { filter, required, max_results })
    }

    /// What the agents must be.
    pub fn filter(&self) -> &AgentFilter {
        &self.filter
    }

    /// The agent with its score when it answers the search at `now`: it passes the filter, has every capability, its
    /// lease is held and its status lets it be given work.
    pub fn consider(
        &self,
        agent: &Agent,
        pheromones: PheromoneCounts,
        terms: &LeaseTerms,
        now: Timestamp,
    ) -> Option<RankedAgent> {
        let fits = self.filter.admits(agent, terms, now)
            && agent.record().capabilities.covers(&self.required)
            && agent.status(terms, now).is_selectable();
        fits.then(|| {
            let agent = agent.snapshot(terms, now);
            let terms = ScoreTerms::of(&agent, pheromones);
            RankedAgent { score: terms.score(), terms, agent }
        })
    }

    /// The best answers, the highest score first, equal ones by id.
    pub fn shortlist(&self, mut found: Vec<RankedAgent>) -> Vec<RankedAgent> {
        found.sort_by(|a, b| {
            b.score.total_cmp(&a.score).then_with(|| a.agent.agent_id.cmp(&b.agent.agent_id))
        });
        found.truncate(self.max_results);
        found
    }
}

/// Traces other agents left about one agent's results. None by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PheromoneCounts {
    /// Strength of the traces of success.
    pub success: f64,
    /// Strength of the warnings.
    pub warning: f64,
    /// Strength of the traces of failure.
    pub failure: f64,
}

impl PheromoneCounts {
    /// (success + 0.5 · warning) / all, 0.5 without any trace.
    fn term(self) -> f64 {
        let all = self.success + self.warning + self.failure;
        if all > 0.0 { ((self.success + 0.5 * self.warning) / all).clamp(0.0, 1.0) } else { NEUTRAL }
    }
}

const NEUTRAL: f64 = 0.5;

/// What a score is made of, each part from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreTerms {
    /// HEALTHY 1, DEGRADED 0.5, UNHEALTHY 0.
    pub health: f64,
    /// The share of good traces; 0.5 without traces.
    pub pheromone: f64,
    /// The success rate; 0.5 without executions.
    pub telemetry: f64,
}

impl ScoreTerms {
    const HEALTH_WEIGHT: f64 = 0.4;
    const PHEROMONE_WEIGHT: f64 = 0.3;
    const TELEMETRY_WEIGHT: f64 = 0.3;

    fn of(agent: &AgentSnapshot, pheromones: PheromoneCounts) -> Self {
        let health = match agent.status {
            AgentStatus::Healthy => 1.0,
            AgentStatus::Degraded => 0.5,
            AgentStatus::Unhealthy => 0.0,
        };
        let telemetry = match agent.telemetry.total_executions {
            0 => NEUTRAL,
            _ => agent.telemetry.success_rate,
        };
        Self { health, pheromone: pheromones.term(), telemetry }
    }

    /// 0.4 · health + 0.3 · pheromone + 0.3 · telemetry, the ranking of the service registry.
    pub fn score(&self) -> f64 {
        Self::HEALTH_WEIGHT * self.health
            + Self::PHEROMONE_WEIGHT * self.pheromone
            + Self::TELEMETRY_WEIGHT * self.telemetry
    }
}

/// An agent that answers a search.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedAgent {
    /// The agent.
    pub agent: AgentSnapshot,
    /// 0 to 1, higher is better.
    pub score: f64,
    /// Why the score is what it is.
    pub terms: ScoreTerms,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::agent::AgentRecord;
    use super::super::announcement::{Announcement, AnnouncementDraft};
    use super::super::telemetry::AgentTelemetry;
    use super::super::token::{RegistrationToken, TokenHash};
    use super::*;
    use crate::ids::AgentId;

    const TERMS: LeaseTerms = LeaseTerms::DEFAULT;
    const NOW: Timestamp = Timestamp::from_millis(0);

    fn draft() -> AnnouncementDraft {
        AnnouncementDraft {
            agent_type: AgentType::Worker,
            capabilities: vec!["read".into(), "write".into()],
            metadata: BTreeMap::new(),
            namespace: "default".into(),
            cluster: "local".into(),
            version: "1.0.0".into(),
            telemetry: None,
        }
    }

    fn agent(id: &str, draft: AnnouncementDraft) -> Agent {
        let token = TokenHash::of(&RegistrationToken::new(id));
        Agent::register(AgentId::parse(id).unwrap(), Announcement::check(draft).unwrap(), token, NOW)
    }

    fn with_rate(id: &str, success_rate: f64) -> Agent {
        let telemetry = AgentTelemetry { success_rate, total_executions: 20, ..AgentTelemetry::default() };
        agent(id, AnnouncementDraft { telemetry: Some(telemetry), ..draft() })
    }

    fn query(required: &[&str], max_results: i32) -> AgentQuery {
        let required = Capabilities::parse("capabilities", required.iter().copied()).unwrap();
        AgentQuery::new(AgentFilter::default(), required, max_results).unwrap()
    }

    fn filter(key: &str, value: &str) -> Result<AgentFilter, RegistryError> {
        AgentFilter::parse(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    fn score(agent: &Agent, pheromones: PheromoneCounts) -> f64 {
        query(&[], 0).consider(agent, pheromones, &TERMS, NOW).unwrap().score
    }

    #[test]
    fn the_known_scores() {
        let none = PheromoneCounts::default();
        let traces = |success, warning, failure| PheromoneCounts { success, warning, failure };
        // As another writer may have stored it: the status lags behind the figures.
        let record = with_rate("a", 1.0).record().clone();
        let lagging = Agent::restore(AgentRecord { status: AgentStatus::Degraded, ..record });
        let cases = [
            (score(&agent("a", draft()), none), 0.70),
            (score(&with_rate("a", 0.95), none), 0.835),
            (score(&with_rate("a", 0.40), none), 0.47),
            (score(&with_rate("a", 0.9), traces(8.0, 1.0, 1.0)), 0.925),
            (score(&with_rate("a", 0.9), traces(0.0, 0.0, 3.0)), 0.67),
            (score(&lagging, traces(5.0, 0.0, 0.0)), 0.80),
        ];
        for (actual, expected) in cases {
            assert!((actual - expected).abs() < 1e-9, "{actual} is not {expected}");
        }
    }

    #[test]
    fn required_capabilities_are_a_subset() {
        let able = agent("a", draft());
        let finds =
            |required: &[&str]| query(required, 0).consider(&able, PheromoneCounts::default(), &TERMS, NOW);
        assert!(finds(&["read"]).is_some());
        assert!(finds(&["read", "deploy"]).is_none());
        let found = finds(&[]).unwrap();
        assert_eq!(found.agent.capabilities, ["read", "write"]);
        assert_eq!(found.terms, ScoreTerms { health: 1.0, pheromone: 0.5, telemetry: 0.5 });
    }

    #[test]
    fn each_filter_accepts_and_refuses() {
        let metadata = BTreeMap::from([("security_level".to_owned(), "RESTRICTED".to_owned())]);
        let one = agent("a", AnnouncementDraft { namespace: "build".into(), metadata, ..draft() });
        let plain = agent("b", draft());
        let degraded = with_rate("c", 0.4);
        let unhealthy = with_rate("d", 0.1);
        let admits = |key, value, agent: &Agent| filter(key, value).unwrap().admits(agent, &TERMS, NOW);
        let cases = [
            ("namespace", "build", &one, true),
            ("namespace", "Build", &one, false),
            ("cluster", "local", &one, true),
            ("cluster", "far", &one, false),
            ("version", "1.0.0", &one, true),
            ("version", "1.0", &one, false),
            ("security_level", "RESTRICTED", &one, true),
            ("security_level", "INTERNAL", &one, false),
            ("security_level", "INTERNAL", &plain, true),
            ("agent_type", "worker", &one, true),
            ("agent_type", "GUARD", &one, false),
            ("status", "healthy", &plain, true),
            ("status", "HEALTHY", &degraded, true),
            ("status", "HEALTHY", &unhealthy, false),
            ("status", "Degraded", &degraded, true),
            ("status", "degraded", &plain, false),
            ("status", "unhealthy", &unhealthy, true),
        ];
        for (key, value, agent, expected) in cases {
            assert_eq!(admits(key, value, agent), expected, "{key}={value} on {}", agent.id());
        }
    }

    #[test]
    fn what_is_no_filter_is_named() {
        let unknown = filter("colour", "red").unwrap_err().to_string();
        assert!(unknown.starts_with("filters.colour is no filter"), "{unknown}");
        assert!(
            filter("agent_type", "queen").unwrap_err().to_string().starts_with("filters.agent_type must be")
        );
        assert!(filter("status", "alive").unwrap_err().to_string().starts_with("filters.status must be"));
        let endless = filter(&"x".repeat(10_000), "").unwrap_err().to_string();
        assert!(endless.len() < 200);
    }

    #[test]
    fn silence_and_bad_figures_are_not_found() {
        let quiet = agent("a", draft());
        let later = Timestamp::from_millis(120_001);
        assert!(query(&[], 0).consider(&quiet, PheromoneCounts::default(), &TERMS, later).is_none());
        let failing = with_rate("b", 0.1);
        assert!(query(&[], 0).consider(&failing, PheromoneCounts::default(), &TERMS, NOW).is_none());
        let mut gone = agent("c", draft());
        gone.retire(None, NOW).unwrap();
        assert!(query(&[], 0).consider(&gone, PheromoneCounts::default(), &TERMS, NOW).is_none());
    }

    #[test]
    fn how_many() {
        let found = || (0..9).map(|n| agent(&format!("w-{n}"), draft()));
        let count = |max| {
            let query = query(&[], max);
            let considered =
                found().filter_map(|a| query.consider(&a, PheromoneCounts::default(), &TERMS, NOW)).collect();
            query.shortlist(considered).len()
        };
        assert_eq!((count(0), count(3), count(i32::MAX)), (5, 3, 9));
        let negative = AgentQuery::new(AgentFilter::default(), Capabilities::default(), -1).unwrap_err();
        assert_eq!(negative, RegistryError::invalid("max_results", "must not be negative"));
    }

    proptest! {
        #[test]
        fn the_order_depends_on_scores_and_ids_only(
            rates in prop::collection::vec((0.3..=1.0f64, 0..1_000u32), 1..20),
            by in any::<prop::sample::Index>(),
        ) {
            let query = query(&[], 1_000);
            let mut found: Vec<RankedAgent> = rates
                .iter()
                .enumerate()
                // Few distinct rates, so that ties happen.
                .map(|(n, (rate, id))| with_rate(&format!("{id}-{n}"), (rate * 4.0).round() / 4.0))
                .filter_map(|agent| query.consider(&agent, PheromoneCounts::default(), &TERMS, NOW))
                .collect();
            let first = query.shortlist(found.clone());
            if !found.is_empty() {
                let middle = by.index(found.len());
                found.rotate_left(middle);
            }
            prop_assert_eq!(&first, &query.shortlist(found));
            let key = |r: &RankedAgent| (std::cmp::Reverse((r.score * 1e9) as i64), r.agent.agent_id.clone());
            prop_assert!(first.is_sorted_by_key(key));
        }
    }
}
