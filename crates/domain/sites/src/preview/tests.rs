use portico_kernel::TenantRole;

use super::*;
use crate::{
    page::{NewPage, PageStatus, Pages},
    site::{NewSite, Sites},
    testing::{Store, env, member, tenant, user},
};

async fn shop(env: &Env) -> (Store, SiteId) {
    let (mut store, scope) = (Store::default(), member(TenantRole::Owner));
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    let site = Sites::new(&mut store, &scope, env).create(input).await.unwrap().id;
    for (title, status) in [
        ("Published", PageStatus::Published),
        ("Draft", PageStatus::Draft),
        ("Archived", PageStatus::Archived),
    ] {
        let input = NewPage { title: title.to_owned(), status: Some(status), ..NewPage::default() };
        Pages::new(&mut store, &scope, env).create(None, input).await.unwrap();
    }
    store.events.clear();
    (store, site)
}

#[tokio::test]
async fn a_draft_is_shown_with_what_is_published_already() {
    let env = env();
    let (mut store, site) = shop(&env).await;
    let scope = member(TenantRole::Viewer);
    let parts = Previews::new(&mut store, &scope, &env).draft(site).await.unwrap();
    let titles: Vec<&str> = parts.pages.iter().map(|page| page.page.title.as_str()).collect();
    assert_eq!(titles, ["Published", "Draft"]);
}

#[tokio::test]
async fn links_work_for_a_while() {
    let env = env();
    let (mut store, site) = shop(&env).await;
    let scope = member(TenantRole::Editor);
    for (wish, seconds) in [(None, 3600), (Some(60), 60), (Some(604_800), 604_800)] {
        let before = env.now();
        let input = NewPreview { expires_in: wish };
        let grant = Previews::new(&mut store, &scope, &env).grant(site, input).await.unwrap();
        let life = (grant.expires_at - before).whole_seconds();
        assert!((seconds..seconds + 10).contains(&life), "{wish:?}: {life}");
    }
    assert_eq!(store.take_events(), ["preview.created"; 3]);
    for wish in [0, 59, 604_801, -1, i64::MAX, i64::MIN] {
        let input = NewPreview { expires_in: Some(wish) };
        let refused = Previews::new(&mut store, &scope, &env).grant(site, input).await;
        assert!(
            matches!(refused, Err(SitesError::Invalid(errors)) if errors[0].field == "expiresIn"),
            "{wish}"
        );
    }
    assert!(store.events.is_empty());
}

#[tokio::test]
async fn who_may_show_a_draft() {
    let env = env();
    let (mut store, site) = shop(&env).await;
    let viewer = member(TenantRole::Viewer);
    let refused = Previews::new(&mut store, &viewer, &env).grant(site, NewPreview::default()).await;
    assert!(matches!(refused, Err(SitesError::Denied(_))));
    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut theirs = Previews::new(&mut store, &other, &env);
    assert!(matches!(theirs.grant(site, NewPreview::default()).await, Err(SitesError::NotFound("site"))));
    assert!(matches!(theirs.draft(site).await, Err(SitesError::NotFound("site"))));
    store.sites[0].status = SiteStatus::Suspended;
    let owner = member(TenantRole::Owner);
    let mut ours = Previews::new(&mut store, &owner, &env);
    assert!(matches!(ours.grant(site, NewPreview::default()).await, Err(SitesError::SiteSuspended)));
    assert!(matches!(ours.draft(site).await, Err(SitesError::SiteSuspended)));
}
