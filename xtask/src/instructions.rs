//! `cargo xtask bench instructions`: counts what each layer of the gRPC kit's server stack costs, and writes it into
//! `docs/reference/grpc-kit-costs.md`. `cargo xtask test` counts again and fails when a layer became dearer than that page says.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::workspace::{self, cargo};

const PAGE: &str = "docs/reference/grpc-kit-costs.md";
const BEGIN: &str = "<!-- begin: cargo xtask bench instructions -->\n";
const END: &str = "<!-- end -->";

/// The row that the others of the stack add up to, and what it may be above the page's, in percent.
const WHOLE: &str = "the whole stack";
const PERCENT: u64 = 4;
/// The same for a single row, in percent and in instructions: a change anywhere lets the compiler move a thousand from one
/// layer to its neighbour, which the whole stack does not notice.
const PERCENT_OF_ROW: u64 = 10;
const INSTRUCTIONS_OF_ROW: u64 = 1_500;
/// So many times more, with another compiler or C library than the page was written with.
const ELSEWHERE: u64 = 5;

/// Times that all is counted. Once in a while an allocator tidies up, which has nothing to do with the call it happens in.
const RUNS: usize = 3;

/// What the calls through one stack took.
#[derive(Debug, Clone, PartialEq)]
struct Total {
    kind: String,
    stack: String,
    /// The stack without its innermost layer.
    over: String,
    /// Instructions a call.
    calls: u64,
}

/// Counts, and writes the page.
pub(crate) fn write() -> ExitCode {
    end(count().and_then(|counted| {
        let page = workspace::path(PAGE);
        let text = fs::read_to_string(&page).map_err(|error| format!("{PAGE}: {error}"))?;
        let table = counted.table();
        let (before, _, after) = parts(&text)?;
        fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}")).map_err(|error| error.to_string())?;
        println!("{table}");
        Ok(())
    }))
}

/// Counts, and compares with the page.
pub(crate) fn check() -> ExitCode {
    end(count().and_then(|counted| {
        let text = fs::read_to_string(workspace::path(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
        let (_, table, _) = parts(&text)?;
        print!("{}", counted.table());
        let dearer = dearer(&Counted::read(table)?, &counted);
        if dearer.is_empty() { Ok(()) } else { Err(dearer.join("\n")) }
    }))
}

fn end(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// What is before the table, the table, what is after it.
fn parts(page: &str) -> Result<(&str, &str, &str), String> {
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (table, after) = rest.split_once(END)?;
        Some((before, table, after))
    });
    parts.ok_or_else(|| format!("{PAGE} has no place for the table"))
}

/// Instructions a call, by layer and kind of call.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    /// Compiler and C library, on which counts depend.
    tools: String,
    kinds: Vec<String>,
    rows: Vec<(String, Vec<u64>)>,
}

impl Counted {
    fn table(&self) -> String {
        let mut table = format!("Counted with {}.\n\n| layer | {} |\n", self.tools, self.kinds.join(" | "));
        let _ = writeln!(table, "| --- |{}", " --- |".repeat(self.kinds.len()));
        for (layer, counts) in &self.rows {
            let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
            let _ = writeln!(table, "| {layer} | {} |", counts.join(" | "));
        }
        table
    }

    fn read(table: &str) -> Result<Self, String> {
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let mut lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with("| --- "));
        let tools = lines.next().and_then(|line| line.strip_prefix("Counted with ")?.strip_suffix('.'));
        let tools = tools.ok_or_else(|| format!("{PAGE} does not say with what was counted"))?.to_owned();
        let kinds = lines.next().map(cells).unwrap_or_default().into_iter().skip(1).collect();
        let row = |line: &str| {
            let mut cells = cells(line).into_iter();
            let layer = cells.next().unwrap_or_default();
            let counts = cells.map(|cell| cell.parse().map_err(|_| format!("{PAGE}: {cell} is no number")));
            Ok::<_, String>((layer, counts.collect::<Result<_, _>>()?))
        };
        Ok(Self { tools, kinds, rows: lines.map(row).collect::<Result<_, _>>()? })
    }

    /// Adds a count to its row.
    fn add(&mut self, kind: &str, layer: &str, count: u64) {
        if !self.kinds.iter().any(|known| known == kind) {
            self.kinds.push(kind.to_owned());
        }
        match self.rows.iter_mut().find(|(known, _)| known == layer) {
            Some((_, counts)) => counts.push(count),
            None => self.rows.push((layer.to_owned(), vec![count])),
        }
    }
}

/// The layers that cost more than the page allows, and those that it does not know.
fn dearer(page: &Counted, counted: &Counted) -> Vec<String> {
    let slack = if page.tools == counted.tools { 1 } else { ELSEWHERE };
    let mut problems = Vec::new();
    let names = |counted: &Counted| counted.rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
    if (names(page), &page.kinds) != (names(counted), &counted.kinds) {
        problems.push("other layers are counted than the page has".to_owned());
    }
    for ((layer, allowed), (_, counts)) in page.rows.iter().zip(&counted.rows) {
        for ((kind, allowed), count) in counted.kinds.iter().zip(allowed).zip(counts) {
            let more = if layer == WHOLE {
                allowed * PERCENT / 100
            } else {
                (allowed * PERCENT_OF_ROW / 100).max(INSTRUCTIONS_OF_ROW)
            };
            if *count > allowed + slack * more {
                problems
                    .push(format!("{layer}, {kind}: {count} instructions a call, the page says {allowed}"));
            }
        }
    }
    if !problems.is_empty() {
        problems.push(format!(
            "make it cheaper, or say in the change why it has to cost that, and let `cargo xtask bench instructions` write {PAGE}"
        ));
    }
    problems
}

/// Builds the bench, runs it under callgrind, and reads what that wrote.
fn count() -> Result<Counted, String> {
    let program = build()?;
    let folder = std::env::temp_dir().join(format!("hive-instructions-{}", std::process::id()));
    let mut totals: Vec<Total> = Vec::new();
    for _ in 0..RUNS {
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let again = run(&program, &folder);
        // What is left over is in the system's folder for that.
        let _ = fs::remove_dir_all(&folder);
        totals = least(totals, again?);
    }
    rows(&totals)
}

/// Of each stack, the least that a run counted.
fn least(totals: Vec<Total>, again: Vec<Total>) -> Vec<Total> {
    if totals.is_empty() {
        return again;
    }
    let least = |(known, new): (Total, Total)| Total { calls: known.calls.min(new.calls), ..known };
    totals.into_iter().zip(again).map(least).collect()
}

/// The path of the built bench.
fn build() -> Result<PathBuf, String> {
    let bench = ["bench", "--package", "hive-grpc-kit", "--bench", "instructions", "--no-run"];
    let output = cargo(&bench).arg("--message-format=json").stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        return Err("the bench is not built".to_owned());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    executable(&said).map(PathBuf::from).ok_or_else(|| "cargo does not say where the bench is".to_owned())
}

/// The one executable among cargo's messages.
fn executable(messages: &str) -> Option<&str> {
    messages.lines().find_map(|line| Some(line.split_once("\"executable\":\"")?.1.split_once('"')?.0))
}

fn run(program: &Path, folder: &Path) -> Result<Vec<Total>, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-before=*counted_calls*", "--dump-before=*end_of_count*"])
        .arg(format!("--callgrind-out-file={}", folder.join("profile").display()))
        .arg(program)
        // What the environment holds moves what is allocated.
        .env_clear()
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("the bench fails:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut totals = Vec::new();
    let said = String::from_utf8_lossy(&output.stdout);
    for (index, line) in said.lines().enumerate() {
        let [kind, stack, over, calls] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        // A profile is written before the calls and after them: every second one is theirs.
        let profile = folder.join(format!("profile.{}", 2 * index + 2));
        let profile =
            fs::read_to_string(profile).map_err(|error| format!("a profile is missing: {error}"))?;
        let total = total(&profile).ok_or("a profile has no total")?;
        let calls = total / calls.parse::<u64>().map_err(|error| error.to_string())?;
        totals.push(Total { kind: kind.to_owned(), stack: stack.to_owned(), over: over.to_owned(), calls });
    }
    Ok(totals)
}

/// What each stack costs over the one it is compared with.
fn rows(totals: &[Total]) -> Result<Counted, String> {
    let mut counted = Counted { tools: tools()?, kinds: Vec::new(), rows: Vec::new() };
    for total in totals {
        let below = totals.iter().find(|known| known.kind == total.kind && known.stack == total.over);
        let below = below.map_or(0, |known| known.calls);
        counted.add(&total.kind, &total.stack, total.calls.saturating_sub(below));
    }
    let whole: Vec<(String, u64)> = counted.kinds.iter().cloned().zip(sums(&counted)).collect();
    for (kind, sum) in whole {
        counted.add(&kind, WHOLE, sum);
    }
    if counted.rows.len() > 1 { Ok(counted) } else { Err("the bench counted nothing".to_owned()) }
}

/// What the layers of the stack cost together: neither the servicer nor those that stand alone.
fn sums(counted: &Counted) -> Vec<u64> {
    let layers = counted.rows.iter().skip(1).filter(|(layer, _)| !layer.ends_with(", alone"));
    layers.fold(vec![0; counted.kinds.len()], |sums, (_, counts)| {
        sums.iter().zip(counts).map(|(sum, count)| sum + count).collect()
    })
}

/// The instructions of a profile.
fn total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

fn tools() -> Result<String, String> {
    let first_line = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|error| format!("{program} does not start: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok::<_, String>(text.lines().next().unwrap_or_default().to_owned())
    };
    let rustc: Vec<String> = first_line("rustc")?.split(' ').take(2).map(str::to_owned).collect();
    let libc = first_line("ldd")?;
    Ok(format!("{}, C library {}", rustc.join(" "), libc.rsplit(' ').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count: u64) -> Counted {
        let mut counted = Counted { tools: "rustc 1".to_owned(), kinds: Vec::new(), rows: Vec::new() };
        for kind in ["unary", "stream"] {
            counted.add(kind, "servicer", 10_000);
            counted.add(kind, "error", count);
        }
        counted
    }

    #[test]
    fn the_page_is_read_as_it_is_written() {
        let page = format!("# Page\n\n{BEGIN}{}{END}\nmore", counted(700).table());
        let (before, table, after) = parts(&page).expect("a table");
        assert_eq!((before, after), ("# Page\n\n", "\nmore"));
        assert_eq!(Counted::read(table), Ok(counted(700)));
        assert!(Counted::read("Counted with a.\n\n| layer | unary |\n| --- | --- |\n| x | y |\n").is_err());
    }

    #[test]
    fn a_dearer_layer_is_found_and_a_cheaper_one_is_fine() {
        let page = counted(4_000);
        assert!(dearer(&page, &counted(5_500)).is_empty() && dearer(&page, &counted(10)).is_empty());
        let problems = dearer(&page, &counted(5_501));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("error, unary: 5501"));
        let whole = |count| {
            let row = (WHOLE.to_owned(), vec![count, count]);
            Counted { rows: vec![row], ..counted(0) }
        };
        assert!(dearer(&whole(4_000), &whole(4_160)).is_empty());
        assert!(!dearer(&whole(4_000), &whole(4_161)).is_empty());
    }

    #[test]
    fn other_tools_may_count_more() {
        let page = Counted { tools: "rustc 2".to_owned(), ..counted(4_000) };
        assert!(dearer(&page, &counted(11_500)).is_empty() && !dearer(&page, &counted(11_501)).is_empty());
    }

    #[test]
    fn a_layer_the_page_does_not_know_is_found() {
        let mut more = counted(1);
        more.add("unary", "a new one", 0);
        assert!(!dearer(&counted(1), &more).is_empty());
    }

    #[test]
    fn layers_are_summed_without_the_servicer_and_those_alone() {
        let mut counted = counted(5);
        for kind in ["unary", "stream"] {
            counted.add(kind, "tracing, alone", 7);
        }
        assert_eq!(sums(&counted), [5, 5]);
    }

    #[test]
    fn of_several_runs_the_least_counts() {
        let run = |calls: [u64; 2]| {
            let total = |calls| Total { kind: "unary".into(), stack: "s".into(), over: String::new(), calls };
            calls.map(total).to_vec()
        };
        assert_eq!(least(least(Vec::new(), run([5, 9])), run([7, 8])), run([5, 8]));
    }

    #[test]
    fn cargo_says_where_the_bench_is() {
        let messages = "{\"executable\":null}\n{\"executable\":\"/t/x\",\"fresh\":true}\n";
        assert_eq!(executable(messages), Some("/t/x"));
    }

    #[test]
    fn a_profile_has_a_total() {
        assert_eq!(total("summary: 5\n1 2\ntotals: 34\n"), Some(34));
        assert_eq!(total("fn=x\n"), None);
    }
}
