//! What is wrong with settings, and how a process ends with it.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::client::{ClientConfigError, TargetError};
use crate::server::builder::BuildError;
use crate::server::config::ConfigError;
use crate::tls::TlsError;

/// Where a value was written, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Built in.
    Default,
    /// A file; the text says which, and where in it.
    File(String),
    /// The environment of the process.
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Default => "default",
            Origin::File(place) => place,
            Origin::Environment => "environment",
        })
    }
}

/// One thing wrong. Values are never told: one of them may be a secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key as it was written.
    pub name: String,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// The key that was probably meant, where this one does not exist.
    pub nearest: Option<String>,
}

impl Problem {
    /// A value, or its source, that cannot be used.
    pub fn new(name: impl Into<String>, origin: Origin, message: impl Into<String>) -> Self {
        Problem { name: name.into(), origin, message: message.into(), nearest: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.origin, self.message)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; the nearest is {nearest}"),
            None => Ok(()),
        }
    }
}

/// Everything wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl SettingsError {
    /// How a process ends that was given wrong settings: EX_USAGE of BSD's sysexits.
    pub const EXIT_CODE: u8 = 64;
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Error for SettingsError {}

/// What `main` ends with: 0; [`SettingsError::EXIT_CODE`] for settings that cannot be used, by whatever part of the kit
/// found it; 1 for anything else. What went wrong is written to standard error.
pub fn exit_code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    // Whoever closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
    if is_of_settings(&*error) { ExitCode::from(SettingsError::EXIT_CODE) } else { ExitCode::FAILURE }
}

fn is_of_settings(error: &(dyn Error + 'static)) -> bool {
    let by_build = matches!(error.downcast_ref(), Some(BuildError::Config(_) | BuildError::Tls(_)));
    let by_target = matches!(error.downcast_ref(), Some(TargetError::Tls(_)));
    let own = error.is::<SettingsError>() || error.is::<ConfigError>();
    by_build || by_target || own || error.is::<ClientConfigError>() || error.is::<TlsError>()
}

/// The one of the valid names that is the fewest changed characters away.
pub fn nearest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    valid.into_iter().min_by_key(|valid| distance(name, valid))
}

/// Characters to insert, delete or replace to get from one text to the other (Levenshtein), over bytes.
fn distance(from: &str, to: &str) -> usize {
    // Nobody's typo is longer than that, and the work is the product of both lengths.
    let from = &from.as_bytes()[..from.len().min(256)];
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(*a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, steps) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "ab", 0)] {
            assert_eq!(distance(from, to), steps, "{from} {to}");
        }
        assert_eq!(distance(&"x".repeat(100_000), "x"), 255);
    }

    #[test]
    fn wrong_settings_end_a_process_with_their_own_code() {
        let wrong = || SettingsError { problems: vec![Problem::new("A", Origin::Environment, "must be B")] };
        let code = |error: Box<dyn Error>| format!("{:?}", exit_code(Err(error)));
        let of_settings = format!("{:?}", ExitCode::from(64));
        assert_eq!(code(Box::new(wrong())), of_settings);
        let weak = || ConfigError::WeakSecret { key: "GRPC__SERVER__AUTH__JWT_SECRET" };
        assert_eq!(code(Box::new(BuildError::Config(weak()))), of_settings);
        assert_eq!(code(Box::new(weak())), of_settings);
        assert_eq!(code("a port in use".into()), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(format!("{:?}", exit_code(Ok(()))), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(wrong().to_string(), "A (environment): must be B");
    }
}
