//! Clippy reads only the nearest `clippy.toml`, so one in a crate's folder must repeat the root's before adding to it.

use hive_architecture::{File, Tree, Violation, assert_none};

/// Bans each file must have besides the root's: file, and the paths.
const BESIDES: &[(&str, &[&str])] = &[(
    "domain/clippy.toml",
    &["std::time::SystemTime::now", "std::time::Instant::now", "uuid::Uuid::new_v4"],
)];

fn check(root: &File, others: &[File]) -> Vec<Violation> {
    let mut violations: Vec<Violation> = others.iter().flat_map(|file| repeats(root, file)).collect();
    violations.extend(others.iter().chain([root]).flat_map(without_reason));
    for (path, bans) in BESIDES {
        let listed = others.iter().find(|file| file.path == *path).map(banned).unwrap_or_default();
        for ban in bans.iter().filter(|ban| !listed.contains(ban)) {
            let message = format!("does not ban `{ban}`; add it to `disallowed-methods` with a reason");
            violations.push(Violation::new(path, 1, message));
        }
    }
    violations
}

/// Everything the root says must be said again: every ban, every setting.
fn repeats(root: &File, file: &File) -> Vec<Violation> {
    let listed = banned(file);
    let bans =
        banned(root).into_iter().filter(|ban| !listed.contains(ban)).map(|ban| format!("the ban of `{ban}`"));
    let said = settings(file);
    let unsaid = settings(root)
        .into_iter()
        .filter(|setting| !said.contains(setting))
        .map(|setting| format!("`{setting}`"));
    bans.chain(unsaid)
        .map(|what| {
            let message = format!(
                "lacks {what} of the root's clippy.toml; repeat it, clippy reads only the nearest file"
            );
            Violation::new(&file.path, 1, message)
        })
        .collect()
}

/// The value of `path = "…"` in an entry.
fn banned(file: &File) -> Vec<&str> {
    entries(file).filter_map(|(_, entry)| entry.split_once("path = \"")?.1.split('"').next()).collect()
}

fn entries(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| line.starts_with('{'))
}

/// Settings of one line: `key = value`.
fn settings(file: &File) -> Vec<&str> {
    let lines = file.text.lines().map(str::trim);
    lines
        .filter(|line| !line.starts_with(['#', '{']) && line.contains(" = ") && !line.ends_with('['))
        .collect()
}

fn without_reason(file: &File) -> Vec<Violation> {
    let silent = entries(file).filter(|(_, entry)| !entry.contains("reason = \""));
    silent
        .map(|(line, _)| Violation::new(&file.path, line, "a ban without a reason; say what to use instead"))
        .collect()
}

#[test]
fn every_nested_clippy_file_repeats_the_root() {
    let tree = Tree::here().unwrap();
    let root = tree.file("clippy.toml").unwrap();
    let others: Vec<File> =
        tree.named("clippy.toml").unwrap().into_iter().filter(|file| file.path != root.path).collect();
    assert_none(&check(&root, &others));
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "limit = 70\ndisallowed-methods = [\n  { path = \"a::b\", reason = \"x\" },\n]\n";

    fn messages(domain: &str) -> Vec<String> {
        let found = check(&File::new("clippy.toml", ROOT), &[File::new("domain/clippy.toml", domain)]);
        found.into_iter().map(|violation| violation.message).collect()
    }

    fn domain_list() -> String {
        let bans: Vec<String> =
            BESIDES[0].1.iter().map(|ban| format!("  {{ path = \"{ban}\", reason = \"y\" }},\n")).collect();
        format!(
            "limit = 70\ndisallowed-methods = [\n  {{ path = \"a::b\", reason = \"x\" }},\n{}]\n",
            bans.concat()
        )
    }

    #[test]
    fn a_repeated_and_extended_list_is_accepted() {
        assert_eq!(messages(&domain_list()), [""; 0]);
    }

    #[test]
    fn each_omission_is_reported() {
        assert!(messages(&domain_list().replace("a::b", "a::c"))[0].contains("the ban of `a::b`"));
        assert!(messages(&domain_list().replace("limit = 70", "limit = 90"))[0].contains("`limit = 70`"));
        assert!(
            messages(&domain_list().replace("new_v4", "new_v7"))[0]
                .contains("does not ban `uuid::Uuid::new_v4`")
        );
        assert!(messages(&domain_list().replace(", reason = \"x\"", ""))[0].contains("without a reason"));
        assert_eq!(check(&File::new("clippy.toml", ROOT), &[]).len(), 3);
    }
}
