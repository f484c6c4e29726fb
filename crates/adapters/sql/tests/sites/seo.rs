//! [`portico_sites::ports::SeoRepository`].

use portico_sites::{
    page::{Page, PageStatus},
    ports::SiteRepositories,
    seo::{OpenGraph, Seo},
};
use portico_testkit::on_each_database;
use serde_json::json;

use crate::fixture::{Fixture, assert_conflict, assert_missing, assert_one_wins, assert_stale};

fn seo_of(page: &Page) -> Seo {
    Seo {
        title: Some("Bread".to_owned()),
        description: Some("Every day".to_owned()),
        keywords: vec!["bread".to_owned(), "ñandú".to_owned()],
        canonical_url: Some("https://example.com/".to_owned()),
        robots: Some("noindex".to_owned()),
        open_graph: OpenGraph { title: Some("Fresh".to_owned()), ..OpenGraph::default() },
        structured_data: Some(json!({"@type": "Bakery"})),
        version: 1,
        ..Seo::nothing(page.tenant, page.id, page.updated_at)
    }
}

#[tokio::test]
async fn is_stored_once_for_a_page_and_goes_with_it() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let (page, second) = (fixture.page(&site, "about").await, fixture.page(&site, "prices").await);
        let draft = Page { status: PageStatus::Draft, ..fixture.new_page(&site, "draft") };
        fixture.insert_page(&draft).await.unwrap();
        let all = [seo_of(&page), seo_of(&second), seo_of(&draft)];
        fixture.write(async |unit| unit.seo().insert(&all).await).await.unwrap();
        fixture.write(async |unit| unit.seo().insert(&[]).await).await.unwrap();
        let again = [seo_of(&page)];
        assert_conflict(fixture.write(async |unit| unit.seo().insert(&again).await).await);
        let foreign = [Seo { tenant: theirs, ..seo_of(&page) }];
        assert_missing(fixture.write(async |unit| unit.seo().insert(&foreign).await).await);

        let mut reader = database.store().reader();
        assert_eq!(reader.seo().find(ours, page.id).await.unwrap(), Some(seo_of(&page)));
        assert_eq!(reader.seo().find(theirs, page.id).await.unwrap(), None);
        assert_eq!(reader.seo().of_pages(ours, &[page.id]).await.unwrap(), [seo_of(&page)]);
        let mut of_both = reader.seo().of_pages(ours, &[second.id, page.id]).await.unwrap();
        of_both.sort_by_key(|seo| seo.updated_at);
        assert_eq!(of_both, [seo_of(&page), seo_of(&second)]);
        assert_eq!(reader.seo().of_pages(theirs, &[page.id]).await.unwrap(), []);
        let mut published: Vec<_> = reader.seo().published(ours, site.id).await.unwrap();
        published.sort_by_key(|seo| seo.updated_at);
        assert_eq!(published, [seo_of(&page), seo_of(&second)]);
        assert!(reader.seo().published(theirs, site.id).await.unwrap().is_empty());
        let drafts_too = reader.seo().unarchived(ours, site.id).await.unwrap();
        assert!(drafts_too.len() == 3 && drafts_too.contains(&seo_of(&draft)));
        assert!(reader.seo().unarchived(theirs, site.id).await.unwrap().is_empty());

        let gone = async |id| fixture.write(async |unit| unit.seo().delete(ours, id).await).await.unwrap();
        assert!(gone(page.id).await);
        assert!(!gone(page.id).await);
        fixture.write(async |unit| unit.pages().delete(ours, second.id).await).await.unwrap();
        assert_eq!(reader.seo().find(ours, second.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_update_counts_the_version_and_refuses_an_older_one() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let page = fixture.page(&site, "about").await;
        let seo = seo_of(&page);
        let racing = [seo.clone()];
        let insert = || fixture.write(async |unit| unit.seo().insert(&racing).await);
        assert_one_wins((0..8).map(|_| insert())).await;
        let changed = Seo { title: None, keywords: Vec::new(), structured_data: None, ..seo };
        fixture.write(async |unit| unit.seo().update(&changed).await).await.unwrap();
        let stored = database.store().reader().seo().find(site.tenant_id, page.id).await.unwrap();
        assert_eq!(stored, Some(Seo { version: 2, ..changed.clone() }));
        assert_stale(fixture.write(async |unit| unit.seo().update(&changed).await).await);
        let elsewhere = Seo { tenant: fixture.tenant("theirs").await, version: 2, ..changed };
        assert_stale(fixture.write(async |unit| unit.seo().update(&elsewhere).await).await);
    })
    .await;
}
