//! The settings as a process has them: variables over a file over the defaults, and every kind of mistake.

use std::collections::BTreeSet;
use std::io::Write as _;

use figment::Figment;
use figment::error::Kind;
use figment::providers::Serialized;
use proptest::prelude::*;

use super::*;
use crate::server::config::AuthMode;

fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::from_variables(variables.iter().map(|(name, value)| (name.into(), value.into())))
}

fn with_file(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let mut file = tempfile::Builder::new().prefix("settings").suffix(".toml").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let path = file.path().to_str().expect("UTF-8");
    read(&[&[(FILE, path)], variables].concat())
}

fn told(result: Result<Settings, SettingsError>) -> Vec<String> {
    result.expect_err("wrong settings").problems.iter().map(Problem::to_string).collect()
}

#[test]
fn the_default_file_says_what_the_types_say() {
    assert_eq!(read(&[]).expect("the defaults"), Settings::default());
}

/// Asks each group of the types for its keys, by one that it does not have.
#[test]
fn every_key_is_in_the_default_file_once() {
    let mut asked = vec![String::new()];
    let mut known = BTreeSet::new();
    while let Some(group) = asked.pop() {
        let bogus = Serialized::default(&format!("{group}?"), "");
        let error = Figment::from(Given::all()).merge(bogus).extract::<Root>().err().expect("no such key");
        let Kind::UnknownField(_, keys) = error.kind else { panic!("{group}: {error}") };
        for key in keys {
            let path = format!("{group}{key}");
            let is_group = defaults().keys().any(|known| known.starts_with(&format!("{path}.")));
            if is_group {
                asked.push(path + ".");
            } else {
                assert!(known.insert(path));
            }
        }
    }
    // Named by whoever has some.
    assert!(known.remove("grpc.client.targets"));
    let shown: BTreeSet<String> = defaults().into_keys().collect();
    assert_eq!(shown, known);
    assert!(shown.len() > 60);
}

impl Given {
    /// The defaults, as figment takes them in.
    fn all() -> Serialized<toml::Table> {
        Serialized::defaults(DEFAULTS.parse().expect("TOML"))
    }
}

#[test]
fn variables_win_over_the_file_and_the_file_over_the_defaults() {
    let file = "environment = \"staging\"\n[grpc.server]\nport = 1\nmax_workers = 2\nhost = \"\"\n\
                limits.low_priority_methods = [\"/a/B\", \"/a/C\"]\nauth.mode = \"off\"\n\
                [grpc.client.targets.Tickets]\nurl = \"http://x:1\"\ndefault_timeout = 2.5";
    let variables = [
        ("grpc__Server__Port", "3"),
        ("ENVIRONMENT", "Production"),
        ("GRPC__SERVER__MAX_WORKERS", " "),
        ("GRPC__CLIENT__TARGETS__TICKETS__MAX_RETRIES", "1"),
        ("GRPC__CLIENT__ENABLE_RETRY", "no"),
        ("HOME", "/x"),
        ("GRPC_SERVER", "x"),
    ];
    let settings = with_file(file, &variables).expect("settings");
    assert_eq!(settings.environment, Environment::Production);
    assert_eq!((settings.server.port, settings.server.max_workers), (3, 2));
    assert_eq!((settings.server.host, settings.server.auth.mode), (None, Some(AuthMode::Off)));
    assert_eq!(settings.server.limits.low_priority_methods, ["/a/B", "/a/C"]);
    assert!(!settings.client.enable_retry);
    let target = &settings.client.targets["tickets"];
    assert_eq!(
        (target.url.as_str(), target.default_timeout, target.max_retries),
        ("http://x:1", Some(2.5), Some(1))
    );
}

#[test]
fn a_secret_may_have_two_names_and_be_a_number() {
    let both = [("JWT_SECRET_KEY", "1"), ("GRPC__SERVER__AUTH__JWT_SECRET", "0012")];
    let secret = |settings: Settings| settings.server.auth.jwt_secret.expect("a secret").expose().to_owned();
    assert_eq!(secret(read(&both).expect("settings")), "0012");
    assert_eq!(secret(read(&both[..1]).expect("settings")), "1");
}

#[test]
fn everything_wrong_is_told_at_once_and_never_shown() {
    let file = "[grpc.server]\nport = 123456\nprot = \"hunter2\"\nmax_workers = [\"hunter2\", 1]\n[grcp.server]\nport = 1";
    let variables = [
        ("GRPC__SERVER__MAX_CONCURRENT_RPCS", "hunter2"),
        ("GRPC__SERVER__TLS__CRET", "hunter2"),
        ("GRPC__SERVER__AUTH", "hunter2"),
        ("GRPC__CLIENT__TARGETS__A__DEFAULT_TIMEOUTS", "1"),
        ("GRPC__CLIENT__TARGETS__A__MAX_RETRIES", "11"),
        ("GRPC__CLIENT__TARGETS__URL", "x"),
        ("GRPC__CONFIGFILE", "x"),
        ("ENVIRONMENT", "moon"),
    ];
    let problems = told(with_file(file, &variables));
    let wanted = [
        "grcp.server.port (settings",
        "grpc.server.max_workers (settings",
        "line 3): no such setting; the nearest is grpc.server.port",
        "GRPC__CONFIGFILE (environment): no such setting; the nearest is GRPC__CONFIG_FILE",
        "GRPC__SERVER__TLS__CRET (environment): no such setting; the nearest is GRPC__SERVER__TLS__CERT",
        "GRPC__SERVER__AUTH (environment): no such setting",
        "GRPC__CLIENT__TARGETS__A__DEFAULT_TIMEOUTS (environment): no such setting; the nearest is \
         GRPC__CLIENT__TARGETS__A__DEFAULT_TIMEOUT",
        "GRPC__CLIENT__TARGETS__URL (environment): no such setting",
        "GRPC__SERVER__MAX_CONCURRENT_RPCS (environment): must be a whole number from 1 to 10000",
        "line 2): must be a whole number from 0 to 65535",
        "GRPC__CLIENT__TARGETS__A__MAX_RETRIES (environment): must be a whole number from 0 to 10",
        "ENVIRONMENT (environment): must be one of development, staging, production",
    ];
    for wanted in wanted {
        let found = problems.iter().filter(|problem| problem.contains(wanted)).count();
        assert_eq!(found, 1, "{wanted}: {problems:#?}");
    }
    assert_eq!(problems.len(), wanted.len(), "{problems:#?}");
    assert!(!problems.concat().contains("hunter2"), "{problems:#?}");
}

#[test]
fn what_no_single_value_shows_is_checked() {
    let weak = [("ENVIRONMENT", "production"), ("GRPC__SERVER__AUTH__JWT_SECRET", "change-me")];
    let problems = told(read(&weak));
    assert!(
        problems[0]
            .starts_with("GRPC__SERVER__AUTH__JWT_SECRET (environment): is too weak outside development")
    );
    assert!(!problems.concat().contains("change-me"), "{problems:?}");
    let problems =
        told(read(&[("GRPC__CLIENT__RETRY_BACKOFF_MAX", "0.5"), ("GRPC__SERVER__LIMITS__RATE_BURST", "1")]));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[1].contains("RETRY_BACKOFF_MAX (environment): must be RETRY_BACKOFF_BASE to"),
        "{problems:?}"
    );
    let problems = told(read(&[("GRPC__CLIENT__TARGETS__A__MAX_RETRIES", "1")]));
    assert!(problems[0].starts_with("GRPC__CLIENT__TARGETS__A__URL (default): "), "{problems:?}");
    // A process that only calls has no keys to verify with.
    assert!(read(&weak[..1]).is_ok());
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let problems = told(read(&[(FILE, "/no/such/file")]));
    assert_eq!(
        problems,
        ["GRPC__CONFIG_FILE (environment): names a file that cannot be read: entity not found"]
    );
    let problems = told(with_file("[grpc.server]\njwt_secret = hunter2", &[]));
    assert!(problems[0].starts_with("GRPC__CONFIG_FILE (settings"), "{problems:?}");
    assert!(problems[0].ends_with(".toml, line 2): is no TOML"), "{problems:?}");
    let problems = told(with_file(&"#".repeat(1024 * 1024 + 1), &[]));
    assert!(problems[0].ends_with("names a file of more than 1048576 bytes"), "{problems:?}");
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_told() {
    use std::os::unix::ffi::OsStringExt as _;
    let bad = OsString::from_vec(vec![0xff]);
    let problems =
        told(Settings::from_variables([("GRPC__SERVER__PORT".into(), bad.clone()), (bad, "x".into())]));
    assert_eq!(problems, ["GRPC__SERVER__PORT (environment): is not UTF-8 text"]);
}

/// The names of all settings, as variables.
fn names() -> Vec<String> {
    let targets =
        ["url", "max_retries", "tls.ca", "?"].map(|key| format!("GRPC__CLIENT__TARGETS__A.B__{key}"));
    defaults().keys().map(|path| name(path)).chain(targets).chain([FILE.to_owned()]).collect()
}

proptest! {
    /// Any text in any variable is used, or refused by its name and without being told; nothing panics.
    #[test]
    fn any_variables_are_used_or_refused(
        known in proptest::collection::vec((proptest::sample::select(names()), text()), 0..4),
        unknown in proptest::collection::vec(("(?i)GRPC__(CLIENT__|SERVER__)?\\PC{0,20}", text()), 0..2),
    ) {
        let variables: Vec<(String, String)> = known.into_iter().chain(unknown).collect();
        let os = variables.iter().map(|(name, value)| (name.into(), value.into()));
        match Settings::from_variables(os) {
            Ok(settings) => prop_assert!(settings.client.check().is_ok()),
            Err(error) => {
                prop_assert!(!error.problems.is_empty());
                for problem in error.problems {
                    // A value may fit no longer because of another one.
                    let is_given = variables.iter().any(|(name, _)| *name == problem.name);
                    prop_assert!(is_given || problem.origin == Origin::Default, "{problem}");
                }
            }
        }
    }

    /// Any file is used or refused; nothing panics.
    #[test]
    fn any_file_is_used_or_refused(
        lines in proptest::collection::vec((proptest::sample::select(names()), "[=.]{1,2}", text()), 0..5),
        rest in "\\PC{0,40}",
    ) {
        let line = |(name, between, value): (String, String, String)| format!("{}{between}{value}\n", path(&name));
        let text = lines.into_iter().map(line).collect::<String>() + &rest;
        if let Ok(entries) = file::parse(&text) {
            let mut layers = Layers::over(defaults());
            for (path, _, value) in entries {
                let given = Given { name: path.clone(), value: value.unwrap_or_default(), origin: Origin::Default };
                add(&mut layers, path, given);
            }
            let _ = layers.read(check);
        }
    }
}

/// Numbers at and beyond every bound, words, and anything else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (-2_i64..70_000).prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        "(true|off|gzip|required|production|http://x:1|\"x\"|\\[\"/a/B\"\\]|\\{a=1\\})",
        "\\PC{0,40}",
    ]
}
