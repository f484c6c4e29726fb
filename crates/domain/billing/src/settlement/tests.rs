use portico_kernel::{Actor, Money, Permission, Permissions, PlatformRole, RequestInfo, Scope, Timestamp};
use proptest::prelude::*;
use time::Duration;

use super::*;
use crate::{
    checkout::{CheckoutRule, Checkouts},
    coupon_edit::{CouponAdministration, CouponInput},
    order::{Order, OrderItem, ReturnRule},
    payment::{CheckoutState, Provider},
    product::Products,
    purchase::PurchaseItem,
    testing::{Repositories, env},
};

mod properties;

fn rule() -> CheckoutRule {
    CheckoutRule {
        provider: Provider::Stripe,
        live: false,
        returns: ReturnRule::Anywhere,
        home: Default::default(),
    }
}

fn seller() -> Seller {
    Seller { name: "Example, S. A.".to_owned(), tax_rate: 1200, ..Seller::default() }
}

fn buyer(env: &Env, email_verified: bool) -> Scope {
    let actor = Actor::User {
        id: env.new_id(),
        session: env.new_id(),
        email_verified,
        role: PlatformRole::Customer,
        impersonator: None,
    };
    let permissions = Permissions::from_list(&[Permission::BillingWrite, Permission::BillingRead]);
    Scope::user(actor, Some(env.new_id()), permissions, RequestInfo::default())
}

fn order() -> Order {
    Order {
        items: vec![OrderItem { product_type: "base_product".to_owned(), quantity: Some(2) }],
        currency: None,
        success_url: "https://app.example.com/paid".to_owned(),
        cancel_url: "https://app.example.com/cart".to_owned(),
        coupon: None,
    }
}

/// A shop with a checkout that is to be made.
async fn begun(env: &Env) -> (Repositories, Scope, PurchaseCheckout) {
    let mut repositories = Repositories::default();
    Products::new(&mut repositories).seed(env.now()).await.unwrap();
    let scope = buyer(env, true);
    let (_, checkout) =
        Checkouts::new(&mut repositories, &scope, env).begin(&order(), &rule()).await.unwrap();
    (repositories, scope, checkout)
}

/// What a provider answers that has done what it was asked for.
fn answer(checkout: &PurchaseCheckout, state: CheckoutState) -> Checkout {
    let open = state == CheckoutState::Open;
    Checkout {
        id: "cs_1".to_owned(),
        url: open.then(|| "https://pay.example.com/cs_1".to_owned()),
        state,
        amount: Money { amount: 71800, currency: "usd".to_owned() },
        reference: Some(checkout.reference()),
        customer_id: None,
        live: false,
        expires_at: checkout.expires_at,
    }
}

fn paid() -> CheckoutState {
    CheckoutState::Paid { payment_id: "pi_1".to_owned() }
}

async fn settle(
    repositories: &mut Repositories,
    env: &Env,
    checkout: &PurchaseCheckout,
    observed: &Checkout,
) -> Settled {
    let scope = Scope::system(Some(checkout.tenant_id), RequestInfo::default());
    let mut settlements = Settlements::new(repositories, &scope, env);
    settlements.settle(checkout.tenant_id, checkout.id, observed, &seller()).await.unwrap()
}

fn names(repositories: &Repositories) -> Vec<String> {
    repositories.events().iter().map(|event| event.kind.as_ref().to_owned()).collect()
}

#[tokio::test]
async fn a_purchase_is_stored_before_the_provider_is_called() {
    let env = env();
    let (repositories, scope, checkout) = begun(&env).await;
    let rows = repositories.shop.rows();
    let purchase = &rows.purchases[0];
    assert_eq!((purchase.amount, purchase.status), (71800, PurchaseStatus::Pending));
    assert_eq!(Some(purchase.tenant_id), scope.active_tenant());
    assert_eq!((checkout.stage, &checkout.session_id), (CheckoutStage::Creating, &None));
    assert_eq!(rows.checkouts, std::slice::from_ref(&checkout), "its key is stored before its first try");
    assert_eq!(names(&repositories), ["purchase.created"]);
    // The call is made of what is stored, so it is the same at every try.
    let call = checkout.call(purchase);
    assert_eq!(call, rows.checkouts[0].call(purchase));
    assert_eq!((call.lines[0].unit_amount, call.lines[0].quantity, call.amount.amount), (35900, 2, 71800));
    assert_eq!(
        PurchaseCheckout::of_reference(&call.reference),
        Some((checkout.tenant_id, checkout.id)),
        "{}",
        call.reference
    );
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    assert!(plain(&call.reference) && call.reference.len() <= 200);
    assert!(plain(&checkout.key()) && checkout.key().len() <= 100);
    for foreign in ["", "order 7", "a_b", &checkout.id.to_string()] {
        assert_eq!(PurchaseCheckout::of_reference(foreign), None, "{foreign}");
    }
}

#[tokio::test]
async fn only_verified_people_with_the_permission_buy() {
    let env = env();
    let mut repositories = Repositories::default();
    let anonymous = Scope::anonymous(RequestInfo::default());
    let system = Scope::system(Some(env.new_id()), RequestInfo::default());
    for scope in [buyer(&env, false), anonymous, system] {
        let mut checkouts = Checkouts::new(&mut repositories, &scope, &env);
        // The permission is asked for before anything is read: the order is not even valid.
        let refused = checkouts.begin(&Order::default(), &rule()).await;
        assert!(matches!(refused, Err(BillingError::Denied(_))), "{refused:?}");
    }
    let scope = buyer(&env, true);
    let refused = Checkouts::new(&mut repositories, &scope, &env).begin(&Order::default(), &rule()).await;
    let Err(BillingError::Invalid(errors)) = refused else { panic!("{refused:?}") };
    assert_eq!(errors.len(), 3);
    assert!(repositories.events().is_empty());
}

#[tokio::test]
async fn killed_before_or_after_the_call_the_same_key_leads_on() {
    let env = env();
    let (mut repositories, scope, checkout) = begun(&env).await;
    // The schedule finds it, and may repeat the call.
    let soon = env.now() + Duration::minutes(3);
    let due = crate::ports::CheckoutRepository::due(&mut repositories.shop, soon, 10).await.unwrap();
    assert_eq!(due, std::slice::from_ref(&checkout));
    assert!(checkout.may_repeat(soon) && !checkout.may_repeat(env.now() + Duration::DAY));
    // Both the request and the schedule come with the answer of the one call.
    for _ in 0..2 {
        let settled =
            settle(&mut repositories, &env, &checkout, &answer(&checkout, CheckoutState::Open)).await;
        let session = settled.session().unwrap();
        assert_eq!(
            (session.session_id.as_str(), session.url.as_str()),
            ("cs_1", "https://pay.example.com/cs_1")
        );
        assert_eq!(settled.purchase.status, PurchaseStatus::Pending);
    }
    assert_eq!(names(&repositories), ["purchase.created"]);
    let stored = repositories.shop.rows().checkouts[0].clone();
    assert_eq!(stored.stage, CheckoutStage::Open);
    assert!(!stored.may_repeat(soon), "it is there");
    assert!(stored.check_at.is_some_and(|at| at > env.now() && at <= stored.expires_at));
    let mut checkouts = Checkouts::new(&mut repositories, &scope, &env);
    assert_eq!(checkouts.of_session(Provider::Stripe, "cs_1").await.unwrap().id, checkout.id);
    let other = buyer(&env, true);
    let missing = Checkouts::new(&mut repositories, &other, &env).of_session(Provider::Stripe, "cs_1").await;
    assert!(matches!(missing, Err(BillingError::NoCheckout)));
}

#[tokio::test]
async fn killed_before_the_session_was_stored_a_webhook_still_settles() {
    let env = env();
    let (mut repositories, _, checkout) = begun(&env).await;
    let settled = settle(&mut repositories, &env, &checkout, &answer(&checkout, paid())).await;
    assert_eq!(settled.purchase.status, PurchaseStatus::Completed);
    assert_eq!((settled.checkout.session_id.as_deref(), settled.session()), (Some("cs_1"), None));
    // The request that was slow comes with its answer afterwards.
    let late = settle(&mut repositories, &env, &checkout, &answer(&checkout, CheckoutState::Open)).await;
    assert_eq!((late.purchase.status, late.session()), (PurchaseStatus::Completed, None));
    assert_eq!(names(&repositories), ["purchase.created", "purchase.completed"]);
}

#[tokio::test]
async fn a_hundred_times_paid_is_one_completion_and_one_booking() {
    let env = env();
    let (mut repositories, _, checkout) = begun(&env).await;
    for _ in 0..100 {
        let settled = settle(&mut repositories, &env, &checkout, &answer(&checkout, paid())).await;
        assert_eq!((settled.purchase.status, settled.mismatch), (PurchaseStatus::Completed, None));
    }
    assert_eq!(names(&repositories), ["purchase.created", "purchase.completed"]);
    let event = repositories.events().remove(1);
    assert_eq!(event.before.unwrap()["status"], "pending");
    let after = event.after.unwrap();
    assert_eq!((&after["status"], &after["amount"]), (&"completed".into(), &71800.into()));
    let rows = repositories.shop.rows();
    assert_eq!(rows.booked.len(), 1);
    assert_eq!(rows.booked[0].0, checkout.tenant_id);
    assert_eq!(rows.booked[0].1.entries()[0].amount, 71800);
    assert_eq!(rows.checkouts[0].stage, CheckoutStage::Paid);
    assert!(rows.checkouts[0].check_at.is_some_and(|at| at > env.now()), "its payment is asked about");
    assert_eq!(rows.checkouts[0].payment_id.as_deref(), Some("pi_1"));
    // One number, of the series of what is paid without real money.
    let [invoice] = rows.invoices.as_slice() else { panic!("{:?}", rows.invoices) };
    assert_eq!(invoice.number.as_deref(), Some("TEST-000001"));
    assert_eq!((invoice.tax, &invoice.seller), (7693, &Some(seller())), "12 of 112");
}

#[tokio::test]
async fn receipts_are_numbered_in_the_order_in_which_they_are_paid() {
    let env = env();
    let (mut repositories, scope, first) = begun(&env).await;
    let (_, second) = Checkouts::new(&mut repositories, &scope, &env).begin(&order(), &rule()).await.unwrap();
    for (checkout, id) in [(&second, "cs_2"), (&first, "cs_1")] {
        let state = CheckoutState::Paid { payment_id: format!("pi_{id}") };
        let observed = Checkout { id: id.to_owned(), ..answer(checkout, state) };
        settle(&mut repositories, &env, checkout, &observed).await;
    }
    let rows = repositories.shop.rows();
    let numbers: Vec<_> =
        rows.invoices.iter().map(|invoice| (invoice.id.uuid(), invoice.number.as_deref())).collect();
    let of = |checkout: &PurchaseCheckout| checkout.purchase_id.uuid();
    assert_eq!(numbers, [(of(&second), Some("TEST-000001")), (of(&first), Some("TEST-000002"))]);
}

#[tokio::test]
async fn what_is_not_paid_ends_and_money_that_comes_late_counts() {
    let env = env();
    for ended in [CheckoutState::Expired, CheckoutState::Failed] {
        let (mut repositories, _, checkout) = begun(&env).await;
        for observed in [CheckoutState::Open, ended.clone(), ended.clone(), CheckoutState::Open] {
            settle(&mut repositories, &env, &checkout, &answer(&checkout, observed)).await;
        }
        assert_eq!(names(&repositories), ["purchase.created", "purchase.failed"]);
        assert_eq!(repositories.shop.rows().checkouts[0].check_at, None);
        assert!(repositories.shop.rows().booked.is_empty());
        let late = settle(&mut repositories, &env, &checkout, &answer(&checkout, paid())).await;
        assert_eq!(late.purchase.status, PurchaseStatus::Completed);
        assert_eq!(repositories.shop.rows().booked.len(), 1);
    }
}

#[tokio::test]
async fn a_payment_that_is_not_what_was_asked_for_grants_nothing() {
    let env = env();
    type Change = fn(&mut Checkout);
    let wrongs: [(&str, Change); 5] = [
        ("amount", |checkout| checkout.amount.amount = 1),
        ("currency", |checkout| checkout.amount.currency = "gtq".to_owned()),
        ("reference", |checkout| checkout.reference = Some("another".to_owned())),
        ("reference", |checkout| checkout.reference = None),
        ("live", |checkout| checkout.live = true),
    ];
    for (field, spoil) in wrongs {
        let (mut repositories, _, checkout) = begun(&env).await;
        let mut wrong = answer(&checkout, paid());
        spoil(&mut wrong);
        let settled = settle(&mut repositories, &env, &checkout, &wrong).await;
        assert_eq!(settled.purchase.status, PurchaseStatus::Pending);
        assert_eq!(settled.mismatch.unwrap().differences[0].field, field);
        // Again, and with an answer that would do: staff decide.
        for observed in [wrong, answer(&checkout, paid())] {
            let settled = settle(&mut repositories, &env, &checkout, &observed).await;
            assert_eq!((settled.purchase.status, settled.mismatch), (PurchaseStatus::Pending, None));
        }
        assert_eq!(names(&repositories), ["purchase.created", "payment.mismatch"], "{field}");
        assert!(repositories.shop.rows().booked.is_empty());
        assert_eq!(repositories.shop.rows().checkouts[0].check_at, None);
    }
    // A second session under the same reference.
    let (mut repositories, _, checkout) = begun(&env).await;
    settle(&mut repositories, &env, &checkout, &answer(&checkout, CheckoutState::Open)).await;
    let second = Checkout { id: "cs_2".to_owned(), ..answer(&checkout, paid()) };
    let settled = settle(&mut repositories, &env, &checkout, &second).await;
    assert_eq!(settled.mismatch.unwrap().differences[0].field, "session");
}

#[tokio::test]
async fn what_the_provider_will_not_make_is_given_up_once() {
    let env = env();
    let (mut repositories, scope, checkout) = begun(&env).await;
    for _ in 0..2 {
        let mut checkouts = Checkouts::new(&mut repositories, &scope, &env);
        let purchase = checkouts.give_up(checkout.tenant_id, checkout.id).await.unwrap();
        assert_eq!(purchase.status, PurchaseStatus::Failed);
    }
    assert_eq!(names(&repositories), ["purchase.created", "purchase.failed"]);
    // One that is open stays.
    let (mut repositories, scope, checkout) = begun(&env).await;
    settle(&mut repositories, &env, &checkout, &answer(&checkout, CheckoutState::Open)).await;
    let mut checkouts = Checkouts::new(&mut repositories, &scope, &env);
    let purchase = checkouts.give_up(checkout.tenant_id, checkout.id).await.unwrap();
    assert_eq!(purchase.status, PurchaseStatus::Pending);
    let before = repositories.shop.rows().checkouts[0].check_at;
    Checkouts::new(&mut repositories, &scope, &env).postpone(checkout.tenant_id, checkout.id).await.unwrap();
    assert!(repositories.shop.rows().checkouts[0].check_at >= before);
}

#[test]
fn a_checkout_is_asked_about_when_its_time_is_over_and_then_seldomer() {
    let env = env();
    let at = |minutes: i64| env.now() + Duration::minutes(minutes);
    let checkout = PurchaseCheckout {
        id: env.new_id(),
        tenant_id: env.new_id(),
        purchase_id: env.new_id(),
        provider: Provider::Stripe,
        live: false,
        stage: CheckoutStage::Processing,
        session_id: None,
        url: None,
        payment_id: None,
        success_url: String::new(),
        cancel_url: String::new(),
        created_at: at(0),
        expires_at: at(60),
        check_at: None,
    };
    let minutes = |time: Timestamp| (time - env.now()).whole_minutes();
    let next: Vec<i64> =
        [2, 40, 58, 60, 600].map(|now| minutes(checkout.next_check(at(now)))).into_iter().collect();
    assert_eq!(next, [7, 50, 60, 75, 750]);
    assert_eq!(minutes(checkout.next_check(at(60 * 24 * 10))), 60 * 24 * 11);
}

/// A shop with a coupon for one order that takes off a third of it.
async fn shop_with_coupon(env: &Env) -> Repositories {
    let mut repositories = Repositories::default();
    Products::new(&mut repositories).seed(env.now()).await.unwrap();
    let staff = Scope::system(None, RequestInfo::default());
    let input = CouponInput {
        code: "third".to_owned(),
        percent: Some(33),
        max_redemptions: Some(1),
        ..CouponInput::default()
    };
    CouponAdministration::new(&mut repositories, &staff, env).create(input).await.unwrap();
    repositories
}

async fn order_with(
    repositories: &mut Repositories,
    env: &Env,
    coupon: &str,
) -> Result<(Purchase, PurchaseCheckout), Vec<String>> {
    let scope = buyer(env, true);
    let order = Order { coupon: Some(coupon.to_owned()), ..order() };
    Checkouts::new(repositories, &scope, env).begin(&order, &rule()).await.map_err(|error| match error {
        BillingError::Invalid(errors) => {
            errors.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
        }
        error => panic!("{error}"),
    })
}

fn used(repositories: &Repositories) -> (u64, usize) {
    let rows = repositories.shop.rows();
    (rows.coupons[0].redemptions, rows.redemptions.len())
}

#[tokio::test]
async fn a_coupon_takes_off_and_is_used_once() {
    let env = env();
    let mut repositories = shop_with_coupon(&env).await;
    let refused = order_with(&mut repositories, &env, "nothing").await.unwrap_err();
    assert_eq!(refused, ["coupon unknown_coupon"]);
    let (purchase, checkout) = order_with(&mut repositories, &env, " Third ").await.unwrap();
    assert_eq!(
        (purchase.amount, purchase.discount, purchase.coupon.as_deref()),
        (48106, 23694, Some("THIRD"))
    );
    let call = checkout.call(&purchase);
    let lines: Vec<_> =
        call.lines.iter().map(|line| (line.description.as_str(), line.unit_amount, line.quantity)).collect();
    assert_eq!((lines, call.amount.amount), (vec![("Base Software License", 24053, 2)], 48106));
    assert_eq!(used(&repositories), (1, 1));
    let late = order_with(&mut repositories, &env, "third").await.unwrap_err();
    assert_eq!(late, ["coupon coupon_used_up"]);
    assert_eq!(names(&repositories), ["coupon.created", "purchase.created"]);

    let paid = Checkout { amount: purchase.price(), ..answer(&checkout, paid()) };
    for _ in 0..2 {
        settle(&mut repositories, &env, &checkout, &paid).await;
    }
    assert_eq!(used(&repositories), (1, 1), "what is paid keeps it");
    let rows = repositories.shop.rows();
    let lines: Vec<_> =
        rows.invoices[0].lines.iter().map(|line| (line.description.as_str(), line.amount)).collect();
    assert_eq!(lines, [("Base Software License", 71800), ("THIRD", -23694)]);
    assert_eq!((rows.invoices[0].amount_paid, rows.booked[0].1.entries()[0].amount), (48106, 48106));
}

#[tokio::test]
async fn what_ends_unpaid_gives_its_coupon_back_and_money_that_comes_late_takes_it_again() {
    let env = env();
    let mut repositories = shop_with_coupon(&env).await;
    let (purchase, checkout) = order_with(&mut repositories, &env, "third").await.unwrap();
    let observed = |state| Checkout { amount: purchase.price(), ..answer(&checkout, state) };
    for _ in 0..2 {
        settle(&mut repositories, &env, &checkout, &observed(CheckoutState::Expired)).await;
        assert_eq!(used(&repositories), (0, 0));
    }
    let (other, given_up) = order_with(&mut repositories, &env, "third").await.unwrap();
    settle(&mut repositories, &env, &checkout, &observed(paid())).await;
    assert_eq!(used(&repositories), (2, 2), "also beyond the limit");
    let scope = Scope::system(Some(other.tenant_id), RequestInfo::default());
    let mut checkouts = Checkouts::new(&mut repositories, &scope, &env);
    checkouts.give_up(given_up.tenant_id, given_up.id).await.unwrap();
    assert_eq!(used(&repositories), (1, 1), "what the provider will not make gives it back too");
}

#[tokio::test]
async fn lines_that_cannot_be_divided_are_one_line_and_free_ones_are_not_paid() {
    let env = env();
    let item = |id: &str, amount: i64, quantity: u32, discount: i64| PurchaseItem {
        product_type: id.to_owned(),
        description: id.to_owned(),
        amount,
        quantity,
        discount,
    };
    let items =
        vec![item("a", 100, 3, 100), item("b", 100, 1, 100), item("c", 0, 1, 0), item("d", 100, 2, 20)];
    let price = Money { amount: 380, currency: "usd".to_owned() };
    let (tenant, user) = (env.new_id(), env.new_id());
    let purchase = crate::purchase::pending(&env, tenant, user, items, price, Some("THIRD".to_owned()));
    assert_eq!(purchase.discount, 220);
    let (_, _, checkout) = begun(&env).await;
    let lines = checkout.call(&purchase).lines;
    let lines: Vec<_> =
        lines.iter().map(|line| (line.description.as_str(), line.unit_amount, line.quantity)).collect();
    assert_eq!(lines, [("3 × a", 200, 1), ("c", 0, 1), ("d", 90, 2)]);
}

fn states() -> impl Strategy<Value = CheckoutState> {
    prop_oneof![
        Just(CheckoutState::Open),
        Just(CheckoutState::Processing),
        Just(CheckoutState::Expired),
        Just(CheckoutState::Failed),
        Just(paid()),
    ]
}

proptest! {
    #[test]
    fn a_stage_never_goes_back(seen in prop::collection::vec(states(), 0..10)) {
        let mut stage = CheckoutStage::Creating;
        for state in &seen {
            let next = stage.after(state);
            prop_assert!(next >= stage);
            stage = next;
        }
        prop_assert_eq!(stage == CheckoutStage::Paid, seen.contains(&paid()));
    }
}
