//! Every crate inherits what the root manifest declares once: lints and versions.

use hive_architecture::{File, Tree, Violation, assert_none};

fn check(manifests: &[File]) -> Vec<Violation> {
    manifests.iter().filter(|file| file.path != "Cargo.toml").flat_map(check_one).collect()
}

fn check_one(file: &File) -> Vec<Violation> {
    let mut violations = Vec::new();
    let (mut section, mut inherits_lints) = (String::new(), false);
    let mut table: Option<(usize, bool)> = None;
    for (index, line) in file.text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            violations.extend(unfinished(file, table.take()));
            section = line.trim_matches(['[', ']']).trim().to_owned();
            table = is_dependency_table(&section).then_some((index + 1, false));
        } else if line.is_empty() {
            continue;
        } else if section == "lints" {
            inherits_lints |= inherits(line);
        } else if let Some((_, inherited)) = &mut table {
            *inherited |= inherits(line);
        } else if is_dependencies(&section) && !inherits(line) {
            let message = format!(
                "`{line}` does not inherit; write `name.workspace = true` and the version at the root"
            );
            violations.push(Violation::new(&file.path, index + 1, message));
        }
    }
    violations.extend(unfinished(file, table));
    if !inherits_lints {
        let message = "does not inherit the lints of the workspace; add `[lints]` and `workspace = true`";
        violations.push(Violation::new(&file.path, 1, message));
    }
    violations
}

/// `workspace = true`, alone, dotted after a name or inside an inline table.
fn inherits(line: &str) -> bool {
    let compact: String = line.chars().filter(|character| !character.is_whitespace()).collect();
    compact == "workspace=true"
        || compact.contains(".workspace=true")
        || compact.contains("{workspace=true")
        || compact.contains(",workspace=true")
}

/// `dependencies`, `dev-dependencies`, `build-dependencies`, also those of a target.
fn is_dependencies(section: &str) -> bool {
    section == "dependencies" || section.ends_with("-dependencies") || section.ends_with(".dependencies")
}

/// A dependency written as a table of its own: `[dependencies.name]`.
fn is_dependency_table(section: &str) -> bool {
    section.rsplit_once('.').is_some_and(|(before, _)| is_dependencies(before))
}

fn unfinished(file: &File, table: Option<(usize, bool)>) -> Option<Violation> {
    let (line, inherited) = table?;
    (!inherited)
        .then(|| Violation::new(&file.path, line, "does not inherit its version; add `workspace = true`"))
}

#[test]
fn every_crate_inherits_lints_and_versions() {
    assert_none(&check(&Tree::here().unwrap().named("Cargo.toml").unwrap()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(usize, String)> {
        let found = check(&[File::new("domain/Cargo.toml", text)]);
        found.into_iter().map(|violation| (violation.line, violation.message)).collect()
    }

    #[test]
    fn inheriting_in_every_way_is_accepted() {
        let text = "[lints]\nworkspace = true\n[dependencies]\n# note\na.workspace = true\nb = { workspace = true, \
                    features = [\"x\"] }\n[dev-dependencies.c]\nworkspace = true\n[target.'cfg(unix)'.dependencies]\n\
                    d.workspace = true\n[features]\ndefault = []\n";
        assert_eq!(places(text), []);
    }

    #[test]
    fn own_versions_and_own_lints_are_reported() {
        let found = places(
            "[lints.rust]\nunsafe_code = \"deny\"\n[dependencies]\na = \"1\"\n[build-dependencies.b]\nversion = \"2\"",
        );
        assert_eq!(found.iter().map(|place| place.0).collect::<Vec<_>>(), [4, 5, 1]);
        assert!(found[0].1.starts_with("`a = \"1\"` does not inherit"));
        let target = "[lints]\nworkspace = true\n[target.'cfg(unix)'.dependencies]\nd = \"1\"";
        assert_eq!(places(target).len(), 1);
    }

    #[test]
    fn the_root_manifest_is_the_one_that_declares() {
        assert_eq!(check(&[File::new("Cargo.toml", "[workspace.dependencies]\na = \"1\"")]), []);
    }
}
