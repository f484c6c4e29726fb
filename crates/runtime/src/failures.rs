//! Server errors of a request in progress, kept until its response is reported.

use std::sync::{Arc, Mutex, PoisonError};

use crate::logging::throttled;

/// A server error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable error code, as in the response.
    pub code: &'static str,
    /// An error with its causes.
    pub cause: String,
    /// Whether it is a bug, and not a component that is temporarily unavailable.
    pub bug: bool,
}

/// The latest failure of a request in progress.
#[derive(Clone, Debug)]
pub struct Failures(Arc<Request>);

#[derive(Debug)]
struct Request {
    id: String,
    slot: Mutex<Slot>,
}

#[derive(Debug)]
enum Slot {
    Open(Option<Failure>),
    /// The request was answered; later failures of its tasks are not part of the response.
    Closed,
}

impl Failures {
    /// For the request with this id.
    pub fn for_request(id: &str) -> Self {
        Self(Arc::new(Request { id: id.to_owned(), slot: Mutex::new(Slot::Open(None)) }))
    }

    /// Keeps a failure until the response, in place of an earlier one. Returns it if the request was answered already.
    pub(crate) fn put(&self, failure: Failure) -> Option<Failure> {
        match &mut *self.0.slot.lock().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(slot) => {
                *slot = Some(failure);
                None
            }
            Slot::Closed => Some(failure),
        }
    }

    /// Keeps a failure if there is none yet.
    pub(crate) fn put_first(&self, failure: Failure) {
        if let Slot::Open(slot @ None) = &mut *self.0.slot.lock().unwrap_or_else(PoisonError::into_inner) {
            *slot = Some(failure);
        }
    }

    pub(crate) fn close(&self) -> Option<Failure> {
        self.0.close()
    }
}

impl Request {
    fn close(&self) -> Option<Failure> {
        match std::mem::replace(&mut *self.slot.lock().unwrap_or_else(PoisonError::into_inner), Slot::Closed)
        {
            Slot::Open(slot) => slot,
            Slot::Closed => None,
        }
    }
}

impl Drop for Request {
    /// Reports the failure even if the client disconnected before the response.
    fn drop(&mut self) {
        if let Some(failure) = self.close() {
            failure.report(&self.id, None);
        }
    }
}

impl Failure {
    /// Reports a failure outside of a request in progress.
    pub(crate) fn report(self, request_id: &str, trace_id: Option<String>) {
        let Self { code, cause, bug } = self;
        metrics::counter!("portico_errors_total", "code" => code).increment(1);
        if bug {
            tracing::error!(target: "portico::errors", code, error = cause, request_id, trace_id, "failed");
        } else if let Some(repeated) = throttled(code, &cause) {
            tracing::warn!(
                target: "portico::errors", code, error = cause, request_id, trace_id,
                repeated = (repeated > 0).then_some(repeated), "a part is not available"
            );
        }
    }
}
