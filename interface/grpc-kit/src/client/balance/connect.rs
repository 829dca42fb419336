//! Making connections, and what their failures mean.

use std::{error::Error, net::SocketAddr, time::Duration};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tonic::body::Body;

use crate::{
    failure::{Failure, Kind, codes},
    tls::ClientTls,
};

/// A client's side of one HTTP/2 connection.
pub(super) type Sender = SendRequest<Body>;

/// HTTP/2 windows, as the server's: one stream fills a fast local network, and memory a connection stays bounded.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// How connections are made, by the settings.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    http2: http2::Builder<TokioExecutor>,
    timeout: Duration,
    tls: Option<ClientTls>,
}

impl Connector {
    /// `keep_alive` is how often a connection with calls but no traffic is pinged, and how long an answer may take.
    pub(super) fn new(
        timeout: Duration,
        keep_alive: Option<(Duration, Duration)>,
        header_bytes: u32,
        tls: Option<ClientTls>,
    ) -> Self {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(header_bytes);
        if let Some((every, patience)) = keep_alive {
            http2.keep_alive_interval(every).keep_alive_timeout(patience).keep_alive_while_idle(false);
        }
        Self { http2, timeout, tls }
    }

    /// Connects within the time for it. The connection is driven by a task of its own, which ends with it.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Sender, Box<dyn Error + Send + Sync>> {
        tokio::time::timeout(self.timeout, self.handshake(address)).await?
    }

    async fn handshake(&self, address: SocketAddr) -> Result<Sender, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(address).await?;
        // Calls are small: waiting to fill packets only delays them.
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => self.speak(address, tls.connect(stream).await?).await,
            None => self.speak(address, stream).await,
        }
    }

    async fn speak(
        &self,
        address: SocketAddr,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Sender, Box<dyn Error + Send + Sync>> {
        let (sender, connection) = self.http2.handshake(TokioIo::new(io)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%address, %error, "a connection broke");
            }
        });
        Ok(sender)
    }
}

/// What a broken call means. HTTP/2 error codes stand for gRPC codes as the protocol says (gRPC over HTTP/2, "Errors");
/// a refused stream, and one above the last that a leaving server takes, were certainly not processed.
pub(super) fn failure(error: hyper::Error) -> Failure {
    let mut next: Option<&(dyn Error + 'static)> = Some(&error);
    let mut found = None;
    while let Some(cause) = next {
        if let Some(broken) = cause.downcast_ref::<h2::Error>() {
            found = Some(by_http2(broken));
        }
        next = cause.source();
    }
    let failure = found.unwrap_or_else(|| Failure::new(Kind::Unavailable, "the connection broke"));
    failure.caused_by(error)
}

fn by_http2(error: &h2::Error) -> Failure {
    let leaving = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    if leaving {
        return Failure::new(Kind::Unavailable, "the server is leaving").untouched();
    }
    if !error.is_reset() {
        return Failure::new(Kind::Unavailable, "the connection broke");
    }
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => {
            Failure::new(Kind::Unavailable, "the server refused the call").untouched()
        }
        Some(h2::Reason::CANCEL) => Failure::new(Kind::Cancelled, "the server cancelled the call"),
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Failure::new(Kind::Overloaded, "the server is overloaded"),
        Some(h2::Reason::INADEQUATE_SECURITY) => {
            Failure::new(Kind::PermissionDenied, "the server wants a better connection")
        }
        _ => Failure::new(Kind::Internal, codes::FIXED_TEXT),
    }
}
