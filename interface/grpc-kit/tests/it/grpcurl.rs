//! The tool people ask a server with, where it is installed, as it must be in CI; the same questions are asked by clients
//! of the kit's own in `conformance::operations`, everywhere.

use std::{io::ErrorKind, process::Command};

use serde_json::json;

use crate::servicer::Running;

/// What it prints, and whether it succeeded; `None` where there is no such tool.
#[expect(clippy::print_stdout, reason = "a test that could not ask says so")]
async fn grpcurl(arguments: &[&str]) -> Option<(String, bool)> {
    let arguments: Vec<String> =
        ["-plaintext", "-max-time", "20"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    let run = tokio::task::spawn_blocking(|| Command::new("grpcurl").args(arguments).output());
    match run.await.expect("no panic") {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((String::from_utf8_lossy(&said).into_owned(), output.status.success()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os("CI").is_none() => {
            println!("grpcurl is not installed: not asked");
            None
        }
        Err(error) => panic!("grpcurl: {error}"),
    }
}

#[tokio::test]
async fn grpcurl_finds_describes_calls_and_probes() {
    let running = Running::start(json!({})).await;
    let address = running.address.to_string();
    let says = async |arguments: &[&str], expected: &[&str]| {
        let Some((said, succeeded)) = grpcurl(arguments).await else { return false };
        assert!(succeeded, "{arguments:?}: {said}");
        for word in expected {
            assert!(said.contains(word), "{arguments:?}: {word} is not in {said}");
        }
        true
    };
    if !says(&[&address, "list"], &["kit.test.v1.Echo", "grpc.health.v1.Health"]).await {
        return;
    }
    let methods = ["kit.test.v1.Echo.Unary", "kit.test.v1.Echo.Bidi"];
    says(&[&address, "list", "kit.test.v1.Echo"], &methods).await;
    says(&[&address, "describe", "kit.test.v1.EchoRequest"], &["string text = 1", "uint32 count = 2"]).await;
    let hello = r#"{"text": "hello"}"#;
    says(&["-d", hello, &address, "kit.test.v1.Echo/Unary"], &["\"text\": \"hello\""]).await;
    let two = r#"{"text": "a"} {"text": "b"}"#;
    says(&["-d", two, &address, "kit.test.v1.Echo/ClientStream"], &["\"text\": \"a,b\""]).await;
    says(&["-d", two, &address, "kit.test.v1.Echo/Bidi"], &["\"text\": \"b\""]).await;
    let service = r#"{"service": "kit.test.v1.Echo"}"#;
    says(&["-d", service, &address, "grpc.health.v1.Health/Check"], &["SERVING"]).await;
    says(&[&address, "grpc.health.v1.Health/List"], &["kit.test.v1.Echo", "SERVING"]).await;
    let (said, _) = grpcurl(&["-d", r#"{"text": "code 5"}"#, &address, "kit.test.v1.Echo/Unary"])
        .await
        .expect("it was there");
    assert!(said.contains("Code: NotFound") && said.contains("google.rpc.ErrorInfo"), "{said}");
    running.end().await;
}
