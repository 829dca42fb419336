//! Printing what is in effect, in the form in which it can be read again.

use std::fmt::Write;

use hive_grpc_kit::settings::{Effective, Given, Origin};

use super::{DEFAULTS, names};

/// The commented defaults with the values in effect in their place; a value that is no default is preceded by where it
/// comes from.
pub(crate) fn dump(effective: &Effective) -> String {
    let mut out = String::with_capacity(DEFAULTS.len() + 512);
    for line in DEFAULTS.lines() {
        let setting = line.split_once('=').filter(|_| !line.starts_with('#'));
        let given = setting.and_then(|(name, _)| {
            let (path, _) = names::path_of(name)?;
            Some((name, names::is_secret(&path), effective.get(&path)?))
        });
        match given {
            Some((name, true, Given { origin, .. })) if *origin != Origin::Default => {
                let _ = writeln!(out, "# (from {origin}; set, not shown)\n{name}=");
            }
            Some((name, _, Given { value, origin, .. })) => {
                if *origin != Origin::Default {
                    let _ = writeln!(out, "# (from {origin})");
                }
                let _ = writeln!(out, "{name}={}", one_line(value));
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// No value means anything by its line breaks.
fn one_line(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}
