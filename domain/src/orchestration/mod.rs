//! The orchestration context: how an approved plan becomes work, step by step.
//!
//! Reading order: [`message`] and [`limits`] (what arrives), [`validation`] (what is wrong with it, as [`finding`]s),
//! [`plan`] and [`graph`] (what is left when nothing is), [`generation`] (C2), [`allocation`] (C3), [`flow`] (what happens
//! when), [`consolidation`] (C5), [`telemetry`] (C6).

pub mod allocation;
pub mod consolidation;
pub mod finding;
pub mod flow;
pub mod generation;
pub mod graph;
pub mod limits;
pub mod message;
mod path;
pub mod plan;
pub mod telemetry;
pub mod validation;
