//! The client factory's channels, over real sockets.

mod backend;
mod calls;
mod failing;
mod hops;
mod onward;
mod retries;
mod rolling;
