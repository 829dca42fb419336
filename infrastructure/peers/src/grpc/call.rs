//! How a neighbour is called.

use std::time::Duration;

use bytes::Bytes;
use hive_application::error::Error;
use hive_mapping::status::from_status;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::{Request, Response, Status};

/// Bytes a message from a neighbour may have. What it may send is bounded there.
pub(super) const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Where calls go: a connection, or something that keeps several.
pub trait Channel:
    GrpcService<
        Body,
        Future: Send,
        Error: Into<StdError> + Send,
        ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<C> Channel for C where
    C: GrpcService<
            Body,
            Future: Send,
            Error: Into<StdError> + Send,
            ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// A neighbour: the channels to it, and how long it may take to answer.
#[derive(Debug, Clone)]
pub struct Caller<C> {
    /// For calls with one answer.
    pub calls: C,
    /// For streams, which stay open: a connection carries a bounded number of calls at a time.
    pub streams: C,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What to call the neighbour in errors.
    pub name: &'static str,
}

impl<C> Caller<C> {
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    pub(super) fn read<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, Error> {
        answer.map(Response::into_inner).map_err(|status| from_status(self.name, status))
    }
}
