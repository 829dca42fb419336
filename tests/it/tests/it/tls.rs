//! Processes that know each other by certificates.

use hive_it::certificates::Authority;
use hive_it::folder::temporary;
use hive_it::plan;
use hive_it::process::Hive;
use hive_it::roles::{Processes, ROLES};

const SECRET: &str = "a-secret-of-thirty-two-characters";

/// Settings by their keys.
type Set = Vec<(&'static str, String)>;

/// The settings of a process whose server and calls use what `authority` signed.
fn over_tls(authority: &Authority) -> Set {
    authority.sign_server("server");
    vec![
        ("GRPC__SERVER__AUTH__MODE", "required".to_owned()),
        ("GRPC__SERVER__TLS__CERT", authority.file("server.pem")),
        ("GRPC__SERVER__TLS__KEY", authority.file("server.key")),
        ("GRPC__CLIENT__TLS__ENABLED", "true".to_owned()),
        ("GRPC__CLIENT__TLS__CA", authority.file("ca.pem")),
    ]
}

fn set(hive: Hive, settings: &[(&'static str, String)]) -> Hive {
    settings.iter().fold(hive, |hive, (name, value)| hive.env(name, value))
}

/// Runs a plan through four processes with these settings; a caller with others does not get to them.
fn a_plan_runs(plan_id: &str, settings: &[(&'static str, String)], refused: &[(&'static str, String)]) {
    let (data, plans) = (temporary(), temporary());
    let message = plan::single(plan_id, "Calls over TLS", 1);
    let file = plan::write(plans.path(), "plan.json", message.to_string());
    let borrowed: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let processes = Processes::start_with(data.path(), &borrowed);
    for role in ROLES {
        processes.wait_until_ready(role);
    }
    let ran = set(processes.submit(&file), settings).finish().exits_with(0);
    assert!(ran.out.contains("SUCCESS: 1 ticket: 1 completed"), "{}", ran.out);
    let healthy = set(processes.health(), settings).finish().exits_with(0);
    assert_eq!(healthy.out.matches(" SERVING\n").count(), 3, "{}", healthy.out);
    for hive in [processes.health(), set(processes.health(), refused)] {
        let asked = hive.finish().exits_with(1);
        assert!(!asked.out.contains(" SERVING\n"), "{}", asked.out);
    }
    processes.end_all();
}

#[test]
fn a_plan_runs_through_four_processes_over_tls() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut settings = over_tls(&authority);
    settings.push(("JWT_SECRET_KEY", SECRET.to_owned()));
    let mut distrusting = settings.clone();
    distrusting.push(("GRPC__CLIENT__TLS__CA", other.file("ca.pem")));
    a_plan_runs("over-tls", &settings, &distrusting);
}

#[test]
fn a_plan_runs_through_four_processes_that_show_certificates() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut settings = over_tls(&authority);
    settings.push(("GRPC__SERVER__TLS__CLIENT_CA", authority.file("ca.pem")));
    authority.sign_client("client");
    other.sign_client("client");
    let shows = |of: &Authority| {
        [
            ("GRPC__CLIENT__TLS__CERT", of.file("client.pem")),
            ("GRPC__CLIENT__TLS__KEY", of.file("client.key")),
        ]
    };
    let mut unknown = settings.clone();
    unknown.extend(shows(&other));
    settings.extend(shows(&authority));
    a_plan_runs("over-mtls", &settings, &unknown);
}

/// Settings with which nothing could ever work, or which would give a secret away, and the key that is named.
#[test]
fn credentials_that_are_of_no_use_are_refused_at_the_start() {
    let (authority, other) = (Authority::new(), Authority::new());
    other.sign_server("server");
    let base = || {
        let mut settings = over_tls(&authority);
        settings.push(("JWT_SECRET_KEY", SECRET.to_owned()));
        settings
    };
    let (cert, key, ca) = ("GRPC__CLIENT__TLS__CERT", "GRPC__CLIENT__TLS__KEY", "GRPC__CLIENT__TLS__CA");
    let (own_cert, own_key, clients) =
        ("GRPC__SERVER__TLS__CERT", "GRPC__SERVER__TLS__KEY", "GRPC__SERVER__TLS__CLIENT_CA");
    let absent = || authority.file("absent.pem");
    let cases: [(&str, Set, &str); 12] = [
        ("tickets", vec![(own_key, String::new())], "GRPC__SERVER__TLS__KEY is needed beside"),
        ("tickets", vec![(own_cert, String::new())], "GRPC__SERVER__TLS__CERT is needed beside"),
        ("tickets", vec![(own_cert, absent())], "GRPC__SERVER__TLS__CERT names a file that cannot be read"),
        ("tickets", vec![(own_key, other.file("server.key"))], "GRPC__SERVER__TLS__CERT cannot be used"),
        (
            "tickets",
            vec![(own_key, authority.file("server.pem"))],
            "GRPC__SERVER__TLS__KEY names a file without",
        ),
        (
            "tickets",
            vec![(clients, absent())],
            "GRPC__SERVER__TLS__CLIENT_CA names a file that cannot be read",
        ),
        ("agent", vec![(ca, absent())], "GRPC__CLIENT__TLS__CA names a file that cannot be read"),
        ("agent", vec![(ca, authority.file("server.key"))], "GRPC__CLIENT__TLS__CA names a file without"),
        ("agent", vec![(cert, authority.file("server.pem"))], "GRPC__CLIENT__TLS__KEY is needed beside"),
        (
            "agent",
            vec![(cert, authority.file("server.pem")), (key, other.file("server.key"))],
            "GRPC__CLIENT__TLS__CERT cannot be used",
        ),
        (
            "orchestration",
            vec![("GRPC__CLIENT__TLS__ENABLED", "false".to_owned())],
            "GRPC__CLIENT__TLS__ENABLED must be true with GRPC__SERVER__TLS__CERT",
        ),
        ("orchestration", vec![("JWT_SECRET_KEY", String::new())], "GRPC__SERVER__AUTH__JWT_SECRET"),
    ];
    for (role, wrong, said) in cases {
        let data = temporary();
        let folder = data.path().join("data");
        let hive = set(set(Hive::new(["serve", role]).data(&folder), &base()), &wrong);
        let refused = hive.env("GRPC__SERVER__PORT", "0").env("HTTP_PORT", "0").env("PROMETHEUS_PORT", "0");
        let refused = refused.finish().exits_with(64);
        assert!(refused.err.contains(said), "{wrong:?}: {}", refused.err);
        assert!(!refused.err.contains(SECRET) && !refused.err.contains("/tmp"), "{}", refused.err);
        assert!(!folder.join("tickets.db").exists(), "no database was made: {wrong:?}");
    }
}

#[test]
fn a_token_is_not_shown_in_clear_to_another_machine() {
    let data = temporary();
    for environment in ["production", "development"] {
        let hive = Hive::new(["serve", "agent"])
            .data(data.path())
            .env("ENVIRONMENT", environment)
            .env("GRPC__SERVER__AUTH__MODE", "required")
            .env("JWT_SECRET_KEY", SECRET)
            .env("EXECUTION_TICKET_SERVICE_HOST", "tickets.example")
            .env("HTTP_PORT", "0")
            .env("PROMETHEUS_PORT", "0");
        let refused = hive.finish().exits_with(64);
        assert!(refused.err.contains("GRPC__CLIENT__TLS__ENABLED must be true, or"), "{}", refused.err);
        assert!(refused.err.contains("execution-ticket-service"), "{}", refused.err);
    }
}
