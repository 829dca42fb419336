//! Being told to stop.

use std::io;

use crate::exit::Exit;

/// Listens from the moment it is made.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to listen for SIGINT and SIGTERM.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Begins to listen for Ctrl-C.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Signals {})
    }

    /// Completes when it is time to stop.
    pub(crate) async fn stop(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    /// Ends the process at the next signal, whatever it is doing. Nothing acknowledged is lost by that.
    pub(crate) fn abort_at_next(mut self) {
        tokio::spawn(async move {
            self.stop().await;
            std::process::exit(Exit::Unsuccessful as i32);
        });
    }
}
