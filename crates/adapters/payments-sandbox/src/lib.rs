//! A stateful stand-in for Stripe's API of version `2026-09-30.endive`: what a fresh clone runs its payments on, and what
//! the Stripe adapter is tested against.
//!
//! It is a library without sockets, threads or a clock: [`Sandbox`] answers calls, pages and webhooks of which its embedder
//! tells the time. The rules are those of Stripe's documentation and OpenAPI specification; `NOTICE.md` has its licence.

// Objects of Stripe have up to seventy fields, each a step of the macro that writes them.
#![recursion_limit = "512"]

mod billing_cycle;
mod calendar;
mod cards;
mod catalog;
mod charges;
mod checkout;
mod checkout_pages;
mod checkout_pay;
mod clock;
mod collection;
mod config;
mod customers;
mod discounts;
mod disputes;
mod errors;
mod events;
mod expand;
mod form;
mod idempotency;
mod invoice_items;
mod invoices;
mod lists;
mod money;
mod pages;
mod parameters;
mod payment_intents;
mod payment_methods;
mod pdf;
mod pending_updates;
mod portal;
mod portal_page;
mod preview;
mod proration;
mod refunds;
mod routes;
mod sandbox;
mod schedules;
mod setup_intents;
mod store;
mod subscription_updates;
mod subscriptions;
mod test_clocks;
mod value;
mod webhooks;
mod world;

pub use config::{AfterRetries, Config, Delivery, Endpoint};
pub use sandbox::{API_VERSION, ApiRequest, ApiResponse, Fault, PageRequest, PageResponse, Sandbox};
pub use webhooks::WebhookDelivery;
