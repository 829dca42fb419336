//! The record of one outgoing call, opened by the outermost layer and carried in the request's extensions to the
//! layers below, attempt after attempt.

use std::sync::{Arc, OnceLock};

use http::Request;
use tokio::time::Instant;

use crate::{
    call::Call,
    methods::{Method, MethodId, Methods},
    trace_context::TraceContext,
};

/// One call, however many attempts it takes.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    method: MethodId,
    methods: Arc<Methods>,
    /// When the caller stops waiting.
    pub(super) deadline: Option<Instant>,
    /// The served call on whose behalf this one is made.
    pub(super) on_behalf: Option<Arc<Call>>,
    trace: OnceLock<TraceContext>,
}

impl Outgoing {
    /// The call of this request. The caller is the served call in the request's extensions, else the one whose
    /// [scope](Call::scope) this task is in.
    pub(super) fn open<B>(request: &Request<B>, methods: &Arc<Methods>) -> Self {
        let on_behalf = request.extensions().get::<Arc<Call>>().cloned().or_else(Call::current);
        let method = methods.resolve(request.uri().path());
        Self { method, methods: Arc::clone(methods), deadline: None, on_behalf, trace: OnceLock::new() }
    }

    /// The record a layer above opened.
    pub(super) fn of<B>(request: &Request<B>, methods: &Arc<Methods>) -> Arc<Self> {
        match request.extensions().get::<Arc<Self>>() {
            Some(outgoing) => Arc::clone(outgoing),
            None => Arc::new(Self::open(request, methods)),
        }
    }

    /// The trace its headers say it is part of; before they are written, that of the served call.
    pub(super) fn trace(&self) -> Option<&TraceContext> {
        self.trace.get().or_else(|| self.on_behalf.as_ref()?.trace())
    }

    pub(super) fn set_trace(&self, trace: TraceContext) {
        // All attempts of a call are part of the same trace.
        let _ = self.trace.set(trace);
    }

    pub(super) fn method_id(&self) -> MethodId {
        self.method
    }

    pub(super) fn method(&self) -> &Method {
        self.methods.get(self.method)
    }
}
