//! The port `PaymentProvider`: Checkout in the mode `payment`, what became of payments, and refunds.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use portico_billing::payment::{
    Checkout, CheckoutState, InboundEvent, NewCheckout, NewRefund, Payment, PaymentError, PaymentProvider,
    Refund, SignatureError,
};
use portico_kernel::{Money, Timestamp, http::HttpClient};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentIntentData, ExpireCheckoutSession, ProductData, RetrieveCheckoutSession,
};
use stripe_core::refund::CreateRefund;
use stripe_shared::{
    CheckoutSession, CheckoutSessionMode, CheckoutSessionPaymentStatus, CheckoutSessionStatus,
    PaymentIntentStatus,
};

use crate::{
    StripeConfig,
    client::Client,
    payment,
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
        read(&self.client.make(&request(new)?, key).await?)
    }

    async fn checkout(&self, id: &str) -> Result<Checkout, PaymentError> {
        // Only the payment tells whether a delayed one is still on its way.
        let request = RetrieveCheckoutSession::new(known(id)?).expand(["payment_intent".to_owned()]);
        read(&self.client.ask(&request).await?)
    }

    async fn expire_checkout(&self, id: &str) -> Result<Checkout, PaymentError> {
        match self.client.ask(&ExpireCheckoutSession::new(known(id)?)).await {
            Ok(session) => read(&session),
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
        let made = self.client.make(&request, key).await?;
        let status = made.status.as_deref().unwrap_or_default();
        let odd = || PaymentError::Unavailable(format!("{} has a status that is not known here", made.id));
        Ok(Refund {
            id: made.id.to_string(),
            amount: Money { amount: made.amount, currency: made.currency.to_string() },
            state: payment::refund_state(status).ok_or_else(odd)?,
            reference: Some(new.reference.clone()),
        })
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

/// What Stripe says about a session.
fn read(session: &CheckoutSession) -> Result<Checkout, PaymentError> {
    let odd = |what: &str| PaymentError::Unavailable(format!("{} has {what}", session.id));
    let (Some(amount), Some(currency)) = (session.amount_total, &session.currency) else {
        return Err(odd("no amount"));
    };
    let stored = session.metadata.as_ref().and_then(|metadata| metadata.get(REFERENCE));
    Ok(Checkout {
        id: session.id.to_string(),
        url: session.url.clone(),
        state: state(session).ok_or_else(|| odd("a status that is not known here"))?,
        amount: Money { amount, currency: currency.to_string() },
        reference: session.client_reference_id.as_ref().or(stored).cloned(),
        customer_id: session.customer.as_ref().map(|customer| customer.id().to_string()),
        live: session.livemode,
        expires_at: Timestamp::from_unix_seconds(session.expires_at).ok_or_else(|| odd("no end"))?,
    })
}

/// How far it is; `None` where Stripe has new words for it. A session is `complete` once the buyer has done their part: whether that was
/// enough is in the status of the payment.
fn state(session: &CheckoutSession) -> Option<CheckoutState> {
    match (session.status.as_ref()?, &session.payment_status) {
        (CheckoutSessionStatus::Open, _) => Some(CheckoutState::Open),
        (CheckoutSessionStatus::Expired, _) => Some(CheckoutState::Expired),
        (
            CheckoutSessionStatus::Complete,
            CheckoutSessionPaymentStatus::Paid | CheckoutSessionPaymentStatus::NoPaymentRequired,
        ) => {
            // Where nothing is to be paid there is no payment.
            let payment = session.payment_intent.as_ref().map(|payment| payment.id().to_string());
            Some(CheckoutState::Paid { payment_id: payment.unwrap_or_else(|| session.id.to_string()) })
        }
        (CheckoutSessionStatus::Complete, CheckoutSessionPaymentStatus::Unpaid) => {
            let payment = session.payment_intent.as_ref().and_then(|payment| payment.as_object());
            // A delayed payment that fails leaves the session as it is.
            Some(match payment.map(|payment| &payment.status) {
                Some(PaymentIntentStatus::RequiresPaymentMethod | PaymentIntentStatus::Canceled) => {
                    CheckoutState::Failed
                }
                _ => CheckoutState::Processing,
            })
        }
        _ => None,
    }
}
