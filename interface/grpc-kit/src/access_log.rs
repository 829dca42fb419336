//! The sink of the access log: lines are appended to a shared buffer under a short lock, and a thread of its own
//! writes the buffer out after 50 ms, or as soon as there is much of it. A call never waits for the disk; what does not
//! fit is dropped and counted.

use std::{
    io::Write,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a line may wait to be written together with others.
const BATCH: Duration = Duration::from_millis(50);

/// How many bytes are written before that time is over. Whenever the thread wakes up it takes a core from the calls: often
/// enough, and the slowest one of a hundred is the one that met it.
const WORTH_WAKING_UP: usize = 512 * 1024;

/// How many bytes go out at once. Larger writes keep a core to themselves for so long that the slowest calls are those
/// that waited for it.
const PIECE: usize = 64 * 1024;

/// How long the last handle waits for the rest to be written: a reader that does not read must not keep a process from
/// ending.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What a stuck writer may leave in memory, in bytes; beyond it lines are dropped.
const MAX_BUFFERED_BYTES: usize = 8 * 1024 * 1024;

/// A cheap handle to append lines with. When the last is dropped it waits for everything to be written, two seconds at
/// most.
#[derive(Clone, Debug)]
pub struct AccessLog {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    closing: bool,
    ended: bool,
    flushing: bool,
    /// Bytes appended and bytes written since the start, for [`AccessLog::flush`].
    appended: u64,
    written: u64,
}

impl Shared {
    /// Nothing under the lock can panic half-way, so a poisoned one is as good as new.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessLog {
    /// Starts the thread that writes to `out`: a file, or the process's standard output.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn to(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_writer = Arc::clone(&shared);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write(&of_writer, out))?;
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// Appends one line, which ends in a newline.
    pub fn append(&self, line: &[u8]) {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        if state.buffer.len() + line.len() > MAX_BUFFERED_BYTES {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = state.buffer.len();
        state.buffer.extend_from_slice(line);
        let worth_waking_up = before < WORTH_WAKING_UP && state.buffer.len() >= WORTH_WAKING_UP;
        state.appended += line.len() as u64;
        drop(state);
        if before == 0 || worth_waking_up {
            shared.changed.notify_all();
        }
    }

    /// Lines dropped because the writer did not keep up.
    pub fn dropped(&self) -> u64 {
        self.handle.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until every line appended so far is written. Blocks: call it at the end of a process, or in a test.
    pub fn flush(&self) {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        let target = state.appended;
        while state.written < target {
            state.flushing = true;
            shared.changed.notify_all();
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl AccessLog {
    /// Waits as [`Self::flush`] does, but no longer than `limit`: a reader that does not read must not keep a process
    /// from ending. Tells whether everything is written.
    pub fn flush_within(&self, limit: Duration) -> bool {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        let target = state.appended;
        state.flushing = true;
        shared.changed.notify_all();
        let behind = |state: &mut State| state.written < target;
        state =
            shared.changed.wait_timeout_while(state, limit, behind).unwrap_or_else(PoisonError::into_inner).0;
        state.written >= target
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.changed.notify_all();
        // Beyond the limit the thread is left to itself, and ends with the process.
        let _ = self.shared.changed.wait_timeout_while(state, LAST_LINES, |state| !state.ended);
    }
}

/// Waits without a timer while there is nothing to write, so that an idle server does not wake up.
fn write(shared: &Shared, mut out: impl Write) {
    let mut spare = Vec::new();
    let mut state = shared.lock();
    loop {
        while state.buffer.is_empty() && !state.closing {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closing && !state.flushing {
            let no_hurry =
                |state: &mut State| !state.closing && !state.flushing && state.buffer.len() < WORTH_WAKING_UP;
            let waited = shared.changed.wait_timeout_while(state, BATCH, no_hurry);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.buffer.is_empty() {
            state.ended = true;
            shared.changed.notify_all();
            return;
        }
        state.flushing = false;
        std::mem::swap(&mut state.buffer, &mut spare);
        drop(state);
        shared.dropped.fetch_add(write_out(&spare, &mut out), Ordering::Relaxed);
        state = shared.lock();
        state.written += spare.len() as u64;
        spare.clear();
        shared.changed.notify_all();
    }
}

/// Writes whole lines, a piece at a time; whoever waits for the core has it in between. Answers how many lines could not
/// be written.
fn write_out(mut lines: &[u8], out: &mut impl Write) -> u64 {
    while !lines.is_empty() {
        let (piece, rest) = lines.split_at(piece_of(lines));
        if out.write_all(piece).and_then(|()| out.flush()).is_err() {
            return count_lines(lines);
        }
        lines = rest;
        std::thread::yield_now();
    }
    0
}

/// As many lines as fit, one at least: others may write to the same file.
fn piece_of(lines: &[u8]) -> usize {
    let (fitting, rest) = lines.split_at(lines.len().min(PIECE));
    let is_end = |byte: &u8| *byte == b'\n';
    if rest.is_empty() {
        return lines.len();
    }
    let last = fitting.iter().rposition(is_end).or_else(|| lines.iter().position(is_end));
    last.map_or(lines.len(), |end| end + 1)
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SharedBuffer;

    #[test]
    fn lines_arrive_in_order() {
        let out = SharedBuffer::default();
        let log = AccessLog::to(out.clone()).expect("a thread");
        for line in ["a\n", "b\n", "c\n"] {
            log.append(line.as_bytes());
        }
        log.flush();
        assert_eq!(out.text(), "a\nb\nc\n");
    }

    #[test]
    fn dropping_the_last_handle_writes_the_rest() {
        let out = SharedBuffer::default();
        let log = AccessLog::to(out.clone()).expect("a thread");
        let other = log.clone();
        drop(log);
        other.append(b"last\n");
        drop(other);
        assert_eq!(out.text(), "last\n");
    }

    #[test]
    fn a_reader_that_does_not_read_is_not_waited_for() {
        struct Stuck(std::sync::mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (unstick, stuck) = std::sync::mpsc::channel();
        let log = AccessLog::to(Stuck(stuck)).expect("a thread");
        log.append(b"a\n");
        assert!(!log.flush_within(Duration::from_millis(100)));
        drop(unstick);
        assert!(log.flush_within(Duration::from_secs(10)));

        let (_unstick, stuck) = std::sync::mpsc::channel();
        let log = AccessLog::to(Stuck(stuck)).expect("a thread");
        log.append(b"a\n");
        // Returns at all.
        drop(log);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let log = AccessLog::to(std::io::sink()).expect("a thread");
        log.append(&vec![b'x'; MAX_BUFFERED_BYTES + 1]);
        assert_eq!(log.dropped(), 1);
    }

    #[test]
    fn lines_go_out_whole_and_a_piece_at_a_time() {
        struct Pieces(std::sync::mpsc::Sender<Vec<u8>>);
        impl Write for Pieces {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (sender, pieces) = std::sync::mpsc::channel();
        let line = |length: usize| [vec![b'x'; length - 1], vec![b'\n']].concat();
        let lines = [line(PIECE - 10), line(20), line(2 * PIECE), line(10)].concat();
        assert_eq!(write_out(&lines, &mut Pieces(sender)), 0);
        let pieces: Vec<Vec<u8>> = pieces.iter().collect();
        let lengths: Vec<usize> = pieces.iter().map(Vec::len).collect();
        assert_eq!(lengths, [PIECE - 10, 20, 2 * PIECE, 10]);
        assert_eq!(pieces.concat(), lines);
    }

    #[test]
    fn a_failing_writer_loses_lines_and_says_so() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("disk full"))
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let log = AccessLog::to(Broken).expect("a thread");
        log.append(b"a\nb\n");
        log.flush();
        assert_eq!(log.dropped(), 2);
    }
}
