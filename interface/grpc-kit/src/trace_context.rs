//! The W3C trace context of a call: `traceparent` and `tracestate`.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Where in which trace a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// 16 bytes, never all zero.
    pub trace_id: u128,
    /// 8 bytes, never all zero: the span that is the parent of whatever is done under this context.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
    /// `tracestate` as it came.
    pub state: Option<HeaderValue>,
}

impl TraceContext {
    /// Reads the headers; `None` when absent or not by the W3C recommendation (Trace Context, level 1).
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        static NAME: HeaderName = HeaderName::from_static(PARENT);
        let text = headers.get(&NAME)?.to_str().ok()?;
        let version = text.get(0..2)?;
        let known_length = if version == "00" { text.len() == 55 } else { text.len() >= 55 };
        let dashes = [2, 35, 52].iter().all(|&at| text.as_bytes().get(at) == Some(&b'-'));
        let more = text.as_bytes().get(55).is_none_or(|&byte| byte == b'-');
        let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase() && byte != b'+');
        if !known_length || !dashes || !more || !lower || version == "ff" {
            return None;
        }
        u8::from_str_radix(version, 16).ok()?;
        let trace_id = u128::from_str_radix(text.get(3..35)?, 16).ok()?;
        let span_id = u64::from_str_radix(text.get(36..52)?, 16).ok()?;
        let flags = u8::from_str_radix(text.get(53..55)?, 16).ok()?;
        (trace_id != 0 && span_id != 0).then(|| Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
            state: headers.get(STATE).cloned(),
        })
    }

    /// Writes the headers of a call made under this context.
    pub fn write(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.to_string()) {
            headers.insert(PARENT, value);
        }
        if let Some(state) = &self.state {
            headers.insert(STATE, state.clone());
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// Joins a call's span to the tracing system in use. The kit only parses headers: the process that exports traces
/// implements this with its exporter, so that the kit does not choose one.
pub trait SpanLink: Send + Sync + 'static {
    /// Makes `remote` the parent of `span`, and answers the context that work under the span continues, if the span
    /// is part of a trace.
    fn link(&self, span: &Span, remote: Option<&TraceContext>) -> Option<TraceContext>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        headers.insert(PARENT, HeaderValue::from_str(text).expect("a header value"));
        TraceContext::from_headers(&headers)
    }

    #[test]
    fn reads_and_writes_the_same() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = parse(text).expect("a context");
        assert!(context.sampled);
        let mut headers = HeaderMap::new();
        context.write(&mut headers);
        assert_eq!(headers[PARENT], text);
    }

    #[test]
    fn refuses_what_the_recommendation_refuses() {
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "zz-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_later_version_may_be_longer() {
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more").is_some());
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00x").is_none());
    }

    #[test]
    fn no_text_panics() {
        for cut in 0..60 {
            let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-12345";
            parse(&text[..cut]);
        }
        let mut headers = HeaderMap::new();
        headers.insert(PARENT, HeaderValue::from_bytes("é".repeat(30).as_bytes()).expect("bytes"));
        assert_eq!(TraceContext::from_headers(&headers), None);
    }
}
