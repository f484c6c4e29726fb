//! The port `SubscriptionProvider`: customers, prices, subscriptions, their invoices, and what they are paid with.
//!
//! A call that changes a subscription is followed by a question about it, so that what is answered is what is there. Where a call asks
//! before it changes something, it finds what an earlier try of it has done, and does that once.

use std::sync::Arc;

use async_trait::async_trait;
use portico_billing::{
    payment::PaymentError,
    subscription_provider::{
        ChangeQuote, NewChange, NewCoupon, NewCustomer, NewPrice, NewSubscription, NewSubscriptionCheckout,
        PaymentMethod, ProviderInvoice, ProviderPage, ProviderSubscription, SubscriptionCheckout,
        SubscriptionProvider,
    },
};
use portico_kernel::{Money, http::HttpClient};
use serde_json::{Value, json};
use stripe_checkout::checkout_session::{ExpireCheckoutSession, RetrieveCheckoutSession};

mod calls;
mod invoices;
mod objects;
mod pages;

use objects::{MethodObject, Named, SubscriptionObject};

use crate::{
    StripeConfig,
    client::Client,
    session::SessionObject,
    values::{REFERENCE, known, time},
};

/// Which means of payment the page for them offers, where the customer was never charged in any currency.
const CURRENCY: &str = "usd";

/// The word for a payment that cannot be tried. Stripe has none: it takes the call as a mistake.
const NO_METHOD: &str = "no_payment_method";

/// Subscriptions at one account of Stripe.
pub struct StripeSubscriptions {
    client: Client,
}

impl StripeSubscriptions {
    /// For an account, called by this client. The client MUST bound the time of a call.
    pub fn new(config: &StripeConfig, http: Arc<dyn HttpClient>) -> Self {
        Self { client: Client::new(&config.base_url, config.secret_key.clone(), http) }
    }

    /// A subscription as it is now.
    async fn now(&self, id: &str) -> Result<ProviderSubscription, PaymentError> {
        calls::read(&self.client, calls::subscription(&self.client, id).await?).await
    }

    /// What a customer pays with: its default; where it has none, what its subscription is paid with, or else what was put on file last.
    /// Pages of Stripe set the one or the other.
    async fn pays_with(
        &self,
        customer: &str,
        subscription: Option<&SubscriptionObject>,
    ) -> Result<Option<String>, PaymentError> {
        let default = match subscription {
            Some(subscription) => subscription.customer.default_method().map(str::to_owned),
            None => calls::customer(&self.client, customer).await?.default_method().map(str::to_owned),
        };
        let of_subscription = || subscription.and_then(|one| one.default_payment_method.clone());
        match default.or_else(of_subscription) {
            Some(method) => Ok(Some(method)),
            None => {
                let newest = calls::methods(&self.client, customer).await?.into_iter().next();
                Ok(newest.map(|method| method.id))
            }
        }
    }

    /// Makes what a customer pays with the default of the customer and of its subscription, where it is not: so what was chosen on a page
    /// of Stripe is charged.
    async fn settle_method(&self, subscription: &mut SubscriptionObject) -> Result<(), PaymentError> {
        let customer = subscription.customer.id.clone();
        let Some(method) = self.pays_with(&customer, Some(&*subscription)).await? else { return Ok(()) };
        if subscription.customer.default_method().is_none() {
            calls::set_default(&self.client, &customer, &method).await?;
        }
        if subscription.default_payment_method.as_ref().is_some_and(|own| *own != method) {
            let form = json!({"default_payment_method": method});
            calls::set(&self.client, &subscription.id, &form).await?;
        }
        subscription.default_payment_method = Some(method);
        Ok(())
    }
}

#[async_trait]
impl SubscriptionProvider for StripeSubscriptions {
    async fn create_customer(&self, new: &NewCustomer, key: &str) -> Result<String, PaymentError> {
        let form = json!({"name": new.name, "email": new.email, "metadata": {(REFERENCE): new.reference}});
        Ok(self.client.post::<Named>("/customers", &form, Some(key)).await?.id)
    }

    async fn price(&self, new: &NewPrice) -> Result<String, PaymentError> {
        calls::price(&self.client, new).await
    }

    async fn coupon(&self, new: &NewCoupon) -> Result<String, PaymentError> {
        calls::coupon(&self.client, new).await
    }

    async fn create_checkout(
        &self,
        new: &NewSubscriptionCheckout,
        key: &str,
    ) -> Result<SubscriptionCheckout, PaymentError> {
        let session: SessionObject = self.client.make(&pages::first_payment(new), key).await?;
        let expires_at = time(&session.id, session.expires_at)?;
        Ok(SubscriptionCheckout { id: session.id, url: session.url, expires_at })
    }

    async fn expire_checkout(&self, id: &str) -> Result<(), PaymentError> {
        let Ok(id) = known(id) else { return Ok(()) };
        let refused = match self.client.ask::<Named>(&ExpireCheckoutSession::new(id)).await {
            Ok(_) | Err(PaymentError::NotFound) => return Ok(()),
            Err(PaymentError::Refused(reason)) => PaymentError::Refused(reason),
            Err(error) => return Err(error),
        };
        // One that is not open is refused.
        let now: SessionObject = self.client.ask(&RetrieveCheckoutSession::new(id)).await?;
        if now.is_open() { Err(refused) } else { Ok(()) }
    }

    async fn create(&self, new: &NewSubscription, key: &str) -> Result<ProviderSubscription, PaymentError> {
        let last = calls::newest(&self.client, &new.customer_id).await?;
        let method = self.pays_with(&new.customer_id, last.as_ref()).await?;
        let method = method.ok_or_else(|| PaymentError::Declined { code: NO_METHOD.to_owned() })?;
        // It is not in the call itself, which has to be the same at every try.
        calls::set_default(&self.client, &new.customer_id, &method).await?;
        let mut form = json!({
            "customer": new.customer_id,
            "items": [{"price": new.price_id, "quantity": 1}],
            "payment_behavior": "error_if_incomplete",
            "off_session": true,
            "metadata": {(REFERENCE): new.reference},
        });
        if let Some(coupon) = &new.coupon_id {
            form["discounts"] = json!([{"coupon": coupon}]);
        }
        let made: Named = self.client.post("/subscriptions", &form, Some(key)).await?;
        self.now(&made.id).await
    }

    async fn subscription(&self, customer_id: &str) -> Result<Option<ProviderSubscription>, PaymentError> {
        let Some(mut newest) = calls::newest(&self.client, customer_id).await? else { return Ok(None) };
        if !newest.has_ended() {
            self.settle_method(&mut newest).await?;
        }
        calls::read(&self.client, newest).await.map(Some)
    }

    async fn is_deleted(&self, customer_id: &str) -> Result<bool, PaymentError> {
        calls::is_deleted(&self.client, customer_id).await
    }

    async fn quote(&self, change: &NewChange) -> Result<ChangeQuote, PaymentError> {
        let before = calls::subscription(&self.client, &change.subscription_id).await?;
        if before.is_trial() {
            // A preview would show what follows the trial.
            let amount_due = Money { amount: 0, currency: before.currency };
            return Ok(ChangeQuote { lines: Vec::new(), discount: 0, amount_due });
        }
        let mut form =
            json!({"subscription": before.id, "subscription_details": proration(&before, change)?});
        if let Some(coupon) = &change.coupon_id {
            form["discounts"] = json!([{"coupon": coupon}]);
        }
        invoices::preview(&self.client, &form).await
    }

    async fn change(&self, change: &NewChange, key: &str) -> Result<ProviderSubscription, PaymentError> {
        let before = calls::subscription(&self.client, &change.subscription_id).await?;
        // An earlier try of this call has done it.
        if before.item()?.price.id == change.price_id {
            return calls::read(&self.client, before).await;
        }
        if before.method().is_none() && !before.is_trial() {
            return Err(PaymentError::Declined { code: NO_METHOD.to_owned() });
        }
        calls::release_spent(&self.client, &before).await?;
        let mut form = proration(&before, change)?;
        if let Some(coupon) = &change.coupon_id {
            // In place of those that run.
            form["discounts"] = json!([{"coupon": coupon}]);
        }
        form["payment_behavior"] = json!("error_if_incomplete");
        form["off_session"] = json!(true);
        let path = format!("/subscriptions/{}", known(&before.id)?);
        self.client.post::<Named>(&path, &form, Some(key)).await?;
        self.now(&before.id).await
    }

    async fn schedule(
        &self,
        subscription_id: &str,
        price_id: &str,
        key: &str,
    ) -> Result<ProviderSubscription, PaymentError> {
        let before = calls::subscription(&self.client, subscription_id).await?;
        calls::schedule_price(&self.client, &before, price_id, key).await?;
        self.now(&before.id).await
    }

    async fn cancel_at_end(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError> {
        let before = calls::subscription(&self.client, subscription_id).await?;
        if !before.has_ended() {
            calls::release(&self.client, &before).await?;
            calls::set(&self.client, &before.id, &json!({"cancel_at_period_end": true})).await?;
        }
        self.now(&before.id).await
    }

    async fn resume(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError> {
        let before = calls::subscription(&self.client, subscription_id).await?;
        if !before.has_ended() {
            calls::release(&self.client, &before).await?;
            if before.cancel_at_period_end {
                calls::set(&self.client, &before.id, &json!({"cancel_at_period_end": false})).await?;
            } else if before.cancel_at.is_some() {
                // An empty text takes a value away.
                calls::set(&self.client, &before.id, &json!({"cancel_at": ""})).await?;
            }
        }
        self.now(&before.id).await
    }

    async fn cancel(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError> {
        let before = calls::subscription(&self.client, subscription_id).await?;
        if !before.has_ended() {
            calls::release(&self.client, &before).await?;
            // Unless it is told otherwise, Stripe gives nothing back then, and stops collecting what is open.
            self.client.delete::<Named>(&format!("/subscriptions/{}", known(&before.id)?)).await?;
        }
        self.now(&before.id).await
    }

    async fn payment_methods(&self, customer_id: &str) -> Result<Vec<PaymentMethod>, PaymentError> {
        let methods = calls::methods(&self.client, customer_id).await?;
        let newest = calls::newest(&self.client, customer_id).await?;
        let default = self.pays_with(customer_id, newest.as_ref()).await?;
        methods.into_iter().map(|method| method.read(default.as_deref())).collect()
    }

    async fn setup_page(
        &self,
        customer_id: &str,
        success_url: &str,
        cancel_url: &str,
    ) -> Result<ProviderPage, PaymentError> {
        let customer = calls::customer(&self.client, customer_id).await?;
        let currency = customer.currency.as_deref().unwrap_or(CURRENCY);
        let request = pages::setup(&customer.id, currency, success_url, cancel_url);
        let session: SessionObject = self.client.ask(&request).await?;
        let none = || PaymentError::Unavailable("a page without an address".to_owned());
        Ok(ProviderPage { id: session.id, url: session.url.ok_or_else(none)? })
    }

    async fn set_default(&self, customer_id: &str, payment_method_id: &str) -> Result<(), PaymentError> {
        self.method(customer_id, payment_method_id).await?;
        calls::set_default(&self.client, customer_id, payment_method_id).await?;
        match calls::newest(&self.client, customer_id).await?.filter(|newest| !newest.has_ended()) {
            Some(running) => {
                let form = json!({"default_payment_method": payment_method_id});
                calls::set(&self.client, &running.id, &form).await
            }
            None => Ok(()),
        }
    }

    async fn detach(&self, customer_id: &str, payment_method_id: &str) -> Result<(), PaymentError> {
        self.method(customer_id, payment_method_id).await?;
        let path = format!("/payment_methods/{}/detach", known(payment_method_id)?);
        self.client.post::<Named>(&path, &json!({}), None).await.map(drop)
    }

    async fn invoices(&self, customer_id: &str) -> Result<Vec<ProviderInvoice>, PaymentError> {
        invoices::list(&self.client, customer_id, None).await
    }

    async fn older_invoices(
        &self,
        customer_id: &str,
        than: &str,
    ) -> Result<Vec<ProviderInvoice>, PaymentError> {
        invoices::list(&self.client, customer_id, Some(than)).await
    }

    async fn invoice(&self, customer_id: &str, id: &str) -> Result<ProviderInvoice, PaymentError> {
        invoices::get(&self.client, customer_id, id).await
    }

    async fn portal_page(&self, customer_id: &str, return_url: &str) -> Result<ProviderPage, PaymentError> {
        pages::portal(&self.client, customer_id, return_url).await
    }
}

impl StripeSubscriptions {
    /// Something that this customer has on file; `NotFound` for what another one has.
    async fn method(&self, customer: &str, id: &str) -> Result<MethodObject, PaymentError> {
        let path = format!("/customers/{}/payment_methods/{}", known(customer)?, known(id)?);
        self.client.get(&path, &json!({})).await
    }
}

/// Another price of the one item of a subscription, paid for at once from a time on. A preview and a change with the same time come to the
/// same sum, also where the interval is another one: what was left of the old period at this time is credited, and the new one, which
/// Stripe begins at the moment of the change, is charged as a whole. Stripe resets the anchor by itself then, and refuses this time beside
/// an anchor that is `now`.
fn proration(before: &SubscriptionObject, change: &NewChange) -> Result<Value, PaymentError> {
    let item = before.item()?;
    // The caller's clock may not agree with Stripe's about the second in which a period begins.
    let moment = change.prorated_at.unix_seconds();
    let moment = moment.max(item.current_period_start).min(item.current_period_end);
    Ok(json!({
        // Without the id a second item would be added.
        "items": [{"id": item.id, "price": change.price_id, "quantity": item.quantity.unwrap_or(1)}],
        "proration_behavior": "always_invoice",
        "proration_date": moment,
    }))
}
