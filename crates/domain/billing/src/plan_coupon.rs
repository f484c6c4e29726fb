//! Coupons for plans: who may use one, and which calls to the provider do.
//!
//! A call that asks the provider for a plan takes its use of a coupon in the transaction that stores it, while the coupon is locked. The use
//! is given back where nothing comes of the call, and stays where the plan is in force because of it, also after the plan has ended. The call
//! keeps what the coupon takes off: the same is asked for at every try, and later changes of the coupon change nothing for who has it.

use std::collections::BTreeSet;

use portico_kernel::{CouponId, TenantId, Timestamp};

use crate::{
    BillingError,
    coupon::{Coupon, Refusal, code_of},
    paid::BillingAccount,
    plan::PlanPrice,
    plan_call::PlanCall,
    plan_discount::PlanDiscount,
    ports::BillingRepositories,
};

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
        Some(code) => repositories.coupons().find_code(&code).await?,
        None => None,
    };
    let mut coupon = found.ok_or_else(|| Refusal::Unknown.error(FIELD))?;
    let call = repositories.plan_calls().under_way(wished.tenant).await?;
    if is_locked {
        let held = call.as_ref().and_then(|call| Some(call.discount.as_ref()?.coupon_id));
        coupon = lock(repositories, coupon, held).await?;
    }
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

/// Locks a coupon, and answers it as it is then; and the one of a call that may have to make room in the same unit of work. In the order
/// of their ids, like whoever locks several coupons: two tenants may each change from the coupon of the other one to their own.
async fn lock(
    repositories: &mut dyn BillingRepositories,
    coupon: Coupon,
    held: Option<CouponId>,
) -> Result<Coupon, BillingError> {
    let mut locked = coupon;
    let ids = BTreeSet::from_iter(held.into_iter().chain([locked.id]));
    for id in ids {
        let found = repositories.coupons().lock(id).await?;
        // Its code stays, so it is the one that was named.
        if let Some(found) = found.filter(|found| found.id == locked.id) {
            locked = found;
        }
    }
    Ok(locked)
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
