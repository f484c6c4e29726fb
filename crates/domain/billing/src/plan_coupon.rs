//! Coupons for plans: what they take off a subscription, for how long, and which calls to the provider use them.
//!
//! A call that asks the provider for a plan takes its use of a coupon in the transaction that stores it, while the coupon is locked. The use
//! is given back where nothing comes of the call, and stays where the plan is in force because of it, also after the plan has ended. The call
//! keeps what the coupon takes off: the same is asked for at every try, and later changes of the coupon change nothing for who has it.

use portico_kernel::{CouponId, Money, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    BillingError,
    coupon::{Coupon, Refusal, code_of, share},
    paid::BillingAccount,
    plan::PlanPrice,
    plan_call::PlanCall,
    ports::BillingRepositories,
    subscription_provider::{NewCoupon, RunningDiscount},
};

/// What a coupon is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CouponUse {
    /// Products that are paid once.
    Purchases,
    /// Plans.
    Plans,
}

/// How long a coupon takes something off what is paid for a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CouponDuration {
    /// Off one invoice.
    Once,
    /// Off each invoice of a number of months from the day on which it is used.
    Repeating,
    /// Off each invoice.
    Forever,
}

impl CouponDuration {
    /// Every duration.
    pub const ALL: [Self; 3] = [Self::Once, Self::Repeating, Self::Forever];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Repeating => "repeating",
            Self::Forever => "forever",
        }
    }

    /// The duration of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|duration| duration.as_str() == text)
    }
}

/// What a call to the provider takes off with a coupon: as the coupon was when it was used, which never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanDiscount {
    /// The coupon.
    pub coupon_id: CouponId,
    /// Its code.
    pub code: String,
    /// Part of each invoice, 1 to 100.
    pub percent: Option<i64>,
    /// Or an amount of each invoice, in minor units of `currency`.
    pub amount: Option<i64>,
    /// Lower-case ISO 4217.
    pub currency: Option<String>,
    /// How long.
    pub duration: CouponDuration,
    /// For how many months, where it is [`CouponDuration::Repeating`].
    pub months: Option<i64>,
}

impl PlanDiscount {
    /// Of a coupon for plans; `None` for one that is for purchases only.
    pub(crate) fn of(coupon: &Coupon) -> Option<Self> {
        Some(Self {
            coupon_id: coupon.id,
            code: coupon.code.clone(),
            percent: coupon.percent,
            amount: coupon.amount,
            currency: coupon.currency.clone(),
            duration: coupon.duration?,
            months: coupon.duration_in_months,
        })
    }

    /// What is taken off an amount: never more than that. A part is rounded half up to a minor unit, as the provider rounds it.
    pub(crate) fn off(&self, amount: i64) -> i64 {
        taken_off(self.percent, self.amount, amount)
    }

    /// The coupon that the provider is to know.
    pub fn new_coupon(&self) -> NewCoupon {
        let currency = self.currency.clone().unwrap_or_default();
        NewCoupon {
            reference: format!("portico_{}", self.coupon_id.uuid().simple()),
            name: self.code.clone(),
            percent_off: self.percent,
            amount_off: self.amount.map(|amount| Money { amount, currency }),
            duration: self.duration,
            months: self.months,
        }
    }
}

/// What a part or an amount takes off an amount.
pub(crate) fn taken_off(percent: Option<i64>, off: Option<i64>, amount: i64) -> i64 {
    match percent {
        Some(percent) => share(amount, percent, 100).min(amount),
        None => off.unwrap_or_default().min(amount),
    }
}

/// What a discount takes off recurring revenue. Written `25%` or `500`, in minor units of the currency of the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurringOff {
    /// Part of a price, 1 to 100.
    Percent(i64),
    /// An amount off each payment.
    Amount(i64),
}

impl RecurringOff {
    /// Of a discount that runs; `None` for one that is taken off one invoice only.
    pub(crate) fn of(discount: &RunningDiscount) -> Option<Self> {
        match (discount.once, discount.percent_off, discount.amount_off) {
            (false, Some(percent), _) => Some(Self::Percent(percent)),
            (false, None, Some(amount)) => Some(Self::Amount(amount)),
            _ => None,
        }
    }

    /// What is taken off a price.
    pub(crate) fn off(self, amount: i64) -> i64 {
        match self {
            Self::Percent(percent) => taken_off(Some(percent), None, amount),
            Self::Amount(off) => taken_off(None, Some(off), amount),
        }
    }

    /// Reads what was written.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Self::Percent),
            None => text.parse().ok().map(Self::Amount),
        }
    }
}

impl std::fmt::Display for RecurringOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Amount(amount) => write!(f, "{amount}"),
        }
    }
}

/// The field of a wish that names a coupon.
const FIELD: &str = "couponCode";

/// A plan that is wished for, and who wishes for it.
#[derive(Clone, Copy)]
pub(crate) struct Wished<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Id of the plan.
    pub plan: &'a str,
    /// What it costs.
    pub price: &'a PlanPrice,
    /// What the provider knows the price by that the tenant pays now.
    pub paid: Option<&'a str>,
}

/// What the code of a coupon takes off a plan. The use that a call of the tenant has that is under way is free for the tenant, whose next
/// call takes its place, unless that call has led to a plan. `is_locked`: whether the coupon is locked until the unit of work ends.
///
/// # Errors
/// `Invalid` where the coupon cannot be used.
pub(crate) async fn apply(
    repositories: &mut dyn BillingRepositories,
    wished: Wished<'_>,
    code: &str,
    now: Timestamp,
    is_locked: bool,
) -> Result<PlanDiscount, BillingError> {
    let found = match code_of(code) {
        Some(code) if is_locked => repositories.coupons().lock_code(&code).await?,
        Some(code) => repositories.coupons().find_code(&code).await?,
        None => None,
    };
    let coupon = found.ok_or_else(|| Refusal::Unknown.error(FIELD))?;
    let call = repositories.plan_calls().under_way(wished.tenant).await?;
    let is_held = |call: &PlanCall| {
        let is_of_it = call.discount.as_ref().is_some_and(|held| held.coupon_id == coupon.id);
        is_of_it && wished.paid != Some(call.price.to_string().as_str())
    };
    let own = u64::from(call.as_ref().is_some_and(is_held));
    let used = repositories.coupons().redemptions_of(wished.tenant, coupon.id).await?;
    let free = Coupon { redemptions: coupon.redemptions.saturating_sub(own), ..coupon };
    let usable = free.usable(now, used.saturating_sub(own));
    usable.and_then(|()| for_plan(&free, wished.plan, wished.price)).map_err(|refusal| refusal.error(FIELD))
}

/// What a coupon takes off the price of a plan. It may be all of it: the provider keeps what later payments are made with.
fn for_plan(coupon: &Coupon, plan: &str, price: &PlanPrice) -> Result<PlanDiscount, Refusal> {
    let other_currency = coupon.currency.as_ref().is_some_and(|own| *own != price.currency);
    let is_meant = coupon.plans.is_empty() || coupon.plans.iter().any(|id| id == plan);
    let discount = PlanDiscount::of(coupon).filter(|discount| discount.off(price.amount) > 0);
    discount.filter(|_| is_meant && !other_currency).ok_or(Refusal::NotApplicable)
}

/// The refusal of a code where nothing is charged at once that it could take something off.
pub(crate) fn not_applicable() -> BillingError {
    Refusal::NotApplicable.error(FIELD)
}

/// The code of a wish; `None` for an empty one.
pub(crate) fn named(code: Option<&str>) -> Option<&str> {
    code.filter(|code| !code.trim().is_empty())
}

/// Has a call that was stored use its coupon.
///
/// # Errors
/// Those of the store.
pub(crate) async fn hold(
    repositories: &mut dyn BillingRepositories,
    call: &PlanCall,
    now: Timestamp,
) -> Result<(), BillingError> {
    let Some(discount) = &call.discount else { return Ok(()) };
    Ok(repositories.coupons().redeem_plan(call.tenant_id, call.id, discount.coupon_id, now).await?)
}

/// Gives the use of a call that has ended back, unless the plan that it has asked for is in force. One that has led to a plan under the lock
/// of the account is never given back.
///
/// # Errors
/// Those of the store.
pub(crate) async fn settle(
    repositories: &mut dyn BillingRepositories,
    call: &PlanCall,
    account: &BillingAccount,
) -> Result<(), BillingError> {
    let Some(discount) = &call.discount else { return Ok(()) };
    let price = call.price.to_string();
    if account.running().is_some_and(|running| running.price.as_ref() == Some(&price)) {
        return Ok(());
    }
    repositories.coupons().lock(discount.coupon_id).await?;
    Ok(repositories.coupons().release_plan(call.tenant_id, call.id, discount.coupon_id).await?)
}

#[cfg(test)]
mod tests;
