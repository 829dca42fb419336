//! What goes on beside the work itself. None of it ends unnoticed: what waiting helps against begins anew, what it does
//! not ends the process.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hive_application::error::{Error, chain};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Wait before a task begins anew; doubles each time, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A task that held out that long did not fail at once.
const HELD_OUT: Duration = Duration::from_secs(60);

/// Tasks that are kept going until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: JoinSet<Error>,
    failed: Arc<Notify>,
}

impl Background {
    /// Is told whenever a task failed in a way that waiting helps against.
    pub(crate) fn failed(&self) -> Arc<Notify> {
        Arc::clone(&self.failed)
    }

    /// Keeps a task going. `begin` is told whether it begins anew.
    pub(crate) fn keep<F>(&mut self, name: &'static str, mut begin: impl FnMut(bool) -> F + Send + 'static)
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let failed = Arc::clone(&self.failed);
        self.tasks.spawn(async move {
            let (mut wait, mut again) = (FIRST_WAIT, false);
            loop {
                let began = Instant::now();
                match begin(again).await {
                    Ok(()) => tracing::debug!("{name} ended and begins anew"),
                    Err(error) if error.is_transient() => {
                        tracing::warn!(error = chain(&error), "{name} failed and begins anew");
                        failed.notify_one();
                    }
                    Err(error) => return error,
                }
                if began.elapsed() > HELD_OUT {
                    wait = FIRST_WAIT;
                }
                tokio::time::sleep(wait).await;
                (wait, again) = ((wait * 2).min(LONGEST_WAIT), true);
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

    use hive_application::error::{Effect, ErrorKind};

    use super::*;

    #[tokio::test]
    async fn a_task_begins_anew_until_nothing_helps() {
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
                    _ => Err(Error::internal("broken")),
                }
            }
        });
        assert_eq!(background.failure().await.kind(), ErrorKind::Internal);
        assert_eq!((begun.load(Ordering::Relaxed), anew.load(Ordering::Relaxed)), (3, 2));
    }

    #[tokio::test]
    async fn a_panic_is_a_defect() {
        let mut background = Background::default();
        background.keep("task", |_| async { panic!("on purpose") });
        assert_eq!(background.failure().await.kind(), ErrorKind::Internal);
    }
}
