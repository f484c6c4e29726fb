//! [`portico_sites::ports::SiteRepository`].

use portico_billing::ports::BillingRepositories;
use portico_kernel::name::Subdomain;
use portico_kernel::{Money, PageRequest, StoreError, TenantId, look::Colors};
use portico_sites::{
    look::{Look, Style},
    ports::{SiteFilter, SiteRepositories, Sort, SortKey},
    site::{Frozen, Site, SiteStatus},
};
use portico_testkit::on_each_database;
use time::Duration;

use crate::fixture::{Fixture, assert_conflict, assert_missing, assert_one_wins, assert_stale};

#[tokio::test]
async fn stores_and_finds_a_site_of_its_tenant_only() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = Site {
            custom_domain: Some("www.example.com".to_owned()),
            live_deployment_id: Some(fixture.new_deployment(&fixture.new_site(ours, "any")).id),
            status: SiteStatus::ForSale,
            language: "pt-BR".to_owned(),
            industry: Some("bakery".to_owned()),
            look: Some(Look { style: Style::Bold, colors: Some(Colors::default()), fonts: None }),
            price: Some(Money { amount: 35900, currency: "usd".to_owned() }),
            ..fixture.new_site(ours, "shop")
        };
        fixture.insert_site(&site).await.unwrap();
        let mut reader = database.store().reader();
        assert_eq!(reader.sites().find(ours, site.id).await.unwrap(), Some(site.clone()));
        assert_eq!(reader.sites().find(theirs, site.id).await.unwrap(), None);
        assert_eq!(reader.sites().primary(theirs).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_subdomain_belongs_to_one_site_and_one_tenant() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        fixture.site(ours, "shop").await;
        // Another site of the same tenant, a site of another one, and another tenant's own name.
        assert_conflict(fixture.insert_site(&fixture.new_site(ours, "shop")).await);
        assert_conflict(fixture.insert_site(&fixture.new_site(theirs, "shop")).await);
        assert_conflict(fixture.insert_site(&fixture.new_site(theirs, "ours")).await);
        // The name that the tenant itself holds.
        fixture.site(ours, "ours").await;
        // Where another tenant has the name, the unit of work goes on with another one.
        let mut work = fixture.begin().await;
        let wish = fixture.new_site(theirs, "shop");
        assert_conflict(work.sites().insert(&wish).await);
        work.sites()
            .insert(&Site { subdomain: Subdomain::trusted("shop-2".to_owned()), ..wish.clone() })
            .await
            .unwrap();
        work.commit().await.unwrap();
        let stored = database.store().reader().sites().find(theirs, wish.id).await.unwrap();
        assert_eq!(stored.unwrap().subdomain, "shop-2");
    })
    .await;
}

#[tokio::test]
async fn one_of_many_gets_a_subdomain() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let sites: Vec<_> =
            (0..12).map(|n| fixture.new_site(if n % 2 == 0 { ours } else { theirs }, "shop")).collect();
        assert_one_wins(sites.iter().map(|site| fixture.insert_site(site))).await;
    })
    .await;
}

#[tokio::test]
async fn a_site_needs_its_tenant() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let missing = TenantId::from_uuid(fixture.new_site(tenant, "any").id.uuid());
        assert_missing(fixture.insert_site(&fixture.new_site(missing, "shop")).await);
    })
    .await;
}

#[tokio::test]
async fn the_oldest_site_is_primary() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let (first, second) = (fixture.new_site(tenant, "first"), fixture.new_site(tenant, "second"));
        fixture.insert_site(&second).await.unwrap();
        fixture.insert_site(&first).await.unwrap();
        let mut reader = database.store().reader();
        assert_eq!(reader.sites().primary(tenant).await.unwrap(), Some(first.id));
    })
    .await;
}

#[tokio::test]
async fn an_update_counts_the_version_and_refuses_an_older_one() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let site = fixture.site(tenant, "shop").await;
        let renamed = Site { name: "New name".to_owned(), status: SiteStatus::Published, ..site.clone() };
        fixture.write(async |unit| unit.sites().update(&renamed).await).await.unwrap();
        let stored = database.store().reader().sites().find(tenant, site.id).await.unwrap();
        assert_eq!(stored, Some(Site { version: 2, ..renamed.clone() }));
        assert_stale(fixture.write(async |unit| unit.sites().update(&renamed).await).await);
        let elsewhere = Site { tenant_id: fixture.tenant("theirs").await, version: 2, ..renamed };
        assert_stale(fixture.write(async |unit| unit.sites().update(&elsewhere).await).await);
    })
    .await;
}

#[tokio::test]
async fn a_changed_subdomain_is_claimed_and_the_old_one_given_up() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "ours").await;
        let move_to = async |site: &Site, subdomain: &str| {
            let moved = Site { subdomain: Subdomain::trusted(subdomain.to_owned()), ..site.clone() };
            fixture.write(async |unit| unit.sites().update(&moved).await).await?;
            Ok::<_, StoreError>(Site { version: moved.version + 1, ..moved })
        };
        assert_conflict(move_to(&site, "theirs").await);
        let site = move_to(&site, "shop").await.unwrap();
        assert_conflict(fixture.insert_site(&fixture.new_site(theirs, "shop")).await);
        // The tenant keeps its own name.
        assert_conflict(fixture.insert_site(&fixture.new_site(theirs, "ours")).await);
        move_to(&site, "store").await.unwrap();
        fixture.site(theirs, "shop").await;
    })
    .await;
}

#[tokio::test]
async fn deleting_takes_everything_along_and_frees_the_subdomain() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let (page, kept) = (fixture.page(&site, "about").await, fixture.page(&other, "about").await);
        let section = fixture.new_section(&page, 0);
        fixture.insert_sections(std::slice::from_ref(&section)).await.unwrap();
        let item = fixture.new_item(&site, "Home", 0);
        fixture.insert_item(&item).await.unwrap();
        let deployment = fixture.new_deployment(&site);
        fixture.insert_deployment(&deployment).await.unwrap();

        let delete = async |tenant| {
            fixture.write(async |unit| unit.sites().delete(tenant, site.id).await).await.unwrap()
        };
        assert!(!delete(theirs).await, "it is not theirs");
        assert!(delete(ours).await);
        assert!(!delete(ours).await, "it is gone");
        let mut reader = database.store().reader();
        assert_eq!(reader.pages().find(ours, page.id).await.unwrap(), None);
        assert_eq!(reader.sections().find(ours, page.id, section.id).await.unwrap(), None);
        assert_eq!(reader.navigation().find(ours, item.id).await.unwrap(), None);
        assert_eq!(reader.deployments().find(ours, site.id, deployment.id).await.unwrap(), None);
        assert_eq!(reader.pages().find(ours, kept.id).await.unwrap(), Some(kept));
        fixture.site(theirs, "shop").await;
    })
    .await;
}

#[tokio::test]
async fn a_subdomain_moves_between_sites_of_a_tenant_under_load() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        for _ in 0..10 {
            let old = fixture.site(tenant, "shop").await;
            let new = fixture.new_site(tenant, "shop");
            let delete = fixture.write(async |unit| unit.sites().delete(tenant, old.id).await);
            let (deleted, inserted) = tokio::join!(delete, fixture.insert_site(&new));
            assert!(deleted.unwrap());
            // Either it came later, or the name was still taken.
            if inserted.is_err() {
                assert_conflict(inserted);
                fixture.insert_site(&new).await.unwrap();
            }
            assert!(fixture.write(async |unit| unit.sites().delete(tenant, new.id).await).await.unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn a_site_that_is_renamed_and_deleted_at_once_leaves_no_name_behind() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        for _ in 0..10 {
            let site = fixture.site(ours, "before").await;
            let renamed = Site { subdomain: Subdomain::trusted("after".to_owned()), ..site.clone() };
            let rename = fixture.write(async |unit| unit.sites().update(&renamed).await);
            let delete = fixture.write(async |unit| unit.sites().delete(ours, site.id).await);
            let (renamed, deleted) = tokio::join!(rename, delete);
            if renamed.is_err() {
                assert_stale(renamed);
            }
            assert!(deleted.unwrap());
            for name in ["before", "after"] {
                let other = fixture.site(theirs, name).await;
                fixture.write(async |unit| unit.sites().delete(theirs, other.id).await).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_cut_into_pages() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        fixture.site(fixture.tenant("theirs").await, "foreign").await;
        let names = ["Zeta", "alpha", "Óptica 100%", "Beta_one", "betaXone"];
        for (number, name) in names.into_iter().enumerate() {
            let mut site = fixture.new_site(tenant, &format!("site-{number}"));
            site.name = name.to_owned();
            if number < 2 {
                site.status = SiteStatus::Published;
            }
            fixture.insert_site(&site).await.unwrap();
        }
        let list = async |filter: SiteFilter, page: u64, limit: u64| {
            let list = database
                .store()
                .reader()
                .sites()
                .list(tenant, filter, PageRequest { page, limit })
                .await
                .unwrap();
            (list.items.into_iter().map(|site| site.name).collect::<Vec<_>>(), list.total)
        };
        let search = |q: &str| SiteFilter { q: Some(q.to_owned()), ..SiteFilter::default() };
        let sort = |key, descending| SiteFilter { sort: Sort { key, descending }, ..SiteFilter::default() };
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();

        let newest_first = owned(&["betaXone", "Beta_one", "Óptica 100%", "alpha", "Zeta"]);
        assert_eq!(list(SiteFilter::default(), 1, 20).await, (newest_first.clone(), 5));
        assert_eq!(list(SiteFilter::default(), 2, 2).await, (newest_first[2..4].to_vec(), 5));
        assert_eq!(list(SiteFilter::default(), 3, 2).await, (newest_first[4..].to_vec(), 5));
        assert_eq!(list(SiteFilter::default(), 1_000_000, 100).await, (vec![], 5));
        let by_name = list(sort(SortKey::Name, false), 1, 4).await.0;
        assert_eq!(by_name, owned(&["alpha", "Beta_one", "betaXone", "Zeta"]));
        let oldest_first: Vec<_> = newest_first.into_iter().rev().collect();
        assert_eq!(list(sort(SortKey::CreatedAt, false), 1, 20).await.0, oldest_first);
        let published = SiteFilter { status: Some(SiteStatus::Published), ..SiteFilter::default() };
        assert_eq!(list(published, 1, 20).await, (owned(&["alpha", "Zeta"]), 2));
        assert_eq!(list(search("BETA"), 1, 20).await.1, 2);
        assert_eq!(list(search("a_o"), 1, 20).await.0, owned(&["Beta_one"]));
        assert_eq!(list(search("0%"), 1, 20).await.0, owned(&["Óptica 100%"]));
        assert_eq!(list(search("óptica"), 1, 20).await.0, owned(&["Óptica 100%"]));
        assert_eq!(list(search("SITE-3"), 1, 20).await.0, owned(&["Beta_one"]));
        assert_eq!(list(search("\\"), 1, 20).await.1, 0);
    })
    .await;
}

#[tokio::test]
async fn equal_times_are_told_apart_by_id() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let created_at = fixture.new_site(tenant, "any").created_at;
        let mut ids = Vec::new();
        for number in 0..7 {
            let site = Site { created_at, ..fixture.new_site(tenant, &format!("site-{number}")) };
            fixture.insert_site(&site).await.unwrap();
            ids.push(site.id);
        }
        let mut seen = Vec::new();
        for page in 1..=4 {
            let request = PageRequest { page, limit: 2 };
            let list =
                database.store().reader().sites().list(tenant, SiteFilter::default(), request).await.unwrap();
            seen.extend(list.items.into_iter().map(|site| site.id));
        }
        ids.sort_by_key(|id| std::cmp::Reverse(id.uuid()));
        assert_eq!(seen, ids);
    })
    .await;
}

#[tokio::test]
async fn a_locked_site_makes_others_wait() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        crate::fixture::assert_blocks(&fixture, async |unit| {
            assert_eq!(unit.sites().lock(theirs, site.id).await.unwrap(), None, "not theirs");
            assert_eq!(unit.sites().lock(ours, site.id).await.unwrap().as_ref(), Some(&site));
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn tells_whether_one_of_some_sites_and_pages_is_frozen() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let (page, elsewhere) = (fixture.page(&site, "one").await, fixture.page(&other, "two").await);
        let each = SiteStatus::ALL.map(|status| [(status, false), (status, true)]);
        for (status, over_limit) in each.into_iter().flatten() {
            let stored = database.store().reader().sites().find(ours, site.id).await.unwrap().unwrap();
            let mut unit = fixture.begin().await;
            unit.sites().update(&Site { status, ..stored }).await.unwrap();
            unit.sites().set_over_limit(ours, over_limit.then_some(0)).await.unwrap();
            unit.sites().set_over_limit(theirs, Some(0)).await.unwrap();
            let expected = unit.sites().find(ours, site.id).await.unwrap().unwrap().frozen();
            let is_changeable = matches!(status, SiteStatus::Draft | SiteStatus::Published);
            assert_eq!(expected.is_none(), is_changeable && !over_limit, "{status:?}");
            assert_eq!(expected == Some(Frozen::OverLimit), is_changeable && over_limit, "{status:?}");
            let other_expected = over_limit.then_some(Frozen::OverLimit);
            for (sites, pages, expected) in [
                (vec![site.id], vec![], expected),
                (vec![], vec![page.id], expected),
                (vec![], vec![elsewhere.id], other_expected),
                (vec![other.id], vec![elsewhere.id], other_expected),
                (vec![], vec![], None),
            ] {
                let found = unit.sites().frozen_among(ours, &sites, &pages).await.unwrap();
                assert_eq!(found, expected, "{status:?}, over the limit: {over_limit}");
                assert_eq!(unit.sites().frozen_among(theirs, &sites, &pages).await.unwrap(), None);
                // The same as of both checks at the commit at once.
                let room = unit.meters().storage(ours, 0).await.unwrap();
                assert_eq!(unit.frozen_and_room(ours, &sites, &pages).await.unwrap(), (found, Some(room)));
                assert_eq!(unit.frozen_and_room(theirs, &sites, &pages).await.unwrap().0, None);
            }
            // Whichever is found of several: any of them is a reason.
            let both = unit.sites().frozen_among(ours, &[other.id], &[elsewhere.id, page.id]).await.unwrap();
            assert!(both == expected || both == other_expected, "{both:?}");
            assert_eq!(both.is_some(), expected.is_some() || over_limit);
            unit.commit().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn the_newest_sites_beyond_the_limit_are_marked() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let foreign = fixture.site(theirs, "foreign").await;
        // The first two are of equal age: of them the one with the larger id is newer.
        let created_at = fixture.now();
        let mut sites = Vec::new();
        for (number, age) in [(0, 0), (1, 0), (2, 5), (3, 9)] {
            let created_at = created_at + Duration::seconds(age);
            let site = Site { created_at, ..fixture.new_site(ours, &format!("site-{number}")) };
            fixture.insert_site(&site).await.unwrap();
            sites.push(site);
        }
        sites[..2].sort_by_key(|site| site.id);
        let set = async |keep: Option<u64>| {
            let mut unit = fixture.begin().await;
            let before = unit.sites().over_limit_differs(ours, keep).await.unwrap();
            let mut changed = unit.sites().set_over_limit(ours, keep).await.unwrap();
            assert_eq!(before, !changed.is_empty(), "{keep:?}");
            assert!(!unit.sites().over_limit_differs(ours, keep).await.unwrap(), "{keep:?}");
            unit.commit().await.unwrap();
            changed.sort_by_key(|site| (site.created_at, site.id));
            changed
        };
        let marked =
            |site: &Site, over_limit: bool, version: i64| Site { over_limit, version, ..site.clone() };
        assert_eq!(set(None).await, []);
        assert_eq!(set(Some(4)).await, []);
        assert_eq!(set(Some(u64::MAX)).await, []);
        let last = [marked(&sites[2], true, 2), marked(&sites[3], true, 2)];
        assert_eq!(set(Some(2)).await, last);
        assert_eq!(set(Some(2)).await, [], "they are marked already");
        assert_eq!(set(Some(1)).await, [marked(&sites[1], true, 2)]);
        assert_eq!(set(Some(3)).await, [marked(&sites[1], false, 3), marked(&sites[2], false, 3)]);

        // What changes something else leaves the mark as it is, whatever it says about it.
        let stored = database.store().reader().sites().find(ours, sites[3].id).await.unwrap().unwrap();
        assert_eq!(stored, marked(&sites[3], true, 2));
        let renamed = Site { name: "Other".to_owned(), over_limit: false, ..stored };
        fixture.write(async |unit| unit.sites().update(&renamed).await).await.unwrap();
        let stored = database.store().reader().sites().find(ours, renamed.id).await.unwrap().unwrap();
        assert_eq!(stored, Site { over_limit: true, version: 3, ..renamed.clone() });
        assert_stale(fixture.write(async |unit| unit.sites().update(&renamed).await).await);

        // An older one goes, and the newest one has its place.
        fixture.write(async |unit| unit.sites().delete(ours, sites[0].id).await).await.unwrap();
        assert_eq!(set(Some(3)).await, [Site { over_limit: false, version: 4, ..stored }]);
        assert_eq!(set(Some(0)).await.len(), 3);
        assert_eq!(set(None).await.len(), 3);
        assert_eq!(database.store().reader().sites().find(theirs, foreign.id).await.unwrap(), Some(foreign));
    })
    .await;
}

#[tokio::test]
async fn whoever_marks_the_same_at_the_same_time_changes_nothing() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let ours = fixture.tenant("ours").await;
        for number in 0..5 {
            fixture.site(ours, &format!("site-{number}")).await;
        }
        let mark = |keep: Option<u64>| {
            fixture.write(async move |unit| unit.sites().set_over_limit(ours, keep).await)
        };
        for (keep, count) in [(Some(2), 3), (Some(4), 2), (None, 1)] {
            let (one, two, three) = tokio::join!(mark(keep), mark(keep), mark(keep));
            let changed = [one, two, three].map(|changed| changed.unwrap().len());
            assert_eq!(changed.iter().sum::<usize>(), count, "{changed:?}");
            assert!(changed.contains(&count), "one of them changes all: {changed:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_adds_to_a_site_that_is_to_be_deleted_waits() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (tenant, other) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(tenant, "shop").await;
        let mut deleting = fixture.begin().await;
        assert_eq!(deleting.sites().lock_for_deletion(other, site.id).await.unwrap(), None);
        let locked = deleting.sites().lock_for_deletion(tenant, site.id).await.unwrap();
        assert_eq!(locked, Some(site.clone()));
        let page = fixture.new_page(&site, "about");
        let mut adding = std::pin::pin!(fixture.insert_page(&page));
        let early = tokio::time::timeout(std::time::Duration::from_millis(300), adding.as_mut()).await;
        assert!(early.is_err(), "the page did not wait for the site");
        deleting.commit().await.unwrap();
        adding.await.unwrap();
    })
    .await;
}
