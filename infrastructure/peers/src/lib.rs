//! The other contexts, as a context sees them: adapters of the ports `TicketGateway`, `TicketDesk`, `AgentDirectory` and
//! `RegistryDesk`.
//!
//! Contexts share no table and no transaction, not even in one process: they meet here, within a process or over gRPC.

mod discovery;
pub mod grpc;
pub mod in_process;
