//! One JSON line per call: `grpc_request_completed`. Written by hand into the access log's buffer: a logging framework
//! would cost several times what the rest of the stack costs together.

use std::{
    cell::RefCell,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Request, Response};
use http_body::Body;
use tonic::Code;
use tower::{Layer, Service};

use crate::{
    access_log::AccessLog,
    call::Call,
    failure::{Failure, codes},
    methods::Methods,
    observe::{ObservedBody, Observer, ResponseFuture},
};

/// Adds [`Logging`] to a stack.
#[derive(Clone, Debug)]
pub struct LoggingLayer {
    shared: Arc<Shared>,
}

/// What all calls share, behind one reference: each one more is counted up and down by every call on every core.
#[derive(Debug)]
struct Shared {
    methods: Arc<Methods>,
    log: Option<AccessLog>,
    /// Of the calls that succeed, one in so many is logged.
    sample: u32,
    succeeded: AtomicU32,
}

impl LoggingLayer {
    /// Logs every failed call and one in `sample` of the others; nothing without a log.
    pub fn new(methods: Arc<Methods>, log: Option<AccessLog>, sample: u32) -> Self {
        let shared = Shared { methods, log, sample: sample.max(1), succeeded: AtomicU32::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Writes the line of a call that ended.
    pub(super) fn log(&self, call: &Call, code: Code) {
        let Some(log) = &self.shared.log else { return };
        if code == Code::Ok
            && self.shared.sample > 1
            && !self.shared.succeeded.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.shared.sample)
        {
            return;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.line.clear();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            scratch.write(call, code, now, call.took());
            log.append(&scratch.line);
        });
    }
}

impl<S> Layer<S> for LoggingLayer {
    type Service = Logging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Logging { inner, shared: Arc::clone(&self.shared) }
    }
}

/// Logs each call at its end.
#[derive(Clone, Debug)]
pub struct Logging<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, RB> Service<Request<B>> for Logging<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<Failure>,
    RB: Body,
{
    type Response = Response<ObservedBody<RB, Line>>;
    type Error = Failure;
    type Future = ResponseFuture<S::Future, Line>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.shared.methods);
        let line = Line { call, layer: LoggingLayer { shared: Arc::clone(&self.shared) } };
        ResponseFuture::new(self.inner.call(request), line)
    }
}

/// The line of a call that has not ended.
#[derive(Debug)]
pub struct Line {
    call: Arc<Call>,
    layer: LoggingLayer,
}

impl Observer for Line {
    fn ended(&mut self, code: Code) {
        self.layer.log(&self.call, code);
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The line being written, and what the next one most likely repeats.
#[derive(Default)]
struct Scratch {
    line: Vec<u8>,
    second: u64,
    date: String,
    peer: Peer,
}

/// The last peer's address as text, in which there is nothing to escape.
#[derive(Default)]
struct Peer {
    address: Option<SocketAddr>,
    text: String,
}

impl Peer {
    fn text(&mut self, address: SocketAddr) -> &str {
        if self.address != Some(address) {
            self.address = Some(address);
            self.text = address.to_string();
        }
        &self.text
    }
}

impl Scratch {
    fn write(&mut self, call: &Call, code: Code, now: Duration, took: Duration) {
        if now.as_secs() != self.second || self.date.is_empty() {
            self.second = now.as_secs();
            self.date = date(self.second);
        }
        let line = &mut self.line;
        line.extend_from_slice(b"{\"timestamp\":\"");
        line.extend_from_slice(self.date.as_bytes());
        line.push(b'.');
        three_digits(line, now.subsec_millis());
        line.extend_from_slice(b"Z\",\"level\":\"");
        line.extend_from_slice(level(code).as_bytes());
        line.extend_from_slice(b"\",\"event\":\"grpc_request_completed\",\"method\":");
        if call.is_known() {
            // Identifiers and dots, in which there is nothing to escape.
            json_quoted(line, call.path());
        } else {
            json_string(line, call.path());
        }
        // An id with something to escape is not taken.
        line.extend_from_slice(b",\"correlation_id\":\"");
        line.extend_from_slice(call.request_id().as_bytes());
        line.extend_from_slice(b"\",\"duration_ms\":");
        let micros = took.as_micros();
        line.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
        line.push(b'.');
        three_digits(line, (micros % 1000) as u32);
        line.extend_from_slice(b",\"status\":\"");
        line.extend_from_slice(codes::name(code).as_bytes());
        line.push(b'"');
        if let Some(peer) = call.peer() {
            line.extend_from_slice(b",\"peer\":\"");
            line.extend_from_slice(self.peer.text(peer).as_bytes());
            line.push(b'"');
        }
        if let Some(principal) = call.principal() {
            line.extend_from_slice(b",\"principal\":");
            json_string(line, principal.subject());
        }
        if let Some(trace) = call.trace() {
            // Writing into memory cannot fail.
            let _ = write!(line, ",\"trace_id\":\"{:032x}\"", trace.trace_id);
        }
        line.extend_from_slice(b"}\n");
    }
}

fn level(code: Code) -> &'static str {
    match code {
        Code::Internal | Code::Unknown | Code::DataLoss => "error",
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => "warning",
        _ => "info",
    }
}

fn json_string(line: &mut Vec<u8>, text: &str) {
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Without an early end, so that many bytes are looked at in one step.
    if text.bytes().fold(false, |any, byte| any | special(byte)) {
        // Serialising text into memory cannot fail, so there is no error to report.
        let _ = serde_json::to_writer(line, text);
        return;
    }
    json_quoted(line, text);
}

fn json_quoted(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
}

fn three_digits(line: &mut Vec<u8>, number: u32) {
    for divisor in [100, 10, 1] {
        line.push(b'0' + (number / divisor % 10) as u8);
    }
}

/// `YYYY-MM-DDTHH:MM:SS` in UTC. Days to a civil date by counting eras of 400 years from 1 March of year 0.
fn date(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400 + 719_468, unix_seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use http_body_util::Empty;
    use serde_json::Value;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::{auth::Principal, testing::SharedBuffer};

    fn lines(out: &SharedBuffer) -> Vec<Value> {
        out.text().lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
    }

    fn answer(code: Code) -> Response<Empty<Bytes>> {
        tonic::Status::new(code, "").into_http()
    }

    #[tokio::test]
    async fn a_call_is_one_line_with_all_its_fields() {
        let out = SharedBuffer::default();
        let log = AccessLog::to(out.clone()).expect("a thread");
        let service = service_fn(|request: Request<()>| async move {
            let call = request.extensions().get::<Arc<Call>>().expect("the call");
            call.set_principal(Principal::named("alice \"a\"\n"));
            Ok::<_, Infallible>(answer(Code::NotFound))
        });
        let request = Request::builder().uri("/my.Service/Get").header("x-correlation-id", "abc-123");
        let request = request.body(()).expect("a request");
        let layer = LoggingLayer::new(Arc::new(Methods::empty()), Some(log.clone()), 1);
        drop(layer.layer(service).oneshot(request).await.expect("an answer"));
        log.flush();
        let lines = lines(&out);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["event"], "grpc_request_completed");
        assert_eq!(lines[0]["method"], "/my.Service/Get");
        assert_eq!(lines[0]["correlation_id"], "abc-123");
        assert_eq!(lines[0]["status"], "NOT_FOUND");
        assert_eq!(lines[0]["principal"], "alice \"a\"\n");
        assert!(lines[0]["duration_ms"].is_f64());
    }

    #[test]
    fn a_dropped_call_is_logged_as_cancelled() {
        let out = SharedBuffer::default();
        let log = AccessLog::to(out.clone()).expect("a thread");
        let service =
            service_fn(|_: Request<()>| std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>());
        let layer = LoggingLayer::new(Arc::new(Methods::empty()), Some(log.clone()), 100);
        let mut call = Box::pin(layer.layer(service).oneshot(Request::new(())));
        assert!(call.as_mut().now_or_never().is_none());
        drop(call);
        log.flush();
        assert_eq!(lines(&out)[0]["status"], "CANCELLED");
    }

    #[tokio::test]
    async fn successes_are_sampled_and_failures_are_not() {
        let out = SharedBuffer::default();
        let log = AccessLog::to(out.clone()).expect("a thread");
        let layer = LoggingLayer::new(Arc::new(Methods::empty()), Some(log.clone()), 4);
        for code in [Code::Ok, Code::Unavailable] {
            let service = service_fn(move |_: Request<()>| async move { Ok::<_, Infallible>(answer(code)) });
            let service = layer.layer(service);
            for _ in 0..8 {
                drop(service.clone().oneshot(Request::new(())).await.expect("an answer"));
            }
        }
        log.flush();
        let lines = lines(&out);
        assert_eq!(lines.iter().filter(|line| line["status"] == "OK").count(), 2);
        assert_eq!(lines.iter().filter(|line| line["level"] == "warning").count(), 8);
    }

    #[test]
    fn dates_are_civil() {
        assert_eq!(date(0), "1970-01-01T00:00:00");
        assert_eq!(date(951_782_399), "2000-02-28T23:59:59");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(date(1_798_761_599), "2026-12-31T23:59:59");
        assert_eq!(date(4_107_542_400), "2100-03-01T00:00:00");
    }
}
