//! Settings as a whole: every default, every kind of mistake.

use std::collections::BTreeSet;
use std::ffi::OsString;

use hive_application::orchestration::Config;
use hive_domain::orchestration::allocation::AffinityWeights;
use hive_domain::registry::LeaseTerms;
use hive_grpc_kit::client::ClientConfig;
use hive_grpc_kit::settings::Problem;

use super::*;

fn read(file: &str, variables: &[(&str, &str)]) -> Result<(Settings, Effective), SettingsError> {
    let mut sources = Sources::default();
    sources.add_lines(file);
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    sources.add_variables(variables);
    Settings::read(&sources)
}

fn problems(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
    read(file, variables).unwrap_err().problems.iter().map(Problem::to_string).collect()
}

#[test]
fn the_defaults_are_those_of_the_components() {
    let (settings, _) = read("", &[]).unwrap();
    let mut components = Config::default();
    components.flow.allocation.affinity = Some(AffinityWeights::default());
    assert_eq!(settings.orchestration.config(), components);
    assert_eq!(settings.registry.terms().unwrap(), LeaseTerms::DEFAULT);
    assert_eq!((settings.environment, settings.log_level), (Environment::Development, LogLevel::Warn));
}

/// Hive's own defaults differ where its neighbours are restarted often and plans are large; all others are the kit's.
#[test]
fn the_defaults_of_grpc_are_those_of_the_kit() {
    let (GrpcSettings { mut server, client }, kit) =
        (read("", &[]).unwrap().0.grpc, hive_grpc_kit::settings::Settings::default());
    server.max_message_size = kit.server.max_message_size;
    assert_eq!(server, kit.server);
    let client = ClientConfig {
        max_message_size: kit.client.max_message_size,
        circuit_breaker_timeout: kit.client.circuit_breaker_timeout,
        connect_timeout: kit.client.connect_timeout,
        keepalive_time_ms: kit.client.keepalive_time_ms,
        ..client
    };
    assert_eq!(client, kit.client);
}

/// Every key of the kit is a setting. Its targets have names, which hive gives itself.
#[test]
fn the_keys_of_grpc_are_those_of_the_kit() {
    let of_grpc = |name: &String| name.starts_with("GRPC__");
    let of_kit: BTreeSet<String> = hive_grpc_kit::settings::keys().into_iter().filter(of_grpc).collect();
    let ours = DEFAULTS.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned()));
    let ours: BTreeSet<String> = ours.filter(of_grpc).collect();
    let without: Vec<&String> = of_kit.difference(&ours).collect();
    let own: Vec<&String> = ours.difference(&of_kit).collect();
    assert!(without.is_empty(), "{without:?}");
    assert_eq!(own, ["GRPC__CLIENT__AUTH__IN_CLEAR", "GRPC__CLIENT__TLS__ENABLED"]);
}

#[test]
fn methods_of_low_priority_are_those_of_any_role() {
    const KEY: &str = "GRPC__SERVER__LIMITS__LOW_PRIORITY_METHODS";
    let (tickets, registry) = (
        "/neural_hive.execution.TicketService/ListTickets",
        "/neural_hive.service_registry.ServiceRegistry/ListAgents",
    );
    let (settings, _) = read("", &[(KEY, &format!("{tickets},{registry}"))]).unwrap();
    assert_eq!(settings.grpc.server.limits.low_priority_methods, [tickets, registry]);
    let found = problems("", &[(KEY, "/neural_hive.execution.TicketService/ListTicket")]);
    assert!(found[0].contains(KEY) && found[0].contains("which no service of the platform has"), "{found:?}");
}

#[test]
fn a_value_reaches_its_component() {
    let variables = [
        ("SLA_DEFAULT_TIMEOUT_MS", "11"),
        ("SLA_TICKET_MIN_TIMEOUT_MS", "12"),
        ("SLA_TICKET_TIMEOUT_BUFFER_MULTIPLIER", "1.5"),
        ("SCHEDULER_MAX_PARALLEL_TICKETS", "13"),
        ("SCHEDULER_PRIORITY_WEIGHTS", r#"{"risk":0.4,"qos":0.3,"sla":0.3}"#),
        ("SCHEDULER_ENABLE_AFFINITY", "false"),
        ("RETRY_INITIAL_INTERVAL_MS", "14"),
        ("RETRY_BACKOFF_COEFFICIENT", "3"),
        ("RETRY_MAX_INTERVAL_MS", "15"),
        ("COMPENSATION_ENABLED", "0"),
        ("SERVICE_REGISTRY_MAX_RESULTS", "16"),
        ("SERVICE_REGISTRY_CACHE_TTL_SECONDS", "17"),
        ("ORCHESTRATION__LIMITS__MAX_TASKS", "18"),
        ("ORCHESTRATION__LIMITS__MAX_FIELD_BYTES", "19"),
        ("ORCHESTRATION__LIMITS__MAX_NESTING", "20"),
        ("ORCHESTRATION__LIMITS__MAX_MESSAGE_BYTES", "21"),
        ("REGISTRY__HEARTBEAT_TIMEOUT_SECONDS", "90"),
        ("ENVIRONMENT", "Production"),
        ("LOG_LEVEL", "INFO"),
    ];
    let (settings, _) = read("", &variables).unwrap();
    let config = settings.orchestration.config();
    assert_eq!((config.flow.sla.default_timeout_ms, config.flow.sla.min_timeout_ms), (11, 12));
    assert_eq!((config.flow.sla.timeout_multiplier, config.flow.retry.coefficient), (1.5, 3.0));
    assert_eq!((config.pool.max_parallel, config.pool.max_results), (13, 16));
    assert_eq!((config.flow.allocation.priority.risk, config.flow.allocation.priority.priority), (0.4, 0.0));
    assert_eq!((config.flow.allocation.affinity, config.flow.compensation), (None, false));
    assert_eq!((config.flow.retry.initial_ms, config.flow.retry.max_ms), (14, 15));
    assert_eq!(config.pool.discovery_ttl_ms, 17_000);
    assert_eq!((config.limits.max_tasks, config.limits.max_field_bytes), (18, 19));
    assert_eq!((config.limits.max_nesting, config.limits.max_message_bytes), (20, 21));
    assert_eq!(settings.registry.terms().unwrap().heartbeat_timeout_ms(), 90_000);
    assert_eq!((settings.environment, settings.log_level), (Environment::Production, LogLevel::Info));
}

#[test]
fn each_bad_value_is_named_and_never_shown() {
    let cases = [
        ("ENVIRONMENT", "must be one of development, staging, production"),
        ("LOG_LEVEL", "must be one of trace, debug, info, warn, warning, error, critical"),
        ("SLA_DEFAULT_TIMEOUT_MS", "must be a whole number from 1 to 86400000"),
        ("SLA_TICKET_TIMEOUT_BUFFER_MULTIPLIER", "must be a number from 1 to 100"),
        ("SCHEDULER_ENABLE_AFFINITY", "must be true or false"),
        ("ORCHESTRATION__LIMITS__MAX_TASKS", "must be a whole number from 1 to 1000000"),
        ("REGISTRY__HEARTBEAT_TIMEOUT_SECONDS", "must be a whole number from 60 to 86400"),
    ];
    for (name, message) in cases {
        let found = problems("", &[(name, "s3cret")]);
        assert_eq!(found, [format!("{name} (environment): {message}")]);
    }
    let found = problems("# c\nSLA_DEFAULT_TIMEOUT_MS=0", &[]);
    assert!(
        found[0].starts_with("SLA_DEFAULT_TIMEOUT_MS (.env, line 2): must be a whole number"),
        "{found:?}"
    );
}

#[test]
fn a_database_is_used_only_when_it_is_named() {
    let place = |variables: &[(&str, &str)]| {
        let (settings, _) = read("", variables).unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"));
        settings.tickets.database().map(|server| server.to_string())
    };
    assert_eq!(place(&[]), None);
    assert_eq!(place(&[("POSTGRES_PORT", "1"), ("POSTGRES_PASSWORD", "s3cret")]), None);
    let host = ("POSTGRES_HOST", "db.example");
    assert_eq!(place(&[host]).as_deref(), Some("db.example:5432/neural_hive_tickets"));
    let parts = [host, ("POSTGRES_PORT", "1"), ("POSTGRES_PASSWORD", "s3cret"), ("POSTGRES_DATABASE", "d")];
    assert_eq!(place(&parts).as_deref(), Some("db.example:1/d"));
    let url = ("TICKETS__DATABASE_URL", "postgres://u:s3cret@other:2/e");
    assert_eq!(place(&[host, url]).as_deref(), Some("other:2/e"));
    let role = ("TICKETS__POSTGRES_HOST", "of.role");
    assert_eq!(place(&[host, role]).as_deref(), Some("of.role:5432/neural_hive_tickets"));

    let (settings, effective) = read("", &[("ORCHESTRATION__DATABASE_URL", url.1)]).unwrap();
    assert_eq!(settings.orchestration.database().unwrap().to_string(), "other:2/e");
    assert!(settings.registry.database().is_none() && settings.tickets.database().is_none());
    assert!(!dump(&effective).contains("s3cret"));
    let found = problems("", &[("REGISTRY__DATABASE_URL", "mysql://u:s3cret@h/d")]);
    assert!(found[0].contains("must be a URL like postgres://") && !found[0].contains("s3cret"), "{found:?}");
}

#[test]
fn weights_must_make_a_score() {
    for bad in [
        "0.5",
        "{}",
        r#"{"risk":1}"#,
        r#"{"risk":0,"qos":0,"sla":0}"#,
        r#"{"risk":-0.1,"qos":0.5,"sla":0.5}"#,
        r#"{"risk":0.5,"qos":0.5,"sla":0.5}"#,
        r#"{"risk":0.1,"qos":0.1,"sla":0.1,"luck":0.1}"#,
    ] {
        let found = problems("", &[("SCHEDULER_PRIORITY_WEIGHTS", bad)]);
        assert!(found[0].contains("(environment): must be JSON like {\"risk\":0.35"), "{bad}: {found:?}");
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn what_no_single_value_shows_is_checked() {
    let found = problems("RETRY_MAX_INTERVAL_MS=10", &[]);
    assert_eq!(found, ["RETRY_MAX_INTERVAL_MS (.env, line 1): must not be below RETRY_INITIAL_INTERVAL_MS"]);
    let found = problems("SCHEDULER_AFFINITY_PLAN_WEIGHT=0.7", &[]);
    assert!(found[0].contains("must be at most 1 together"), "{found:?}");
}

#[test]
fn unknown_names_are_found_under_the_prefixes_only() {
    let variables = [
        ("ORCHESTRATION__LIMITS__MAX_TASK", "1"),
        ("ORCHESTRATION__SLA_DEFAULT_TIMEOUT", "1"),
        ("REGISTRY__HEARTBEAT__TIMEOUT", "1"),
        ("TICKETS__GRPC_PROT", "1"),
        ("GRPC__SERVER__HOSTS", "1"),
        ("SLA_DEFAULT_TIMEOUT", "1"),
        ("ORCHESTRATION", "1"),
    ];
    let mut found = problems("", &variables);
    found.sort();
    let unknown = |name: &str, rest: &str| format!("{name} (environment): no such setting; {rest}");
    assert_eq!(
        found,
        [
            unknown("GRPC__SERVER__HOSTS", "the nearest is GRPC__SERVER__HOST"),
            unknown("ORCHESTRATION__LIMITS__MAX_TASK", "the nearest is ORCHESTRATION__LIMITS__MAX_TASKS"),
            unknown(
                "ORCHESTRATION__SLA_DEFAULT_TIMEOUT",
                "the nearest is ORCHESTRATION__SLA_DEFAULT_TIMEOUT_MS"
            ),
            unknown("REGISTRY__HEARTBEAT__TIMEOUT", "the nearest is REGISTRY__HEARTBEAT_TIMEOUT_SECONDS"),
            unknown("TICKETS__GRPC_PROT", "the nearest is TICKETS__GRPC_PORT"),
        ]
    );
}

#[test]
fn a_group_is_no_value_and_a_value_no_group() {
    for name in ["ORCHESTRATION__LIMITS", "ORCHESTRATION__RETRY_MAX_INTERVAL_MS__X", "ORCHESTRATION__"] {
        let found = problems("", &[(name, "1")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("{name} (environment): no such setting")), "{found:?}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems("nonsense\nLOG_LEVEL=loud\nRETRY_MAX_INTERVAL_MS=x", &[("ENVIRONMENT", "moon")]);
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[0], ".env (.env, line 1): is no comment and no NAME=value");
}

#[test]
fn a_dump_reads_back_as_it_was() {
    let weights = "{\"risk\":0.4,\n\"qos\":0.3,\"sla\":0.3}";
    let variables =
        [("ORCHESTRATION__RETRY_MAX_INTERVAL_MS", "5000"), ("SCHEDULER_PRIORITY_WEIGHTS", weights)];
    let (settings, effective) = read("LOG_LEVEL=debug", &variables).unwrap();
    let text = dump(&effective);
    assert!(text.contains("# (from .env, line 1)\nLOG_LEVEL=debug\n"), "{text}");
    assert!(text.contains("# (from environment)\nRETRY_MAX_INTERVAL_MS=5000\n"), "{text}");
    let (again, _) = read(&text, &[]).unwrap();
    assert_eq!(again, settings);
    let (_, defaults) = read("", &[]).unwrap();
    assert_eq!(dump(&defaults), DEFAULTS);
}
