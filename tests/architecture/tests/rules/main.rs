//! The rules of the workspace, one file a family. Each says in its failure what to do, and proves on a bad sample that
//! it can fail.

mod banned_code;
mod clippy_lists;
mod contexts;
mod dependencies;
mod edges;
mod files;
mod invariants;
mod manifests;
mod ports;
mod workspace;
