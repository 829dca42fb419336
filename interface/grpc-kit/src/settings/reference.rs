//! The reference page of the settings, made from the default file and from what the types say about their values, and
//! compared with the one that is kept. `cargo xtask reference` rewrites it.

use std::path::Path;
use std::{env, fs};

use super::*;

const PAGE: &str = "docs/reference/grpc-kit-settings.md";
/// Set by `cargo xtask reference`.
const WRITE: &str = "HIVE_WRITE_REFERENCE";

const HEAD: &str = "\
# Settings of the gRPC kit

Written by `cargo xtask reference` from the default file
[`defaults.toml`](../../interface/grpc-kit/src/settings/defaults.toml) and the types that read it.

A key is an environment variable. In the file that the variable `GRPC__CONFIG_FILE` names, it is the same in small letters
and with a dot for `__`: `GRPC__SERVER__PORT` is `port` under `[grpc.server]`. A variable wins over the file, the file
over the default. Names may be in any case; an empty value is none. A key that does not exist and a value that does not
fit are told with all others, and the process ends with 64 before it opens a socket.
";

/// A setting of the default file.
struct Setting {
    path: String,
    default: String,
    unit: Option<String>,
    meaning: String,
}

/// The default file: its groups with what is said about them, each with its settings.
fn groups() -> Vec<(String, String, Vec<Setting>)> {
    let mut groups = vec![("the process".to_owned(), String::new(), Vec::new())];
    let mut comment: Vec<&str> = Vec::new();
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
        } else if let Some(group) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            groups.push((group.to_owned(), comment.join(" "), Vec::new()));
            comment.clear();
        } else if let Some((key, default)) = line.split_once(" = ") {
            let (group, _, settings) = groups.last_mut().expect("a group");
            let path = if group.contains(' ') { key.to_owned() } else { format!("{group}.{key}") };
            let text = comment.join(" ");
            let unit = text.strip_prefix('[').and_then(|text| text.split_once("] "));
            let (unit, meaning) = match unit {
                Some((unit, meaning)) => (Some(unit.to_owned()), meaning.to_owned()),
                None => (None, text.clone()),
            };
            settings.push(Setting { path, default: default.to_owned(), unit, meaning });
            comment.clear();
        } else {
            // The text at the top belongs to nothing.
            comment.clear();
        }
    }
    groups
}

/// What the types say about a value: what they say when it is wrong.
fn kind(setting: &Setting) -> String {
    let mut layers = Layers::over(defaults());
    let wrong = Given { name: String::new(), value: "\u{1}".to_owned(), origin: Origin::Environment };
    layers.set(setting.path.clone(), wrong);
    match layers.read(|_: &Root| Vec::new()) {
        Err(error) => {
            let message = &error.problems[0].message;
            let message = message.strip_prefix("must be ").unwrap_or(message);
            message.strip_prefix("one of ").unwrap_or(message).to_owned()
        }
        Ok(_) if setting.default == "[]" => "texts, in a variable with commas between".to_owned(),
        Ok(_) => "text".to_owned(),
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (group, meaning, settings) in groups() {
        let title = if group.contains(' ') { group } else { format!("`[{group}]`") };
        page.push_str(&format!("\n## {title}\n"));
        if !meaning.is_empty() {
            page.push_str(&format!("\n{meaning}\n"));
        }
        if !settings.is_empty() {
            page.push_str("\n| key | type | default | unit | meaning |\n| --- | --- | --- | --- | --- |\n");
        }
        for setting in settings {
            let default = setting.default.trim_matches('"');
            let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
            let (name, kind) = (name(&setting.path), kind(&setting));
            let unit = setting.unit.as_deref().unwrap_or_default();
            page.push_str(&format!("| `{name}` | {kind} | {default} | {unit} | {} |\n", setting.meaning));
        }
    }
    page
}

#[test]
fn the_reference_page_is_the_one_in_the_tree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let page = page();
    if env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, &page).expect("written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "{PAGE} is not as it would be written; run `cargo xtask reference` and commit it");
}

#[test]
fn every_setting_says_what_it_is() {
    let settings: Vec<Setting> = groups().into_iter().flat_map(|(_, _, settings)| settings).collect();
    assert_eq!(settings.len(), defaults().len());
    for setting in settings {
        assert!(!setting.meaning.is_empty() && setting.meaning.ends_with('.'), "{}", setting.path);
        let (kind, path) = (kind(&setting), &setting.path);
        let counts = kind.contains("number") && path != "grpc.server.port";
        assert_eq!(setting.unit.is_some(), counts, "{path}: {kind}");
        assert!(kind != "text" || setting.default == "\"\"", "{path}");
    }
}
