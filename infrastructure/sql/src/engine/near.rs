//! Reading an SQLite file in the thread of the caller: to ask another thread takes longer than to find a row.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hive_application::error::{Effect, Error};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::slow::{Rows, Slow};
use crate::database::Config;
use crate::failure;

/// How long a search may take, and the wait for its turn.
const ANSWER: Duration = Duration::from_secs(15);

/// How long a thread waits for the file. Readers do not wait for a writer; only for who mends or closes the file.
const BUSY: Duration = Duration::from_millis(100);

/// Statements that a connection keeps prepared.
const PREPARED: usize = 64;

/// Steps of SQLite's machine, of which it takes millions in a second, after which a search looks whether it is given up.
const STEPS: i32 = 10_000;

/// Connections to a file that read, each in the hands of one caller at a time.
pub(crate) struct Near {
    /// Names the database in errors.
    what: &'static str,
    path: PathBuf,
    cache_kib: u32,
    slow: Slow,
    /// Connections that nobody uses; none are kept once it is closed.
    idle: Mutex<Option<Vec<Idle>>>,
    /// Turns to search, and how many there are.
    turns: Arc<Semaphore>,
    searches: u32,
    /// Look-ups in the threads of their callers, and how many there may be: other threads go on when the disk stands still.
    here: AtomicUsize,
    most_here: usize,
    closed: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
enum NearError {
    #[error("the database is closed")]
    Closed,
    #[error("the database does not answer")]
    Silent,
    #[error("the search ended with a panic")]
    Panicked,
}

/// A connection, and whether what it does is to end.
struct Idle {
    connection: Connection,
    given_up: Arc<AtomicBool>,
}

/// A look-up.
struct Here<'a>(&'a AtomicUsize);

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends a search that nobody waits for any more.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Near {
    /// Reads from the file at `path`, which another connection made.
    pub(crate) fn new(what: &'static str, path: &Path, config: &Config) -> Self {
        let searches = config.readers.max(1);
        let threads = Handle::try_current().map_or(1, |handle| handle.metrics().num_workers());
        Near {
            what,
            path: path.to_owned(),
            cache_kib: config.cache_kib / 4,
            slow: Slow(config.slow),
            idle: Mutex::new(Some(Vec::new())),
            turns: Arc::new(Semaphore::new(usize::try_from(searches).unwrap_or(1))),
            searches,
            here: AtomicUsize::new(0),
            most_here: (threads / 2).max(1),
            closed: Arc::default(),
        }
    }

    /// Reads the row that a key leads to, at once: the caller's thread does nothing else meanwhile. When many threads do so
    /// already, it is a search.
    pub(crate) async fn look_up<T: Rows + Send + 'static>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let before = self.here.fetch_add(1, Ordering::Relaxed);
        let _here = Here(&self.here);
        if before >= self.most_here {
            return self.search(name, read).await;
        }
        let begun = Instant::now();
        let idle = self.take()?;
        let answer = read(&idle.connection);
        self.give_back(idle);
        self.told(name, begun, answer)
    }

    /// Reads what may take long, in a thread where nobody waits behind it. It ends when its caller does.
    pub(crate) async fn search<T: Rows + Send + 'static>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let Ok(answer) = tokio::time::timeout(ANSWER, self.searched(read)).await else {
            return Err(Error::unavailable(self.what, NearError::Silent, Effect::None));
        };
        self.told(name, begun, answer?)
    }

    async fn searched<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<rusqlite::Result<T>, Error> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Error::unavailable(self.what, NearError::Closed, Effect::None))?;
        let idle = self.take()?;
        let give_up = GiveUp(Arc::clone(&idle.given_up));
        // What was given up is not given back, so nobody else is ended by it.
        let searching = tokio::task::spawn_blocking(move || {
            let answer = read(&idle.connection);
            drop(turn);
            (idle, answer)
        });
        let (idle, answer) =
            searching.await.map_err(|_| Error::unavailable(self.what, NearError::Panicked, Effect::None))?;
        drop(give_up);
        idle.given_up.store(false, Ordering::Relaxed);
        self.give_back(idle);
        Ok(answer)
    }

    /// Ends what is read, waits for it, and closes all connections.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        drop(self.idle().take());
        // Past the limit, the thread that hangs there keeps its connection.
        drop(tokio::time::timeout(ANSWER, self.turns.acquire_many(self.searches)).await);
        self.turns.close();
    }

    fn told<T: Rows>(
        &self,
        name: &'static str,
        begun: Instant,
        answer: rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let answer = answer.map_err(|error| failure::read_near(self.what, error));
        self.slow.tell(self.what, name, begun.elapsed(), answer.as_ref().map_or(0, Rows::rows));
        answer
    }

    fn take(&self) -> Result<Idle, Error> {
        let idle = match self.idle().as_mut() {
            Some(idle) => idle.pop(),
            None => return Err(Error::unavailable(self.what, NearError::Closed, Effect::None)),
        };
        match idle {
            Some(idle) => Ok(idle),
            None => self.open().map_err(|error| failure::read_near(self.what, error)),
        }
    }

    fn give_back(&self, one: Idle) {
        if let Some(idle) = self.idle().as_mut() {
            idle.push(one);
        }
    }

    fn open(&self) -> rusqlite::Result<Idle> {
        // Each connection is in the hands of one thread at a time.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        // Without it, a bound LIMIT has every statement planned anew at every use.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        connection.pragma_update(None, "cache_size", -i64::from(self.cache_kib))?;
        connection.pragma_update(None, "temp_store", "memory")?;
        // Asked for by SQLite while a statement runs; an interrupt would miss a statement that is about to.
        let given_up = Arc::new(AtomicBool::default());
        let (asked, closed) = (Arc::clone(&given_up), Arc::clone(&self.closed));
        let ends = move || asked.load(Ordering::Relaxed) || closed.load(Ordering::Relaxed);
        connection.progress_handler(STEPS, Some(ends))?;
        Ok(Idle { connection, given_up })
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Idle>>> {
        // Every change is complete before anything can panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").field("what", &self.what).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hive_application::error::ErrorKind;

    use super::*;

    impl Rows for i64 {
        fn rows(&self) -> usize {
            1
        }
    }

    /// A file, and one search at a time in it.
    fn file() -> (tempfile::TempDir, Near) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("near.db");
        Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "wal").unwrap();
        let near = Near::new("the test", &path, &Config { readers: 1, ..Config::new(&path) });
        (folder, near)
    }

    fn count(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
    }

    fn endless(connection: &Connection) -> rusqlite::Result<i64> {
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        connection.query_row(endless, [], |row| row.get(0))
    }

    #[tokio::test]
    async fn a_search_that_nobody_waits_for_makes_room() {
        let (_folder, near) = file();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let search = near.search("endless", |connection| {
            begun.send(()).unwrap();
            endless(connection)
        });
        tokio::select! {
            _ = search => panic!("an endless search ended"),
            begun = begins => begun.unwrap(),
        }
        assert_eq!(near.search("next", count).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn nothing_is_read_or_kept_after_it_was_closed() {
        let (_folder, near) = file();
        assert_eq!(near.look_up("before", count).await.unwrap(), 0);
        let (begun, begins) = tokio::sync::oneshot::channel();
        let search = near.search("endless", |connection| {
            begun.send(()).unwrap();
            endless(connection)
        });
        let close = async {
            begins.await.unwrap();
            near.close().await;
        };
        let (ended, ()) = tokio::join!(search, close);
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(near.look_up("after", count).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(near.search("after", count).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(near.idle().is_none());
    }

    #[tokio::test]
    async fn a_thread_is_left_when_others_are_held_up() {
        let (_folder, near) = file();
        near.here.store(near.most_here, Ordering::Relaxed);
        let caller = std::thread::current().id();
        let elsewhere = move |_: &Connection| Ok(i64::from(std::thread::current().id() != caller));
        assert_eq!(near.look_up("many", elsewhere).await.unwrap(), 1);
        near.here.store(0, Ordering::Relaxed);
        assert_eq!(near.look_up("few", elsewhere).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn nothing_is_written() {
        let (_folder, near) = file();
        let write = |connection: &Connection| connection.execute("CREATE TABLE t (x)", []).map(|_| 0_i64);
        assert_eq!(near.look_up("write", write).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(near.look_up("read", count).await.unwrap(), 0);
    }
}
