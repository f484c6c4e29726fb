//! Coupons as staff make and change them.
//!
//! What a coupon takes off, off what and for how long never changes, so that an order of which the call to the provider is repeated costs the
//! same. Its terms do: for which products and plans, how often and when it may be used. They apply from the next order or change of plan on.

use portico_kernel::{
    CouponId, Env, Event, List, PRODUCT_ID_MAX, PageRequest, Permission, RuleMessage, Scope, StoreError,
    TenantId, Timestamp, Violations,
};
use serde::Deserialize;

use crate::{
    BillingError,
    coupon::{Coupon, code_of},
    coupon_scope::{CouponDuration, CouponUse},
    events,
    money::{AMOUNT_MAX, Currency},
    ports::BillingRepositories,
};

/// The highest limit of uses.
const REDEMPTIONS_MAX: i64 = 1_000_000_000;

/// Most products that a coupon names.
const PRODUCTS_MAX: usize = 20;

/// Most plans that a coupon names.
const PLANS_MAX: usize = 20;

/// The longest duration in months: ten years.
const MONTHS_MAX: i64 = 120;

/// A coupon to be made: either `percent`, or `amount` and `currency`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "code": "SUMMER25", "percent": 25, "maxRedemptions": 100, "maxRedemptionsPerTenant": 1, "validUntil": "2027-09-01T00:00:00Z",
})))]
pub struct CouponInput {
    /// What buyers enter: 3 to 40 letters a to z, digits, `-` and `_`; their case does not matter.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, min_length = 3, max_length = 40, pattern = "^[A-Za-z0-9_-]{3,40}$")
    )]
    pub code: String,
    /// Part of each price that it takes off, 1 to 100.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100))]
    pub percent: Option<i64>,
    /// What it takes off an order, in minor units of the currency: 1 to 99,999,999.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 99_999_999))]
    pub amount: Option<i64>,
    /// Lower-case ISO 4217; the coupon is for orders in this currency.
    #[cfg_attr(feature = "openapi", schema(min_length = 3, max_length = 3, pattern = "^[a-z]{3}$"))]
    pub currency: Option<String>,
    /// What it is for; purchases where absent.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 2))]
    pub applies_to: Option<Vec<CouponUse>>,
    /// Ids of products on sale that it takes something off, at most 20; all where absent or empty.
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 50))]
    pub product_types: Option<Vec<String>>,
    /// Ids of plans that it takes something off, at most 20; all where absent or empty.
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 50))]
    pub plans: Option<Vec<String>>,
    /// How long it takes something off what is paid for a plan. Needed where it is for plans, and only there.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<CouponDuration>))]
    pub duration: Option<CouponDuration>,
    /// For how many months, 1 to 120. Needed where it is `repeating`, and only there.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 120))]
    pub duration_in_months: Option<i64>,
    /// How many orders and changes of plan may use it, 1 to 1,000,000,000; any number where absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000))]
    pub max_redemptions: Option<i64>,
    /// How many orders of one tenant may, 1 to 1,000,000,000; any number where absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000))]
    pub max_redemptions_per_tenant: Option<i64>,
    /// From when on it may be used; at once where absent.
    pub valid_from: Option<Timestamp>,
    /// It may be used before this time; without an end where absent.
    pub valid_until: Option<Timestamp>,
}

/// The terms of a coupon, all of them: what is absent is no longer a term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"maxRedemptions": 200, "validUntil": "2027-12-01T00:00:00Z"})))]
pub struct CouponTerms {
    /// Ids of products on sale, or of those that it was for already, at most 20; all products where absent or empty.
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 50))]
    pub product_types: Option<Vec<String>>,
    /// Ids of plans, at most 20; all plans where absent or empty. Only of a coupon that is for plans.
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 50))]
    pub plans: Option<Vec<String>>,
    /// How many orders may use it, 1 to 1,000,000,000; any number where absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000))]
    pub max_redemptions: Option<i64>,
    /// How many orders of one tenant may, 1 to 1,000,000,000; any number where absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000_000))]
    pub max_redemptions_per_tenant: Option<i64>,
    /// From when on it may be used; at once where absent.
    pub valid_from: Option<Timestamp>,
    /// It may be used before this time; without an end where absent.
    pub valid_until: Option<Timestamp>,
}

impl CouponInput {
    /// The coupon without its terms, and those. Broken rules are recorded by their fields.
    fn read(self, id: CouponId, now: Timestamp, violations: &mut Violations) -> (Coupon, CouponTerms) {
        let code = code_of(&self.code).unwrap_or_else(|| {
            let message = RuleMessage::new("Use 3 to 40 letters a to z, digits, - and _.").min(3).max(40);
            violations.add("code", if self.code.is_empty() { "required" } else { "invalid_word" }, message);
            String::new()
        });
        match (self.percent, self.amount) {
            (None, None) => violations.add("percent", "required", "Name a percentage, or an amount."),
            (Some(_), Some(_)) => {
                violations.add("amount", "not_both", "Name a percentage or an amount, not both.")
            }
            (Some(percent), None) => {
                let fits = (1..=100).contains(&percent);
                violations.check(fits, "percent", "out_of_range", RuleMessage::number(1, 100));
                let message = "A percentage is for all currencies.";
                violations.check(self.currency.is_none(), "currency", "not_both", message);
            }
            (None, Some(amount)) => check_amount(amount, self.currency.as_deref(), violations),
        }
        let mut applies_to = self.applies_to.unwrap_or_else(|| vec![CouponUse::Purchases]);
        applies_to.sort_unstable();
        applies_to.dedup();
        let message = "Name purchases, plans, or both.";
        violations.check(!applies_to.is_empty(), "appliesTo", "required", message);
        let is_for_plans = applies_to.contains(&CouponUse::Plans);
        check_duration(is_for_plans, self.duration, self.duration_in_months, violations);
        let coupon = Coupon {
            id,
            code,
            percent: self.percent,
            amount: self.amount,
            currency: self.currency,
            applies_to,
            product_types: Vec::new(),
            plans: Vec::new(),
            duration: self.duration,
            duration_in_months: self.duration_in_months,
            max_redemptions: None,
            max_redemptions_per_tenant: None,
            valid_from: None,
            valid_until: None,
            redemptions: 0,
            archived_at: None,
            created_at: now,
            updated_at: now,
        };
        let terms = CouponTerms {
            product_types: self.product_types,
            plans: self.plans,
            max_redemptions: self.max_redemptions,
            max_redemptions_per_tenant: self.max_redemptions_per_tenant,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
        };
        (coupon, terms)
    }
}

fn check_amount(amount: i64, currency: Option<&str>, violations: &mut Violations) {
    let fits = (1..=AMOUNT_MAX).contains(&amount);
    violations.check(fits, "amount", "out_of_range", RuleMessage::number(1, AMOUNT_MAX));
    let Some(currency) = currency.and_then(Currency::parse) else {
        let message =
            "Use the three lower-case letters of a currency of ISO 4217 that can be charged, such as usd.";
        return violations.add("currency", "invalid_currency", message);
    };
    let message = format!("Amounts in {} are multiples of {}.", currency.as_str(), currency.step());
    violations.check(!fits || amount % currency.step() == 0, "amount", "invalid_amount", message);
}

fn check_duration(
    is_for_plans: bool,
    duration: Option<CouponDuration>,
    months: Option<i64>,
    violations: &mut Violations,
) {
    match (is_for_plans, duration) {
        (true, None) => violations.add("duration", "required", "Say how long it takes something off a plan."),
        (false, Some(_)) => violations.add("duration", "not_both", "Only a coupon for plans has a duration."),
        _ => {}
    }
    match (duration, months) {
        (Some(CouponDuration::Repeating), None) => {
            violations.add("durationInMonths", "required", "Say for how many months.");
        }
        (Some(CouponDuration::Repeating), Some(months)) => {
            let fits = (1..=MONTHS_MAX).contains(&months);
            violations.check(fits, "durationInMonths", "out_of_range", RuleMessage::number(1, MONTHS_MAX));
        }
        (_, Some(_)) => {
            violations.add("durationInMonths", "not_both", "Only a coupon that is repeating has months.");
        }
        _ => {}
    }
}

impl CouponTerms {
    /// The coupon with these terms. `on_sale` are those of the products that it may be for besides its own, `known` all plans. Broken rules
    /// are recorded by their fields.
    fn apply(
        self,
        coupon: &Coupon,
        on_sale: &[String],
        known: &[String],
        violations: &mut Violations,
    ) -> Coupon {
        let mut product_types = self.product_types.unwrap_or_default();
        for (index, product) in product_types.iter().enumerate() {
            let is_known = on_sale.contains(product) || coupon.product_types.contains(product);
            let field = format!("productTypes[{index}]");
            violations.check(is_known, field, "unknown_product", "There is no such product on sale.");
        }
        product_types.sort_unstable();
        product_types.dedup();
        let mut plans = self.plans.unwrap_or_default();
        for (index, plan) in plans.iter().enumerate() {
            let field = format!("plans[{index}]");
            violations.check(known.contains(plan), field, "unknown_plan", "There is no such plan.");
        }
        plans.sort_unstable();
        plans.dedup();
        let is_for_plans = plans.is_empty() || coupon.applies_to.contains(&CouponUse::Plans);
        violations.check(is_for_plans, "plans", "not_both", "The coupon is for purchases only.");
        let mut limit = |field: &str, limit: Option<i64>| {
            let limit = limit?;
            let fits = (1..=REDEMPTIONS_MAX).contains(&limit);
            violations.check(fits, field, "out_of_range", RuleMessage::number(1, REDEMPTIONS_MAX));
            u64::try_from(limit).ok()
        };
        let max_redemptions = limit("maxRedemptions", self.max_redemptions);
        let max_redemptions_per_tenant = limit("maxRedemptionsPerTenant", self.max_redemptions_per_tenant);
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until) {
            violations.check(from < until, "validUntil", "too_early", "The end must be after the beginning.");
        }
        Coupon {
            product_types,
            plans,
            max_redemptions,
            max_redemptions_per_tenant,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            ..coupon.clone()
        }
    }
}

/// Use cases around coupons, for staff.
pub struct CouponAdministration<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> CouponAdministration<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// All coupons, newest first, archived ones included.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<Coupon>, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        Ok(self.repositories.coupons().list(page).await?)
    }

    /// A coupon.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `NoCoupon`.
    pub async fn get(&mut self, id: CouponId) -> Result<Coupon, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        self.repositories.coupons().find(id).await?.ok_or(BillingError::NoCoupon)
    }

    /// Makes a coupon.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `Invalid`; `CouponExists`.
    pub async fn create(&mut self, input: CouponInput) -> Result<Coupon, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        let mut violations = Violations::default();
        let (bare, terms) = input.read(self.env.new_id(), self.env.now(), &mut violations);
        let made = self.with_terms(&bare, terms, violations).await?;
        self.repositories.coupons().insert(&made).await.map_err(|error| match error {
            StoreError::Conflict(_) => BillingError::CouponExists,
            error => BillingError::Store(error),
        })?;
        let event = Event::new(self.env, self.scope, &events::COUPON_CREATED, made.id.uuid());
        self.repositories.events().append(event.in_tenant(TenantId::PLATFORM).after(&made)).await?;
        Ok(made)
    }

    /// Replaces the terms of a coupon. The same as before changes nothing.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `Invalid`; `NoCoupon`; `CouponArchived`.
    pub async fn update(&mut self, id: CouponId, terms: CouponTerms) -> Result<Coupon, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        let before = self.repositories.coupons().lock(id).await?.ok_or(BillingError::NoCoupon)?;
        if before.archived_at.is_some() {
            return Err(BillingError::CouponArchived);
        }
        let after = self.with_terms(&before, terms, Violations::default()).await?;
        if after == before {
            return Ok(before);
        }
        let after = Coupon { updated_at: self.env.now(), ..after };
        self.repositories.coupons().update(&after).await?;
        let event = Event::new(self.env, self.scope, &events::COUPON_UPDATED, id.uuid());
        let event = event.in_tenant(TenantId::PLATFORM).before(&before).after(&after);
        self.repositories.events().append(event).await?;
        Ok(after)
    }

    /// Archives a coupon for good: no further order uses it. One that is archived already stays as it is.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `NoCoupon`.
    pub async fn archive(&mut self, id: CouponId) -> Result<(), BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        let before = self.repositories.coupons().lock(id).await?.ok_or(BillingError::NoCoupon)?;
        if before.archived_at.is_some() {
            return Ok(());
        }
        let now = self.env.now();
        let after = Coupon { archived_at: Some(now), updated_at: now, ..before.clone() };
        self.repositories.coupons().update(&after).await?;
        let event = Event::new(self.env, self.scope, &events::COUPON_ARCHIVED, id.uuid());
        let event = event.in_tenant(TenantId::PLATFORM).before(&before).after(&after);
        Ok(self.repositories.events().append(event).await?)
    }

    /// A coupon with these terms, if neither they break rules nor something did before.
    async fn with_terms(
        &mut self,
        coupon: &Coupon,
        terms: CouponTerms,
        mut violations: Violations,
    ) -> Result<Coupon, BillingError> {
        let named = terms.product_types.as_deref().unwrap_or_default();
        if named.len() > PRODUCTS_MAX {
            let message = RuleMessage::new(format!("Name at most {PRODUCTS_MAX} products."));
            violations.add("productTypes", "too_many", message.max(PRODUCTS_MAX));
        }
        // Not every text can be sent to a store.
        let plain = |id: &&String| id.len() <= PRODUCT_ID_MAX && !id.chars().any(char::is_control);
        let wanted: Vec<String> = named.iter().take(PRODUCTS_MAX).filter(plain).cloned().collect();
        let on_sale = self.repositories.products().active(&wanted).await?;
        let on_sale: Vec<String> = on_sale.into_iter().map(|product| product.id).collect();
        let named = terms.plans.as_deref().unwrap_or_default();
        if named.len() > PLANS_MAX {
            let message = RuleMessage::new(format!("Name at most {PLANS_MAX} plans."));
            violations.add("plans", "too_many", message.max(PLANS_MAX));
        }
        let known = match named {
            [] => Vec::new(),
            _ => self.repositories.plans().ids().await?,
        };
        let after = terms.apply(coupon, &on_sale, &known, &mut violations);
        violations.into_result().map_err(BillingError::Invalid)?;
        Ok(after)
    }
}

#[cfg(test)]
mod tests;
