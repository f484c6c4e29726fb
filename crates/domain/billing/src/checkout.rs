//! Payments of purchases on pages of a payment provider: from the order to the page.
//!
//! The provider is never called while a transaction is open. First the purchase is stored with its checkout, whose id is the idempotency key of
//! the call; then the provider is called; then its answer is stored. A process that dies in between leaves a checkout that is
//! [being made](CheckoutStage::Creating), and the schedule repeats the call with the same key.

use portico_kernel::{
    CheckoutId, Env, Event, Permission, PurchaseId, Scope, TenantId, Timestamp, UserId, Violations,
};
use serde::Serialize;
use time::Duration;

use crate::{
    BillingError,
    coupon::{self, Coupon},
    events,
    money::Currency,
    order::{Order, Priced, ReturnRule},
    payment::{Checkout, CheckoutLine, CheckoutState, NewCheckout, Provider},
    ports::BillingRepositories,
    purchase::{Purchase, PurchaseItem, pending},
};

/// How long a buyer may take to pay. Providers take half an hour to a day.
const TIME_TO_PAY: Duration = Duration::HOUR;

/// How long after it was stored a checkout is asked about for the first time. A process that made it has its answer long before.
pub(crate) const FIRST_CHECK: Duration = Duration::minutes(2);

/// The shortest time between two questions about a checkout.
pub(crate) const CHECK_AGAIN: Duration = Duration::minutes(5);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::DAY;

/// How long providers remember a key. A call is not repeated after it: that could make a second checkout.
pub(crate) const KEY_LIVES: Duration = Duration::hours(23);

/// How far a checkout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CheckoutStage {
    /// The provider is being asked to make it, or the process that did so has died.
    Creating,
    /// The buyer may pay.
    Open,
    /// The money is on its way.
    Processing,
    /// It ended without a payment.
    Ended,
    /// Paid.
    Paid,
    /// What the provider says is not what was asked for. Staff decide; nothing is granted.
    Mismatched,
}

impl CheckoutStage {
    /// Every stage.
    pub const ALL: [Self; 6] =
        [Self::Creating, Self::Open, Self::Processing, Self::Ended, Self::Paid, Self::Mismatched];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Open => "open",
            Self::Processing => "processing",
            Self::Ended => "ended",
            Self::Paid => "paid",
            Self::Mismatched => "mismatched",
        }
    }

    /// The stage of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }

    /// Whether nothing about the checkout itself changes any more. What becomes of the payment of a paid one is still asked about.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Paid | Self::Mismatched)
    }

    /// The stage after the provider has said this. It never goes back, so an old answer changes nothing.
    #[must_use]
    pub fn after(self, observed: &CheckoutState) -> Self {
        let seen = match observed {
            CheckoutState::Open => Self::Open,
            CheckoutState::Processing => Self::Processing,
            CheckoutState::Expired | CheckoutState::Failed => Self::Ended,
            CheckoutState::Paid { .. } => Self::Paid,
        };
        self.max(seen)
    }
}

/// The payment of a purchase on pages of a provider, as we know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseCheckout {
    /// UUIDv7; also the idempotency key of the call that makes it.
    pub id: CheckoutId,
    /// The tenant that it belongs to.
    pub tenant_id: TenantId,
    /// What is paid.
    pub purchase_id: PurchaseId,
    /// Where.
    pub provider: Provider,
    /// Whether real money is to be moved.
    pub live: bool,
    /// How far it is.
    pub stage: CheckoutStage,
    /// The provider's id of it; `None` while it is being made.
    pub session_id: Option<String>,
    /// The page to pay at.
    pub url: Option<String>,
    /// The provider's id of the payment, once it is paid.
    pub payment_id: Option<String>,
    /// Where the buyer comes to after the payment.
    pub success_url: String,
    /// Where the buyer comes to without having paid.
    pub cancel_url: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// Nothing can be paid after this time.
    pub expires_at: Timestamp,
    /// When the provider is to be asked about it next, or about its payment once it is paid; `None` once nothing changes any more.
    pub check_at: Option<Timestamp>,
}

/// Between the two ids of a reference.
const SEPARATOR: char = '_';

impl PurchaseCheckout {
    /// What the provider knows it by: it leads to the rows, whoever asks, without an index over all tenants.
    pub fn reference(&self) -> String {
        format!("{}{SEPARATOR}{}", self.tenant_id, self.id)
    }

    /// The tenant and the checkout of a reference; `None` for one that was not made here.
    pub fn of_reference(reference: &str) -> Option<(TenantId, CheckoutId)> {
        let (tenant, checkout) = reference.split_once(SEPARATOR)?;
        Some((tenant.parse().ok()?, checkout.parse().ok()?))
    }

    /// The idempotency key of the call that makes it.
    pub fn key(&self) -> String {
        format!("checkout_{}", self.id)
    }

    /// The call that makes it, without the address of the buyer: the same at every try, because it is made of what is stored.
    pub fn call(&self, purchase: &Purchase) -> NewCheckout {
        // A line that costs nothing any more is not paid.
        let is_paid = |item: &&PurchaseItem| item.discount < item.total() || item.discount == 0;
        NewCheckout {
            reference: self.reference(),
            lines: purchase.items.iter().filter(is_paid).map(|item| line(item, &purchase.currency)).collect(),
            amount: purchase.price(),
            success_url: self.success_url.clone(),
            cancel_url: self.cancel_url.clone(),
            expires_at: self.expires_at,
            email: None,
        }
    }

    /// Whether the call that makes it may still be repeated: the provider remembers the key.
    pub fn may_repeat(&self, now: Timestamp) -> bool {
        self.stage == CheckoutStage::Creating && now < self.created_at + KEY_LIVES
    }

    /// The checkout after the provider has said this about it. An older answer changes nothing that a newer one has.
    pub(crate) fn after(&self, observed: &Checkout, now: Timestamp) -> Self {
        let stage = self.stage.after(&observed.state);
        let mut next = Self {
            stage,
            session_id: Some(observed.id.clone()),
            // A provider may end it early. It does not hold what is bought for longer than was asked for.
            expires_at: observed.expires_at.min(self.expires_at),
            ..self.clone()
        };
        // An older answer has a page that is closed by now, and a newer one has none.
        next.url =
            if stage == CheckoutStage::Open { observed.url.clone().or(self.url.clone()) } else { None };
        if let CheckoutState::Paid { payment_id } = &observed.state {
            next.payment_id = Some(payment_id.clone());
        }
        next.check_at = (!stage.is_final()).then(|| next.next_check(now));
        next
    }

    /// When to ask about it next: the longer it has been there the seldomer, and when its time is over.
    pub(crate) fn next_check(&self, now: Timestamp) -> Timestamp {
        let age: Duration = now - self.created_at;
        let pause = (age / 4_i32).clamp(CHECK_AGAIN, LONGEST_PAUSE);
        let next = now + pause;
        if now < self.expires_at { next.min(self.expires_at) } else { next }
    }
}

/// An item as the buyer sees it on the page of the provider: at what is left of its price. Where that is no price of one that can be
/// charged, all of them are one line: `3 × Base Software License`.
fn line(item: &PurchaseItem, currency: &str) -> CheckoutLine {
    let (left, quantity) = (item.total() - item.discount, i64::from(item.quantity).max(1));
    let step = Currency::parse(currency).map_or(1, Currency::step);
    if item.discount == 0 || left % (step * quantity) == 0 {
        let description = item.description.clone();
        return CheckoutLine { description, unit_amount: left / quantity, quantity: item.quantity };
    }
    let description = format!("{} × {}", item.quantity, item.description);
    CheckoutLine { description, unit_amount: left, quantity: 1 }
}

/// A purchase that is to be paid on a page of the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "sessionId": "cs_test_a1b2c3", "url": "https://checkout.stripe.com/c/pay/cs_test_a1b2c3", "expiresAt": "2026-11-23T11:00:00Z"
})))]
pub struct CheckoutSession {
    /// The provider's id of it.
    pub session_id: String,
    /// The page to send the buyer to.
    pub url: String,
    /// Nothing can be paid after this time.
    pub expires_at: Timestamp,
}

/// How checkouts are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutRule {
    /// The provider in use.
    pub provider: Provider,
    /// Whether it moves real money.
    pub live: bool,
    /// Where buyers may be sent.
    pub returns: ReturnRule,
    /// Where those are sent who begin to pay for a plan without naming an address.
    pub home: ReturnPages,
}

/// The pages that a buyer comes back to from a page of the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnPages {
    /// After the payment.
    pub paid: String,
    /// Without having paid.
    pub canceled: String,
}

/// Use cases around checkouts, from the order to the page. What follows is in [`settlement`](crate::settlement).
pub struct Checkouts<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Checkouts<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Who buys for which tenant: a person with a verified address, because it costs money.
    ///
    /// # Errors
    /// `Denied` without `billing:write`, without a verified address, and for programs.
    pub fn buyer(scope: &Scope) -> Result<(TenantId, UserId), BillingError> {
        let who = Self::payer(scope)?;
        scope.require_verified()?;
        Ok(who)
    }

    /// Who looks after what is paid for which tenant: a person. What costs nothing, or ends something, needs no verified address.
    ///
    /// # Errors
    /// `Denied` without `billing:write`, and for programs.
    pub fn payer(scope: &Scope) -> Result<(TenantId, UserId), BillingError> {
        let tenant = scope.require(Permission::BillingWrite)?;
        let (user, _) = scope.require_user()?;
        Ok((tenant, user))
    }

    /// Stores a purchase at the prices of the catalogue, less what its coupon takes off, not paid yet, with a checkout whose call is to be
    /// made once this is committed.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::buyer`]; `Invalid`.
    pub async fn begin(
        &mut self,
        order: &Order,
        rule: &CheckoutRule,
    ) -> Result<(Purchase, PurchaseCheckout), BillingError> {
        let (tenant, user) = Self::buyer(self.scope)?;
        let products = self.repositories.products().active(&order.products()).await?;
        let mut violations = Violations::default();
        let priced = order.price(&products, &rule.returns, &mut violations);
        violations.into_result().map_err(BillingError::Invalid)?;
        // Without an error there is an item, and with an item a price.
        let mut priced = priced.ok_or_else(|| BillingError::Invalid(Vec::new()))?;
        let now = self.env.now();
        let coupon = self.redeem(tenant, order, &mut priced).await?;
        let code = coupon.as_ref().map(|coupon| coupon.code.clone());
        let purchase = pending(self.env, tenant, user, priced.items, priced.price, code);
        let checkout = PurchaseCheckout {
            id: self.env.new_id(),
            tenant_id: tenant,
            purchase_id: purchase.id,
            provider: rule.provider,
            live: rule.live,
            stage: CheckoutStage::Creating,
            session_id: None,
            url: None,
            payment_id: None,
            success_url: order.success_url.clone(),
            cancel_url: order.cancel_url.clone(),
            created_at: now,
            expires_at: now + TIME_TO_PAY,
            check_at: Some(now + FIRST_CHECK),
        };
        self.repositories.purchases().insert(&purchase).await?;
        if let Some(coupon) = coupon {
            self.repositories.coupons().redeem(tenant, purchase.id, coupon.id, now).await?;
        }
        self.repositories.checkouts().insert(&checkout).await?;
        let event = Event::new(self.env, self.scope, &events::PURCHASE_CREATED, purchase.id.uuid());
        self.repositories.events().append(event.in_tenant(tenant).after(&purchase)).await?;
        Ok((purchase, checkout))
    }

    /// The coupon that an order names, if it names one, and what it takes off taken off the prices.
    async fn redeem(
        &mut self,
        tenant: TenantId,
        order: &Order,
        priced: &mut Priced,
    ) -> Result<Option<Coupon>, BillingError> {
        let Some(code) = order.coupon.as_deref().filter(|code| !code.trim().is_empty()) else {
            return Ok(None);
        };
        let (now, currency) = (self.env.now(), &priced.price.currency);
        let coupon = coupon::apply(self.repositories, tenant, code, now, &mut priced.items, currency).await?;
        priced.price.amount -= priced.items.iter().map(|item| item.discount).sum::<i64>();
        Ok(Some(coupon))
    }

    /// Where the active tenant has the coupon of an order as often as it may: the oldest of its pages that hold it. Ended at the provider,
    /// it gives the coupon back.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::buyer`].
    pub async fn holding(&mut self, order: &Order) -> Result<Option<PurchaseCheckout>, BillingError> {
        let (tenant, _) = Self::buyer(self.scope)?;
        let Some(code) = order.coupon.as_deref().and_then(coupon::code_of) else { return Ok(None) };
        let Some(coupon) = self.repositories.coupons().lock_code(&code).await? else { return Ok(None) };
        let used = self.repositories.coupons().redemptions_of(tenant, coupon.id).await?;
        if !coupon.is_used_up_by(used) {
            return Ok(None);
        }
        Ok(self.repositories.checkouts().holding(tenant, coupon.id).await?)
    }

    /// The checkout of a session of the active tenant, to ask the provider about it.
    ///
    /// # Errors
    /// `Denied` without `billing:write`; `NoCheckout`, also for one of another tenant.
    pub async fn of_session(
        &mut self,
        provider: Provider,
        session: &str,
    ) -> Result<PurchaseCheckout, BillingError> {
        let tenant = self.scope.require(Permission::BillingWrite)?;
        let found = self.repositories.checkouts().of_session(tenant, provider, session).await?;
        found.ok_or(BillingError::NoCheckout)
    }

    /// Ends a checkout that the provider will not make, and its purchase with it. One that the provider has made meanwhile stays.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn give_up(&mut self, tenant: TenantId, id: CheckoutId) -> Result<Purchase, BillingError> {
        let (before, checkout) = lock(self.repositories, tenant, id).await?;
        if checkout.stage != CheckoutStage::Creating {
            return Ok(before);
        }
        let ended = PurchaseCheckout { stage: CheckoutStage::Ended, check_at: None, ..checkout };
        self.repositories.checkouts().update(&ended).await?;
        let after = before.after(&CheckoutState::Failed, self.env.now());
        if after.status != before.status {
            self.repositories.purchases().update(&after).await?;
            coupon::follow(self.repositories, &after, self.env.now()).await?;
            let event = Event::new(self.env, self.scope, &events::PURCHASE_FAILED, after.id.uuid());
            self.repositories.events().append(event.in_tenant(tenant).before(&before).after(&after)).await?;
        }
        Ok(after)
    }

    /// Asks about a checkout again later: the provider has no answer that helps.
    ///
    /// # Errors
    /// `NoCheckout`.
    pub async fn postpone(&mut self, tenant: TenantId, id: CheckoutId) -> Result<(), BillingError> {
        let (_, checkout) = lock(self.repositories, tenant, id).await?;
        if checkout.check_at.is_some() {
            let later = PurchaseCheckout { check_at: Some(checkout.next_check(self.env.now())), ..checkout };
            self.repositories.checkouts().update(&later).await?;
        }
        Ok(())
    }
}

/// The purchase of a checkout, locked until the unit of work ends, and the checkout as it is under that lock.
pub(crate) async fn lock(
    repositories: &mut dyn BillingRepositories,
    tenant: TenantId,
    id: CheckoutId,
) -> Result<(Purchase, PurchaseCheckout), BillingError> {
    let found = repositories.checkouts().find(tenant, id).await?.ok_or(BillingError::NoCheckout)?;
    let purchase = repositories.purchases().lock(tenant, found.purchase_id).await?;
    let purchase = purchase.ok_or(BillingError::NoCheckout)?;
    // Every change of a checkout is made under the lock of its purchase; another unit of work may have made one while this one waited.
    let checkout = repositories.checkouts().find(tenant, id).await?.ok_or(BillingError::NoCheckout)?;
    Ok((purchase, checkout))
}
