//! Where a database lies and how much it may use.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Where a database lies and how much it may use.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub place: Place,
    /// Connections that read, at least 1. Of an SQLite file of tickets, also how many lists are read at once; beside them, each
    /// thread that looks a ticket up may have one.
    pub readers: u32,
    /// Writes that may wait; a caller beyond that waits to queue.
    pub queue: usize,
    /// Writes committed together at most.
    pub batch: usize,
    /// SQLite only: KiB of pages that the writing connection keeps; each reading one keeps a quarter.
    pub cache_kib: u32,
    /// Tickets whose newest version is kept in memory.
    pub hot_tickets: usize,
    /// Changes at the end of the ticket log that are kept in memory.
    pub log_tail: usize,
    /// How long a statement may take before it is told by a line in the log.
    pub slow: Duration,
    /// How long records stay in an outbox at least.
    pub retention: Duration,
    /// PostgreSQL only: how long the ticket log may hear of no commit before it asks the server for a sign of life.
    pub silence: Duration,
    /// PostgreSQL only: how long a reader waits who would be told less than is committed. Transactions of others, in any
    /// database of the server, hold the log up for as long as they write.
    pub patience: Duration,
    /// PostgreSQL only: how long a call waits for a connection before it fails.
    pub acquire: Duration,
}

/// A database.
#[derive(Debug, Clone)]
pub enum Place {
    /// An SQLite file; made when it is not there. One process at a time.
    File(PathBuf),
    /// A PostgreSQL database, or a schema of one. Any number of processes, one context.
    Postgres(Server),
}

impl Config {
    /// The defaults for the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Config::at(Place::File(path.into()), 2)
    }

    /// The defaults for a PostgreSQL database.
    pub fn postgres(server: Server) -> Self {
        // Reading waits for the network more than it computes; but a server counts its connections, and many processes
        // may share it.
        let cores = available_parallelism().map_or(2, |cores| u32::try_from(cores.get()).unwrap_or(8));
        Config::at(Place::Postgres(server), (cores + 2).min(16))
    }

    fn at(place: Place, readers: u32) -> Self {
        Config {
            place,
            readers,
            queue: 4_096,
            batch: 256,
            cache_kib: 8_192,
            hot_tickets: 8_192,
            log_tail: 8_192,
            slow: Duration::from_millis(250),
            retention: Duration::from_secs(7 * 86_400),
            silence: Duration::from_secs(30),
            patience: Duration::from_secs(1),
            acquire: Duration::from_secs(1),
        }
    }
}

/// How to reach a PostgreSQL database.
#[derive(Clone)]
pub struct Server {
    pub(crate) options: Box<PgConnectOptions>,
    /// Whether somebody decided about TLS.
    decided: bool,
}

/// A database URL that is none. The URL itself is not told: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL like postgres://user:password@host:5432/database")]
pub struct InvalidUrl;

impl Server {
    /// The database that a URL names: `postgres://user:password@host:port/database`, with what libpq allows after a
    /// question mark.
    pub fn from_url(url: &str) -> Result<Self, InvalidUrl> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(InvalidUrl);
        }
        let options = PgConnectOptions::from_str(url).map_err(|_| InvalidUrl)?;
        let named = url.split_once('?').is_some_and(|(_, query)| {
            let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
            names.any(|name| matches!(name, "sslmode" | "ssl-mode"))
        });
        Ok(Server { decided: named || is_decided(&options), options: Box::new(options) })
    }

    /// A database by its parts; an empty password is none.
    pub fn new(host: &str, port: u16, user: &str, password: &str, database: &str) -> Self {
        let options = PgConnectOptions::new_without_pgpass();
        let options = options.host(host).port(port).username(user).database(database);
        let options = if password.is_empty() { options } else { options.password(password) };
        Server { decided: is_decided(&options), options: Box::new(options) }
    }

    /// The same, but never in clear to another host, unless the URL says how: a server without TLS is refused. Before
    /// that, TLS is used where the server has it.
    #[must_use]
    pub fn require_tls(mut self) -> Self {
        let host = self.options.get_host();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let here = self.options.get_socket().is_some()
            || host.starts_with('/')
            || host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.is_loopback());
        if !here && !self.decided {
            *self.options = self.options.as_ref().clone().ssl_mode(PgSslMode::Require);
        }
        self
    }
}

/// Whether the environment decides about TLS.
fn is_decided(options: &PgConnectOptions) -> bool {
    !matches!(options.get_ssl_mode(), PgSslMode::Prefer)
}

/// Never the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("host", &self.options.get_host())
            .field("port", &self.options.get_port())
            .field("database", &self.options.get_database())
            .finish_non_exhaustive()
    }
}

/// Host, port and database; never the user or the password.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        write!(f, "{host}:{port}/{}", self.options.get_database().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_never_shows_its_password() {
        let url = "postgres://somebody:s%40crit@db.example:6543/tickets?options=-csearch_path%3Dx";
        for server in [
            Server::from_url(url).unwrap(),
            Server::new("db.example", 6_543, "somebody", "s@crit", "tickets"),
        ] {
            let shown = format!("{server} {server:?} {:?}", Config::postgres(server.clone()));
            assert!(shown.starts_with("db.example:6543/tickets "), "{shown}");
            assert!(!shown.contains("crit") && !shown.contains("somebody"), "{shown}");
        }
        for wrong in ["", "mysql://a/b", "postgres://", "postgres://h:port/d", "tickets.db"] {
            match Server::from_url(wrong) {
                Ok(_) => assert_eq!(wrong, "postgres://", "everything of it has a default"),
                Err(error) => assert!(!error.to_string().contains("mysql")),
            }
        }
    }

    #[test]
    fn another_host_is_not_spoken_to_in_clear() {
        let mode = |url: &str| Server::from_url(url).unwrap().require_tls().options.get_ssl_mode();
        for (url, required) in [
            ("postgres://u@db.example/t", true),
            ("postgres://u@10.0.0.1:5432/t?application_name=x", true),
            ("postgres://u@127.0.0.1/t", false),
            ("postgres://u@localhost/t", false),
            ("postgres://u@db.example/t?sslmode=disable", false),
            ("postgres://u@db.example/t?application_name=x&ssl-mode=prefer", false),
        ] {
            assert_eq!(matches!(mode(url), PgSslMode::Require), required, "{url}");
        }
        let parts = |host| Server::new(host, 5_432, "u", "", "t").require_tls().options.get_ssl_mode();
        assert!(matches!(parts("postgres"), PgSslMode::Require));
        assert!(matches!(parts("localhost"), PgSslMode::Prefer));
    }
}
