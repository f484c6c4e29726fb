//! Pages of Stripe that a customer is sent to: for a first payment, for something to be put on file, and the portal.

use std::collections::HashMap;

use miniserde::Deserialize;
use portico_billing::{
    payment::PaymentError,
    subscription_provider::{NewSubscriptionCheckout, ProviderPage},
};
use serde_json::json;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionDiscounts, CreateCheckoutSessionLineItems,
    CreateCheckoutSessionPaymentMethodCollection, CreateCheckoutSessionSubscriptionData,
    CreateCheckoutSessionSubscriptionDataTrialSettings,
    CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior,
    CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehaviorMissingPaymentMethod as WithoutMethod,
};
use stripe_shared::CheckoutSessionMode;

use super::objects::Named;
use crate::{
    client::Client,
    values::{REFERENCE, known, no_adaptive_pricing},
};

/// What the configuration of the portal that is made here is known by.
const PORTAL: &str = "portal";

/// The key of the call that makes it: as long as that is known, processes that make it at the same time make one.
const PORTAL_KEY: &str = "portico_portal_1";

/// The call that makes the page for a first payment.
pub(super) fn first_payment(new: &NewSubscriptionCheckout) -> CreateCheckoutSession {
    let metadata = || HashMap::from([(REFERENCE.to_owned(), new.reference.clone())]);
    let mut item = CreateCheckoutSessionLineItems::new();
    item.price = Some(new.price_id.clone());
    item.quantity = Some(1);
    let mut subscription = CreateCheckoutSessionSubscriptionData::new();
    subscription.metadata = Some(metadata());
    let mut page = CreateCheckoutSession::new()
        .mode(CheckoutSessionMode::Subscription)
        .customer(&new.customer_id)
        .line_items(vec![item])
        .adaptive_pricing(no_adaptive_pricing())
        .client_reference_id(&new.reference)
        .metadata(metadata())
        .success_url(&new.success_url)
        .cancel_url(&new.cancel_url)
        .expires_at(new.expires_at.unix_seconds());
    if new.trial_days > 0 {
        let ends = CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior::new(WithoutMethod::Cancel);
        subscription.trial_period_days = Some(new.trial_days.into());
        subscription.trial_settings = Some(CreateCheckoutSessionSubscriptionDataTrialSettings::new(ends));
        page = page.payment_method_collection(CreateCheckoutSessionPaymentMethodCollection::IfRequired);
    }
    if let Some(coupon) = &new.coupon_id {
        let mut discount = CreateCheckoutSessionDiscounts::new();
        discount.coupon = Some(coupon.clone());
        page = page.discounts(vec![discount]);
    }
    page.subscription_data(subscription)
}

/// The call that makes the page where something is put on file.
pub(super) fn setup(
    customer: &str,
    currency: &str,
    success_url: &str,
    cancel_url: &str,
) -> CreateCheckoutSession {
    let Ok(currency) = currency.parse::<stripe_types::Currency>();
    CreateCheckoutSession::new()
        .mode(CheckoutSessionMode::Setup)
        .customer(customer)
        .currency(currency)
        .success_url(success_url)
        .cancel_url(cancel_url)
}

/// Makes a page of the portal.
pub(super) async fn portal(
    client: &Client,
    customer: &str,
    return_url: &str,
) -> Result<ProviderPage, PaymentError> {
    #[derive(Deserialize)]
    struct Page {
        id: String,
        url: String,
    }
    let form = json!({
        "customer": known(customer)?,
        "configuration": configuration(client).await?,
        "return_url": return_url,
    });
    let page: Page = client.post("/billing_portal/sessions", &form, None).await?;
    Ok(ProviderPage { id: page.id, url: page.url })
}

/// The configuration of the portal, made where there is none: invoices and what is paid with, nothing else.
async fn configuration(client: &Client) -> Result<String, PaymentError> {
    const PATH: &str = "/billing_portal/configurations";
    #[derive(Deserialize)]
    struct Configuration {
        id: String,
        metadata: Option<HashMap<String, String>>,
    }
    let is_ours = |one: &Configuration| {
        one.metadata.as_ref().and_then(|metadata| metadata.get(REFERENCE)).is_some_and(|of| of == PORTAL)
    };
    let active = json!({"active": true});
    let enough = |found: &[Configuration]| found.iter().any(is_ours);
    let found = client.list::<Configuration>(PATH, &active, |one| &one.id, enough).await?;
    if let Some(ours) = found.into_iter().find(is_ours) {
        return Ok(ours.id);
    }
    let form = json!({
        "features": {
            "customer_update": {"enabled": false},
            "invoice_history": {"enabled": true},
            "payment_method_update": {"enabled": true},
            "subscription_cancel": {"enabled": false},
            "subscription_update": {"enabled": false},
        },
        "metadata": {(REFERENCE): PORTAL},
    });
    Ok(client.post::<Named>(PATH, &form, Some(PORTAL_KEY)).await?.id)
}
