//! The dependency law: which crate may use which crate of the workspace, and which technology.
//!
//! Normal and build dependencies count, development ones are exempt. A new crate is one line of [`CRATES`]. A new edge
//! or technology in a row changes the architecture: change `docs/architecture.md` with it.

use hive_architecture::{Tree, Violation, assert_none};

use crate::workspace::{Dependency, Member, Section, members};

/// How far a crate may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Rules: neither a technology nor anything of [`IMPURE`].
    Pure,
    /// The crates and the technologies its row names; other third parties are free.
    Row,
    /// Everything: it builds, runs or tests the whole.
    Whole,
}

/// One crate: how far it reaches, its name, its folder, the crates and the technologies it may use.
type Row = (Reach, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// What an adapter may see of the hexagon.
const INSIDE: &[&str] = &["hive-domain", "hive-application", "hive-proto"];

/// What an adapter that speaks gRPC may see: also how values become messages.
const OVER_GRPC: &[&str] = &["hive-domain", "hive-application", "hive-proto", "hive-mapping"];

#[rustfmt::skip]
const CRATES: &[Row] = &[
    (Reach::Pure,  "hive-domain",       "domain",               &[], &[]),
    (Reach::Row,   "hive-application",  "application",          &["hive-domain"], &[]),
    (Reach::Row,   "hive-proto",        "proto",                &[], &["prost", "protox", "tonic"]),
    (Reach::Row,   "hive-migration",    "migration",            &[], &["sea-orm"]),
    (Reach::Row,   "hive-jwt",          "infrastructure/jwt",   &["hive-domain", "hive-application"], &["jsonwebtoken"]),
    (Reach::Row,   "hive-peers",        "infrastructure/peers", OVER_GRPC, &["prost", "tonic"]),
    (Reach::Row,   "hive-sql",          "infrastructure/sql",
        &["hive-domain", "hive-application", "hive-proto", "hive-migration"], &["rusqlite", "sea-orm", "sqlx", "tokio"]),
    (Reach::Row,   "hive-agent",        "interface/agent",      INSIDE, &[]),
    (Reach::Row,   "hive-events",       "interface/events",     INSIDE, &[]),
    (Reach::Row,   "hive-grpc",         "interface/grpc",       OVER_GRPC, &["prost", "tonic"]),
    (Reach::Row,   "hive-grpc-kit",     "interface/grpc-kit",   &[], &[
        "figment", "h2", "hyper", "jsonwebtoken", "metrics", "prost", "protox", "rustls", "tokio", "tonic", "tower",
    ]),
    (Reach::Row,   "hive-http",         "interface/http",       INSIDE, &["axum", "tower"]),
    (Reach::Row,   "first-service",     "examples/first-service", &["hive-grpc-kit"], &["prost", "protox", "tokio", "tonic"]),
    (Reach::Row,   "hive-mapping",      "proto/mapping",        INSIDE, &["prost", "tonic"]),
    (Reach::Whole, "hive-server",       "interface/server",     &[], &[]),
    (Reach::Row,   "hive-architecture", "tests/architecture",   &[], &[]),
    (Reach::Whole, "hive-bench",        "tests/benches",        &[], &[]),
    (Reach::Whole, "hive-contract",     "tests/contract",       &[], &[]),
    (Reach::Whole, "hive-it",           "tests/it",             &[], &[]),
    (Reach::Row,   "hive-postgres",     "tests/postgres",       &[], &["tempfile"]),
    (Reach::Whole, "xtask",             "xtask",                &[], &[]),
];

/// Technologies: a crate uses one only if its row names it. A name stands for its family, so `tonic` is `tonic-health`
/// too.
const TECHNOLOGIES: &[&str] = &[
    "actix",
    "apache-avro",
    "axum",
    "clap",
    "config",
    "figment",
    "h2",
    "hyper",
    "indicatif",
    "jsonwebtoken",
    "metrics",
    "mongodb",
    "openssl",
    "opentelemetry",
    "prost",
    "protox",
    "rdkafka",
    "redis",
    "regorus",
    "reqwest",
    "rusqlite",
    "rustls",
    "sea-orm",
    "sea-query",
    "spiffe",
    "sqlx",
    "tempfile",
    "temporalio",
    "tokio",
    "tonic",
    "tower",
    "tracing-subscriber",
    "vaultrs",
];

/// What rules do without besides: async, serialisation, telemetry, clocks and randomness.
const IMPURE: &[&str] = &[
    "async",
    "chrono",
    "event-listener",
    "fastrand",
    "futures",
    "getrandom",
    "log",
    "rand",
    "serde",
    "time",
    "tracing",
];

fn in_family(name: &str, families: &[&str]) -> bool {
    families.iter().any(|family| {
        name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    })
}

/// Why a row forbids a dependency, if it does.
fn refusal((reach, name, _, edges, technologies): Row, dependency: &Dependency) -> Option<String> {
    let used = &dependency.name;
    if reach == Reach::Whole || dependency.section == Section::Dev {
        return None;
    }
    if dependency.ours {
        return (!edges.contains(&used.as_str())).then(|| {
            format!("{name} may not depend on {used}; move the code to where the edge is allowed, or put a port between")
        });
    }
    if in_family(used, TECHNOLOGIES) && !in_family(used, technologies) {
        return Some(format!(
            "{name} may not use {used}; put it behind a port, in the adapter whose row names it"
        ));
    }
    (reach == Reach::Pure && in_family(used, IMPURE)).then(|| {
        format!("{name} holds rules only and may not use {used}; pass in what the rule needs as an argument")
    })
}

/// Checks members against rows; `line_of(manifest, name)` is where a manifest names a dependency.
fn check(rows: &[Row], members: &[Member], line_of: impl Fn(&str, &str) -> usize) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in members {
        let manifest = member.manifest();
        let Some(&row) = rows.iter().find(|row| row.1 == member.name) else {
            let message = format!("unknown crate {}; give it a row in CRATES of {}", member.name, file!());
            violations.push(Violation::new(&manifest, 1, message));
            continue;
        };
        if row.2 != member.folder {
            let message =
                format!("{} belongs in {}; move it, or correct its row in {}", row.1, row.2, file!());
            violations.push(Violation::new(&manifest, 1, message));
        }
        let refused = member.dependencies.iter().filter_map(|used| Some((used, refusal(row, used)?)));
        violations.extend(
            refused.map(|(used, message)| Violation::new(&manifest, line_of(&manifest, &used.name), message)),
        );
    }
    for row in rows.iter().filter(|row| members.iter().all(|member| member.name != row.1)) {
        let message = format!("{} has a row but no longer exists; remove the row", row.1);
        violations.push(Violation::new(file!(), line!() as usize, message));
    }
    violations
}

/// Line of a manifest that begins with the name of a dependency; 1 when it is renamed there.
fn line_naming(manifest: &str, name: &str) -> usize {
    let names = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    manifest.lines().position(names).map_or(1, |index| index + 1)
}

/// INV-9
#[test]
fn every_crate_uses_only_what_its_row_allows() {
    let tree = Tree::here().unwrap();
    let line_of = |path: &str, name: &str| tree.file(path).map_or(1, |file| line_naming(&file.text, name));
    assert_none(&check(CRATES, &members(&tree), line_of));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, folder: &str, uses: &[(&str, Section, bool)]) -> Member {
        let dependencies =
            uses.iter().map(|&(name, section, ours)| Dependency { name: name.into(), section, ours });
        Member { name: name.into(), folder: folder.into(), dependencies: dependencies.collect() }
    }

    fn messages(name: &str, used: &str, section: Section, ours: bool) -> Vec<String> {
        let &row = CRATES.iter().find(|row| row.1 == name).expect("a row");
        let found = check(&[row], &[member(name, row.2, &[(used, section, ours)])], |_, _| 7);
        found.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn the_core_may_not_reach_outwards() {
        for (name, used) in [("hive-domain", "hive-application"), ("hive-application", "hive-sql")] {
            let found = messages(name, used, Section::Normal, true);
            assert!(
                found.len() == 1 && found[0].contains(&format!(":7: {name} may not depend on {used}")),
                "{found:?}"
            );
        }
        assert_eq!(messages("hive-peers", "hive-sql", Section::Build, true).len(), 1);
        assert_eq!(messages("hive-agent", "hive-events", Section::Normal, true).len(), 1);
        assert_eq!(messages("hive-agent", "hive-application", Section::Normal, true), [""; 0]);
    }

    #[test]
    fn technologies_stay_with_their_crates() {
        for used in ["tokio", "tokio-stream", "sea-orm-migration", "figment", "tonic", "sqlx"] {
            assert_eq!(messages("hive-application", used, Section::Normal, false).len(), 1, "{used}");
            assert_eq!(messages("hive-domain", used, Section::Build, false).len(), 1, "{used}");
        }
        assert_eq!(messages("hive-sql", "tokio", Section::Normal, false), [""; 0]);
        assert_eq!(messages("hive-sql", "tonic", Section::Normal, false).len(), 1);
        assert_eq!(messages("hive-server", "tokio", Section::Normal, false), [""; 0]);
    }

    #[test]
    fn the_domain_is_also_free_of_async_serialisation_and_telemetry() {
        for used in ["async-trait", "serde", "serde_json", "tracing", "futures-util", "rand"] {
            assert_eq!(messages("hive-domain", used, Section::Normal, false).len(), 1, "{used}");
            assert_eq!(messages("hive-application", used, Section::Normal, false), [""; 0], "{used}");
        }
        assert_eq!(messages("hive-domain", "randomart", Section::Normal, false), [""; 0]);
        assert_eq!(messages("hive-domain", "serde_json", Section::Dev, false), [""; 0]);
    }

    #[test]
    fn unknown_misplaced_and_vanished_crates_are_reported() {
        let members = [member("hive-new", "interface/new", &[]), member("hive-domain", "rules", &[])];
        let found = check(&CRATES[..2], &members, |_, _| 1);
        let texts: Vec<String> = found.iter().map(Violation::to_string).collect();
        assert!(texts[0].starts_with("interface/new/Cargo.toml:1: unknown crate hive-new"), "{texts:?}");
        assert!(texts[1].starts_with("rules/Cargo.toml:1: hive-domain belongs in domain"), "{texts:?}");
        assert!(texts[2].contains("hive-application has a row but no longer exists"), "{texts:?}");
    }

    #[test]
    fn the_line_is_that_of_the_entry() {
        let manifest = "[dependencies]\ntokio-stream.workspace = true\ntokio.workspace = true\n";
        assert_eq!(line_naming(manifest, "tokio"), 3);
        assert_eq!(line_naming(manifest, "serde"), 1);
    }
}
