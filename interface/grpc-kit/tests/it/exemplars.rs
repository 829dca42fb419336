//! What a scraper reads that asks for OpenMetrics: a strict reading of the format, and in it the traces of calls on both
//! sides.

use std::collections::HashMap;

use hive_grpc_kit::{
    client::{ClientConfig, ClientFactory, HANDLING_SECONDS as CLIENT_SECONDS},
    drain::Shutdown,
    layer::metrics::{BUCKETS, HANDLING_SECONDS},
    openmetrics,
    server::config::{Config, Environment},
    stub,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use serde_json::json;
use tokio::net::TcpListener;
use tonic::Request;

use crate::{
    servicer::{DESCRIPTOR, EchoClient, ask, builder},
    until,
};

/// A series as it is read.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: HashMap<String, String>,
    value: f64,
    /// Its labels, value and time.
    exemplar: Option<(HashMap<String, String>, f64, f64)>,
}

/// Reads labels from after the opening brace; answers what follows the closing one.
fn labels(text: &str) -> (HashMap<String, String>, &str) {
    let (mut labels, mut rest) = (HashMap::new(), text);
    while !rest.starts_with('}') {
        let (name, after) = rest.split_once("=\"").expect("a label");
        assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_'), "{name}");
        let (mut value, mut letters) = (String::new(), after.char_indices());
        let end = loop {
            match letters.next().expect("an end") {
                (at, '"') => break at,
                (_, '\\') => value.push(letters.next().expect("what is escaped").1),
                (_, letter) => value.push(letter),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} twice");
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    (labels, &rest[1..])
}

fn sample(line: &str) -> Sample {
    let at = line.find(['{', ' ']).expect("a name");
    let (name, rest) = line.split_at(at);
    let (of, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest),
        None => (HashMap::new(), rest),
    };
    let (value, exemplar) = match rest.split_once(" # {") {
        Some((value, exemplar)) => {
            let (of, rest) = labels(exemplar);
            let numbers: Vec<f64> =
                rest.split(' ').skip(1).map(|number| number.parse().expect(rest)).collect();
            assert_eq!(numbers.len(), 2, "{line}");
            (value, Some((of, numbers[0], numbers[1])))
        }
        None => (rest, None),
    };
    let value = value.strip_prefix(' ').expect("a space").parse().expect("a number");
    Sample { name: name.to_owned(), labels: of, value, exemplar }
}

/// Reads OpenMetrics 1.0, and holds them to its rules.
fn read(text: &str) -> Vec<Sample> {
    let lines = text.strip_suffix("# EOF\n").expect("an end").lines();
    let (mut kinds, mut samples) = (HashMap::new(), Vec::<Sample>::new());
    let mut family = ("", "");
    for line in lines {
        if let Some(rest) = line.strip_prefix("# ") {
            let (keyword, rest) = rest.split_once(' ').expect("a keyword");
            let (name, rest) = rest.split_once(' ').expect("a name");
            match keyword {
                "TYPE" => {
                    assert!(kinds.insert(name, rest).is_none(), "{name} is not in one place");
                    family = (name, rest);
                }
                "HELP" => assert_eq!(name, family.0),
                _ => panic!("{line}"),
            }
            continue;
        }
        let sample = sample(line);
        let suffix = sample.name.strip_prefix(family.0).expect("of its family");
        let allowed: &[&str] = match family.1 {
            "counter" => &["_total", "_created"],
            "histogram" => &["_bucket", "_count", "_sum", "_created"],
            "gauge" | "unknown" => &[""],
            "summary" => &["", "_count", "_sum", "_created"],
            kind => panic!("{kind}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        assert!(suffix != "_bucket" || sample.labels["le"].parse::<f64>().is_ok(), "{line}");
        if suffix == "_bucket" && sample.labels["le"] != "+Inf" {
            assert!(sample.labels["le"].contains('.'), "{line}");
        }
        if let Some((of, value, _)) = &sample.exemplar {
            assert!(["_bucket", "_total"].contains(&suffix), "{line}");
            assert!(of.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= 128);
            let le: f64 = sample.labels["le"].parse().expect("a bound");
            // The bucket before is that of the same series, unless this is its first.
            let before = samples.last().filter(|before| before.name == sample.name);
            let above = before.map(|before| before.labels["le"].parse::<f64>().expect("a bound"));
            let above = above.filter(|above| *above < le);
            assert!(*value <= le && above.is_none_or(|above| *value > above), "{line}");
        }
        samples.push(sample);
    }
    samples
}

/// A trace of this test alone: exemplars belong to the process, which has other tests' servers too.
const TRACE: &str = "e5a1c0de00f10a7ca11ed0000d0e4736";

fn recorder() -> (PrometheusRecorder, PrometheusHandle) {
    let seconds = |name: &str| Matcher::Full(name.to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds(HANDLING_SECONDS), &BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(seconds(CLIENT_SECONDS), &BUCKETS))
        .expect("buckets")
        .build_recorder();
    let handle = recorder.handle();
    (recorder, handle)
}

/// The exemplars of one method in a family, by trace.
fn traces(samples: &[Sample], family: &str, method: &str) -> Vec<String> {
    let of = |sample: &&Sample| {
        sample.name == format!("{family}_bucket") && sample.labels["grpc_method"] == method
    };
    let shown = samples.iter().filter(of).filter_map(|sample| sample.exemplar.as_ref());
    shown.map(|(labels, _, _)| labels["trace_id"].clone()).collect()
}

#[tokio::test]
async fn a_bucket_shows_the_trace_of_a_recorded_call_on_both_sides() {
    let (recorder, handle) = recorder();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (server, mut client) = metrics::with_local_recorder(&recorder, || {
        let config: ClientConfig = serde_json::from_value(json!({})).expect("settings");
        let factory = ClientFactory::from_config(config).expect("a factory").services(DESCRIPTOR);
        let channel = factory.expect("a descriptor").propagate(std::sync::Arc::new(Tracing)).channel(&url);
        let (builder, _) = builder(Config::default(), Environment::Development);
        (builder.build().expect("a server"), stub!(EchoClient, channel.expect("a channel")))
    });
    let shutdown = Shutdown::new();
    let of_server = shutdown.clone();
    let serving = tokio::spawn(async move { server.serve(listener, &of_server).await });
    let replies = client.server_stream(Request::new(ask("recorded"))).await.expect("a stream");
    assert!(replies.into_inner().message().await.expect("an end").is_none());
    client.unary(Request::new(ask("not recorded"))).await.expect("an answer");
    // The server's side of a call ends just after the client's.
    let idle = "grpc_server_in_flight{grpc_type=\"unary\",grpc_service=\"kit.test.v1.Echo\",grpc_method=\"Unary\"} 0";
    until(|| handle.render().contains(idle)).await;
    shutdown.drain();
    serving.await.expect("no panic");
    let text = handle.render();
    let samples = read(&openmetrics::from_text(&text));
    for family in [HANDLING_SECONDS, CLIENT_SECONDS] {
        assert!(traces(&samples, family, "ServerStream").contains(&TRACE.to_owned()), "{family}");
        assert!(!traces(&samples, family, "Unary").contains(&TRACE.to_owned()), "{family}");
        let counted = |sample: &&Sample| {
            sample.name == format!("{family}_count") && sample.labels["grpc_method"] == "ServerStream"
        };
        assert_eq!(samples.iter().find(counted).expect("counted").value, 1.0);
    }
    assert!(!text.contains(TRACE), "the text format has no place for it");
}

/// Traces of which those of streams are recorded.
struct Tracing;

impl hive_grpc_kit::client::Propagate for Tracing {
    fn inject(&self, method: &hive_grpc_kit::methods::Method, headers: &mut http::HeaderMap) {
        let recorded = if &*method.name == "Unary" { "00" } else { "01" };
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-{recorded}");
        headers.insert("traceparent", parent.parse().expect("a value"));
    }
}
