//! The closed vocabularies of the ticket schema, with their exact wire words.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// Every word, in schema order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word on the wire and in storage.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text),+
                }
            }

            /// Reads the exact word.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some($name::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// What kind of work a ticket is.
    TaskType {
        /// Makes an artifact.
        Build = "BUILD",
        /// Brings something into an environment.
        Deploy = "DEPLOY",
        /// Runs tests.
        Test = "TEST",
        /// Checks against a rule.
        Validate = "VALIDATE",
        /// Runs a command.
        Execute = "EXECUTE",
        /// Undoes another ticket.
        Compensate = "COMPENSATE",
        /// Reads data.
        Query = "QUERY",
        /// Reshapes data.
        Transform = "TRANSFORM",
    }
);

words!(
    /// How urgent a ticket is; ordered.
    Priority {
        /// Runs when nothing else wants to.
        Low = "LOW",
        /// The default.
        Normal = "NORMAL",
        /// Before the default.
        High = "HIGH",
        /// Before everything.
        Critical = "CRITICAL",
    }
);

impl Priority {
    /// The platform's 1–10 scale: up to 2 LOW, up to 5 NORMAL, up to 8 HIGH, above CRITICAL.
    pub const fn from_scale(number: i128) -> Self {
        match number {
            ..=2 => Priority::Low,
            3..=5 => Priority::Normal,
            6..=8 => Priority::High,
            _ => Priority::Critical,
        }
    }
}

words!(
    /// The risk band of a plan; ordered.
    RiskBand {
        /// Little harm possible.
        Low = "low",
        /// Some harm possible.
        Medium = "medium",
        /// Much harm possible.
        High = "high",
        /// The most harm possible.
        Critical = "critical",
    }
);

words!(
    /// Who may see what a ticket works on.
    SecurityLevel {
        /// Anyone.
        Public = "PUBLIC",
        /// The organisation.
        Internal = "INTERNAL",
        /// Those who need to know.
        Confidential = "CONFIDENTIAL",
        /// Named people.
        Restricted = "RESTRICTED",
    }
);

words!(
    /// How often a ticket's effect may happen.
    DeliveryMode {
        /// Lost rather than repeated.
        AtMostOnce = "AT_MOST_ONCE",
        /// Repeated rather than lost.
        AtLeastOnce = "AT_LEAST_ONCE",
        /// Neither.
        ExactlyOnce = "EXACTLY_ONCE",
    }
);

words!(
    /// How soon every reader must see a ticket's effect.
    Consistency {
        /// In time.
        Eventual = "EVENTUAL",
        /// At once.
        Strong = "STRONG",
    }
);

words!(
    /// Whether a ticket must survive a restart.
    Durability {
        /// It need not.
        Transient = "TRANSIENT",
        /// It must.
        Persistent = "PERSISTENT",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_and_no_other_case_does() {
        for word in TaskType::ALL {
            assert_eq!(TaskType::parse(word.as_str()), Some(*word));
        }
        for band in RiskBand::ALL {
            assert_eq!(RiskBand::parse(band.as_str()), Some(*band));
        }
        assert_eq!(RiskBand::parse("HIGH"), None);
        assert_eq!(TaskType::parse("query"), None);
    }

    #[test]
    fn the_scale_maps_as_the_existing_model_does() {
        let mapped: Vec<_> = [-1, 2, 3, 5, 6, 8, 9, 10].map(Priority::from_scale).to_vec();
        use Priority::{Critical, High, Low, Normal};
        assert_eq!(mapped, [Low, Low, Normal, Normal, High, High, Critical, Critical]);
    }
}
