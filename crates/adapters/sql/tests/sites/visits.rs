//! [`portico_sites::ports::VisitRepository`].

use std::collections::BTreeSet;

use portico_billing::{period::Period, ports::BillingRepositories};
use portico_kernel::{Meter, SiteId, TenantId};
use portico_sites::{
    analytics::{Counts, Dimension, MAX_NAMES, OTHER, SiteDay, Traffic, VisitBatch},
    ports::SiteRepositories,
    site::Site,
};
use portico_testkit::{TestDatabase, env, on_each_database};
use time::{Date, Duration, macros::date};

use crate::fixture::Fixture;

const DAY: Date = date!(2026 - 01 - 01);

/// Visits of a site by visitors of these numbers, each of them once.
fn visits(site: &Site, day: Date, visitors: impl IntoIterator<Item = u8>) -> (SiteDay, Counts) {
    let visitors: BTreeSet<_> = visitors.into_iter().map(|number| [number; 16]).collect();
    let count = visitors.len() as u64;
    let names =
        [((Dimension::Page, "/".to_owned()), count), ((Dimension::Device, "mobile".to_owned()), count)];
    (
        SiteDay { tenant: site.tenant_id, site: site.id, day },
        Counts { visits: count, visitors, names: names.into() },
    )
}

fn batch(number: u64, visits: impl IntoIterator<Item = (SiteDay, Counts)>) -> VisitBatch {
    let mut batch = VisitBatch::new(&env());
    batch.id = portico_kernel::Id::from_uuid(uuid(number));
    batch.sites = visits.into_iter().collect();
    batch
}

fn uuid(number: u64) -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::from(number))
}

async fn store(database: &TestDatabase, batch: &VisitBatch) -> bool {
    let mut work = database.store().begin().await.expect("a unit of work begins");
    let stored = work.visits().store(batch).await.expect("the batch is stored");
    work.commit().await.expect("it commits");
    stored
}

async fn day(database: &TestDatabase, site: &Site, day: Date) -> Option<(u64, u64)> {
    let mut reader = database.store().reader();
    let days = reader.visits().days(site.tenant_id, site.id, day, day).await.expect("days");
    days.first().map(|(_, visits, visitors)| (*visits, *visitors))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_one_salt_whoever_asks_first() {
    on_each_database(async |database| {
        let asked = (0..16u8).map(async |number| {
            let mut work = database.store().begin().await.unwrap();
            let salt = work.visits().salt(DAY, [number; 32]).await.unwrap();
            work.commit().await.unwrap();
            salt
        });
        let salts: BTreeSet<_> = futures_util::future::join_all(asked).await.into_iter().collect();
        assert_eq!(salts.len(), 1, "all have the same");
        let mut work = database.store().begin().await.unwrap();
        let tomorrow = work.visits().salt(DAY.next_day().unwrap(), [99; 32]).await.unwrap();
        assert_eq!(tomorrow, [99; 32], "each day has its own");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_add_up_and_a_batch_counts_once() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let next = DAY.next_day().unwrap();
        let first =
            batch(1, [visits(&site, DAY, [1, 2, 3]), visits(&site, next, [1]), visits(&other, DAY, [9])]);
        assert!(store(database, &first).await);
        assert!(!store(database, &first).await, "a batch that comes again");
        assert!(store(database, &batch(2, [visits(&site, DAY, [3, 4])])).await);
        assert_eq!(day(database, &site, DAY).await, Some((5, 4)));
        assert_eq!(day(database, &site, next).await, Some((1, 1)));
        assert_eq!(day(database, &other, DAY).await, Some((1, 1)));

        let mut reader = database.store().reader();
        let mut visits = reader.visits();
        let days = visits.days(ours, site.id, DAY, next).await.unwrap();
        assert_eq!(days, [(DAY, 5, 4), (next, 1, 1)]);
        assert_eq!(visits.days(theirs, site.id, DAY, next).await.unwrap(), []);
        let names = visits.names(ours, site.id, DAY, next, 10).await.unwrap();
        assert_eq!(names, [(Dimension::Device, "mobile".into(), 6), (Dimension::Page, "/".into(), 6)]);
        assert_eq!(visits.names(theirs, site.id, DAY, next, 10).await.unwrap(), []);
        assert_eq!(visits.names(ours, site.id, DAY, DAY, 10).await.unwrap()[0].2, 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_store_at_once_lose_and_double_nothing() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let mut sites = Vec::new();
        for name in ["a", "b", "c"] {
            sites.push(fixture.site(tenant, name).await);
        }
        // Sixteen batches, each of which comes twice; visitors 0 to 19 are in every one.
        let batches: Vec<_> =
            (0..16).map(|number| batch(number, sites.iter().map(|site| visits(site, DAY, 0..20)))).collect();
        let stored = batches.iter().chain(&batches).map(|batch| store(database, batch));
        let stored = futures_util::future::join_all(stored).await;
        assert_eq!(stored.into_iter().filter(|stored| *stored).count(), 16);
        for site in &sites {
            assert_eq!(day(database, site, DAY).await, Some((16 * 20, 20)));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_has_so_many_names_a_day_and_the_rest_are_others() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let site = fixture.site(tenant, "shop").await;
        let key = SiteDay { tenant, site: site.id, day: DAY };
        let named = |range: std::ops::Range<u64>| {
            let names =
                range.map(|number| ((Dimension::Referrer, format!("{number:04}.example")), 1)).collect();
            (key, Counts { visits: 1, names, ..Counts::default() })
        };
        // Two that store the same new names at once, and each more of its own than there is room for.
        let batches = [batch(1, [named(0..400)]), batch(2, [named(300..700)])];
        futures_util::future::join_all(batches.iter().map(|batch| store(database, batch))).await;
        // A name that is known goes on counting.
        let mut reader = database.store().reader();
        let known = reader.visits().names(tenant, site.id, DAY, DAY, 5000).await.unwrap();
        let (_, name, before) = known.iter().find(|(_, name, _)| name != OTHER).cloned().unwrap();
        let again = (
            key,
            Counts {
                visits: 1,
                names: [((Dimension::Referrer, name.clone()), 5)].into(),
                ..Counts::default()
            },
        );
        store(database, &batch(3, [again])).await;

        let names = reader.visits().names(tenant, site.id, DAY, DAY, 5000).await.unwrap();
        let named = names.iter().filter(|(_, name, _)| name != OTHER).count() as u64;
        assert_eq!(named, MAX_NAMES);
        let total: u64 = names.iter().map(|(_, _, visits)| visits).sum();
        assert_eq!(total, 805, "nothing is lost");
        assert!(names.contains(&(Dimension::Referrer, name, before + 5)));
        let most = reader.visits().names(tenant, site.id, DAY, DAY, 3).await.unwrap();
        assert_eq!((most.len(), most[0].1.as_str()), (3, OTHER), "the most frequent ones");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_gone_is_left_out() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let gone = Site { id: SiteId::from_uuid(uuid(77)), ..site.clone() };
        // The id of a site of ours under their tenant is no site either.
        let mixed = Site { tenant_id: theirs, ..site.clone() };
        let stored = [visits(&site, DAY, [1]), visits(&gone, DAY, [1]), visits(&mixed, DAY, [1])];
        assert!(store(database, &batch(1, stored)).await);
        assert_eq!(day(database, &site, DAY).await, Some((1, 1)));
        assert_eq!(day(database, &gone, DAY).await, None);
        assert_eq!(day(database, &mixed, DAY).await, None);
        // With its site everything goes.
        fixture.write(async |unit| unit.sites().delete(ours, site.id).await).await.unwrap();
        assert_eq!(day(database, &site, DAY).await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_site_and_storing_its_visits_do_not_block_each_other() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        for round in 0..8 {
            let site = fixture.site(tenant, &format!("shop-{round}")).await;
            store(database, &batch(1000 + round, [visits(&site, DAY, [1])])).await;
            let batches: Vec<_> =
                (0..4).map(|number| batch(round * 10 + number, [visits(&site, DAY, 2..60)])).collect();
            let stored = futures_util::future::join_all(batches.iter().map(|batch| store(database, batch)));
            let deleted = fixture.write(async |unit| unit.sites().delete(tenant, site.id).await);
            let (stored, deleted) = tokio::join!(stored, deleted);
            assert!(stored.into_iter().all(|stored| stored) && deleted.unwrap());
            assert_eq!(day(database, &site, DAY).await, None);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_is_counted_by_tenant_and_day() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        for (number, day, bytes) in [(1, DAY, 10), (2, DAY, 5), (3, DAY.next_day().unwrap(), 1)] {
            let mut sent = batch(number, []);
            sent.traffic.insert((ours, day), Traffic { answers: 2, bytes });
            store(database, &sent).await;
        }
        let mut reader = database.store().reader();
        let mut traffic =
            async |tenant: TenantId, to| reader.visits().traffic(tenant, DAY, to).await.unwrap();
        assert_eq!(traffic(ours, DAY).await, (4, 15));
        assert_eq!(traffic(ours, DAY.next_day().unwrap()).await, (6, 16));
        assert_eq!(traffic(theirs, DAY).await, (0, 0));
        // What counts against the plan is the month, and only that.
        let mut sent = batch(9, []);
        let (before, after) =
            (DAY.replace_day(1).unwrap().previous_day().unwrap(), DAY.replace_day(28).unwrap());
        for (day, bytes) in [(before, 1000), (after, 100)] {
            sent.traffic.insert((ours, day), Traffic { answers: 1, bytes });
        }
        store(database, &sent).await;
        let mut reader = database.store().reader();
        let month = Period::Month { year: DAY.year(), month: DAY.month().into() };
        assert_eq!(reader.meters().used(ours, Meter::Bandwidth, month).await.unwrap(), 116);
        assert_eq!(reader.meters().used(theirs, Meter::Bandwidth, month).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_counts_are_forgotten_and_what_leads_to_visitors_first() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let site = fixture.site(tenant, "shop").await;
        let next = DAY.next_day().unwrap();
        let mut all = batch(1, [visits(&site, DAY, [1]), visits(&site, next, [2])]);
        all.traffic.insert((tenant, DAY), Traffic { answers: 1, bytes: 1 });
        store(database, &all).await;
        for day in [DAY, next] {
            let mut work = database.store().begin().await.unwrap();
            work.visits().salt(day, [1; 32]).await.unwrap();
            work.commit().await.unwrap();
        }
        // 2026-01-02T00:59: the day is over, but visits of it may still be on their way.
        let midnight = env().now() + Duration::DAY;
        assert_eq!(database.store().sweep(midnight + Duration::minutes(59)).await.unwrap(), 0);
        assert_eq!(database.store().sweep(midnight + Duration::minutes(61)).await.unwrap(), 1, "the salt");
        let mut work = database.store().begin().await.unwrap();
        assert_eq!(work.visits().salt(DAY, [7; 32]).await.unwrap(), [7; 32]);
        assert_eq!(work.visits().salt(next, [7; 32]).await.unwrap(), [1; 32]);
        drop(work);
        let two_days = midnight + Duration::hours(26);
        assert_eq!(
            database.store().sweep(two_days).await.unwrap(),
            3,
            "the next salt, the hash of the day, and the batch"
        );
        assert_eq!(day(database, &site, DAY).await, Some((1, 1)), "counts stay");

        let forgotten = fixture.write(async |unit| unit.visits().forget(next, DAY, 100).await).await.unwrap();
        assert_eq!(forgotten, 3, "two names and a day");
        let forgotten =
            fixture.write(async |unit| unit.visits().forget(next, next, 100).await).await.unwrap();
        assert_eq!(forgotten, 1, "traffic, which is kept for longer");
        assert_eq!(day(database, &site, DAY).await, None);
        assert_eq!(day(database, &site, next).await, Some((1, 1)));
    })
    .await;
}
