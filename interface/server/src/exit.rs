//! How the process ends.

use std::process::ExitCode;

use hive_application::error::{Error, ErrorKind, chain};

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Success = 0,
    /// The plan did not succeed.
    Unsuccessful = 1,
    /// The input is wrong.
    Input = 2,
    /// The command line, the settings or the data folder are wrong.
    Usage = 64,
    /// A defect of this program.
    Defect = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something the user can put right.
    Usage(String),
    /// The result could not be handed over.
    Output(std::io::Error),
    /// Something needed at the start, like the data folder, does not work.
    Start(String, Error),
    /// Nothing the user did.
    Defect(Error),
}

impl Failure {
    /// How the process ends with it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Usage(_) => Exit::Usage,
            Failure::Output(_) => Exit::Unsuccessful,
            Failure::Start(_, error) if error.kind() == ErrorKind::Internal => Exit::Defect,
            Failure::Start(..) => Exit::Usage,
            Failure::Defect(_) => Exit::Defect,
        }
    }

    /// What the user is told. The causes of a defect go to the log.
    pub(crate) fn message(&self) -> String {
        match self {
            Failure::Usage(message) => message.clone(),
            Failure::Output(error) => format!("the result could not be written: {error}"),
            Failure::Start(what, error) => format!("{what}: {}", chain(error)),
            Failure::Defect(error) => {
                tracing::error!(kind = ?error.kind(), reason = error.reason(), error = chain(error), "defect");
                "internal error; this is a defect of hive, not of the plan".to_owned()
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Defect(error)
    }
}

#[cfg(test)]
mod tests {
    use hive_application::error::Effect;

    use super::*;

    #[test]
    fn a_defect_tells_no_causes() {
        let failure = Failure::from(Error::internal("column x holds y"));
        assert_eq!(failure.exit(), Exit::Defect);
        assert!(!failure.message().contains("column"), "{}", failure.message());
    }

    #[test]
    fn a_start_that_fails_is_the_users_unless_it_is_a_defect() {
        let locked = Error::unavailable("the ticket store", "file is not a database", Effect::None);
        let failure = Failure::Start("data folder d".to_owned(), locked);
        assert_eq!(failure.exit(), Exit::Usage);
        assert_eq!(
            failure.message(),
            "data folder d: the ticket store is unavailable: file is not a database"
        );
        assert_eq!(Failure::Start(String::new(), Error::internal("x")).exit(), Exit::Defect);
    }
}
