//! What Stripe answers about customers and subscriptions, as far as it is read.

use std::collections::HashMap;

use miniserde::Deserialize;
use portico_billing::{
    payment::PaymentError,
    plan::BillingInterval,
    subscription::SubscriptionStatus,
    subscription_provider::{
        NewCoupon, PaymentMethod, ProviderSubscription, RunningDiscount, ScheduledPrice,
    },
};
use stripe_types::List;

use crate::values::{odd, perhaps, time};

/// Anything that has an id.
#[derive(Deserialize)]
pub(super) struct Named {
    pub id: String,
}

#[derive(Deserialize)]
pub(super) struct CustomerObject {
    pub id: String,
    /// Missing where the customer was deleted.
    pub invoice_settings: Option<InvoiceSettings>,
    /// Only of one that was deleted.
    pub deleted: Option<bool>,
    /// In which it is charged; missing before the first charge.
    pub currency: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct InvoiceSettings {
    default_payment_method: Option<String>,
}

impl CustomerObject {
    /// What it pays with unless a subscription says otherwise.
    pub fn default_method(&self) -> Option<&str> {
        self.invoice_settings.as_ref()?.default_payment_method.as_deref()
    }
}

#[derive(Deserialize)]
pub(super) struct PriceObject {
    pub id: String,
    pub active: bool,
    pub currency: String,
    pub unit_amount: Option<i64>,
    pub lookup_key: Option<String>,
    pub recurring: Option<Recurring>,
}

#[derive(Deserialize)]
pub(super) struct Recurring {
    pub interval: String,
    pub interval_count: i64,
}

impl PriceObject {
    /// How long a payment is for; `None` where that is no interval of ours.
    pub fn interval(&self) -> Option<BillingInterval> {
        let recurring = self.recurring.as_ref().filter(|recurring| recurring.interval_count == 1)?;
        BillingInterval::parse(&recurring.interval)
    }
}

/// A subscription whose customer is expanded.
#[derive(Deserialize)]
pub(super) struct SubscriptionObject {
    pub id: String,
    pub status: String,
    pub customer: CustomerObject,
    pub items: List<ItemObject>,
    pub currency: String,
    pub default_payment_method: Option<String>,
    pub schedule: Option<String>,
    pub livemode: bool,
    discounts: Option<Vec<DiscountObject>>,
    trial_end: Option<i64>,
    pub cancel_at: Option<i64>,
    pub cancel_at_period_end: bool,
    ended_at: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct ItemObject {
    pub id: String,
    pub price: PriceObject,
    pub quantity: Option<u32>,
    /// Periods are those of items since the version `basil`.
    pub current_period_start: i64,
    pub current_period_end: i64,
}

impl SubscriptionObject {
    /// Whether its first payment was never made. It is as if there had been none.
    pub fn never_began(&self) -> bool {
        self.status == "incomplete_expired"
    }

    pub fn has_ended(&self) -> bool {
        self.never_began() || self.status == "canceled"
    }

    pub fn is_trial(&self) -> bool {
        self.status == "trialing"
    }

    /// What its invoices are charged to.
    pub fn method(&self) -> Option<&str> {
        self.default_payment_method.as_deref().or(self.customer.default_method())
    }

    /// What is taken off its next invoices.
    pub fn discounts(&self) -> &[DiscountObject] {
        self.discounts.as_deref().unwrap_or_default()
    }

    /// Its item: subscriptions that are made here have one.
    pub fn item(&self) -> Result<&ItemObject, PaymentError> {
        self.items.data.first().ok_or_else(|| odd(&self.id, "no item"))
    }

    fn status(&self) -> Result<SubscriptionStatus, PaymentError> {
        Ok(match self.status.as_str() {
            "trialing" => SubscriptionStatus::Trialing,
            "active" => SubscriptionStatus::Active,
            "past_due" => SubscriptionStatus::PastDue,
            "unpaid" | "paused" => SubscriptionStatus::Unpaid,
            "canceled" | "incomplete_expired" => SubscriptionStatus::Canceled,
            "incomplete" => SubscriptionStatus::Incomplete,
            _ => return Err(odd(&self.id, "a status that is not known here")),
        })
    }

    /// As the port has it, with the schedule that it names.
    pub fn read(self, schedule: Option<&ScheduleObject>) -> Result<ProviderSubscription, PaymentError> {
        let item = self.item()?;
        let ends_with_period = self.cancel_at_period_end.then_some(item.current_period_end);
        Ok(ProviderSubscription {
            status: self.status()?,
            price: item.price.lookup_key.clone(),
            period_start: time(&self.id, item.current_period_start)?,
            period_end: time(&self.id, item.current_period_end)?,
            trial_ends_at: perhaps(&self.id, self.trial_end)?,
            ends_at: perhaps(&self.id, self.ended_at.or(self.cancel_at).or(ends_with_period))?,
            scheduled: schedule.and_then(|schedule| schedule.next().transpose()).transpose()?,
            payment_method_id: self.method().map(str::to_owned),
            discount: self.discounts().first().map(DiscountObject::read).transpose()?.flatten(),
            live: self.livemode,
            id: self.id,
        })
    }
}

/// A coupon.
#[derive(Deserialize)]
pub(super) struct CouponObject {
    pub id: String,
    name: Option<String>,
    percent_off: Option<f64>,
    amount_off: Option<i64>,
    currency: Option<String>,
    duration: String,
    duration_in_months: Option<i64>,
}

impl CouponObject {
    /// The part that it takes off; coupons that are made here have no decimals.
    #[allow(clippy::cast_possible_truncation, reason = "it is between 0 and 100")]
    fn percent(&self) -> Option<i64> {
        self.percent_off.map(|percent| percent.round() as i64)
    }

    /// What invoices call it.
    pub fn code(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    /// Whether it takes off what the other one is to take off, for as long.
    pub fn takes_off_as(&self, new: &NewCoupon) -> bool {
        let off = new.amount_off.as_ref().map(|off| (off.amount, off.currency.as_str()));
        self.percent() == new.percent_off
            && self.amount_off.zip(self.currency.as_deref()) == off
            && self.duration == new.duration.as_str()
            && self.duration_in_months == new.months
    }
}

/// A discount whose coupon is expanded.
#[derive(Deserialize)]
pub(super) struct DiscountObject {
    pub id: String,
    end: Option<i64>,
    source: SourceObject,
}

#[derive(Deserialize)]
struct SourceObject {
    coupon: Option<CouponObject>,
}

impl DiscountObject {
    /// The code of its coupon; empty where that is not known.
    pub fn code(&self) -> &str {
        self.source.coupon.as_ref().map(CouponObject::code).unwrap_or_default()
    }

    /// As the port has it.
    fn read(&self) -> Result<Option<RunningDiscount>, PaymentError> {
        let Some(coupon) = &self.source.coupon else { return Ok(None) };
        Ok(Some(RunningDiscount {
            code: coupon.code().to_owned(),
            percent_off: coupon.percent(),
            amount_off: coupon.amount_off,
            currency: coupon.currency.clone(),
            once: coupon.duration == "once",
            ends_at: perhaps(&self.id, self.end)?,
        }))
    }
}

/// A schedule whose prices are expanded.
#[derive(Deserialize)]
pub(super) struct ScheduleObject {
    pub id: String,
    pub status: String,
    current_phase: Option<PhaseBounds>,
    phases: Vec<PhaseObject>,
}

#[derive(Deserialize)]
struct PhaseBounds {
    start_date: i64,
}

#[derive(Deserialize)]
pub(super) struct PhaseObject {
    pub start_date: i64,
    pub end_date: i64,
    pub trial_end: Option<i64>,
    pub items: Vec<PhaseItem>,
    pub metadata: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
pub(super) struct PhaseItem {
    pub price: PriceObject,
    pub quantity: Option<u32>,
}

impl ScheduleObject {
    /// The phase that is running.
    pub fn present(&self) -> Option<&PhaseObject> {
        let start = self.current_phase.as_ref()?.start_date;
        self.phases.iter().find(|phase| phase.start_date == start)
    }

    /// The price of the phase that follows.
    pub fn next(&self) -> Result<Option<ScheduledPrice>, PaymentError> {
        let Some(present) = self.present().filter(|_| self.status == "active") else { return Ok(None) };
        let Some(next) = self.phases.iter().find(|phase| phase.start_date >= present.end_date) else {
            return Ok(None);
        };
        let reference = next.items.first().and_then(|item| item.price.lookup_key.clone());
        Ok(Some(ScheduledPrice { reference, at: time(&self.id, next.start_date)? }))
    }
}

#[derive(Deserialize)]
pub(super) struct MethodObject {
    pub id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    card: Option<CardObject>,
    sepa_debit: Option<DebitObject>,
    us_bank_account: Option<DebitObject>,
}

#[derive(Deserialize)]
struct CardObject {
    brand: String,
    last4: String,
    exp_month: u8,
    exp_year: u16,
}

#[derive(Deserialize)]
struct DebitObject {
    last4: Option<String>,
}

impl MethodObject {
    /// As the port has it.
    pub fn read(self, default: Option<&str>) -> Result<PaymentMethod, PaymentError> {
        let debit = self.sepa_debit.or(self.us_bank_account).and_then(|debit| debit.last4);
        Ok(PaymentMethod {
            is_default: default == Some(self.id.as_str()),
            created_at: time(&self.id, self.created)?,
            brand: self.card.as_ref().map(|card| card.brand.clone()),
            last4: self.card.as_ref().map(|card| card.last4.clone()).or(debit),
            exp_month: self.card.as_ref().map(|card| card.exp_month),
            exp_year: self.card.as_ref().map(|card| card.exp_year),
            kind: self.kind,
            id: self.id,
        })
    }
}

#[cfg(test)]
mod tests;
