//! From names to addresses.

use std::{fmt, io, net::SocketAddr, pin::Pin};

/// Finds the addresses behind a name: DNS, or a registry of services.
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// The addresses of a host at present. Asked again while they are in use, and when one of them fails.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dns;

impl Resolve for Dns {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}
