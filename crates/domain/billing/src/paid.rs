//! What of a tenant's subscription is at the payment provider.

use std::fmt;

use portico_kernel::{TenantId, Timestamp};
use sha2::{Digest, Sha256};
use time::Duration;

use crate::{
    checkout::CheckoutRule,
    payment::Provider,
    plan::{BillingInterval, Plan},
    subscription::SubscriptionStatus,
    subscription_provider::{NewCustomer, ProviderSubscription},
};

/// Between the parts of a reference. No part has it in it.
const SEPARATOR: char = '-';

/// The name under which the provider knows what a version of a plan costs for an interval. Written `starter-1-month`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceReference {
    /// Id of the plan.
    pub plan: String,
    /// Its version.
    pub version: i32,
    /// How long a payment is for.
    pub interval: BillingInterval,
}

impl PriceReference {
    /// Of what a plan costs for an interval.
    pub fn new(plan: &Plan, interval: BillingInterval) -> Self {
        Self { plan: plan.id.clone(), version: plan.version, interval }
    }

    /// Reads a reference; `None` for one that was not made here.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(SEPARATOR);
        let (plan, version, interval) = (parts.next()?, parts.next()?, parts.next()?);
        let read = Self {
            plan: plan.to_owned(),
            version: version.parse().ok()?,
            interval: BillingInterval::parse(interval)?,
        };
        // Each has one spelling.
        (read.version > 0 && read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for PriceReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SEPARATOR}{}{SEPARATOR}{}", self.plan, self.version, self.interval.as_str())
    }
}

/// Days after a failed payment on which the owners are reminded. They hear of the failure itself at once.
pub const REMINDER_DAYS: [i64; 3] = [1, 3, 7];

/// How long a plan stays in force after a payment has failed. The provider tries again meanwhile.
pub const GRACE: Duration = Duration::days(10);

/// The longest time between two questions about a subscription that goes on.
const LONGEST_PAUSE: Duration = Duration::DAY;

/// How long after something was to happen at the provider it is asked about.
const MARGIN: Duration = Duration::minutes(5);

/// A tenant at its payment provider: the customer, and its subscription as it was last answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingAccount {
    /// The tenant; it has one account.
    pub tenant_id: TenantId,
    /// Where it pays.
    pub provider: Provider,
    /// Whether real money is moved.
    pub live: bool,
    /// The provider's id of the customer; `None` until it has answered one.
    pub customer_id: Option<String>,
    /// When the call that makes the customer was first tried: a part of its key.
    pub keyed_at: Timestamp,
    /// The subscription as the provider last answered it; `None` where there never was one.
    pub subscription: Option<ProviderSubscription>,
    /// Counts the answers that were stored. One is stored only where none was since before it was asked for, so that no older one replaces
    /// a newer one.
    pub revision: i64,
    /// Whether the tenant has tried a plan, or had one that it paid for: a trial comes before the first payment, and once.
    pub had_trial: bool,
    /// Since when a payment is missing; `None` where none is.
    pub past_due_since: Option<Timestamp>,
    /// How many of [`REMINDER_DAYS`] were told since then.
    pub reminders: u32,
    /// Why the tenant ends its subscription, in its own words.
    pub cancel_reason: Option<String>,
    /// Whether the end that is to come was asked for because the tenant is to be deleted, see [`deletion`](crate::deletion): a tenant that
    /// is restored goes on paying. `false` where the tenant itself has asked for it.
    pub ends_with_tenant: bool,
    /// When the provider is to be asked next; `None` while there is nothing to ask about.
    pub check_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change of what the provider answers.
    pub updated_at: Timestamp,
}

/// What is paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PaidPlan {
    /// Nothing: the free plan is in force, or what staff have granted.
    Nothing,
    /// This.
    Known(PriceReference),
    /// Something at a price that was not made here.
    Unknown,
}

impl BillingAccount {
    /// Of a tenant that the provider does not know yet.
    pub(crate) fn new(tenant_id: TenantId, rule: &CheckoutRule, now: Timestamp) -> Self {
        Self {
            tenant_id,
            provider: rule.provider,
            live: rule.live,
            customer_id: None,
            keyed_at: now,
            subscription: None,
            revision: 0,
            had_trial: false,
            past_due_since: None,
            reminders: 0,
            cancel_reason: None,
            ends_with_tenant: false,
            check_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The idempotency key of the call that makes the customer: another one for other arguments, because whoever tries again may have
    /// another address. A customer that was made by a call whose answer came to nobody stays at the provider without any use.
    pub fn customer_key(&self, new: &NewCustomer) -> String {
        let arguments = [&new.reference, &new.name, &new.email, &self.keyed_at.to_string()];
        let digest = arguments.iter().fold(Sha256::new(), |digest, text| {
            digest.chain_update(text.len().to_be_bytes()).chain_update(text)
        });
        let hex: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("customer_{hex}")
    }

    /// The subscription, unless it has ended.
    pub fn running(&self) -> Option<&ProviderSubscription> {
        self.subscription.as_ref().filter(|subscription| subscription.status != SubscriptionStatus::Canceled)
    }

    /// How the subscription is; [`SubscriptionStatus::Canceled`] where there is none.
    pub fn status(&self) -> SubscriptionStatus {
        self.subscription.as_ref().map_or(SubscriptionStatus::Canceled, |subscription| subscription.status)
    }

    /// The price of the subscription, also of one that has ended; `None` for one that was not made here.
    pub(crate) fn priced(&self) -> Option<PriceReference> {
        self.subscription.as_ref().and_then(|seen| seen.price.as_deref()).and_then(PriceReference::parse)
    }

    /// When the plan falls if the missing payment does not come.
    pub fn grace_ends_at(&self) -> Option<Timestamp> {
        self.past_due_since.map(|since| since + GRACE)
    }

    /// How many reminders are due by now.
    pub(crate) fn reminders_due(&self, now: Timestamp) -> u32 {
        let Some(since) = self.past_due_since else { return 0 };
        REMINDER_DAYS.iter().filter(|days| since + Duration::days(**days) <= now).count() as u32
    }

    /// What is paid for, and in force.
    pub(crate) fn paid_plan(&self) -> PaidPlan {
        match self.running() {
            Some(running) if running.status.is_in_force() => running
                .price
                .as_deref()
                .and_then(PriceReference::parse)
                .map_or(PaidPlan::Unknown, PaidPlan::Known),
            _ => PaidPlan::Nothing,
        }
    }

    /// When to ask about it next: soon after something is to happen, and once a day. Never where nothing goes on.
    pub(crate) fn next_check(&self, now: Timestamp) -> Option<Timestamp> {
        let running = self.running()?;
        let at_provider =
            [Some(running.period_end), running.trial_ends_at, running.ends_at].map(|at| Some(at? + MARGIN));
        let reminders =
            REMINDER_DAYS.map(|days| self.past_due_since.map(|since| since + Duration::days(days)));
        let moments = at_provider.into_iter().chain(reminders).chain([self.grace_ends_at()]).flatten();
        Some(moments.filter(|at| *at > now).fold(now + LONGEST_PAUSE, Timestamp::min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::catalogue;

    #[test]
    fn a_reference_is_read_back_and_has_one_spelling() {
        for plan in catalogue() {
            for interval in BillingInterval::ALL {
                let reference = PriceReference::new(&plan, interval);
                assert_eq!(PriceReference::parse(&reference.to_string()), Some(reference));
            }
        }
        let starter = PriceReference::new(&catalogue().remove(1), BillingInterval::Month);
        assert_eq!(starter.to_string(), "starter-1-month");
        for foreign in [
            "",
            "starter",
            "starter-1",
            "starter-01-month",
            "starter-0-month",
            "starter-1-week",
            "starter-1-month-x",
        ] {
            assert_eq!(PriceReference::parse(foreign), None, "{foreign}");
        }
    }
}
