//! Each change of what tenants pay for their plans again and again. The sum of all of them is the recurring revenue.

use portico_kernel::{TenantId, Timestamp};

use crate::{
    paid::{BillingAccount, PriceReference},
    plan::BillingInterval,
    plan_discount::RecurringOff,
    subscription::SubscriptionStatus,
};

/// A change of what a tenant pays for its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecurringChange {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Whether real money is paid.
    pub live: bool,
    /// [`BillingAccount::revision`] after the answer of the provider that showed it: each shows one change at most.
    pub revision: i64,
    /// What was paid for; `None` for nothing.
    pub from: Option<PriceReference>,
    /// What is paid for since; `None` for nothing.
    pub to: Option<PriceReference>,
    /// What a discount took off each payment, besides one that is for one payment only.
    pub from_off: Option<RecurringOff>,
    /// What one takes off since.
    pub to_off: Option<RecurringOff>,
    /// When it was seen.
    pub changed_at: Timestamp,
}

impl RecurringChange {
    /// What an answer of the provider has changed; `None` where the same is paid for as before.
    pub(crate) fn between(before: &BillingAccount, after: &BillingAccount, now: Timestamp) -> Option<Self> {
        let (from, to) = (paid_for(before), paid_for(after));
        let (from_off, to_off) = (off(before, from.as_ref()), off(after, to.as_ref()));
        ((&from, from_off) != (&to, to_off)).then_some(Self {
            tenant_id: after.tenant_id,
            live: before.live,
            revision: after.revision,
            from,
            to,
            from_off,
            to_off,
            changed_at: now,
        })
    }
}

/// What is paid for. A trial is not, and neither is a price that was not made here. A payment that is late still counts: the provider
/// tries again, and when it gives up, the subscription ends.
fn paid_for(account: &BillingAccount) -> Option<PriceReference> {
    let counts = matches!(account.status(), SubscriptionStatus::Active | SubscriptionStatus::PastDue);
    counts.then(|| account.priced()).flatten()
}

/// What is taken off what is paid for. A discount for some months that ends before the next payment for a year does not recur, like one
/// that is for one payment only: nothing else is paid when its months end.
fn off(account: &BillingAccount, paid: Option<&PriceReference>) -> Option<RecurringOff> {
    let (paid, running) = (paid?, account.subscription.as_ref()?);
    let discount = running.discount.as_ref()?;
    let ends_before = discount.ends_at.is_some_and(|end| end <= running.period_end);
    let is_last = paid.interval == BillingInterval::Year && ends_before;
    RecurringOff::of(discount).filter(|_| !is_last)
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::{
        checkout::CheckoutRule,
        order::ReturnRule,
        payment::Provider,
        subscription_provider::{ProviderSubscription, RunningDiscount},
        testing::env,
    };

    fn account(seen: Option<(SubscriptionStatus, &str)>) -> BillingAccount {
        let (env, now) = (env(), env().now());
        let rule = CheckoutRule {
            provider: Provider::Stripe,
            live: false,
            returns: ReturnRule::Anywhere,
            home: Default::default(),
        };
        let subscription = seen.map(|(status, price)| ProviderSubscription {
            id: "sub_1".to_owned(),
            status,
            price: Some(price.to_owned()),
            period_start: now,
            period_end: now,
            trial_ends_at: None,
            ends_at: None,
            scheduled: None,
            payment_method_id: None,
            discount: None,
            live: false,
        });
        BillingAccount { subscription, revision: 7, ..BillingAccount::new(env.new_id(), &rule, now) }
    }

    #[test]
    fn only_what_changes_the_price_is_a_change() {
        use SubscriptionStatus::{Active, Canceled, Incomplete, PastDue, Trialing, Unpaid};
        let change = |from, to| {
            let change = RecurringChange::between(&account(from), &account(to), env().now())?;
            assert_eq!((change.revision, change.live), (7, false));
            let text = |price: Option<PriceReference>| price.map(|price| price.to_string());
            Some((text(change.from), text(change.to)))
        };
        let starter = Some("starter-1-month".to_owned());
        let active = Some((Active, "starter-1-month"));
        assert_eq!(change(None, active), Some((None, starter.clone())));
        assert_eq!(change(Some((Trialing, "starter-1-month")), active), Some((None, starter.clone())));
        assert_eq!(change(active, Some((PastDue, "starter-1-month"))), None);
        for ended in [Canceled, Unpaid, Incomplete] {
            assert_eq!(
                change(active, Some((ended, "starter-1-month"))),
                Some((starter.clone(), None)),
                "{ended:?}"
            );
        }
        let yearly = Some("starter-1-year".to_owned());
        assert_eq!(change(active, Some((Active, "starter-1-year"))), Some((starter, yearly)));
        assert_eq!(change(None, Some((Active, "price of another program"))), None);
        assert_eq!(change(None, None), None);
    }

    #[test]
    fn a_discount_that_begins_or_ends_is_a_change_unless_it_is_for_one_payment() {
        let active = account(Some((SubscriptionStatus::Active, "starter-1-month")));
        let with = |percent_off, amount_off: Option<i64>, once| {
            let mut account = active.clone();
            let currency = amount_off.map(|_| "usd".to_owned());
            let code = "SUMMER".to_owned();
            let discount = RunningDiscount { code, percent_off, amount_off, currency, once, ends_at: None };
            account.subscription.as_mut().unwrap().discount = Some(discount);
            account
        };
        let between = |from: &BillingAccount, to: &BillingAccount| {
            let change = RecurringChange::between(from, to, env().now())?;
            assert_eq!(change.from, change.to);
            Some((change.from_off, change.to_off))
        };
        let (quarter, five) = (with(Some(25), None, false), with(None, Some(500), false));
        let (percent, amount) = (Some(RecurringOff::Percent(25)), Some(RecurringOff::Amount(500)));
        assert_eq!(between(&active, &quarter), Some((None, percent)));
        assert_eq!(between(&quarter, &five), Some((percent, amount)));
        assert_eq!(between(&five, &active), Some((amount, None)));
        assert_eq!(between(&quarter, &quarter), None);
        assert_eq!(between(&active, &with(Some(25), None, true)), None);
        for off in [RecurringOff::Percent(25), RecurringOff::Amount(500)] {
            assert_eq!(RecurringOff::parse(&off.to_string()), Some(off));
        }
        assert_eq!(RecurringOff::parse("a quarter"), None);
    }

    #[test]
    fn months_that_end_before_the_next_payment_of_a_year_do_not_recur() {
        let with = |price: &str, days: Option<i64>| {
            let mut account = account(Some((SubscriptionStatus::Active, price)));
            let running = account.subscription.as_mut().unwrap();
            running.period_end = running.period_start + Duration::days(365);
            running.discount = days.map(|days| RunningDiscount {
                code: "SUMMER".to_owned(),
                percent_off: Some(25),
                amount_off: None,
                currency: None,
                once: false,
                ends_at: Some(running.period_start + Duration::days(days)),
            });
            account
        };
        let off = |price: &str, days| {
            let change = RecurringChange::between(&account(None), &with(price, Some(days)), env().now());
            change.unwrap().to_off
        };
        let quarter = Some(RecurringOff::Percent(25));
        for (price, days, expected) in [
            ("starter-1-year", 90, None),
            ("starter-1-year", 365, None),
            ("starter-1-year", 366, quarter),
            ("starter-1-month", 90, quarter),
        ] {
            assert_eq!(off(price, days), expected, "{price} {days}");
        }
        let (running, over) = (with("starter-1-year", Some(90)), with("starter-1-year", None));
        assert_eq!(RecurringChange::between(&running, &over, env().now()), None, "nothing else is paid");
    }
}
