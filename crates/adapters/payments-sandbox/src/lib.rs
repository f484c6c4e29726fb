//! A stateful stand-in for Stripe's API of version `2026-09-30.endive`: what a fresh clone runs its payments on, and what
//! the Stripe adapter is tested against.
//!
//! [`Sandbox`] has no sockets, threads or clock: it answers calls, pages and webhooks of which its embedder tells the time.
//! [`embedded`] is one inside a server, with its state in a file. The rules are those of Stripe's documentation and OpenAPI specification; `NOTICE.md` has its licence.

// Objects of Stripe have up to seventy fields, each a step of the macro that writes them.
#![recursion_limit = "512"]

mod calendar;
mod cards;
mod config;
pub mod embedded;
mod engine;
mod errors;
mod form;
mod money;
mod parameters;
mod pdf;
mod store;
mod value;

pub use config::{AfterRetries, Config, Delivery, Endpoint};
pub use engine::{
    API_VERSION, ApiRequest, ApiResponse, Fault, PageRequest, PageResponse, Sandbox, WebhookDelivery,
};
