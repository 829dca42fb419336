//! The binary `hive`, tested as its user runs it.

mod auth;
mod bad_input;
mod crash;
mod examples;
mod lock;
mod logs;
mod metrics;
mod output;
mod postgres;
mod remembered;
mod roles;
mod signals;
mod tls;
mod traces;
mod up;
mod usage;
