//! Shared state of the routes and background jobs of billing.

use std::sync::Arc;

use portico_billing::{
    checkout::CheckoutRule, payment::PaymentProvider, subscription_provider::SubscriptionProvider,
};
use portico_runtime::{core::Core, mailing::Mailing};
use portico_web::api::Api;

/// The dependencies of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared by the whole process.
    pub core: Core,
    /// Shared by the routes of all features.
    pub api: Api,
    /// Sends mail.
    pub mail: Mailing,
    /// Where purchases are paid.
    pub provider: Arc<dyn PaymentProvider>,
    /// Where plans are paid.
    pub subscriptions: Arc<dyn SubscriptionProvider>,
    /// How checkouts are made.
    pub checkout_rule: Arc<CheckoutRule>,
}

impl App {
    /// The same state for background jobs.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}
