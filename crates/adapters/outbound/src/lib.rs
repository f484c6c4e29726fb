//! The one HTTP client for calls to addresses that somebody else chose: identity providers, webhooks, pictures.
//!
//! It looks the name up itself, keeps the addresses that may be called, and connects to one of exactly these, so that a
//! name that answers differently a moment later (DNS rebinding) gains nothing. It follows no redirect, uses no proxy, and
//! bounds time and size.

mod address;
mod client;
mod port;
mod resolver;

pub use client::{Bounds, GuardedClient};
pub use resolver::{Lookup, SystemLookup};
