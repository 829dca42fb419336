//! TLS on both sides, with authorities made for the test.

use std::{collections::HashMap, fs, path::PathBuf, time::Duration};

use futures_util::stream;
use hive_grpc_kit::{
    client::{Channel, ClientConfig, ClientFactory},
    layer::auth::AccessRules,
    server::config::Environment,
    stub,
    testing::{TEST_SECRET, token},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, string::Ia5String,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::servicer::{DESCRIPTOR, EchoClient, Running, ask, builder};

/// An authority, and a folder for what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let authority = Self { issuer, folder: tempfile::tempdir().expect("a folder") };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).expect("written");
        authority
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn sign(&self, name: &str, names: Vec<SanType>) {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.subject_alt_names = names;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("written");
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("written");
    }

    fn sign_server(&self) {
        self.sign("server", vec![SanType::DnsName(text("tickets.test"))]);
    }
}

fn text(text: &str) -> Ia5String {
    Ia5String::try_from(text).expect("ASCII")
}

fn client(running: &Running, tls: &Value) -> EchoClient<Channel> {
    let settings = json!({"tls": tls, "max_retries": 0, "connections": 1});
    let config: ClientConfig = serde_json::from_value(settings).expect("settings");
    let factory = ClientFactory::from_config(config).expect("a factory").services(DESCRIPTOR).expect("known");
    let channel = factory.channel(&format!("https://{}", running.address)).expect("a channel");
    stub!(EchoClient, channel)
}

async fn subject(client: &mut EchoClient<Channel>) -> Result<String, Status> {
    Ok(client.unary(ask("a")).await?.into_inner().principal)
}

#[tokio::test]
async fn the_client_knows_the_server_by_its_authority_and_name() {
    let authority = Authority::new();
    authority.sign_server();
    let tls = json!({"cert": authority.path("server.pem"), "key": authority.path("server.key")});
    let running = Running::start(json!({"tls": tls})).await;
    let trusting = json!({"ca": authority.path("ca.pem"), "server_name": "tickets.test"});
    assert_eq!(subject(&mut client(&running, &trusting)).await.expect("an answer"), "");
    let other = Authority::new();
    for distrusting in [
        json!({"ca": authority.path("ca.pem"), "server_name": "other.test"}),
        json!({"ca": other.path("ca.pem"), "server_name": "tickets.test"}),
    ] {
        let status = subject(&mut client(&running, &distrusting)).await.expect_err("not trusted");
        assert_eq!(status.code(), Code::Unavailable);
    }
    // Without TLS there is nothing to talk about.
    let mut plain = running.client().await;
    plain.unary(ask("a")).await.expect_err("no TLS");
    running.end().await;
}

#[tokio::test]
async fn a_spiffe_id_identifies_the_caller() {
    let authority = Authority::new();
    authority.sign_server();
    authority.sign("orchestrator", vec![SanType::URI(text("spiffe://hive/orchestrator"))]);
    authority.sign("nameless", vec![SanType::DnsName(text("nameless.test"))]);
    let secret = std::str::from_utf8(TEST_SECRET).expect("text");
    let tls = json!({
        "cert": authority.path("server.pem"),
        "key": authority.path("server.key"),
        "client_ca": authority.path("ca.pem"),
    });
    let running =
        Running::start(json!({"tls": tls, "auth": {"mode": "required", "jwt_secret": secret}})).await;
    let with = |name: &str| {
        let mut tls = json!({"ca": authority.path("ca.pem"), "server_name": "tickets.test"});
        if !name.is_empty() {
            tls["cert"] = json!(authority.path(&format!("{name}.pem")));
            tls["key"] = json!(authority.path(&format!("{name}.key")));
        }
        client(&running, &tls)
    };
    let mut known = with("orchestrator");
    assert_eq!(subject(&mut known).await.expect("an answer"), "spiffe://hive/orchestrator");
    // A token says more than a certificate.
    let mut request = tonic::Request::new(ask("a"));
    let bearer = format!("Bearer {}", token("alice", &[]));
    request.metadata_mut().insert("authorization", bearer.parse().expect("a value"));
    assert_eq!(known.unary(request).await.expect("an answer").into_inner().principal, "alice");
    let status = subject(&mut with("nameless")).await.expect_err("nobody");
    assert_eq!(status.code(), Code::Unauthenticated);
    let status = subject(&mut with("")).await.expect_err("no certificate");
    assert_eq!(status.code(), Code::Unavailable);
    running.end().await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let old = Authority::new();
    old.sign_server();
    let tls = json!({"cert": old.path("server.pem"), "key": old.path("server.key"), "reload_seconds": 1});
    let running = Running::start(json!({"tls": tls})).await;
    let trusting =
        |authority: &Authority| json!({"ca": authority.path("ca.pem"), "server_name": "tickets.test"});
    let mut live = client(&running, &trusting(&old));
    subject(&mut live).await.expect("the old one");
    let (say, said) = tokio::sync::mpsc::channel(1);
    let requests = stream::unfold(said, |mut said| async move { Some((said.recv().await?, said)) });
    let mut replies = live.bidi(requests).await.expect("a stream").into_inner();
    let mut exchange = async || {
        say.send(ask("a")).await.expect("still open");
        replies.message().await.expect("a message").expect("not the end")
    };
    exchange().await;
    fs::write(old.path("server.pem"), "broken").expect("written");
    subject(&mut client(&running, &trusting(&old))).await.expect("still the old one");
    let new = Authority::new();
    new.sign_server();
    for file in ["server.key", "server.pem"] {
        fs::copy(new.path(file), old.path(file)).expect("copied");
    }
    let replaced = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while subject(&mut client(&running, &trusting(&new))).await.is_err() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(crate::PATIENCE, replaced).await.expect("within the time");
    // Who was connected stays so, and who comes anew has to trust the new one.
    exchange().await;
    subject(&mut live).await.expect("on the same connection");
    subject(&mut client(&running, &trusting(&old))).await.expect_err("no longer");
    drop((say, live));
    running.end().await;
}

#[test]
fn files_that_cannot_be_used_are_named_before_anything_is_opened() {
    let authority = Authority::new();
    authority.sign_server();
    authority.sign("other", Vec::new());
    let path = |file: &str| authority.path(file);
    for (tls, key) in [
        (json!({"cert": path("absent"), "key": path("server.key")}), "GRPC__SERVER__TLS__CERT names a file"),
        (json!({"cert": path("server.pem")}), "GRPC__SERVER__TLS__KEY is needed"),
        (json!({"key": path("server.key")}), "GRPC__SERVER__TLS__CERT is needed"),
        (json!({"client_ca": path("ca.pem")}), "GRPC__SERVER__TLS__CERT is needed"),
        (
            json!({"cert": path("server.key"), "key": path("server.key")}),
            "GRPC__SERVER__TLS__CERT names a file",
        ),
        (
            json!({"cert": path("server.pem"), "key": path("other.key")}),
            "GRPC__SERVER__TLS__CERT cannot be used",
        ),
    ] {
        let config = serde_json::from_value(json!({"tls": tls})).expect("settings");
        let error = builder(config, Environment::Development).0.build().expect_err(key).to_string();
        assert!(error.starts_with(key), "{error}");
        assert!(!error.contains(&*authority.folder.path().to_string_lossy()), "{error}");
    }
}

#[tokio::test]
async fn only_ids_of_the_trust_domains_say_who_calls() {
    let authority = Authority::new();
    authority.sign_server();
    authority.sign("ours", vec![SanType::URI(text("spiffe://hive/a"))]);
    authority.sign("theirs", vec![SanType::URI(text("spiffe://hive.other/a"))]);
    let tls = json!({
        "cert": authority.path("server.pem"),
        "key": authority.path("server.key"),
        "client_ca": authority.path("ca.pem"),
        "trust_domains": ["hive"],
    });
    let running = Running::start(json!({"tls": tls, "auth": {"mode": "required"}})).await;
    let with = |name: &str| {
        client(
            &running,
            &json!({
                "ca": authority.path("ca.pem"),
                "server_name": "tickets.test",
                "cert": authority.path(&format!("{name}.pem")),
                "key": authority.path(&format!("{name}.key")),
            }),
        )
    };
    assert_eq!(subject(&mut with("ours")).await.expect("an answer"), "spiffe://hive/a");
    let status = subject(&mut with("theirs")).await.expect_err("nobody");
    assert_eq!(status.code(), Code::Unauthenticated);
    running.end().await;
}

#[tokio::test]
async fn a_certificate_whose_authority_is_gone_is_not_believed_on_an_open_connection() {
    let authority = Authority::new();
    authority.sign_server();
    authority.sign("ours", vec![SanType::URI(text("spiffe://hive/a"))]);
    fs::copy(authority.path("ca.pem"), authority.path("clients.pem")).expect("copied");
    let tls = json!({
        "cert": authority.path("server.pem"),
        "key": authority.path("server.key"),
        "client_ca": authority.path("clients.pem"),
        "reload_seconds": 1,
    });
    let running = Running::start(json!({"tls": tls, "auth": {"mode": "required"}})).await;
    let mut known = client(
        &running,
        &json!({
            "ca": authority.path("ca.pem"),
            "server_name": "tickets.test",
            "cert": authority.path("ours.pem"),
            "key": authority.path("ours.key"),
        }),
    );
    assert_eq!(subject(&mut known).await.expect("an answer"), "spiffe://hive/a");
    fs::copy(Authority::new().path("ca.pem"), authority.path("clients.pem")).expect("copied");
    let gone = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while subject(&mut known).await.is_ok() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("within the time");
    running.end().await;
}

#[tokio::test]
async fn rules_about_certificates_are_refused_where_they_would_not_count() {
    let authority = Authority::new();
    authority.sign_server();
    let tls = json!({
        "cert": authority.path("server.pem"),
        "key": authority.path("server.key"),
        "client_ca": authority.path("ca.pem"),
    });
    for (mode, expected) in [
        (
            "off",
            Some(
                "GRPC__SERVER__AUTH__MODE must be optional or required while access rules name certificates",
            ),
        ),
        ("optional", None),
    ] {
        let config = serde_json::from_value(json!({"tls": tls, "auth": {"mode": mode}})).expect("settings");
        let named = vec!["spiffe://hive/orchestrator".to_owned()];
        let identities = HashMap::from([("kit.test.v1.Echo/*".to_owned(), named)]);
        let rules = AccessRules { identities, ..AccessRules::default() };
        let built = builder(config, Environment::Development).0.access(rules).build();
        assert_eq!(built.err().map(|error| error.to_string()).as_deref(), expected);
    }
}
