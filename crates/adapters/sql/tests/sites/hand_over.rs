//! Handing a site over to another tenant: which tables go with it, and which stay behind.

use std::collections::BTreeSet;

use portico_kernel::{Id, RequestInfo, Scope, TenantId};
use portico_sites::{
    asset::{Asset, AssetType},
    deployment::{Deployment, DeploymentStatus},
    domain::{Domain, DomainMode, DomainStatus},
    navigation::NavItem,
    ports::{HostName, SiteRepositories},
    sale::Sales,
    section::Section,
    seo::Seo,
    site::{Site, SiteStatus},
    submission::{Consent, Submission, SubmissionStatus},
};
use portico_testkit::{TestDatabase, env, on_each_database};
use serde_json::json;
use time::Duration;

use crate::fixture::Fixture;

/// Tables whose rows are stored anew for the buyer.
const HANDED_OVER: [&str; 7] =
    ["sites", "pages", "sections", "section_origins", "nav_items", "page_seo", "domains"];

/// Those of which one row goes with a site: the deployment that is live.
const LIVE_ONE: [&str; 1] = ["deployments"];

/// What is about the time of the seller, and goes with the old site.
const LEFT_BEHIND: [(&str, &str); 8] = [
    ("page_versions", "who changed what at the seller"),
    ("submissions", "messages to the seller"),
    ("visit_days", "analytics start anew"),
    ("visit_names", "analytics start anew"),
    ("visitor_hashes", "analytics start anew"),
    ("wizards", "answers of the seller"),
    ("wizard_generations", "texts for those answers"),
    ("wizard_pages", "texts for those answers"),
];

/// What only names a site, a page or the like, and has no part in it.
const NAMED_ONLY: [(&str, &str); 1] = [("site_sales", "the books of the seller")];

/// Every table that refers to a site, or to something of one.
async fn tables(database: &TestDatabase) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in
        ["sites", "pages", "sections", "nav_items", "deployments", "domains", "wizards", "wizard_generations"]
    {
        found.extend(database.references_to(part).await.into_iter().map(|(table, _)| table));
    }
    found.insert("sites".to_owned());
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_a_site_is_known_to_go_with_it_or_to_stay() {
    on_each_database(async |database| {
        let left = LEFT_BEHIND.iter().chain(&NAMED_ONLY).map(|(table, _)| *table);
        let known: BTreeSet<String> =
            HANDED_OVER.into_iter().chain(LIVE_ONE).chain(left).map(str::to_owned).collect();
        let found = tables(database).await;
        let unknown: Vec<_> = found.difference(&known).collect();
        assert!(
            unknown.is_empty(),
            "say in `portico_sites::sale::hand_over` and here what becomes of {unknown:?}"
        );
        let gone: Vec<_> = known.difference(&found).collect();
        assert!(gone.is_empty(), "{gone:?} refer to no site");
    })
    .await;
}

fn picture(tenant: TenantId) -> Asset {
    let at = env().now();
    Asset {
        id: Id::from_uuid(uuid::Uuid::from_u128(77)),
        tenant,
        filename: "bread.jpg".to_owned(),
        content_type: AssetType::Jpeg,
        size: 1000,
        width: Some(640),
        height: Some(480),
        hash: "0".repeat(64),
        variants: Vec::new(),
        alt_text: Some("Bread".to_owned()),
        purge_at: None,
        held: false,
        created_at: at,
        updated_at: at,
        version: 1,
    }
}

fn domain(site: &Site) -> Domain {
    let at = env().now();
    Domain {
        id: Id::from_uuid(uuid::Uuid::from_u128(78)),
        tenant: site.tenant_id,
        site_id: site.id,
        name: "bakery.example".to_owned(),
        mode: DomainMode::Primary,
        status: DomainStatus::Verified,
        reason: None,
        checked_at: Some(at),
        verified_at: Some(at),
        created_at: at,
        updated_at: at,
        records: Vec::new(),
        token: "proof".to_owned(),
        missing_since: None,
        misses: 0,
        round: 3,
        version: 1,
    }
}

fn message(site: &Site) -> Submission {
    let at = env().now();
    Submission {
        id: Id::from_uuid(uuid::Uuid::from_u128(79)),
        tenant: site.tenant_id,
        site_id: site.id,
        section_id: Id::from_uuid(uuid::Uuid::from_u128(5)),
        page_path: "/".to_owned(),
        language: "es".to_owned(),
        name: "Ana".to_owned(),
        email: "ana@example.com".to_owned(),
        phone: None,
        message: "To the seller".to_owned(),
        consent: Consent { given: true, text: "Sí".to_owned(), at: Some(at) },
        status: SubmissionStatus::New,
        created_at: at,
        updated_at: at,
        digest: "digest".to_owned(),
        version: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_goes_to_another_tenant_in_one_transaction() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (seller, buyer) = (fixture.tenant("seller").await, fixture.tenant("buyer").await);
        let live = Deployment {
            status: DeploymentStatus::Live,
            progress: 100,
            ..fixture.new_deployment(&fixture.new_site(seller, "unused"))
        };
        let site = Site {
            status: SiteStatus::Sold,
            live_deployment_id: Some(live.id),
            ..fixture.new_site(seller, "bakery")
        };
        fixture.insert_site(&site).await.unwrap();
        let live = Deployment { site_id: site.id, ..live };
        let earlier = Deployment { status: DeploymentStatus::Live, ..fixture.new_deployment(&site) };
        let (first, second) = (fixture.page(&site, "about").await, fixture.page(&site, "prices").await);
        let shown = Section {
            content: json!({"heading": "Fresh", "imageAssetId": picture(seller).id}),
            ..fixture.new_section(&first, 0)
        };
        fixture.insert_sections(&[shown.clone(), fixture.new_section(&second, 0)]).await.unwrap();
        let above = fixture.new_item(&site, "Above", 0);
        fixture.insert_item(&above).await.unwrap();
        let below = NavItem { parent_id: Some(above.id), ..fixture.new_item(&site, "Below", 0) };
        fixture.insert_item(&below).await.unwrap();
        let seo = Seo {
            title: Some("Bread".to_owned()),
            version: 1,
            ..Seo::nothing(seller, first.id, first.updated_at)
        };
        fixture
            .write(async |unit| {
                unit.deployments().insert(&live).await?;
                unit.deployments().insert(&earlier).await?;
                unit.seo().insert(std::slice::from_ref(&seo)).await?;
                unit.domains().insert(&domain(&site)).await?;
                unit.assets().insert(&[picture(seller)]).await?;
                unit.submissions().insert(&message(&site)).await.map(drop)
            })
            .await
            .unwrap();

        let (scope, env) = (Scope::system(None, RequestInfo::default()), env());
        let branding = Default::default();
        let copied = [picture(seller).id];
        let mut unit = fixture.begin().await;
        let handed = Sales::new(&mut unit, &scope, &env)
            .hand_over(seller, site.id, buyer, branding, &copied)
            .await
            .unwrap();
        // Until it is committed, nothing has happened.
        assert!(database.store().reader().sites().find(seller, site.id).await.unwrap().is_some());
        unit.commit().await.unwrap();

        let mut reader = database.store().reader();
        assert_eq!(reader.sites().find(seller, site.id).await.unwrap(), None);
        assert_eq!(reader.sites().find(buyer, site.id).await.unwrap(), Some(handed.site.clone()));
        let pages = reader.pages().unarchived(buyer, site.id).await.unwrap();
        assert_eq!(pages.len(), 2);
        assert!(reader.pages().unarchived(seller, site.id).await.unwrap().is_empty());
        let sections = reader.sections().of_pages(buyer, &[first.id, second.id]).await.unwrap();
        assert_eq!(sections.len(), 2);
        assert!(sections.contains(&Section { tenant: buyer, ..shown }));
        let items = reader.navigation().list(buyer, site.id, false).await.unwrap();
        assert_eq!(items.len(), 2);
        assert!(items.contains(&NavItem { tenant: buyer, ..below }));
        assert_eq!(reader.seo().find(buyer, first.id).await.unwrap(), Some(Seo { tenant: buyer, ..seo }));
        let kept = reader.deployments().latest(buyer, site.id).await.unwrap();
        assert_eq!(kept.map(|kept| kept.id), Some(live.id), "only the one that is live");
        assert!(reader.assets().find(buyer, copied[0]).await.unwrap().is_some());
        assert!(
            reader.assets().find(seller, copied[0]).await.unwrap().is_some(),
            "the seller keeps the file"
        );
        for host in [HostName::Subdomain("bakery".to_owned()), HostName::Domain("bakery.example".to_owned())]
        {
            let hosted = reader.domains().hosted_at(&host).await.unwrap().unwrap();
            assert_eq!(
                (hosted.tenant, hosted.site, hosted.deployment),
                (buyer, site.id, Some(live.id)),
                "{host:?}"
            );
        }
        let messages = reader.submissions().find(buyer, site.id, message(&site).id).await.unwrap();
        assert_eq!(messages, None, "messages to the seller are nobody else's");
        // And back again, with its domain and without what was said to the buyer.
        let to_buyer = Submission { tenant: buyer, ..message(&site) };
        fixture.write(async |unit| unit.submissions().insert(&to_buyer).await.map(drop)).await.unwrap();
        let sold_at = env.now() + Duration::DAY;
        let mut unit = fixture.begin().await;
        let mut sales = Sales::new(&mut unit, &scope, &env);
        let returned = sales.give_back(buyer, site.id, seller, sold_at, &copied).await.unwrap();
        unit.commit().await.unwrap();
        assert_eq!(returned.bytes, 0, "the seller has kept the picture");
        assert_eq!(reader.sites().find(buyer, site.id).await.unwrap(), None);
        assert_eq!(reader.sites().find(seller, site.id).await.unwrap(), Some(returned.site.clone()));
        assert_eq!(
            (returned.site.status, returned.site.live_deployment_id),
            (SiteStatus::Draft, None),
            "it answers nowhere"
        );
        assert_eq!(reader.pages().unarchived(seller, site.id).await.unwrap().len(), 2);
        assert!(reader.pages().unarchived(buyer, site.id).await.unwrap().is_empty());
        assert!(reader.deployments().latest(seller, site.id).await.unwrap().is_none());
        let messages = reader.submissions().find(seller, site.id, to_buyer.id).await.unwrap();
        assert_eq!(messages, None, "messages to the buyer are nobody else's");
        // Its name is the seller's now, to keep and to give up.
        let mut unit = fixture.begin().await;
        assert!(unit.sites().delete(seller, site.id).await.unwrap());
        unit.commit().await.unwrap();
        fixture.site(buyer, "bakery").await;
    })
    .await;
}
