//! [`portico_sites::ports::NavigationRepository`].

use portico_sites::{navigation::NavItem, ports::SiteRepositories};
use portico_testkit::on_each_database;

use crate::fixture::{Fixture, assert_blocks, assert_missing, assert_stale};

#[tokio::test]
async fn stores_and_lists_items_by_parent_and_position() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let page = fixture.page(&site, "about").await;
        let second = NavItem { url: None, page_id: Some(page.id), ..fixture.new_item(&site, "Second", 1) };
        let first = fixture.new_item(&site, "First", 0);
        let below = |label, position| NavItem {
            parent_id: Some(second.id),
            ..fixture.new_item(&site, label, position)
        };
        let (late, early) = (below("Late", 1), below("Early", 0));
        for item in [&second, &first, &late, &early, &fixture.new_item(&other, "Elsewhere", 0)] {
            fixture.insert_item(item).await.unwrap();
        }
        let mut reader = database.store().reader();
        let mut navigation = reader.navigation();
        assert_eq!(navigation.find(ours, late.id).await.unwrap().as_ref(), Some(&late));
        assert_eq!(navigation.find(theirs, late.id).await.unwrap(), None);
        assert_eq!(navigation.list(ours, site.id, false).await.unwrap(), [first, second, early, late]);
        assert!(navigation.list(theirs, site.id, false).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_item_needs_a_site_page_and_parent_of_its_own_tenant() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, foreign) = (fixture.site(ours, "shop").await, fixture.site(theirs, "foreign").await);
        let page = fixture.page(&foreign, "about").await;
        let parent = fixture.new_item(&foreign, "Theirs", 0);
        fixture.insert_item(&parent).await.unwrap();
        let item = fixture.new_item(&site, "Ours", 0);
        assert_missing(fixture.insert_item(&NavItem { site_id: foreign.id, ..item.clone() }).await);
        assert_missing(fixture.insert_item(&NavItem { page_id: Some(page.id), ..item.clone() }).await);
        assert_missing(fixture.insert_item(&NavItem { parent_id: Some(parent.id), ..item.clone() }).await);
        fixture.insert_item(&item).await.unwrap();
        let moved = NavItem { parent_id: Some(parent.id), ..item };
        assert_missing(fixture.write(async |unit| unit.navigation().update(&moved).await).await);
    })
    .await;
}

#[tokio::test]
async fn an_update_counts_the_version_and_refuses_an_older_one() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let item = fixture.new_item(&site, "Home", 0);
        fixture.insert_item(&item).await.unwrap();
        let changed =
            NavItem { label: "Start".to_owned(), url: None, position: 3, opens_new_tab: false, ..item };
        fixture.write(async |unit| unit.navigation().update(&changed).await).await.unwrap();
        let stored = database.store().reader().navigation().find(site.tenant_id, changed.id).await.unwrap();
        assert_eq!(stored, Some(NavItem { version: 2, ..changed.clone() }));
        assert_stale(fixture.write(async |unit| unit.navigation().update(&changed).await).await);
        let elsewhere = NavItem { tenant: fixture.tenant("theirs").await, version: 2, ..changed };
        assert_stale(fixture.write(async |unit| unit.navigation().update(&elsewhere).await).await);
    })
    .await;
}

#[tokio::test]
async fn deleting_takes_everything_under_it_along() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let (root, kept) = (fixture.new_item(&site, "Root", 0), fixture.new_item(&site, "Kept", 1));
        let child = NavItem { parent_id: Some(root.id), ..fixture.new_item(&site, "Child", 0) };
        let grandchild = NavItem { parent_id: Some(child.id), ..fixture.new_item(&site, "Grandchild", 0) };
        for item in [&root, &kept, &child, &grandchild] {
            fixture.insert_item(item).await.unwrap();
        }
        let delete = async |tenant| {
            fixture.write(async |unit| unit.navigation().delete(tenant, root.id).await).await.unwrap()
        };
        assert!(!delete(theirs).await, "it is not theirs");
        assert!(delete(ours).await);
        assert!(!delete(ours).await, "it is gone");
        assert_eq!(database.store().reader().navigation().list(ours, site.id, false).await.unwrap(), [kept]);
    })
    .await;
}

#[tokio::test]
async fn a_locked_navigation_makes_others_wait_even_when_it_is_empty() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        assert_blocks(&fixture, async |unit| {
            assert!(unit.navigation().list(site.tenant_id, site.id, true).await.unwrap().is_empty());
        })
        .await;
    })
    .await;
}
