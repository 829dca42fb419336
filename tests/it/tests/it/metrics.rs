//! What is measured: all of it is there from the start, moves when it is said to, and only then.

use std::collections::{BTreeMap, BTreeSet};

use hive_it::folder::temporary;
use hive_it::up::Up;
use hive_it::{example, root};
use hive_proto::grpc::neural_hive::service_registry::{
    GetAgentRequest, HeartbeatRequest, ListAgentsRequest, RegisterRequest,
};
use tokio::runtime::Runtime;

/// The families by name, with what the documentation says about when they move.
fn documented() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("docs/observability.md")).expect("the documentation");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (name, rest) = row.split_once('`')?;
        let cells: Vec<&str> = rest.trim_matches([' ', '|']).split(" | ").collect();
        ["counter", "gauge", "histogram"]
            .contains(&cells[0])
            .then(|| (name.to_owned(), cells[cells.len() - 1].trim().to_owned()))
    })
    .collect()
}

/// The sum of all series of each family in a scrape; of a histogram, how many values it took in.
fn sums(scrape: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    let mut families = BTreeMap::new();
    for line in scrape.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            families.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let name = series.split('{').next().unwrap_or(series);
        let family = match name.strip_suffix("_count") {
            Some(family) if families.get(family).is_some_and(|kind| kind == "histogram") => family,
            _ if families.contains_key(name) => name,
            _ => continue,
        };
        *sums.entry(family.to_owned()).or_default() += value.parse::<f64>().expect("a number");
    }
    assert_eq!(sums.len(), families.len(), "every family has a series");
    sums
}

async fn run(up: &Up, name: &str, plan_status: &str) {
    let message = std::fs::read_to_string(example(name)).expect("the plan");
    let message = serde_json::from_str(&message).expect("the plan is JSON");
    let submitted = up.submit(&message).await;
    let workflow = up.end_of(&submitted.workflow_id).await;
    assert_eq!(workflow.plan_status, plan_status, "{name}");
}

/// Calls to every part of the system.
async fn ask(up: &Up) {
    let mut registry = up.registry().await;
    let heartbeat = HeartbeatRequest { agent_id: "agent-1".to_owned(), ..HeartbeatRequest::default() };
    registry.heartbeat(heartbeat).await.expect("it is registered");
    registry.list_agents(ListAgentsRequest::default()).await.expect("agents");
    let _ = registry.get_agent(GetAgentRequest { agent_id: "agent-1".to_owned() }).await.expect("the agent");
    assert!(registry.register(RegisterRequest::default()).await.is_err());
    let (_, tickets) = up.get("/api/v1/tickets?limit=1");
    let tickets: serde_json::Value = serde_json::from_str(&tickets).expect("JSON");
    let ticket_id = tickets["tickets"][0]["ticket_id"].as_str().expect("a ticket").to_owned();
    assert_eq!(up.get(&format!("/api/v1/tickets/{ticket_id}")).0, 200);
    assert_eq!(up.get("/nowhere").0, 404);
}

#[test]
fn everything_is_there_from_the_start_and_moves_as_documented() {
    let data = temporary();
    let up = Up::start(data.path());
    let documented = documented();
    let names: BTreeSet<&String> = documented.keys().collect();
    let before = sums(&up.scrape());
    assert_eq!(before.keys().collect::<BTreeSet<_>>(), names, "the scrape and the documentation agree");
    Runtime::new().expect("threads").block_on(async {
        tokio::join!(
            run(&up, "diamond.json", "SUCCESS"),
            run(&up, "retries.json", "SUCCESS"),
            run(&up, "compensates.json", "FAILED"),
        );
        ask(&up).await;
    });
    let after = sums(&up.scrape());
    for (name, moves) in &documented {
        let value = after[name];
        if moves == "always" {
            assert!(value > 0.0, "{name} is dead, without a reason");
        } else if let Some(reason) = moves.strip_prefix("never: ") {
            assert!(value == 0.0, "{name} moved, but is said never to: {reason}");
        }
    }
    for (name, value) in [
        ("orchestration_retries_total", 2.0),
        ("orchestration_workflows_started_total", 3.0),
        ("orchestration_workflows_completed_total", 3.0),
        ("orchestration_workflows_active", 0.0),
        ("orchestration_compensations_triggered_total", 3.0),
        ("orchestration_compensations_executed_total", 3.0),
        ("orchestration_compensation_duration_seconds", 3.0),
        ("orchestration_telemetry_published_total", 3.0),
        ("orchestration_incident_publish_total", 1.0),
        ("agents_active", 4.0),
        ("api_errors_total", 1.0),
    ] {
        assert!((after[name] - value).abs() < 1e-9, "{name} is {}", after[name]);
    }
    // Every ticket is counted once, wherever it is counted.
    let tickets = after["tickets_persisted_total"];
    assert!((after["tickets_by_status"] - tickets).abs() < 1e-9, "{tickets} saved");
    let by_plans = after["orchestration_tickets_generated_total"];
    assert!((by_plans + 3.0 - tickets).abs() < 1e-9, "{by_plans} of plans, 3 undos, {tickets} in all");
    let _ = up.end().exits_with(0);
}
