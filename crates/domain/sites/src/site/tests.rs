use portico_kernel::{Fault, Kind, TenantRole};
use serde_json::json;

use super::*;
use crate::testing::{Store, env, member, tenant, user};

fn new(name: &str, subdomain: Option<&str>) -> NewSite {
    NewSite { name: name.to_owned(), subdomain: subdomain.map(str::to_owned), ..NewSite::default() }
}

#[tokio::test]
async fn creates_a_site_with_a_subdomain_from_its_name() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = Sites::new(&mut store, &scope, &env).create(new("  Ana's Bakery ", None)).await.unwrap();
    assert_eq!((site.name.as_str(), site.subdomain.as_str()), ("Ana's Bakery", "anas-bakery"));
    assert_eq!((site.status, site.version, site.tenant_id), (SiteStatus::Draft, 1, tenant(1)));
    let event = store.events.last().unwrap();
    assert_eq!((event.kind.as_ref(), event.tenant), ("site.created", tenant(1)));
    assert_eq!(event.after.as_ref().unwrap()["subdomain"], "anas-bakery");
}

#[tokio::test]
async fn names_that_make_no_subdomain_get_a_random_one() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    for name in ["Admin", "北京", "x"] {
        let site = Sites::new(&mut store, &scope, &env).create(new(name, None)).await.unwrap();
        assert!(Subdomain::parse(&site.subdomain).is_ok(), "{}", site.subdomain);
    }
    // Two nameless ones do not collide.
    let site = Sites::new(&mut store, &scope, &env).create(new("上海", None)).await;
    assert!(site.is_ok());
}

#[tokio::test]
async fn a_name_that_another_site_has_gets_letters_behind_it() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let mut sites = Sites::new(&mut store, &scope, &env);
    let first = sites.create(new("My Site", None)).await.unwrap();
    let second = sites.create(new("My Site", None)).await.unwrap();
    assert_eq!(first.subdomain, "my-site");
    assert!(second.subdomain.starts_with("my-site-") && second.subdomain.len() > 8, "{}", second.subdomain);
}

#[tokio::test]
async fn refuses_bad_names_and_taken_subdomains() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let mut sites = Sites::new(&mut store, &scope, &env);
    let error = sites.create(new(" ", Some("Not Valid"))).await.unwrap_err();
    let fields: Vec<&str> = error.fields().iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["name", "subdomain"]);
    assert!(matches!(sites.create(new("a", Some("admin"))).await, Err(SitesError::Invalid(_))));
    sites.create(new("a", Some("bakery"))).await.unwrap();
    assert!(matches!(sites.create(new("b", Some("bakery"))).await, Err(SitesError::SubdomainTaken)));
}

#[tokio::test]
async fn updates_merge_and_check_the_version() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let mut sites = Sites::new(&mut store, &scope, &env);
    let site = sites.create(new("Bakery", None)).await.unwrap();
    let rename = SiteUpdate { name: Some("Café".to_owned()), ..SiteUpdate::default() };
    let changed = sites.update(site.id, rename.clone(), Some(1)).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.subdomain.as_str(), changed.version), ("Café", "bakery", 2));
    assert_eq!(sites.get(site.id).await.unwrap(), changed);
    let stale = sites.update(site.id, rename, Some(1)).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::PreconditionFailed);
    assert_eq!(store.take_events(), ["site.created", "site.updated"]);
}

#[tokio::test]
async fn deleting_leaves_a_job_for_the_files() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let mut sites = Sites::new(&mut store, &scope, &env);
    let site = sites.create(new("Bakery", None)).await.unwrap();
    assert!(matches!(sites.delete(site.id, Some(7)).await, Err(SitesError::PreconditionFailed)));
    sites.delete(site.id, None).await.unwrap();
    assert!(matches!(sites.delete(site.id, None).await, Err(SitesError::NotFound("site"))));
    assert_eq!(store.jobs.len(), 1);
    assert_eq!((store.jobs[0].kind, &store.jobs[0].payload), ("site.purge", &json!({"siteId": site.id})));
    assert_eq!(store.take_events(), ["site.created", "site.deleted"]);
}

#[tokio::test]
async fn permissions_come_first_and_other_tenants_see_nothing() {
    let (mut store, owner, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = Sites::new(&mut store, &owner, &env).create(new("Bakery", None)).await.unwrap();
    let viewer = member(TenantRole::Viewer);
    let mut sites = Sites::new(&mut store, &viewer, &env);
    assert!(matches!(sites.create(new("", None)).await, Err(SitesError::Denied(_))));
    assert!(matches!(sites.delete(site.id, None).await, Err(SitesError::Denied(_))));
    assert!(sites.get(site.id).await.is_ok());
    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut sites = Sites::new(&mut store, &other, &env);
    assert!(matches!(sites.get(site.id).await, Err(SitesError::NotFound(_))));
    assert!(matches!(sites.delete(site.id, None).await, Err(SitesError::NotFound(_))));
    assert!(matches!(sites.resolve(None).await, Err(SitesError::NoSite)));
    assert_eq!(Sites::new(&mut store, &owner, &env).resolve(None).await.unwrap(), site.id);
}

#[tokio::test]
async fn a_site_counts_against_the_plan_until_it_is_deleted() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    store.entitlements.limits.insert(Meter::Sites, 1);
    let site = Sites::new(&mut store, &scope, &env).create(new("First", None)).await.unwrap();
    let refused = Sites::new(&mut store, &scope, &env).create(new("Second", None)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Quota, "quota_exceeded"));
    assert_eq!(refused.members()[1], ("limit", 1.into()));
    Sites::new(&mut store, &scope, &env).delete(site.id, None).await.unwrap();
    assert_eq!(store.entitlements.used(Meter::Sites), 0);
}

#[tokio::test]
async fn a_site_is_counted_before_its_name_is_claimed() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    store.entitlements.limits.insert(Meter::Sites, 1);
    Sites::new(&mut store, &scope, &env).create(new("First", Some("bakery"))).await.unwrap();
    // Both are refused, and what is asked first tells the order: another one would have it wait in a circle with the wizard.
    let refused = Sites::new(&mut store, &scope, &env).create(new("Second", Some("bakery"))).await;
    assert!(matches!(refused, Err(SitesError::Entitlement(_))), "{refused:?}");
    let invalid = Sites::new(&mut store, &scope, &env).create(new("Second", Some("admin"))).await;
    assert!(matches!(invalid, Err(SitesError::Invalid(_))), "{invalid:?}");
}
