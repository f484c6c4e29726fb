//! Whatever comes in whichever order: what is stored is what the provider has, and each movement of its money is booked once.

use std::collections::VecDeque;

use portico_kernel::RequestInfo;
use proptest::prelude::*;

use super::{
    desk::{Desk, wish},
    *,
};
use crate::{
    coupon_edit::{CouponAdministration, CouponInput},
    coupon_scope::{CouponDuration, CouponUse},
    ledger::Account,
    ledger_check::{LedgerReport, check_ledger},
    paid::PriceReference,
    plan_change::PlanWish,
    plan_changes::PlanChanges,
    ports::PlanCallRepository,
    subscription_provider::SubscriptionProvider,
};

/// What happens at the provider, and when it is heard of here.
#[derive(Clone, Debug)]
enum Heard {
    /// The provider changes the status.
    Status(SubscriptionStatus),
    /// Days go by: what is due there happens.
    Days(i64),
    /// The bank declines every payment from now on, or none.
    Declining(bool),
    /// Money of an invoice is given back; where that was done before, it did not reach the buyer.
    Refund(prop::sample::Index),
    /// An event comes: the provider is asked, and its answer is stored at once.
    Event,
    /// An event comes, and its answer is late: others may be stored before it.
    Asked,
    /// The oldest late answer is stored, or asked for again where another one was stored meanwhile.
    Late,
}

fn heard() -> impl Strategy<Value = Vec<Heard>> {
    let status = prop::sample::select(SubscriptionStatus::ALL.to_vec()).prop_map(Heard::Status);
    let step = prop_oneof![
        status,
        (1..40_i64).prop_map(Heard::Days),
        any::<bool>().prop_map(Heard::Declining),
        any::<prop::sample::Index>().prop_map(Heard::Refund),
        Just(Heard::Event),
        Just(Heard::Asked),
        Just(Heard::Late),
    ];
    prop::collection::vec(step, 0..32)
}

/// The ledger is sound, and agrees with the invoices that are stored.
async fn sound(desk: &mut Desk) -> LedgerReport {
    let report = check_ledger(&mut desk.rows, false).await.unwrap();
    assert_eq!(report.differing, 0, "{report}");
    report
}

/// The provider was asked last: subscription, plan in force, invoices and ledger are as it has them.
async fn agrees(desk: &mut Desk) {
    let customer = desk.customer();
    let there = desk.provider.subscription(&customer).await.unwrap();
    assert_eq!(desk.account().subscription, there);
    let in_force = there.filter(|there| there.status.is_in_force());
    let price = in_force.and_then(|there| PriceReference::parse(&there.price?));
    assert_eq!(desk.shown().await.plan, price.map_or(FREE.to_owned(), |price| price.plan));

    let invoices = desk.provider.invoices_of(&customer);
    let stored = desk.rows.kept.shop.rows().invoices.clone();
    assert_eq!(stored.len(), invoices.len());
    for invoice in &invoices {
        let found = stored.iter().find(|stored| stored.provider_id == invoice.id).unwrap();
        assert_eq!(
            (found.status, found.amount_paid, found.amount_refunded),
            (invoice.status, invoice.amount_paid, invoice.amount_refunded)
        );
    }
    let report = sound(desk).await;
    let balance = |account| report.balances.get(&(account, "usd".to_owned())).copied().unwrap_or_default();
    let paid: i64 = invoices.iter().map(|invoice| invoice.amount_paid).sum();
    let refunded: i64 = invoices.iter().map(|invoice| invoice.amount_refunded).sum();
    assert_eq!(balance(Account::SubscriptionRevenue), -i128::from(paid));
    assert_eq!(balance(Account::Refunds), i128::from(refunded));
}

async fn hear(desk: &mut Desk, late: &mut VecDeque<Late>, step: Heard) {
    let customer = desk.customer();
    match step {
        Heard::Status(status) => desk.provider.set_status(&customer, status),
        Heard::Days(days) => desk.advance(Duration::days(days)),
        Heard::Declining(declines) => {
            desk.provider.set_declining(declines.then_some("insufficient_funds"));
        }
        Heard::Refund(which) => {
            let invoices = desk.provider.invoices_of(&customer);
            let invoice = which.get(&invoices);
            let amount = match invoice.amount_refunded {
                0 => invoice.amount_paid / 2,
                refunded => -refunded,
            };
            desk.provider.refund(&customer, &invoice.id, amount);
        }
        Heard::Event => {
            desk.sync().await;
        }
        Heard::Asked => {
            let seen = desk.provider.subscription(&customer).await.unwrap();
            late.push_back((desk.account().revision, seen, desk.provider.invoices_of(&customer)));
        }
        Heard::Late => {
            let Some((revision, seen, invoices)) = late.pop_front() else { return };
            let answer =
                Answer { revision, subscription: seen.as_ref(), is_deleted: false, invoices: &invoices };
            let mut observations = Observations::new(&mut desk.rows, &desk.scope, &desk.env);
            if observations.observe(desk.tenant, answer).await.unwrap() == Observed::Stale {
                desk.sync().await;
            }
        }
    }
}

/// An answer that is on its way: the revision before it was asked for, and what it says.
type Late = (i64, Option<ProviderSubscription>, Vec<ProviderInvoice>);

/// What a tenant does, and what goes wrong meanwhile.
#[derive(Clone, Debug)]
enum Done {
    Upgrade(&'static str),
    /// An upgrade with a coupon that a tenant has one use of, for one invoice.
    WithCoupon(&'static str),
    Downgrade(&'static str),
    Cancel(bool),
    Resume,
    /// A card is put on file.
    PutOnFile,
    /// The page that is open is paid.
    PayPage,
    /// Answers to what charges or makes something are lost from now on, or not.
    Losing(bool),
    Declining(bool),
    Minutes(i64),
    /// The schedule runs.
    Schedule,
}

fn done() -> impl Strategy<Value = Vec<Done>> {
    let plan = || prop::sample::select(vec!["starter", "professional", "enterprise"]);
    let step = prop_oneof![
        3 => plan().prop_map(Done::Upgrade),
        2 => plan().prop_map(Done::WithCoupon),
        1 => plan().prop_map(Done::Downgrade),
        1 => any::<bool>().prop_map(Done::Cancel),
        1 => Just(Done::Resume),
        1 => Just(Done::PutOnFile),
        3 => Just(Done::PayPage),
        2 => any::<bool>().prop_map(Done::Losing),
        1 => any::<bool>().prop_map(Done::Declining),
        2 => prop_oneof![Just(1), Just(3), Just(70), Just(60 * 24 * 20)].prop_map(Done::Minutes),
        2 => Just(Done::Schedule),
    ];
    prop::collection::vec(step, 0..24)
}

/// What the schedule does about calls and accounts that are due.
async fn schedule(desk: &mut Desk) {
    let now = desk.env.now();
    let due = desk.rows.kept.shop.clone().due(now, 100).await.unwrap();
    for call in due {
        if let (true, Some(session)) = (now >= call.expires_at, &call.session_id) {
            desk.provider.expire_checkout(session).await.unwrap();
        }
        desk.sync().await;
        let mut changes = PlanChanges::new(&mut desk.rows, &desk.scope, &desk.env);
        match call.stage == PlanCallStage::Open && now < call.expires_at {
            true => changes.postpone(call.tenant_id, call.id).await.unwrap(),
            false => changes.end(call.tenant_id, call.id).await.unwrap(),
        }
    }
    if !desk.rows.kept.shop.rows().accounts.is_empty() {
        desk.look_after().await;
    }
}

/// A coupon that a tenant has one use of, for one invoice.
async fn make_coupon(desk: &mut Desk) {
    let staff = Scope::system(None, RequestInfo::default());
    let input = CouponInput {
        code: "SUMMER".to_owned(),
        percent: Some(25),
        applies_to: Some(vec![CouponUse::Plans]),
        duration: Some(CouponDuration::Once),
        max_redemptions_per_tenant: Some(1),
        ..CouponInput::default()
    };
    CouponAdministration::new(&mut desk.rows, &staff, &desk.env).create(input).await.unwrap();
}

/// How often the coupon is used, and how many invoices it has taken something off.
fn used(desk: &Desk) -> (u64, usize) {
    let customer = desk.provider.customer(&desk.tenant.to_string());
    let invoices = customer.map(|customer| desk.provider.invoices_of(&customer)).unwrap_or_default();
    let is_discounted =
        |invoice: &&ProviderInvoice| invoice.lines.iter().any(|line| line.description == "SUMMER");
    let rows = desk.rows.kept.shop.rows();
    assert_eq!(rows.coupons[0].redemptions, rows.plan_redemptions.len() as u64);
    (rows.coupons[0].redemptions, invoices.iter().filter(is_discounted).count())
}

/// The page of the tenant that is open.
fn open_page(desk: &Desk) -> Option<String> {
    let rows = desk.rows.kept.shop.rows();
    let open = rows.calls.iter().find(|call| call.stage == PlanCallStage::Open)?;
    let session = open.session_id.clone()?;
    (desk.env.now() < open.expires_at && desk.provider.is_open(&session)).then_some(session)
}

async fn act(desk: &mut Desk, declining: &mut bool, step: Done) {
    // Whoever has never been at the provider has nothing to change there.
    let is_known = desk.rows.kept.shop.rows().accounts.iter().any(|account| account.customer_id.is_some());
    match step {
        // A refusal is an answer, too.
        Done::Upgrade(plan) => drop(desk.upgrade(&wish(plan)).await),
        Done::WithCoupon(plan) => {
            let wish = PlanWish { coupon_code: Some("summer".to_owned()), ..wish(plan) };
            drop(desk.upgrade(&wish).await);
        }
        Done::Downgrade(plan) if is_known => drop(desk.downgrade(plan).await),
        Done::Cancel(immediately) if is_known => drop(desk.cancel(immediately).await),
        Done::Resume if is_known => drop(desk.resume().await),
        Done::PutOnFile if is_known => drop(desk.provider.put_on_file(&desk.customer())),
        Done::PayPage if !*declining => {
            if let Some(session) = open_page(desk) {
                desk.provider.finish_page(&session, true);
            }
        }
        Done::Losing(loses) => desk.provider.set_losing_answers(loses),
        Done::Declining(declines) => {
            *declining = declines;
            desk.provider.set_declining(declines.then_some("insufficient_funds"));
        }
        Done::Minutes(minutes) => desk.advance(Duration::minutes(minutes)),
        Done::Schedule => schedule(desk).await,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_events_in_any_order_doubled_or_missing_end_in_the_state_of_the_provider(steps in heard()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut desk, mut late) = (Desk::paying("starter").await, VecDeque::new());
            for step in steps {
                hear(&mut desk, &mut late, step).await;
                sound(&mut desk).await;
            }
            // The last event may have been missed: the schedule asks.
            desk.sync().await;
            agrees(&mut desk).await;
        });
    }

    #[test]
    fn whatever_a_tenant_does_and_whichever_answer_is_lost_it_pays_for_one_subscription(steps in done()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut desk, mut declining) = (Desk::new(0), false);
            make_coupon(&mut desk).await;
            for step in steps {
                act(&mut desk, &mut declining, step).await;
                sound(&mut desk).await;
                let (uses, discounted) = used(&desk);
                assert!(uses <= 1 && discounted <= 1, "{uses} uses, {discounted} invoices");
                if let Some(customer) = desk.provider.customer(&desk.tenant.to_string()) {
                    let running = desk.provider.running_of(&customer);
                    assert!(running <= 1, "{running} subscriptions are paid for");
                }
            }
            // Once answers come again, nothing is left under way, and what is stored is what the provider has.
            desk.provider.set_losing_answers(false);
            for _ in 0..2 {
                desk.advance(Duration::minutes(70));
                schedule(&mut desk).await;
            }
            assert_eq!(desk.rows.kept.shop.clone().under_way(desk.tenant).await.unwrap(), None);
            let is_known = desk.rows.kept.shop.rows().accounts.iter().any(|one| one.customer_id.is_some());
            let (uses, discounted) = used(&desk);
            assert!(discounted as u64 <= uses, "what is taken off is counted");
            if is_known {
                desk.sync().await;
                agrees(&mut desk).await;
            }
        });
    }
}
