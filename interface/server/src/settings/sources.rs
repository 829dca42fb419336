//! Where settings come from, and which source wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use hive_grpc_kit::settings::{Effective, Given, Origin, Problem};

use super::env_file::{self, FILE};
use super::flat::{self, FlatNames};
use super::{DEFAULTS, names};

/// The place of a line of the file.
fn at(line: usize) -> Origin {
    Origin::File(format!("{FILE}, line {line}"))
}

/// Everything that was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    given: Vec<Given>,
    pub(super) problems: Vec<Problem>,
}

impl Sources {
    /// What the process finds: the file in the current folder and its environment.
    pub(crate) fn of_process() -> Self {
        let mut sources = Self::default();
        match env_file::read(Path::new(FILE)) {
            Ok(Some(text)) => sources.add_lines(&text),
            Ok(None) => {}
            Err(error) => {
                sources.problem(FILE, Origin::File("file".to_owned()), format!("cannot be read: {error}"));
            }
        }
        sources.add_variables(std::env::vars_os());
        sources
    }

    /// Adds the lines of a file.
    pub(super) fn add_lines(&mut self, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let origin = at(index + 1);
            match env_file::parse_line(line) {
                Ok(Some((name, value))) => self.add(name, value, origin),
                Ok(None) => {}
                Err(()) => self.problem(FILE, origin, "is no comment and no NAME=value".to_owned()),
            }
        }
    }

    /// Adds environment variables.
    pub(super) fn add_variables(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        // Sorted: names that differ in case only must not depend on the order of the environment.
        let ours = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let ours: BTreeMap<String, OsString> =
            ours.filter(|(name, _)| names::path_of(name).is_some() || flat::is_flat(name)).collect();
        for (name, value) in ours {
            match value.into_string() {
                Ok(value) => self.add(&name, &value, Origin::Environment),
                Err(_) => self.problem(&name, Origin::Environment, "is not UTF-8 text".to_owned()),
            }
        }
    }

    /// The defaults by path.
    pub(super) fn defaults() -> Effective {
        // An empty default is one too: the setting exists and has no value.
        let lines = DEFAULTS.lines().filter_map(|line| env_file::parse_line(line).ok().flatten());
        let given = lines.map(|(name, value)| {
            let (name, value) = (name.to_owned(), value.to_owned());
            Given { name, value, origin: Origin::Default }
        });
        given.filter_map(|given| Some((names::path_of(&given.name)?.0, given))).collect()
    }

    /// Every value with its path, the strongest last: a stronger source, then the prefixed name, then the later line.
    pub(super) fn by_strength(&self) -> impl Iterator<Item = (String, &Given)> {
        let placed = self.given.iter().filter_map(|given| Some((names::path_of(&given.name)?, given)));
        let mut placed: Vec<_> = placed.collect();
        placed.sort_by_key(|((_, prefixed), given)| (given.origin == Origin::Environment, *prefixed));
        placed.into_iter().map(|((path, _), given)| (path, given))
    }

    /// The plain names with several meanings, the strongest last.
    pub(super) fn flat(&self) -> FlatNames {
        let mut given: Vec<&Given> = self.given.iter().filter(|given| flat::is_flat(&given.name)).collect();
        given.sort_by_key(|given| given.origin == Origin::Environment);
        FlatNames(given.into_iter().cloned().collect())
    }

    fn add(&mut self, name: &str, value: &str, origin: Origin) {
        let value = value.trim();
        if !value.is_empty() {
            self.given.push(Given { name: name.to_owned(), value: value.to_owned(), origin });
        }
    }

    fn problem(&mut self, name: &str, origin: Origin, message: String) {
        self.problems.push(Problem::new(name, origin, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_source_wins_then_the_prefix() {
        let mut sources = Sources::default();
        sources.add_lines(
            "RETRY_MAX_INTERVAL_MS=1\nORCHESTRATION__RETRY_MAX_INTERVAL_MS=2\nSLA_DEFAULT_TIMEOUT_MS=3",
        );
        let value = |sources: &Sources, path: &str| {
            let found = sources.by_strength().filter(|(found, _)| found == path).last();
            found.map(|(_, given)| given.value.clone())
        };
        assert_eq!(value(&sources, "orchestration.retry_max_interval_ms").as_deref(), Some("2"));
        sources.add_variables(
            [("retry_max_interval_ms", "4"), ("SLA_DEFAULT_TIMEOUT_MS", ""), ("HOME", "/x")]
                .map(|(name, value)| (name.into(), value.into()))
                .into_iter(),
        );
        assert_eq!(value(&sources, "orchestration.retry_max_interval_ms").as_deref(), Some("4"));
        let unset_again = value(&sources, "orchestration.sla_default_timeout_ms");
        assert_eq!(unset_again.as_deref(), Some("3"), "an empty value is none");
        assert_eq!(Sources::defaults()["orchestration.retry_initial_interval_ms"].value, "1000");
    }
}
