use portico_kernel::{Env, RequestInfo, Scope};
use proptest::prelude::*;

use super::*;
use crate::{
    ledger_check::check_ledger,
    payment::{CheckoutState, Provider, RefundState},
    purchase::PurchaseStatus,
    testing::{Repositories, env, purchase},
};

fn usd(amount: i64) -> Money {
    Money { amount, currency: "usd".to_owned() }
}

fn refund(id: &str, amount: i64, state: RefundState) -> Refund {
    Refund { id: id.to_owned(), amount: usd(amount), state, reference: None }
}

fn dispute(status: DisputeStatus) -> Dispute {
    Dispute { id: "dp_1".to_owned(), amount: usd(35900), status, answer_by: None, fee: Some(usd(1500)) }
}

/// A payment to which nothing has happened.
fn payment() -> Payment {
    Payment {
        id: "pi_1".to_owned(),
        amount: usd(35900),
        reference: None,
        customer_id: None,
        live: false,
        fee: Some(usd(1071)),
        refunds: Vec::new(),
        disputes: Vec::new(),
    }
}

/// A shop with a purchase that is paid, and whose payment is booked.
fn shop(env: &Env) -> (Repositories, PurchaseCheckout) {
    let repositories = Repositories::default();
    let paid = CheckoutState::Paid { payment_id: "pi_1".to_owned() };
    let purchase = purchase(env, env.new_id()).after(&paid, env.now());
    let checkout = PurchaseCheckout {
        id: env.new_id(),
        tenant_id: purchase.tenant_id,
        purchase_id: purchase.id,
        provider: Provider::Stripe,
        live: false,
        stage: CheckoutStage::Paid,
        session_id: Some("cs_1".to_owned()),
        url: None,
        payment_id: Some("pi_1".to_owned()),
        success_url: String::new(),
        cancel_url: String::new(),
        created_at: env.now(),
        expires_at: env.now(),
        check_at: Some(env.now()),
    };
    let booked = LedgerTransaction::moved(
        Provider::Stripe,
        false,
        SourceKind::Payment,
        "pi_1",
        &purchase.price(),
        env.now(),
    )
    .unwrap();
    let mut rows = repositories.shop.rows();
    rows.booked.push((purchase.tenant_id, booked));
    rows.purchases.push(purchase);
    rows.checkouts.push(checkout.clone());
    drop(rows);
    (repositories, checkout)
}

async fn settle(
    repositories: &mut Repositories,
    env: &Env,
    checkout: &PurchaseCheckout,
    observed: &Payment,
) -> PaymentSettled {
    let scope = Scope::system(Some(checkout.tenant_id), RequestInfo::default());
    let mut settlements = Settlements::new(repositories, &scope, env);
    settlements.settle_payment(checkout.tenant_id, checkout.id, observed).await.unwrap()
}

fn names(repositories: &Repositories) -> Vec<String> {
    repositories.events().iter().map(|event| event.kind.to_string()).collect()
}

/// What the ledger has, as text, in order; checks that it is sound.
async fn booked(repositories: &mut Repositories) -> Vec<String> {
    let report = check_ledger(repositories, false).await.unwrap();
    assert_eq!(report.differing, 0, "{report}");
    let rows = repositories.shop.rows();
    let mut booked: Vec<String> = rows
        .booked
        .iter()
        .map(|(_, booked)| format!("{} {}", booked.source().kind.as_str(), booked.source().id))
        .collect();
    booked.sort();
    booked
}

fn after(hours: i64, env: &Env) -> Option<Timestamp> {
    Some(env.now() + Duration::hours(hours))
}

#[tokio::test]
async fn a_fee_is_booked_once_and_nothing_is_told() {
    let env = env();
    let (mut repositories, checkout) = shop(&env);
    for _ in 0..100 {
        let settled = settle(&mut repositories, &env, &checkout, &payment()).await;
        assert_eq!((settled.purchase.status, settled.mismatch), (PurchaseStatus::Completed, None));
        assert_eq!(settled.checkout.check_at, after(1, &env));
    }
    assert_eq!(booked(&mut repositories).await, ["fee pi_1", "payment pi_1"]);
    assert!(names(&repositories).is_empty());
    // A fee that is not known yet, or nothing.
    let (mut repositories, checkout) = shop(&env);
    for fee in [None, Some(usd(0))] {
        settle(&mut repositories, &env, &checkout, &Payment { fee, ..payment() }).await;
    }
    assert_eq!(booked(&mut repositories).await, ["payment pi_1"]);
}

#[tokio::test]
async fn refunds_are_found_and_counted_until_they_fail() {
    let env = env();
    let (mut repositories, checkout) = shop(&env);
    let part = Payment { refunds: vec![refund("re_1", 900, RefundState::Pending)], ..payment() };
    let settled = settle(&mut repositories, &env, &checkout, &part).await;
    assert_eq!((settled.purchase.status, settled.purchase.refunded_amount), (PurchaseStatus::Completed, 0));
    assert_eq!(settled.checkout.check_at, after(6, &env), "the money is on its way");
    assert!(names(&repositories).is_empty());
    let whole = Payment {
        refunds: vec![
            refund("re_1", 900, RefundState::Succeeded),
            refund("re_2", 35000, RefundState::Succeeded),
        ],
        ..payment()
    };
    for _ in 0..3 {
        let settled = settle(&mut repositories, &env, &checkout, &whole).await;
        assert_eq!(
            (settled.purchase.status, settled.purchase.refunded_amount),
            (PurchaseStatus::Refunded, 35900)
        );
        assert_eq!((settled.refunds.len(), settled.checkout.check_at), (2, after(1, &env)));
    }
    let late = settle(&mut repositories, &env, &checkout, &part).await;
    assert_eq!(late.purchase.status, PurchaseStatus::Refunded, "an old answer undoes nothing");
    assert_eq!(names(&repositories), ["purchase.refunded"]);
    let event = repositories.events().remove(0);
    assert_eq!(event.before.unwrap()["refundedAmount"], 0);
    assert_eq!(event.after.unwrap()["refundedAmount"], 35900);
    let failed = Payment { refunds: vec![refund("re_2", 35000, RefundState::Failed)], ..payment() };
    let settled = settle(&mut repositories, &env, &checkout, &failed).await;
    assert_eq!(
        (settled.purchase.status, settled.purchase.refunded_amount),
        (PurchaseStatus::PartiallyRefunded, 900)
    );
    assert_eq!(names(&repositories).last().unwrap(), "purchase.refund_failed");
    assert_eq!(
        booked(&mut repositories).await,
        ["fee pi_1", "payment pi_1", "refund re_1", "refund re_2", "refund_failed re_2"]
    );
}

#[tokio::test]
async fn a_refund_of_all_of_it_counts_once_it_has_arrived_and_ends_the_purchase_at_once() {
    let env = env();
    for (end, status, refunded, told, bookings) in [
        (
            RefundState::Succeeded,
            PurchaseStatus::Refunded,
            35900,
            vec!["purchase.refunded", "purchase.refunded"],
            vec!["fee pi_1", "payment pi_1", "refund re_1"],
        ),
        (
            RefundState::Failed,
            PurchaseStatus::Completed,
            0,
            vec!["purchase.refunded", "purchase.refund_failed"],
            vec!["fee pi_1", "payment pi_1"],
        ),
    ] {
        let (mut repositories, checkout) = shop(&env);
        let at = |state| Payment { refunds: vec![refund("re_1", 35900, state)], ..payment() };
        let settled = settle(&mut repositories, &env, &checkout, &at(RefundState::Pending)).await;
        assert!(settled.status_changed, "licenses follow now");
        let purchase = &settled.purchase;
        assert_eq!((purchase.status, purchase.refunded_amount), (PurchaseStatus::Refunded, 0));
        assert_eq!(booked(&mut repositories).await, ["fee pi_1", "payment pi_1"]);
        for _ in 0..2 {
            let settled = settle(&mut repositories, &env, &checkout, &at(end)).await;
            assert_eq!((settled.purchase.status, settled.purchase.refunded_amount), (status, refunded));
        }
        assert_eq!(names(&repositories), told, "{end:?}");
        assert_eq!(booked(&mut repositories).await, bookings, "{end:?}");
    }
}

#[tokio::test]
async fn a_dispute_is_told_of_once_and_ends_for_us_or_for_the_buyer() {
    let env = env();
    for (end, status, reversal) in [
        (DisputeStatus::Won, PurchaseStatus::Completed, true),
        (DisputeStatus::Lost, PurchaseStatus::Disputed, false),
    ] {
        let (mut repositories, checkout) = shop(&env);
        let at = |status| Payment { disputes: vec![dispute(status)], ..payment() };
        let opened = settle(&mut repositories, &env, &checkout, &at(DisputeStatus::NeedsAnswer)).await;
        assert_eq!((opened.opened.len(), opened.purchase.status), (1, PurchaseStatus::Disputed));
        assert_eq!(opened.checkout.check_at, after(6, &env));
        for state in [DisputeStatus::UnderReview, end, DisputeStatus::NeedsAnswer, end] {
            let settled = settle(&mut repositories, &env, &checkout, &at(state)).await;
            assert!(settled.opened.is_empty(), "{state:?}");
        }
        assert_eq!(repositories.shop.rows().purchases[0].status, status);
        assert_eq!(names(&repositories), ["purchase.disputed", "purchase.dispute_closed"]);
        let booked = booked(&mut repositories).await;
        assert!(booked.contains(&"dispute_fee dp_1".to_owned()), "{booked:?}");
        assert_eq!(booked.contains(&"dispute_won dp_1".to_owned()), reversal, "{booked:?}");
    }
}

#[tokio::test]
async fn the_answer_to_a_call_leads_to_the_same_as_what_is_seen_later() {
    let env = env();
    let (mut repositories, checkout) = shop(&env);
    let found = PurchaseRefund::found(&env, &checkout, "pi_1", &refund("x", 500, RefundState::Pending));
    let requested = PurchaseRefund { provider_id: None, status: RefundStatus::Requested, ..found };
    repositories.shop.rows().refunds.push(requested.clone());
    let seen = settle(&mut repositories, &env, &checkout, &payment()).await;
    assert_eq!(seen.purchase.refunded_amount, 0, "the provider does not have it yet");
    assert_eq!(seen.checkout.check_at, Some(env.now() + CHECK_AGAIN));
    let made =
        Refund { reference: Some(requested.reference()), ..refund("re_1", 500, RefundState::Succeeded) };
    let scope = Scope::system(Some(checkout.tenant_id), RequestInfo::default());
    let (tenant, id) = (checkout.tenant_id, checkout.id);
    let answered =
        Settlements::new(&mut repositories, &scope, &env).settle_refund(tenant, id, &made).await.unwrap();
    let both = Payment { refunds: vec![made], ..payment() };
    let later = settle(&mut repositories, &env, &checkout, &both).await;
    for settled in [answered, later] {
        assert_eq!((settled.refunds.len(), settled.purchase.refunded_amount), (1, 500));
        assert_eq!(
            (settled.refunds[0].id, settled.refunds[0].provider_id.as_deref()),
            (requested.id, Some("re_1"))
        );
    }
    assert_eq!(names(&repositories), ["purchase.refunded"]);
}

#[tokio::test]
async fn a_payment_that_is_another_one_or_not_known_to_be_paid_leads_to_nothing() {
    let env = env();
    type Spoil = fn(&mut Payment);
    let wrongs: [(&str, Spoil); 5] = [
        ("payment", |payment| payment.id = "pi_2".to_owned()),
        ("amount", |payment| payment.amount.amount = 1),
        ("currency", |payment| payment.amount.currency = "gtq".to_owned()),
        ("currency", |payment| payment.refunds[0].amount.currency = "gtq".to_owned()),
        ("live", |payment| payment.live = true),
    ];
    for (field, spoil) in wrongs {
        let (mut repositories, checkout) = shop(&env);
        let right = Payment { refunds: vec![refund("re_1", 35900, RefundState::Succeeded)], ..payment() };
        let mut wrong = right.clone();
        spoil(&mut wrong);
        let settled = settle(&mut repositories, &env, &checkout, &wrong).await;
        assert_eq!(settled.mismatch.unwrap().differences[0].field, field);
        // Again, and with one that would do: staff decide.
        for observed in [wrong, right] {
            let settled = settle(&mut repositories, &env, &checkout, &observed).await;
            assert_eq!((settled.purchase.status, settled.mismatch), (PurchaseStatus::Completed, None));
        }
        assert_eq!(names(&repositories), ["payment.mismatch"], "{field}");
        assert_eq!(repositories.shop.rows().checkouts[0].check_at, None);
        assert_eq!(booked(&mut repositories).await, ["payment pi_1"]);
    }
    let (mut repositories, checkout) = shop(&env);
    repositories.shop.rows().checkouts[0].stage = CheckoutStage::Open;
    let refunded = Payment { refunds: vec![refund("re_1", 35900, RefundState::Succeeded)], ..payment() };
    let settled = settle(&mut repositories, &env, &checkout, &refunded).await;
    assert_eq!((settled.refunds.len(), settled.mismatch), (0, None));
    assert!(names(&repositories).is_empty());
}

#[test]
fn a_payment_is_asked_about_for_half_a_year() {
    let env = env();
    let paid_at = env.now();
    let (mut now, mut times) = (paid_at + Duration::minutes(2), 0);
    while let Some(next) = next_check(now, paid_at, &[], &[]) {
        assert!(next >= now + Duration::HOUR);
        (now, times) = (next, times + 1);
    }
    let days = (now - paid_at).whole_days();
    assert!((180..=360).contains(&days) && times < 20, "{days} days, {times} times");
}

/// What can happen to a payment, one thing after the other: what the provider answers after each.
fn histories() -> impl Strategy<Value = Vec<Payment>> {
    let states = prop_oneof![
        Just(vec![]),
        Just(vec![RefundState::Pending]),
        Just(vec![RefundState::Succeeded]),
        Just(vec![RefundState::Pending, RefundState::Succeeded]),
        Just(vec![RefundState::Pending, RefundState::Failed]),
        Just(vec![RefundState::Succeeded, RefundState::Failed]),
    ];
    let disputes = prop_oneof![
        Just(vec![]),
        Just(vec![DisputeStatus::NeedsAnswer]),
        Just(vec![DisputeStatus::NeedsAnswer, DisputeStatus::UnderReview, DisputeStatus::Won]),
        Just(vec![DisputeStatus::NeedsAnswer, DisputeStatus::Lost]),
    ];
    let parts = (prop::collection::vec(states, 2), disputes, prop::collection::vec(0..3_usize, 12));
    parts.prop_map(|(refunds, disputes, order)| {
        let mut left = [refunds[0].clone(), refunds[1].clone()].map(Vec::into_iter);
        let mut disputes = disputes.into_iter();
        let mut all = vec![Payment { fee: None, ..payment() }];
        // Whatever the order leaves out happens at the end.
        for what in order.into_iter().chain([0, 0, 1, 1, 2, 2, 2]) {
            let mut next = Payment { fee: Some(usd(1071)), ..all.last().unwrap().clone() };
            let happened = match left.get_mut(what) {
                Some(states) => states.next().map(|state| {
                    let (id, amount) = if what == 0 { ("re_a", 900) } else { ("re_b", 35000) };
                    next.refunds.retain(|refund| refund.id != id);
                    next.refunds.push(refund(id, amount, state));
                }),
                None => disputes.next().map(|status| next.disputes = vec![dispute(status)]),
            };
            if happened.is_some() {
                all.push(next);
            }
        }
        all
    })
}

/// Status, refunded amount and bookings after these answers.
async fn end_of(seen: &[&Payment]) -> (PurchaseStatus, i64, Vec<(String, i128)>) {
    let env = env();
    let (mut repositories, checkout) = shop(&env);
    for observed in seen {
        settle(&mut repositories, &env, &checkout, observed).await;
    }
    let report = check_ledger(&mut repositories, false).await.unwrap();
    assert_eq!(report.differing, 0, "{report}");
    let balances = report.balances.into_iter().map(|((account, _), balance)| (account.to_string(), balance));
    let purchase = repositories.shop.rows().purchases[0].clone();
    // An account on which nothing is left is like one that was never used.
    let balances = balances.filter(|(_, balance)| *balance != 0).collect();
    (purchase.status, purchase.refunded_amount, balances)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_order_or_repetition_ends_elsewhere_than_the_last_answer(
        history in histories(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        place in any::<prop::sample::Index>(),
    ) {
        let last = history.last().unwrap();
        let mut seen: Vec<&Payment> = picks.iter().map(|pick| pick.get(&history)).collect();
        // The last one is worked off at some time; the others may be, before it and after it.
        seen.insert(place.index(seen.len() + 1), last);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (end, expected) = runtime.block_on(async { (end_of(&seen).await, end_of(&[last]).await) });
        prop_assert_eq!(&end, &expected);
        let refunded: i64 = last
            .refunds
            .iter()
            .filter(|refund| refund.state == RefundState::Succeeded)
            .map(|refund| refund.amount.amount)
            .sum();
        prop_assert_eq!(end.1, refunded);
    }
}
