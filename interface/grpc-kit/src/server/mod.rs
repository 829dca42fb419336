//! The server: its settings, what is registered, the stack of layers, and serving until drained.

pub mod builder;
mod calls;
mod check;
pub mod config;
mod connection;
pub mod layered;
pub mod peers;
mod pieces;
mod preface;
mod reflection;
pub mod router;
pub mod serve;
pub mod stack;
