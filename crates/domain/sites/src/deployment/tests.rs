use portico_kernel::{
    Fault, Kind, NavItemId, PageId, Permission, Permissions, PlatformRole, RequestInfo, TenantRole,
};
use serde_json::json;

use super::*;
use crate::{
    deployment::SnapshotParts,
    navigation::{Navigation, NewNavItem},
    page::{NewPage, Pages},
    section::{NewSection, Provenance, SectionType, Sections},
    site::{NewSite, Sites},
    testing::{Store, env, member, tenant, user},
};

async fn store_with_site(env: &Env) -> (Store, Scope, SiteId) {
    let (mut store, scope) = (Store::default(), member(TenantRole::Owner));
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    let site = Sites::new(&mut store, &scope, env).create(input).await.unwrap();
    (store, scope, site.id)
}

async fn page(store: &mut Store, env: &Env, slug: &str, status: PageStatus, is_home: bool) -> PageId {
    let input = NewPage {
        title: slug.to_owned(),
        slug: Some(slug.to_owned()),
        status: Some(status),
        is_home: Some(is_home),
        ..NewPage::default()
    };
    Pages::new(store, &member(TenantRole::Owner), env).create(None, input).await.unwrap().id
}

fn worker() -> Scope {
    Scope::system(Some(tenant(1)), RequestInfo::default())
}

/// A member of staff, who may deploy sites for sale, too.
fn staff() -> Scope {
    let permissions = PlatformRole::Staff.permissions().union(TenantRole::Owner.permissions());
    user(Some(tenant(1)), permissions, true)
}

/// Requests a deployment and builds it to the end.
async fn deploy(store: &mut Store, env: &Env, site: SiteId) -> DeploymentId {
    let (worker, staff) = (worker(), staff());
    let id = Deployments::new(store, &staff, env).request(site, false).await.unwrap().id;
    let mut deployments = Deployments::new(store, &worker, env);
    deployments.begin(site, id).await.unwrap().unwrap();
    deployments.finish(site, id).await.unwrap();
    id
}

#[tokio::test]
async fn a_request_is_stored_with_its_job() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let nothing = Deployments::new(&mut store, &scope, &env).request(site, false).await;
    assert!(matches!(nothing, Err(SitesError::NothingToDeploy)));
    page(&mut store, &env, "draft", PageStatus::Draft, false).await;
    let nothing = Deployments::new(&mut store, &scope, &env).request(site, false).await;
    assert!(matches!(nothing, Err(SitesError::NothingToDeploy)));

    page(&mut store, &env, "about", PageStatus::Published, false).await;
    store.events.clear();
    let mut deployments = Deployments::new(&mut store, &scope, &env);
    assert_eq!(deployments.latest(site).await.unwrap(), None);
    let deployment = deployments.request(site, false).await.unwrap();
    assert_eq!((deployment.status, deployment.progress), (DeploymentStatus::Queued, 0));
    assert!(matches!(deployments.request(site, false).await, Err(SitesError::DeploymentInProgress)));
    assert_eq!(deployments.latest(site).await.unwrap(), Some(deployment.clone()));
    assert_eq!(deployments.get(site, deployment.id).await.unwrap(), deployment);
    assert_eq!(deployments.list(site, PageRequest::default()).await.unwrap().total, 1);
    let job = &store.jobs[0];
    assert_eq!((job.kind, job.max_attempts, job.request_id.as_str()), ("deployment.build", 5, "request-1"));
    assert_eq!(job.payload, json!({"siteId": site, "deploymentId": deployment.id}));
    assert_eq!((store.jobs.len(), store.take_events()), (1, vec!["deployment.created".to_owned()]));
}

#[tokio::test]
async fn who_may_deploy() {
    let env = env();
    let (mut store, owner, site) = store_with_site(&env).await;
    page(&mut store, &env, "about", PageStatus::Published, false).await;
    let unverified = user(Some(tenant(1)), TenantRole::Owner.permissions(), false);
    let error = Deployments::new(&mut store, &unverified, &env).request(site, false).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Forbidden, "email_unverified"));
    let viewer = member(TenantRole::Viewer);
    let error = Deployments::new(&mut store, &viewer, &env).request(site, false).await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut as_other = Deployments::new(&mut store, &other, &env);
    assert!(matches!(as_other.request(site, false).await, Err(SitesError::NotFound("site"))));
    assert!(matches!(as_other.latest(site).await, Err(SitesError::NotFound("site"))));
    assert!(matches!(as_other.list(site, PageRequest::default()).await, Err(SitesError::NotFound("site"))));
    store.sites[0].status = SiteStatus::Suspended;
    let suspended = Deployments::new(&mut store, &owner, &env).request(site, false).await;
    assert!(matches!(suspended, Err(SitesError::SiteSuspended)));
    (store.sites[0].status, store.sites[0].over_limit) = (SiteStatus::Published, true);
    for scope in [owner, worker()] {
        let mut deployments = Deployments::new(&mut store, &scope, &env);
        let read_only = deployments.request(site, false).await;
        assert!(matches!(read_only, Err(SitesError::OverLimit)), "{read_only:?}");
        let read_only = deployments.rollback(site, env.new_id()).await;
        assert!(matches!(read_only, Err(SitesError::OverLimit)), "{read_only:?}");
    }
}

#[tokio::test]
async fn a_build_goes_live_once() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    page(&mut store, &env, "about", PageStatus::Published, false).await;
    let id = Deployments::new(&mut store, &scope, &env).request(site, false).await.unwrap().id;
    store.events.clear();
    let system = worker();
    let mut deployments = Deployments::new(&mut store, &system, &env);
    // The first worker dies after its first step; the second begins anew.
    deployments.begin(site, id).await.unwrap().unwrap();
    deployments.progress(site, id, 60).await.unwrap();
    deployments.begin(site, id).await.unwrap().unwrap();
    let begun = deployments.get(site, id).await.unwrap();
    assert_eq!((begun.status, begun.progress), (DeploymentStatus::Building, 0));
    for (percent, expected) in [(50, 50), (30, 50), (100, 99), (-5, 99)] {
        deployments.progress(site, id, percent).await.unwrap();
        assert_eq!(deployments.get(site, id).await.unwrap().progress, expected);
    }
    let live = deployments.finish(site, id).await.unwrap();
    assert_eq!((live.status, live.live_deployment_id), (SiteStatus::Published, Some(id)));
    let done = deployments.get(site, id).await.unwrap();
    assert_eq!((done.status, done.progress), (DeploymentStatus::Live, 100));
    assert!(done.started_at.is_some() && done.finished_at > done.started_at);

    // And a third that runs the job again finds nothing to do.
    assert_eq!(deployments.finish(site, id).await.unwrap(), live);
    assert_eq!(deployments.begin(site, id).await.unwrap(), None);
    deployments.progress(site, id, 10).await.unwrap();
    deployments.fail(site, id, "too late").await.unwrap();
    assert_eq!(deployments.get(site, id).await.unwrap(), done);
    assert_eq!(deployments.begin(site, env.new_id()).await.unwrap(), None);
    assert_eq!(store.take_events(), ["deployment.started", "deployment.started", "site.deployed"]);
}

#[tokio::test]
async fn a_failure_leaves_the_site_as_it_is_and_can_be_tried_again() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    page(&mut store, &env, "about", PageStatus::Published, false).await;
    let first = deploy(&mut store, &env, site).await;
    let id = Deployments::new(&mut store, &scope, &env).request(site, false).await.unwrap().id;
    let system = worker();
    let mut deployments = Deployments::new(&mut store, &system, &env);
    deployments.begin(site, id).await.unwrap().unwrap();
    deployments.fail(site, id, "The files could not be stored.").await.unwrap();
    deployments.fail(site, id, "Again.").await.unwrap();
    let failed = deployments.latest(site).await.unwrap().unwrap();
    assert_eq!(failed.status, DeploymentStatus::Failed);
    assert_eq!(failed.error.as_deref(), Some("The files could not be stored."));
    assert_eq!(store.sites[0].live_deployment_id, Some(first));

    let mut deployments = Deployments::new(&mut store, &system, &env);
    deployments.begin(site, id).await.unwrap().unwrap();
    let begun = deployments.get(site, id).await.unwrap();
    assert_eq!((begun.error, begun.finished_at), (None, None));
    deployments.finish(site, id).await.unwrap();
    assert_eq!(store.sites[0].live_deployment_id, Some(id));
}

#[tokio::test]
async fn only_a_draft_becomes_published() {
    let env = env();
    let (mut store, _, site) = store_with_site(&env).await;
    page(&mut store, &env, "about", PageStatus::Published, false).await;
    for status in [SiteStatus::ForSale, SiteStatus::Sold, SiteStatus::Published] {
        store.sites[0].status = status;
        deploy(&mut store, &env, site).await;
        assert_eq!(store.sites[0].status, status);
    }
}

#[tokio::test]
async fn rolling_back_moves_the_site_to_what_was_live() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    page(&mut store, &env, "about", PageStatus::Published, false).await;
    let first = deploy(&mut store, &env, site).await;
    let second = deploy(&mut store, &env, site).await;
    let queued = Deployments::new(&mut store, &scope, &env).request(site, false).await.unwrap().id;
    store.events.clear();
    let mut deployments = Deployments::new(&mut store, &scope, &env);
    assert!(matches!(deployments.rollback(site, queued).await, Err(SitesError::NotDeployed)));
    let unknown = deployments.rollback(site, env.new_id()).await;
    assert!(matches!(unknown, Err(SitesError::NotFound("deployment"))));
    assert_eq!(deployments.rollback(site, second).await.unwrap().live_deployment_id, Some(second));
    assert_eq!(deployments.rollback(site, first).await.unwrap().live_deployment_id, Some(first));
    let event = store.events.pop().unwrap();
    assert!(store.events.is_empty(), "going to where it is changes nothing");
    assert_eq!(event.kind, "site.rolled_back");
    assert_eq!(event.before.unwrap()["liveDeploymentId"], json!(second));
    assert_eq!(event.after.unwrap()["liveDeploymentId"], json!(first));
    let viewer = member(TenantRole::Viewer);
    let denied = Deployments::new(&mut store, &viewer, &env).rollback(site, first).await;
    assert!(matches!(denied, Err(SitesError::Denied(_))));
}

#[tokio::test]
async fn the_snapshot_shows_what_is_published() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let about = page(&mut store, &env, "about", PageStatus::Published, false).await;
    let draft = page(&mut store, &env, "draft", PageStatus::Draft, false).await;
    let start = page(&mut store, &env, "start", PageStatus::Published, true).await;
    for (id, html, visible) in
        [(about, "1", true), (about, "hidden", false), (about, "2", true), (draft, "x", true)]
    {
        let input = NewSection {
            kind: Some(SectionType::Text),
            content: json!({"html": html}),
            visible: Some(visible),
            ..NewSection::default()
        };
        Sections::new(&mut store, &scope, &env).create(id, input).await.unwrap();
    }
    let mut navigation = Navigation::new(&mut store, &scope, &env);
    let mut labels: Vec<(&str, Option<PageId>, Option<NavItemId>)> = vec![("about", Some(about), None)];
    let group = navigation
        .create(None, NewNavItem { label: "group".to_owned(), ..Default::default() })
        .await
        .unwrap();
    labels.push(("in group", Some(start), Some(group.id)));
    labels.push(("gone", Some(draft), Some(group.id)));
    let dead = NewNavItem { label: "dead".to_owned(), page_id: Some(draft), ..Default::default() };
    let dead = navigation.create(None, dead).await.unwrap();
    labels.push(("under dead", Some(about), Some(dead.id)));
    for (label, page_id, parent_id) in labels {
        let input = NewNavItem { label: label.to_owned(), page_id, parent_id, ..Default::default() };
        navigation.create(None, input).await.unwrap();
    }
    let id = Deployments::new(&mut store, &scope, &env).request(site, false).await.unwrap().id;
    store.calls = 0;
    let system = worker();
    let parts = Deployments::new(&mut store, &system, &env).begin(site, id).await.unwrap().unwrap();
    assert_eq!(store.calls, 8, "few queries, whatever the number of pages");
    let pages: Vec<PageId> = parts.pages.iter().map(|snapshot| snapshot.page.id).collect();
    assert_eq!(pages, [start, about]);
    let htmls: Vec<_> =
        parts.pages[1].sections.iter().map(|section| section.content["html"].clone()).collect();
    assert_eq!(htmls, [json!("1"), json!("2")]);
    let shown: Vec<&str> = parts.navigation.iter().map(|item| item.label.as_str()).collect();
    assert_eq!(shown, ["group", "about", "in group"]);
}

#[tokio::test]
async fn the_first_page_of_a_snapshot_answers_at_the_root() {
    let env = env();
    let (mut store, ..) = store_with_site(&env).await;
    for slug in ["old", "index", "home", "start"] {
        page(&mut store, &env, slug, PageStatus::Published, slug == "start").await;
    }
    let site = store.sites[0].clone();
    let mut pages = store.pages.clone();
    for expected in
        [&["start", "old", "index", "home"][..], &["home", "old", "index"], &["index", "old"], &["old"], &[]]
    {
        let parts = SnapshotParts::assemble(site.clone(), pages.clone(), Vec::new(), Vec::new(), Vec::new());
        let slugs: Vec<&str> = parts.pages.iter().map(|snapshot| snapshot.page.slug.as_str()).collect();
        assert_eq!(slugs, expected);
        // Without the first one, the next rule applies.
        pages.retain(|page| Some(&page.slug.as_str()) != expected.first());
    }
}

#[tokio::test]
async fn old_deployments_are_given_up_and_cannot_be_rolled_back_to() {
    let env = env();
    let (mut store, owner, site) = store_with_site(&env).await;
    page(&mut store, &env, "about", PageStatus::Published, false).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(deploy(&mut store, &env, site).await);
    }
    // The first one answers again, so it stays whatever its age.
    Deployments::new(&mut store, &owner, &env).rollback(site, made[0]).await.unwrap();
    store.events.clear();
    let worker = worker();
    let mut deployments = Deployments::new(&mut store, &worker, &env);
    let kept = deployments.retire(site, 3).await.unwrap();
    assert_eq!(kept, [made[4], made[3], made[0]], "two, the one that is being built, and the live one");
    assert_eq!(deployments.retire(site, 3).await.unwrap(), kept);
    assert_eq!(store.take_events(), ["deployment.cleaned"; 2]);
    let mut deployments = Deployments::new(&mut store, &owner, &env);
    let gone = deployments.rollback(site, made[1]).await.unwrap_err();
    assert_eq!((gone.kind(), gone.code()), (Kind::Conflict, "deployment_cleaned"));
    assert!(deployments.get(site, made[1]).await.unwrap().cleaned_at.is_some());
    deployments.rollback(site, made[3]).await.unwrap();

    // Keeping none still keeps the one that answers.
    let mut deployments = Deployments::new(&mut store, &worker, &env);
    assert_eq!(deployments.retire(site, 0).await.unwrap(), [made[3]]);
    assert_eq!(deployments.retire(env.new_id(), 0).await.unwrap(), []);
}

#[tokio::test]
async fn what_nobody_wrote_or_confirmed_is_not_published() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let about = page(&mut store, &env, "about", PageStatus::Published, false).await;
    let draft = page(&mut store, &env, "draft", PageStatus::Draft, false).await;
    let cases = [
        (about, Provenance::Own, true),
        (about, Provenance::Sample, true),
        (about, Provenance::Generated, true),
        (about, Provenance::Sample, false),
        (draft, Provenance::Sample, true),
    ];
    for (page, provenance, visible) in cases {
        let new = NewSection {
            kind: Some(SectionType::Text),
            content: json!({"html": "<p>Since 1987.</p>"}),
            visible: Some(visible),
            provenance,
            ..NewSection::default()
        };
        Sections::new(&mut store, &scope, &env).create(page, new).await.unwrap();
    }
    let error = Deployments::new(&mut store, &scope, &env).request(site, false).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "sample_content"));
    let places = error.members()[0].1.clone();
    assert_eq!((&places[0]["pageTitle"], &places[0]["provenance"]), (&json!("about"), &json!("sample")));
    assert_eq!((places[1]["position"].as_i64(), places.as_array().unwrap().len()), (Some(2), 2));
    assert!(store.deployments.is_empty() && store.jobs.is_empty());

    // Who may deploy may not for that reason say what the site says.
    let only_deploys = user(Some(tenant(1)), Permissions::from_list(&[Permission::SitesDeploy]), true);
    let refused = Deployments::new(&mut store, &only_deploys, &env).request(site, true).await;
    assert_eq!(refused.unwrap_err().code(), "forbidden");
    store.events.clear();
    let calls = store.calls;
    let id = Deployments::new(&mut store, &scope, &env).request(site, true).await.unwrap().id;
    assert!(store.calls - calls <= 9, "{} calls", store.calls - calls);
    assert_eq!(store.take_events(), ["site.content_confirmed", "deployment.created"]);
    let provenances: Vec<_> = store.sections.iter().map(|section| section.provenance).collect();
    let (own, sample) = (Provenance::Own, Provenance::Sample);
    assert_eq!(provenances, [own, own, own, sample, sample], "only what is published is confirmed");

    // A template that is applied between the request and the build is not published either.
    let before = store.sections[1].clone();
    store.sections[1].provenance = sample;
    let system = worker();
    let begun = Deployments::new(&mut store, &system, &env).begin(site, id).await;
    assert!(
        matches!(begun, Err(SitesError::SampleContent(places)) if places[0]["sectionId"] == json!(before.id))
    );
    store.sections[1] = before;
    let parts = Deployments::new(&mut store, &system, &env).begin(site, id).await.unwrap().unwrap();
    assert_eq!(parts.pages[0].sections.len(), 3);
}
