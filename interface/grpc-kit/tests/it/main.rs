//! The server as its clients see it, over real sockets and in memory.

mod bounded;
mod calls;
mod client;
mod conformance;
mod connections;
mod draining;
mod dropped;
mod exemplars;
mod fuzz;
mod grpcurl;
mod keys;
mod lifecycle;
mod operations;
mod overload;
mod redaction;
mod refusals;
mod servicer;
mod stalled;
mod tls;

use std::time::Duration;

/// What a machine that is busy with other things may need; nothing here takes a second on one that is not.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
async fn until(mut holds: impl FnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let seen = async {
        while !holds() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("in time");
}
