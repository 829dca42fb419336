//! How fast the disk makes a small write durable.

use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

/// Writes of 4 KiB, each followed by `fdatasync`, for half a second.
pub(crate) fn flushes_per_second() -> f64 {
    let mut file = tempfile::tempfile().unwrap();
    let page = [0x5A_u8; 4_096];
    file.write_all(&page).unwrap();
    file.sync_data().unwrap();
    let begin = Instant::now();
    let mut flushes = 0;
    while begin.elapsed() < Duration::from_millis(500) {
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&page).unwrap();
        file.sync_data().unwrap();
        flushes += 1;
    }
    f64::from(flushes) / begin.elapsed().as_secs_f64()
}
