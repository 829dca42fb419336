//! How a source file looks from outside: its first line, its size, its name.

use hive_architecture::{File, Tree, Violation, assert_none, tokens};

/// Most lines of a file by its name; any other file has [`MOST_LINES`].
const SIZES: &[(&str, usize)] = &[("main.rs", 60), ("lib.rs", 120)];
const MOST_LINES: usize = 500;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "misc", "types", "models", "manager", "managers"];

fn check(files: &[File]) -> Vec<Violation> {
    files.iter().flat_map(|file| first_line(file).into_iter().chain(size(file)).chain(names(file))).collect()
}

fn first_line(file: &File) -> Option<Violation> {
    let first = file.text.lines().next().unwrap_or_default();
    let said = first.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty());
    (!said).then(|| Violation::new(&file.path, 1, "does not open with `//!`; say there what this file owns"))
}

fn size(file: &File) -> Option<Violation> {
    let most = SIZES.iter().find(|(name, _)| *name == file.name()).map_or(MOST_LINES, |&(_, most)| most);
    let lines = file.text.lines().count();
    (lines > most).then(|| {
        let message = format!("{lines} lines, at most {most}; split it by what its parts own");
        Violation::new(&file.path, most + 1, message)
    })
}

fn names(file: &File) -> Vec<Violation> {
    let remedy = "says nothing about what is inside; name it after what it owns";
    let parts = file.path.trim_end_matches(".rs").split('/');
    let in_path = parts
        .filter(|part| EMPTY_NAMES.contains(part))
        .map(|part| Violation::new(&file.path, 1, format!("the name `{part}` {remedy}")));
    let tokens = tokens(&file.code);
    let in_code =
        tokens.windows(2).filter(|pair| pair[0].text == "mod" && EMPTY_NAMES.contains(&pair[1].text));
    in_path
        .chain(
            in_code.map(|pair| {
                Violation::new(&file.path, pair[1].line, format!("`mod {}` {remedy}", pair[1].text))
            }),
        )
        .collect()
}

#[test]
fn every_file_opens_with_its_purpose_is_short_and_well_named() {
    assert_none(&check(&Tree::here().unwrap().rust_files().unwrap()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&[File::new(path, text)]).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_file_without_a_purpose_is_reported() {
        for text in ["", "use a::b;", "//!\n", "\n//! Late.", "// Not a doc."] {
            assert!(found("a/src/b.rs", text)[0].starts_with("a/src/b.rs:1: does not open with"), "{text}");
        }
        assert_eq!(found("a/src/b.rs", "//! Owns b."), [""; 0]);
    }

    #[test]
    fn each_kind_of_file_has_its_size() {
        for (path, most) in [("a/src/b.rs", 500), ("a/src/lib.rs", 120), ("a/src/main.rs", 60)] {
            let text = |lines| "//! x\n".repeat(lines);
            assert_eq!(found(path, &text(most)), [""; 0]);
            assert_eq!(found(path, &text(most + 1)).len(), 1, "{path}");
        }
    }

    #[test]
    fn empty_names_are_reported_wherever_they_stand() {
        assert_eq!(found("a/src/utils.rs", "//! x").len(), 1);
        assert_eq!(found("a/src/common/mod.rs", "//! x").len(), 1);
        assert!(
            found("a/src/b.rs", "//! x\npub mod helpers {}")[0].starts_with("a/src/b.rs:2: `mod helpers`")
        );
        assert_eq!(found("a/src/type_names.rs", "//! mod utils\nmod utilities {}"), [""; 0]);
    }
}
