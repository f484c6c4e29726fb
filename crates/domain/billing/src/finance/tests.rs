use portico_kernel::{Actor, Money, Permissions, PlatformRole, RequestInfo, TenantId, Timestamp};
use time::Duration;

use super::*;
use crate::{
    ledger::{LedgerTransaction, SourceKind},
    payment::Provider,
    plan::BillingInterval,
    recurring::RecurringChange,
    testing::{Repositories, env},
};

fn staff() -> Scope {
    let actor = Actor::User {
        id: env().new_id(),
        session: env().new_id(),
        email_verified: true,
        role: PlatformRole::Staff,
        impersonator: None,
    };
    let permissions = Permissions::from_list(&[Permission::PlatformFinance]);
    Scope::user(actor, None, permissions, RequestInfo::default())
}

fn book(
    repositories: &Repositories,
    kind: SourceKind,
    amount: i64,
    currency: &str,
    at: Timestamp,
    subject: &Subject,
) {
    let mut rows = repositories.shop.rows();
    let (id, money) = (rows.booked.len().to_string(), Money { amount, currency: currency.to_owned() });
    let moved = LedgerTransaction::moved(Provider::Stripe, false, kind, &id, &money, at).unwrap();
    rows.booked.push((TenantId::PLATFORM, moved.about(&[(subject.clone(), 1)])));
}

fn change(repositories: &Repositories, from: Option<&str>, to: Option<&str>, changed_at: Timestamp) {
    let price = |text: Option<&str>| text.map(|text| PriceReference::parse(text).unwrap());
    let change = RecurringChange {
        tenant_id: TenantId::PLATFORM,
        live: false,
        revision: 1,
        from: price(from),
        to: price(to),
        from_off: None,
        to_off: None,
        changed_at,
    };
    repositories.shop.rows().changes.push(change);
}

fn priced(repositories: &Repositories, plan: &str, currency: &str, month: i64, year: i64) {
    let price = |interval, amount| PlanPrice { interval, amount, currency: currency.to_owned() };
    let prices = vec![price(BillingInterval::Month, month), price(BillingInterval::Year, year)];
    let version = PricedVersion { plan: plan.to_owned(), version: 1, prices };
    repositories.shop.rows().plan_prices.push(version);
}

async fn report(
    repositories: &mut Repositories,
    from: Option<&str>,
    to: Option<&str>,
    currency: Option<&str>,
) -> Result<FinanceReport, BillingError> {
    let month = |text: Option<&str>| text.map(|text| Month::parse(text).unwrap());
    Finances::new(repositories, &staff(), &env()).report(false, month(from), month(to), currency).await
}

#[tokio::test]
async fn the_lines_of_a_month_sum_to_the_month_and_net_is_what_the_balance_grew_by() {
    let mut repositories = Repositories::default();
    let now = env().now();
    let (base, pro) = (Subject::Product("base_product".to_owned()), Subject::Plan("pro".to_owned()));
    for (kind, amount, subject) in [
        (SourceKind::Payment, 35900, &base),
        (SourceKind::Payment, 80000, &Subject::Site),
        (SourceKind::Invoice, 1200, &pro),
        (SourceKind::Fee, 1071, &base),
        (SourceKind::Refund, 5000, &base),
        (SourceKind::RefundFailed, 2000, &base),
        (SourceKind::InvoiceRefund, 300, &pro),
        (SourceKind::Dispute, 35900, &base),
        (SourceKind::DisputeFee, 1500, &base),
        (SourceKind::DisputeWon, 35900, &base),
    ] {
        book(&repositories, kind, amount, "usd", now, subject);
    }
    book(&repositories, SourceKind::Payment, 700, "gtq", now, &Subject::Unknown);
    book(&repositories, SourceKind::Payment, 9, "usd", now - Duration::days(400), &base);
    let month = Month::of(now).to_string();
    let found = report(&mut repositories, Some(&month), None, None).await.unwrap();
    let [gtq, usd] = &found.items[..] else { panic!("{found:?}") };
    assert_eq!((gtq.currency.as_str(), gtq.moved.gross, gtq.moved.net), ("gtq", 700, 700));
    assert_eq!((gtq.lines[0].kind, &gtq.lines[0].id), (SoldKind::Unknown, &None));
    let moved = MovedMoney { gross: 117_100, refunds: 3300, disputes: 0, fees: 2571, net: 111_229 };
    assert_eq!((usd.currency.as_str(), usd.moved), ("usd", moved));
    let sum = |of: fn(&MovedMoney) -> i64| usd.lines.iter().map(|line| of(&line.moved)).sum::<i64>();
    assert_eq!((sum(|moved| moved.gross), sum(|moved| moved.net)), (moved.gross, moved.net));
    let balance: i64 = {
        let rows = repositories.shop.rows();
        let booked = rows.booked.iter().map(|(_, booked)| booked);
        let in_month = booked.filter(|booked| booked.booked_at() == now && booked.currency() == "usd");
        in_month.map(|booked| booked.entries()[0].amount).sum()
    };
    assert_eq!(usd.moved.net, balance);
    let kinds: Vec<_> = usd.lines.iter().map(|line| (line.kind, line.id.as_deref())).collect();
    let expected =
        [(SoldKind::Product, Some("base_product")), (SoldKind::Plan, Some("pro")), (SoldKind::Site, None)];
    assert_eq!(kinds, expected);
    let one = report(&mut repositories, Some(&month), None, Some("gtq")).await.unwrap();
    assert_eq!(one.items, std::slice::from_ref(gtq));
}

#[tokio::test]
async fn what_recurs_is_carried_from_month_to_month() {
    let mut repositories = Repositories::default();
    priced(&repositories, "starter", "usd", 1200, 12_000);
    priced(&repositories, "pro", "usd", 3000, 30_001);
    priced(&repositories, "local", "gtq", 900, 9000);
    let this = Month::of(env().now());
    let at = |ago: i32| this.plus(-ago).starts_at() + Duration::days(3);
    // Two before the report, one of them a year.
    change(&repositories, None, Some("starter-1-month"), at(5));
    change(&repositories, None, Some("starter-1-year"), at(4));
    change(&repositories, Some("starter-1-month"), Some("pro-1-month"), at(2));
    change(&repositories, None, Some("pro-1-year"), at(2));
    change(&repositories, Some("pro-1-year"), Some("starter-1-month"), at(1));
    change(&repositories, Some("starter-1-year"), None, at(1));
    change(&repositories, Some("pro-1-month"), Some("local-1-month"), at(0));
    change(&repositories, None, Some("gone-1-month"), at(0));
    let from = this.plus(-2).to_string();
    let found = report(&mut repositories, Some(&from), None, None).await.unwrap();
    assert_eq!(found.items.len(), 6, "three months in two currencies");
    let of = |ago: i32, currency: &str| {
        let month = this.plus(-ago);
        let item = found.items.iter().find(|item| item.month == month && item.currency == currency);
        item.unwrap()
    };
    let none = RecurringRevenue::default();
    let first = RecurringRevenue {
        opening_mrr: 2200,
        new_mrr: 2500,
        expansion_mrr: 1800,
        mrr: 6500,
        opening_subscribers: 2,
        new_subscribers: 1,
        subscribers: 3,
        customer_churn: Some(0.0),
        ..none
    };
    assert_eq!(of(2, "usd").recurring, first);
    let second = RecurringRevenue {
        opening_mrr: 6500,
        contraction_mrr: 1300,
        churned_mrr: 1000,
        mrr: 4200,
        opening_subscribers: 3,
        churned_subscribers: 1,
        subscribers: 2,
        customer_churn: Some(0.3333),
        ..none
    };
    assert_eq!(of(1, "usd").recurring, second);
    let plans: Vec<_> = of(1, "usd")
        .lines
        .iter()
        .map(|line| (line.id.as_deref().unwrap(), line.mrr, line.subscribers))
        .collect();
    assert_eq!(plans, [("pro", 3000, 1), ("starter", 1200, 1)]);
    let (left, come) = (of(0, "usd").recurring, of(0, "gtq").recurring);
    assert_eq!((left.churned_mrr, left.mrr, left.customer_churn), (3000, 1200, Some(0.5)));
    assert_eq!((come.new_mrr, come.mrr, come.customer_churn), (900, 900, None));
    for item in &found.items {
        let moved = item.recurring;
        let end = moved.opening_mrr + moved.new_mrr + moved.expansion_mrr
            - moved.contraction_mrr
            - moved.churned_mrr;
        assert_eq!((end, item.lines.iter().map(|line| line.mrr).sum::<i64>()), (moved.mrr, moved.mrr));
    }
}

#[tokio::test]
async fn a_discount_that_runs_is_taken_off_what_recurs() {
    let mut repositories = Repositories::default();
    priced(&repositories, "starter", "usd", 1200, 12_000);
    let this = Month::of(env().now());
    let quarter = Some(RecurringOff::Percent(25));
    for (ago, from, to, from_off, to_off) in [
        (2, None, Some("starter-1-month"), None, quarter),
        (1, Some("starter-1-month"), Some("starter-1-month"), quarter, None),
        (0, Some("starter-1-month"), Some("starter-1-year"), None, Some(RecurringOff::Amount(6000))),
    ] {
        change(&repositories, from, to, this.plus(-ago).starts_at());
        let mut rows = repositories.shop.rows();
        let last = rows.changes.last_mut().unwrap();
        (last.from_off, last.to_off) = (from_off, to_off);
    }
    let from = this.plus(-2).to_string();
    let found = report(&mut repositories, Some(&from), None, None).await.unwrap();
    let moved: Vec<_> = found
        .items
        .iter()
        .map(|item| item.recurring)
        .map(|of| (of.new_mrr, of.expansion_mrr, of.contraction_mrr, of.mrr, of.subscribers))
        .collect();
    assert_eq!(moved, [(900, 0, 0, 900, 1), (0, 300, 0, 1200, 1), (0, 0, 700, 500, 1)]);
}

#[tokio::test]
async fn subscribers_are_the_same_in_whichever_order_changes_come() {
    let mut repositories = Repositories::default();
    priced(&repositories, "starter", "usd", 1200, 12_000);
    let this = Month::of(env().now());
    // The store sums the changes of a month, and those before the report, and has no order: here each end comes before its beginning.
    for month in [this.plus(-2), this] {
        change(&repositories, Some("starter-1-month"), None, month.starts_at());
        for _ in 0..3 {
            change(&repositories, None, Some("starter-1-month"), month.starts_at());
        }
    }
    let now = this.to_string();
    let found = report(&mut repositories, Some(&now), None, None).await.unwrap();
    let [month] = &found.items[..] else { panic!("{found:?}") };
    let recurring = month.recurring;
    assert_eq!((recurring.opening_subscribers, recurring.opening_mrr), (2, 2400));
    assert_eq!((recurring.new_subscribers, recurring.churned_subscribers), (3, 1));
    assert_eq!((recurring.subscribers, recurring.mrr), (4, 4800));
    assert_eq!((month.lines[0].subscribers, month.lines[0].mrr), (4, 4800));
}

#[tokio::test]
async fn months_and_currencies_are_checked() {
    let mut repositories = Repositories::default();
    let this = Month::of(env().now());
    let found = report(&mut repositories, None, None, None).await.unwrap();
    assert_eq!((found.from, found.to, found.items.len()), (this.plus(-11), this, 0));
    let found = report(&mut repositories, Some("1990-01"), None, None).await.unwrap();
    assert_eq!(found.to.since(found.from), MONTHS_MAX - 1);
    let later = this.plus(3).to_string();
    let found = report(&mut repositories, Some(&later), None, None).await.unwrap();
    assert_eq!(
        (found.from, found.to),
        (this.plus(3), this.plus(3)),
        "nothing is known of it, and that is no mistake"
    );
    for (from, to, currency, field, code) in [
        (Some("2026-02"), Some("2026-01"), None, "to", "before_from"),
        (Some("2020-01"), Some("2025-01"), None, "to", "out_of_range"),
        (None, None, Some("USD"), "currency", "invalid_value"),
    ] {
        let refused = report(&mut repositories, from, to, currency).await;
        let Err(BillingError::Invalid(errors)) = refused else { panic!("{refused:?}") };
        assert_eq!((errors[0].field.as_str(), errors[0].code.as_ref()), (field, code));
    }
    let nobody = Scope::anonymous(RequestInfo::default());
    let denied = Finances::new(&mut repositories, &nobody, &env()).report(false, None, None, None).await;
    assert!(matches!(denied, Err(BillingError::Denied(_))));
}

#[tokio::test]
async fn a_report_is_about_one_mode() {
    let mut repositories = Repositories::default();
    let (now, base) = (env().now(), Subject::Product("base_product".to_owned()));
    book(&repositories, SourceKind::Payment, 500, "usd", now, &base);
    let money = Money { amount: 35900, currency: "usd".to_owned() };
    let real = LedgerTransaction::moved(Provider::Stripe, true, SourceKind::Payment, "pi_live", &money, now);
    repositories.shop.rows().booked.push((TenantId::PLATFORM, real.unwrap().about(&[(base, 1)])));
    priced(&repositories, "pro", "usd", 4900, 49000);
    change(&repositories, None, Some("pro-1-month"), now);
    for (live, gross, mrr) in [(true, 35900, 0), (false, 500, 4900)] {
        let (scope, env) = (staff(), env());
        let mut finances = Finances::new(&mut repositories, &scope, &env);
        let report = finances.report(live, Some(Month::of(now)), None, None).await.unwrap();
        assert_eq!(report.live, live);
        let [month] = &report.items[..] else { panic!("{report:?}") };
        assert_eq!((month.moved.gross, month.recurring.mrr), (gross, mrr), "{live}");
    }
}
