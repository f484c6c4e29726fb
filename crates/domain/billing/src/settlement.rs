//! What follows from what the provider says about a payment. The only place where a purchase is completed, and, in `payments`, where it is
//! refunded or disputed.
//!
//! The page that the buyer comes back to, a webhook and the schedule all ask the provider and come here with its answer, at once and any
//! number of times.

use portico_kernel::{CheckoutId, Env, Event, Money, Scope, StoreError, TenantId};
use serde::Serialize;

use crate::{
    BillingError,
    checkout::{CheckoutSession, CheckoutStage, FIRST_CHECK, PurchaseCheckout, lock},
    coupon, events,
    invoice::Invoice,
    ledger::{LedgerTransaction, SourceKind},
    payment::Checkout,
    ports::BillingRepositories,
    purchase::{Purchase, PurchaseStatus},
    receipt,
    seller::Seller,
    subject::Subject,
};

mod payments;

pub use payments::PaymentSettled;

/// A member of a payment that is not as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs.
    pub field: &'static str,
    /// What was asked for.
    pub expected: String,
    /// What the provider has.
    pub found: String,
}

impl Difference {
    /// Those of these fields in which expected and found are not the same.
    fn among(pairs: impl IntoIterator<Item = (&'static str, String, String)>) -> Vec<Self> {
        let differing = pairs.into_iter().filter(|(_, expected, found)| expected != found);
        differing.map(|(field, expected, found)| Self { field, expected, found }).collect()
    }
}

/// A payment that is not what was asked for, for staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mismatch {
    /// The provider's id of the checkout, or of the payment where it was paid before.
    pub session_id: String,
    /// What differs; at least one.
    pub differences: Vec<Difference>,
}

/// What came of an answer of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The purchase as it is now.
    pub purchase: Purchase,
    /// Its payment as it is now.
    pub checkout: PurchaseCheckout,
    /// Why nothing was granted, where this answer is the first to show it. It is an error to be logged.
    pub mismatch: Option<Mismatch>,
}

impl Settled {
    /// What the buyer needs in order to pay; `None` where nothing can be paid.
    pub fn session(&self) -> Option<CheckoutSession> {
        if self.checkout.stage != CheckoutStage::Open {
            return None;
        }
        Some(CheckoutSession {
            session_id: self.checkout.session_id.clone()?,
            url: self.checkout.url.clone()?,
            expires_at: self.checkout.expires_at,
        })
    }
}

/// Use cases around answers of the provider. They ask for no permission: what they do follows from what the provider says, whoever asked it.
pub struct Settlements<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Settlements<'a> {
    /// Over an open unit of work, for whoever asked the provider.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Stores what the provider says about a checkout, and completes or ends its purchase. The same answer again changes nothing, and neither
    /// does an older one.
    ///
    /// A purchase that is completed gets its invoice, with the number of its receipt, from `seller` as they are now.
    ///
    /// Where the reference, the amount, the currency or the mode of the payment is not what was asked for, nothing is granted: the
    /// purchase stays as it is, and staff get an event.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn settle(
        &mut self,
        tenant: TenantId,
        id: CheckoutId,
        observed: &Checkout,
        seller: &Seller,
    ) -> Result<Settled, BillingError> {
        let (before, checkout) = lock(self.repositories, tenant, id).await?;
        if checkout.stage == CheckoutStage::Mismatched {
            return Ok(Settled { purchase: before, checkout, mismatch: None });
        }
        let differences = differences(&checkout, &before.price(), observed);
        if !differences.is_empty() {
            return self.refuse(before, checkout, &observed.id, differences).await;
        }
        let now = self.env.now();
        let mut next = checkout.after(observed, now);
        if next.stage == CheckoutStage::Paid {
            // From here on its payment is asked about.
            let is_new = checkout.stage != next.stage;
            next.check_at = if is_new { Some(now + FIRST_CHECK) } else { checkout.check_at };
        }
        if next != checkout {
            self.repositories.checkouts().update(&next).await?;
        }
        let after = before.after(&observed.state, now);
        if after.status != before.status {
            self.change(&before, &after, &next, seller).await?;
        }
        Ok(Settled { purchase: after, checkout: next, mismatch: None })
    }

    /// Stores a purchase with another status, the money that moved, and the event that all else follows from.
    async fn change(
        &mut self,
        before: &Purchase,
        after: &Purchase,
        checkout: &PurchaseCheckout,
        seller: &Seller,
    ) -> Result<(), BillingError> {
        self.repositories.purchases().update(after).await?;
        coupon::follow(self.repositories, after, self.env.now()).await?;
        let completed = after.status == PurchaseStatus::Completed;
        if let (true, Some(payment)) = (completed, &checkout.payment_id) {
            let (price, now) = (after.price(), self.env.now());
            let (provider, live, kind) = (checkout.provider, checkout.live, SourceKind::Payment);
            let paid = LedgerTransaction::moved(provider, live, kind, payment, &price, now)
                .map_err(|error| StoreError::Internal(Box::new(error)))?
                .about(&Subject::shares(after));
            self.repositories.ledger().book(after.tenant_id, &paid).await?;
            let series = receipt::series(checkout.live);
            let place = self.repositories.invoices().next_number(series).await?;
            let invoice = Invoice::of_purchase(after, checkout.provider, payment, now);
            let invoice = invoice.sold_by(seller, receipt::number(series, place));
            self.repositories.invoices().upsert(&invoice).await?;
        }
        let declared = if completed { &events::PURCHASE_COMPLETED } else { &events::PURCHASE_FAILED };
        let event = Event::new(self.env, self.scope, declared, after.id.uuid());
        let event = event.in_tenant(after.tenant_id).before(before).after(after);
        Ok(self.repositories.events().append(event).await?)
    }

    /// Notes for staff that a payment is not what was asked for. The provider is not asked about it again.
    async fn refuse(
        &mut self,
        purchase: Purchase,
        checkout: PurchaseCheckout,
        provider_id: &str,
        differences: Vec<Difference>,
    ) -> Result<Settled, BillingError> {
        let checkout =
            PurchaseCheckout { stage: CheckoutStage::Mismatched, url: None, check_at: None, ..checkout };
        self.repositories.checkouts().update(&checkout).await?;
        let mismatch = Mismatch { session_id: provider_id.to_owned(), differences };
        let event = Event::new(self.env, self.scope, &events::PAYMENT_MISMATCH, purchase.id.uuid());
        self.repositories.events().append(event.in_tenant(purchase.tenant_id).after(&mismatch)).await?;
        Ok(Settled { purchase, checkout, mismatch: Some(mismatch) })
    }
}

/// In what a payment is not what was asked for.
pub(crate) fn differences(
    checkout: &PurchaseCheckout,
    price: &Money,
    observed: &Checkout,
) -> Vec<Difference> {
    let reference = checkout.reference();
    let pairs = [
        // A second session under the same reference was not made by us.
        ("session", checkout.session_id.clone().unwrap_or_else(|| observed.id.clone()), observed.id.clone()),
        ("reference", reference, observed.reference.clone().unwrap_or_default()),
        ("amount", price.amount.to_string(), observed.amount.amount.to_string()),
        ("currency", price.currency.clone(), observed.amount.currency.clone()),
        ("live", checkout.live.to_string(), observed.live.to_string()),
    ];
    Difference::among(pairs)
}

#[cfg(test)]
mod tests;
