//! The request that a task works on, for logs and problem bodies.

use portico_kernel::RequestInfo;

use crate::failures::Failures;

/// The request being answered.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// Id, address, user agent; recorded in events.
    pub info: RequestInfo,
    /// Path for logs: in its normal form, without secrets.
    pub path: String,
    /// Device mark to be stored by the client, on routes for signing in.
    pub device_mark: Option<String>,
    /// Failures of the request, until it is answered; none outside of requests.
    pub failures: Option<Failures>,
}

tokio::task_local! {
    /// The request of the current task. Set by the middleware around every route.
    pub static CURRENT: RequestContext;
}

/// What events and scopes say of the request of the current task; empty outside of one.
pub fn info() -> RequestInfo {
    CURRENT.try_with(|context| context.info.clone()).unwrap_or_default()
}

/// The request of the current task; empty outside of one.
pub fn current() -> RequestContext {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}
