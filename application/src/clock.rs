//! Time as ports: what it is now, and waking up later.

use async_trait::async_trait;
use hive_domain::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Wakes up at a point in time.
#[async_trait]
pub trait Timer: Send + Sync {
    /// Returns at `at`, at once when it has passed.
    async fn sleep_until(&self, at: Timestamp);
}
