//! Identifiers: parsed once at the edge, cheap to clone afterwards.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has no characters.
    #[error("must not be empty")]
    Empty,
    /// The text has more characters than the schema stores.
    #[error("must have at most {max} characters, has {actual}")]
    TooLong {
        /// Characters allowed.
        max: usize,
        /// Characters found.
        actual: usize,
    },
    /// The text holds a control character.
    #[error("must hold printable characters only")]
    NotPrintable,
}

/// Checks the rule shared by all identifiers: 1 to `max` printable characters.
pub fn check_id(text: &str, max: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    let actual = text.chars().count();
    if actual > max {
        return Err(IdError::TooLong { max, actual });
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::NotPrintable);
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Characters an identifier of this kind may have.
            pub const MAX_CHARS: usize = $max;

            /// Accepts 1 to [`Self::MAX_CHARS`] printable characters.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check_id(text, $max)?;
                Ok(Self(text.into()))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// A ticket.
    TicketId, 36
);
id!(
    /// A plan; also the partition key of everything that follows from it.
    PlanId, 36
);
id!(
    /// The intent a plan was made for.
    IntentId, 36
);
id!(
    /// The decision that approved a plan.
    DecisionId, 36
);
id!(
    /// A task inside a plan; unique only there.
    TaskId, 255
);
id!(
    /// A registered executor.
    AgentId, 255
);
id!(
    /// One flow: `orch-` and the plan id, however the plan arrived.
    WorkflowId, 64
);

const SEPARATOR: u8 = 0x1F;

/// `UUIDv5(URL namespace, "hive:ticket")`: the namespace of every derived id.
fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, b"hive:ticket")
}

fn derive(parts: [&str; 2]) -> Arc<str> {
    let mut name = Vec::with_capacity(parts[0].len() + parts[1].len() + 1);
    name.extend_from_slice(parts[0].as_bytes());
    name.push(SEPARATOR);
    name.extend_from_slice(parts[1].as_bytes());
    let mut text = Uuid::encode_buffer();
    let text: &str = Uuid::new_v5(&namespace(), &name).hyphenated().encode_lower(&mut text);
    text.into()
}

impl TicketId {
    /// The ticket of a task: a repeated step finds its own work, because the id depends on nothing else.
    pub fn for_task(plan: &PlanId, task: &TaskId) -> Self {
        Self(derive([plan.as_str(), task.as_str()]))
    }

    /// The ticket that undoes `original`.
    pub fn for_compensation(original: &TicketId) -> Self {
        Self(derive(["compensate", original.as_str()]))
    }
}

impl DecisionId {
    /// The decision id of a plan that arrived without a decision.
    pub fn for_direct_plan(plan: &PlanId) -> Self {
        Self(derive(["decision", plan.as_str()]))
    }
}

impl WorkflowId {
    /// The one flow of a plan.
    pub fn for_plan(plan: &PlanId) -> Self {
        Self(format!("orch-{plan}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-4
    #[test]
    fn derived_ids_are_stable_and_distinct() {
        let plan = PlanId::parse("plan-xyz").unwrap();
        let a = TicketId::for_task(&plan, &TaskId::parse("a").unwrap());
        assert_eq!(a, TicketId::for_task(&plan, &TaskId::parse("a").unwrap()));
        assert_ne!(a, TicketId::for_task(&plan, &TaskId::parse("b").unwrap()));
        assert_ne!(a, TicketId::for_compensation(&a));
        assert_eq!(a.as_str().len(), 36);
        // The recipe by hand: uuid5(uuid5(NAMESPACE_URL, "hive:ticket"), "plan-xyz\x1fa").
        let by_hand = Uuid::new_v5(&namespace(), b"plan-xyz\x1fa").to_string();
        assert_eq!(a.as_str(), by_hand);
    }

    #[test]
    fn a_separator_cannot_be_forged() {
        // 0x1F is a control character, so no two (plan, task) pairs concatenate to the same name.
        assert_eq!(PlanId::parse("a\u{1f}b"), Err(IdError::NotPrintable));
    }

    #[test]
    fn limits() {
        assert_eq!(TicketId::parse(""), Err(IdError::Empty));
        assert!(TicketId::parse(&"é".repeat(36)).is_ok());
        assert_eq!(TicketId::parse(&"x".repeat(37)), Err(IdError::TooLong { max: 36, actual: 37 }));
        assert!(TaskId::parse(&"x".repeat(255)).is_ok());
        assert_eq!(TicketId::parse("tk-\0"), Err(IdError::NotPrintable));
    }
}
