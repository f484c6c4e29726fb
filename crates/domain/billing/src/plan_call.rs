//! Calls to the provider of subscriptions that charge or make something: stored before their first try, with what they are made of.
//!
//! A call whose answer nobody got is repeated with the same key when the tenant asks for the same again; otherwise the schedule finds out
//! what came of it, and ends it. One is under way for a tenant at a time.

use portico_kernel::{Money, PlanChangeId, TenantId, Timestamp};
use time::Duration;

use crate::{
    checkout::{CheckoutSession, KEY_LIVES},
    paid::PriceReference,
    plan_discount::PlanDiscount,
    subscription_provider::{NewChange, NewCoupon, NewPrice, NewSubscription, NewSubscriptionCheckout},
};

/// How long a buyer may take to pay on the page.
const TIME_TO_PAY: Duration = Duration::HOUR;

/// With less time left than this, a page is not shown again.
const SHORTLY: Duration = Duration::minutes(5);

/// How long after it was stored a call is looked after for the first time. A process that made it has its answer long before.
const FIRST_CHECK: Duration = Duration::minutes(2);

/// The time between two questions.
const CHECK_AGAIN: Duration = Duration::minutes(5);

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanCallKind {
    /// The page for a first payment.
    Checkout,
    /// A subscription that is paid with what is on file.
    Create,
    /// Another price at once.
    Change,
    /// Another price from the end of the period on.
    Schedule,
}

impl PlanCallKind {
    /// Every call.
    pub const ALL: [Self; 4] = [Self::Checkout, Self::Create, Self::Change, Self::Schedule];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Create => "create",
            Self::Change => "change",
            Self::Schedule => "schedule",
        }
    }

    /// The call of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanCallStage {
    /// The provider is being asked, or the process that did so has died.
    Calling,
    /// The page is there, and the buyer may pay.
    Open,
    /// Nothing comes of it any more that is not in the subscription already.
    Ended,
}

impl PlanCallStage {
    /// Every stage.
    pub const ALL: [Self; 3] = [Self::Calling, Self::Open, Self::Ended];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Open => "open",
            Self::Ended => "ended",
        }
    }

    /// The stage of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

/// A call, with everything that it is made of: the same at every try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanCall {
    /// UUIDv7; a part of its key.
    pub id: PlanChangeId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Which call.
    pub kind: PlanCallKind,
    /// How far it is.
    pub stage: PlanCallStage,
    /// Which plan, version and interval.
    pub price: PriceReference,
    /// Name of the plan, for invoices.
    pub description: String,
    /// What it costs.
    pub amount: Money,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// The provider's id of the subscription that is changed.
    pub subscription_id: Option<String>,
    /// What a coupon takes off.
    pub discount: Option<PlanDiscount>,
    /// Days before the first payment.
    pub trial_days: u16,
    /// From when on an upgrade is paid for.
    pub prorated_at: Timestamp,
    /// Where the buyer comes to after the payment.
    pub success_url: Option<String>,
    /// Where the buyer comes to without having paid.
    pub cancel_url: Option<String>,
    /// The provider's id of the page.
    pub session_id: Option<String>,
    /// The page to pay at.
    pub url: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// Nothing can be paid on the page after this time.
    pub expires_at: Timestamp,
    /// When it is to be looked after next; `None` once it has ended.
    pub check_at: Option<Timestamp>,
}

impl PlanCall {
    /// When a page that is made now closes.
    pub(crate) fn expiry(now: Timestamp) -> Timestamp {
        now + TIME_TO_PAY
    }

    /// When a call that is stored now is looked after.
    pub(crate) fn first_check(now: Timestamp) -> Timestamp {
        now + FIRST_CHECK
    }

    /// The idempotency key of the call.
    pub fn key(&self) -> String {
        format!("plan_{}", self.id)
    }

    /// What the provider knows it by.
    pub fn reference(&self) -> String {
        format!("{}_{}", self.tenant_id, self.id)
    }

    /// The price that the provider is to know.
    pub fn new_price(&self) -> NewPrice {
        NewPrice {
            reference: self.price.to_string(),
            description: self.description.clone(),
            amount: self.amount.clone(),
            interval: self.price.interval,
        }
    }

    /// The coupon that the provider is to know.
    pub fn new_coupon(&self) -> Option<NewCoupon> {
        self.discount.as_ref().map(PlanDiscount::new_coupon)
    }

    /// The call of [`PlanCallKind::Checkout`].
    pub fn new_checkout(&self, price_id: String, coupon_id: Option<String>) -> NewSubscriptionCheckout {
        NewSubscriptionCheckout {
            reference: self.reference(),
            customer_id: self.customer_id.clone(),
            price_id,
            coupon_id,
            trial_days: self.trial_days,
            success_url: self.success_url.clone().unwrap_or_default(),
            cancel_url: self.cancel_url.clone().unwrap_or_default(),
            expires_at: self.expires_at,
        }
    }

    /// The call of [`PlanCallKind::Create`].
    pub fn new_subscription(&self, price_id: String, coupon_id: Option<String>) -> NewSubscription {
        let customer_id = self.customer_id.clone();
        NewSubscription { reference: self.reference(), customer_id, price_id, coupon_id }
    }

    /// The call of [`PlanCallKind::Change`].
    pub fn new_change(&self, price_id: String, coupon_id: Option<String>) -> NewChange {
        let subscription_id = self.subscription_id.clone().unwrap_or_default();
        NewChange { subscription_id, price_id, coupon_id, prorated_at: self.prorated_at }
    }

    /// What the buyer needs in order to pay; `None` where nothing can be paid.
    pub fn session(&self) -> Option<CheckoutSession> {
        let open = self.stage == PlanCallStage::Open;
        Some(CheckoutSession {
            session_id: self.session_id.clone().filter(|_| open)?,
            url: self.url.clone()?,
            expires_at: self.expires_at,
        })
    }

    /// Whether it may still be repeated: the provider remembers the key, and a page would still be open.
    pub fn may_repeat(&self, now: Timestamp) -> bool {
        let page = self.kind != PlanCallKind::Checkout || now + SHORTLY < self.expires_at;
        self.stage == PlanCallStage::Calling && page && now < self.created_at + KEY_LIVES
    }

    /// Whether its page can be shown to whoever asks for the other one.
    pub(crate) fn serves(&self, other: &Self, now: Timestamp) -> bool {
        self.stage == PlanCallStage::Open && self.asks_the_same_as(other) && now + SHORTLY < self.expires_at
    }

    /// Whether both ask the provider for the same thing.
    pub(crate) fn asks_the_same_as(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.price == other.price
            && self.customer_id == other.customer_id
            && self.subscription_id == other.subscription_id
            && self.discount == other.discount
            && (&self.success_url, &self.cancel_url) == (&other.success_url, &other.cancel_url)
    }

    /// When to look after it next.
    pub(crate) fn next_check(&self, now: Timestamp) -> Timestamp {
        now + CHECK_AGAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan::BillingInterval, testing::env};

    fn call(kind: PlanCallKind) -> PlanCall {
        let (env, now) = (env(), env().now());
        PlanCall {
            id: env.new_id(),
            tenant_id: env.new_id(),
            kind,
            stage: PlanCallStage::Calling,
            price: PriceReference {
                plan: "starter".to_owned(),
                version: 1,
                interval: BillingInterval::Month,
            },
            description: "Starter".to_owned(),
            amount: Money { amount: 1200, currency: "usd".to_owned() },
            customer_id: "cus_1".to_owned(),
            subscription_id: None,
            discount: None,
            trial_days: 0,
            prorated_at: now,
            success_url: None,
            cancel_url: None,
            session_id: None,
            url: None,
            created_at: now,
            expires_at: PlanCall::expiry(now),
            check_at: Some(PlanCall::first_check(now)),
        }
    }

    #[test]
    fn a_call_is_repeated_while_the_provider_remembers_its_key() {
        let change = call(PlanCallKind::Change);
        let now = change.created_at;
        assert!(change.may_repeat(now) && change.may_repeat(now + Duration::hours(22)));
        assert!(!change.may_repeat(now + KEY_LIVES));
        let ended = PlanCall { stage: PlanCallStage::Ended, ..change.clone() };
        assert!(!ended.may_repeat(now));
        let page = call(PlanCallKind::Checkout);
        assert!(page.may_repeat(now) && !page.may_repeat(now + TIME_TO_PAY - SHORTLY));
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        assert!(plain(&change.key()) && change.key().len() <= 100);
        assert!(plain(&change.reference()) && change.reference().len() <= 200);
        assert!(plain(&change.new_price().reference));
    }

    #[test]
    fn a_page_is_shown_again_for_the_same_while_it_is_open_for_some_time() {
        let asked = call(PlanCallKind::Checkout);
        let now = asked.created_at;
        let open = PlanCall {
            stage: PlanCallStage::Open,
            session_id: Some("cs_1".to_owned()),
            url: Some("https://pay.example.com/cs_1".to_owned()),
            ..asked.clone()
        };
        assert!(open.serves(&asked, now) && open.session().is_some());
        assert!(!open.serves(&asked, now + TIME_TO_PAY - SHORTLY));
        let elsewhere = PlanCall { cancel_url: Some("https://example.com/".to_owned()), ..asked.clone() };
        assert!(!open.serves(&elsewhere, now));
        assert!(asked.session().is_none() && !asked.serves(&asked, now));
        for (kind, stage) in PlanCallKind::ALL.into_iter().zip(PlanCallStage::ALL) {
            assert_eq!(PlanCallKind::parse(kind.as_str()), Some(kind));
            assert_eq!(PlanCallStage::parse(stage.as_str()), Some(stage));
        }
    }
}
