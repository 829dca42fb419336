//! The server as its clients see it, over real sockets and in memory.

mod calls;
mod client;
mod keys;
mod lifecycle;
mod operations;
mod refusals;
mod servicer;
mod tls;
