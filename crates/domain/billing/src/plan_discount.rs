//! What coupons take off plans: what is asked of the provider, and what that means for recurring revenue.

use portico_kernel::{CouponId, Money};
use serde::{Deserialize, Serialize};

use crate::{
    coupon::Coupon,
    coupon_scope::{CouponDuration, taken_off},
    subscription_provider::{NewCoupon, RunningDiscount},
};

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
