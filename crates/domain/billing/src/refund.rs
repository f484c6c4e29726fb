//! Refunds of purchases, and how staff give money back.
//!
//! The provider is never called while a transaction is open. A refund is stored first, and its id is the idempotency key of the call; then
//! the provider is called, and its answer is [settled](crate::settlement). A process that dies in between leaves a refund that is
//! [requested](RefundStatus::Requested), and the schedule repeats the call with the same key.

use portico_kernel::{
    Env, Event, List, Money, PageRequest, Permission, PurchaseId, RefundId, RuleMessage, Scope, TenantId,
    Timestamp, Violations,
};
use serde::{Deserialize, Serialize};

use crate::{
    BillingError,
    checkout::{FIRST_CHECK, KEY_LIVES, PurchaseCheckout},
    dispute::PurchaseDispute,
    events,
    money::Currency,
    payment::{NewRefund, Provider, Refund, RefundState},
    ports::BillingRepositories,
    purchase::{Purchase, PurchaseStatus},
};

/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// How far a refund is. It only goes on: an old answer of the provider undoes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RefundStatus {
    /// Stored; the provider is being asked to make it.
    Requested,
    /// The provider is to pay it, and the buyer does not have it yet: the money is on its way, or the buyer has to say where it is to go.
    Pending,
    /// The buyer has it.
    Succeeded,
    /// The provider refuses it, or the buyer could not be paid.
    Failed,
}

impl RefundStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Requested, Self::Pending, Self::Succeeded, Self::Failed];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    const fn of(state: RefundState) -> Self {
        match state {
            RefundState::Pending => Self::Pending,
            RefundState::Succeeded => Self::Succeeded,
            RefundState::Failed => Self::Failed,
        }
    }
}

/// Money of a purchase that is given back: by staff here, or on pages of the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PurchaseRefund {
    /// UUIDv7; also the idempotency key of the call that makes it.
    pub id: RefundId,
    /// The tenant that the purchase belongs to.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// What was bought: a purchase, or the sale of a site.
    pub purchase_id: PurchaseId,
    /// Where.
    #[serde(skip)]
    pub provider: Provider,
    /// The provider's id of the payment.
    #[serde(skip)]
    pub payment_id: String,
    /// The provider's id of it; null until the provider has made it.
    #[cfg_attr(feature = "openapi", schema(example = "re_1a2b3c"))]
    pub provider_id: Option<String>,
    /// How much, in minor units of the currency.
    #[cfg_attr(feature = "openapi", schema(example = 35900))]
    pub amount: i64,
    /// Lower-case ISO 4217.
    #[cfg_attr(feature = "openapi", schema(example = "usd"))]
    pub currency: String,
    /// How far it is.
    pub status: RefundStatus,
    /// Why, in the words of staff; null where it was made on pages of the provider.
    pub reason: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

impl PurchaseRefund {
    /// One that the provider has and that was not made here.
    pub(crate) fn found(env: &Env, checkout: &PurchaseCheckout, payment: &str, observed: &Refund) -> Self {
        Self {
            id: env.new_id(),
            tenant_id: checkout.tenant_id,
            purchase_id: checkout.purchase_id,
            provider: checkout.provider,
            payment_id: payment.to_owned(),
            provider_id: Some(observed.id.clone()),
            amount: observed.amount.amount,
            currency: observed.amount.currency.clone(),
            status: RefundStatus::of(observed.state),
            reason: None,
            created_at: env.now(),
            updated_at: env.now(),
        }
    }

    /// How much.
    pub fn money(&self) -> Money {
        Money { amount: self.amount, currency: self.currency.clone() }
    }

    /// What the provider knows it by.
    pub fn reference(&self) -> String {
        self.id.to_string()
    }

    /// The idempotency key of the call that makes it.
    pub fn key(&self) -> String {
        format!("refund_{}", self.id)
    }

    /// The call that makes it: the same at every try, because it is made of what is stored.
    pub fn call(&self) -> NewRefund {
        let (reference, payment_id) = (self.reference(), self.payment_id.clone());
        NewRefund { reference, payment_id, amount: self.money() }
    }

    /// Whether the call that makes it may still be repeated: the provider remembers the key.
    pub fn may_repeat(&self, now: Timestamp) -> bool {
        self.status == RefundStatus::Requested && now < self.created_at + KEY_LIVES
    }

    /// Whether it is this one that the provider speaks of.
    pub(crate) fn is(&self, observed: &Refund) -> bool {
        match &self.provider_id {
            Some(id) => *id == observed.id,
            None => observed.reference.as_deref() == Some(self.reference().as_str()),
        }
    }

    /// The refund after the provider has said this about it.
    #[must_use]
    pub(crate) fn after(&self, observed: &Refund, now: Timestamp) -> Self {
        let seen = RefundStatus::of(observed.state);
        if self.provider_id.is_some() {
            return match seen > self.status {
                true => Self { status: seen, updated_at: now, ..self.clone() },
                false => self.clone(),
            };
        }
        // Also one that was given up, and that the provider has made after all. The amount is what was really moved.
        Self {
            provider_id: Some(observed.id.clone()),
            amount: observed.amount.amount,
            status: seen,
            updated_at: now,
            ..self.clone()
        }
    }

    /// What of it the buyer has.
    pub fn refunded(&self) -> i64 {
        if self.status == RefundStatus::Succeeded { self.amount } else { 0 }
    }

    /// What the provider has undertaken to give back: what the buyer has, or is to get.
    pub fn given(&self) -> i64 {
        if self.provider_id.is_some() { self.reserved() } else { 0 }
    }

    /// What cannot be given back by another refund.
    pub(crate) fn reserved(&self) -> i64 {
        if self.status == RefundStatus::Failed { 0 } else { self.amount }
    }
}

/// Money to be given back, by staff.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"amount": 10000, "reason": "One of two licences was not used."})))]
pub struct RefundInput {
    /// How much, in minor units of the currency of the purchase; all that is left where absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub amount: Option<i64>,
    /// Why, for colleagues and the audit trail; at most 500 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub reason: Option<String>,
}

/// A purchase as staff see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerPurchase {
    /// The purchase, as the customer sees it.
    #[serde(flatten)]
    pub purchase: Purchase,
    /// The provider's id of the payment; null while it is not paid.
    #[cfg_attr(feature = "openapi", schema(example = "pi_1a2b3c"))]
    pub payment_id: Option<String>,
    /// What was given back, the oldest first.
    pub refunds: Vec<PurchaseRefund>,
    /// What banks have taken back, the oldest first.
    pub disputes: Vec<PurchaseDispute>,
}

/// Use cases around refunds. Whether the tenant is a customer whom the caller looks after is asked before.
pub struct Refunds<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Refunds<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The purchases of a customer, newest first.
    ///
    /// # Errors
    /// `Denied` without `platform:refunds`.
    pub async fn purchases(
        &mut self,
        tenant: TenantId,
        page: PageRequest,
    ) -> Result<List<Purchase>, BillingError> {
        self.scope.require_platform(Permission::PlatformRefunds)?;
        Ok(self.repositories.purchases().list(tenant, page).await?)
    }

    /// A purchase of a customer with its refunds and disputes.
    ///
    /// # Errors
    /// `Denied` without `platform:refunds`; `NoPurchase`.
    pub async fn purchase(
        &mut self,
        tenant: TenantId,
        id: PurchaseId,
    ) -> Result<CustomerPurchase, BillingError> {
        self.scope.require_platform(Permission::PlatformRefunds)?;
        let found = self.repositories.purchases().find(tenant, id).await?;
        let purchase = found.ok_or(BillingError::NoPurchase)?;
        let payment_id = self.payment(tenant, id).await?.map(|(_, payment)| payment);
        let refunds = self.repositories.refunds().of_purchase(tenant, id).await?;
        let disputes = self.repositories.disputes().of_purchase(tenant, id).await?;
        Ok(CustomerPurchase { purchase, payment_id, refunds, disputes })
    }

    /// The checkout by which a purchase was paid and the provider's id of the payment, to ask the provider how much of it is left.
    ///
    /// # Errors
    /// `Denied` without `platform:refunds`; `NoPurchase`; `NotPaid`.
    pub async fn paid(
        &mut self,
        tenant: TenantId,
        id: PurchaseId,
    ) -> Result<(PurchaseCheckout, String), BillingError> {
        self.scope.require_platform(Permission::PlatformRefunds)?;
        let found = self.repositories.purchases().find(tenant, id).await?;
        found.ok_or(BillingError::NoPurchase)?;
        self.payment(tenant, id).await?.ok_or(BillingError::NotPaid)
    }

    async fn payment(
        &mut self,
        tenant: TenantId,
        id: PurchaseId,
    ) -> Result<Option<(PurchaseCheckout, String)>, BillingError> {
        let paid = self.repositories.checkouts().paid(tenant, id).await?;
        Ok(paid.and_then(|checkout| checkout.payment_id.clone().map(|payment| (checkout, payment))))
    }

    /// Stores a refund whose call is to be made once this is committed. Another one of the purchase has to wait until the provider has
    /// answered: so whoever asks twice gives back once.
    ///
    /// # Errors
    /// `Denied` without `platform:refunds`; `NoPurchase`; `Invalid`; `NotPaid`; `PurchaseDisputed`; `RefundInProgress`; `NothingToRefund`;
    /// `RefundTooLarge`.
    pub async fn begin(
        &mut self,
        tenant: TenantId,
        id: PurchaseId,
        input: &RefundInput,
    ) -> Result<PurchaseRefund, BillingError> {
        self.scope.require_platform(Permission::PlatformRefunds)?;
        let found = self.repositories.purchases().lock(tenant, id).await?;
        let purchase = found.ok_or(BillingError::NoPurchase)?;
        input.check(&purchase)?;
        let (checkout, payment_id) = self.payment(tenant, id).await?.ok_or(BillingError::NotPaid)?;
        if purchase.status == PurchaseStatus::Disputed {
            return Err(BillingError::PurchaseDisputed);
        }
        let refunds = self.repositories.refunds().of_purchase(tenant, id).await?;
        if refunds.iter().any(|refund| refund.status == RefundStatus::Requested) {
            return Err(BillingError::RefundInProgress);
        }
        let left = purchase.amount - refunds.iter().map(PurchaseRefund::reserved).sum::<i64>();
        let amount = input.amount.unwrap_or(left);
        if left <= 0 {
            return Err(BillingError::NothingToRefund);
        }
        if amount > left {
            return Err(BillingError::RefundTooLarge { left });
        }
        let (now, reason) = (self.env.now(), input.reason.as_deref().map(str::trim));
        let refund = PurchaseRefund {
            id: self.env.new_id(),
            tenant_id: tenant,
            purchase_id: id,
            provider: checkout.provider,
            payment_id,
            provider_id: None,
            amount,
            currency: purchase.currency,
            status: RefundStatus::Requested,
            reason: reason.filter(|reason| !reason.is_empty()).map(str::to_owned),
            created_at: now,
            updated_at: now,
        };
        self.repositories.refunds().store(&refund).await?;
        let soon = PurchaseCheckout { check_at: Some(now + FIRST_CHECK), ..checkout };
        self.repositories.checkouts().update(&soon).await?;
        let event = Event::new(self.env, self.scope, &events::REFUND_CREATED, refund.id.uuid());
        self.repositories.events().append(event.in_tenant(tenant).after(&refund)).await?;
        Ok(refund)
    }

    /// Ends a refund that the provider will not make, and answers it. One that the provider has made meanwhile stays. It follows from
    /// what the provider says, so it asks for no permission.
    ///
    /// # Errors
    /// `NoPurchase`.
    pub async fn give_up(&mut self, refund: &PurchaseRefund) -> Result<PurchaseRefund, BillingError> {
        let (tenant, purchase) = (refund.tenant_id, refund.purchase_id);
        self.repositories.purchases().lock(tenant, purchase).await?.ok_or(BillingError::NoPurchase)?;
        let stored = self.repositories.refunds().of_purchase(tenant, purchase).await?;
        let before =
            stored.into_iter().find(|stored| stored.id == refund.id).unwrap_or_else(|| refund.clone());
        if before.status != RefundStatus::Requested {
            return Ok(before);
        }
        let after =
            PurchaseRefund { status: RefundStatus::Failed, updated_at: self.env.now(), ..before.clone() };
        self.repositories.refunds().store(&after).await?;
        let event = Event::new(self.env, self.scope, &events::REFUND_FAILED, after.id.uuid());
        self.repositories.events().append(event.in_tenant(tenant).before(&before).after(&after)).await?;
        Ok(after)
    }
}

impl RefundInput {
    /// # Errors
    /// `Invalid`, with everything that is wrong.
    fn check(&self, purchase: &Purchase) -> Result<(), BillingError> {
        let mut violations = Violations::default();
        if let Some(amount) = self.amount {
            let step = Currency::parse(&purchase.currency).map_or(1, Currency::step);
            let message = RuleMessage::new(format!("Use a multiple of {step} minor units, from {step} on."));
            violations.check(amount > 0 && amount % step == 0, "amount", "out_of_range", message.min(step));
        }
        violations.optional_text("reason", self.reason.as_deref(), REASON_MAX);
        violations.into_result().map_err(BillingError::Invalid)
    }
}

#[cfg(test)]
mod tests;
