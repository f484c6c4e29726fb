//! What coupons are for and how long they last, and how parts of amounts are rounded.

use serde::{Deserialize, Serialize};

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

/// `part` of `whole` of a number, rounded half up. None of them is negative, and `whole` is not zero.
pub(crate) fn share(number: i64, part: i64, whole: i64) -> i64 {
    let (number, part, whole) = (i128::from(number), i128::from(part), i128::from(whole));
    i64::try_from((2 * number * part + whole) / (2 * whole)).unwrap_or(i64::MAX)
}

/// What a part or an amount takes off an amount.
pub(crate) fn taken_off(percent: Option<i64>, off: Option<i64>, amount: i64) -> i64 {
    match percent {
        Some(percent) => share(amount, percent, 100).min(amount),
        None => off.unwrap_or_default().min(amount),
    }
}
