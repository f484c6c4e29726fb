//! What the ports of domains and of sites for sale promise.

use portico_kernel::name::Subdomain;
use portico_kernel::{PageRequest, StoreError, TenantId, money::Money};
use portico_sites::{
    deployment::Deployment,
    domain::{DnsRecord, Domain, DomainMode, DomainReason, DomainStatus},
    ports::{
        DOMAIN_EXISTS, DOMAIN_VERIFIED_ELSEWHERE, HostName, HostedSite, SECOND_PRIMARY, SiteRepositories,
    },
    site::{Site, SiteStatus},
};
use portico_tenancy::{ports::TenancyRepositories, tenant::TenantStatus};
use portico_testkit::{TestEnv, on_each_database};

use crate::fixture::Fixture;

fn new(env: &TestEnv, site: &Site, name: &str) -> Domain {
    let now = env.now();
    Domain {
        id: env.new_id(),
        tenant: site.tenant_id,
        site_id: site.id,
        name: name.to_owned(),
        mode: DomainMode::Primary,
        status: DomainStatus::Pending,
        reason: None,
        checked_at: None,
        verified_at: None,
        created_at: now,
        updated_at: now,
        records: Vec::new(),
        token: "token".to_owned(),
        missing_since: None,
        misses: 0,
        round: 1,
        version: 1,
    }
}

fn verified(domain: &Domain, mode: DomainMode) -> Domain {
    Domain { status: DomainStatus::Verified, mode, ..domain.clone() }
}

async fn insert(fixture: &Fixture<'_>, domain: &Domain) -> Result<(), StoreError> {
    fixture.write(async |unit| unit.domains().insert(domain).await).await
}

async fn update(fixture: &Fixture<'_>, domain: &Domain) -> Result<(), StoreError> {
    fixture.write(async |unit| unit.domains().update(domain).await).await
}

#[track_caller]
fn assert_conflict(result: Result<(), StoreError>, key: &str) {
    assert!(matches!(&result, Err(StoreError::Conflict(name)) if name == key), "{key}: {result:?}");
}

#[tokio::test]
async fn a_domain_is_kept_as_it_is() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), portico_testkit::env());
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let mut domain = new(&env, &site, "www.example.com");
        insert(&fixture, &domain).await.unwrap();
        let find = async || {
            database.store().reader().domains().find(site.tenant_id, site.id, domain.id).await.unwrap()
        };
        assert_eq!(find().await, Some(domain.clone()));
        let now = env.now();
        domain = Domain {
            mode: DomainMode::Alias,
            status: DomainStatus::Failed,
            reason: Some(DomainReason::TxtWrong),
            checked_at: Some(now),
            verified_at: Some(now),
            missing_since: Some(now),
            misses: 3,
            round: 7,
            records: vec![DnsRecord {
                kind: "TXT".to_owned(),
                name: "_portico-challenge.www.example.com".to_owned(),
                expected: "a".to_owned(),
                found: vec!["b".to_owned(), "é \"quoted\"".to_owned()],
                ok: false,
            }],
            ..domain
        };
        update(&fixture, &domain).await.unwrap();
        assert!(matches!(update(&fixture, &domain).await, Err(StoreError::Stale)));
        domain.version += 1;
        let found =
            database.store().reader().domains().find(site.tenant_id, site.id, domain.id).await.unwrap();
        assert_eq!(found, Some(domain.clone()));

        let other = fixture.site(fixture.tenant("theirs").await, "other").await;
        let mut reader = database.store().reader();
        assert_eq!(reader.domains().find(other.tenant_id, site.id, domain.id).await.unwrap(), None);
        assert_eq!(reader.domains().find(site.tenant_id, other.id, domain.id).await.unwrap(), None);
        let list = reader.domains().list(site.tenant_id, site.id, PageRequest::default()).await.unwrap();
        assert_eq!((list.items, list.total), (vec![domain.clone()], 1));
        let delete = async |tenant: TenantId| {
            fixture.write(async |unit| unit.domains().delete(tenant, site.id, domain.id).await).await.unwrap()
        };
        assert!(!delete(other.tenant_id).await);
        assert!(delete(site.tenant_id).await);
        assert!(!delete(site.tenant_id).await);
    })
    .await;
}

#[tokio::test]
async fn a_name_is_there_once_in_a_tenant_and_verified_once_at_all() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), portico_testkit::env());
        let mine = fixture.site(fixture.tenant("ours").await, "shop").await;
        let theirs = fixture.site(fixture.tenant("theirs").await, "other").await;
        let (first, second) = (new(&env, &mine, "a.example"), new(&env, &theirs, "a.example"));
        insert(&fixture, &first).await.unwrap();
        insert(&fixture, &second).await.unwrap();
        assert_conflict(insert(&fixture, &new(&env, &mine, "a.example")).await, DOMAIN_EXISTS);
        let nowhere = Domain { site_id: theirs.id, ..new(&env, &mine, "b.example") };
        assert!(matches!(insert(&fixture, &nowhere).await, Err(StoreError::MissingReference(_))));

        update(&fixture, &verified(&first, DomainMode::Alias)).await.unwrap();
        let late = update(&fixture, &verified(&second, DomainMode::Alias)).await;
        assert_conflict(late, DOMAIN_VERIFIED_ELSEWHERE);
        // A site has one main address.
        let main = new(&env, &theirs, "c.example");
        let other = new(&env, &theirs, "d.example");
        for domain in [&main, &other] {
            insert(&fixture, domain).await.unwrap();
        }
        update(&fixture, &verified(&main, DomainMode::Primary)).await.unwrap();
        assert_conflict(update(&fixture, &verified(&other, DomainMode::Primary)).await, SECOND_PRIMARY);
        update(&fixture, &verified(&other, DomainMode::Redirect)).await.unwrap();
        let primary = database.store().reader().domains().primary(theirs.tenant_id, theirs.id).await.unwrap();
        assert_eq!(primary.unwrap().id, main.id);
        assert_eq!(database.store().reader().domains().primary(mine.tenant_id, mine.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn of_two_who_verify_a_name_at_once_one_does() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), portico_testkit::env());
        for round in 0..5 {
            let name = format!("r{round}.example");
            let mut domains = Vec::new();
            for side in ["a", "b"] {
                let site = fixture
                    .site(fixture.tenant(&format!("{side}{round}")).await, &format!("s{side}{round}"))
                    .await;
                let domain = new(&env, &site, &name);
                insert(&fixture, &domain).await.unwrap();
                domains.push(verified(&domain, DomainMode::Alias));
            }
            let (one, other) = tokio::join!(update(&fixture, &domains[0]), update(&fixture, &domains[1]));
            let won = [&one, &other].iter().filter(|result| result.is_ok()).count();
            assert_eq!(won, 1, "{one:?} {other:?}");
            assert_conflict(one.and(other), DOMAIN_VERIFIED_ELSEWHERE);
        }
    })
    .await;
}

#[tokio::test]
async fn a_site_takes_its_domains_along_and_they_are_counted() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), portico_testkit::env());
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        for name in ["a.example", "b.example"] {
            insert(&fixture, &new(&env, &site, name)).await.unwrap();
        }
        // Somebody adds one while the site goes: it is counted, or it is not added.
        let late = new(&env, &site, "late.example");
        let (deleted, added) = tokio::join!(
            fixture.write(async |unit| {
                let count = unit.domains().delete_of_site(site.tenant_id, site.id).await?;
                assert!(unit.sites().delete(site.tenant_id, site.id).await?);
                Ok(count)
            }),
            insert(&fixture, &late)
        );
        match added {
            Ok(()) => assert_eq!(deleted.unwrap(), 3),
            Err(StoreError::MissingReference(_)) => assert_eq!(deleted.unwrap(), 2),
            Err(error) => panic!("{error:?}"),
        }
        let mut reader = database.store().reader();
        assert_eq!(
            reader.domains().list(site.tenant_id, site.id, PageRequest::default()).await.unwrap().total,
            0
        );
    })
    .await;
}

#[tokio::test]
async fn only_verified_names_lead_to_a_site() {
    on_each_database(async |database| {
        let (fixture, env) = (Fixture::new(database), portico_testkit::env());
        let tenant = fixture.tenant("ours").await;
        let mut site = fixture.site(tenant, "shop").await;
        let deployment: Deployment = fixture.new_deployment(&site);
        let subdomain = HostName::Subdomain("shop".to_owned());
        let name = HostName::Domain("a.example".to_owned());
        let at = async |host: &HostName| database.store().reader().domains().hosted_at(host).await.unwrap();
        assert_eq!(at(&HostName::Subdomain("nobody".to_owned())).await, None);
        assert_eq!(at(&HostName::Subdomain("ours".to_owned())).await, None, "no site");
        let mut expected = HostedSite {
            tenant,
            site: site.id,
            subdomain: Subdomain::trusted("shop".to_owned()),
            deployment: None,
            paused: false,
            bandwidth_spent_until: None,
            primary: None,
            mode: None,
        };
        assert_eq!(at(&subdomain).await, Some(expected.clone()), "nothing was deployed yet");

        let store = async |site: &mut Site| {
            fixture.write(async |unit| unit.sites().update(site).await).await.unwrap();
            site.version += 1;
        };
        site.live_deployment_id = Some(deployment.id);
        site.status = SiteStatus::Published;
        site.custom_domain = Some("a.example".to_owned());
        store(&mut site).await;
        expected.deployment = Some(deployment.id);
        expected.primary = Some("a.example".to_owned());
        let domain = new(&env, &site, "a.example");
        insert(&fixture, &domain).await.unwrap();
        assert_eq!(at(&name).await, None, "not verified");
        update(&fixture, &verified(&domain, DomainMode::Redirect)).await.unwrap();
        let by_name = Some(HostedSite { mode: Some(DomainMode::Redirect), ..expected.clone() });
        assert_eq!((at(&name).await, at(&subdomain).await), (by_name.clone(), Some(expected.clone())));
        assert_eq!(at(&HostName::Domain("shop".to_owned())).await, None);
        assert_eq!(at(&HostName::Subdomain("a.example".to_owned())).await, None);

        site.status = SiteStatus::Suspended;
        store(&mut site).await;
        assert_eq!(at(&name).await.unwrap().deployment, None);
        site.status = SiteStatus::ForSale;
        store(&mut site).await;
        assert_eq!(at(&name).await, by_name);
        for (status, there, paused) in [
            (TenantStatus::Suspended, true, true),
            (TenantStatus::Active, true, false),
            (TenantStatus::Deleting, false, false),
            (TenantStatus::Deleted, false, false),
        ] {
            fixture
                .write(async |unit| {
                    let mut owner = unit.tenants().find(tenant).await?.unwrap();
                    owner.status = status;
                    unit.tenants().update(&owner).await
                })
                .await
                .unwrap();
            for host in [&name, &subdomain] {
                let found = at(host).await;
                assert_eq!(found.is_some(), there, "{status:?}");
                assert_eq!(found.is_some_and(|site| site.paused), paused, "{status:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn sites_on_offer_are_those_of_active_tenants() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let mut offered = Vec::new();
        for number in 0..3 {
            let tenant = fixture.tenant(&format!("t{number}")).await;
            let mut site = fixture.site(tenant, &format!("offer-{number}")).await;
            site.status = SiteStatus::ForSale;
            site.price = Some(Money { amount: 100 + number, currency: "usd".to_owned() });
            fixture.write(async |unit| unit.sites().update(&site).await).await.unwrap();
            site.version += 1;
            fixture.site(tenant, &format!("kept-{number}")).await;
            offered.insert(0, site);
        }
        let list = async |q: Option<&str>, page: u64| {
            let request = PageRequest { page, limit: 2 };
            let q = q.map(str::to_owned);
            database.store().reader().sites().on_offer(q, request).await.unwrap()
        };
        assert_eq!((list(None, 1).await.items, list(None, 1).await.total), (offered[..2].to_vec(), 3));
        assert_eq!(list(None, 2).await.items, offered[2..]);
        assert_eq!(list(Some("OFFER-1"), 1).await.items, offered[1..2]);
        assert_eq!(list(Some("kept"), 1).await.total, 0);
        let at = async |name: &str| database.store().reader().sites().on_offer_at(name).await.unwrap();
        assert_eq!(at("offer-2").await.as_ref(), Some(&offered[0]));
        assert_eq!((at("kept-2").await, at("nobody").await), (None, None));
        fixture
            .write(async |unit| {
                let mut owner = unit.tenants().find(offered[0].tenant_id).await?.unwrap();
                owner.status = TenantStatus::Suspended;
                unit.tenants().update(&owner).await
            })
            .await
            .unwrap();
        assert_eq!((list(None, 1).await.total, at("offer-2").await), (2, None));
    })
    .await;
}
