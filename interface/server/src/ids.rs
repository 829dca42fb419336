//! Random ids.

use hive_application::ids::IdGenerator;

/// Ids from the random numbers of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RandomIds;

impl IdGenerator for RandomIds {
    fn uuid(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }
}
