//! Tests of the settings: defaults by the contract, bounds, and secrets that are never printed.

use serde_json::json;

use super::*;

const GOOD_SECRET: &str = "7f3c9a1be84d4d0c92d65aa8f1c4e7b0";

fn parse(value: serde_json::Value) -> Result<Config, serde_json::Error> {
    serde_json::from_value(value)
}

#[test]
fn the_defaults_are_those_of_the_guide() {
    let config = parse(json!({})).expect("all keys have defaults");
    assert_eq!((config.port, config.max_workers, config.max_concurrent_rpcs), (50051, 10, 100));
    assert_eq!((config.max_message_size, config.keepalive_time_ms), (4_194_304, 7_200_000));
    assert!(config.enabled && config.reflection_enabled && config.health_check_enabled);
    assert!(config.deadline.max_ms > 0, "who says nothing keeps no place");
    config.check(Environment::Development).expect("the defaults are usable in development");
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    for value in [json!({"prot": 1}), json!({"auth": {"jwt_secrets": "x"}}), json!({"limits": {"rate": 1}})] {
        let text = parse(value).expect_err("unknown").to_string();
        assert!(text.contains("unknown field") && text.contains("expected"), "{text}");
    }
}

#[test]
fn bounds_name_their_key() {
    let limits = |limits: LimitsConfig| Config { limits, ..Config::default() };
    let (auth, logging) =
        (AuthConfig { leeway_seconds: 601, ..AuthConfig::default() }, LoggingConfig { success_sample: 0 });
    for (config, key) in [
        (Config { max_workers: 0, ..Config::default() }, "GRPC__SERVER__MAX_WORKERS"),
        (Config { max_concurrent_rpcs: 10_001, ..Config::default() }, "GRPC__SERVER__MAX_CONCURRENT_RPCS"),
        (Config { max_message_size: 1023, ..Config::default() }, "GRPC__SERVER__MAX_MESSAGE_SIZE"),
        (Config { keepalive_timeout_ms: 0, ..Config::default() }, "GRPC__SERVER__KEEPALIVE_TIMEOUT_MS"),
        (Config { auth, ..Config::default() }, "GRPC__SERVER__AUTH__LEEWAY_SECONDS"),
        (
            limits(LimitsConfig { low_priority_share: 0, ..LimitsConfig::default() }),
            "GRPC__SERVER__LIMITS__LOW_PRIORITY_SHARE",
        ),
        (
            limits(LimitsConfig { rate_burst: 5, ..LimitsConfig::default() }),
            "GRPC__SERVER__LIMITS__RATE_BURST",
        ),
        (
            limits(LimitsConfig { max_streams: 0, ..LimitsConfig::default() }),
            "GRPC__SERVER__LIMITS__MAX_STREAMS",
        ),
        (
            limits(LimitsConfig { max_connections: 0, ..LimitsConfig::default() }),
            "GRPC__SERVER__LIMITS__MAX_CONNECTIONS",
        ),
        (
            limits(LimitsConfig { address_share: 101, ..LimitsConfig::default() }),
            "GRPC__SERVER__LIMITS__ADDRESS_SHARE",
        ),
        (
            limits(LimitsConfig { max_header_bytes: 10, ..LimitsConfig::default() }),
            "GRPC__SERVER__LIMITS__MAX_HEADER_BYTES",
        ),
        (Config { logging, ..Config::default() }, "GRPC__SERVER__LOGGING__SUCCESS_SAMPLE"),
    ] {
        let error = config.check(Environment::Development).expect_err("out of bounds");
        assert_eq!(error.key(), key);
        assert!(error.to_string().starts_with(key), "{error}");
    }
}

#[test]
fn a_connection_has_half_of_the_calls_and_one_at_least() {
    for (calls, of_connection, expected) in [(100, 0, 50), (1, 0, 1), (100, 80, 80)] {
        let given = json!({"max_concurrent_rpcs": calls, "connection": {"max_calls": of_connection}});
        assert_eq!(parse(given).expect("well formed").calls_of_a_connection(), expected);
    }
}

#[test]
fn the_environment_decides_mode_and_address() {
    let config = parse(json!({})).expect("defaults");
    assert_eq!(config.auth_mode(Environment::Development), AuthMode::Off);
    assert_eq!(config.address(Environment::Development).to_string(), "127.0.0.1:50051");
    assert_eq!(config.auth_mode(Environment::Production), AuthMode::Required);
    assert_eq!(config.address(Environment::Production).to_string(), "0.0.0.0:50051");
    let explicit = parse(json!({"host": "::1", "auth": {"mode": "optional"}})).expect("well formed");
    assert_eq!(explicit.address(Environment::Production).to_string(), "[::1]:50051");
    assert_eq!(explicit.auth_mode(Environment::Development), AuthMode::Optional);
}

#[test]
fn reflection_needs_a_token_where_calls_do_outside_development() {
    use AuthMode::{Off, Optional, Required};
    for (given, [development, production]) in [
        (json!({}), [Off, Required]),
        (json!({"auth": {"mode": "required"}}), [Off, Required]),
        (json!({"auth": {"mode": "optional"}}), [Off, Optional]),
        (json!({"auth": {"mode": "off"}}), [Off, Off]),
        (json!({"auth": {"mode": "required"}, "reflection_auth": "off"}), [Off, Off]),
        (json!({"auth": {"mode": "optional"}, "reflection_auth": "required"}), [Required, Required]),
    ] {
        let config = parse(given.clone()).expect("well formed");
        let modes = [Environment::Development, Environment::Production]
            .map(|environment| config.reflection_auth_mode(environment));
        assert_eq!(modes, [development, production], "{given}");
    }
    let config = parse(json!({"reflection_auth": "required"})).expect("well formed");
    let error = config.check(Environment::Development).expect_err("no token is valid");
    assert_eq!(error.to_string(), "GRPC__SERVER__REFLECTION_AUTH must be off while AUTH__MODE is");
}

#[test]
fn production_needs_strong_key_material() {
    let none = parse(json!({})).expect("defaults").check(Environment::Production).expect_err("no keys");
    assert!(matches!(none, ConfigError::NoKeyMaterial { .. }));
    for weak in ["secret", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "change-me"] {
        let config = parse(json!({"auth": {"jwt_secret": weak}})).expect("well formed");
        for environment in [Environment::Staging, Environment::Production] {
            let error = config.check(environment).expect_err("weak");
            assert_eq!(error, ConfigError::WeakSecret { key: "GRPC__SERVER__AUTH__JWT_SECRET" });
        }
    }
    let strong = parse(json!({"auth": {"jwt_secret": GOOD_SECRET}})).expect("well formed");
    strong.check(Environment::Production).expect("strong");
}

#[test]
fn fetched_keys_verify_only_tokens_meant_for_this_server() {
    let auth = |given: serde_json::Value| {
        let mut auth = json!({"jwks_url": "https://issuer.test/keys"});
        auth.as_object_mut().expect("an object").extend(given.as_object().expect("an object").clone());
        parse(json!({"auth": auth})).expect("well formed")
    };
    for (given, key) in [
        (json!({}), "GRPC__SERVER__AUTH__ISSUER"),
        (json!({"issuer": "me"}), "GRPC__SERVER__AUTH__AUDIENCE"),
        (json!({"audience": "us"}), "GRPC__SERVER__AUTH__ISSUER"),
    ] {
        for environment in [Environment::Staging, Environment::Production] {
            let error = auth(given.clone()).check(environment).expect_err(key);
            assert_eq!(error, ConfigError::NotStated { key });
        }
        auth(given).verifier(Environment::Development).expect("anything goes at a desk");
    }
    for given in [json!({"issuer": "me", "audience": "us"}), json!({"issuer": "*", "audience": "*"})] {
        auth(given).check(Environment::Production).expect("stated");
    }
}

#[test]
fn nothing_prints_a_secret() {
    let config = parse(json!({"auth": {"mode": "required", "jwt_secret": "hunter2"}})).expect("well formed");
    assert!(!format!("{config:?}").contains("hunter2"));
    for value in [json!({"public_key": "hunter2"}), json!({"jwks": "hunter2"})] {
        let auth = parse(json!({"auth": value})).expect("well formed");
        let error = auth.verifier(Environment::Production).expect_err("no key");
        assert!(matches!(error, ConfigError::KeyMaterial { .. }) && !error.to_string().contains("hunter2"));
    }
    let misplaced = parse(json!({"auth": {"jwt_secret": {"hunter2": 1}}})).expect_err("no text");
    assert!(!misplaced.to_string().contains("hunter2"));
}

proptest::proptest! {
    /// No value makes it panic, whether it is used or refused.
    #[test]
    fn any_settings_are_refused_or_used(
        section in "|auth|tls|limits|deadline|connection|shutdown|logging",
        key in "max_[a-z]{1,9}|port|host|mode|jwks(_url)?|public_key|jwt_secret|rate_[a-z]{1,9}|\\PC{0,12}",
        number in proptest::prelude::any::<i64>(),
        text in "\\PC{0,40}",
        is_text in proptest::prelude::any::<bool>(),
    ) {
        let value = if is_text { serde_json::json!(text) } else { serde_json::json!(number) };
        let setting = serde_json::json!({ key: value });
        let settings = if section.is_empty() { setting } else { serde_json::json!({ section: setting }) };
        if let Ok(config) = serde_json::from_value::<Config>(settings) {
            for environment in [Environment::Development, Environment::Production] {
                let _ = config.check(environment);
            }
        }
    }
}
