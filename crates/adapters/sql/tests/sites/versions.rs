//! [`portico_sites::ports::PageVersionRepository`].

use std::collections::BTreeSet;

use portico_kernel::{PageVersionId, StoreError, event::ActorKind};
use portico_sites::{
    page::Page,
    page_version::{KeptPage, KeptSection, PageContent, PageVersion, VersionAuthor},
    ports::{LatestPageVersion, NewPageVersion, SiteRepositories},
    section::SectionType,
};
use portico_testkit::on_each_database;
use serde_json::json;

use crate::fixture::{Fixture, assert_conflict, assert_missing, assert_one_wins};

fn content(fixture: &Fixture<'_>, page: &Page) -> PageContent {
    let section = fixture.new_section(page, 0);
    PageContent {
        page: KeptPage {
            title: page.title.clone(),
            slug: page.slug.to_string(),
            language: Some("es".to_owned()),
            translation_of: None,
            status: page.status,
            is_home: page.is_home,
            publish_at: Some(page.created_at),
        },
        sections: vec![KeptSection {
            provenance: portico_sites::section::Provenance::Own,
            id: section.id,
            kind: SectionType::Hero,
            content: section.content,
            visible: false,
        }],
        seo: None,
    }
}

pub fn new(fixture: &Fixture<'_>, page: &Page, number: i64) -> NewPageVersion {
    // Any id will do.
    let id = PageVersionId::from_uuid(fixture.new_section(page, 0).id.uuid());
    let version = PageVersion {
        id,
        tenant: page.tenant,
        page_id: page.id,
        number,
        author: VersionAuthor { kind: ActorKind::System, id: None, name: None },
        summary: "1 section added".to_owned(),
        restored_from: (number == 2).then_some(1),
        created_at: page.created_at,
        size: 10 * number,
    };
    NewPageVersion { version, digest: format!("digest {number}"), content: json!(content(fixture, page)) }
}

async fn insert(fixture: &Fixture<'_>, new: &NewPageVersion) -> Result<(), StoreError> {
    fixture.write(async |unit| unit.versions().insert(new.clone()).await).await
}

#[tokio::test]
async fn stores_and_finds_versions_of_their_tenant_and_page_only() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let (page, other) = (fixture.page(&site, "one").await, fixture.page(&site, "two").await);
        let mut made = Vec::new();
        for number in 1..=3 {
            let version = new(&fixture, &page, number);
            insert(&fixture, &version).await.unwrap();
            made.insert(0, version);
        }
        insert(&fixture, &new(&fixture, &other, 1)).await.unwrap();
        let mut reader = database.store().reader();
        let mut versions = reader.versions();
        let all: Vec<PageVersion> = made.iter().map(|new| new.version.clone()).collect();
        assert_eq!(versions.list(ours, page.id, None, 10).await.unwrap(), all);
        assert_eq!(versions.list(ours, page.id, None, 2).await.unwrap(), all[..2]);
        assert_eq!(versions.list(ours, page.id, Some(3), 10).await.unwrap(), all[1..]);
        assert_eq!(versions.list(ours, page.id, Some(1), 10).await.unwrap(), []);
        assert_eq!(versions.list(theirs, page.id, None, 10).await.unwrap(), []);
        let full = versions.find(ours, page.id, all[1].id).await.unwrap().unwrap();
        assert_eq!(full.version, all[1]);
        assert_eq!(json!(full.content), made[1].content);
        assert_eq!(versions.find(theirs, page.id, all[1].id).await.unwrap(), None);
        assert_eq!(versions.find(ours, other.id, all[1].id).await.unwrap(), None);
        let without = fixture.page(&site, "three").await;
        let mut latest = versions.latest(ours, &[page.id, without.id, other.id]).await.unwrap();
        latest.sort_by_key(|latest| latest.page_id != page.id);
        let expected = |page: &Page, number: i64, bytes| LatestPageVersion {
            page_id: page.id,
            number,
            digest: format!("digest {number}"),
            size: 10 * number,
            count: number,
            bytes,
        };
        assert_eq!(latest, [expected(&page, 3, 60), expected(&other, 1, 10)]);
        assert_eq!(versions.latest(ours, &[page.id]).await.unwrap(), [expected(&page, 3, 60)]);
        assert_eq!(versions.latest(theirs, &[page.id]).await.unwrap(), []);
        assert_eq!(versions.latest(ours, &[]).await.unwrap(), []);
        drop(versions);

        let ids = [all[0].id, all[2].id];
        fixture.write(async |unit| unit.versions().delete(theirs, page.id, &ids).await).await.unwrap();
        fixture.write(async |unit| unit.versions().delete(ours, other.id, &ids).await).await.unwrap();
        assert_eq!(reader.versions().list(ours, page.id, None, 10).await.unwrap(), all);
        fixture.write(async |unit| unit.versions().delete(ours, page.id, &ids).await).await.unwrap();
        assert_eq!(reader.versions().list(ours, page.id, None, 10).await.unwrap(), all[1..2]);
        // They go with their page.
        fixture.write(async |unit| unit.pages().delete(ours, page.id).await).await.unwrap();
        assert_eq!(reader.versions().list(ours, page.id, None, 10).await.unwrap(), []);
        assert_eq!(reader.versions().list(ours, other.id, None, 10).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_number_is_given_once() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let page = fixture.page(&site, "one").await;
        let many: Vec<_> = (0..12).map(|_| new(&fixture, &page, 1)).collect();
        let ids: BTreeSet<_> = many.iter().map(|new| new.version.id).collect();
        assert_eq!(ids.len(), many.len());
        assert_one_wins(many.iter().map(|new| insert(&fixture, new))).await;
        insert(&fixture, &new(&fixture, &page, 2)).await.unwrap();
        assert_conflict(insert(&fixture, &new(&fixture, &page, 2)).await);
    })
    .await;
}

#[tokio::test]
async fn a_version_needs_a_page_of_its_own_tenant() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(theirs, "shop").await;
        let page = fixture.page(&site, "one").await;
        let smuggled = Page { tenant: ours, ..page };
        assert_missing(insert(&fixture, &new(&fixture, &smuggled, 1)).await);
    })
    .await;
}
