//! What follows from refunds, disputes and fees of a payment. The only place where a purchase is refunded or disputed.
//!
//! What the provider says is merged with what is stored: a refund or a dispute that was seen stays, and only goes on. So answers can come
//! late, doubled and in any order, and some never: the last one of the provider decides.

use portico_kernel::{
    CheckoutId, Event, EventDeclaration, InvoiceId, Money, StoreError, TenantId, Timestamp,
};
use time::Duration;

use super::{Difference, Mismatch, Settlements};
use crate::{
    BillingError,
    checkout::{CHECK_AGAIN, CheckoutStage, PurchaseCheckout, lock},
    dispute::PurchaseDispute,
    events,
    invoice::Invoice,
    ledger::{LedgerTransaction, SourceKind},
    payment::{Dispute, DisputeStatus, Payment, Refund},
    purchase::Purchase,
    refund::{PurchaseRefund, RefundStatus},
    subject::Subject,
};

/// How often a payment is asked about of which a refund is on its way or a dispute is open.
const OPEN_PAUSE: Duration = Duration::hours(6);

/// The shortest time between two questions about any other one.
const SHORTEST_PAUSE: Duration = Duration::HOUR;

/// How long after it was made a payment is asked about. Banks let buyers dispute for four months.
const ASKED_FOR: Duration = Duration::days(180);

/// What came of an answer of the provider about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentSettled {
    /// The purchase as it is now.
    pub purchase: Purchase,
    /// Whether this answer has changed its status: licenses follow then.
    pub status_changed: bool,
    /// Its checkout as it is now.
    pub checkout: PurchaseCheckout,
    /// Its refunds as they are now.
    pub refunds: Vec<PurchaseRefund>,
    /// Disputes that were not known before. Somebody has to answer them: they are to be logged.
    pub opened: Vec<PurchaseDispute>,
    /// Why nothing followed, where this answer is the first to show it. It is an error to be logged.
    pub mismatch: Option<Mismatch>,
}

/// What an answer of the provider says.
#[derive(Default)]
struct Seen<'a> {
    fee: Option<&'a Money>,
    refunds: &'a [Refund],
    disputes: &'a [Dispute],
}

/// A payment whose movements of money are booked.
struct Booked<'a> {
    checkout: &'a PurchaseCheckout,
    /// The provider's id of it.
    payment: &'a str,
    /// What the money is about.
    shares: Vec<(Subject, i64)>,
}

/// What has happened since the last answer.
#[derive(Default)]
struct News {
    refunded: bool,
    refund_failed: bool,
    opened: Vec<PurchaseDispute>,
    closed: bool,
}

impl News {
    /// The events that tell of it.
    fn events(&self) -> impl Iterator<Item = &'static EventDeclaration> {
        let all = [
            (self.refunded, &events::PURCHASE_REFUNDED),
            (self.refund_failed, &events::PURCHASE_REFUND_FAILED),
            (!self.opened.is_empty(), &events::PURCHASE_DISPUTED),
            (self.closed, &events::PURCHASE_DISPUTE_CLOSED),
        ];
        all.into_iter().filter_map(|(happened, event)| happened.then_some(event))
    }
}

impl Settlements<'_> {
    /// Stores what the provider says about a payment: its refunds, disputes and fees, what they make of the purchase, and the movements of
    /// money, each booked once. The same answer again changes nothing. Of a checkout that is not known to be paid nothing follows: that
    /// is asked about first.
    ///
    /// Where the payment is not the one that was settled, nothing follows either, and staff get an event.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn settle_payment(
        &mut self,
        tenant: TenantId,
        id: CheckoutId,
        observed: &Payment,
    ) -> Result<PaymentSettled, BillingError> {
        let (before, checkout) = lock(self.repositories, tenant, id).await?;
        let differences = differences(&checkout, &before, observed);
        if checkout.stage == CheckoutStage::Paid && !differences.is_empty() {
            let refused = self.refuse(before, checkout, &observed.id, differences).await?;
            let (purchase, checkout, mismatch) = (refused.purchase, refused.checkout, refused.mismatch);
            return Ok(PaymentSettled {
                purchase,
                status_changed: false,
                checkout,
                refunds: Vec::new(),
                opened: Vec::new(),
                mismatch,
            });
        }
        let fee = observed.fee.as_ref();
        let seen = Seen { fee, refunds: &observed.refunds, disputes: &observed.disputes };
        self.merge(before, checkout, &seen).await
    }

    /// The same with the answer to the call that makes a refund.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn settle_refund(
        &mut self,
        tenant: TenantId,
        id: CheckoutId,
        observed: &Refund,
    ) -> Result<PaymentSettled, BillingError> {
        let (before, checkout) = lock(self.repositories, tenant, id).await?;
        let refunds = std::slice::from_ref(observed);
        self.merge(before, checkout, &Seen { refunds, ..Seen::default() }).await
    }

    async fn merge(
        &mut self,
        before: Purchase,
        checkout: PurchaseCheckout,
        seen: &Seen<'_>,
    ) -> Result<PaymentSettled, BillingError> {
        let (tenant, id) = (before.tenant_id, before.id);
        let mut refunds = self.repositories.refunds().of_purchase(tenant, id).await?;
        let mut disputes = self.repositories.disputes().of_purchase(tenant, id).await?;
        let paid = checkout.payment_id.clone().filter(|_| checkout.stage == CheckoutStage::Paid);
        let Some(payment) = paid else {
            let (purchase, opened) = (before, Vec::new());
            let status_changed = false;
            return Ok(PaymentSettled {
                purchase,
                status_changed,
                checkout,
                refunds,
                opened,
                mismatch: None,
            });
        };
        let mut news = News::default();
        let booked = Booked { checkout: &checkout, payment: &payment, shares: Subject::shares(&before) };
        self.book_fee(&booked, SourceKind::Fee, &payment, seen.fee).await?;
        for observed in seen.refunds {
            self.merge_refund(&booked, observed, &mut refunds, &mut news).await?;
        }
        for observed in seen.disputes {
            self.merge_dispute(&booked, observed, &mut disputes, &mut news).await?;
        }
        let refunded = refunds.iter().map(PurchaseRefund::refunded).sum();
        let given = refunds.iter().map(PurchaseRefund::given).sum();
        let after = before.reversed(refunded, given, disputes.iter().any(PurchaseDispute::is_held));
        if after != before {
            self.repositories.purchases().update(&after).await?;
            self.follow_invoice(&after).await?;
        }
        // A part that is on its way changes nothing about the purchase yet.
        news.refunded &= after != before;
        for declared in news.events() {
            let event = Event::new(self.env, self.scope, declared, id.uuid());
            self.repositories.events().append(event.in_tenant(tenant).before(&before).after(&after)).await?;
        }
        let paid_at = after.completed_at.unwrap_or(after.created_at);
        let check_at = next_check(self.env.now(), paid_at, &refunds, &disputes);
        let checkout = PurchaseCheckout { check_at, ..checkout };
        self.repositories.checkouts().update(&checkout).await?;
        let status_changed = after.status != before.status;
        let opened = news.opened;
        Ok(PaymentSettled { purchase: after, status_changed, checkout, refunds, opened, mismatch: None })
    }

    /// The invoice of a purchase says what was given back of it.
    async fn follow_invoice(&mut self, purchase: &Purchase) -> Result<(), BillingError> {
        let id = InvoiceId::from_uuid(purchase.id.uuid());
        let stored = self.repositories.invoices().find(purchase.tenant_id, id).await?;
        let amount_refunded = purchase.refunded_amount;
        if let Some(stored) = stored.filter(|invoice| invoice.amount_refunded != amount_refunded) {
            self.repositories.invoices().upsert(&Invoice { amount_refunded, ..stored }).await?;
        }
        Ok(())
    }

    async fn merge_refund(
        &mut self,
        booked: &Booked<'_>,
        observed: &Refund,
        refunds: &mut Vec<PurchaseRefund>,
        news: &mut News,
    ) -> Result<(), BillingError> {
        let before = refunds.iter().find(|stored| stored.is(observed)).cloned();
        let after = match &before {
            Some(stored) => stored.after(observed, self.env.now()),
            None => PurchaseRefund::found(self.env, booked.checkout, booked.payment, observed),
        };
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        self.repositories.refunds().store(&after).await?;
        let (was_given, was_refunded) = before.map_or((0, 0), |before| (before.given(), before.refunded()));
        if after.refunded() > 0 {
            self.book(booked, SourceKind::Refund, &observed.id, &after.money()).await?;
        } else if was_refunded > 0 {
            self.book(booked, SourceKind::RefundFailed, &observed.id, &after.money()).await?;
        }
        news.refunded |= after.given() > was_given || after.refunded() > was_refunded;
        news.refund_failed |= was_given > 0 && after.given() == 0;
        refunds.retain(|stored| stored.id != after.id);
        refunds.push(after);
        Ok(())
    }

    async fn merge_dispute(
        &mut self,
        booked: &Booked<'_>,
        observed: &Dispute,
        disputes: &mut Vec<PurchaseDispute>,
        news: &mut News,
    ) -> Result<(), BillingError> {
        // It may be known later than the dispute itself.
        self.book_fee(booked, SourceKind::DisputeFee, &observed.id, observed.fee.as_ref()).await?;
        let before = disputes.iter().find(|stored| stored.provider_id == observed.id).cloned();
        let after = match &before {
            Some(stored) => stored.after(observed, self.env.now()),
            None => PurchaseDispute::found(self.env, booked.checkout, observed),
        };
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        self.repositories.disputes().store(&after).await?;
        self.book(booked, SourceKind::Dispute, &observed.id, &after.money()).await?;
        if after.status == DisputeStatus::Won {
            self.book(booked, SourceKind::DisputeWon, &observed.id, &after.money()).await?;
        }
        let was_open = before.as_ref().is_none_or(|before| before.status.is_open());
        news.closed |= was_open && !after.status.is_open();
        if before.is_none() {
            news.opened.push(after.clone());
        }
        disputes.retain(|stored| stored.id != after.id);
        disputes.push(after);
        Ok(())
    }

    async fn book_fee(
        &mut self,
        booked: &Booked<'_>,
        kind: SourceKind,
        id: &str,
        fee: Option<&Money>,
    ) -> Result<(), BillingError> {
        match fee.filter(|fee| fee.amount > 0) {
            Some(fee) => self.book(booked, kind, id, fee).await,
            None => Ok(()),
        }
    }

    async fn book(
        &mut self,
        booked: &Booked<'_>,
        kind: SourceKind,
        id: &str,
        money: &Money,
    ) -> Result<(), BillingError> {
        let PurchaseCheckout { provider, live, .. } = *booked.checkout;
        let moved = LedgerTransaction::moved(provider, live, kind, id, money, self.env.now())
            .map_err(|error| StoreError::Internal(Box::new(error)))?
            .about(&booked.shares);
        self.repositories.ledger().book_missing(booked.checkout.tenant_id, &moved).await?;
        Ok(())
    }
}

/// When the provider is to be asked about a payment next: soon while a refund is to be made, often while something is on its way, and
/// otherwise each time that it is twice as old. `None` once nothing is expected any more.
fn next_check(
    now: Timestamp,
    paid_at: Timestamp,
    refunds: &[PurchaseRefund],
    disputes: &[PurchaseDispute],
) -> Option<Timestamp> {
    let age: Duration = now - paid_at;
    let is_open = refunds.iter().any(|refund| refund.status == RefundStatus::Pending)
        || disputes.iter().any(|dispute| dispute.status.is_open());
    if refunds.iter().any(|refund| refund.status == RefundStatus::Requested) {
        Some(now + CHECK_AGAIN)
    } else if is_open {
        Some(now + OPEN_PAUSE)
    } else {
        (age < ASKED_FOR).then(|| now + age.max(SHORTEST_PAUSE))
    }
}

/// In what a payment is not the one that was settled.
fn differences(checkout: &PurchaseCheckout, purchase: &Purchase, observed: &Payment) -> Vec<Difference> {
    let currencies = observed.refunds.iter().map(|refund| &refund.amount.currency);
    let currencies = currencies.chain(observed.disputes.iter().map(|dispute| &dispute.amount.currency));
    let other_currency =
        currencies.chain([&observed.amount.currency]).find(|code| **code != purchase.currency);
    let pairs = [
        ("payment", checkout.payment_id.clone().unwrap_or_default(), observed.id.clone()),
        ("amount", purchase.amount.to_string(), observed.amount.amount.to_string()),
        ("currency", purchase.currency.clone(), other_currency.unwrap_or(&purchase.currency).clone()),
        ("live", checkout.live.to_string(), observed.live.to_string()),
    ];
    Difference::among(pairs)
}

#[cfg(test)]
mod tests;
