//! The other contexts, as a context sees them: adapters of the ports `TicketGateway`, `TicketDesk` and `AgentDirectory`.
//!
//! Contexts share no table and no transaction, not even in one process: they meet here. A context reached over the
//! network gets its own adapter of the same port.

pub mod in_process;
