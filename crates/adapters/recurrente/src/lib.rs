//! Payments through Recurrente (<https://app.recurrente.com/api>), a provider in Guatemala: quetzals and dollars, paid once.
//!
//! The provider promises less than the port [`PaymentProvider`](portico_billing::payment::PaymentProvider) asks for:
//!
//! - No document that we have read promises idempotency keys. One is sent, because a server that does not know it ignores it. Before a
//!   checkout is made, those of the last day are searched for its reference, so a call whose answer was lost is not repeated. Two processes
//!   that make the same checkout in the same second would still make two. Nobody gets the page of the second one, and it ends by itself.
//! - Only the whole of a payment is given back: part of it is `Unsupported`. A repeated refund is refused by the provider, because nothing
//!   is left of the payment; that the first one was made is then to be seen at the provider.
//! - What became of a payment is not told: there is no list of refunds or disputes, so asking for them is `Unsupported`. A refund can be
//!   asked for by its id, which a webhook names.
//! - A payment has the id of its checkout here, because a checkout is paid once: the provider has several ids for what was paid.
//!
//! [`stand_in`] is a small imitation of the provider for machines of developers and for tests.

mod client;
mod objects;
mod provider;
pub mod stand_in;
mod webhook;

pub use client::{HeaderStyle, RecurrenteConfig};
pub use provider::Recurrente;
pub use webhook::{InvalidSecret, WebhookSecrets};
