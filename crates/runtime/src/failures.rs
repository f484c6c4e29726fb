//! What went wrong on our side while a request is answered, until the answer says so.

use std::sync::{Arc, Mutex, PoisonError};

use crate::logging::seldom;

/// What went wrong on our side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable word for programs, as in the answer.
    pub code: &'static str,
    /// An error with its causes.
    pub cause: String,
    /// Whether it is a mistake in the program, and not a part that is down for a while.
    pub bug: bool,
}

/// The latest failure of a request that is being answered.
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
    /// The request was answered; what its tasks still do is no part of the answer.
    Closed,
}

impl Failures {
    /// Of the request of this id.
    pub fn of(id: &str) -> Self {
        Self(Arc::new(Request { id: id.to_owned(), slot: Mutex::new(Slot::Open(None)) }))
    }

    /// Keeps a failure until the answer. Gives it back when there was one already.
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
    /// A client that did not wait for the answer does not take the report along.
    fn drop(&mut self) {
        if let Some(failure) = self.close() {
            failure.report(&self.id, None);
        }
    }
}

impl Failure {
    /// Outside of a request that waits.
    pub(crate) fn report(self, request_id: &str, trace_id: Option<String>) {
        let Self { code, cause, bug } = self;
        metrics::counter!("errors_total", "code" => code).increment(1);
        if bug {
            tracing::error!(target: "portico::errors", code, error = cause, request_id, trace_id, "failed");
        } else if let Some(repeated) = seldom(code, &cause) {
            tracing::warn!(
                target: "portico::errors", code, error = cause, request_id, trace_id,
                repeated = (repeated > 0).then_some(repeated), "a part is not available"
            );
        }
    }
}
