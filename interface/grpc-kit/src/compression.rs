//! Compression of messages, on either side.

use serde::{Deserialize, Deserializer};
use tonic::codec::CompressionEncoding;

use crate::settings::value::word;

/// How messages are sent. A side that compresses also reads both kinds, bounded by its largest message once they are
/// unpacked; one that does not refuses compressed messages, since unpacking costs what it was spared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    #[default]
    Off,
    /// By gzip, which everybody reads.
    Gzip,
    /// By zstd, which is faster and packs better.
    Zstd,
}

impl<'de> Deserialize<'de> for Compression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer, &[("off", Self::Off), ("gzip", Self::Gzip), ("zstd", Self::Zstd)])
    }
}

impl Compression {
    /// What generated code calls it; `None` when it is off.
    pub fn encoding(self) -> Option<CompressionEncoding> {
        match self {
            Self::Off => None,
            Self::Gzip => Some(CompressionEncoding::Gzip),
            Self::Zstd => Some(CompressionEncoding::Zstd),
        }
    }
}

/// Sets what a generated client or server has of limits and compression. For the macros of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_compression {
    ($generated:expr, $compression:expr, $max_message_size:expr) => {{
        let generated = $generated.max_encoding_message_size(usize::MAX);
        match $crate::compression::Compression::encoding($compression) {
            // The stack counts the bytes that are sent, and they are all there is.
            None => generated.max_decoding_message_size(usize::MAX),
            // A small message can unpack to a large one, which only the generated code sees.
            Some(encoding) => generated
                .max_decoding_message_size($max_message_size)
                .accept_compressed($crate::compression::GZIP)
                .accept_compressed($crate::compression::ZSTD)
                .send_compressed(encoding),
        }
    }};
}

#[doc(hidden)]
pub const GZIP: CompressionEncoding = CompressionEncoding::Gzip;
#[doc(hidden)]
pub const ZSTD: CompressionEncoding = CompressionEncoding::Zstd;
