//! Payments and subscriptions at Stripe, and at the payments sandbox, which speaks the same API.
//!
//! Requests go out through the HTTP client of the server, and only through it (ADR 71). Those of Checkout and for refunds are of
//! `async-stripe`; the others are forms, and answers are read as far as they are needed: a field that is missing elsewhere breaks nothing.

mod client;
mod payment;
mod payments;
mod session;
mod subscriptions;
mod values;
mod webhooks;

pub use payments::StripePayments;
pub use subscriptions::StripeSubscriptions;

use secrecy::SecretString;

/// Where Stripe is.
pub const BASE_URL: &str = "https://api.stripe.com";

/// An account, and where it is.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// Where the API is, without its version: [`BASE_URL`], or another server that speaks it.
    pub base_url: String,
    /// Secret or restricted key of the account.
    pub secret_key: SecretString,
    /// Secrets of the webhook endpoint: several while one is replaced. Blank ones are left out: everybody knows them.
    pub webhook_secrets: Vec<SecretString>,
}
