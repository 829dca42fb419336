//! The list of every crate's direct third-party dependencies, so that a new one is one visible line in a diff.

use std::env;
use std::fs;

use hive_architecture::{Tree, Violation, assert_none};

use crate::workspace::{Member, Section, members};

const LIST: &str = "tests/architecture/dependencies.txt";
/// Set by `cargo xtask dependencies`.
const WRITE: &str = "HIVE_WRITE_DEPENDENCIES";

/// The list as it should be: a line for each crate and dependency, `(dev)` and `(build)` marking their sections.
fn list(members: &[Member]) -> String {
    let mut text =
        "# Direct third-party dependencies of every crate. Written by `cargo xtask dependencies`.\n"
            .to_owned();
    for member in members {
        for dependency in member.dependencies.iter().filter(|dependency| !dependency.ours) {
            let section = match dependency.section {
                Section::Normal => "",
                Section::Build => " (build)",
                Section::Dev => " (dev)",
            };
            text.push_str(&format!("{} {}{section}\n", member.name, dependency.name));
        }
    }
    text
}

fn check(kept: &str, actual: &str) -> Vec<Violation> {
    const REMEDY: &str = "if it is wanted, run `cargo xtask dependencies` and commit the list";
    let missing = actual
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter(|&line| kept.lines().all(|other| other != line));
    let stale = kept.lines().enumerate().filter(|&(_, line)| actual.lines().all(|other| other != line));
    let mut violations: Vec<Violation> = missing
        .map(|line| Violation::new(LIST, 1, format!("`{line}` is used but not listed; {REMEDY}")))
        .chain(stale.map(|(index, line)| {
            Violation::new(LIST, index + 1, format!("`{line}` is listed but not used; {REMEDY}"))
        }))
        .collect();
    if violations.is_empty() && kept != actual {
        violations.push(Violation::new(LIST, 1, format!("not as it would be written; {REMEDY}")));
    }
    violations
}

#[test]
fn the_list_of_dependencies_is_the_one_in_the_tree() {
    let tree = Tree::here().unwrap();
    let actual = list(&members(&tree));
    if env::var_os(WRITE).is_some() {
        fs::write(tree.root().join(LIST), &actual).unwrap();
    }
    let kept = tree.file(LIST).map(|file| file.text).unwrap_or_default();
    assert_none(&check(&kept, &actual));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    #[test]
    fn the_list_has_a_line_for_each_third_party() {
        let dependency = |name: &str, section, ours| Dependency { name: name.into(), section, ours };
        let member = Member {
            name: "hive-sql".into(),
            folder: "infrastructure/sql".into(),
            dependencies: vec![
                dependency("hive-domain", Section::Normal, true),
                dependency("sqlx", Section::Normal, false),
                dependency("proptest", Section::Dev, false),
            ],
        };
        let text = list(&[member]);
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["hive-sql sqlx", "hive-sql proptest (dev)"]);
    }

    #[test]
    fn new_stale_and_misplaced_lines_are_reported_with_the_command() {
        let shown = |kept, actual| check(kept, actual).iter().map(Violation::to_string).collect::<Vec<_>>();
        let found = shown("# x\na b\n", "# x\na c\n");
        assert!(
            found[0]
                .contains("`a c` is used but not listed; if it is wanted, run `cargo xtask dependencies`")
        );
        assert!(found[1].starts_with("tests/architecture/dependencies.txt:2: `a b` is listed but not used"));
        assert_eq!(shown("b\na\n", "a\nb\n").len(), 1);
        assert_eq!(shown("a\nb\n", "a\nb\n"), [""; 0]);
    }
}
