//! The port `PaymentProvider`: Checkout in the mode `payment`, what became of payments, and refunds.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use portico_billing::payment::{
    Checkout, CheckoutState, InboundEvent, NewCheckout, NewRefund, Payment, PaymentError, PaymentProvider,
    Refund, SignatureError,
};
use portico_kernel::{Timestamp, http::HttpClient};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentIntentData, ExpireCheckoutSession, ProductData, RetrieveCheckoutSession,
};
use stripe_core::refund::CreateRefund;
use stripe_shared::CheckoutSessionMode;

use crate::{
    StripeConfig,
    client::Client,
    payment::{self, RefundObject},
    session::SessionObject,
    values::{REFERENCE, chargeable, currency, known, no_adaptive_pricing},
    webhooks::Webhooks,
};

/// Ids of sessions begin so.
const SESSION: &str = "cs_";

/// Payments at one account of Stripe.
pub struct StripePayments {
    client: Client,
    webhooks: Webhooks,
}

impl StripePayments {
    /// For an account, called by this client. The client MUST bound the time of a call.
    pub fn new(config: &StripeConfig, http: Arc<dyn HttpClient>) -> Self {
        Self {
            client: Client::new(&config.base_url, config.secret_key.clone(), http),
            webhooks: Webhooks::new(&config.webhook_secrets),
        }
    }
}

#[async_trait]
impl PaymentProvider for StripePayments {
    async fn create_checkout(&self, new: &NewCheckout, key: &str) -> Result<Checkout, PaymentError> {
        self.client.make::<SessionObject>(&request(new)?, key).await?.read()
    }

    async fn checkout(&self, id: &str) -> Result<Checkout, PaymentError> {
        // Only the payment tells whether a delayed one is still on its way.
        let request = RetrieveCheckoutSession::new(known(id)?).expand(["payment_intent".to_owned()]);
        self.client.ask::<SessionObject>(&request).await?.read()
    }

    async fn expire_checkout(&self, id: &str) -> Result<Checkout, PaymentError> {
        match self.client.ask::<SessionObject>(&ExpireCheckoutSession::new(known(id)?)).await {
            Ok(session) => session.read(),
            // One that is not open is refused.
            Err(PaymentError::Refused(reason)) => {
                let now = self.checkout(id).await?;
                match now.state {
                    CheckoutState::Open => Err(PaymentError::Refused(reason)),
                    _ => Ok(now),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn payment(&self, id: &str) -> Result<Payment, PaymentError> {
        if id.starts_with(SESSION) {
            return nothing_paid(self.checkout(id).await?);
        }
        payment::ask(&self.client, known(id)?).await
    }

    async fn refund(&self, new: &NewRefund, key: &str) -> Result<Refund, PaymentError> {
        chargeable(new.amount.amount, currency(&new.amount)?)?;
        let request = CreateRefund::new()
            .payment_intent(known(&new.payment_id)?)
            .amount(new.amount.amount)
            .metadata(HashMap::from([(REFERENCE.to_owned(), new.reference.clone())]));
        let made = self.client.make::<RefundObject>(&request, key).await?.read()?;
        Ok(Refund { reference: Some(new.reference.clone()), ..made })
    }

    async fn refund_now(&self, id: &str) -> Result<Refund, PaymentError> {
        payment::refund_now(&self.client, known(id)?).await
    }

    fn verify(
        &self,
        headers: &[(String, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<InboundEvent, SignatureError> {
        self.webhooks.verify(headers, body, now)
    }
}

/// What became of a checkout of which nothing was to be paid: it is named by its session, and there is no payment.
fn nothing_paid(checkout: Checkout) -> Result<Payment, PaymentError> {
    match checkout.state {
        CheckoutState::Paid { payment_id } if payment_id == checkout.id => Ok(Payment {
            id: payment_id,
            amount: checkout.amount,
            reference: checkout.reference,
            customer_id: checkout.customer_id,
            live: checkout.live,
            fee: None,
            refunds: Vec::new(),
            disputes: Vec::new(),
        }),
        _ => Err(PaymentError::NotFound),
    }
}

/// The call that makes a checkout. Prices are ours and stand in the call: nothing is kept at Stripe that could differ.
fn request(new: &NewCheckout) -> Result<CreateCheckoutSession, PaymentError> {
    let currency = currency(&new.amount)?;
    let mut sum: i64 = 0;
    let mut items = Vec::with_capacity(new.lines.len());
    for line in &new.lines {
        chargeable(line.unit_amount, currency)?;
        sum = sum.saturating_add(line.unit_amount.saturating_mul(line.quantity.into()));
        let Ok(code) = currency.as_str().parse::<stripe_types::Currency>();
        let mut price = CreateCheckoutSessionLineItemsPriceData::new(code);
        price.unit_amount = Some(line.unit_amount);
        price.product_data = Some(ProductData::new(&line.description));
        let mut item = CreateCheckoutSessionLineItems::new();
        item.quantity = Some(line.quantity.into());
        item.price_data = Some(price);
        items.push(item);
    }
    if items.is_empty() || sum != new.amount.amount {
        return Err(PaymentError::Refused("the lines do not come to the amount".to_owned()));
    }
    let metadata = || HashMap::from([(REFERENCE.to_owned(), new.reference.clone())]);
    let mut payment = CreateCheckoutSessionPaymentIntentData::new();
    payment.metadata = Some(metadata());
    let mut request = CreateCheckoutSession::new();
    if let Some(email) = &new.email {
        request = request.customer_email(email);
    }
    Ok(request
        .mode(CheckoutSessionMode::Payment)
        .line_items(items)
        .adaptive_pricing(no_adaptive_pricing())
        .client_reference_id(&new.reference)
        .metadata(metadata())
        .payment_intent_data(payment)
        .success_url(&new.success_url)
        .cancel_url(&new.cancel_url)
        .expires_at(new.expires_at.unix_seconds()))
}
