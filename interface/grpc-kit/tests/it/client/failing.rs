//! Addresses that fail, die and come back.

use std::{
    pin::Pin,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::stream;
use hive_grpc_kit::{
    client::{Channel, ENDPOINTS, HANDLED, Resolve},
    stub,
    testing::Recorded,
};
use serde_json::json;
use tonic::{Code, Status};

use super::backend::{Backend, client, factory};
use crate::servicer::{EchoClient, ask};

/// Calls until one is answered, or one is not.
async fn until(client: &mut EchoClient<Channel>, answered: bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let asked = async {
        while client.unary(ask("a")).await.is_ok() != answered {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("within the time");
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let mut client = client(&format!("http://{address}"), &json!({}));
    let begin = std::time::Instant::now();
    let status = client.unary(ask("a")).await.expect_err("nobody");
    assert!(begin.elapsed() < Duration::from_secs(4), "before the time to connect is up");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.message().contains("127.0.0.1"), "{status:?}");
    let later = Backend::start_on(address, |_, _, text| Some(Ok(text.to_owned()))).await;
    until(&mut client, true).await;
    later.drain().await;
}

#[tokio::test]
async fn a_dying_address_is_left_for_the_other() {
    let (first, second) = (Backend::echo().await, Backend::echo().await);
    let url = format!("http://{},{}", first.address, second.address);
    let mut client = client(&url, &json!({}));
    for _ in 0..40 {
        client.unary(ask("a")).await.expect("an answer");
    }
    assert!(first.seen() > 0 && second.seen() > 0);
    let before = second.seen();
    first.kill().await;
    for _ in 0..40 {
        client.unary(ask("a")).await.expect("the other answers");
    }
    assert_eq!(second.seen(), before + 40);
    second.drain().await;
}

#[tokio::test]
async fn a_draining_server_costs_no_call() {
    let (first, second) = (Backend::echo().await, Backend::echo().await);
    let url = format!("http://{},{}", first.address, second.address);
    let client = client(&url, &json!({}));
    let go = Arc::new(AtomicBool::new(true));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, go) = (client.clone(), Arc::clone(&go));
            tokio::spawn(async move {
                let mut calls = 0;
                while go.load(Ordering::Relaxed) {
                    client.unary(ask("a")).await?;
                    calls += 1;
                }
                Ok::<usize, Status>(calls)
            })
        })
        .collect();
    while first.seen() < 50 {
        tokio::task::yield_now().await;
    }
    first.drain().await;
    let then = second.seen();
    while second.seen() < then + 50 {
        tokio::task::yield_now().await;
    }
    go.store(false, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.expect("no panic").expect("no call lost") > 0);
    }
    second.drain().await;
}

#[tokio::test]
async fn the_breaker_opens_and_recovers() {
    let well = Arc::new(AtomicBool::new(false));
    let of_script = Arc::clone(&well);
    let backend = Backend::start(move |_, _, text| {
        let well = of_script.load(Ordering::SeqCst);
        Some(if well { Ok(text.to_owned()) } else { Err(Status::internal("broken")) })
    })
    .await;
    let recorded = Recorded::default();
    let settings = json!({"circuit_breaker_timeout": 1, "circuit_breaker_threshold": 3, "max_retries": 0});
    let channel = recorded.install(|| factory(&settings).channel(&backend.url())).expect("a channel");
    let mut client = stub!(EchoClient, channel);
    let state = |state| recorded.value(ENDPOINTS, &[("state", state)]);
    for _ in 0..3 {
        assert_eq!(client.unary(ask("a")).await.expect_err("broken").code(), Code::Internal);
    }
    assert_eq!(client.unary(ask("a")).await.expect_err("open").code(), Code::Unavailable);
    assert_eq!((backend.seen(), state("open"), state("closed")), (3, Some(1.0), Some(0.0)));
    well.store(true, Ordering::SeqCst);
    until(&mut client, true).await;
    for _ in 0..5 {
        client.unary(ask("a")).await.expect("an answer");
    }
    assert_eq!((state("open"), state("half_open"), state("closed")), (Some(0.0), Some(0.0), Some(1.0)));
    backend.drain().await;
}

#[tokio::test]
async fn the_callers_own_mistakes_do_not_open_it() {
    let backend = Backend::start(|_, _, _| Some(Err(Status::invalid_argument("no")))).await;
    let mut client = client(&backend.url(), &json!({"circuit_breaker_threshold": 1}));
    for _ in 0..10 {
        assert_eq!(client.unary(ask("a")).await.expect_err("refused").code(), Code::InvalidArgument);
    }
    backend.drain().await;
}

#[tokio::test]
async fn a_server_that_is_silent_is_left_alone() {
    let backend =
        Backend::start(|_, _, text| if text == "hang" { None } else { Some(Ok(text.to_owned())) }).await;
    let settings = json!({"default_timeout": 1, "circuit_breaker_threshold": 2, "max_retries": 0});
    let mut client = client(&backend.url(), &settings);
    // Connecting takes its time from the first call, and an address is only to blame that had some.
    until(&mut client, true).await;
    for _ in 0..2 {
        assert_eq!(client.unary(ask("hang")).await.expect_err("late").code(), Code::DeadlineExceeded);
    }
    assert_eq!(client.unary(ask("a")).await.expect_err("open").code(), Code::Unavailable);
    backend.kill().await;
}

#[tokio::test]
async fn impatient_callers_do_not_cut_off_the_others() {
    let backend =
        Backend::start(|_, _, text| if text == "hang" { None } else { Some(Ok(text.to_owned())) }).await;
    let settings = json!({"circuit_breaker_threshold": 2, "max_retries": 0});
    let mut client = client(&backend.url(), &settings);
    for _ in 0..4 {
        let mut request = tonic::Request::new(ask("hang"));
        request.set_timeout(Duration::from_millis(20));
        assert_eq!(client.unary(request).await.expect_err("late").code(), Code::DeadlineExceeded);
    }
    client.unary(ask("a")).await.expect("an answer");
    backend.kill().await;
}

#[tokio::test]
async fn attempts_that_hang_open_it_too() {
    let backend =
        Backend::start(|_, _, text| if text == "hang" { None } else { Some(Ok(text.to_owned())) }).await;
    let recorded = Recorded::default();
    let settings = json!({"attempt_timeout": 1, "circuit_breaker_threshold": 2});
    let channel = recorded.install(|| factory(&settings).channel(&backend.url())).expect("a channel");
    let mut client = stub!(EchoClient, channel);
    client.unary(ask("a")).await.expect("connected");
    let failed = client.unary(ask("hang")).await.expect_err("open");
    assert_eq!((failed.code(), backend.seen()), (Code::Unavailable, 3));
    assert_eq!(recorded.value(ENDPOINTS, &[("state", "open")]), Some(1.0));
    assert_eq!(recorded.value(HANDLED, &[("grpc_code", "DEADLINE_EXCEEDED")]), Some(2.0));
    backend.kill().await;
}

#[tokio::test]
async fn requests_that_break_off_here_do_not_open_it() {
    let backend = Backend::echo().await;
    let settings = json!({"circuit_breaker_threshold": 1, "max_message_size": 1024});
    let mut client = client(&backend.url(), &settings);
    for _ in 0..3 {
        // The second message breaks off a stream that has begun.
        let texts = stream::iter([ask("a"), ask(&"x".repeat(2048))]);
        let failed = client.client_stream(texts).await.expect_err("too large");
        assert_eq!(failed.code(), Code::ResourceExhausted);
    }
    client.unary(ask("a")).await.expect("an answer");
    backend.drain().await;
}

#[tokio::test]
async fn a_restart_on_one_address_opens_nothing() {
    let first = Backend::echo().await;
    let address = first.address;
    let recorded = Recorded::default();
    let settings = json!({"connections": 1, "retry_budget_burst": 1000, "max_retries": 10});
    let channel = recorded.install(|| factory(&settings).channel(&first.url())).expect("a channel");
    let client = stub!(EchoClient, channel);
    let go = Arc::new(AtomicBool::new(true));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (mut client, go) = (client.clone(), Arc::clone(&go));
            tokio::spawn(async move {
                while go.load(Ordering::Relaxed) {
                    // Whether it is answered does not matter here: for a while nobody is there.
                    _ = client.unary(ask("a")).await;
                }
            })
        })
        .collect();
    while first.seen() < 200 {
        tokio::task::yield_now().await;
    }
    first.drain().await;
    let second = Backend::start_on(address, |_, _, text| Some(Ok(text.to_owned()))).await;
    let answered = async {
        while second.seen() < 100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("it is found again");
    assert_eq!(recorded.value(ENDPOINTS, &[("state", "open")]), Some(0.0));
    go.store(false, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no panic");
    }
    second.drain().await;
}

/// A name whose addresses change.
#[derive(Debug)]
struct Moving(std::sync::Mutex<Vec<std::net::SocketAddr>>);

impl Resolve for Moving {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        _: u16,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<std::net::SocketAddr>>> + Send + 'a>> {
        assert_eq!(host, "tickets");
        Box::pin(std::future::ready(Ok(self.0.lock().expect("no panic").clone())))
    }
}

#[tokio::test]
async fn a_target_that_moves_is_followed() {
    let (first, second) = (Backend::echo().await, Backend::echo().await);
    let name = Arc::new(Moving(vec![first.address].into()));
    let factory = factory(&json!({"resolve_interval": 0.01})).resolver(Arc::clone(&name) as Arc<dyn Resolve>);
    let mut client = stub!(EchoClient, factory.channel("http://tickets:1").expect("a channel"));
    client.unary(ask("a")).await.expect("an answer");
    *name.0.lock().expect("no panic") = vec![second.address];
    let moved = async {
        while second.seen() == 0 {
            client.unary(ask("a")).await.expect("an answer");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), moved).await.expect("within the time");
    let before = first.seen();
    for _ in 0..10 {
        client.unary(ask("a")).await.expect("an answer");
    }
    assert_eq!(first.seen(), before);
    first.drain().await;
    second.drain().await;
}
