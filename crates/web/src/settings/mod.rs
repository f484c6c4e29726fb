//! Settings of this crate.

mod admission;
mod rate_limit;
mod server;

pub use admission::Admission;
pub use rate_limit::{PlanLimits, RateLimit};
pub use server::Server;
