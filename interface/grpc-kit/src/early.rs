//! The future of a layer that either refuses a call at once or lets it through unchanged.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::failure::Failure;

pin_project! {
    /// The call below, or a refusal that never reaches it.
    #[derive(Debug)]
    pub struct Early<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F> {
        Go { #[pin] future: F },
        // Taken by the first poll.
        No { failure: Option<Failure> },
    }
}

impl<F> Early<F> {
    /// Lets the call through.
    pub fn go(future: F) -> Self {
        Self { state: State::Go { future } }
    }

    /// Refuses the call.
    pub fn no(failure: Failure) -> Self {
        Self { state: State::No { failure: Some(failure) } }
    }
}

impl<F, R, E> Future for Early<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<Failure>,
{
    type Output = Result<R, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Go { future } => future.poll(cx).map_err(Into::into),
            StateProjection::No { failure } => match failure.take() {
                Some(failure) => Poll::Ready(Err(failure)),
                // Polled again after it was ready: against the contract of futures, and nothing is left to say.
                None => Poll::Pending,
            },
        }
    }
}
