//! From the reservation of a site over its payment to its hand-over.

use portico_kernel::{
    CheckoutId, Env, Event, EventDeclaration, NewJob, PurchaseId, Scope, StoreError, TenantId, UserId,
};

use super::{
    CURRENCIES, HandOverSite, OfferedSite, RESERVED, SaleRule, SettledSale, SiteBuyer, SiteSale,
    SiteSaleStatus, refunds::is_given_back,
};
use crate::{
    BillingError,
    checkout::{CheckoutStage, FIRST_CHECK, PurchaseCheckout},
    events,
    invoice::Invoice,
    ledger::{LedgerTransaction, SourceKind},
    payment::{Checkout, CheckoutState, PaymentError},
    ports::BillingRepositories,
    receipt,
    refund::PurchaseRefund,
    seller::Seller,
    settlement::{Difference, Mismatch, differences},
    subject::Subject,
};

/// Use cases around sales of sites. They ask for no permission: everybody may buy, and what follows does so from what the provider says.
pub struct SiteSales<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> SiteSales<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Reserves a site for a buyer and stores its sale, whose call is to be made once this is committed. Of many at once one gets it.
    ///
    /// # Errors
    /// `SiteReserved`; `OwnSite`; `Payment` with `Unsupported` for a price in another currency than quetzals and dollars.
    pub async fn begin(
        &mut self,
        offered: OfferedSite,
        buyer: SiteBuyer,
        rule: SaleRule,
    ) -> Result<SiteSale, BillingError> {
        if buyer.account.is_some_and(|(_, tenant)| tenant == offered.tenant) {
            return Err(BillingError::OwnSite);
        }
        if !CURRENCIES.contains(&offered.price.currency.as_str()) {
            return Err(PaymentError::Unsupported.into());
        }
        let (id, now): (PurchaseId, _) = (self.env.new_id(), self.env.now());
        let checkout = PurchaseCheckout {
            id: CheckoutId::from_uuid(id.uuid()),
            tenant_id: offered.tenant,
            purchase_id: id,
            provider: rule.provider,
            live: rule.live,
            stage: CheckoutStage::Creating,
            session_id: None,
            url: None,
            payment_id: None,
            success_url: rule.success_url,
            cancel_url: rule.cancel_url,
            created_at: now,
            expires_at: now + RESERVED,
            check_at: Some(now + FIRST_CHECK),
        };
        let sale = SiteSale {
            id,
            tenant_id: offered.tenant,
            site_id: offered.site,
            site_name: offered.name,
            slug: offered.slug,
            buyer_email: buyer.email,
            buyer_name: buyer.full_name,
            buyer: buyer.account,
            amount: offered.price.amount,
            currency: offered.price.currency,
            status: SiteSaleStatus::Pending,
            created_at: now,
            paid_at: None,
            returns_site: false,
            checkout,
        };
        let sale = if sale.buyer.is_some() { sale.anonymous() } else { sale };
        self.repositories.site_sales().insert(&sale).await.map_err(|error| match error {
            StoreError::Conflict(_) => BillingError::SiteReserved,
            error => error.into(),
        })?;
        self.append(&events::SITE_SALE_CREATED, None, &sale).await?;
        Ok(sale)
    }

    /// Stores what the provider says about the payment. The same answer again changes nothing, and neither does an older one. The first
    /// that says that it is paid books the money and enqueues the job that hands the site over.
    ///
    /// Where the payment is not what was asked for, or comes after the site was freed, nothing is granted: staff get an event.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn settle(
        &mut self,
        tenant: TenantId,
        id: PurchaseId,
        observed: &Checkout,
    ) -> Result<SettledSale, BillingError> {
        let before = self.lock(tenant, id).await?;
        if before.checkout.stage == CheckoutStage::Mismatched {
            return Ok(SettledSale { sale: before, is_newly_paid: false, mismatch: None });
        }
        let is_paid = matches!(observed.state, CheckoutState::Paid { .. });
        let mut found = differences(&before.checkout, &before.price(), observed);
        if is_paid && before.status == SiteSaleStatus::Failed {
            // Another buyer may have the site by now.
            let (expected, found_state) = ("unpaid".to_owned(), "paid".to_owned());
            found.push(Difference { field: "state", expected, found: found_state });
        }
        if !found.is_empty() {
            return self.refuse(before, observed, found).await;
        }
        let now = self.env.now();
        let mut after = SiteSale { checkout: before.checkout.after(observed, now), ..before.clone() };
        if before.checkout.stage == CheckoutStage::Paid {
            // What is still asked about are its refunds.
            after.checkout.check_at = before.checkout.check_at;
        }
        if before.status == SiteSaleStatus::Pending {
            match observed.state {
                CheckoutState::Paid { .. } => {
                    (after.status, after.paid_at) = (SiteSaleStatus::Paid, Some(now));
                }
                CheckoutState::Expired | CheckoutState::Failed => after.status = SiteSaleStatus::Failed,
                CheckoutState::Open | CheckoutState::Processing => {}
            }
        }
        if after.status == SiteSaleStatus::Failed {
            after = after.anonymous();
        }
        if after != before {
            self.repositories.site_sales().update(&after).await?;
        }
        let is_new = after.status != before.status;
        if is_new && is_paid {
            self.book(&after).await?;
            self.append(&events::SITE_SALE_PAID, Some(&before), &after).await?;
            self.enqueue(&after).await?;
        } else if is_new {
            self.append(&events::SITE_SALE_FAILED, Some(&before), &after).await?;
        }
        Ok(SettledSale { sale: after, is_newly_paid: is_new && is_paid, mismatch: None })
    }

    /// Ends a sale whose checkout the provider will not make. One that the provider has made meanwhile stays.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn give_up(&mut self, tenant: TenantId, id: PurchaseId) -> Result<(), BillingError> {
        let before = self.lock(tenant, id).await?;
        if before.checkout.stage != CheckoutStage::Creating {
            return Ok(());
        }
        let checkout =
            PurchaseCheckout { stage: CheckoutStage::Ended, check_at: None, ..before.checkout.clone() };
        let after = SiteSale { status: SiteSaleStatus::Failed, checkout, ..before.clone() }.anonymous();
        self.store(&events::SITE_SALE_FAILED, &before, after).await.map(drop)
    }

    /// Asks about the payment again later: the provider has no answer that helps.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn postpone(&mut self, tenant: TenantId, id: PurchaseId) -> Result<(), BillingError> {
        let mut sale = self.lock(tenant, id).await?;
        if sale.checkout.check_at.is_some() {
            sale.checkout.check_at = Some(sale.checkout.next_check(self.env.now()));
            self.repositories.site_sales().update(&sale).await?;
        }
        Ok(())
    }

    /// The sale, locked, if it is paid and to be handed over. One that is given back is not.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn to_be_handed_over(
        &mut self,
        tenant: TenantId,
        id: PurchaseId,
    ) -> Result<Option<SiteSale>, BillingError> {
        let sale = self.lock(tenant, id).await?;
        let refunds = self.repositories.site_refunds().of_purchase(tenant, id).await?;
        let is_due = sale.status == SiteSaleStatus::Paid && !is_given_back(&sale, &refunds);
        Ok(is_due.then_some(sale))
    }

    /// Notes the account that gets the site.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn assign(
        &mut self,
        sale: SiteSale,
        user: UserId,
        tenant: TenantId,
    ) -> Result<SiteSale, BillingError> {
        let sale = SiteSale { buyer: Some((user, tenant)), ..sale };
        self.repositories.site_sales().update(&sale).await?;
        Ok(sale)
    }

    /// Lets the site wait until the owner of the buyer's address claims it: an account is not taken over by paying.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn wait(&mut self, sale: SiteSale) -> Result<SiteSale, BillingError> {
        let after = SiteSale { status: SiteSaleStatus::Waiting, ..sale.clone() };
        self.store(&events::SITE_SALE_WAITING, &sale, after).await
    }

    /// A site that waits goes to the account of the caller, and is handed over by a job. The caller is known to own the address of the
    /// buyer.
    ///
    /// # Errors
    /// `NoPurchase` where there is no such sale, or it does not wait, or is given back; `OwnSite`.
    pub async fn claim(
        &mut self,
        seller: TenantId,
        id: PurchaseId,
        user: UserId,
        tenant: TenantId,
    ) -> Result<SiteSale, BillingError> {
        let before = self.repositories.site_sales().lock(seller, id).await?;
        let before =
            before.filter(|sale| sale.status == SiteSaleStatus::Waiting).ok_or(BillingError::NoPurchase)?;
        let refunds = self.repositories.site_refunds().of_purchase(seller, id).await?;
        if is_given_back(&before, &refunds) {
            return Err(BillingError::NoPurchase);
        }
        if tenant == seller {
            return Err(BillingError::OwnSite);
        }
        let claimed =
            SiteSale { status: SiteSaleStatus::Paid, buyer: Some((user, tenant)), ..before.clone() };
        let claimed = self.store(&events::SITE_SALE_CLAIMED, &before, claimed).await?;
        self.enqueue(&claimed).await?;
        Ok(claimed)
    }

    /// Notes that the site is handed over, in the unit of work that does it. Address and name of the buyer are those of the account now,
    /// whose tenant gets an invoice with the number of its receipt, from `seller` as they are now.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn complete(&mut self, sale: SiteSale, seller: &Seller) -> Result<SiteSale, BillingError> {
        let invoice = sale.buyer.and_then(|(_, buyer)| sale.invoice(buyer));
        if let Some(invoice) = invoice {
            let series = receipt::series(sale.checkout.live);
            let place = self.repositories.invoices().next_number(series).await?;
            // A part may have been given back at the provider while the site waited for its buyer.
            let refunds = self.repositories.site_refunds().of_purchase(sale.tenant_id, sale.id).await?;
            let amount_refunded = refunds.iter().map(PurchaseRefund::refunded).sum::<i64>();
            let invoice = invoice.sold_by(seller, receipt::number(series, place));
            self.repositories.invoices().upsert(&Invoice { amount_refunded, ..invoice }).await?;
        }
        let after = SiteSale { status: SiteSaleStatus::Completed, ..sale.clone() }.anonymous();
        self.store(&events::SITE_SALE_COMPLETED, &sale, after).await
    }

    /// The sale, locked, if its site is to be given back to the seller.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn to_be_returned(
        &mut self,
        tenant: TenantId,
        id: PurchaseId,
    ) -> Result<Option<SiteSale>, BillingError> {
        let sale = self.lock(tenant, id).await?;
        let is_due = sale.status == SiteSaleStatus::Refunded && sale.returns_site;
        Ok(is_due.then_some(sale))
    }

    /// Notes that the site is returned, in the unit of work that does it, so that a second run takes nothing from whoever buys it next.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn returned(&mut self, sale: SiteSale) -> Result<(), BillingError> {
        let after = SiteSale { returns_site: false, ..sale };
        Ok(self.repositories.site_sales().update(&after).await?)
    }

    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<SiteSale, BillingError> {
        self.repositories.site_sales().lock(tenant, id).await?.ok_or(BillingError::NoCheckout)
    }

    /// Stores a sale with another status, and the event that all else follows from.
    async fn store(
        &mut self,
        kind: &'static EventDeclaration,
        before: &SiteSale,
        after: SiteSale,
    ) -> Result<SiteSale, BillingError> {
        self.repositories.site_sales().update(&after).await?;
        self.append(kind, Some(before), &after).await?;
        Ok(after)
    }

    async fn append(
        &mut self,
        kind: &'static EventDeclaration,
        before: Option<&SiteSale>,
        after: &SiteSale,
    ) -> Result<(), BillingError> {
        let event = Event::new(self.env, self.scope, kind, after.id.uuid()).in_tenant(after.tenant_id);
        let event = match before {
            Some(before) => event.before(before),
            None => event,
        };
        Ok(self.repositories.events().append(event.after(after)).await?)
    }

    async fn enqueue(&mut self, sale: &SiteSale) -> Result<(), BillingError> {
        let job = HandOverSite { purchase_id: sale.id };
        let job = NewJob::new(self.env, self.scope, sale.tenant_id, &job);
        Ok(self.repositories.jobs().enqueue(job).await?)
    }

    async fn book(&mut self, sale: &SiteSale) -> Result<(), BillingError> {
        let Some(payment) = &sale.checkout.payment_id else { return Ok(()) };
        let paid = LedgerTransaction::moved(
            sale.checkout.provider,
            sale.checkout.live,
            SourceKind::Payment,
            payment,
            &sale.price(),
            self.env.now(),
        )
        .map_err(|error| StoreError::Internal(Box::new(error)))?
        .about(&[(Subject::Site, 1)]);
        Ok(self.repositories.ledger().book(sale.tenant_id, &paid).await?)
    }

    /// Notes for staff that a payment is not what was asked for. The provider is not asked about it again, and the site is free.
    async fn refuse(
        &mut self,
        before: SiteSale,
        observed: &Checkout,
        differences: Vec<Difference>,
    ) -> Result<SettledSale, BillingError> {
        let checkout = PurchaseCheckout {
            stage: CheckoutStage::Mismatched,
            url: None,
            check_at: None,
            ..before.checkout.clone()
        };
        let status = match before.status {
            SiteSaleStatus::Pending => SiteSaleStatus::Failed,
            decided => decided,
        };
        let after = SiteSale { status, checkout, ..before };
        self.repositories.site_sales().update(&after).await?;
        let mismatch = Mismatch { session_id: observed.id.clone(), differences };
        let event = Event::new(self.env, self.scope, &events::PAYMENT_MISMATCH, after.id.uuid());
        self.repositories.events().append(event.in_tenant(after.tenant_id).after(&mismatch)).await?;
        Ok(SettledSale { sale: after, is_newly_paid: false, mismatch: Some(mismatch) })
    }
}
