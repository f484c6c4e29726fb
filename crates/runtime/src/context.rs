//! What is known of the request that a task works on, for logs and problem bodies.

use std::sync::Arc;

use portico_kernel::RequestInfo;

use crate::failures::Failures;

pub use portico_sql::Parking;

/// The request being answered.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// Id, address, user agent; goes into events.
    pub info: RequestInfo,
    /// Path as it may be shown: in its normal form, without what opens something.
    pub path: String,
    /// Mark for the device to keep, where one signs in.
    pub device_mark: Option<String>,
    /// Where what is committed last waits for the answer, when that is to be kept.
    pub parking: Option<Arc<Parking>>,
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

/// Where the current task puts what it commits last, in place of committing it.
pub fn parking() -> Option<Arc<Parking>> {
    CURRENT.try_with(|context| context.parking.clone()).ok().flatten()
}
