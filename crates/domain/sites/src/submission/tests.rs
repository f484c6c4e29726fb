use portico_kernel::{Fault, RequestInfo, TenantRole};

use super::*;
use crate::{
    site::{NewSite, Sites},
    testing::{Store, env, member, tenant, user},
};

fn form() -> DeployedForm {
    DeployedForm {
        page: "/contact/".to_owned(),
        language: "es".to_owned(),
        consent: "Pueden escribirme.".to_owned(),
        thanks: "/_forms/thanks/".to_owned(),
    }
}

fn input(message: &str) -> FormInput {
    FormInput {
        name: "Ana".to_owned(),
        email: "ana@example.com".to_owned(),
        message: message.to_owned(),
        ..FormInput::default()
    }
}

/// A visitor, as the server knows one.
fn visitor() -> Scope {
    Scope::anonymous(RequestInfo { id: "request-2".to_owned(), ..RequestInfo::default() })
}

struct Shop {
    store: Store,
    env: Env,
    site: SiteId,
    section: SectionId,
}

impl Shop {
    async fn open() -> Self {
        let (env, mut store) = (env(), Store::default());
        let owner = member(TenantRole::Owner);
        let new = NewSite { name: "Luz".to_owned(), ..NewSite::default() };
        let site = Sites::new(&mut store, &owner, &env).create(new).await.unwrap().id;
        store.take_events();
        Self { section: env.new_id(), store, env, site }
    }

    async fn receive(&mut self, input: &FormInput) -> Result<Option<Submission>, SitesError> {
        let place = (tenant(1), self.site, self.section);
        Submissions::new(&mut self.store, &visitor(), &self.env).receive(place, &form(), input).await
    }
}

#[tokio::test]
async fn a_message_is_stored_with_what_its_writer_agreed_to() {
    let mut shop = Shop::open().await;
    let agreed = FormInput { consent: true, ..input("Hello") };
    let stored = shop.receive(&agreed).await.unwrap().unwrap();
    assert_eq!((stored.page_path.as_str(), stored.language.as_str()), ("/contact/", "es"));
    assert_eq!(stored.consent.at, Some(stored.created_at));
    assert_eq!((stored.consent.given, stored.consent.text.as_str()), (true, "Pueden escribirme."));
    let event = shop.store.events.pop().unwrap();
    assert_eq!((&*event.kind, event.tenant, event.actor_id), ("submission.received", tenant(1), None));
    let recorded = event.after.unwrap().to_string();
    assert!(
        recorded.contains(&stored.id.to_string()) && !recorded.contains("Ana") && !recorded.contains("Hello"),
        "{recorded}"
    );
    assert_eq!((event.address, event.user_agent), (None, None));

    let refused = shop.receive(&input("Another")).await.unwrap().unwrap();
    assert_eq!((refused.consent.given, refused.consent.at), (false, None));
}

#[tokio::test]
async fn a_second_click_and_a_program_store_nothing() {
    let mut shop = Shop::open().await;
    assert!(shop.receive(&input("Hello")).await.unwrap().is_some());
    assert!(shop.receive(&input("Hello")).await.unwrap().is_none());
    assert!(shop.receive(&FormInput { trap: "x".to_owned(), ..input("Buy!") }).await.unwrap().is_none());
    assert_eq!(shop.store.take_events(), ["submission.received"]);
    let spam = shop.receive(&input("http://a.b http://c.d http://e.f")).await.unwrap().unwrap();
    assert_eq!(spam.status, SubmissionStatus::Spam);
    assert_eq!(shop.receive(&input(" ")).await.unwrap_err().code(), "invalid");
}

#[tokio::test]
async fn the_site_may_be_gone_by_then() {
    let mut shop = Shop::open().await;
    shop.store.sites.clear();
    assert_eq!(shop.receive(&input("Hello")).await.unwrap_err().code(), "not_found");
    assert!(shop.store.take_events().is_empty());
}

#[tokio::test]
async fn editors_read_mark_and_delete() {
    let mut shop = Shop::open().await;
    let first = shop.receive(&input("One")).await.unwrap().unwrap();
    let second = shop.receive(&input("Two")).await.unwrap().unwrap();
    let (env, site, store) = (&shop.env, shop.site, &mut shop.store);
    store.take_events();
    let editor = member(TenantRole::Editor);
    let mut submissions = Submissions::new(store, &editor, env);
    let page = submissions.list(site, SubmissionFilter::default(), CursorRequest::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|item| item.id).collect::<Vec<_>>(), [second.id, first.id]);
    assert_eq!(submissions.get(site, first.id).await.unwrap().message, "One");

    let read = SubmissionUpdate { status: Some(SubmissionStatus::Read) };
    let marked = submissions.update(site, first.id, read.clone(), Some(1)).await.unwrap();
    assert_eq!((marked.status, marked.version), (SubmissionStatus::Read, 2));
    let late = submissions.update(site, first.id, read, Some(1)).await.unwrap_err();
    assert_eq!(late.code(), "precondition_failed");
    let nothing = submissions.update(site, first.id, SubmissionUpdate::default(), None).await.unwrap_err();
    assert_eq!(nothing.fields()[0].field, "status");
    let filter = SubmissionFilter { status: Some(SubmissionStatus::New), ..SubmissionFilter::default() };
    let new = submissions.list(site, filter, CursorRequest::default()).await.unwrap();
    assert_eq!(new.items, [second]);

    submissions.delete(site, first.id, None).await.unwrap();
    assert_eq!(submissions.delete(site, first.id, None).await.unwrap_err().code(), "not_found");
    for event in &shop.store.events {
        let recorded = format!("{:?}{:?}", event.before, event.after);
        assert!(!recorded.contains("Ana") && !recorded.contains("ana@"), "{recorded}");
    }
    assert_eq!(shop.store.take_events(), ["submission.updated", "submission.deleted"]);
}

#[tokio::test]
async fn viewers_and_strangers_see_nothing() {
    let mut shop = Shop::open().await;
    let stored = shop.receive(&input("One")).await.unwrap().unwrap();
    let (env, site, store) = (&shop.env, shop.site, &mut shop.store);
    let viewer = member(TenantRole::Viewer);
    let stranger = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    for (scope, code) in [(viewer, "forbidden"), (stranger, "not_found")] {
        let mut submissions = Submissions::new(store, &scope, env);
        let list = submissions.list(site, SubmissionFilter::default(), CursorRequest::default()).await;
        assert_eq!(list.unwrap_err().code(), code);
        assert_eq!(submissions.get(site, stored.id).await.unwrap_err().code(), code);
        let read = SubmissionUpdate { status: Some(SubmissionStatus::Read) };
        assert_eq!(submissions.update(site, stored.id, read, None).await.unwrap_err().code(), code);
        assert_eq!(submissions.delete(site, stored.id, None).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn wrong_filters_are_all_named() {
    let mut shop = Shop::open().await;
    let editor = member(TenantRole::Editor);
    let filter = SubmissionFilter {
        q: Some("a".repeat(201)),
        from: Timestamp::from_unix_seconds(10),
        to: Timestamp::from_unix_seconds(5),
        ..SubmissionFilter::default()
    };
    let request = CursorRequest { cursor: Some("2".to_owned()), limit: 20 };
    let mut submissions = Submissions::new(&mut shop.store, &editor, &shop.env);
    let error = submissions.list(shop.site, filter, request).await.unwrap_err();
    let fields: Vec<_> = error.fields().iter().map(|error| error.field.clone()).collect();
    assert_eq!(fields, ["cursor", "q", "to"]);
}
