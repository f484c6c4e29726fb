//! What is known of the request that a task works on, for logs and problem bodies.

use portico_kernel::RequestInfo;

use crate::failures::Failures;

/// The request being answered.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// Id, address, user agent; goes into events.
    pub info: RequestInfo,
    /// Path as it may be shown: in its normal form, without what opens something.
    pub path: String,
    /// Mark for the device to keep, where one signs in.
    pub device_mark: Option<String>,
    /// Why it fails, until it is answered; none where nobody waits for an answer.
    pub failures: Option<Failures>,
}

tokio::task_local! {
    /// The request that the current task answers. Set by the middleware around every route.
    pub static CURRENT: RequestContext;
}

/// The request that the current task answers; empty outside of one.
pub fn current() -> RequestContext {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}
