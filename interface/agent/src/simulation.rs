//! What the reference agent does with a ticket: what its parameters say, or simply nothing, successfully.

use hive_domain::json::{Json, Object};

/// The work of one try.
///
/// | parameter | meaning |
/// | --- | --- |
/// | `simulate.duration_ms` | take this long |
/// | `simulate.fail_times` | fail this many tries, in a way that may be tried again |
/// | `simulate.fatal` | `true`: fail in a way that may not |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Simulation {
    /// Milliseconds to take.
    pub duration_ms: i64,
    /// Tries to fail.
    pub fail_times: i64,
    /// Whether to fail for good.
    pub fatal: bool,
}

/// How a try went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Completed,
    Failed { message: String, retryable: bool },
}

impl Simulation {
    /// Reads the parameters; anything unreadable counts as not said.
    pub fn of(parameters: &Object) -> Self {
        Simulation {
            duration_ms: number(parameters, "simulate.duration_ms"),
            fail_times: number(parameters, "simulate.fail_times"),
            fatal: match parameters.get("simulate.fatal") {
                Some(Json::Bool(fatal)) => *fatal,
                Some(Json::Text(text)) => text == "true",
                _ => false,
            },
        }
    }

    pub(crate) fn outcome(&self, retry_count: i32) -> Outcome {
        if self.fatal {
            return Outcome::Failed { message: "simulated fatal failure".to_owned(), retryable: false };
        }
        let attempt = i64::from(retry_count) + 1;
        if attempt <= self.fail_times {
            let message = format!("simulated failure {attempt} of {}", self.fail_times);
            return Outcome::Failed { message, retryable: true };
        }
        Outcome::Completed
    }
}

fn number(parameters: &Object, key: &str) -> i64 {
    let number = match parameters.get(key) {
        Some(Json::Int(number)) => i64::try_from(*number).ok(),
        Some(Json::Text(text)) => text.parse().ok(),
        _ => None,
    };
    number.unwrap_or(0).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_numbers_are_read_alike_and_nonsense_is_nothing() {
        let parameters = |value: Json| Object::from([("simulate.duration_ms".to_owned(), value)]);
        assert_eq!(Simulation::of(&parameters(Json::Int(50))).duration_ms, 50);
        assert_eq!(Simulation::of(&parameters("50".into())).duration_ms, 50);
        assert_eq!(Simulation::of(&parameters("soon".into())).duration_ms, 0);
        assert_eq!(Simulation::of(&parameters(Json::Int(-1))).duration_ms, 0);
    }

    #[test]
    fn failures_end_after_the_given_tries() {
        let simulation = Simulation { fail_times: 2, ..Simulation::default() };
        assert!(matches!(simulation.outcome(1), Outcome::Failed { retryable: true, .. }));
        assert_eq!(simulation.outcome(2), Outcome::Completed);
        let fatal = Simulation { fatal: true, ..simulation };
        assert!(matches!(fatal.outcome(9), Outcome::Failed { retryable: false, .. }));
    }
}
