//! Which names exist, where each belongs, and which one was probably meant.

use hive_grpc_kit::settings::{Given, Problem, nearest};

use super::DEFAULTS;

/// Settings of the whole process.
const PROCESS: &[&str] = &[
    "ENVIRONMENT",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "OTEL_EXPORTER_ENDPOINT",
    "OTEL_ENABLED",
    "OTEL_SAMPLING_RATE",
    "HTTP_PORT",
    "PROMETHEUS_PORT",
    "SLOW_QUERY_MS",
];

/// Names whose paths are not called like them: other names of settings that have a prefix, and settings of ours among
/// those of the kit.
const ALIASES: &[(&str, &str)] = &[
    ("GRPC__CLIENT__TLS__ENABLED", "peers.tls"),
    ("GRPC__CLIENT__AUTH__IN_CLEAR", "peers.in_clear"),
    ("JWT_SECRET_KEY", "grpc.server.auth.jwt_secret"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otel_exporter_endpoint"),
    ("JAEGER_SAMPLING_RATE", "otel_sampling_rate"),
];

/// Paths of settings that are never shown.
const SECRETS: &[&str] = &[
    "grpc.server.auth.jwt_secret",
    "grpc.client.auth.token",
    "tickets.database_url",
    "tickets.postgres_password",
    "orchestration.database_url",
    "registry.database_url",
];

/// Settings of orchestration, under the plain names its services have always had.
const ORCHESTRATION: &[&str] = &[
    "SLA_DEFAULT_TIMEOUT_MS",
    "SLA_TICKET_MIN_TIMEOUT_MS",
    "SLA_TICKET_TIMEOUT_BUFFER_MULTIPLIER",
    "SCHEDULER_MAX_PARALLEL_TICKETS",
    "SCHEDULER_PRIORITY_WEIGHTS",
    "SCHEDULER_ENABLE_AFFINITY",
    "SCHEDULER_AFFINITY_PLAN_WEIGHT",
    "SCHEDULER_AFFINITY_ANTI_WEIGHT",
    "SCHEDULER_AFFINITY_INTENT_WEIGHT",
    "RETRY_INITIAL_INTERVAL_MS",
    "RETRY_BACKOFF_COEFFICIENT",
    "RETRY_MAX_INTERVAL_MS",
    "COMPENSATION_ENABLED",
    "SERVICE_REGISTRY_MAX_RESULTS",
    "SERVICE_REGISTRY_CACHE_TTL_SECONDS",
];

/// Settings of the tickets.
const TICKETS: &[&str] =
    &["POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DATABASE"];

/// Settings of the way to roles served by other processes.
const PEERS: &[&str] = &[
    "EXECUTION_TICKET_SERVICE_HOST",
    "EXECUTION_TICKET_SERVICE_PORT",
    "SERVICE_REGISTRY_HOST",
    "SERVICE_REGISTRY_PORT",
    "SERVICE_REGISTRY_TIMEOUT_SECONDS",
];

/// Settings of the registry.
const REGISTRY: &[&str] = &["HEARTBEAT_TIMEOUT_SECONDS"];

/// Prefixes under which every name must exist.
const PREFIXES: [&str; 4] = ["GRPC", "TICKETS", "ORCHESTRATION", "REGISTRY"];

const SEPARATOR: &str = "__";

/// Where a name belongs among the settings, as a dotted path, and whether it carries the prefix of a role. `None` for a
/// name that is none of ours.
pub(super) fn path_of(name: &str) -> Option<(String, bool)> {
    let name = name.to_ascii_uppercase();
    if let Some((_, path)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(((*path).to_owned(), false));
    }
    if let Some((prefix, rest)) = name.split_once(SEPARATOR)
        && PREFIXES.contains(&prefix)
    {
        let rest = rest.replace(SEPARATOR, ".");
        return Some((format!("{prefix}.{rest}").to_ascii_lowercase(), true));
    }
    let role = if PROCESS.contains(&name.as_str()) {
        ""
    } else if ORCHESTRATION.contains(&name.as_str()) {
        "orchestration."
    } else if REGISTRY.contains(&name.as_str()) {
        "registry."
    } else if TICKETS.contains(&name.as_str()) {
        "tickets."
    } else if PEERS.contains(&name.as_str()) {
        "peers."
    } else {
        return None;
    };
    Some((format!("{role}{}", name.to_ascii_lowercase()), false))
}

/// Whether the setting at a path is never shown.
pub(super) fn is_secret(path: &str) -> bool {
    SECRETS.contains(&path)
}

/// What to say about a name that does not exist.
pub(super) fn unknown(given: &Given) -> Problem {
    let upper = given.name.to_ascii_uppercase();
    let prefix = upper.split_once(SEPARATOR).map_or("", |(prefix, _)| prefix);
    let valid: Vec<String> = with_prefix(prefix).collect();
    let near = nearest(&upper, valid.iter().map(String::as_str)).map(str::to_owned);
    Problem { nearest: near, ..given.problem("no such setting") }
}

/// The names under a prefix: those that may carry it, and those that the defaults show with it.
fn with_prefix(prefix: &str) -> impl Iterator<Item = String> {
    let shown = format!("{prefix}{SEPARATOR}");
    let defaults = DEFAULTS.lines().filter_map(|line| Some(line.split_once('=')?.0));
    let shown = defaults.filter(move |name| name.starts_with(&shown)).map(str::to_owned);
    let plain: &[&str] = match prefix {
        "ORCHESTRATION" => ORCHESTRATION,
        "REGISTRY" => REGISTRY,
        "TICKETS" => TICKETS,
        _ => &[],
    };
    plain.iter().map(move |name| format!("{prefix}{SEPARATOR}{name}")).chain(shown)
}

#[cfg(test)]
mod tests {
    use hive_grpc_kit::settings::Origin;

    use super::*;

    #[test]
    fn names_have_their_place() {
        let path = |name: &str| path_of(name).map(|(path, _)| path);
        assert_eq!(path("environment").as_deref(), Some("environment"));
        assert_eq!(path("RETRY_MAX_INTERVAL_MS").as_deref(), Some("orchestration.retry_max_interval_ms"));
        assert_eq!(path("HEARTBEAT_TIMEOUT_SECONDS").as_deref(), Some("registry.heartbeat_timeout_seconds"));
        assert_eq!(
            path("Orchestration__Limits__Max_Tasks").as_deref(),
            Some("orchestration.limits.max_tasks")
        );
        assert_eq!(path("GRPC__SERVER__PORT").as_deref(), Some("grpc.server.port"));
        assert_eq!(path("JWT_SECRET_KEY"), path("GRPC__SERVER__AUTH__JWT_SECRET"));
        assert_eq!(path("HTTP_PORT").as_deref(), Some("http_port"));
        assert_eq!(path("HOME"), None);
        assert_eq!(path("PATH__X"), None);
        assert!(path_of("REGISTRY__HEARTBEAT_TIMEOUT_SECONDS").unwrap().1);
        assert!(!path_of("HEARTBEAT_TIMEOUT_SECONDS").unwrap().1);
    }

    #[test]
    fn the_nearest_name_is_told() {
        let told = |name: &str| {
            let given = Given { name: name.to_owned(), value: String::new(), origin: Origin::Environment };
            unknown(&given).nearest.unwrap()
        };
        assert_eq!(told("ORCHESTRATION__LIMITS__MAX_TASK"), "ORCHESTRATION__LIMITS__MAX_TASKS");
        assert_eq!(told("REGISTRY__HEARTBEAT_TIMEOUT"), "REGISTRY__HEARTBEAT_TIMEOUT_SECONDS");
        assert_eq!(told("TICKETS__PORT"), "TICKETS__GRPC_PORT");
        assert_eq!(told("GRPC__SERVER__PROT"), "GRPC__SERVER__PORT");
        assert_eq!(told("GRPC__CLIENT__TLS__ENABLE"), "GRPC__CLIENT__TLS__ENABLED");
    }
}
