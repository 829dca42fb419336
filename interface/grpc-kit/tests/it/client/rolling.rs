//! Servers that are replaced, one after the other, while they are called.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::stream;
use serde_json::json;
use tonic::Status;

use super::backend::{Backend, client};
use crate::{
    servicer::{EchoClient, ask},
    until,
};

const CALLERS: usize = 8;

/// Calls of three kinds until it is told to stop; how many.
async fn call(
    mut client: EchoClient<hive_grpc_kit::client::Channel>,
    go: Arc<AtomicBool>,
) -> Result<usize, Status> {
    let mut calls = 0;
    while go.load(Ordering::Relaxed) {
        client.unary(ask("a")).await?;
        // Nothing says that it may be sent again, so it must not be lost in the first place.
        client.client_stream(stream::iter(["a", "b"].map(ask))).await?;
        let mut replies = client.server_stream(ask("a")).await?.into_inner();
        let mut messages = 0;
        while replies.message().await?.is_some() {
            messages += 1;
        }
        assert_eq!(messages, 2);
        calls += 3;
    }
    Ok(calls)
}

#[tokio::test]
async fn a_rolling_restart_costs_no_call() {
    let mut servers = [Backend::echo().await, Backend::echo().await];
    let url = format!("http://{},{}", servers[0].address, servers[1].address);
    let client = client(&url, &json!({"circuit_breaker_threshold": 1}));
    let go = Arc::new(AtomicBool::new(true));
    let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(call(client.clone(), Arc::clone(&go)))).collect();
    for _ in 0..3 {
        for server in &mut servers {
            // Both are in use before one goes.
            until(|| server.seen() >= 30).await;
            let address = server.address;
            let leaving = std::mem::replace(server, Backend::echo().await);
            leaving.drain().await;
            let back = Backend::start_on(address, |_, _, text| Some(Ok(text.to_owned()))).await;
            std::mem::replace(server, back).drain().await;
        }
    }
    for server in &servers {
        until(|| server.seen() >= 30).await;
    }
    go.store(false, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.expect("no panic").expect("no call lost") > 0);
    }
    for server in servers {
        server.drain().await;
    }
}
