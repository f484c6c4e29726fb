//! The port of payment providers, over the API.

use std::sync::Arc;

use async_trait::async_trait;
use portico_billing::payment::{
    Checkout, CheckoutLine, CheckoutState, InboundEvent, NewCheckout, NewRefund, Payment, PaymentError,
    PaymentProvider, Refund, SignatureError,
};
use portico_kernel::{Env, Timestamp, http::HttpClient};
use serde_json::{Value, json};
use time::Duration;

use crate::{
    client::{Client, RecurrenteConfig},
    objects::{CheckoutObject, NewCheckoutObject, REFERENCE, RefundObject, is_id},
    webhook::WebhookSecrets,
};

/// The currencies that it takes.
const CURRENCIES: [&str; 2] = ["gtq", "usd"];

/// The most of one thing on a checkout.
const MOST_OF_ONE: u32 = 9;

/// How far back a checkout is searched for that was perhaps made: as long as a caller may repeat its call.
const LOOK_BACK: Duration = Duration::DAY;

/// Checkouts on a page of the list.
const PAGE: usize = 20;

/// The most pages that are searched.
const PAGES: usize = 50;

/// How long the search may take; a call that is under way then is waited for.
const SEARCH: Duration = Duration::seconds(20);

/// Payments through Recurrente. See the crate about what it cannot do.
pub struct Recurrente {
    client: Client,
    secrets: WebhookSecrets,
    env: Env,
}

impl Recurrente {
    /// Of an account, over this client.
    pub fn new(
        config: RecurrenteConfig,
        secrets: WebhookSecrets,
        http: Arc<dyn HttpClient>,
        env: Env,
    ) -> Self {
        Self { client: Client::new(config, http), secrets, env }
    }

    async fn fetch(&self, id: &str) -> Result<CheckoutObject, PaymentError> {
        if !is_id(id) {
            return Err(PaymentError::NotFound);
        }
        self.client.get(&format!("/checkouts/{id}")).await
    }

    fn read(&self, object: &CheckoutObject) -> Result<Checkout, PaymentError> {
        object.read(&self.client.config.base_url, self.client.config.is_live(), self.env.now())
    }

    /// The checkout of a reference, if it was made: the answer of the call that did so may have been lost.
    async fn made_before(&self, reference: &str) -> Result<Option<CheckoutObject>, PaymentError> {
        let (since, until) = (self.env.now() - LOOK_BACK, self.env.now() + SEARCH);
        for page in 1..=PAGES {
            if self.env.now() >= until {
                return Err(PaymentError::Unavailable("the list of checkouts takes too long".to_owned()));
            }
            let path = format!("/checkouts?from_time={since}&page={page}&items={PAGE}");
            let found: Vec<Value> = self.client.get(&path).await?;
            let count = found.len();
            let ours = found.into_iter().find(|checkout| checkout["metadata"][REFERENCE] == reference);
            if let Some(id) = ours.as_ref().and_then(|checkout| checkout["id"].as_str()) {
                // The list is read as far as it is needed: it is the checkout itself that counts.
                return Ok(Some(self.fetch(id).await?));
            }
            if count < PAGE {
                break;
            }
        }
        Ok(None)
    }

    /// A checkout that was made, with an end: where it has none in spite of the call that made it, it is given the end that was asked for.
    async fn with_end(
        &self,
        object: &CheckoutObject,
        expires_at: Timestamp,
    ) -> Result<Checkout, PaymentError> {
        let checkout = self.read(object)?;
        if object.has_end() || checkout.state != CheckoutState::Open {
            return Ok(checkout);
        }
        self.set_end(&checkout.id, expires_at).await
    }

    /// Changes when a checkout ends. One that was paid meanwhile is answered as it is.
    async fn set_end(&self, id: &str, expires_at: Timestamp) -> Result<Checkout, PaymentError> {
        let change = json!({"expires_at": expires_at.to_string()});
        match self.client.patch::<CheckoutObject>(&format!("/checkouts/{id}"), &change).await {
            Ok(object) => self.read(&object),
            // Only what is not paid can be changed: somebody has paid it since.
            Err(PaymentError::Refused(reason)) => {
                let after = self.checkout(id).await?;
                if after.state == CheckoutState::Open {
                    Err(PaymentError::Refused(reason))
                } else {
                    Ok(after)
                }
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl PaymentProvider for Recurrente {
    async fn create_checkout(&self, new: &NewCheckout, key: &str) -> Result<Checkout, PaymentError> {
        let body = order(new)?;
        if let Some(made) = self.made_before(&new.reference).await? {
            return self.with_end(&made, new.expires_at).await;
        }
        let made: NewCheckoutObject = self.client.post("/checkouts", &body, key).await?;
        // Its answer says neither what is to be paid nor until when.
        let mut checkout = self.with_end(&self.fetch(&made.id).await?, new.expires_at).await?;
        if checkout.state == CheckoutState::Open {
            checkout.url = Some(made.checkout_url);
        }
        Ok(checkout)
    }

    async fn checkout(&self, id: &str) -> Result<Checkout, PaymentError> {
        self.read(&self.fetch(id).await?)
    }

    async fn expire_checkout(&self, id: &str) -> Result<Checkout, PaymentError> {
        let before = self.checkout(id).await?;
        if before.state != CheckoutState::Open {
            return Ok(before);
        }
        self.set_end(id, self.env.now() - Duration::MINUTE).await
    }

    /// Its API has no list of refunds or disputes, and a checkout says nothing about them.
    async fn payment(&self, _: &str) -> Result<Payment, PaymentError> {
        Err(PaymentError::Unsupported)
    }

    async fn refund(&self, new: &NewRefund, key: &str) -> Result<Refund, PaymentError> {
        let object = self.fetch(&new.payment_id).await?;
        if !matches!(self.read(&object)?.state, CheckoutState::Paid { .. }) {
            return Err(PaymentError::Refused("the checkout is not paid".to_owned()));
        }
        let total = object.total()?;
        if new.amount.currency != total.currency || new.amount.amount > total.amount {
            return Err(PaymentError::Refused("more than was paid, or in another currency".to_owned()));
        }
        if new.amount != total {
            return Err(PaymentError::Unsupported);
        }
        let intent = object.intent();
        let intent = intent.ok_or_else(|| PaymentError::Refused("no payment is named".to_owned()))?;
        // The newer ids of attempts have a name of their own in the call.
        let name = if intent.starts_with("in_") { "intent_id" } else { "payment_intent_id" };
        let refund: RefundObject = self.client.post("/refunds", &json!({(name): intent}), key).await?;
        // It stores no metadata with a refund.
        Ok(Refund { reference: Some(new.reference.clone()), ..refund.read(Some(total))? })
    }

    async fn refund_now(&self, id: &str) -> Result<Refund, PaymentError> {
        if !is_id(id) {
            return Err(PaymentError::NotFound);
        }
        self.client.get::<RefundObject>(&format!("/refunds/{id}")).await?.read(None)
    }

    fn verify(
        &self,
        headers: &[(String, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<InboundEvent, SignatureError> {
        self.secrets.verify(headers, body, now)
    }
}

/// The call that makes a checkout.
fn order(new: &NewCheckout) -> Result<Value, PaymentError> {
    let currency = new.amount.currency.as_str();
    if !CURRENCIES.contains(&currency) || new.lines.iter().any(|line| line.quantity > MOST_OF_ONE) {
        return Err(PaymentError::Unsupported);
    }
    let sum = new.lines.iter().try_fold(0_i64, |sum, line| {
        sum.checked_add(line.unit_amount.checked_mul(i64::from(line.quantity))?)
    });
    if sum != Some(new.amount.amount) {
        return Err(PaymentError::Refused("the lines do not cost what is to be paid".to_owned()));
    }
    let item = |line: &CheckoutLine| {
        json!({
            "name": line.description,
            "currency": currency.to_uppercase(),
            "amount_in_cents": line.unit_amount,
            "quantity": line.quantity,
        })
    };
    Ok(json!({
        "items": new.lines.iter().map(item).collect::<Vec<_>>(),
        "success_url": new.success_url,
        "cancel_url": new.cancel_url,
        "metadata": {(REFERENCE): new.reference},
        "expires_at": new.expires_at.to_string(),
    }))
}
