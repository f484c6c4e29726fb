//! The financial report: what was sold, given back, kept and earned in each month, and what plans bring in each month from then on.
//!
//! What moved is summed from the ledger and from nothing else; what recurs is summed from [changes](crate::recurring) of what is paid for.
//! The words are defined in `docs/staff.md`.

mod months;

use portico_kernel::{Env, FieldError, Month, Permission, RuleMessage, Scope};
use serde::Serialize;

use crate::{
    BillingError, ledger::Account, money::Currency, paid::PriceReference, plan::PlanPrice,
    plan_discount::RecurringOff, ports::BillingRepositories, subject::Subject,
};

/// Most months of one report.
pub const MONTHS_MAX: i32 = 60;

/// Months where none are named.
const MONTHS: i32 = 12;

/// A sum of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedSum {
    /// The month of the booking.
    pub month: Month,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// The account.
    pub account: Account,
    /// What it is about.
    pub subject: Subject,
    /// Minor units; positive is debit, negative is credit.
    pub amount: i64,
}

/// How often one price was followed by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeCount {
    /// The month; `None` for all those before the report.
    pub month: Option<Month>,
    /// What was paid for; `None` for nothing.
    pub from: Option<PriceReference>,
    /// What is paid for since; `None` for nothing.
    pub to: Option<PriceReference>,
    /// What a discount took off each payment.
    pub from_off: Option<RecurringOff>,
    /// What one takes off since.
    pub to_off: Option<RecurringOff>,
    /// How often.
    pub count: u64,
}

/// What one version of a plan costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedVersion {
    /// Id of the plan.
    pub plan: String,
    /// Its version.
    pub version: i32,
    /// What it costs.
    pub prices: Vec<PlanPrice>,
}

/// Money that moved, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MovedMoney {
    /// What buyers have paid.
    #[cfg_attr(feature = "openapi", schema(example = 107_700))]
    pub gross: i64,
    /// What was given back, less what did not reach the buyer.
    #[cfg_attr(feature = "openapi", schema(example = 35900))]
    pub refunds: i64,
    /// What banks have taken back of payments for products and plans, less what was decided for us since. Below zero where more was decided for us
    /// than taken back.
    pub disputes: i64,
    /// What payment providers have kept of payments for products and plans.
    #[cfg_attr(feature = "openapi", schema(example = 3213))]
    pub fees: i64,
    /// `gross` less `refunds`, `disputes` and `fees`: by how much the balance at the providers has grown, fees and disputes of
    /// sites left aside, which are not known here.
    #[cfg_attr(feature = "openapi", schema(example = 68587))]
    pub net: i64,
}

impl MovedMoney {
    /// Adds what an account was debited with.
    fn add(&mut self, account: Account, amount: i64) {
        match account {
            // The other side of all the rest.
            Account::Balance(_) => return,
            Account::PurchaseRevenue | Account::SubscriptionRevenue => self.gross -= amount,
            Account::Refunds => self.refunds += amount,
            Account::Disputes => self.disputes += amount,
            Account::Fees => self.fees += amount,
        }
        self.net -= amount;
    }
}

/// What plans bring in each month, in minor units, and who pays for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecurringRevenue {
    /// At the beginning of the month.
    pub opening_mrr: i64,
    /// Of those who began to pay in the month.
    pub new_mrr: i64,
    /// By which those pay more who have changed to a dearer price, or whose discount has ended.
    pub expansion_mrr: i64,
    /// By which those pay less who have changed to a cheaper price, or got a discount.
    pub contraction_mrr: i64,
    /// Of those who have stopped paying in the month.
    pub churned_mrr: i64,
    /// At the end of the month: the opening, what is new and the expansion, less contraction and churn.
    pub mrr: i64,
    /// Who paid at the beginning of the month.
    pub opening_subscribers: u64,
    /// Who began to pay.
    pub new_subscribers: u64,
    /// Who has stopped.
    pub churned_subscribers: u64,
    /// Who pays at the end of the month.
    pub subscribers: u64,
    /// Which part of those who paid at the beginning has stopped, 0 to 1 with four decimals; null where nobody paid. More than 1 where
    /// many have begun and stopped within the month.
    #[cfg_attr(feature = "openapi", schema(example = 0.025))]
    pub customer_churn: Option<f64>,
}

/// What something that is sold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SoldKind {
    /// A product that is paid once.
    Product,
    /// A plan.
    Plan,
    /// Finished sites.
    Site,
    /// It is not known.
    Unknown,
}

impl SoldKind {
    /// Name in JSON and CSV.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Plan => "plan",
            Self::Site => "site",
            Self::Unknown => "unknown",
        }
    }
}

/// What one thing that is sold has to do with the sums of a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinanceLine {
    /// What it is.
    pub kind: SoldKind,
    /// `productType` of a product, id of a plan; null otherwise.
    #[cfg_attr(feature = "openapi", schema(example = "base_product"))]
    pub id: Option<String>,
    /// What moved because of it. The lines of a month sum to the month.
    #[serde(flatten)]
    pub moved: MovedMoney,
    /// What it brings in each month, at the end of the month; 0 but for plans.
    pub mrr: i64,
    /// Who pays for it at the end of the month; 0 but for plans.
    pub subscribers: u64,
}

/// A month in one currency.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinanceMonth {
    /// The month, in UTC.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2026-11"))]
    pub month: Month,
    /// Lower-case ISO 4217.
    #[cfg_attr(feature = "openapi", schema(example = "usd"))]
    pub currency: String,
    /// What moved.
    #[serde(flatten)]
    pub moved: MovedMoney,
    /// What recurs.
    pub recurring: RecurringRevenue,
    /// The same by what was sold: products, then plans.
    pub lines: Vec<FinanceLine>,
}

/// The financial report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinanceReport {
    /// The first month.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2026-01"))]
    pub from: Month,
    /// The last month.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2026-12"))]
    pub to: Month,
    /// Whether it is about real money. While the server moves play money it is about that, and once it moves real money about nothing else.
    pub live: bool,
    /// Each month in each currency in which anything moved or recurred, the oldest first. The running month is as it is now.
    pub items: Vec<FinanceMonth>,
}

/// Use cases around the finances of the operator.
pub struct Finances<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Finances<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The report of the months from the first to the last, twelve up to now where none are named; in one currency or in all. Months
    /// that have not begun are left out. `live`: whether it is about real money, and not about play money.
    ///
    /// # Errors
    /// `Denied` without `platform:finance`; `Invalid` for more than [`MONTHS_MAX`] months, where the last one is before the first one,
    /// and for a currency in which nothing can be sold.
    pub async fn report(
        &mut self,
        live: bool,
        from: Option<Month>,
        to: Option<Month>,
        currency: Option<&str>,
    ) -> Result<FinanceReport, BillingError> {
        self.scope.require_platform(Permission::PlatformFinance)?;
        let now = Month::of(self.env.now());
        let (from, to) = range(from, to, now)?;
        if currency.is_some_and(|code| Currency::parse(code).is_none()) {
            let error =
                FieldError::new("currency", "invalid_value", "Use a lower-case ISO 4217 code, as usd.");
            return Err(BillingError::Invalid(vec![error]));
        }
        let last = to.min(now);
        if last < from {
            return Ok(FinanceReport { from, to, live, items: Vec::new() });
        }
        let mut finance = self.repositories.finance();
        let booked = finance.booked(live, from, last).await?;
        let changes = finance.changes(live, from, last).await?;
        let prices = finance.prices().await?;
        let mut items = months::of(from, last, &booked, &changes, &prices);
        items.retain(|item| currency.is_none_or(|code| item.currency == code));
        Ok(FinanceReport { from, to, live, items })
    }
}

fn range(from: Option<Month>, to: Option<Month>, now: Month) -> Result<(Month, Month), BillingError> {
    let invalid = |code: &'static str, message: RuleMessage| {
        Err(BillingError::Invalid(vec![FieldError::new("to", code, message)]))
    };
    let to = to.unwrap_or_else(|| from.map_or(now, |from| now.max(from).min(from.plus(MONTHS_MAX - 1))));
    let from = from.unwrap_or_else(|| to.plus(1 - MONTHS));
    if to < from {
        return invalid("before_from", "The last month is before the first one.".into());
    }
    if to.since(from) >= MONTHS_MAX {
        let message = RuleMessage::new(format!("Ask for {MONTHS_MAX} months at most.")).max(MONTHS_MAX);
        return invalid("out_of_range", message);
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests;
