//! `neural_hive.service_registry.ServiceRegistry` over the registry's use cases.

mod convert;
mod events;
mod service;

pub use service::RegistryService;
