//! What goes on beside the work itself. None of it ends unnoticed: what fails begins anew, and a defect ends the process.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hive_application::backoff::Backoff;
use hive_application::error::{Error, ErrorKind, chain};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Wait before a task begins anew; doubles each time, up to the longest.
const FIRST_WAIT_MS: i64 = 50;
const LONGEST_WAIT_MS: i64 = 10_000;
/// A task that held out that long did not fail at once.
const HELD_OUT: Duration = Duration::from_secs(60);

/// Tasks that are kept going until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: JoinSet<Error>,
    failed: Arc<Notify>,
}

impl Background {
    /// Is told whenever a task failed and begins anew.
    pub(crate) fn failed(&self) -> Arc<Notify> {
        Arc::clone(&self.failed)
    }

    /// Keeps a task going. `begin` is told whether it begins anew. Anything but a defect may be mended elsewhere, such as
    /// what a neighbour refuses, and is tried again.
    pub(crate) fn keep<F>(&mut self, name: &'static str, mut begin: impl FnMut(bool) -> F + Send + 'static)
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let failed = Arc::clone(&self.failed);
        // Not the same in two processes either.
        let mut backoff = Backoff::new(FIRST_WAIT_MS, LONGEST_WAIT_MS, &RandomState::new().hash_one(name));
        self.tasks.spawn(async move {
            let mut again = false;
            loop {
                let began = Instant::now();
                match begin(again).await {
                    Ok(()) => tracing::debug!("{name} ended and begins anew"),
                    Err(error) if error.kind() == ErrorKind::Internal => return error,
                    Err(error) => {
                        tracing::warn!(
                            reason = error.reason(),
                            error = chain(&error),
                            "{name} failed and begins anew"
                        );
                        failed.notify_one();
                    }
                }
                if began.elapsed() > HELD_OUT {
                    backoff.reset();
                }
                tokio::time::sleep(Duration::from_millis(backoff.wait_ms().unsigned_abs())).await;
                again = true;
            }
        });
    }

    /// Completes when a task failed for good, or panicked.
    pub(crate) async fn failure(&mut self) -> Error {
        match self.tasks.join_next().await {
            Some(Ok(error)) => error,
            Some(Err(panic)) => Error::internal(panic),
            None => std::future::pending().await,
        }
    }

    /// Stops all tasks.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hive_application::error::Effect;

    use super::*;

    #[tokio::test]
    async fn a_task_begins_anew_until_there_is_a_defect() {
        let (begun, anew) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut background = Background::default();
        let counts = (Arc::clone(&begun), Arc::clone(&anew));
        background.keep("task", move |again| {
            let number = counts.0.fetch_add(1, Ordering::Relaxed);
            counts.1.fetch_add(usize::from(again), Ordering::Relaxed);
            async move {
                match number {
                    0 => Ok(()),
                    1 => Err(Error::unavailable("the store", "away", Effect::None)),
                    2 => Err(Error::new(ErrorKind::PermissionDenied, "A_REASON", "a neighbour refuses")),
                    _ => Err(Error::internal("broken")),
                }
            }
        });
        assert_eq!(background.failure().await.kind(), ErrorKind::Internal);
        assert_eq!((begun.load(Ordering::Relaxed), anew.load(Ordering::Relaxed)), (4, 3));
    }

    #[tokio::test]
    async fn a_panic_is_a_defect() {
        let mut background = Background::default();
        background.keep("task", |_| async { panic!("on purpose") });
        assert_eq!(background.failure().await.kind(), ErrorKind::Internal);
    }
}
