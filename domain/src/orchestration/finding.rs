//! What validation has to say: a closed list of codes, each finding with the path of the field it is about.

use std::fmt::{self, Display, Write};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// Why a message is refused, or what was assumed about it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $variant),+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $text),+
                }
            }
        }
    };
}

codes!(
    /// A field is of the wrong type, out of its range or not one of its words.
    SchemaInvalid = "SCHEMA_INVALID",
    /// A required field is absent.
    MissingField = "MISSING_FIELD",
    /// The schema version is not the one understood here.
    UnsupportedSchemaVersion = "UNSUPPORTED_SCHEMA_VERSION",
    /// The plan, or the decision about it, is no longer valid.
    PlanExpired = "PLAN_EXPIRED",
    /// The plan has no tasks.
    EmptyPlan = "EMPTY_PLAN",
    /// Two tasks have the same id.
    DuplicateTaskId = "DUPLICATE_TASK_ID",
    /// The execution order names a task that does not exist.
    UnknownTaskInOrder = "UNKNOWN_TASK_IN_ORDER",
    /// A task is missing from the execution order.
    TaskNotInOrder = "TASK_NOT_IN_ORDER",
    /// The execution order names a task twice.
    DuplicateInOrder = "DUPLICATE_IN_ORDER",
    /// A task depends on a task that does not exist.
    UnknownDependency = "UNKNOWN_DEPENDENCY",
    /// A task depends on itself.
    SelfDependency = "SELF_DEPENDENCY",
    /// Tasks depend on each other in a circle.
    Cycle = "CYCLE",
    /// The execution order puts a task before one it depends on; only ever a warning, the order is computed anew.
    OrderNotTopological = "ORDER_NOT_TOPOLOGICAL",
    /// A policy forbids what the plan asks for.
    PolicyViolation = "POLICY_VIOLATION",
    /// The plan has more tasks than allowed.
    TooManyTasks = "TOO_MANY_TASKS",
    /// A text is longer than allowed.
    FieldTooLong = "FIELD_TOO_LONG",
    /// Arrays and objects are nested deeper than allowed.
    NestingTooDeep = "NESTING_TOO_DEEP",
    /// The message has more bytes than allowed.
    MessageTooLarge = "MESSAGE_TOO_LARGE",
    /// An identifier is empty, too long or not printable.
    InvalidId = "INVALID_ID",
    /// A decision and its plan, or an envelope and its plan, name different ids.
    PlanMismatch = "PLAN_MISMATCH",
    /// A decision approves a plan that it does not carry and the ledger does not hold.
    PlanNotFound = "PLAN_NOT_FOUND",
    /// A plan with this id but other content has already run.
    PlanConflict = "PLAN_CONFLICT",
    /// An absent or unusable optional field took its default; only ever a warning.
    DefaultApplied = "DEFAULT_APPLIED",
);

impl Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// The field, like `cognitive_plan.tasks[3].dependencies[0]`; `$` is the whole message.
    pub path: String,
    /// The finding in words. Quoted input is shortened.
    pub message: String,
}

impl Finding {
    /// A finding from its parts.
    pub fn new(code: Code, path: impl Display, message: impl Display) -> Self {
        Self { code, path: path.to_string(), message: message.to_string() }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.code, self.path, self.message)
    }
}

/// Everything found in one message, in the order of the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Reasons to refuse the message.
    pub errors: Vec<Finding>,
    /// What was assumed or corrected.
    pub warnings: Vec<Finding>,
    errors_left_out: LeftOut,
    warnings_left_out: LeftOut,
}

/// How many findings a full list refused, and the code of the first.
type LeftOut = Option<(Code, usize)>;

impl Findings {
    /// Findings kept of each kind, so that a hostile message cannot fill the memory; the rest is only counted.
    pub const MAX: usize = 1_000;

    /// Adds a reason to refuse the message.
    pub fn error(&mut self, code: Code, path: impl Display, message: impl Display) {
        keep(&mut self.errors, &mut self.errors_left_out, code, path, message);
    }

    /// Adds something assumed or corrected.
    pub fn warning(&mut self, code: Code, path: impl Display, message: impl Display) {
        keep(&mut self.warnings, &mut self.warnings_left_out, code, path, message);
    }

    /// Adds a reason to refuse the message that was found elsewhere.
    pub fn add_error(&mut self, finding: Finding) {
        self.error(finding.code, finding.path, finding.message);
    }

    /// Whether nothing speaks against the message.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// Brings the findings into the order of the rules, and ends each full list with one that counts what was left out.
    pub(super) fn close(&mut self) {
        self.errors.sort_by_key(|finding| finding.code);
        for (list, left_out) in
            [(&mut self.errors, &mut self.errors_left_out), (&mut self.warnings, &mut self.warnings_left_out)]
        {
            if let Some((code, count)) = left_out.take() {
                list.push(Finding::new(code, "$", format_args!("and {count} more like these")));
            }
        }
    }
}

fn keep(
    list: &mut Vec<Finding>,
    left_out: &mut LeftOut,
    code: Code,
    path: impl Display,
    message: impl Display,
) {
    if list.len() < Findings::MAX {
        list.push(Finding::new(code, path, message));
    } else {
        left_out.get_or_insert((code, 0)).1 += 1;
    }
}

/// Input as it may appear in a finding: in backticks, control characters escaped, shortened.
pub(super) struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", Shortened(self.0))
    }
}

/// The first characters of a text from outside, control characters escaped.
pub(super) struct Shortened<'a>(pub &'a str);

impl Shortened<'_> {
    const MAX_CHARS: usize = 64;
}

impl Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, c) in self.0.chars().enumerate() {
            if index == Self::MAX_CHARS {
                return f.write_char('…');
            }
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_screaming() {
        let mut texts: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(texts.iter().all(|text| text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')));
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Code::ALL.len());
    }

    #[test]
    fn a_full_list_ends_with_a_count() {
        let mut findings = Findings::default();
        for index in 0..Findings::MAX + 7 {
            findings.error(Code::UnknownDependency, index, "gone");
        }
        findings.close();
        assert_eq!(findings.errors.len(), Findings::MAX + 1);
        assert_eq!(findings.errors[Findings::MAX].message, "and 7 more like these");
        assert!(findings.warnings.is_empty());
    }

    #[test]
    fn quoted_input_is_short_and_printable() {
        assert_eq!(Quoted("a\nb").to_string(), "`a\\nb`");
        assert_eq!(Quoted(&"é".repeat(100_000)).to_string().chars().count(), 64 + 3);
    }
}
