//! Shows how a flow goes while it goes: a live area on a terminal, plain lines elsewhere.
//!
//! The flow is never held up: it only updates the board and, for plain lines, puts them into a bounded queue. A thread
//! of its own does the drawing and writing, so a terminal that is stopped stops nothing else.

mod board;
mod frame;
mod lines;
mod ticket;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hive_application::clock::Clock;
use hive_application::orchestration::{FlowObserver, Progress};
use hive_domain::orchestration::flow::Flow;

use crate::clock::SystemClock;
use crate::console::Screen;
use board::Board;
use lines::Lines;

/// Lines that may wait to be written.
const QUEUE: usize = 4_096;
/// Time the end waits for what was said to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Time between two pictures of the live area.
const REDRAW: Duration = Duration::from_millis(100);

/// Is told by the flow, and shows it.
pub(crate) struct Reporter {
    shared: Arc<Mutex<Shared>>,
    /// Tells that the thread is done.
    written: Mutex<Option<Receiver<()>>>,
}

#[derive(Default)]
struct Shared {
    board: Board,
    lines: Lines,
    /// Where lines go; nothing on a terminal and after the end.
    queue: Option<SyncSender<String>>,
    /// Lines that found the queue full.
    left_out: usize,
    /// Dropped at the end, which ends the drawing.
    live: Option<SyncSender<()>>,
}

impl Reporter {
    /// Starts showing on `screen`.
    pub(crate) fn start(screen: Screen) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let name = std::thread::Builder::new().name("progress".to_owned());
        let (done, written) = sync_channel::<()>(0);
        if screen.is_live() {
            let (live, ended) = sync_channel(0);
            lock(&shared).live = Some(live);
            let board = Arc::clone(&shared);
            name.spawn(move || {
                draw(&board, &screen, &ended);
                drop(done);
            })?;
        } else {
            let (queue, lines) = sync_channel(QUEUE);
            lock(&shared).queue = Some(queue);
            name.spawn(move || {
                lines.iter().for_each(|line: String| screen.line(&line));
                drop(done);
            })?;
        }
        Ok(Arc::new(Reporter { shared, written: Mutex::new(Some(written)) }))
    }

    /// Shows the last state and ends, after everything said was written, or two seconds.
    pub(crate) fn end(&self) {
        {
            let mut shared = lock(&self.shared);
            shared.live = None;
            if let (Some(queue), left_out @ 1..) = (shared.queue.take(), shared.left_out) {
                // A queue still full has a reader that does not read: there is nobody to tell.
                let _ = queue.try_send(format!("({left_out} lines left out)"));
            }
        }
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(written) = written {
            // Nothing is ever sent: the thread drops its end when it is done. One that cannot write is left behind.
            let _ = written.recv_timeout(LAST_WORDS);
        }
    }
}

impl FlowObserver for Reporter {
    fn observe(&self, flow: &Flow, progress: Progress<'_>) {
        let mut shared = lock(&self.shared);
        let Shared { board, lines, queue, left_out, .. } = &mut *shared;
        let told = board.take_in(flow, progress);
        let (Some(told), Some(queue)) = (told, queue) else { return };
        for line in lines.about(board, flow, told) {
            if queue.try_send(line).is_err() {
                *left_out += 1;
            }
        }
    }
}

fn draw(shared: &Mutex<Shared>, screen: &Screen, ended: &Receiver<()>) {
    let mut pictures = 0;
    loop {
        let is_over = !matches!(ended.recv_timeout(REDRAW), Err(RecvTimeoutError::Timeout));
        let now = SystemClock.now();
        let frame = frame::draw(&lock(shared).board, now, pictures);
        pictures += 1;
        if let Some(frame) = frame {
            screen.show(frame);
        }
        if is_over {
            return screen.end();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // What is shown may be wrong after a panic; it decides nothing.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
