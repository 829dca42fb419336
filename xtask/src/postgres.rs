//! The PostgreSQL server that the tests use: a private one, gone afterwards.

use std::env;

use hive_postgres::{Cluster, URL, programs};

/// Where the tests find their server.
pub(crate) enum Server {
    /// One that is there already, named in the environment.
    Given,
    /// One of our own, which ends with this value.
    Private(Cluster),
    /// There is none, and why.
    Absent(String),
}

impl Server {
    /// The server that the environment names, else a private one.
    pub(crate) fn start() -> Self {
        if env::var_os(URL).is_some() {
            return Server::Given;
        }
        if programs().is_none() {
            return Server::Absent(
                "PostgreSQL is not installed; `apt-get install postgresql` installs it".into(),
            );
        }
        match Cluster::start() {
            Ok(cluster) => Server::Private(cluster),
            Err(error) => Server::Absent(format!("PostgreSQL does not start: {error}")),
        }
    }

    /// What the tests are told.
    pub(crate) fn variable(&self) -> Option<(&'static str, String)> {
        match self {
            Server::Private(cluster) => Some((URL, cluster.url("postgres"))),
            Server::Given | Server::Absent(_) => None,
        }
    }
}
