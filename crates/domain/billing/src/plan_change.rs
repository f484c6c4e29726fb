//! Which change of a plan a tenant wishes, and what it means: upgrade, downgrade, end, and what would be over the limit then.

use portico_kernel::{FieldError, Meter, Permission, Scope, TenantId, Timestamp, Violations};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    BillingError,
    checkout::ReturnPages,
    limits::Allowance,
    order::ReturnRule,
    paid::BillingAccount,
    plan::{BillingInterval, FREE, Plan, PlanPrice},
    plan_coupon::{self, Wished},
    plan_discount::PlanDiscount,
    ports::BillingRepositories,
    quota::Quotas,
    subscription::SubscriptionStatus,
    subscription_provider::QuoteLine,
};

/// Most characters of the id of a plan.
const PLAN_ID_MAX: usize = 50;

/// How old the date of a preview may be when the change is made.
const PREVIEW_LIVES: Duration = Duration::HOUR;

/// A change of plan, as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "plan": "professional", "interval": "month",
    "successUrl": "http://127.0.0.1:7600/billing?paid=1", "cancelUrl": "http://127.0.0.1:7600/billing"
})))]
pub struct PlanWish {
    /// Id of the plan.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 50))]
    pub plan: String,
    /// How long a payment is for; as it is where absent, or a month.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BillingInterval>))]
    pub interval: Option<BillingInterval>,
    /// Where the buyer comes to after a first payment, at an origin that the operator allows; the start page of the front end
    /// where absent.
    #[serde(alias = "success_url")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2000))]
    pub success_url: Option<String>,
    /// Where the buyer comes to without having paid; as for `successUrl` where absent.
    #[serde(alias = "cancel_url")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2000))]
    pub cancel_url: Option<String>,
    /// `prorationDate` of a preview of the last hour: what it showed is what is charged.
    #[serde(alias = "proration_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Timestamp>))]
    pub proration_date: Option<Timestamp>,
    /// Code of a coupon, in any case; none where absent or empty. It takes something off what is charged at once, and begins without a trial.
    #[serde(alias = "coupon_code")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 40))]
    pub coupon_code: Option<String>,
}

/// What a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ChangeKind {
    /// To what costs more: at once.
    Upgrade,
    /// To what costs less: at the end of the period.
    Downgrade,
    /// To the free plan: at the end of the period.
    Cancel,
    /// None.
    Same,
}

/// What can be done about too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Remedy {
    /// Remove some of it. What is not removed stays, and nothing is added until there is room.
    Remove,
    /// Wait: it begins at zero with the next billing period.
    Wait,
}

/// What a tenant uses more of than a plan includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OverLimit {
    /// What.
    pub meter: Meter,
    /// How much of it is used now.
    pub used: u64,
    /// How much the plan includes.
    pub limit: u64,
    /// What can be done about it.
    pub remedy: Remedy,
}

/// What a change would mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "plan": "professional", "interval": "month", "kind": "upgrade", "effectiveAt": "2026-12-08T10:00:00Z", "prorationDate": "2026-12-08T10:00:00Z",
    "amountDue": 850, "currency": "usd", "overLimit": [],
    "lines": [{"description": "Unused time on Starter", "amount": -600}, {"description": "Remaining time on Professional", "amount": 1450}]
})))]
pub struct ChangePreview {
    /// Id of the plan.
    pub plan: String,
    /// How long a payment is for; null for the free plan.
    pub interval: Option<BillingInterval>,
    /// What the change is.
    pub kind: ChangeKind,
    /// When it would take hold.
    pub effective_at: Timestamp,
    /// To be sent with an upgrade within an hour, so that it costs what is shown here; null where nothing is charged by the second.
    pub proration_date: Option<Timestamp>,
    /// What would be charged at once, in minor units.
    pub amount_due: i64,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// What it is made of, in words of the payment provider. What a coupon takes off is a line of its own, with its code. They sum to
    /// `amountDue` where that is not 0.
    pub lines: Vec<QuoteLine>,
    /// What would be over the limit.
    pub over_limit: Vec<OverLimit>,
}

/// What a wish means for a tenant as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The tenant.
    pub tenant: TenantId,
    /// What the change is.
    pub kind: ChangeKind,
    /// The plan that is wished for, in its current version.
    pub plan: Plan,
    /// What it costs; `None` for the free plan.
    pub price: Option<PlanPrice>,
    /// What would be over the limit.
    pub over_limit: Vec<OverLimit>,
    /// The tenant at its provider, if it was ever there.
    pub account: Option<BillingAccount>,
    /// Days before the first payment.
    pub trial_days: u16,
    /// What the coupon that is named takes off.
    pub discount: Option<PlanDiscount>,
}

impl Assessment {
    /// The preview of it without what a provider says, which is nothing where nothing is charged in the middle of a period.
    pub fn preview(&self, now: Timestamp) -> ChangePreview {
        let running = self.account.as_ref().and_then(BillingAccount::running);
        let first = self.price.as_ref().filter(|_| running.is_none() && self.trial_days == 0);
        let first = first.filter(|_| self.kind == ChangeKind::Upgrade);
        let effective_at = match (self.kind, running) {
            (ChangeKind::Downgrade | ChangeKind::Cancel, Some(running)) => running.period_end,
            _ => now,
        };
        let taken = |price: &PlanPrice| {
            let discount = self.discount.as_ref()?;
            Some(QuoteLine { description: discount.code.clone(), amount: -discount.off(price.amount) })
        };
        let lines: Vec<QuoteLine> = first
            .into_iter()
            .flat_map(|price| {
                let whole = QuoteLine { description: self.plan.name.clone(), amount: price.amount };
                [Some(whole), taken(price)]
            })
            .flatten()
            .collect();
        ChangePreview {
            plan: self.plan.id.clone(),
            interval: self.price.as_ref().map(|price| price.interval),
            kind: self.kind,
            effective_at,
            proration_date: None,
            amount_due: lines.iter().map(|line| line.amount).sum(),
            currency: self.price.as_ref().map_or(&self.plan.currency, |price| &price.currency).clone(),
            lines,
            over_limit: self.over_limit.clone(),
        }
    }
}

/// What a wish means for a tenant, whoever asks. `locks_coupon`: whether the coupon that is named is to be used, and is locked until the
/// unit of work ends.
///
/// # Errors
/// `Invalid` for a plan that is not on offer, or not for this interval, and for a coupon that cannot be used; `NoTenant` without a plan in
/// force.
pub(crate) async fn assess(
    repositories: &mut dyn BillingRepositories,
    tenant: TenantId,
    wish: &PlanWish,
    now: Timestamp,
    locks_coupon: bool,
) -> Result<Assessment, BillingError> {
    let mut violations = Violations::default();
    violations.line("plan", &wish.plan, 1, PLAN_ID_MAX);
    violations.into_result().map_err(BillingError::Invalid)?;
    let allowance = repositories.subscriptions().allowance(tenant).await?.ok_or(BillingError::NoTenant)?;
    let account = repositories.accounts().find(tenant).await?;
    let running = account.as_ref().and_then(BillingAccount::running);
    let plan = repositories.plans().current(&wish.plan).await?.filter(|plan| plan.is_public);
    let plan = plan.ok_or_else(|| {
        invalid("plan", "unknown_plan", "There is no such plan on offer, see GET /api/v1/billing/plans.")
    })?;
    let current_interval = running
        .filter(|running| running.status.is_in_force())
        .and_then(|running| Some(crate::paid::PriceReference::parse(running.price.as_deref()?)?.interval));
    let interval = wish.interval.or(current_interval).unwrap_or(BillingInterval::Month);
    let price =
        match plan.id.as_str() {
            FREE => None,
            _ => Some(plan.prices.iter().find(|price| price.interval == interval).cloned().ok_or_else(
                || invalid("interval", "not_offered", "The plan is not sold for this interval."),
            )?),
        };
    let kind = kind_of(&allowance.plan, current_interval, &plan, interval);
    let over_limit = over_limit(repositories, tenant, &allowance, &plan, now).await?;
    let had_trial = account.as_ref().is_some_and(|account| account.had_trial);
    // Of the coupon: where nothing is charged now, nothing is taken off. A change that is made already is not made again.
    let is_trial = running.is_some_and(|running| running.status == SubscriptionStatus::Trialing);
    let discount = match (plan_coupon::named(wish.coupon_code.as_deref()), kind, &price) {
        (None, _, _) | (_, ChangeKind::Same, _) => None,
        (Some(code), ChangeKind::Upgrade, Some(price)) if !is_trial => {
            let paid = running.and_then(|running| running.price.as_deref());
            let wished = Wished { tenant, plan: &plan.id, price, paid };
            Some(plan_coupon::apply(repositories, wished, code, now, locks_coupon).await?)
        }
        (Some(_), _, _) => return Err(plan_coupon::not_applicable()),
    };
    let has_no_trial = had_trial || running.is_some() || discount.is_some();
    let trial_days = if has_no_trial { 0 } else { plan.trial_days };
    Ok(Assessment { tenant, kind, plan, price, over_limit, account, trial_days, discount })
}

fn invalid(field: &str, code: &'static str, message: &'static str) -> BillingError {
    BillingError::Invalid(vec![FieldError::new(field, code, message)])
}

/// What a change is: by the price of a month, then by the order of the plans, then by the interval, because who pays for a year at once
/// pays more now. `interval` of a plan that staff have granted is `None`.
pub(crate) fn kind_of(
    from: &Plan,
    from_interval: Option<BillingInterval>,
    to: &Plan,
    to_interval: BillingInterval,
) -> ChangeKind {
    if from.id == to.id {
        return match from_interval {
            Some(interval) if interval < to_interval && to.id != FREE => ChangeKind::Upgrade,
            Some(interval) if interval > to_interval && to.id != FREE => ChangeKind::Downgrade,
            _ => ChangeKind::Same,
        };
    }
    if to.id == FREE {
        return ChangeKind::Cancel;
    }
    if (to.amount, to.position) > (from.amount, from.position) {
        ChangeKind::Upgrade
    } else {
        ChangeKind::Downgrade
    }
}

/// What the tenant uses more of than the plan includes. What was agreed on with the tenant holds with every plan.
async fn over_limit(
    repositories: &mut dyn BillingRepositories,
    tenant: TenantId,
    allowance: &Allowance,
    plan: &Plan,
    now: Timestamp,
) -> Result<Vec<OverLimit>, BillingError> {
    let then = Allowance { plan: plan.clone(), ..allowance.clone() };
    let usage = Quotas::new(repositories).measured(tenant, &then, &Meter::ALL, now).await?;
    let over = usage.into_iter().filter_map(|usage| {
        let limit = usage.limit.filter(|limit| usage.used > *limit)?;
        let remedy = if usage.meter.is_monthly() { Remedy::Wait } else { Remedy::Remove };
        Some(OverLimit { meter: usage.meter, used: usage.used, limit, remedy })
    });
    Ok(over.collect())
}

impl PlanWish {
    /// The date of proration: that of a preview, or now.
    ///
    /// # Errors
    /// `Invalid` for one that is in the future, older than an hour, or before the running period.
    pub(crate) fn prorated_at(
        &self,
        period_start: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, BillingError> {
        match self.proration_date {
            None => Ok(now),
            Some(at) if at <= now && at >= period_start && now - at <= PREVIEW_LIVES => Ok(at),
            Some(_) => {
                let message = "Use the prorationDate of a preview of the last hour, or leave it out.";
                Err(invalid("prorationDate", "out_of_range", message))
            }
        }
    }

    /// The return addresses, where a first payment is to be made on pages of the provider: for one that is missing that of `home`.
    ///
    /// # Errors
    /// `Invalid` where one leads elsewhere than to the front ends of the operator.
    pub(crate) fn returns(&self, rule: &ReturnRule, home: &ReturnPages) -> Result<ReturnPages, BillingError> {
        let mut violations = Violations::default();
        let paid = self.success_url.as_ref().unwrap_or(&home.paid).clone();
        let canceled = self.cancel_url.as_ref().unwrap_or(&home.canceled).clone();
        rule.check("successUrl", &paid, &mut violations);
        rule.check("cancelUrl", &canceled, &mut violations);
        violations.into_result().map_err(BillingError::Invalid)?;
        Ok(ReturnPages { paid, canceled })
    }

    /// Checks the return addresses that are there, whether they are needed or not.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check_returns(&self, rule: &ReturnRule) -> Result<(), BillingError> {
        let mut violations = Violations::default();
        for (field, address) in [("successUrl", &self.success_url), ("cancelUrl", &self.cancel_url)] {
            if let Some(address) = address {
                rule.check(field, address, &mut violations);
            }
        }
        violations.into_result().map_err(BillingError::Invalid)
    }
}

/// Previews of changes.
pub struct PlanPreviews<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
}

impl<'a> PlanPreviews<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope) -> Self {
        Self { repositories, scope }
    }

    /// What a wish means for the active tenant.
    ///
    /// # Errors
    /// `Denied` without `billing:write`; `Invalid`; `NoTenant`.
    pub async fn assess(&mut self, wish: &PlanWish, now: Timestamp) -> Result<Assessment, BillingError> {
        let tenant = self.scope.require(Permission::BillingWrite)?;
        assess(self.repositories, tenant, wish, now, false).await
    }
}

/// Whether the provider charges by the second for an upgrade: not before the first payment, and not during a trial.
pub fn is_prorated(assessment: &Assessment) -> bool {
    let running = assessment.account.as_ref().and_then(BillingAccount::running);
    assessment.kind == ChangeKind::Upgrade
        && running.is_some_and(|running| {
            running.status.is_in_force() && running.status != SubscriptionStatus::Trialing
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan::catalogue, testing::env};

    #[test]
    fn the_price_of_a_month_decides_and_then_the_interval() {
        use BillingInterval::{Month, Year};
        use ChangeKind::{Cancel, Downgrade, Same, Upgrade};
        let plans = catalogue();
        for (from, paid_by, to, by, expected) in [
            (0, None, 1, Month, Upgrade),
            (0, None, 0, Month, Same),
            (1, Some(Month), 2, Month, Upgrade),
            (2, Some(Year), 3, Month, Upgrade),
            (2, Some(Month), 1, Year, Downgrade),
            (1, Some(Month), 1, Month, Same),
            (1, Some(Month), 1, Year, Upgrade),
            (1, Some(Year), 1, Month, Downgrade),
            // Granted by staff.
            (1, None, 1, Year, Same),
            (1, Some(Month), 0, Month, Cancel),
        ] {
            let kind = kind_of(&plans[from], paid_by, &plans[to], by);
            assert_eq!(kind, expected, "{from} {paid_by:?} {to} {by:?}");
        }
    }

    #[test]
    fn a_preview_is_good_for_an_hour_and_not_for_another_period() {
        let now = env().now();
        let at = |age: Duration| {
            let wish = PlanWish { proration_date: Some(now - age), ..PlanWish::default() };
            wish.prorated_at(now - Duration::minutes(90), now).ok()
        };
        assert_eq!(at(Duration::HOUR), Some(now - Duration::HOUR));
        assert_eq!(at(Duration::ZERO), Some(now));
        for wrong in [Duration::HOUR + Duration::SECOND, Duration::HOUR * 2, Duration::seconds(-1)] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
        let started = now - Duration::MINUTE;
        let earlier = PlanWish { proration_date: Some(now - Duration::minutes(2)), ..PlanWish::default() };
        assert!(earlier.prorated_at(started, now).is_err());
        assert_eq!(PlanWish::default().prorated_at(started, now).ok(), Some(now));
    }
}
