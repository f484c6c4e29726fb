//! What a sandbox is set up with.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Settings of a sandbox. They are part of its state, so that a restored one goes on alike.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Secret keys that may call everything (`sk_test_…`).
    pub secret_keys: Vec<String>,
    /// Publishable keys: they create payment methods and confirm intents, nothing more (`pk_test_…`).
    pub publishable_keys: Vec<String>,
    /// Where the pages are reached by a browser, without a slash at the end.
    pub public_url: String,
    /// Endpoints that exist from the start; more can be made by the API.
    pub endpoints: Vec<Endpoint>,
    /// Every id and secret is derived from it: give a random one where the pages can be reached by strangers.
    pub seed: u64,
    /// How badly webhooks are delivered.
    pub delivery: Delivery,
    /// How long a renewal's invoice stays a draft, in seconds. Stripe: about an hour.
    pub draft_seconds: i64,
    /// After how many days a failed renewal is tried again, counted from the failure before.
    pub retry_days: Vec<u16>,
    /// What becomes of a subscription when the last retry has failed.
    pub after_retries: AfterRetries,
    /// After how many seconds a delayed payment (SEPA debit) and a pending refund are settled.
    pub settle_seconds: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret_keys: Vec::new(),
            publishable_keys: Vec::new(),
            public_url: "http://127.0.0.1:12111".into(),
            endpoints: Vec::new(),
            seed: 0,
            delivery: Delivery::default(),
            draft_seconds: 3600,
            retry_days: vec![3, 5, 7],
            after_retries: AfterRetries::Cancel,
            settle_seconds: 86_400,
        }
    }
}

impl fmt::Debug for Config {
    /// Without keys and secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// A webhook endpoint that exists from the start.
#[derive(Clone, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where events are posted to.
    pub url: String,
    /// `whsec_…`; the whole text is the key of the signature.
    pub secret: String,
    /// Types of events, or `*` for all.
    pub events: Vec<String>,
}

/// How webhooks are delivered. Stripe promises neither an order nor a single delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// Each event is delivered twice.
    pub twice: bool,
    /// Each delivery is late by up to so many seconds.
    pub late_seconds: u32,
    /// What is due at once comes in a shuffled order.
    pub shuffled: bool,
    /// How often a delivery is tried (Stripe's sandboxes: three times in some hours).
    pub tries: u8,
    /// Seconds until a delivery that was not acknowledged is tried again.
    pub retry_seconds: u32,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { twice: false, late_seconds: 0, shuffled: false, tries: 3, retry_seconds: 3600 }
    }
}

/// What becomes of a subscription that nobody paid ("Manage failed payments for subscriptions" in Stripe's settings).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterRetries {
    /// It is cancelled.
    Cancel,
    /// It becomes `unpaid`: periods go on, their invoices stay drafts.
    Unpaid,
    /// It stays `past_due`.
    PastDue,
}
