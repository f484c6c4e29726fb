//! The one HTTP client for calls to addresses that somebody else chose. Each caller names its [`Purpose`]; what the operator
//! allows for it is in its [`Rules`].
//!
//! It looks the name up itself, keeps the addresses that may be called, and connects to one of exactly these, so that a
//! name that answers differently a moment later (DNS rebinding) gains nothing. It follows no redirect, uses no proxy, and
//! bounds time and size.

mod address;
mod client;
mod resolver;
mod rules;

pub use client::{Bounds, GuardedClient};
pub use resolver::{Lookup, SystemLookup};
pub use rules::{Purpose, Rules};
