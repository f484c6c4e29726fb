//! `portico_billing::ports::MeterRepository`: billing periods, days and notices.

use portico_billing::{
    overage::Overage,
    period::Period,
    ports::BillingRepositories,
    subscription::SubscriptionStatus,
    thresholds::{Notice, Threshold},
};
use portico_kernel::{Env, Meter, TenantId, Timestamp, name::Subdomain};
use portico_sites::{
    analytics::{Traffic, VisitBatch},
    ports::SiteRepositories,
    site::{Site, SiteStatus},
};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::{Date, Duration};

use crate::fixtures::{at_once, stored_tenant, subscribe};

/// The period that runs at a time, of a tenant whose first one began at another.
fn period(anchor: Timestamp, at: Timestamp) -> Period {
    Period::of(anchor, at)
}

async fn used(store: &SqlStore, tenant: TenantId, meter: Meter, period: Period) -> u64 {
    store.reader().meters().used(tenant, meter, period).await.unwrap()
}

async fn days(store: &SqlStore, tenant: TenantId, from: Date, to: Date) -> Vec<(Date, Meter, u64)> {
    let mut days = store.reader().meters().days(tenant, from, to).await.unwrap();
    days.sort_unstable();
    days
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_on_a_day_is_counted_in_the_period() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let (meter, running) = (Meter::AiGenerations, period(env.now(), env.now()));
        let first = env.now().into_inner().date();
        let second = first.next_day().unwrap();
        let mut work = store.begin().await.unwrap();
        let mut meters = work.meters();
        assert!(!meters.add_on_day(tenant, meter, running, first, 4, Some(3)).await.unwrap(), "at once");
        assert!(meters.add_on_day(tenant, meter, running, first, 2, Some(3)).await.unwrap());
        assert!(!meters.add_on_day(tenant, meter, running, first, 2, Some(3)).await.unwrap());
        assert!(meters.add_on_day(tenant, meter, running, second, 1, Some(3)).await.unwrap());
        assert!(!meters.add_on_day(tenant, meter, running, second, 1, Some(3)).await.unwrap());
        assert!(meters.add_on_day(tenant, meter, running, second, 4, None).await.unwrap());
        meters.subtract_on_day(tenant, meter, running, first, 1).await.unwrap();
        drop(meters);
        work.commit().await.unwrap();
        assert_eq!(used(store, tenant, meter, running).await, 6);
        let both = [(first, meter, 1), (second, meter, 5)];
        assert_eq!(days(store, tenant, first, second).await, both, "a refusal changes no day");
        assert_eq!(days(store, tenant, second, second).await, both[1..]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_at_once_on_a_day_as_many_fit_as_the_period_has_room_for() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let (running, day) = (period(env.now(), env.now()), env.now().into_inner().date());
        let added = at_once(store, 64, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let added =
                work.meters().add_on_day(tenant, Meter::AiGenerations, running, day, 1, Some(3)).await;
            work.commit().await.unwrap();
            added.unwrap()
        })
        .await;
        assert_eq!(added.into_iter().filter(|added| *added).count(), 3);
        assert_eq!(used(store, tenant, Meter::AiGenerations, running).await, 3);
        assert_eq!(days(store, tenant, day, day).await, [(day, Meter::AiGenerations, 3)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_traffic_belongs_to_the_period_that_begins_on_it() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        // Periods begin at ten in the morning of this day.
        let anchor = env.now() + Duration::hours(10);
        let start = anchor.into_inner().date();
        let next = start.replace_month(time::Month::February).unwrap();
        let mut batch = VisitBatch::new(&env);
        for (day, bytes) in [
            (start.previous_day().unwrap(), 1),
            (start, 10),
            (next.previous_day().unwrap(), 100),
            (next, 1000),
        ] {
            batch.traffic.insert((tenant, day), Traffic { answers: 1, bytes });
        }
        let mut work = store.begin().await.unwrap();
        assert!(work.visits().store(&batch).await.unwrap());
        work.commit().await.unwrap();
        for (at, bytes) in [(anchor - Duration::DAY, 1), (anchor, 110), (anchor + Duration::days(40), 1000)] {
            let period = period(anchor, at);
            assert_eq!(used(store, tenant, Meter::Bandwidth, period).await, bytes, "{period:?}");
            let all = store.reader().meters().used_of_all(tenant, &[(Meter::Bandwidth, period)]).await;
            assert_eq!(all.unwrap(), [bytes], "{period:?}");
        }
        let known = days(store, tenant, start, next).await;
        assert_eq!(known.iter().map(|(_, _, bytes)| *bytes).collect::<Vec<_>>(), [10, 100, 1000]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_day_is_recorded_once_and_where_something_changed() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        for tenant in [ours, theirs] {
            subscribe(store, &env, tenant, "starter", SubscriptionStatus::Active).await;
        }
        let first = env.now().into_inner().date();
        let day = |number: i64| first + Duration::days(number);
        let sites = async |amount: u64| {
            let mut work = store.begin().await.unwrap();
            work.meters().add(ours, Meter::Sites, Period::Standing, amount, None).await.unwrap();
            work.commit().await.unwrap();
        };
        let record = |number| {
            at_once(store, 8, move |store, _| async move {
                let mut work = store.begin().await.unwrap();
                let done = work.meters().record_day(first + Duration::days(number)).await.unwrap();
                work.commit().await.unwrap();
                done
            })
        };
        sites(1).await;
        assert_eq!(record(0).await.into_iter().filter(|done| *done).count(), 1);
        record(1).await;
        sites(2).await;
        record(2).await;
        let of_sites = async |from, to| -> Vec<(Date, u64)> {
            let days = days(store, ours, from, to).await;
            days.into_iter()
                .filter(|(_, meter, _)| *meter == Meter::Sites)
                .map(|(day, _, used)| (day, used))
                .collect()
        };
        assert_eq!(of_sites(day(0), day(3)).await, [(day(0), 1), (day(2), 3)]);
        assert_eq!(of_sites(day(1), day(1)).await, [(day(1), 1)], "as it was before");
        assert_eq!(of_sites(day(2), day(3)).await, [(day(2), 3)]);
        assert_eq!(of_sites(day(-2), day(-1)).await, [], "nothing is known");
        // The others have a first record, too.
        let standing = Meter::ALL.into_iter().filter(|meter| !meter.is_monthly());
        let none: Vec<_> = standing.map(|meter| (day(5), meter, 0)).collect();
        assert_eq!(days(store, theirs, day(5), day(9)).await, none);
        // Nobody recorded it later again with what there is by then.
        sites(1).await;
        assert_eq!(record(2).await.into_iter().filter(|done| *done).count(), 0);
        assert_eq!(of_sites(day(2), day(2)).await, [(day(2), 3)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_who_note_a_threshold_one_tells() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let running = period(env.now(), env.now());
        let next = period(env.now(), env.now() + Duration::days(31));
        let notice = |threshold, period| Notice { meter: Meter::AiGenerations, threshold, period };
        let noted = async |tenant, notice: Notice| {
            let outcomes = at_once(store, 64, move |store, _| async move {
                let mut work = store.begin().await.unwrap();
                let noted = work.meters().note(tenant, &notice).await.unwrap();
                work.commit().await.unwrap();
                noted
            });
            outcomes.await.into_iter().filter(|noted| *noted).count()
        };
        for (tenant, notice, tellers) in [
            (ours, notice(Threshold::Warning, running), 1),
            (ours, notice(Threshold::Warning, running), 0),
            (ours, notice(Threshold::Exhausted, running), 1),
            (ours, notice(Threshold::Warning, next), 1),
            (theirs, notice(Threshold::Warning, running), 1),
        ] {
            assert_eq!(noted(tenant, notice).await, tellers, "{notice:?}");
        }
        let mut work = store.begin().await.unwrap();
        let mut known = work.meters().notices(ours).await.unwrap();
        known.sort_unstable_by_key(|notice| notice.threshold);
        assert_eq!(known, [notice(Threshold::Warning, next), notice(Threshold::Exhausted, running)]);
        // Only as it was found.
        work.meters().forget_notice(ours, &notice(Threshold::Warning, running)).await.unwrap();
        work.meters().forget_notice(ours, &notice(Threshold::Exhausted, running)).await.unwrap();
        assert_eq!(work.meters().notices(ours).await.unwrap(), [notice(Threshold::Warning, next)]);
        assert_eq!(work.meters().notices(theirs).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn used_up_bandwidth_is_stored_with_the_subscription() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        subscribe(store, &env, tenant, "starter", SubscriptionStatus::Active).await;
        let until = env.now() + Duration::days(3);
        for until in [Some(until), None] {
            let mut work = store.begin().await.unwrap();
            work.subscriptions().set_bandwidth_spent(tenant, until).await.unwrap();
            work.commit().await.unwrap();
            let allowance = store.reader().subscriptions().allowance(tenant).await.unwrap().unwrap();
            assert_eq!((allowance.bandwidth_spent_until, allowance.period_anchor), (until, env.now()));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_calendar_months_move_to_billing_periods_and_back() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let (meter, new_year) = (Meter::AiGenerations, env.now());
        let anchor = env.clock.advance(Duration::days(9));
        subscribe(store, &env, tenant, "starter", SubscriptionStatus::Active).await;
        let mut work = store.begin().await.unwrap();
        for (year, month, uses) in [(2026, 2, 3), (2026, 3, 5)] {
            work.meters().add(tenant, meter, Period::Month { year, month }, uses, None).await.unwrap();
        }
        work.commit().await.unwrap();
        let all = store.migration_status().await.unwrap();
        let place = all.iter().position(|one| one.name.contains("billing_periods")).unwrap();
        let steps = u32::try_from(all.len() - place).unwrap();
        for _ in 0..2 {
            store.migrate_down(steps).await.unwrap();
            store.migrate().await.unwrap();
            // Each is in the period that ran at the beginning of its month; the subscription began on the tenth of January.
            for (days, uses) in [(31, 3), (59, 5)] {
                let period = period(anchor, new_year + Duration::days(days));
                assert_eq!(used(store, tenant, meter, period).await, uses, "{period:?}");
            }
        }
    })
    .await;
}

/// A site that is not stored yet.
pub fn site_of(env: &Env, tenant_id: TenantId, subdomain: &str) -> Site {
    Site {
        id: env.new_id(),
        tenant_id,
        name: subdomain.to_owned(),
        subdomain: Subdomain::trusted(subdomain.to_owned()),
        custom_domain: None,
        status: SiteStatus::Draft,
        live_deployment_id: None,
        language: "en".to_owned(),
        industry: None,
        look: None,
        price: None,
        over_limit: false,
        created_at: env.now(),
        updated_at: env.now(),
        version: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_sites_are_noted_once_and_only_as_they_were_found() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        for (tenant, plan) in [(ours, "starter"), (theirs, "professional")] {
            subscribe(store, &env, tenant, plan, SubscriptionStatus::Active).await;
        }
        let overage = async |tenant: TenantId| {
            store.reader().subscriptions().allowance(tenant).await.unwrap().unwrap().overage
        };
        let since = env.now() + Duration::microseconds(123_450);
        let (first, lower) = (Overage { since, limit: 3 }, Overage { since: env.now(), limit: 0 });
        assert_eq!(overage(ours).await, None);
        for (before, after) in [(None, Some(first)), (Some(first), Some(lower)), (Some(lower), None)] {
            let noted = at_once(store, 8, |store, _| async move {
                let mut work = store.begin().await.unwrap();
                let is_first = work.subscriptions().set_overage(ours, before, after).await.unwrap();
                work.commit().await.unwrap();
                is_first
            })
            .await;
            assert_eq!(noted.iter().filter(|is_first| **is_first).count(), 1, "{after:?}");
            assert_eq!((overage(ours).await, overage(theirs).await), (after, None));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_with_too_many_sites_are_listed_piece_by_piece() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut noted: Vec<TenantId> = Vec::new();
        for name in ["one", "two", "three", "four"] {
            let tenant = stored_tenant(store, &env, name).await.id;
            subscribe(store, &env, tenant, &format!("plan-{name}"), SubscriptionStatus::Active).await;
            noted.push(tenant);
        }
        let fine = noted.remove(0);
        let overage = Some(Overage { since: env.now(), limit: 1 });
        let mut work = store.begin().await.unwrap();
        for tenant in &noted {
            assert!(work.subscriptions().set_overage(*tenant, None, overage).await.unwrap());
        }
        work.commit().await.unwrap();
        noted.sort_unstable();
        let after = async |after: Option<TenantId>, limit: u64| {
            store.reader().subscriptions().over_limit(after, limit).await.unwrap()
        };
        assert_eq!(after(None, 10).await, noted);
        assert_eq!(after(None, 2).await, noted[..2]);
        assert_eq!(after(Some(noted[1]), 2).await, noted[2..]);
        assert_eq!(after(Some(noted[2]), 2).await, []);

        // A mark of a site without a note, as a check leaves it that a larger plan came before: listed once, like all others.
        let site = site_of(&env, fine, "shop");
        let mut work = store.begin().await.unwrap();
        work.sites().insert(&site).await.unwrap();
        for tenant in [fine, noted[0]] {
            work.sites().set_over_limit(tenant, Some(0)).await.unwrap();
        }
        work.commit().await.unwrap();
        noted.push(fine);
        noted.sort_unstable();
        assert_eq!(after(None, 10).await, noted);
    })
    .await;
}
