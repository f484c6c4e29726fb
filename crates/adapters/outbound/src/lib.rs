//! The only HTTP client for calls to URLs that are not fixed in the code. Each caller names its [`Purpose`]; the
//! destinations that the operator allows for it are in its [`Rules`].
//!
//! It resolves the name itself, filters the addresses, and connects to one of exactly these, so that a changed answer of
//! the DNS (DNS rebinding) has no effect. It follows no redirect, uses no proxy, and limits time and size.

mod address;
mod client;
mod resolver;
mod rules;

pub use client::{Bounds, GuardedClient};
pub use resolver::{Lookup, SystemLookup};
pub use rules::{Purpose, Rules};
