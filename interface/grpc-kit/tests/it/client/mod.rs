//! The client factory's channels, over real sockets.

mod backend;
mod calls;
mod failing;
mod hops;
mod retries;
mod rolling;
