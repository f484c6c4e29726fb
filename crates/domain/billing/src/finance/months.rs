//! The months of a financial report, put together from sums.

use std::collections::{BTreeMap, BTreeSet};

use portico_kernel::Month;

use super::{
    BookedSum, ChangeCount, FinanceLine, FinanceMonth, MovedMoney, PricedVersion, RecurringRevenue, SoldKind,
};
use crate::{
    paid::PriceReference,
    plan::{BillingInterval, PlanPrice},
    plan_discount::RecurringOff,
    subject::Subject,
};

/// What a price brings in each month.
struct Rate<'a> {
    plan: &'a str,
    currency: &'a str,
    monthly: i64,
}

/// What plans bring in, and how many pay for them, by currency and plan. Changes of a month come in any order, so that while they are
/// applied either may be below zero.
type Standing = BTreeMap<(String, String), (i64, i64)>;

/// Each month from the first to the last in each currency that is in any of them.
pub(super) fn of(
    from: Month,
    to: Month,
    booked: &[BookedSum],
    changes: &[ChangeCount],
    prices: &[PricedVersion],
) -> Vec<FinanceMonth> {
    let (mut standing, mut at_end) = (Standing::new(), Vec::new());
    let mut moves: BTreeMap<(Month, String), RecurringRevenue> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.month.is_none()) {
        apply(change, prices, &mut standing, &mut BTreeMap::new());
    }
    let opening = standing.clone();
    for month in from.through(to) {
        let mut of_month = BTreeMap::new();
        for change in changes.iter().filter(|change| change.month == Some(month)) {
            apply(change, prices, &mut standing, &mut of_month);
        }
        moves.extend(of_month.into_iter().map(|(currency, moved)| ((month, currency), moved)));
        at_end.push((month, standing.clone()));
    }
    let of_plans = opening.iter().filter(|(_, paid)| **paid != (0, 0)).map(|((currency, _), _)| currency);
    let moved = moves.keys().map(|(_, currency)| currency);
    let currencies: BTreeSet<String> =
        booked.iter().map(|sum| &sum.currency).chain(of_plans).chain(moved).cloned().collect();
    let mut before = opening;
    let mut items = Vec::new();
    for (month, standing) in at_end {
        for currency in &currencies {
            let moved = moves.get(&(month, currency.clone())).copied().unwrap_or_default();
            let recurring = recurring(moved, total(&before, currency), total(&standing, currency));
            let sums = booked.iter().filter(|sum| sum.month == month && sum.currency == *currency);
            items.push(of_month(month, currency, sums, &standing, recurring));
        }
        before = standing;
    }
    items
}

/// Applies a change to what plans bring in, and notes by currency what it is. A change to another currency is an end and a beginning.
fn apply(
    change: &ChangeCount,
    prices: &[PricedVersion],
    standing: &mut Standing,
    moves: &mut BTreeMap<String, RecurringRevenue>,
) {
    let rate =
        |price: &Option<PriceReference>, off| price.as_ref().and_then(|price| rate(price, off, prices));
    let (from, to) = (rate(&change.from, change.from_off), rate(&change.to, change.to_off));
    let count = change.count;
    let times = i64::try_from(count).unwrap_or(i64::MAX);
    if let Some(from) = &from {
        let (mrr, subscribers) =
            standing.entry((from.currency.to_owned(), from.plan.to_owned())).or_default();
        *mrr -= from.monthly * times;
        *subscribers -= times;
    }
    if let Some(to) = &to {
        let (mrr, subscribers) = standing.entry((to.currency.to_owned(), to.plan.to_owned())).or_default();
        *mrr += to.monthly * times;
        *subscribers += times;
    }
    if let (Some(from), Some(to)) = (&from, &to)
        && from.currency == to.currency
    {
        let moved = moves.entry(to.currency.to_owned()).or_default();
        let more = (to.monthly - from.monthly) * times;
        moved.expansion_mrr += more.max(0);
        moved.contraction_mrr += (-more).max(0);
        return;
    }
    if let Some(from) = from {
        let moved = moves.entry(from.currency.to_owned()).or_default();
        moved.churned_mrr += from.monthly * times;
        moved.churned_subscribers += count;
    }
    if let Some(to) = to {
        let moved = moves.entry(to.currency.to_owned()).or_default();
        moved.new_mrr += to.monthly * times;
        moved.new_subscribers += count;
    }
}

/// What a price brings in each month, less what is taken off: a twelfth of that of a year, rounded to the nearest minor unit. `None` for one
/// that is not stored.
fn rate<'a>(
    price: &PriceReference,
    off: Option<RecurringOff>,
    prices: &'a [PricedVersion],
) -> Option<Rate<'a>> {
    let version =
        prices.iter().find(|stored| (&stored.plan, stored.version) == (&price.plan, price.version))?;
    let PlanPrice { interval, amount, currency } =
        version.prices.iter().find(|stored| stored.interval == price.interval)?;
    let amount = amount - off.map_or(0, |off| off.off(*amount));
    let monthly = match interval {
        BillingInterval::Month => amount,
        BillingInterval::Year => (amount + 6) / 12,
    };
    Some(Rate { plan: &version.plan, currency, monthly })
}

/// What all plans of a currency bring in, and how many pay for them.
fn total(standing: &Standing, currency: &str) -> (i64, u64) {
    let of_currency = standing.iter().filter(|((code, _), _)| code == currency);
    let (mrr, subscribers) =
        of_currency.fold((0, 0), |(mrr, subscribers), (_, paid)| (mrr + paid.0, subscribers + paid.1));
    (mrr, number(subscribers))
}

/// After all changes of a month it is none or more.
fn number(subscribers: i64) -> u64 {
    u64::try_from(subscribers).unwrap_or_default()
}

fn recurring(moved: RecurringRevenue, opening: (i64, u64), end: (i64, u64)) -> RecurringRevenue {
    RecurringRevenue {
        opening_mrr: opening.0,
        mrr: end.0,
        opening_subscribers: opening.1,
        subscribers: end.1,
        customer_churn: part(moved.churned_subscribers, opening.1),
        ..moved
    }
}

/// A part of a whole with four decimals; `None` of nothing.
fn part(part: u64, whole: u64) -> Option<f64> {
    let ten_thousandths = (part.saturating_mul(10_000) + whole / 2).checked_div(whole)?;
    u32::try_from(ten_thousandths).ok().map(|part| f64::from(part) / 10_000.0)
}

fn of_month<'a>(
    month: Month,
    currency: &str,
    sums: impl Iterator<Item = &'a BookedSum>,
    standing: &Standing,
    recurring: RecurringRevenue,
) -> FinanceMonth {
    let mut all = MovedMoney::default();
    let mut lines: BTreeMap<Subject, FinanceLine> = BTreeMap::new();
    for sum in sums {
        all.add(sum.account, sum.amount);
        lines
            .entry(sum.subject.clone())
            .or_insert_with(|| line(&sum.subject))
            .moved
            .add(sum.account, sum.amount);
    }
    for ((_, plan), (mrr, subscribers)) in
        standing.iter().filter(|((code, _), paid)| code == currency && **paid != (0, 0))
    {
        let subject = Subject::Plan(plan.clone());
        let of_plan = lines.entry(subject.clone()).or_insert_with(|| line(&subject));
        (of_plan.mrr, of_plan.subscribers) = (*mrr, number(*subscribers));
    }
    FinanceMonth {
        month,
        currency: currency.to_owned(),
        moved: all,
        recurring,
        lines: lines.into_values().collect(),
    }
}

fn line(subject: &Subject) -> FinanceLine {
    let kind = match subject {
        Subject::Product(_) => SoldKind::Product,
        Subject::Plan(_) => SoldKind::Plan,
        Subject::Site => SoldKind::Site,
        Subject::Unknown => SoldKind::Unknown,
    };
    FinanceLine {
        kind,
        id: subject.id().map(str::to_owned),
        moved: MovedMoney::default(),
        mrr: 0,
        subscribers: 0,
    }
}
