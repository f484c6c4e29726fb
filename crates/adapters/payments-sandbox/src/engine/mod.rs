//! The account: objects and what happens to them. Payments, invoices, subscriptions and events call each other in turns, so
//! they are one module in many files, on top of the plain helpers beside it.

mod billing_cycle;
mod catalog;
mod charges;
mod checkout;
mod checkout_pages;
mod checkout_pay;
mod clock;
mod collection;
mod customers;
mod discounts;
mod disputes;
mod events;
mod expand;
mod idempotency;
mod invoice_items;
mod invoices;
mod lists;
mod pages;
mod payment_intents;
mod payment_methods;
mod pending_updates;
mod portal;
mod portal_page;
mod preview;
mod proration;
mod refunds;
mod routes;
mod sandbox;
mod schedule_course;
mod schedule_phases;
mod schedules;
mod setup_intents;
mod subscription_start;
mod subscription_updates;
mod subscriptions;
mod test_clocks;
mod webhooks;
mod world;

pub use sandbox::{API_VERSION, ApiRequest, ApiResponse, Fault, PageRequest, PageResponse, Sandbox};
pub use webhooks::WebhookDelivery;
