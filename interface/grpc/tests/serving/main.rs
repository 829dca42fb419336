//! The servicers on real facades and real databases, called by the generated clients without a network between.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod orchestration;
mod registry;
mod stand;
