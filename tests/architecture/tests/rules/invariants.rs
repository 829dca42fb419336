//! Every numbered invariant of `docs/architecture.md` is named by a test, and no test names one that is not there.

use std::collections::{BTreeMap, BTreeSet};

use hive_architecture::{File, Tree, Violation, assert_none};

const DOCUMENT: &str = "docs/architecture.md";
const PREFIX: &str = "INV-";

fn check(document: &File, files: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut declared = BTreeMap::new();
    for (index, line) in document.text.lines().enumerate() {
        for number in declared_in(line) {
            if let Some(first) = declared.insert(number, index + 1) {
                let message = format!(
                    "{PREFIX}{number} is declared in line {first} already; give it a number of its own"
                );
                violations.push(Violation::new(DOCUMENT, index + 1, message));
            }
        }
    }
    if declared.is_empty() {
        let message = format!("declares no invariant; write each as a line with `**{PREFIX}1**`");
        violations.push(Violation::new(DOCUMENT, 1, message));
    }
    let mut named = BTreeSet::new();
    for (file, line, number) in files.iter().flat_map(named_in) {
        named.insert(number);
        if !declared.contains_key(&number) {
            let message = format!(
                "names {PREFIX}{number}, which {DOCUMENT} does not declare; declare it, or correct the number"
            );
            violations.push(Violation::new(&file.path, line, message));
        }
    }
    for (number, line) in declared.iter().filter(|(number, _)| !named.contains(*number)) {
        let message =
            format!("{PREFIX}{number} is named by no test; name it in a comment on the test that holds it");
        violations.push(Violation::new(DOCUMENT, *line, message));
    }
    violations
}

/// Numbers written in bold; the document may refer to them plainly as often as it likes.
fn declared_in(line: &str) -> Vec<u32> {
    line.split("**").skip(1).step_by(2).filter_map(|bold| bold.strip_prefix(PREFIX)?.parse().ok()).collect()
}

/// Numbers named in the test part of a file, comments and literals included.
fn named_in(file: &File) -> Vec<(&File, usize, u32)> {
    let start = file.tests_start().unwrap_or(usize::MAX);
    let lines = file
        .text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|&(line, _)| line >= start);
    lines
        .flat_map(|(line, text)| {
            let after = text.split(PREFIX).skip(1);
            let digits =
                after.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
            digits.filter_map(move |digits| Some((file, line, digits.parse().ok()?)))
        })
        .collect()
}

#[test]
fn every_invariant_is_named_by_a_test_and_every_named_one_declared() {
    let tree = Tree::here().unwrap();
    let document = tree.file(DOCUMENT).expect("docs/architecture.md lists the invariants");
    assert_none(&check(&document, &tree.rust_files().unwrap()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(document: &str, path: &str, test: &str) -> Vec<String> {
        // Samples say `N-` for the prefix, so that this file names no invariant itself.
        let spelled = |text: &str| text.replace("N-", PREFIX);
        let files = [File::new(path, spelled(test))];
        let found = check(&File::new(DOCUMENT, spelled(document)), &files);
        found.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_declared_and_named_invariant_is_accepted() {
        for (path, text) in [
            ("tests/it/src/kill.rs", "/// N-1: nothing is lost.\n#[test] fn a() {}"),
            ("domain/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests { const HELD: &str = \"N-1\"; }"),
        ] {
            assert_eq!(messages("- **N-1** nothing is lost; see N-1", path, text), [""; 0]);
        }
    }

    #[test]
    fn unnamed_undeclared_repeated_and_absent_invariants_are_reported() {
        let found = messages("x\n**N-1** a", "domain/src/a.rs", "// N-1\nfn a() {}");
        assert!(
            found[0].starts_with("docs/architecture.md:2: INV") && found[0].contains("named by no test"),
            "{found:?}"
        );
        let found = messages("**N-1** a", "tests/a.rs", "// N-1\n// N-12");
        assert!(found[0].starts_with("tests/a.rs:2: names INV") && found.len() == 1, "{found:?}");
        let found = messages("**N-1** a\n**N-1** b", "tests/a.rs", "// N-1");
        assert!(found[0].contains("already"), "{found:?}");
        assert!(messages("nothing", "tests/a.rs", "")[0].contains("declares no invariant"));
    }
}
