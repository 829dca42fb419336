//! The first bytes of a connection. They are read here, in bounded time, before HTTP/2 takes over: once it waits for
//! them it cannot be asked to stop, and a peer that sends nothing would hold up the end of the server.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What every HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a client may take to say it.
const PATIENCE: Duration = Duration::from_secs(10);

pin_project! {
    /// A connection whose preface was read, and is read again by whoever comes next.
    #[derive(Debug)]
    pub(super) struct Greeted<I> {
        #[pin]
        io: I,
        unread: &'static [u8],
    }
}

/// Reads the preface; `None` when the peer is too slow, gone, or speaks something else.
pub(super) async fn greet<I: AsyncRead + Unpin>(mut io: I) -> Option<Greeted<I>> {
    let mut said = [0; PREFACE.len()];
    let read = tokio::time::timeout(PATIENCE, io.read_exact(&mut said)).await;
    match read {
        Ok(Ok(_)) if said == *PREFACE => Some(Greeted { io, unread: PREFACE }),
        _ => None,
    }
}

impl<I: AsyncRead> AsyncRead for Greeted<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        if this.unread.is_empty() {
            return this.io.poll_read(cx, buffer);
        }
        let (now, later) = this.unread.split_at(this.unread.len().min(buffer.remaining()));
        buffer.put_slice(now);
        *this.unread = later;
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite> AsyncWrite for Greeted<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn the_preface_is_read_again_with_what_follows() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(PREFACE).await.expect("written");
        client.write_all(b"frames").await.expect("written");
        drop(client);
        let mut all = Vec::new();
        greet(server).await.expect("HTTP/2").read_to_end(&mut all).await.expect("read");
        assert_eq!(all, [&PREFACE[..], b"frames"].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn others_and_the_silent_are_turned_away() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
        assert!(greet(server).await.is_none());
        let (_silent, server) = tokio::io::duplex(64);
        assert!(greet(server).await.is_none());
    }
}
