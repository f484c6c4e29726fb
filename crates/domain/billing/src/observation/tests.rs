mod money;

use std::collections::BTreeSet;

use portico_kernel::{Fault, Meter, Money, TenantId};

use super::{
    desk::{Desk, wish},
    *,
};
use crate::{
    paid::{GRACE, PriceReference},
    plan::BillingInterval,
    plan_call::PlanCallKind,
    plan_change::{PlanPreviews, PlanWish, Remedy, is_prorated},
    ports::BillingRepositories,
    subscription_provider::{NewChange, NewPrice, SubscriptionProvider},
    tenant_subscription::Package,
};

fn code(error: &BillingError) -> &'static str {
    error.code()
}

/// Sums of the ledger by account.
fn balance(desk: &Desk, account: &str) -> i64 {
    let rows = desk.rows.kept.shop.rows();
    let entries = rows.booked.iter().flat_map(|(_, booked)| booked.entries());
    entries.filter(|entry| entry.account.as_str() == account).map(|entry| entry.amount).sum()
}

#[tokio::test]
async fn a_whole_life() {
    let (mut desk, mut seen) = (Desk::new(14), 0);
    // A trial, without a card.
    let page = desk.upgrade(&wish("starter")).await.unwrap().page();
    assert_eq!(desk.shown().await.plan, "free", "nothing is in force before the page is finished");
    desk.provider.finish_page(&page.session_id, false);
    desk.sync().await;
    let shown = desk.shown().await;
    assert_eq!((shown.plan.as_str(), shown.status), ("starter", SubscriptionStatus::Trialing));
    assert_eq!(shown.trial_ends_at, Some(desk.env.now() + Duration::days(14)));
    assert_eq!(desk.news(&mut seen), ["subscription.change_requested", "subscription.started"]);
    let package = Package::from(shown);
    let end = Some(desk.env.now() + Duration::days(14));
    assert_eq!((package.renews_at, package.expires_at), (None, end), "nothing is on file");

    // Paid once the trial is over.
    desk.provider.put_on_file(&desk.customer());
    desk.advance(Duration::days(15));
    desk.look_after().await;
    let shown = desk.shown().await;
    assert_eq!((shown.status, shown.trial_ends_at), (SubscriptionStatus::Active, None));
    assert_eq!(desk.news(&mut seen), ["invoice.paid", "subscription.trial_ended"]);
    assert_eq!(balance(&desk, "revenue:subscriptions"), -1200);

    // An upgrade is charged for the rest of the period.
    let shown = desk.upgrade(&wish("professional")).await.unwrap().shown();
    assert_eq!((shown.plan.as_str(), shown.status), ("professional", SubscriptionStatus::Active));
    let charged = -balance(&desk, "revenue:subscriptions") - 1200;
    assert!((1_600..1_700).contains(&charged), "30 of 31 days of 17 dollars: {charged}");
    assert_eq!(
        desk.news(&mut seen),
        ["subscription.change_requested", "invoice.paid", "subscription.updated"]
    );

    // A renewal fails, and the owners are reminded on days 1, 3 and 7.
    desk.provider.set_declining(Some("expired_card"));
    desk.advance(Duration::days(30));
    desk.look_after().await;
    let shown = desk.shown().await;
    assert_eq!((shown.plan.as_str(), shown.status), ("professional", SubscriptionStatus::PastDue));
    assert_eq!(shown.grace_ends_at, Some(desk.env.now() + GRACE));
    assert_eq!(desk.news(&mut seen), ["subscription.payment_failed"]);
    assert_eq!(code(&desk.upgrade(&wish("enterprise")).await.unwrap_err()), "payment_overdue");
    let mut days = Vec::new();
    for day in 1_i64..=8 {
        desk.advance(Duration::DAY);
        desk.look_after().await;
        if !desk.news(&mut seen).is_empty() {
            days.push(day);
        }
    }
    assert_eq!(days, REMINDER_DAYS);
    let told: Vec<_> = desk
        .rows
        .kept
        .events()
        .into_iter()
        .filter_map(|event| PaymentReminder::deserialize(event.after?).ok())
        .map(|reminder| (reminder.day, reminder.plan))
        .collect();
    assert_eq!(told, REMINDER_DAYS.map(|day| (day, "professional".to_owned())));

    // The payment comes.
    desk.provider.set_declining(None);
    desk.advance(Duration::days(2));
    desk.sync().await;
    let shown = desk.shown().await;
    assert_eq!((shown.status, shown.grace_ends_at), (SubscriptionStatus::Active, None));
    assert_eq!(desk.news(&mut seen), ["invoice.paid", "subscription.recovered"]);
    assert_eq!((desk.account().past_due_since, desk.account().reminders), (None, 0));
    let recovered = desk.rows.kept.events().last().and_then(|event| event.after.clone()).unwrap();
    assert_eq!(recovered["reminders"], REMINDER_DAYS.len(), "how often the owners were reminded");

    // A downgrade waits for the end of the period.
    let shown = desk.downgrade("starter").await.unwrap();
    let pending = shown.pending_change.clone().unwrap();
    assert_eq!((shown.plan.as_str(), pending.plan.as_str()), ("professional", "starter"));
    assert_eq!(pending.at, shown.current_period_end);
    assert_eq!(code(&desk.upgrade(&wish("enterprise")).await.unwrap_err()), "change_scheduled");
    assert_eq!(desk.news(&mut seen), ["subscription.change_requested", "subscription.updated"]);
    desk.advance(Duration::days(31));
    desk.look_after().await;
    let shown = desk.shown().await;
    assert_eq!((shown.plan.as_str(), shown.pending_change), ("starter", None));
    assert_eq!(desk.news(&mut seen), ["invoice.paid", "subscription.updated"]);

    // It ends, and the free plan follows.
    let shown = desk.cancel(false).await.unwrap();
    assert_eq!((shown.plan.as_str(), shown.cancel_at), ("starter", Some(shown.current_period_end)));
    assert_eq!(Package::from(shown.clone()).expires_at, shown.cancel_at);
    let events = desk.rows.kept.events();
    assert_eq!(events.last().unwrap().after.as_ref().unwrap()["reason"], "We close");
    desk.advance(Duration::days(31));
    desk.look_after().await;
    let shown = desk.shown().await;
    assert_eq!((shown.plan.as_str(), shown.status), ("free", SubscriptionStatus::Active));
    assert_eq!((shown.interval, shown.provider), (None, None));
    assert_eq!(
        desk.news(&mut seen),
        ["subscription.change_requested", "subscription.updated", "subscription.ended"]
    );
    assert_eq!(desk.account().check_at, None, "there is nothing to ask about any more");

    // And again, with what is on file and without another trial.
    let shown = desk.upgrade(&wish("starter")).await.unwrap().shown();
    assert_eq!((shown.plan.as_str(), shown.status), ("starter", SubscriptionStatus::Active));
    let moves = desk.rows.kept.events();
    let moves = moves.iter().filter(|event| event.kind.as_str().starts_with("subscription."));
    for event in moves.filter(|event| event.before.is_some()) {
        assert_ne!(event.before, event.after, "{:?}", event.kind);
    }
    assert_eq!(balance(&desk, "provider:stripe:balance") + balance(&desk, "revenue:subscriptions"), 0);

    // What was paid for, without the trial and without the late payment; and money of each plan is about that plan.
    let rows = desk.rows.kept.shop.rows();
    let text = |price: &Option<PriceReference>| price.as_ref().map_or("-".to_owned(), ToString::to_string);
    let changes: Vec<_> = rows.changes.iter().map(|change| (text(&change.from), text(&change.to))).collect();
    let (starter, professional) = ("starter-1-month", "professional-1-month");
    let expected =
        [("-", starter), (starter, professional), (professional, starter), (starter, "-"), ("-", starter)];
    assert_eq!(changes, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
    let entries = rows.booked.iter().flat_map(|(_, booked)| booked.entries());
    let subjects: BTreeSet<String> =
        entries.filter_map(|entry| Some(entry.subject.as_ref()?.to_string())).collect();
    assert_eq!(subjects.into_iter().collect::<Vec<_>>(), ["plan:professional", "plan:starter"]);
}

#[tokio::test]
async fn an_upgrade_that_is_declined_changes_nothing() {
    let mut desk = Desk::paying("starter").await;
    let (before, invoices) = (desk.shown().await, desk.provider.invoices_of(&desk.customer()));
    desk.provider.set_declining(Some("insufficient_funds"));
    let error = desk.upgrade(&wish("professional")).await.unwrap_err();
    assert_eq!(code(&error), "payment_failed");
    assert_eq!(error.members(), [("declineCode", "insufficient_funds".into())]);
    assert_eq!(desk.shown().await, before);
    assert_eq!(desk.provider.invoices_of(&desk.customer()), invoices);
    // Another try is another call.
    desk.provider.set_declining(None);
    assert_eq!(desk.upgrade(&wish("professional")).await.unwrap().shown().plan, "professional");
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_made_once() {
    let mut desk = Desk::paying("starter").await;
    desk.provider.set_losing_answers(true);
    let lost = desk.upgrade(&wish("professional")).await.unwrap_err();
    assert_eq!(code(&lost), "payment_provider_unavailable");
    let paid = desk.provider.invoices_of(&desk.customer()).len();
    desk.provider.set_losing_answers(false);
    let call = desk.rows.kept.shop.rows().calls.last().cloned().unwrap();
    assert_eq!((call.kind, call.stage), (PlanCallKind::Change, PlanCallStage::Calling));
    // Whoever asks for something else meanwhile waits.
    assert_eq!(code(&desk.upgrade(&wish("enterprise")).await.unwrap_err()), "change_in_progress");
    // The same again is the same call, which the provider has carried out.
    assert_eq!(desk.upgrade(&wish("professional")).await.unwrap().shown().plan, "professional");
    assert_eq!(desk.provider.invoices_of(&desk.customer()).len(), paid);
    assert_eq!(code(&desk.upgrade(&wish("professional")).await.unwrap_err()), "already_on_plan");
    assert_eq!(desk.upgrade(&wish("enterprise")).await.unwrap().shown().plan, "enterprise");
}

#[tokio::test]
async fn a_page_is_shown_again_and_another_wish_replaces_it() {
    let mut desk = Desk::new(0);
    let first = desk.upgrade(&wish("starter")).await.unwrap().page();
    assert_eq!(desk.upgrade(&wish("starter")).await.unwrap().page(), first);
    let second = desk.upgrade(&wish("professional")).await.unwrap().page();
    assert_ne!(second, first);
    desk.provider.finish_page(&second.session_id, true);
    desk.sync().await;
    assert_eq!(desk.shown().await.plan, "professional");
    assert_eq!(desk.rows.plan_calls().under_way(desk.tenant).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_wished_for_must_be_on_offer() {
    let mut desk = Desk::paying("starter").await;
    desk.rows.plans[3].is_public = false;
    for (plan, interval, expected) in [
        ("gold", None, "invalid"),
        ("enterprise", None, "invalid"),
        ("", None, "invalid"),
        ("starter", None, "already_on_plan"),
        ("starter", Some(BillingInterval::Month), "already_on_plan"),
        ("free", None, "not_an_upgrade"),
    ] {
        let wish = PlanWish { interval, ..wish(plan) };
        assert_eq!(code(&desk.upgrade(&wish).await.unwrap_err()), expected, "{plan}");
    }
    assert_eq!(code(&desk.downgrade("starter").await.unwrap_err()), "already_on_plan");
    assert_eq!(code(&desk.downgrade("professional").await.unwrap_err()), "not_a_downgrade");
    desk.rows.plans[2].prices.truncate(1);
    let by_year = PlanWish { interval: Some(BillingInterval::Year), ..wish("professional") };
    let Err(BillingError::Invalid(errors)) = desk.upgrade(&by_year).await else {
        panic!("not sold by the year")
    };
    assert_eq!((errors[0].field.as_str(), &*errors[0].code), ("interval", "not_offered"));
    let late = PlanWish { proration_date: Some(desk.env.now() - Duration::hours(2)), ..wish("professional") };
    let Err(BillingError::Invalid(errors)) = desk.upgrade(&late).await else { panic!("an old preview") };
    assert_eq!(errors[0].field, "prorationDate");
    let mut nothing = Desk::new(0);
    let (empty, no_address) = (Some(String::new()), Some("/billing".to_owned()));
    let odd = PlanWish { success_url: empty, cancel_url: no_address, ..wish("starter") };
    let Err(BillingError::Invalid(errors)) = nothing.upgrade(&odd).await else { panic!("no way back") };
    assert_eq!(errors.len(), 2);
    let unnamed = PlanWish { success_url: None, cancel_url: None, ..wish("starter") };
    nothing.upgrade(&unnamed).await.unwrap().page();
    let call = nothing.rows.kept.shop.rows().calls.last().unwrap().clone();
    let home = Desk::rule().home;
    assert_eq!((call.success_url, call.cancel_url), (Some(home.paid), Some(home.canceled)));
}

#[tokio::test]
async fn who_pays_for_a_year_upgrades_and_a_new_period_begins() {
    let mut desk = Desk::paying("starter").await;
    desk.advance(Duration::days(10));
    let by_year = PlanWish { interval: Some(BillingInterval::Year), ..wish("starter") };
    let shown = desk.upgrade(&by_year).await.unwrap().shown();
    assert_eq!((shown.interval, shown.current_period_start), (Some(BillingInterval::Year), desk.env.now()));
    assert!(shown.current_period_end - desk.env.now() >= Duration::days(365));
    // Back to months waits for the end of the year.
    let month = PlanWish { interval: Some(BillingInterval::Month), ..wish("starter") };
    assert_eq!(code(&desk.upgrade(&month).await.unwrap_err()), "not_an_upgrade");
}

#[tokio::test]
async fn what_a_preview_shows_is_charged() {
    let mut desk = Desk::paying("starter").await;
    desk.advance(Duration::days(12));
    let now = desk.env.now();
    desk.rows.used.insert(Meter::Sites, 12);
    let assessment =
        PlanPreviews::new(&mut desk.rows, &desk.scope).assess(&wish("professional"), now).await.unwrap();
    assert!(is_prorated(&assessment));
    assert_eq!((assessment.over_limit[0].used, assessment.over_limit[0].limit), (12, 10));
    assert_eq!(assessment.over_limit[0].remedy, Remedy::Remove);
    let running = desk.account().running().cloned().unwrap();
    let change = NewChange {
        subscription_id: running.id,
        coupon_id: None,
        price_id: desk
            .provider
            .price(&NewPrice {
                reference: "professional-1-month".to_owned(),
                description: "Professional".to_owned(),
                amount: Money { amount: 2900, currency: "usd".to_owned() },
                interval: BillingInterval::Month,
            })
            .await
            .unwrap(),
        prorated_at: now,
    };
    let quote = desk.provider.quote(&change).await.unwrap();
    desk.advance(Duration::minutes(20));
    let agreed = PlanWish { proration_date: Some(now), ..wish("professional") };
    desk.upgrade(&agreed).await.unwrap();
    assert_eq!(desk.provider.invoices_of(&desk.customer())[0].amount_paid, quote.amount_due.amount);
    // A cancellation costs nothing, and takes hold at the end.
    let free = PlanPreviews::new(&mut desk.rows, &desk.scope).assess(&wish("free"), now).await.unwrap();
    let preview = free.preview(now);
    assert_eq!((preview.amount_due, preview.effective_at), (0, desk.shown().await.current_period_end));
}

#[tokio::test]
async fn an_end_and_a_change_to_come_are_taken_back() {
    let mut desk = Desk::paying("professional").await;
    assert_eq!(code(&desk.resume().await.unwrap_err()), "nothing_to_resume");
    assert!(desk.cancel(false).await.unwrap().cancel_at.is_some());
    assert_eq!(code(&desk.upgrade(&wish("enterprise")).await.unwrap_err()), "change_scheduled");
    assert_eq!(code(&desk.downgrade("starter").await.unwrap_err()), "change_scheduled");
    assert_eq!(desk.resume().await.unwrap().cancel_at, None);
    assert!(desk.downgrade("starter").await.unwrap().pending_change.is_some());
    assert_eq!(desk.resume().await.unwrap().pending_change, None);
    desk.advance(Duration::days(40));
    desk.look_after().await;
    assert_eq!(desk.shown().await.plan, "professional");
    assert_eq!(desk.cancel(true).await.unwrap().plan, "free");
    assert_eq!(code(&desk.cancel(true).await.unwrap_err()), "no_subscription");
    assert_eq!(code(&desk.resume().await.unwrap_err()), "no_subscription");
}

#[tokio::test]
async fn what_is_not_paid_for_falls_after_the_grace_and_nothing_else_is_touched() {
    let mut desk = Desk::paying("starter").await;
    desk.rows.used.insert(Meter::Sites, 3);
    desk.provider.set_declining(Some("expired_card"));
    for _ in 0..45 {
        desk.advance(Duration::DAY);
        desk.look_after().await;
    }
    let shown = desk.shown().await;
    assert_eq!((shown.plan.as_str(), shown.status), ("free", SubscriptionStatus::Active));
    assert_eq!(desk.rows.used[&Meter::Sites], 3, "what is there stays");
    let kinds: Vec<_> = desk.rows.kept.events().iter().map(|event| event.kind.as_str().to_owned()).collect();
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert_eq!(count("subscription.payment_failed"), 1);
    assert_eq!(count("subscription.payment_overdue"), REMINDER_DAYS.len());
    assert_eq!(count("subscription.ended"), 1);
}

#[tokio::test]
async fn a_trial_without_a_card_ends_on_the_free_plan_and_there_is_no_second_one() {
    let mut desk = Desk::new(14);
    let page = desk.upgrade(&wish("starter")).await.unwrap().page();
    desk.provider.finish_page(&page.session_id, false);
    desk.sync().await;
    desk.advance(Duration::days(15));
    desk.look_after().await;
    assert_eq!(desk.shown().await.plan, "free");
    let last = desk.rows.kept.events().pop().unwrap();
    assert_eq!(last.kind.as_str(), "subscription.trial_ended");
    desk.upgrade(&wish("starter")).await.unwrap().page();
    assert_eq!(desk.rows.kept.shop.rows().calls.last().unwrap().trial_days, 0);
}

#[tokio::test]
async fn what_staff_have_granted_stays_until_what_is_paid_changes() {
    let mut desk = Desk::paying("starter").await;
    if let Some(plan) = desk.rows.plan.lock().unwrap().as_mut() {
        plan.plan = "enterprise".to_owned();
    }
    desk.advance(Duration::days(32));
    desk.look_after().await;
    assert_eq!(desk.shown().await.plan, "enterprise");
    desk.cancel(true).await.unwrap();
    assert_eq!(desk.shown().await.plan, "free");
}

#[tokio::test]
async fn an_end_waits_for_a_change_that_nobody_got_an_answer_to() {
    let mut desk = Desk::paying("professional").await;
    desk.provider.set_losing_answers(true);
    assert_eq!(code(&desk.downgrade("starter").await.unwrap_err()), "payment_provider_unavailable");
    desk.provider.set_losing_answers(false);
    // Taken back now, the same would be made again with the same key: the provider would answer what it did before, and do nothing.
    assert_eq!(code(&desk.resume().await.unwrap_err()), "change_in_progress");
    for immediately in [true, false] {
        assert_eq!(code(&desk.cancel(immediately).await.unwrap_err()), "change_in_progress");
    }
    assert!(desk.downgrade("starter").await.unwrap().pending_change.is_some());
    assert_eq!(desk.resume().await.unwrap().pending_change, None);
    assert!(desk.downgrade("starter").await.unwrap().pending_change.is_some());
    assert_eq!(desk.cancel(true).await.unwrap().plan, "free");
}

#[tokio::test]
async fn the_subscription_of_a_deleted_tenant_is_to_be_ended() {
    let mut desk = Desk::paying("starter").await;
    *desk.rows.plan.lock().unwrap() = None;
    let running = desk.account().running().cloned().unwrap();
    assert_eq!(desk.sync().await, Observed::Orphaned(running.id.clone()));
    desk.provider.cancel(&running.id).await.unwrap();
    assert!(matches!(desk.sync().await, Observed::Stored(_)));
}

#[tokio::test]
async fn an_older_answer_does_not_replace_a_newer_one() {
    let mut desk = Desk::paying("starter").await;
    let (before, customer) = (desk.account(), desk.customer());
    let old = desk.provider.subscription(&customer).await.unwrap();
    desk.cancel(true).await.unwrap();
    let answer =
        Answer { revision: before.revision, subscription: old.as_ref(), is_deleted: false, invoices: &[] };
    let observed =
        Observations::new(&mut desk.rows, &desk.scope, &desk.env).observe(desk.tenant, answer).await;
    assert_eq!(observed.unwrap(), Observed::Stale);
    assert_eq!(desk.shown().await.plan, "free");
    let live = ProviderSubscription { live: true, ..old.unwrap() };
    let answer = Answer {
        revision: desk.account().revision,
        subscription: Some(&live),
        is_deleted: false,
        invoices: &[],
    };
    let refused =
        Observations::new(&mut desk.rows, &desk.scope, &desk.env).observe(desk.tenant, answer).await;
    assert!(matches!(refused, Err(BillingError::Payment(PaymentError::Refused(_)))));
    let unknown: TenantId = desk.env.new_id();
    let nobody = Observations::new(&mut desk.rows, &desk.scope, &desk.env).observe(unknown, answer).await;
    assert!(matches!(nobody, Err(BillingError::NoAccount)));
}

#[tokio::test]
async fn a_customer_that_the_provider_has_deleted_is_made_anew_with_the_next_upgrade() {
    let (mut desk, mut seen) = (Desk::paying("starter").await, 0);
    let (gone, key) = (desk.customer(), desk.account().keyed_at);
    desk.news(&mut seen);
    desk.advance(Duration::DAY);
    desk.provider.delete_customer(&gone);
    desk.sync().await;
    let shown = desk.shown().await;
    assert_eq!((shown.plan.as_str(), shown.interval, shown.provider), ("free", None, None));
    assert_eq!(desk.news(&mut seen), ["subscription.ended"]);
    let account = desk.account();
    assert_eq!(
        (account.customer_id, account.check_at),
        (None, None),
        "there is nothing to ask about any more"
    );
    assert!(account.keyed_at > key, "the call that makes the next one is another one");

    let page = desk.upgrade(&wish("professional")).await.unwrap().page();
    assert_ne!(desk.customer(), gone);
    desk.provider.finish_page(&page.session_id, true);
    desk.sync().await;
    assert_eq!(desk.shown().await.plan, "professional");
    assert_eq!(desk.provider.is_deleted(&desk.customer()).await, Ok(false));
    assert_eq!(desk.provider.is_deleted("cus_of_others").await, Ok(false));
}
