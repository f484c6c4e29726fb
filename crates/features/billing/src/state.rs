//! Shared state of the routes and background jobs of billing.

use std::sync::Arc;

use portico_billing::{
    checkout::CheckoutRule,
    payment::{PaymentProvider, Provider},
    receipt::ReceiptRenderer,
    seller::Seller,
    subscription_provider::SubscriptionProvider,
};
use portico_kernel::files::FileStore;
use portico_licensing::key::KeyVault;
use portico_runtime::{core::Core, mailing::Mailing};
use portico_web::api::Api;
use url::Url;

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
    /// Who sells what is bought once.
    pub seller: Arc<Seller>,
    /// Makes documents of receipts.
    pub receipts: Arc<dyn ReceiptRenderer>,
    /// Makes and reads the keys of licenses of purchases.
    pub vault: KeyVault,
    /// Where sites are paid.
    pub recurrente: Arc<dyn PaymentProvider>,
    /// How sites are sold.
    pub sale_settings: Arc<SaleSettings>,
    /// Published files and pictures.
    pub files: Arc<dyn FileStore>,
}

/// How sites are sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleSettings {
    /// Whether real money is moved.
    pub live: bool,
    /// Where buyers come back to; the site itself where that is not set.
    pub return_url: Option<Url>,
    /// Address of a site, with `{subdomain}` in it.
    pub site_url: String,
}

impl App {
    /// The adapter of a provider.
    pub fn payments_at(&self, provider: Provider) -> &dyn PaymentProvider {
        match provider {
            Provider::Stripe => &*self.provider,
            Provider::Recurrente => &*self.recurrente,
        }
    }

    /// Whether real money is moved at any provider: then play money of a test mode counts nowhere.
    pub fn is_live(&self) -> bool {
        self.checkout_rule.live || self.sale_settings.live
    }

    /// The same state for background jobs.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}
