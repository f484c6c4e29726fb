//! The count of bytes of texts, which the store keeps by itself: [`portico_billing::ports::MeterRepository::storage`].

use futures_util::future::join_all;
use portico_billing::ports::BillingRepositories;
use portico_kernel::{Event, Outbox, Permissions, RequestInfo, Scope, TenantId};
use portico_sites::{page::Page, ports::SiteRepositories, site::Site, wizard::Wizard};
use portico_testkit::{TestDatabase, TestEnv, env, on_each_database};
use serde_json::json;

use crate::fixture::Fixture;
use crate::{versions, wizards};

/// All that is counted, added up anew.
const ADDED_UP: [(&str, &str); 5] = [
    ("idempotency_keys", "case when octet_length(answer) > 1024 then octet_length(answer) else 0 end"),
    ("page_versions", "size"),
    ("wizards", "octet_length(cast(answers as text))"),
    ("wizard_pages", "octet_length(cast(sections as text))"),
    (
        "events",
        "case when actor_kind in ('user', 'api_key') and coalesce(octet_length(cast(before as text)), 0) \
         + coalesce(octet_length(cast(after as text)), 0) > 1024 then coalesce(octet_length(cast(before as text)), 0) \
         + coalesce(octet_length(cast(after as text)), 0) else 0 end",
    ),
];

/// That the count is what there is; answers it.
async fn checked(database: &TestDatabase, tenant: TenantId) -> u64 {
    let sums = ADDED_UP.map(|(table, bytes)| {
        format!("coalesce((select sum({bytes}) from {table} where tenant_id = stored_texts.tenant_id), 0)")
    });
    // Touches a row where both agree.
    let statement = format!(
        "update stored_texts set bytes = bytes where tenant_id = $1 and \
         (select sum(bytes) from stored_texts as parts where parts.tenant_id = stored_texts.tenant_id) = {}",
        sums.join(" + ")
    );
    let agree = database.tamper(&statement, &[tenant.uuid()]).await;
    let room = database.store().reader().meters().storage(tenant, 0).await.expect("the count is read");
    assert!(agree > 0, "{} is not what there is", room.texts);
    room.texts
}

/// What one of many writers does, in units of work of its own; which of it, its number decides.
async fn write(fixture: &Fixture<'_>, site: &Site, number: usize) -> (Option<Page>, Wizard) {
    let page = fixture.page(site, &format!("page-{number}")).await;
    for version in 1..=4 {
        let new = versions::new(fixture, &page, version);
        let gone = [new.version.id];
        fixture.write(async |unit| unit.versions().insert(new).await).await.expect("a version is stored");
        if version == 3 && number.is_multiple_of(2) {
            let deleted = async |unit: &mut portico_sql::SqlUnitOfWork| {
                unit.versions().delete(page.tenant, page.id, &gone).await
            };
            fixture.write(deleted).await.expect("a version is deleted");
        }
    }
    let wizard = wizards::stored(fixture, site.tenant_id).await;
    let changed = Wizard { business_info: None, ..wizard.clone() };
    fixture.write(async |unit| unit.wizards().update(&changed).await).await.expect("a wizard is changed");
    for (scope, letters) in [
        (
            Scope::api_key(env().new_id(), None, site.tenant_id, Permissions::NONE, RequestInfo::default()),
            3000,
        ),
        (Scope::api_key(env().new_id(), None, site.tenant_id, Permissions::NONE, RequestInfo::default()), 30),
        (Scope::anonymous(RequestInfo::default()), 3000),
    ] {
        let env = TestEnv::new(env().now(), 1000 + number as u64 * 7 + letters as u64);
        let event = Event::new(&env, &scope, &portico_sites::events::PAGE_UPDATED, page.id.uuid())
            .in_tenant(site.tenant_id);
        let event = event.before(&json!({"title": "x".repeat(letters)})).after(&json!({"title": "é"}));
        let appended = fixture.write(async |unit| unit.events().append(event).await).await;
        if scope.active_tenant().is_some() {
            appended.expect("an event is appended");
        }
    }
    // A unit of work that is dropped has stored nothing.
    let mut dropped = fixture.begin().await;
    let lost = versions::new(fixture, &page, 9);
    dropped.versions().insert(lost).await.expect("a version is stored");
    drop(dropped);
    match number % 3 {
        0 => {
            let deleted = fixture.write(async |unit| unit.pages().delete(page.tenant, page.id).await).await;
            assert!(deleted.expect("a page is deleted"));
            (None, wizard)
        }
        _ => (Some(page), wizard),
    }
}

#[tokio::test]
async fn the_count_is_exact_whatever_many_do_at_once() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let foreign = fixture.site(theirs, "foreign").await;
        let sites = [&site, &other, &foreign];
        let done = join_all((0..24).map(|number| write(&fixture, sites[number % 3], number))).await;
        let full = checked(database, ours).await;
        assert!(full > 1000 && checked(database, theirs).await > 500);

        // Pages that are left go with their site, wizards alone.
        for (_, wizard) in done.iter().filter(|(_, wizard)| wizard.tenant == ours).take(5) {
            let deleted = async |unit: &mut portico_sql::SqlUnitOfWork| {
                unit.wizards().delete(wizard.tenant, wizard.id).await
            };
            assert!(fixture.write(deleted).await.expect("a wizard is deleted"));
        }
        let fewer = checked(database, ours).await;
        assert!(fewer < full, "{fewer} of {full}");
        let deleted = fixture.write(async |unit| unit.sites().delete(ours, other.id).await).await;
        assert!(deleted.expect("a site is deleted"));
        assert!(checked(database, ours).await < fewer);

        // Taken back and applied again, the migration counts what is there.
        let store = database.store();
        let all = store.migration_status().await.expect("the migrations are listed");
        let place = all.iter().position(|one| one.name.contains("stored_texts")).expect("it is one of them");
        let before = (checked(database, ours).await, checked(database, theirs).await);
        let steps = u32::try_from(all.len() - place).expect("few migrations");
        store.migrate_down(steps).await.expect("the migration is taken back");
        store.migrate().await.expect("the migration is applied");
        assert_eq!((checked(database, ours).await, checked(database, theirs).await), before);
    })
    .await;
}
