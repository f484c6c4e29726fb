use portico_kernel::{RequestInfo, Scope};
use time::Duration;

use super::*;
use crate::{
    coupon_edit::{CouponAdministration, CouponInput},
    coupon_scope::{CouponDuration, CouponUse, share, taken_off},
    observation::{
        Observations,
        desk::{Desk, wish},
    },
    plan_change::{ChangePreview, PlanPreviews, PlanWish},
    plan_discount::RecurringOff,
    subscription_provider::SubscriptionProvider,
    tenant_subscription::TenantSubscription,
};

/// A coupon for plans, `SUMMER`, with these members.
async fn with_coupon(desk: &mut Desk, input: CouponInput) {
    let staff = Scope::system(None, RequestInfo::default());
    let input = CouponInput {
        code: "summer".to_owned(),
        applies_to: Some(vec![CouponUse::Plans]),
        duration: input.duration.or(Some(CouponDuration::Once)),
        percent: input.percent.or(input.amount.is_none().then_some(25)),
        ..input
    };
    CouponAdministration::new(&mut desk.rows, &staff, &desk.env).create(input).await.unwrap();
}

fn with(plan: &str, code: &str) -> PlanWish {
    PlanWish { coupon_code: Some(code.to_owned()), ..wish(plan) }
}

async fn preview(desk: &mut Desk, wish: &PlanWish) -> Result<ChangePreview, String> {
    let now = desk.env.now();
    let assessment = PlanPreviews::new(&mut desk.rows, &desk.scope).assess(wish, now).await;
    Ok(assessment.map_err(|error| refusal(&error))?.preview(now))
}

fn refusal(error: &BillingError) -> String {
    match error {
        BillingError::Invalid(errors) => format!("{} {}", errors[0].field, errors[0].code),
        error => panic!("{error}"),
    }
}

fn used(desk: &Desk) -> (u64, usize) {
    let rows = desk.rows.kept.shop.rows();
    (rows.coupons[0].redemptions, rows.plan_redemptions.len())
}

/// What was to be paid by each invoice, the newest first, whose lines sum to it.
fn invoiced(desk: &Desk) -> Vec<i64> {
    let invoices = desk.provider.invoices_of(&desk.customer());
    for invoice in &invoices {
        let sum: i64 = invoice.lines.iter().map(|line| line.amount).sum();
        assert_eq!(sum.max(0), invoice.amount_due, "{invoice:?}");
    }
    invoices.into_iter().map(|invoice| invoice.amount_due).collect()
}

/// The plan, bought with the coupon on the page for it.
async fn bought(desk: &mut Desk, plan: &str) -> TenantSubscription {
    let page = desk.upgrade(&with(plan, " Summer ")).await.unwrap().page();
    desk.provider.finish_page(&page.session_id, true);
    desk.sync().await;
    desk.shown().await
}

#[tokio::test]
async fn a_first_payment_costs_less_and_the_next_one_does_not() {
    let mut desk = Desk::new(0);
    with_coupon(&mut desk, CouponInput { max_redemptions_per_tenant: Some(1), ..CouponInput::default() })
        .await;
    let shown = preview(&mut desk, &with("starter", "summer")).await.unwrap();
    let lines: Vec<_> = shown.lines.iter().map(|line| (line.description.as_str(), line.amount)).collect();
    assert_eq!((lines, shown.amount_due), (vec![("Starter", 1200), ("SUMMER", -300)], 900));
    assert_eq!(used(&desk), (0, 0), "a preview uses nothing");

    // The page is shown again for the same, and its use is not counted twice.
    let first = desk.upgrade(&with("starter", "summer")).await.unwrap().page();
    assert_eq!(desk.upgrade(&with("starter", "SUMMER")).await.unwrap().page(), first);
    assert_eq!(preview(&mut desk, &with("starter", "summer")).await.unwrap().amount_due, 900);
    assert_eq!(used(&desk), (1, 1));
    let shown = bought(&mut desk, "starter").await;
    assert_eq!((shown.plan.as_str(), shown.discount), ("starter", None), "used up by the first invoice");
    assert_eq!((invoiced(&desk), used(&desk)), (vec![900], (1, 1)));
    desk.advance(Duration::days(31));
    desk.look_after().await;
    assert_eq!(invoiced(&desk), [1200, 900]);

    // Who ends it and begins again does not get it again.
    desk.cancel(true).await.unwrap();
    let again = desk.upgrade(&with("starter", "summer")).await.unwrap_err();
    assert_eq!(refusal(&again), "couponCode coupon_used_up");
    assert_eq!(used(&desk), (1, 1));
}

#[tokio::test]
async fn a_discount_lasts_as_long_as_the_coupon_said_when_it_was_used() {
    let mut desk = Desk::new(0);
    let two_months = CouponInput {
        duration: Some(CouponDuration::Repeating),
        duration_in_months: Some(2),
        ..CouponInput::default()
    };
    with_coupon(&mut desk, two_months).await;
    let begun = desk.env.now();
    let discount = bought(&mut desk, "professional").await.discount.unwrap();
    assert_eq!((discount.code.as_str(), discount.percent_off, discount.once), ("SUMMER", Some(25), false));
    assert!(discount.ends_at.unwrap() > begun + Duration::days(58));
    let staff = Scope::system(None, RequestInfo::default());
    let coupon = desk.rows.kept.shop.rows().coupons[0].id;
    CouponAdministration::new(&mut desk.rows, &staff, &desk.env).archive(coupon).await.unwrap();

    // A plan that costs less follows, and the discount goes on.
    let planned = desk.downgrade("starter").await.unwrap();
    assert_eq!(planned.discount.as_ref(), Some(&discount));
    desk.advance(Duration::days(31));
    desk.look_after().await;
    assert_eq!(desk.shown().await.discount, Some(discount));
    desk.advance(Duration::days(31));
    desk.look_after().await;
    let shown = desk.shown().await;
    assert_eq!((shown.plan.as_str(), shown.discount), ("starter", None));
    assert_eq!(invoiced(&desk), [1200, 900, 2175]);
    let booked: i64 = {
        let rows = desk.rows.kept.shop.rows();
        rows.booked.iter().map(|(_, booked)| booked.entries()[0].amount).sum()
    };
    assert_eq!(booked, 1200 + 900 + 2175, "what was really charged");
    let changes: Vec<_> =
        desk.rows.kept.shop.rows().changes.iter().map(|change| (change.from_off, change.to_off)).collect();
    let percent = Some(RecurringOff::Percent(25));
    assert_eq!(changes, [(None, percent), (percent, percent), (percent, None)]);
}

#[tokio::test]
async fn a_change_with_a_coupon_costs_what_the_provider_quotes() {
    let mut desk = Desk::paying("starter").await;
    with_coupon(&mut desk, CouponInput { duration: Some(CouponDuration::Forever), ..CouponInput::default() })
        .await;
    desk.advance(Duration::days(10));
    let shown = desk.upgrade(&with("professional", "summer")).await.unwrap().shown();
    assert_eq!(
        shown.discount.map(|discount| (discount.percent_off, discount.ends_at)),
        Some((Some(25), None))
    );
    let now = desk.provider.subscription(&desk.customer()).await.unwrap().unwrap();
    let (whole, left) = (now.period_end - now.period_start, now.period_end - desk.env.now());
    let part = |amount: i64| {
        let (whole, left) = (whole.whole_seconds(), left.whole_seconds());
        (amount * left + whole / 2) / whole
    };
    let debit = part(2900);
    assert_eq!(invoiced(&desk), [debit - share(debit, 25, 100) - part(1200), 1200]);
    assert_eq!(used(&desk), (1, 1));
}

#[tokio::test]
async fn what_comes_to_nothing_gives_its_coupon_back() {
    let mut desk = Desk::new(0);
    with_coupon(&mut desk, CouponInput { max_redemptions: Some(1), ..CouponInput::default() }).await;
    desk.upgrade(&with("starter", "summer")).await.unwrap().page();
    assert_eq!(used(&desk), (1, 1));
    // Another page takes its place, with the same use.
    let other = desk.upgrade(&with("professional", "summer")).await.unwrap().page();
    assert_eq!(used(&desk), (1, 1));
    let without = desk.upgrade(&wish("professional")).await.unwrap().page();
    assert_ne!(other, without, "one without the coupon costs more");
    assert_eq!(used(&desk), (0, 0));
    desk.provider.finish_page(&without.session_id, true);
    desk.sync().await;

    desk.provider.set_declining(Some("expired_card"));
    let declined = desk.upgrade(&with("enterprise", "summer")).await.unwrap_err();
    assert!(matches!(declined, BillingError::Payment(_)), "{declined}");
    assert_eq!(used(&desk), (0, 0));
    desk.provider.set_declining(None);
    desk.upgrade(&with("enterprise", "summer")).await.unwrap().shown();
    assert_eq!(used(&desk), (1, 1));
}

#[tokio::test]
async fn a_page_of_play_money_gives_its_coupon_back_once_real_money_is_moved() {
    let mut desk = Desk::new(0);
    with_coupon(&mut desk, CouponInput { max_redemptions: Some(1), ..CouponInput::default() }).await;
    desk.upgrade(&with("starter", "summer")).await.unwrap().page();
    assert_eq!(used(&desk), (1, 1));
    Observations::new(&mut desk.rows, &desk.scope, &desk.env).go_live(desk.tenant).await.unwrap();
    assert_eq!(used(&desk), (0, 0));
}

#[tokio::test]
async fn codes_that_cannot_be_used_are_refused_as_with_purchases() {
    let mut desk = Desk::new(14);
    let off = CouponInput {
        amount: Some(500),
        currency: Some("usd".to_owned()),
        valid_until: Some(desk.env.now() + Duration::DAY),
        ..CouponInput::default()
    };
    with_coupon(&mut desk, off).await;
    desk.rows.kept.shop.rows().coupons[0].plans = vec!["starter".to_owned()];
    // With a coupon there is no trial.
    assert_eq!(preview(&mut desk, &wish("starter")).await.unwrap().amount_due, 0);
    assert_eq!(preview(&mut desk, &with("starter", "summer")).await.unwrap().amount_due, 700);
    for (plan, code, expected) in [
        ("starter", "winter", "unknown_coupon"),
        ("starter", "año", "unknown_coupon"),
        ("professional", "summer", "coupon_not_applicable"),
    ] {
        let refused = preview(&mut desk, &with(plan, code)).await.unwrap_err();
        assert_eq!(refused, format!("couponCode {expected}"), "{plan} {code}");
    }
    assert_eq!(preview(&mut desk, &with("starter", " ")).await.unwrap().amount_due, 0, "none is named");
    desk.rows.kept.shop.rows().coupons[0].currency = Some("eur".to_owned());
    let refused = preview(&mut desk, &with("starter", "summer")).await.unwrap_err();
    assert_eq!(refused, "couponCode coupon_not_applicable", "of another currency");
    {
        let mut rows = desk.rows.kept.shop.rows();
        (rows.coupons[0].currency, rows.coupons[0].duration) = (Some("usd".to_owned()), None);
    }
    let refused = preview(&mut desk, &with("starter", "summer")).await.unwrap_err();
    assert_eq!(refused, "couponCode coupon_not_applicable", "for purchases only");
    desk.rows.kept.shop.rows().coupons[0].duration = Some(CouponDuration::Once);

    // Nothing is charged for a change during a trial, or for one to a plan that costs less.
    let page = desk.upgrade(&wish("starter")).await.unwrap().page();
    desk.provider.finish_page(&page.session_id, true);
    desk.sync().await;
    desk.rows.kept.shop.rows().coupons[0].plans = Vec::new();
    for plan in ["professional", "free"] {
        let refused = preview(&mut desk, &with(plan, "summer")).await.unwrap_err();
        assert_eq!(refused, "couponCode coupon_not_applicable", "{plan}");
    }
    desk.advance(Duration::days(15));
    desk.look_after().await;
    let late = preview(&mut desk, &with("professional", "summer")).await.unwrap_err();
    assert_eq!(late, "couponCode coupon_expired");
    assert_eq!(used(&desk), (0, 0));
}

#[test]
fn no_more_is_taken_off_than_there_is() {
    assert_eq!((taken_off(Some(25), None, 1199), taken_off(Some(100), None, 7)), (300, 7));
    assert_eq!((taken_off(None, Some(500), 1200), taken_off(None, Some(500), 300)), (500, 300));
    for duration in CouponDuration::ALL {
        assert_eq!(CouponDuration::parse(duration.as_str()), Some(duration));
    }
}

#[tokio::test]
async fn two_coupons_are_locked_in_the_order_of_their_ids() {
    for (first, second) in [("early", "late"), ("late", "early")] {
        let mut desk = Desk::new(0);
        let staff = Scope::system(None, RequestInfo::default());
        for code in ["early", "late"] {
            let input = CouponInput {
                code: code.to_owned(),
                applies_to: Some(vec![CouponUse::Plans]),
                duration: Some(CouponDuration::Once),
                percent: Some(25),
                ..CouponInput::default()
            };
            CouponAdministration::new(&mut desk.rows, &staff, &desk.env).create(input).await.unwrap();
        }
        let mut ids: Vec<_> = desk.rows.kept.shop.rows().coupons.iter().map(|coupon| coupon.id).collect();
        ids.sort_unstable();
        desk.upgrade(&with("starter", first)).await.unwrap().page();
        desk.rows.kept.shop.rows().locked_coupons.clear();
        desk.upgrade(&with("starter", second)).await.unwrap().page();
        let locked = desk.rows.kept.shop.rows().locked_coupons.clone();
        assert_eq!(locked[..2].to_vec(), ids, "{first} before {second}");
    }
}

#[tokio::test]
async fn who_has_begun_with_a_coupon_tries_nothing_later() {
    let mut desk = Desk::new(14);
    with_coupon(&mut desk, CouponInput::default()).await;
    let page = desk.upgrade(&with("starter", "summer")).await.unwrap().page();
    // A page that nobody has paid on is no beginning.
    desk.sync().await;
    assert!(!desk.account().had_trial);
    assert_eq!(
        preview(&mut desk, &wish("starter")).await.unwrap().amount_due,
        0,
        "a trial without the coupon"
    );
    desk.provider.finish_page(&page.session_id, true);
    desk.sync().await;
    assert_eq!(desk.shown().await.trial_ends_at, None);
    desk.cancel(true).await.unwrap();
    assert_eq!(preview(&mut desk, &wish("starter")).await.unwrap().amount_due, 1200);
    let again = desk.upgrade(&wish("starter")).await.unwrap().shown();
    assert_eq!((again.plan.as_str(), again.trial_ends_at), ("starter", None));
    assert_eq!(desk.rows.kept.shop.rows().calls.last().unwrap().trial_days, 0);
}
