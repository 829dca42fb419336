//! `neural_hive.orchestration.OrchestratorService` over the orchestration use cases.

mod convert;
mod service;

pub use service::OrchestratorService;
