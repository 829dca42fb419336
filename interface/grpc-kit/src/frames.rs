//! Finds the messages in a gRPC body without decoding them: each is a flag byte, a length in four bytes, big-endian,
//! and that many bytes (gRPC over HTTP/2, "Length-Prefixed-Message"). A chunk may hold any part of any of them.

use metrics::Counter;

/// Where in a body the next byte falls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameReader {
    prefix: [u8; 5],
    prefix_len: u8,
    remaining: u32,
}

impl FrameReader {
    /// Reads a chunk: calls `message` with the length of every message whose prefix ends in it, and where in the chunk it
    /// begins; at 0 if it began before.
    pub(crate) fn read(&mut self, mut chunk: &[u8], mut message: impl FnMut(usize, usize)) {
        let size = chunk.len();
        while !chunk.is_empty() {
            if self.remaining > 0 {
                let skip = chunk.len().min(self.remaining as usize);
                self.remaining -= skip as u32;
                chunk = &chunk[skip..];
                continue;
            }
            // Most prefixes come whole.
            if self.prefix_len == 0
                && let Some(([_, length @ ..], rest)) = chunk.split_first_chunk::<5>()
            {
                self.remaining = u32::from_be_bytes(*length);
                let at = size - chunk.len();
                chunk = rest;
                message(self.remaining as usize, at);
                continue;
            }
            let have = usize::from(self.prefix_len);
            let take = chunk.len().min(self.prefix.len() - have);
            self.prefix[have..have + take].copy_from_slice(&chunk[..take]);
            chunk = &chunk[take..];
            self.prefix_len += take as u8;
            if usize::from(self.prefix_len) == self.prefix.len() {
                let [_, a, b, c, d] = self.prefix;
                self.remaining = u32::from_be_bytes([a, b, c, d]);
                self.prefix_len = 0;
                message(self.remaining as usize, (size - chunk.len()).saturating_sub(self.prefix.len()));
            }
        }
    }

    /// Reads a chunk and counts its messages: all at once, since one counter is shared by all calls of a method.
    pub(crate) fn count(&mut self, chunk: &[u8], counter: &Counter) {
        let mut messages = 0;
        self.read(chunk, |_, _| messages += 1);
        if messages > 0 {
            counter.increment(messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(lengths: &[usize]) -> Vec<u8> {
        let mut body = Vec::new();
        for &length in lengths {
            body.push(0);
            body.extend((length as u32).to_be_bytes());
            body.extend(std::iter::repeat_n(7, length));
        }
        body
    }

    proptest! {
        #[test]
        fn finds_every_message_however_it_is_cut(
            lengths in proptest::collection::vec(0_usize..40, 0..8),
            cut in 1_usize..13,
        ) {
            let mut reader = FrameReader::default();
            let mut found = Vec::new();
            for chunk in body(&lengths).chunks(cut) {
                reader.read(chunk, |length, _| found.push(length));
            }
            prop_assert_eq!(found, lengths);
        }

        #[test]
        fn says_where_a_message_begins(lengths in proptest::collection::vec(0_usize..40, 0..8), cut in 0_usize..60) {
            let body = body(&lengths);
            let (first, second) = body.split_at(cut.min(body.len()));
            let mut reader = FrameReader::default();
            let mut found = Vec::new();
            reader.read(first, |_, at| found.push(at));
            reader.read(second, |_, at| found.push(first.len() + at));
            let mut begins = 0;
            for (found, length) in found.into_iter().zip(lengths) {
                // Of a prefix that is cut, what is in the first chunk has gone already.
                let cut_prefix = begins < first.len() && begins + 5 > first.len();
                prop_assert_eq!(found, if cut_prefix { first.len() } else { begins });
                begins += 5 + length;
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = FrameReader::default();
            reader.read(&bytes, |_, _| ());
        }
    }
}
