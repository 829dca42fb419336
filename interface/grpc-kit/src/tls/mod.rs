//! TLS for both sides: certificates and keys from PEM files, read again when they change, and who the other side is.

mod client;
mod files;
mod server;

pub(crate) use client::ClientTls;
pub use client::ClientTlsConfig;
pub use files::TlsError;
pub(crate) use server::ServerTls;
pub use server::ServerTlsConfig;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

/// What HTTP/2 is called in the handshake.
const HTTP_2: &[u8] = b"h2";

/// Named for every configuration, so that none of the process's other users of TLS is asked to agree.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
