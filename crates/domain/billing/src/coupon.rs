//! Coupons: what they take off the prices of an order, and who may still use one. What they take off plans is in
//! [`plan_coupon`](crate::plan_coupon).
//!
//! An order takes its use of a coupon in its own transaction, while the coupon is locked, so no more are used than there are. The use is
//! given back where the order ends unpaid, and stays where it is paid, whatever becomes of the money later.

use portico_kernel::{CouponId, FieldError, TenantId, Timestamp};
use serde::Serialize;

use crate::{
    BillingError,
    coupon_scope::{CouponDuration, CouponUse, share},
    money::Currency,
    ports::BillingRepositories,
    purchase::{Purchase, PurchaseItem, PurchaseStatus},
};

/// Fewest and most characters of a code.
const CODE: (usize, usize) = (3, 40);

/// The field of an order that names a coupon.
const FIELD: &str = "coupon";

/// A coupon. It takes off either `percent`, or `amount` of `currency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Coupon {
    /// UUIDv7.
    pub id: CouponId,
    /// What buyers enter, in capital letters; in orders their case does not matter. It stays the coupon's also after that is archived.
    #[cfg_attr(feature = "openapi", schema(example = "SUMMER25"))]
    pub code: String,
    /// Part of each price that it takes off, 1 to 100; null where it takes off an amount.
    #[cfg_attr(feature = "openapi", schema(example = 25))]
    pub percent: Option<i64>,
    /// What it takes off an order, in minor units of `currency`; null where it takes off a part.
    pub amount: Option<i64>,
    /// Lower-case ISO 4217; null where it takes off a part, in any currency.
    pub currency: Option<String>,
    /// What it is for: purchases, plans, or both.
    pub applies_to: Vec<CouponUse>,
    /// Ids of the products that it takes something off; empty for all.
    pub product_types: Vec<String>,
    /// Ids of the plans that it takes something off; empty for all.
    pub plans: Vec<String>,
    /// How long it takes something off what is paid for a plan; null where it is for purchases only.
    pub duration: Option<CouponDuration>,
    /// For how many months; null unless it is `repeating`.
    pub duration_in_months: Option<i64>,
    /// How many orders and changes of plan may use it; null for any number.
    pub max_redemptions: Option<u64>,
    /// How many of one tenant may; null for any number.
    pub max_redemptions_per_tenant: Option<u64>,
    /// From when on it may be used; null for always.
    pub valid_from: Option<Timestamp>,
    /// It may be used before this time; null for no end.
    pub valid_until: Option<Timestamp>,
    /// How many orders and changes of plan use it that are paid or may still be.
    pub redemptions: u64,
    /// When it was archived: from then on it cannot be used, or changed; null while it is not.
    pub archived_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its terms were changed last.
    pub updated_at: Timestamp,
}

/// Why an order cannot use a coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no coupon of this code.
    Unknown,
    /// Its time has not come.
    NotYetValid,
    /// Its time is over, or it was archived.
    Expired,
    /// As many orders use it as may, of all tenants or of this one.
    UsedUp,
    /// It takes nothing off what is ordered.
    NotApplicable,
    /// It takes off everything, and an order of nothing cannot be paid.
    NothingToPay,
}

impl Refusal {
    /// As it is answered: an error of the field that names the coupon.
    pub(crate) fn error(self, field: &str) -> BillingError {
        let (code, message) = self.told();
        BillingError::Invalid(vec![FieldError::new(field, code, message)])
    }

    /// Its code in answers, and a sentence.
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Unknown => ("unknown_coupon", "There is no such coupon."),
            Self::NotYetValid => ("coupon_not_yet_valid", "The coupon cannot be used yet."),
            Self::Expired => ("coupon_expired", "The coupon cannot be used any more."),
            Self::UsedUp => ("coupon_used_up", "The coupon was used as often as it may be."),
            Self::NotApplicable => ("coupon_not_applicable", "The coupon is not for what is ordered."),
            Self::NothingToPay => (
                "coupon_covers_everything",
                "The coupon takes off all of it, and there would be nothing to pay.",
            ),
        }
    }
}

/// Whether an order was refused because its coupon was used as often as it may be.
pub fn is_used_up(error: &BillingError) -> bool {
    let BillingError::Invalid(errors) = error else { return false };
    errors.iter().any(|error| error.code == Refusal::UsedUp.told().0)
}

/// The code that somebody has entered, as it is stored; `None` for what cannot be one. Not every text can be sent to a store.
pub(crate) fn code_of(text: &str) -> Option<String> {
    let code = text.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = (CODE.0..=CODE.1).contains(&code.len()) && code.bytes().all(plain);
    fits.then(|| code.to_ascii_uppercase())
}

impl Coupon {
    /// Whether another order may use it now, of a tenant of which this many do.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn usable(&self, now: Timestamp, by_tenant: u64) -> Result<(), Refusal> {
        if self.archived_at.is_some() || self.valid_until.is_some_and(|end| end <= now) {
            return Err(Refusal::Expired);
        }
        if self.valid_from.is_some_and(|begin| begin > now) {
            return Err(Refusal::NotYetValid);
        }
        let of_all = self.max_redemptions.is_some_and(|limit| self.redemptions >= limit);
        if of_all || self.is_used_up_by(by_tenant) {
            return Err(Refusal::UsedUp);
        }
        Ok(())
    }

    /// Whether a tenant of which this many orders use it has it as often as it may.
    pub(crate) fn is_used_up_by(&self, by_tenant: u64) -> bool {
        self.max_redemptions_per_tenant.is_some_and(|limit| by_tenant >= limit)
    }

    /// Takes off items what the coupon takes off, and answers how much that is.
    ///
    /// A part is taken off each line, a line being all units of an item; an amount is spread over the lines by what they cost, so that
    /// their discounts sum to it. Every discount is a multiple of what can be charged in the currency, rounded half up (away from zero),
    /// and never more than its line.
    ///
    /// # Errors
    /// `NotApplicable`; `NothingToPay`.
    pub(crate) fn take_off(&self, items: &mut [PurchaseItem], currency: &str) -> Result<i64, Refusal> {
        let other_currency = self.currency.as_deref().is_some_and(|own| own != currency);
        let is_meant = self.applies_to.contains(&CouponUse::Purchases) && !other_currency;
        let step = Currency::parse(currency).filter(|_| is_meant);
        let step = step.map(Currency::step).ok_or(Refusal::NotApplicable)?;
        let is_for = |item: &PurchaseItem| {
            self.product_types.is_empty() || self.product_types.contains(&item.product_type)
        };
        let before: i64 = items.iter().map(PurchaseItem::total).sum();
        let mut lines: Vec<&mut PurchaseItem> = items.iter_mut().filter(|item| is_for(item)).collect();
        let costs: Vec<i64> = lines.iter().map(|item| item.total() / step).collect();
        let discounts = match (self.percent, self.amount) {
            (Some(percent), _) => costs.iter().map(|cost| share(*cost, percent, 100)).collect(),
            (None, amount) => spread(amount.unwrap_or_default() / step, &costs),
        };
        for (item, discount) in lines.iter_mut().zip(&discounts) {
            item.discount = discount * step;
        }
        let taken = discounts.iter().sum::<i64>() * step;
        match taken {
            0 => Err(Refusal::NotApplicable),
            _ if taken >= before => Err(Refusal::NothingToPay),
            _ => Ok(taken),
        }
    }
}

/// An amount spread over lines by what they cost: what all lines up to one get together is rounded, so that nothing is lost or added by
/// rounding. An amount that is more than all of them cost is what they cost.
fn spread(amount: i64, costs: &[i64]) -> Vec<i64> {
    let all: i64 = costs.iter().sum();
    if all == 0 {
        return vec![0; costs.len()];
    }
    let (amount, mut cost, mut given) = (amount.min(all), 0, 0);
    let next = |line: &i64| {
        cost += line;
        let before = std::mem::replace(&mut given, share(cost, amount, all));
        given - before
    };
    costs.iter().map(next).collect()
}

/// Finds the coupon that an order names, and takes off its items what it takes off. The coupon is locked until the unit of work ends.
///
/// # Errors
/// `Invalid` where it cannot be used.
pub(crate) async fn apply(
    repositories: &mut dyn BillingRepositories,
    tenant: TenantId,
    code: &str,
    now: Timestamp,
    items: &mut [PurchaseItem],
    currency: &str,
) -> Result<Coupon, BillingError> {
    let found = match code_of(code) {
        Some(code) => repositories.coupons().lock_code(&code).await?,
        None => None,
    };
    let coupon = found.ok_or_else(|| Refusal::Unknown.error(FIELD))?;
    let by_tenant = repositories.coupons().redemptions_of(tenant, coupon.id).await?;
    let taken = coupon.usable(now, by_tenant).and_then(|()| coupon.take_off(items, currency));
    taken.map_err(|refusal| refusal.error(FIELD))?;
    Ok(coupon)
}

/// Has the use of a coupon follow its purchase: given back where that has ended unpaid, and there where it is paid. A payment that comes
/// after the end counts again, also beyond a limit: the money is ours, at that price.
///
/// # Errors
/// Those of the store.
pub(crate) async fn follow(
    repositories: &mut dyn BillingRepositories,
    purchase: &Purchase,
    now: Timestamp,
) -> Result<(), BillingError> {
    let Some(code) = &purchase.coupon else { return Ok(()) };
    let Some(coupon) = repositories.coupons().lock_code(code).await? else { return Ok(()) };
    match purchase.status {
        PurchaseStatus::Pending => {}
        PurchaseStatus::Failed => {
            repositories.coupons().release(purchase.tenant_id, purchase.id, coupon.id).await?;
        }
        PurchaseStatus::Completed
        | PurchaseStatus::Refunded
        | PurchaseStatus::PartiallyRefunded
        | PurchaseStatus::Disputed => {
            repositories.coupons().redeem(purchase.tenant_id, purchase.id, coupon.id, now).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
