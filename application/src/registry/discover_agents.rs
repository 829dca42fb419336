//! Finds the agents that can do a piece of work, best first.

use std::collections::BTreeMap;

use hive_domain::registry::public::RankedAgent;
use hive_domain::registry::{AgentFilter, AgentQuery, Capabilities, PheromoneCounts};

use tracing::Instrument as _;
use tracing::field::Empty;

use super::observer::Search;
use super::ports::AgentListQuery;
use super::{AgentWriter, SPAN_TARGET};
use crate::context::CallContext;
use crate::error::Error;

/// A search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiscoverAgentsCommand {
    /// What the agents must be able to do, all of it.
    pub capabilities: Vec<String>,
    /// What else they must be: `agent_type`, `namespace`, `cluster`, `version`, `status`, `security_level`.
    pub filters: BTreeMap<String, String>,
    /// Agents wanted; 0 means 5.
    pub max_results: i32,
}

/// Finds agents.
#[derive(Clone)]
pub struct DiscoverAgents {
    writer: AgentWriter,
}

impl DiscoverAgents {
    pub(super) fn new(writer: AgentWriter) -> Self {
        DiscoverAgents { writer }
    }

    /// The agents that fit, each with its score and what it is made of. `InvalidArgument` names a bad filter.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: DiscoverAgentsCommand,
    ) -> Result<Vec<RankedAgent>, Error> {
        context.must_be_service()?;
        let wanted = command.capabilities.len();
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            "discover_agents",
            capabilities_count = wanted,
            agents_found = Empty,
        );
        let found = self.search(context, command).instrument(span.clone()).await?;
        span.record("agents_found", found.len());
        Ok(found)
    }

    async fn search(
        &self,
        context: &CallContext,
        command: DiscoverAgentsCommand,
    ) -> Result<Vec<RankedAgent>, Error> {
        let filter = AgentFilter::parse(&command.filters)?;
        let required = Capabilities::parse("capabilities", command.capabilities)?;
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            "match_agents",
            neural.hive.capability.required = required.iter().collect::<Vec<_>>().join(","),
            neural.hive.agents.matched = Empty,
        );
        let query = AgentQuery::new(filter, required, command.max_results)?;
        let AgentWriter { repository, clock, observer, terms, .. } = &self.writer;
        let now = clock.now();
        let matching = async {
            let (mut best, mut evaluated) = (Vec::new(), 0);
            let mut page = AgentListQuery::for_filter(query.filter());
            loop {
                let found = repository.list(&page).await?;
                evaluated += found.len();
                let fits =
                    found.iter().filter_map(|a| query.consider(a, PheromoneCounts::default(), terms, now));
                best.extend(fits);
                // Cut at every page, so that memory does not grow with the number of agents.
                best = query.shortlist(best);
                match found.last() {
                    Some(last) if found.len() >= page.limit => page.after = Some(last.id().clone()),
                    _ => return Ok::<_, Error>((best, evaluated)),
                }
            }
        };
        let (best, evaluated) = matching.instrument(span.clone()).await?;
        span.record("neural.hive.agents.matched", best.len());
        observer.searched(&Search {
            agent_type: query.filter().agent_type,
            evaluated,
            found: best.len(),
            took_ms: clock.now().since(now),
        });
        tracing::debug!(found = best.len(), caller = %context.principal, "agents discovered");
        Ok(best)
    }
}

impl std::fmt::Debug for DiscoverAgents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiscoverAgents").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hive_domain::registry::public::AgentTelemetry;

    use super::super::Registry;
    use super::super::testing::{Fixture, draft, now_or_never};
    use super::*;

    fn find(fixture: &Fixture, command: DiscoverAgentsCommand) -> Result<Vec<String>, Error> {
        let found = now_or_never(fixture.registry.discover.execute(&fixture.context, command))?;
        Ok(found.into_iter().map(|ranked| ranked.agent.agent_id.to_string()).collect())
    }

    #[test]
    fn the_best_come_first_across_pages() {
        let fixture = Fixture::new();
        for n in 0..Registry::MAX_PAGE {
            fixture.register(draft(&format!("w-{n:04}")));
        }
        let telemetry =
            AgentTelemetry { success_rate: 1.0, total_executions: 3, ..AgentTelemetry::default() };
        let mut proven = draft("z");
        proven.telemetry = Some(telemetry);
        fixture.register(proven);
        let found = find(&fixture, DiscoverAgentsCommand { max_results: 2, ..Default::default() }).unwrap();
        assert_eq!(found, ["z", "w-0000"]);
    }

    #[test]
    fn silent_and_unable_agents_are_not_found() {
        let fixture = Fixture::new();
        fixture.register(draft("quiet"));
        fixture.advance(120_001);
        fixture.register(draft("lively"));
        let reads = DiscoverAgentsCommand { capabilities: vec!["read".into()], ..Default::default() };
        assert_eq!(find(&fixture, reads).unwrap(), ["lively"]);
        let flies = DiscoverAgentsCommand { capabilities: vec!["fly".into()], ..Default::default() };
        assert!(find(&fixture, flies).unwrap().is_empty());
    }

    #[test]
    fn a_bad_search_is_named() {
        let fixture = Fixture::new();
        let filters = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let cases = [
            (
                "filters.colour",
                DiscoverAgentsCommand { filters: filters("colour", "red"), ..Default::default() },
            ),
            (
                "filters.agent_type",
                DiscoverAgentsCommand { filters: filters("agent_type", "x"), ..Default::default() },
            ),
            ("max_results", DiscoverAgentsCommand { max_results: -1, ..Default::default() }),
            (
                "capabilities[0]",
                DiscoverAgentsCommand { capabilities: vec!["".into()], ..Default::default() },
            ),
        ];
        for (field, command) in cases {
            assert_eq!(find(&fixture, command).unwrap_err().field(), Some(field));
        }
    }
}
