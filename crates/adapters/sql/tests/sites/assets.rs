//! [`portico_sites::ports::AssetRepository`].

use portico_kernel::{AssetId, PageRequest, StoreError, TenantId, Timestamp};
use portico_sites::{
    asset::{Asset, AssetFilter, AssetKind, AssetType, Variant},
    ports::SiteRepositories,
    seo::OpenGraph,
};
use portico_testkit::{TestEnv, env, on_each_database};
use serde_json::json;
use time::Duration;

use crate::fixture::Fixture;

fn asset(env: &TestEnv, tenant: TenantId, name: &str, content_type: AssetType, at: Timestamp) -> Asset {
    let is_picture = content_type.kind() == AssetKind::Image;
    Asset {
        id: env.new_id(),
        tenant,
        filename: name.to_owned(),
        content_type,
        size: 5_000_000_000,
        width: is_picture.then_some(800),
        height: is_picture.then_some(600),
        hash: "ab".repeat(32),
        variants: vec![Variant { width: 320, height: 240, size: 1000, hash: "cd".repeat(32) }],
        alt_text: Some("Óptica \"Luz\"".to_owned()),
        purge_at: None,
        held: false,
        created_at: at,
        updated_at: at,
        version: 1,
    }
}

#[tokio::test]
async fn stores_finds_and_lists_files_of_their_tenant_only() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), env());
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let now = env.now();
        let made: Vec<Asset> =
            [("a.png", AssetType::Png), ("b.pdf", AssetType::Pdf), ("c 100%.gif", AssetType::Gif)]
                .into_iter()
                .zip(0..)
                .map(|((name, format), number)| {
                    asset(&env, ours, name, format, now + Duration::seconds(number))
                })
                .collect();
        fixture.write(async |unit| unit.assets().insert(&made).await).await.unwrap();
        fixture.write(async |unit| unit.assets().insert(&[]).await).await.unwrap();
        let again = fixture.write(async |unit| unit.assets().insert(&made[..1]).await).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))));
        let orphan = asset(&env, env.new_id(), "x.png", AssetType::Png, now);
        let orphan = fixture.write(async |unit| unit.assets().insert(&[orphan]).await).await;
        assert!(matches!(orphan, Err(StoreError::MissingReference(_))));

        let mut reader = database.store().reader();
        let mut assets = reader.assets();
        assert_eq!(assets.linked(ours, made[0].id).await.unwrap().as_ref(), Some(&made[0]));
        assert_eq!(assets.linked(theirs, made[0].id).await.unwrap(), None);
        assert_eq!(assets.find(ours, made[0].id).await.unwrap().as_ref(), Some(&made[0]));
        assert_eq!(assets.find(theirs, made[0].id).await.unwrap(), None);
        let ids: Vec<AssetId> = made.iter().map(|asset| asset.id).chain([env.new_id()]).collect();
        let mut found = assets.find_many(ours, &ids).await.unwrap();
        found.sort_by_key(|asset| asset.created_at);
        assert_eq!(found, made);
        assert_eq!(assets.find_many(theirs, &ids).await.unwrap(), []);
        assert_eq!(assets.find_many(ours, &[]).await.unwrap(), []);

        let names = |list: portico_kernel::List<Asset>| {
            (list.items.into_iter().map(|asset| asset.filename).collect::<Vec<_>>(), list.total)
        };
        let page = PageRequest { page: 1, limit: 2 };
        let all = assets.list(ours, AssetFilter::default(), page).await.unwrap();
        assert_eq!(names(all), (vec!["c 100%.gif".to_owned(), "b.pdf".to_owned()], 3));
        for (q, kind, expected) in [
            (Some("100%"), None, vec!["c 100%.gif"]),
            (Some("óptica"), Some(AssetKind::Pdf), vec!["b.pdf"]),
            (None, Some(AssetKind::Image), vec!["c 100%.gif", "a.png"]),
            (Some("nothing"), None, vec![]),
        ] {
            let filter = AssetFilter { q: q.map(str::to_owned), kind };
            let found = names(assets.list(ours, filter, PageRequest::default()).await.unwrap());
            assert_eq!(
                found,
                (expected.iter().map(|name| (*name).to_owned()).collect(), expected.len() as u64)
            );
        }
        assert_eq!(assets.list(theirs, AssetFilter::default(), page).await.unwrap().total, 0);
    })
    .await;
}

#[tokio::test]
async fn updates_one_version_and_forgets_what_is_deleted_when_its_time_is_up() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), env());
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let now = env.now();
        let made = asset(&env, ours, "a.png", AssetType::Png, now);
        fixture.write(async |unit| unit.assets().insert(std::slice::from_ref(&made)).await).await.unwrap();
        let renamed = Asset { filename: "b.png".to_owned(), alt_text: None, ..made.clone() };
        fixture.write(async |unit| unit.assets().update(&renamed).await).await.unwrap();
        let stale = fixture.write(async |unit| unit.assets().update(&renamed).await).await;
        assert!(matches!(stale, Err(StoreError::Stale)));
        let foreign = Asset { tenant: theirs, version: 2, ..renamed.clone() };
        let foreign = fixture.write(async |unit| unit.assets().update(&foreign).await).await;
        assert!(matches!(foreign, Err(StoreError::Stale)));
        let renamed = Asset { version: 2, ..renamed };
        let mut reader = database.store().reader();
        assert_eq!(reader.assets().find(ours, made.id).await.unwrap().as_ref(), Some(&renamed));
        assert_eq!(reader.assets().deleted(ours, made.id).await.unwrap(), None);

        let purge = async |tenant, now| {
            fixture.write(async |unit| unit.assets().purge(tenant, made.id, now).await).await
        };
        assert!(!purge(ours, now + Duration::DAY).await.unwrap(), "it is not deleted");
        let at = now + Duration::HOUR;
        let deleted = Asset { purge_at: Some(at), ..renamed.clone() };
        fixture.write(async |unit| unit.assets().update(&deleted).await).await.unwrap();
        let mut assets = reader.assets();
        assert_eq!(assets.find(ours, made.id).await.unwrap(), None);
        assert_eq!(assets.find_many(ours, &[made.id]).await.unwrap(), []);
        assert_eq!(assets.list(ours, AssetFilter::default(), PageRequest::default()).await.unwrap().total, 0);
        assert_eq!(assets.deleted(ours, made.id).await.unwrap(), Some(Asset { version: 3, ..deleted }));
        assert_eq!(assets.deleted(theirs, made.id).await.unwrap(), None);
        assert!(!purge(ours, at - Duration::SECOND).await.unwrap(), "it can be restored");
        assert!(purge(theirs, at).await.unwrap(), "they have no such file");
        assert!(assets.deleted(ours, made.id).await.unwrap().is_some());
        assert!(purge(ours, at).await.unwrap() && purge(ours, at).await.unwrap());
        assert_eq!(assets.deleted(ours, made.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn knows_the_pages_that_show_a_file() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), env());
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, foreign) = (fixture.site(ours, "shop").await, fixture.site(theirs, "other").await);
        let shown = asset(&env, ours, "a.png", AssetType::Png, env.now());
        let mut pages = Vec::new();
        for slug in ["hero", "gallery", "shared", "none"] {
            pages.push(fixture.page(&site, slug).await);
        }
        let contents = [
            json!({"heading": "x", "imageAssetId": shown.id}),
            json!({"images": [{"url": "/a.png"}, {"imageAssetId": shown.id}, {"imageAssetId": shown.id}]}),
        ];
        for (page, content) in pages.iter().zip(contents) {
            let mut section = fixture.new_section(page, 0);
            section.content = content;
            fixture.insert_sections(&[section]).await.unwrap();
        }
        let mut elsewhere = fixture.new_section(&fixture.page(&foreign, "hero").await, 0);
        elsewhere.content = json!({"imageAssetId": shown.id});
        fixture.insert_sections(&[elsewhere]).await.unwrap();
        let open_graph = OpenGraph { image_asset_id: Some(shown.id), ..OpenGraph::default() };
        let seo = portico_sites::seo::Seo {
            tenant: ours,
            page_id: pages[2].id,
            title: None,
            description: None,
            keywords: Vec::new(),
            canonical_url: None,
            robots: None,
            open_graph,
            structured_data: None,
            updated_at: env.now(),
            version: 1,
        };
        fixture.write(async |unit| unit.seo().insert(&[seo]).await).await.unwrap();
        let mut reader = database.store().reader();
        let users = reader.assets().used_by(ours, shown.id).await.unwrap();
        assert_eq!(users, pages[..3].iter().map(|page| page.id).collect::<Vec<_>>());
        assert_eq!(reader.assets().used_by(ours, env.new_id()).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn links_lead_to_files_of_active_tenants_only() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), env());
        let tenant = fixture.tenant("ours").await;
        let made = asset(&env, tenant, "a.png", AssetType::Png, env.now());
        fixture.write(async |unit| unit.assets().insert(std::slice::from_ref(&made)).await).await.unwrap();
        for (status, found) in
            [("suspended", false), ("active", true), ("deleting", false), ("deleted", false)]
        {
            let statement = format!("update tenants set status = '{status}' where id = $1");
            assert_eq!(database.tamper(&statement, &[tenant.uuid()]).await, 1);
            let linked = database.store().reader().assets().linked(tenant, made.id).await.unwrap();
            assert_eq!(linked.is_some(), found, "{status}");
        }
        database.tamper("update tenants set status = 'active' where id = $1", &[tenant.uuid()]).await;
        let deleted = Asset { purge_at: Some(env.now()), ..made.clone() };
        fixture.write(async |unit| unit.assets().update(&deleted).await).await.unwrap();
        assert_eq!(database.store().reader().assets().linked(tenant, made.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn files_are_held_by_their_tenant_and_keep_their_version() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), env());
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let made = ["a.pdf", "b.pdf"].map(|name| asset(&env, ours, name, AssetType::Pdf, env.now()));
        fixture.write(async |unit| unit.assets().insert(&made).await).await.unwrap();
        let ids = [made[0].id, made[1].id, env.new_id()];
        let held = async || {
            let mut reader = database.store().reader();
            let mut assets = reader.assets();
            let first = assets.linked(ours, ids[0]).await.unwrap().unwrap();
            (first.held, assets.linked(ours, ids[1]).await.unwrap().unwrap().held)
        };
        let hold = async |tenant, ids: &[AssetId], held| {
            fixture.write(async |unit| unit.assets().hold(tenant, ids, held).await).await.unwrap();
        };
        assert_eq!(held().await, (false, false));
        hold(theirs, &ids, true).await;
        hold(ours, &[], true).await;
        assert_eq!(held().await, (false, false));
        hold(ours, &ids, true).await;
        assert_eq!(held().await, (true, true));
        hold(ours, &ids[..1], false).await;
        assert_eq!(held().await, (false, true));
        let found = database.store().reader().assets().find(ours, ids[1]).await.unwrap();
        let second = Asset { held: true, ..made[1].clone() };
        assert_eq!(found.as_ref(), Some(&second), "its version is what it was");
        let changed = Asset { alt_text: None, ..made[1].clone() };
        fixture.write(async |unit| unit.assets().update(&changed).await).await.unwrap();
        assert_eq!(held().await, (false, true), "a change of its name frees nothing");
        let copy = Asset { id: env.new_id(), ..second };
        fixture.write(async |unit| unit.assets().insert(std::slice::from_ref(&copy)).await).await.unwrap();
        let found = database.store().reader().assets().find(ours, copy.id).await.unwrap();
        assert!(!found.unwrap().held, "a new file waits for nobody");
    })
    .await;
}
