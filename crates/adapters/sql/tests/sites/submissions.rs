//! [`portico_sites::ports::SubmissionRepository`].

use portico_kernel::{CursorRequest, Id, StoreError, SubmissionId};
use portico_sites::{
    ports::SiteRepositories,
    site::Site,
    submission::{Consent, Submission, SubmissionFilter, SubmissionStatus},
};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixture::{Fixture, assert_missing};

/// A submission that is not stored yet. Later ones have higher numbers.
fn submission(site: &Site, number: u64) -> Submission {
    let at = env().now() + Duration::seconds(number as i64);
    Submission {
        id: Id::from_uuid(uuid::Uuid::from_u128(u128::from(number))),
        tenant: site.tenant_id,
        site_id: site.id,
        section_id: Id::from_uuid(uuid::Uuid::from_u128(5)),
        page_path: "/contact/".to_owned(),
        language: "es".to_owned(),
        name: format!("Ñandú {number}"),
        email: "ana@example.com".to_owned(),
        phone: Some("5555 1234".to_owned()),
        message: "100% <b>\n\"'".to_owned(),
        consent: Consent { given: true, text: "Sí".to_owned(), at: Some(at) },
        status: SubmissionStatus::New,
        created_at: at,
        updated_at: at,
        digest: format!("digest {number}"),
        version: 1,
    }
}

async fn insert(fixture: &Fixture<'_>, submission: &Submission) -> Result<bool, StoreError> {
    fixture.write(async |unit| unit.submissions().insert(submission).await).await
}

fn ids(items: &[Submission]) -> Vec<u128> {
    items.iter().map(|item| item.id.uuid().as_u128()).collect()
}

#[tokio::test]
async fn stores_and_finds_submissions_of_their_tenant_and_site_only() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let bare = Submission {
            phone: None,
            consent: Consent { given: false, text: "Sí".to_owned(), at: None },
            ..submission(&site, 2)
        };
        for stored in [&submission(&site, 1), &bare, &submission(&other, 3)] {
            assert!(insert(&fixture, stored).await.unwrap());
        }
        let mut reader = database.store().reader();
        let mut submissions = reader.submissions();
        assert_eq!(submissions.find(ours, site.id, bare.id).await.unwrap().as_ref(), Some(&bare));
        assert_eq!(submissions.find(ours, other.id, bare.id).await.unwrap(), None);
        assert_eq!(submissions.find(theirs, site.id, bare.id).await.unwrap(), None);
        let all = |limit, cursor: Option<SubmissionId>| CursorRequest {
            limit,
            cursor: cursor.map(|id| id.to_string()),
        };
        let none = SubmissionFilter::default;
        let page = submissions.list(ours, site.id, none(), all(1, None)).await.unwrap();
        assert_eq!((ids(&page.items), page.next_cursor.clone()), (vec![2], Some(bare.id.to_string())));
        let page = submissions.list(ours, site.id, none(), all(1, Some(bare.id))).await.unwrap();
        assert_eq!((ids(&page.items), page.next_cursor), (vec![1], None));
        assert!(submissions.list(theirs, site.id, none(), all(9, None)).await.unwrap().items.is_empty());

        let filtered = [
            (SubmissionFilter { q: Some("anDú 1".to_owned()), ..none() }, vec![1]),
            (SubmissionFilter { q: Some("100%".to_owned()), ..none() }, vec![2, 1]),
            (SubmissionFilter { q: Some("1%0".to_owned()), ..none() }, vec![]),
            (SubmissionFilter { q: Some("5555".to_owned()), ..none() }, vec![1]),
            (SubmissionFilter { status: Some(SubmissionStatus::Read), ..none() }, vec![]),
            (SubmissionFilter { from: Some(bare.created_at), ..none() }, vec![2]),
            (SubmissionFilter { to: Some(bare.created_at), ..none() }, vec![1]),
        ];
        for (filter, expected) in filtered {
            let page = submissions.list(ours, site.id, filter.clone(), all(9, None)).await.unwrap();
            assert_eq!(ids(&page.items), expected, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_one_digest_one_is_stored() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let (site, other) = (fixture.site(tenant, "shop").await, fixture.site(tenant, "other").await);
        let many: Vec<_> = (0..16)
            .map(|number| Submission { digest: "same".to_owned(), ..submission(&site, number) })
            .collect();
        let stored = futures_util::future::join_all(many.iter().map(|one| insert(&fixture, one))).await;
        assert_eq!(stored.into_iter().filter(|stored| *stored.as_ref().unwrap()).count(), 1);
        let elsewhere = Submission { digest: "same".to_owned(), ..submission(&other, 99) };
        assert!(insert(&fixture, &elsewhere).await.unwrap(), "each site for itself");
    })
    .await;
}

#[tokio::test]
async fn a_submission_needs_a_site_of_its_own_tenant_and_goes_with_it() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let foreign = Submission { tenant: theirs, ..submission(&site, 1) };
        assert_missing(insert(&fixture, &foreign).await);
        let mine = submission(&site, 2);
        assert!(insert(&fixture, &mine).await.unwrap());
        fixture.write(async |unit| unit.sites().delete(ours, site.id).await).await.unwrap();
        let mut reader = database.store().reader();
        assert_eq!(reader.submissions().find(ours, site.id, mine.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_status_is_changed_once_for_a_version_and_deleting_deletes() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let stored = submission(&site, 1);
        insert(&fixture, &stored).await.unwrap();
        let read = Submission { status: SubmissionStatus::Read, ..stored.clone() };
        let update = async |submission: &Submission| {
            fixture.write(async |unit| unit.submissions().update(submission).await).await
        };
        assert!(matches!(
            update(&Submission { tenant: theirs, ..read.clone() }).await,
            Err(StoreError::Stale)
        ));
        update(&read).await.unwrap();
        assert!(matches!(update(&read).await, Err(StoreError::Stale)));
        let mut reader = database.store().reader();
        let found = reader.submissions().find(ours, site.id, stored.id).await.unwrap();
        assert_eq!(found, Some(Submission { version: 2, ..read }));

        let delete = async |tenant| {
            fixture
                .write(async |unit| unit.submissions().delete(tenant, site.id, stored.id).await)
                .await
                .unwrap()
        };
        assert!(!delete(theirs).await);
        assert!(delete(ours).await);
        assert!(!delete(ours).await);
        assert_eq!(reader.submissions().find(ours, site.id, stored.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn old_submissions_are_forgotten_and_spam_sooner() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let site = fixture.site(tenant, "shop").await;
        let spam = Submission { status: SubmissionStatus::Spam, ..submission(&site, 1) };
        for stored in [&spam, &submission(&site, 2), &submission(&site, 3)] {
            insert(&fixture, stored).await.unwrap();
        }
        let now = env().now();
        assert_eq!(database.store().sweep(now + Duration::days(29)).await.unwrap(), 0);
        assert_eq!(database.store().sweep(now + Duration::days(31)).await.unwrap(), 1, "the spam");
        let forget =
            async |at| fixture.write(async |unit| unit.submissions().forget(at, 1).await).await.unwrap();
        assert_eq!(forget(now).await, 0);
        assert_eq!(forget(now + Duration::seconds(3)).await, 1);
        assert_eq!(forget(now + Duration::seconds(3)).await, 0);
        let mut reader = database.store().reader();
        let (all, request) = (SubmissionFilter::default(), CursorRequest::default());
        let left = reader.submissions().list(tenant, site.id, all, request).await.unwrap();
        assert_eq!(ids(&left.items), [3]);
    })
    .await;
}
