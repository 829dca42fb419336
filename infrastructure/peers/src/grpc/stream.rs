//! Streams of a neighbour.

use futures_util::stream::{self, BoxStream, StreamExt};
use hive_application::error::{Effect, Error};
use hive_mapping::status::from_status;
use tonic::Streaming;

/// What a stream brings, read by `read`; its end is an error, after which nothing comes.
pub(super) fn endless<W: Send + 'static, T: Send + 'static>(
    name: &'static str,
    stream: Streaming<W>,
    read: impl FnMut(W) -> Result<T, Error> + Send + 'static,
) -> BoxStream<'static, Result<T, Error>> {
    stream::unfold(Some((stream, read)), move |open| async move {
        let (mut stream, mut read) = open?;
        let told = match stream.message().await {
            Ok(Some(message)) => return Some((read(message), Some((stream, read)))),
            Ok(None) => Error::unavailable(name, "the stream ended", Effect::None),
            Err(status) => from_status(name, status),
        };
        Some((Err(told), None))
    })
    .boxed()
}
