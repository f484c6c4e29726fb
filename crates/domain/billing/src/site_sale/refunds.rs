//! Money of a sale that is given back: by staff here, or on pages of the provider.
//!
//! As for purchases, a refund is stored first, then the provider is called, and what it says is settled in one place. A sale is given back
//! as a whole; what is found at the provider may be a part.

use portico_kernel::{
    Env, Event, EventDeclaration, Money, NewJob, Permission, PurchaseId, Scope, StoreError, TenantId,
    Timestamp, Violations,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use super::{HandOverSite, ReturnSite, SiteSale, SiteSaleStatus};
use crate::{
    BillingError,
    checkout::{CHECK_AGAIN, FIRST_CHECK},
    events,
    invoice::Invoice,
    ledger::{LedgerTransaction, SourceKind},
    payment::{PaymentError, Refund},
    ports::BillingRepositories,
    refund::{PurchaseRefund, RefundStatus},
    subject::Subject,
};

/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// How often the provider is asked about a refund that is on its way.
const PENDING_PAUSE: Duration = Duration::hours(6);

/// How often the provider is asked about a refund that has succeeded: a bank may send the money back, of which no webhook tells.
const WATCH_PAUSE: Duration = Duration::DAY;

/// For how long it is asked after a refund has succeeded.
const WATCHED: Duration = Duration::days(30);

/// A sale to be given back, by staff.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"reason": "The buyer has bought the wrong site.", "returnSite": true})))]
pub struct SiteRefundInput {
    /// Why, for colleagues and the audit trail; at most 500 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 500))]
    pub reason: Option<String>,
    /// Whether a site that was handed over goes back to the tenant that sold it, as a draft, once the money is given back. Where absent it
    /// stays with its buyer. One that was not handed over is the seller's in any case.
    pub return_site: bool,
}

/// A refund in the event about its beginning, with what was decided about the site.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BegunRefund<'a> {
    #[serde(flatten)]
    refund: &'a PurchaseRefund,
    returns_site: bool,
}

/// What came of an answer of the provider about a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledSiteRefund {
    /// The sale as it is now.
    pub sale: SiteSale,
    /// The refund as it is now.
    pub refund: PurchaseRefund,
    /// Whether this answer has ended a sale that was not handed over: the site is the seller's to sell again.
    pub is_freed: bool,
    /// Whether this answer says that a refund which had ended the sale has not reached the buyer after all. The site stays with whom it is,
    /// and staff have to decide. It is an error to be logged.
    pub is_undone: bool,
}

/// Use cases around refunds of sales.
pub struct SiteRefunds<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> SiteRefunds<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Stores a refund of all that is left of a sale, of whichever tenant; its call is to be made once this is committed. A site that is
    /// not handed over yet stays where it is from now on, unless the refund fails.
    ///
    /// # Errors
    /// `Denied` without `platform:refunds`; `Invalid`; `NoPurchase`; `NotPaid`; `RefundInProgress`; `NothingToRefund`.
    pub async fn begin(
        &mut self,
        id: PurchaseId,
        input: &SiteRefundInput,
    ) -> Result<PurchaseRefund, BillingError> {
        self.scope.require_platform(Permission::PlatformRefunds)?;
        let mut violations = Violations::default();
        violations.optional_text("reason", input.reason.as_deref(), REASON_MAX);
        violations.into_result().map_err(BillingError::Invalid)?;
        let tenant = self.repositories.site_sales().tenant_of(id).await?.ok_or(BillingError::NoPurchase)?;
        let mut sale =
            self.repositories.site_sales().lock(tenant, id).await?.ok_or(BillingError::NoPurchase)?;
        let payment_id = sale.checkout.payment_id.clone().filter(|_| sale.paid_at.is_some());
        let payment_id = payment_id.ok_or(BillingError::NotPaid)?;
        let refunds = self.repositories.site_refunds().of_purchase(tenant, id).await?;
        if refunds.iter().any(|refund| refund.status == RefundStatus::Requested) {
            return Err(BillingError::RefundInProgress);
        }
        let amount = sale.amount - refunds.iter().map(PurchaseRefund::reserved).sum::<i64>();
        if amount <= 0 {
            return Err(BillingError::NothingToRefund);
        }
        let (now, reason) = (self.env.now(), input.reason.as_deref().map(str::trim));
        let refund = PurchaseRefund {
            id: self.env.new_id(),
            tenant_id: tenant,
            purchase_id: id,
            provider: sale.checkout.provider,
            payment_id,
            provider_id: None,
            amount,
            currency: sale.currency.clone(),
            status: RefundStatus::Requested,
            reason: reason.filter(|reason| !reason.is_empty()).map(str::to_owned),
            created_at: now,
            updated_at: now,
        };
        self.repositories.site_refunds().store(&refund).await?;
        sale.checkout.check_at = Some(now + FIRST_CHECK);
        sale.returns_site = input.return_site;
        self.repositories.site_sales().update(&sale).await?;
        let begun = BegunRefund { refund: &refund, returns_site: sale.returns_site };
        let event = Event::new(self.env, self.scope, &events::REFUND_CREATED, refund.id.uuid());
        self.repositories.events().append(event.in_tenant(tenant).after(&begun)).await?;
        Ok(refund)
    }

    /// Stores what the provider says about a refund of a sale, also of one that was made on its pages, books the money, and ends the sale
    /// once all of it was given back. The same answer again changes nothing. It follows from what the provider says, so it asks for no
    /// permission.
    ///
    /// A refund that was counted may fail later. A sale that was handed over is then completed again, wherever the site is meanwhile: one
    /// that went back to its seller stays there. One that was not handed over stays ended, because the site was freed, and the buyer is not
    /// known any more. Staff get an event in either case, and may begin another refund.
    ///
    /// # Errors
    /// `NoPurchase`; `NotPaid` for a sale without a payment; `Payment` with `Refused` for a refund in another currency, or of more than was
    /// paid.
    pub async fn settle(
        &mut self,
        tenant: TenantId,
        id: PurchaseId,
        observed: &Refund,
    ) -> Result<SettledSiteRefund, BillingError> {
        let before = self.lock(tenant, id).await?;
        let payment = before.checkout.payment_id.clone().ok_or(BillingError::NotPaid)?;
        if observed.amount.currency != before.currency || observed.amount.amount > before.amount {
            let cause = format!("the refund {} is not one of the sale", observed.id);
            return Err(PaymentError::Refused(cause).into());
        }
        let mut refunds = self.repositories.site_refunds().of_purchase(tenant, id).await?;
        // A provider without our reference speaks of the one that is being made, as long as there is one.
        let requested = |stored: &&PurchaseRefund| {
            observed.reference.is_none() && stored.status == RefundStatus::Requested
        };
        let known = refunds.iter().find(|stored| stored.is(observed));
        let known = known.or_else(|| refunds.iter().find(requested)).cloned();
        let now = self.env.now();
        let refund = match &known {
            Some(stored) => stored.after(observed, now),
            None => PurchaseRefund::found(self.env, &before.checkout, &payment, observed),
        };
        if known.as_ref() == Some(&refund) {
            return Ok(SettledSiteRefund { sale: before, refund, is_freed: false, is_undone: false });
        }
        self.repositories.site_refunds().store(&refund).await?;
        refunds.retain(|stored| stored.id != refund.id);
        refunds.push(refund.clone());
        let is_lost = refund.refunded() == 0 && known.as_ref().is_some_and(|known| known.refunded() > 0);
        if refund.refunded() > 0 {
            self.book(&before, SourceKind::Refund, &observed.id, &refund.money()).await?;
        } else if is_lost {
            self.book(&before, SourceKind::RefundFailed, &observed.id, &refund.money()).await?;
        }
        let succeeded = refunds.iter().filter(|refund| refund.status == RefundStatus::Succeeded);
        let given_back = succeeded.map(|refund| refund.amount).sum::<i64>();
        let is_handed_over = self.follow_invoice(&before, given_back).await?;
        let status = match before.status {
            _ if given_back >= before.amount => SiteSaleStatus::Refunded,
            SiteSaleStatus::Refunded if is_handed_over => SiteSaleStatus::Completed,
            status => status,
        };
        let mut sale = SiteSale { status, ..before.clone() };
        let waits = matches!(before.status, SiteSaleStatus::Paid | SiteSaleStatus::Waiting);
        if status == SiteSaleStatus::Refunded {
            sale = sale.anonymous();
            // One that was not handed over is there already.
            let was_freed = before.status == SiteSaleStatus::Refunded && !is_handed_over;
            sale.returns_site &= !(waits || was_freed);
        }
        let is_newest = refunds.iter().all(|other| other.created_at <= refund.created_at);
        // What was decided with a refund goes with it: one that is made in the provider's panel later returns no site.
        sale.returns_site &= !(is_newest && refund.status == RefundStatus::Failed);
        sale.checkout.check_at = next_check(now, &refunds);
        self.repositories.site_sales().update(&sale).await?;
        let is_new = |status: RefundStatus| {
            refund.status == status && known.as_ref().is_none_or(|known| known.status != status)
        };
        if is_new(RefundStatus::Succeeded) {
            self.tell(&events::SITE_SALE_REFUNDED, &before, &sale).await?;
        }
        if is_lost {
            self.tell(&events::SITE_SALE_REFUND_FAILED, &before, &sale).await?;
        }
        if is_new(RefundStatus::Failed) {
            self.failed(known.as_ref(), &refund, &sale).await?;
        }
        let is_whole_now = before.status == SiteSaleStatus::Completed && status == SiteSaleStatus::Refunded;
        if is_whole_now && sale.returns_site {
            let job = NewJob::new(self.env, self.scope, tenant, &ReturnSite { purchase_id: id });
            self.repositories.jobs().enqueue(job).await?;
        }
        let is_freed = waits && status == SiteSaleStatus::Refunded;
        let is_undone = is_lost && before.status == SiteSaleStatus::Refunded && given_back < before.amount;
        Ok(SettledSiteRefund { sale, refund, is_freed, is_undone })
    }

    /// Ends a refund that the provider will not make, and answers it. One that the provider has made meanwhile stays.
    ///
    /// # Errors
    /// `NoPurchase`.
    pub async fn give_up(&mut self, refund: &PurchaseRefund) -> Result<PurchaseRefund, BillingError> {
        let (tenant, id) = (refund.tenant_id, refund.purchase_id);
        let mut sale = self.lock(tenant, id).await?;
        let mut refunds = self.repositories.site_refunds().of_purchase(tenant, id).await?;
        let Some(stored) = refunds.iter_mut().find(|stored| stored.id == refund.id) else {
            return Ok(refund.clone());
        };
        if stored.status != RefundStatus::Requested {
            return Ok(stored.clone());
        }
        let before = stored.clone();
        (stored.status, stored.updated_at) = (RefundStatus::Failed, self.env.now());
        let after = stored.clone();
        self.repositories.site_refunds().store(&after).await?;
        sale.checkout.check_at = next_check(self.env.now(), &refunds);
        sale.returns_site = false;
        self.repositories.site_sales().update(&sale).await?;
        self.failed(Some(&before), &after, &sale).await?;
        Ok(after)
    }

    /// Asks about the refunds of a sale again later, if there is anything to ask about.
    ///
    /// # Errors
    /// `NoPurchase`.
    pub async fn postpone(&mut self, tenant: TenantId, id: PurchaseId) -> Result<(), BillingError> {
        let mut sale = self.lock(tenant, id).await?;
        let refunds = self.repositories.site_refunds().of_purchase(tenant, id).await?;
        sale.checkout.check_at = next_check(self.env.now(), &refunds);
        Ok(self.repositories.site_sales().update(&sale).await?)
    }

    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<SiteSale, BillingError> {
        self.repositories.site_sales().lock(tenant, id).await?.ok_or(BillingError::NoPurchase)
    }

    /// The invoice of a sale says what was given back of it. Answers whether there is one: it is made when the site is handed over, and kept.
    async fn follow_invoice(&mut self, sale: &SiteSale, amount_refunded: i64) -> Result<bool, BillingError> {
        let Some((_, buyer)) = sale.buyer else { return Ok(false) };
        let stored = self.repositories.invoices().find(buyer, sale.invoice_id()).await?;
        let Some(stored) = stored else { return Ok(false) };
        if stored.amount_refunded != amount_refunded {
            self.repositories.invoices().upsert(&Invoice { amount_refunded, ..stored }).await?;
        }
        Ok(true)
    }

    /// Tells staff that a refund has failed. A site that was held back meanwhile is handed over.
    async fn failed(
        &mut self,
        before: Option<&PurchaseRefund>,
        after: &PurchaseRefund,
        sale: &SiteSale,
    ) -> Result<(), BillingError> {
        let event = Event::new(self.env, self.scope, &events::REFUND_FAILED, after.id.uuid());
        let event = match before {
            Some(before) => event.before(before),
            None => event,
        };
        self.repositories.events().append(event.in_tenant(sale.tenant_id).after(after)).await?;
        if sale.status == SiteSaleStatus::Paid {
            let job = HandOverSite { purchase_id: sale.id };
            let job = NewJob::new(self.env, self.scope, sale.tenant_id, &job);
            self.repositories.jobs().enqueue(job).await?;
        }
        Ok(())
    }

    async fn tell(
        &mut self,
        kind: &'static EventDeclaration,
        before: &SiteSale,
        after: &SiteSale,
    ) -> Result<(), BillingError> {
        let event = Event::new(self.env, self.scope, kind, after.id.uuid()).in_tenant(after.tenant_id);
        Ok(self.repositories.events().append(event.before(before).after(after)).await?)
    }

    async fn book(
        &mut self,
        sale: &SiteSale,
        kind: SourceKind,
        id: &str,
        money: &Money,
    ) -> Result<(), BillingError> {
        let (provider, live) = (sale.checkout.provider, sale.checkout.live);
        let moved = LedgerTransaction::moved(provider, live, kind, id, money, self.env.now())
            .map_err(|error| StoreError::Internal(Box::new(error)))?
            .about(&[(Subject::Site, 1)]);
        self.repositories.ledger().book_missing(sale.tenant_id, &moved).await?;
        Ok(())
    }
}

/// Whether a sale is given back, or is to be: its site is not handed over then.
pub(super) fn is_given_back(sale: &SiteSale, refunds: &[PurchaseRefund]) -> bool {
    !refunds.is_empty() && refunds.iter().map(PurchaseRefund::reserved).sum::<i64>() >= sale.amount
}

/// When the provider is to be asked about the refunds of a sale next; `None` once nothing is expected any more.
fn next_check(now: Timestamp, refunds: &[PurchaseRefund]) -> Option<Timestamp> {
    let pause = |refund: &PurchaseRefund| match refund.status {
        RefundStatus::Requested => Some(CHECK_AGAIN),
        RefundStatus::Pending => Some(PENDING_PAUSE),
        RefundStatus::Succeeded => (now < refund.updated_at + WATCHED).then_some(WATCH_PAUSE),
        RefundStatus::Failed => None,
    };
    refunds.iter().filter_map(pause).min().map(|pause| now + pause)
}

#[cfg(test)]
mod tests;
