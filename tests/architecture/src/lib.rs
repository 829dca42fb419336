//! Reading the workspace as text, for the rules under `tests/rules`.
//!
//! A rule is a function from [`File`]s to [`Violation`]s, so that it can be shown a bad file in its own unit test, and
//! one test that runs it over [`Tree::here`]. To add a rule: a file under `tests/rules`, a line in its `main.rs`.
//!
//! Rules look at [`File::code`], the text without comments and literals: a rule's own messages and samples are
//! literals, and so cannot trip it.

mod file;
mod mask;
mod paths;
mod tokens;
mod tree;
mod violation;

pub use file::File;
pub use paths::{CodePath, code_paths};
pub use tokens::{Token, tokens};
pub use tree::Tree;
pub use violation::{Violation, assert_none};
