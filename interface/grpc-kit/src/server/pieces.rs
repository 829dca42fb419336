//! Answers in pieces: HTTP/2 takes a chunk whole as soon as the client has room for a byte of it, and then asks for the
//! trailers, for which it needs no room. A large answer in one chunk would be over for the server, its deadline too, and
//! be kept in memory for as long as the client likes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The size of HTTP/2's frames, unless a client asks for larger ones: smaller pieces would make more of them.
const PIECE_BYTES: usize = 16 * 1024;

pin_project! {
    /// A body whose chunks are of [`PIECE_BYTES`] at most.
    pub(super) struct Pieces<B> {
        #[pin]
        body: B,
        // Of the last chunk.
        rest: Bytes,
    }
}

impl<B> Pieces<B> {
    pub(super) const fn of(body: B) -> Self {
        Self { body, rest: Bytes::new() }
    }
}

impl<B: Body<Data = Bytes>> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if this.rest.is_empty() {
            let frame = ready!(this.body.poll_frame(cx));
            let chunk = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            match chunk.filter(|chunk| chunk.len() > PIECE_BYTES) {
                Some(chunk) => *this.rest = chunk.clone(),
                None => return Poll::Ready(frame),
            }
        }
        let piece = this.rest.split_to(PIECE_BYTES.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        if let Some(upper) = body.upper() {
            all.set_upper(upper.saturating_add(rest));
        }
        all.set_lower(body.lower().saturating_add(rest));
        all
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    #[tokio::test]
    async fn only_large_chunks_are_cut_and_nothing_is_lost() {
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 100_000] {
            let whole: Bytes = (0..length).map(|at| (at % 251) as u8).collect();
            let mut body = Pieces::of(Full::new(whole.clone()));
            let mut got = Vec::new();
            let mut pieces = 0;
            while !body.is_end_stream() {
                assert_eq!(body.size_hint().exact(), Some((length - got.len()) as u64));
                let piece = body.frame().await.expect("a frame").expect("no error").into_data();
                got.extend(piece.expect("data"));
                pieces += 1;
            }
            assert_eq!((pieces, got == whole), (length.div_ceil(PIECE_BYTES), true), "{length}");
            assert!(body.frame().await.is_none());
        }
    }
}
