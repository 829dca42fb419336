//! The binary as its user runs it: time and memory of a plan of 1,000 tasks.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::plans::layered;
use crate::report::Report;

pub(crate) fn measure(report: &mut Report) {
    let binary = binary();
    for (tasks, goal) in [(1_000, "MB (at most 80)"), (10_000, "MB")] {
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plan.json");
        fs::write(&plan, layered("plan-bench", tasks).to_string()).unwrap();
        let begin = Instant::now();
        let mut run = Command::new(&binary)
            .arg("run")
            .arg(&plan)
            .args(["--output", "json", "--data"])
            .arg(folder.path().join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let status = PathBuf::from(format!("/proc/{}/status", run.id()));
        let mut peak_kib = 0;
        let ended = loop {
            // The high-water mark only grows, so the last reading before the end is the one that counts.
            peak_kib =
                fs::read_to_string(&status).ok().and_then(|text| high_water(&text)).unwrap_or(peak_kib);
            if let Some(ended) = run.try_wait().unwrap() {
                break ended;
            }
            std::thread::yield_now();
        };
        let seconds = begin.elapsed().as_secs_f64();
        assert!(ended.success(), "the plan succeeds");
        report.add("run", format!("hive run, {tasks} tasks, from start to exit"), seconds, "s");
        report.add(
            "run",
            format!("hive run, {tasks} tasks, peak resident memory"),
            f64::from(peak_kib) / 1_024.0,
            goal,
        );
    }
}

/// `hive` beside this binary: both are of the same build.
pub(crate) fn binary() -> PathBuf {
    let beside = std::env::current_exe().unwrap().with_file_name("hive");
    assert!(beside.exists(), "build hive first: cargo build --release --package hive-server");
    beside
}

fn high_water(status: &str) -> Option<u32> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
