//! Which payment provider the server uses, and where it sends buyers.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use async_trait::async_trait;
use portico_billing::{
    checkout::{CheckoutRule, ReturnPages},
    order::ReturnRule,
    payment::{
        Checkout, InboundEvent, NewCheckout, NewRefund, Payment, PaymentError, PaymentProvider, Provider,
        Refund, SignatureError,
    },
    subscription_provider::{
        ChangeQuote, NewChange, NewCoupon, NewCustomer, NewPrice, NewSubscription, NewSubscriptionCheckout,
        PaymentMethod, ProviderInvoice, ProviderPage, ProviderSubscription, SubscriptionCheckout,
        SubscriptionProvider,
    },
};
use portico_kernel::{Env, Timestamp, http::HttpClient};
use portico_payments_sandbox::embedded::{self, EmbeddedSandbox};
use portico_stripe::{StripeConfig, StripePayments, StripeSubscriptions};
use url::Url;

use crate::{
    outbound,
    settings::{Profile, Settings},
};

/// Where the pages of the sandbox are, below the public address.
pub const SANDBOX_PATH: &str = "/dev/payments";

/// Through whom is paid.
pub struct Providers {
    /// What is paid once.
    pub payments: Arc<dyn PaymentProvider>,
    /// What is paid each month or year.
    pub subscriptions: Arc<dyn SubscriptionProvider>,
}

impl Providers {
    /// Nobody.
    pub(crate) fn none() -> Self {
        Self { payments: Arc::new(NoPayments), subscriptions: Arc::new(NoPayments) }
    }

    fn of(config: &StripeConfig, http: &Arc<dyn HttpClient>) -> Self {
        Self {
            payments: Arc::new(StripePayments::new(config, http.clone())),
            subscriptions: Arc::new(StripeSubscriptions::new(config, http.clone())),
        }
    }
}

/// An installation where nothing can be paid. It says so to everybody who wants to, and believes no webhook.
pub(crate) struct NoPayments;

#[async_trait]
impl PaymentProvider for NoPayments {
    async fn create_checkout(&self, _: &NewCheckout, _: &str) -> Result<Checkout, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn checkout(&self, _: &str) -> Result<Checkout, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn expire_checkout(&self, _: &str) -> Result<Checkout, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn payment(&self, _: &str) -> Result<Payment, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn refund(&self, _: &NewRefund, _: &str) -> Result<Refund, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn refund_now(&self, _: &str) -> Result<Refund, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    fn verify(&self, _: &[(String, String)], _: &[u8], _: Timestamp) -> Result<InboundEvent, SignatureError> {
        Err(SignatureError)
    }
}

#[async_trait]
impl SubscriptionProvider for NoPayments {
    async fn create_customer(&self, _: &NewCustomer, _: &str) -> Result<String, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn price(&self, _: &NewPrice) -> Result<String, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn coupon(&self, _: &NewCoupon) -> Result<String, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn create_checkout(
        &self,
        _: &NewSubscriptionCheckout,
        _: &str,
    ) -> Result<SubscriptionCheckout, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn expire_checkout(&self, _: &str) -> Result<(), PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn create(&self, _: &NewSubscription, _: &str) -> Result<ProviderSubscription, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn subscription(&self, _: &str) -> Result<Option<ProviderSubscription>, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn is_deleted(&self, _: &str) -> Result<bool, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn quote(&self, _: &NewChange) -> Result<ChangeQuote, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn change(&self, _: &NewChange, _: &str) -> Result<ProviderSubscription, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn schedule(&self, _: &str, _: &str, _: &str) -> Result<ProviderSubscription, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn cancel_at_end(&self, _: &str) -> Result<ProviderSubscription, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn resume(&self, _: &str) -> Result<ProviderSubscription, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn cancel(&self, _: &str) -> Result<ProviderSubscription, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn payment_methods(&self, _: &str) -> Result<Vec<PaymentMethod>, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn setup_page(&self, _: &str, _: &str, _: &str) -> Result<ProviderPage, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn set_default(&self, _: &str, _: &str) -> Result<(), PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn detach(&self, _: &str, _: &str) -> Result<(), PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn invoices(&self, _: &str) -> Result<Vec<ProviderInvoice>, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn older_invoices(&self, _: &str, _: &str) -> Result<Vec<ProviderInvoice>, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn invoice(&self, _: &str, _: &str) -> Result<ProviderInvoice, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn portal_page(&self, _: &str, _: &str) -> Result<ProviderPage, PaymentError> {
        Err(PaymentError::Unsupported)
    }
}

/// The account at Stripe that the settings name; `None` where they name none.
///
/// # Errors
/// When no client can be made.
pub fn at_stripe(settings: &Settings) -> anyhow::Result<Option<Providers>> {
    let stripe = &settings.stripe;
    let Some(secret_key) = &stripe.secret_key else { return Ok(None) };
    let base_url = stripe.base_url.as_ref().map_or(portico_stripe::BASE_URL, Url::as_str);
    let config = StripeConfig {
        base_url: base_url.to_owned(),
        secret_key: secret_key.clone(),
        webhook_secrets: stripe.webhook_secrets.clone(),
    };
    Ok(Some(Providers::of(&config, &outbound::for_stripe(settings))))
}

/// Opens the sandbox in the folder of the data.
///
/// # Errors
/// When its file cannot be read or written.
pub fn open_sandbox(data_dir: &Path, public_url: &str, env: &Env) -> anyhow::Result<EmbeddedSandbox> {
    EmbeddedSandbox::open(data_dir, format!("{public_url}{SANDBOX_PATH}"), env.clone())
        .context("data_dir: the payments sandbox cannot be opened")
}

/// The sandbox, through the adapter of Stripe.
pub fn at_sandbox(sandbox: &EmbeddedSandbox) -> Providers {
    let config = StripeConfig {
        base_url: embedded::BASE_URL.to_owned(),
        secret_key: sandbox.secret_key().into(),
        webhook_secrets: vec![sandbox.webhook_secret().into()],
    };
    let http: Arc<dyn HttpClient> = Arc::new(sandbox.clone());
    Providers::of(&config, &http)
}

/// How checkouts are made: by the settings, for a server at this address.
pub fn checkout_rule(settings: &Settings, public_url: &Url) -> Arc<CheckoutRule> {
    Arc::new(CheckoutRule {
        provider: Provider::Stripe,
        live: settings.stripe.is_live(),
        returns: return_rule(settings, public_url),
        home: ReturnPages {
            paid: home(settings, public_url, "paid"),
            canceled: home(settings, public_url, "canceled"),
        },
    })
}

/// The start page of the front end, or the server itself where there is none, with what came of a payment.
fn home(settings: &Settings, public_url: &Url, result: &str) -> String {
    let start = settings.links.pages(public_url).ok().and_then(|mut pages| pages.remove(""));
    let mut page = start.unwrap_or_else(|| public_url.clone());
    page.query_pairs_mut().append_pair("result", result);
    page.into()
}

/// Where buyers may be sent. On a machine of a developer who has named no front end, it can run at any address.
fn return_rule(settings: &Settings, public_url: &Url) -> ReturnRule {
    let app = settings.links.app_url.as_ref().map(|url| url.origin().ascii_serialization());
    let named: Vec<String> = app
        .into_iter()
        .chain(settings.cors.origins.clone())
        .chain(settings.payments.return_origins.clone())
        .collect();
    if named.is_empty() && settings.profile == Profile::Development {
        return ReturnRule::Anywhere;
    }
    ReturnRule::Origins([public_url.origin().ascii_serialization()].into_iter().chain(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(adjust: impl FnOnce(&mut Settings)) -> CheckoutRule {
        let mut settings = Settings::default();
        adjust(&mut settings);
        (*checkout_rule(&settings, &Url::parse("https://portico.example.com/").unwrap())).clone()
    }

    #[test]
    fn buyers_come_back_to_the_front_ends_of_the_operator() {
        assert_eq!(rule(|_| {}).returns, ReturnRule::Anywhere, "nothing is set on a machine of a developer");
        let production = rule(|settings| settings.profile = Profile::Production);
        let own = || "https://portico.example.com".to_owned();
        assert_eq!(production.returns, ReturnRule::Origins(vec![own()]));
        let named = rule(|settings| {
            settings.links.app_url = Some("https://app.example.com/portal".parse().unwrap());
            settings.cors.origins = vec!["https://shop.example.com".to_owned()];
            settings.payments.return_origins = vec!["https://thanks.example.com".to_owned()];
        });
        let origins = ["https://app.example.com", "https://shop.example.com", "https://thanks.example.com"];
        let all = [own()].into_iter().chain(origins.map(str::to_owned)).collect();
        assert_eq!(named.returns, ReturnRule::Origins(all));
    }

    #[test]
    fn who_names_no_address_comes_back_to_the_start_page() {
        let own = rule(|_| {}).home;
        let at = |base: &str| ReturnPages {
            paid: format!("{base}?result=paid"),
            canceled: format!("{base}?result=canceled"),
        };
        assert_eq!(own, at("https://portico.example.com/"));
        let named = rule(|settings| {
            settings.links.app_url = Some("https://app.example.com/portal/".parse().unwrap());
            settings.links.home = "/start".to_owned();
        });
        assert_eq!(named.home, at("https://app.example.com/portal/start"));
        let routed = rule(|settings| {
            settings.links.app_url = Some("https://app.example.com".parse().unwrap());
            settings.links.home = "/#/start".to_owned();
        });
        assert_eq!(routed.home.paid, "https://app.example.com/?result=paid#/start");
    }

    #[test]
    fn real_money_is_moved_with_live_keys_only() {
        for (key, live) in
            [("sk_live_x", true), ("rk_live_x", true), ("sk_test_x", false), ("x_sk_live_", false)]
        {
            let rule = rule(|settings| settings.stripe.secret_key = Some(key.to_owned().into()));
            assert_eq!(rule.live, live, "{key}");
        }
    }
}
