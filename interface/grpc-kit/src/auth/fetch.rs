//! Getting a key set over HTTP: one GET, one answer of bounded size, in bounded time, no redirect.

use std::{error::Error, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::tls::{ClientTls, TlsError};

/// For the whole exchange.
const PATIENCE: Duration = Duration::from_secs(5);

const MAX_BYTES: usize = 1024 * 1024;

/// A document somewhere.
#[derive(Clone, Debug)]
pub(super) struct Document {
    url: Uri,
    host: String,
    port: u16,
    tls: Option<ClientTls>,
}

/// Why a URL names no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// Neither `http` nor `https`, or no host.
    #[error("it must be like https://host/path")]
    Malformed,
    /// The authorities to trust cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Document {
    /// `ca` names the authorities to trust, instead of the system's.
    pub(super) fn new(url: &str, ca: Option<PathBuf>) -> Result<Self, DocumentError> {
        let url: Uri = url.parse().map_err(|_| DocumentError::Malformed)?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or(DocumentError::Malformed)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let (tls, default) = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => (Some(ClientTls::for_http1(ca, &host)?), 443),
            Some(scheme) if *scheme == Scheme::HTTP => (None, 80),
            _ => return Err(DocumentError::Malformed),
        };
        let port = authority.port_u16().unwrap_or(default);
        Ok(Self { host, port, tls, url })
    }

    /// Its present text.
    pub(super) async fn fetch(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        tokio::time::timeout(PATIENCE, self.get()).await?
    }

    async fn get(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        match &self.tls {
            Some(tls) => self.exchange(tls.connect(stream).await?).await,
            None => self.exchange(stream).await,
        }
    }

    async fn exchange(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        let request = Request::get(self.url.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, self.url.authority().map_or("", |authority| authority.as_str()))
            .header(header::ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())?;
        let answer = async move {
            let response = sender.send_request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(format!("answered {}", response.status()).into());
            }
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await?.to_bytes();
            Ok::<_, Box<dyn Error + Send + Sync>>(String::from_utf8(body.into())?)
        };
        // The connection is driven here, beside its only exchange: no task outlives it.
        let mut connection = std::pin::pin!(connection);
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            answer = &mut answer => return answer,
            ended = &mut connection => ended?,
        }
        answer.await
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// What is fetched from a server that answers with these bytes.
    async fn fetched(answer: Vec<u8>) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys?a=b", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut asked = vec![0; 1024];
            let length = stream.read(&mut asked).await.expect("a request");
            // A client that has read enough may go away before all is written.
            let _ = stream.write_all(&answer).await;
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let document = Document::new(&url, None).expect("a document");
        let fetched = document.fetch().await.map_err(|error| error.to_string());
        assert!(server.await.expect("no panic").starts_with("GET /keys?a=b HTTP/1.1\r\n"));
        fetched
    }

    #[tokio::test]
    async fn only_an_ok_of_bounded_size_is_taken() {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec();
        assert_eq!(fetched(ok).await.as_deref(), Ok("{}"));
        let moved = b"HTTP/1.1 302 Found\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n".to_vec();
        assert!(fetched(moved).await.expect_err("no redirect").contains("302"));
        let mut large = b"HTTP/1.1 200 OK\r\ncontent-length: 1100000\r\n\r\n".to_vec();
        large.resize(1_100_100, b'x');
        fetched(large).await.expect_err("too large");
        fetched(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".to_vec()).await.expect_err("cut off");
        fetched(b"hello".to_vec()).await.expect_err("no HTTP");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "keys", "/keys", "ftp://a/b", "http://u:p@a/b"] {
            assert!(Document::new(url, None).is_err(), "{url}");
        }
    }
}
