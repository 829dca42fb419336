//! What one process at a time may do with a database that several share, such as supervising its flows.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hive_application::error::{Effect, Error, chain};
use hive_sql::{Exclusive, Server};
use tokio::sync::{Notify, watch};

use crate::background::Background;

/// Time between two attempts to get it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The right to do something alone. Who has a file of the data folder has it from the start: the folder is locked.
#[derive(Debug, Clone)]
pub(crate) struct Sole {
    what: &'static str,
    server: Option<Server>,
    held: watch::Sender<bool>,
}

impl Sole {
    /// The right to do `what` with a database.
    pub(super) fn new(what: &'static str, server: Option<Server>) -> Self {
        let held = watch::Sender::new(server.is_none());
        Sole { what, server, held }
    }

    /// Whether other processes may have it.
    pub(crate) fn is_shared(&self) -> bool {
        self.server.is_some()
    }

    /// Whether no other process has it.
    pub(super) async fn is_free(&self) -> Result<bool, Error> {
        match &self.server {
            Some(server) => Ok(Exclusive::take(server, self.what).await?.is_some()),
            None => Ok(true),
        }
    }

    /// Tries to get it until it does, and again when it is lost.
    pub(super) fn keep(&self, background: &mut Background) {
        let Some(server) = self.server.clone() else { return };
        let (sole, waits) = (self.clone(), background.failed());
        background.keep(self.what, move |_| {
            let (sole, server, waits) = (sole.clone(), server.clone(), Arc::clone(&waits));
            async move { Err(sole.hold(&server, &waits).await) }
        });
    }

    /// Holds it as long as possible; why it ended.
    async fn hold(&self, server: &Server, waits: &Notify) -> Error {
        let mut elsewhere = false;
        let mut right = loop {
            match Exclusive::take(server, self.what).await {
                Ok(Some(right)) => break right,
                Ok(None) if !elsewhere => {
                    elsewhere = true;
                    tracing::warn!(
                        "{} is with another process on the same database: waiting for its end",
                        self.what
                    );
                    waits.notify_one();
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(error = chain(&error), "no answer about {}", self.what),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        if elsewhere {
            // Who had it until now may still act as if.
            if let Ok(error) = tokio::time::timeout(Exclusive::NOTICE, right.lost()).await {
                return error;
            }
            tracing::info!("{} is with this process now", self.what);
        }
        let _held = Held::new(&self.held);
        right.lost().await
    }

    fn elsewhere(&self) -> Error {
        Error::unavailable(self.what, "it is with another process on the same database", Effect::None)
    }

    /// `Unavailable` while it is not held here.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if *self.held.borrow() { Ok(()) } else { Err(self.elsewhere()) }
    }

    /// Completes when it is held here.
    pub(super) async fn held(&self) {
        // It is never closed.
        let _ = self.held.subscribe().wait_for(|held| *held).await;
    }

    /// Works as long as it is held here, which it waits for; `Unavailable` when it is lost.
    pub(super) async fn during(&self, work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        self.held().await;
        let mut held = self.held.subscribe();
        tokio::select! {
            biased;
            _ = held.wait_for(|held| !held) => Err(self.elsewhere()),
            ended = work => ended,
        }
    }
}

/// Tells that it is held, until this is dropped.
struct Held<'c>(&'c watch::Sender<bool>);

impl<'c> Held<'c> {
    fn new(held: &'c watch::Sender<bool>) -> Self {
        held.send_replace(true);
        Held(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}
