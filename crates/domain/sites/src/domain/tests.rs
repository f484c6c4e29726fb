use std::sync::Mutex;

use async_trait::async_trait;
use portico_kernel::{Env, Fault, Kind, Meter, Scope, TenantRole, Timestamp};
use time::Duration;

use super::*;
use crate::{
    SitesError,
    domain_name::{OwnNames, challenge_text},
    ports::{DomainResolver, HostName, Pointing, ResolveError, SiteRepositories},
    site::{NewSite, Site, SiteStatus, Sites},
    testing::{Store, env, member, tenant, user},
};

fn new(name: &str, mode: Option<DomainMode>) -> NewDomain {
    NewDomain { name: name.to_owned(), mode }
}

async fn site(store: &mut Store, scope: &Scope, env: &Env) -> Site {
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    let site = Sites::new(store, scope, env).create(input).await.unwrap();
    store.take_events();
    site
}

fn check(outcome: DnsOutcome) -> DnsCheck {
    DnsCheck { outcome, records: Vec::new() }
}

/// Adds a domain and verifies it.
async fn verified(
    store: &mut Store,
    scope: &Scope,
    site: &Site,
    name: &str,
    mode: DomainMode,
    env: &Env,
) -> Domain {
    let mut domains = Domains::new(store, scope, env);
    let domain = domains.add(site.id, new(name, Some(mode)), &OwnNames::default()).await.unwrap();
    domains.record(&domain, check(DnsOutcome::Proven)).await.unwrap()
}

fn main_address(store: &Store, site: &Site) -> Option<String> {
    store.sites.iter().find(|other| other.id == site.id).unwrap().custom_domain.clone()
}

#[tokio::test]
async fn a_new_domain_waits_for_its_proof() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Admin), env());
    let site = site(&mut store, &member(TenantRole::Owner), &env).await;
    let mut domains = Domains::new(&mut store, &scope, &env);
    let domain = domains.add(site.id, new("WWW.Example.com", None), &OwnNames::default()).await.unwrap();
    assert_eq!((domain.name.as_str(), domain.status), ("www.example.com", DomainStatus::Pending));
    assert_eq!(domain.mode, DomainMode::Primary, "the site has no other");
    assert_eq!(domain.token.len(), 43);
    assert_eq!(main_address(&store, &site), None);
    let event = store.events.last().unwrap();
    assert!(!event.after.as_ref().unwrap().to_string().contains(&domain.token), "{event:?}");
    assert_eq!(store.take_events(), ["domain.added"]);
    let job = store.jobs.last().unwrap();
    assert_eq!((job.kind, job.payload["round"].as_i64()), ("domain.check", Some(1)));
    assert!(!job.payload.to_string().contains(&domain.token));
    let host = HostName::Domain("www.example.com".to_owned());
    assert_eq!(store.domains().hosted_at(&host).await.unwrap(), None);
}

#[tokio::test]
async fn bad_names_and_names_of_the_service_are_refused() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = site(&mut store, &scope, &env).await;
    let own = OwnNames::new(["sites.example"]);
    let mut domains = Domains::new(&mut store, &scope, &env);
    for name in
        ["", "localhost", "10.0.0.1", "https://example.com", "shop.sites.example", "sites.example", "co.uk"]
    {
        let error = domains.add(site.id, new(name, None), &own).await.unwrap_err();
        assert_eq!((error.kind(), error.fields()[0].field.as_str()), (Kind::Invalid, "name"), "{name}");
    }
    domains.add(site.id, new("example.com", None), &own).await.unwrap();
    let again = domains.add(site.id, new("EXAMPLE.com", None), &own).await.unwrap_err();
    assert!(matches!(again, SitesError::DomainExists));
    assert_eq!(store.take_events(), ["domain.added"]);
}

#[tokio::test]
async fn permissions_come_first_and_other_tenants_see_nothing() {
    let (mut store, owner, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = site(&mut store, &owner, &env).await;
    let domain = verified(&mut store, &owner, &site, "example.com", DomainMode::Primary, &env).await;
    for role in [TenantRole::Viewer, TenantRole::Editor] {
        let scope = member(role);
        let mut domains = Domains::new(&mut store, &scope, &env);
        let denied = |result: Result<Domain, SitesError>| matches!(result, Err(SitesError::Denied(_)));
        assert!(denied(domains.add(site.id, new("", None), &OwnNames::default()).await));
        assert!(denied(domains.update(site.id, domain.id, DomainUpdate::default(), None).await));
        assert!(denied(domains.remove(site.id, domain.id, None).await.map(|()| domain.clone())));
        assert!(denied(domains.find_for_check(site.id, domain.id).await));
        assert!(denied(domains.record(&domain, check(DnsOutcome::Proven)).await));
        assert!(domains.get(site.id, domain.id).await.is_ok());
    }
    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut domains = Domains::new(&mut store, &other, &env);
    let missing = |result: Result<Domain, SitesError>| matches!(result, Err(SitesError::NotFound(_)));
    assert!(missing(domains.add(site.id, new("b.example", None), &OwnNames::default()).await));
    assert!(missing(domains.get(site.id, domain.id).await));
    assert!(missing(domains.remove(site.id, domain.id, None).await.map(|()| domain.clone())));
    assert!(missing(domains.find_for_check(site.id, domain.id).await));
    let request = portico_kernel::PageRequest::default();
    assert!(matches!(domains.list(site.id, request).await, Err(SitesError::NotFound(_))));
}

#[tokio::test]
async fn who_verifies_first_has_it_until_they_let_go() {
    let (mut store, mine) = (Store::default(), member(TenantRole::Owner));
    let theirs = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let env = env();
    let my_site = site(&mut store, &mine, &env).await;
    let their_site = site(&mut store, &theirs, &env).await;
    let mut domains = Domains::new(&mut store, &theirs, &env);
    let wanted = domains.add(their_site.id, new("example.com", None), &OwnNames::default()).await.unwrap();
    let owned = verified(&mut store, &mine, &my_site, "example.com", DomainMode::Primary, &env).await;
    assert_ne!(wanted.token, owned.token, "each has a proof of its own");

    let mut domains = Domains::new(&mut store, &theirs, &env);
    let late = domains.record(&wanted, check(DnsOutcome::Proven)).await.unwrap_err();
    assert_eq!((late.kind(), late.code()), (Kind::Conflict, "domain_taken"));
    let noted = domains.record_taken(&wanted, check(DnsOutcome::Proven)).await.unwrap();
    assert_eq!((noted.status, noted.reason), (DomainStatus::Pending, Some(DomainReason::Taken)));

    Domains::new(&mut store, &mine, &env).remove(my_site.id, owned.id, None).await.unwrap();
    let mut domains = Domains::new(&mut store, &theirs, &env);
    let now = domains.record(&wanted, check(DnsOutcome::Proven)).await.unwrap();
    assert_eq!((now.status, now.reason), (DomainStatus::Verified, None));
}

#[tokio::test]
async fn one_domain_is_the_main_address() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = site(&mut store, &scope, &env).await;
    let first = verified(&mut store, &scope, &site, "one.example", DomainMode::Primary, &env).await;
    assert_eq!(main_address(&store, &site).as_deref(), Some("one.example"));
    let second = verified(&mut store, &scope, &site, "two.example", DomainMode::Redirect, &env).await;
    assert_eq!(main_address(&store, &site).as_deref(), Some("one.example"));
    store.take_events();

    let mut domains = Domains::new(&mut store, &scope, &env);
    let make_main = DomainUpdate { mode: Some(DomainMode::Primary) };
    domains.update(site.id, second.id, make_main.clone(), Some(second.version)).await.unwrap();
    assert_eq!(domains.get(site.id, first.id).await.unwrap().mode, DomainMode::Redirect);
    let stale = domains.update(site.id, first.id, make_main, Some(first.version)).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::PreconditionFailed);
    assert_eq!(main_address(&store, &site).as_deref(), Some("two.example"));
    assert_eq!(store.take_events(), ["domain.updated", "domain.updated", "site.updated"]);

    // A third that becomes verified while it is meant to be the main one takes over, and hands back when it goes.
    let third = verified(&mut store, &scope, &site, "three.example", DomainMode::Primary, &env).await;
    assert_eq!(main_address(&store, &site).as_deref(), Some("three.example"));
    Domains::new(&mut store, &scope, &env).remove(site.id, third.id, None).await.unwrap();
    assert_eq!(main_address(&store, &site), None, "the subdomain is, until somebody chooses");
    assert!(store.jobs.iter().all(|job| job.kind == "domain.check"), "nothing is live, so nothing is built");
}

#[tokio::test]
async fn a_live_site_is_built_again_when_its_address_changes() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = site(&mut store, &scope, &env).await;
    store.sites[0].live_deployment_id = Some(env.new_id());
    let count = |store: &Store| store.jobs.iter().filter(|job| job.kind == "site.redeploy").count();
    let domain = verified(&mut store, &scope, &site, "one.example", DomainMode::Alias, &env).await;
    assert_eq!(count(&store), 0);
    let mut domains = Domains::new(&mut store, &scope, &env);
    let make_main = DomainUpdate { mode: Some(DomainMode::Primary) };
    domains.update(site.id, domain.id, make_main, None).await.unwrap();
    assert_eq!(count(&store), 1);
    Domains::new(&mut store, &scope, &env).remove(site.id, domain.id, None).await.unwrap();
    assert_eq!(count(&store), 2);
}

#[tokio::test]
async fn a_round_of_checks_is_counted_once() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = site(&mut store, &scope, &env).await;
    let mut domains = Domains::new(&mut store, &scope, &env);
    let domain = domains.add(site.id, new("a.example", None), &OwnNames::default()).await.unwrap();
    let due = domains.due(site.id, domain.id, 1).await.unwrap().unwrap();
    domains.end_round(due).await.unwrap();
    assert_eq!(domains.due(site.id, domain.id, 1).await.unwrap(), None, "the job ran twice");
    assert!(domains.due(site.id, domain.id, 2).await.unwrap().is_some());
    let rounds: Vec<_> = store.jobs.iter().map(|job| job.payload["round"].as_i64().unwrap()).collect();
    assert_eq!(rounds, [1, 2]);
}

#[tokio::test]
async fn a_site_that_only_staff_change_keeps_its_domains() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = site(&mut store, &scope, &env).await;
    let domain = verified(&mut store, &scope, &site, "one.example", DomainMode::Primary, &env).await;
    for (status, code) in [(SiteStatus::ForSale, "site_for_sale"), (SiteStatus::Published, "over_limit")] {
        (store.sites[0].status, store.sites[0].over_limit) = (status, true);
        let mut domains = Domains::new(&mut store, &scope, &env);
        let refused = [
            domains.add(site.id, new("two.example", None), &OwnNames::default()).await,
            domains.update(site.id, domain.id, DomainUpdate::default(), None).await,
            domains.remove(site.id, domain.id, None).await.map(|()| domain.clone()),
        ];
        for result in refused {
            assert_eq!(result.unwrap_err().code(), code);
        }
    }
}

fn at(hours: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + hours * 3600).unwrap()
}

fn domain(status: DomainStatus) -> Domain {
    let id = env().new_id();
    Domain {
        id,
        tenant: tenant(1),
        site_id: env().new_id(),
        name: "www.example.com".to_owned(),
        mode: DomainMode::Primary,
        status,
        reason: None,
        checked_at: None,
        verified_at: None,
        created_at: at(0),
        updated_at: at(0),
        records: Vec::new(),
        token: "token".to_owned(),
        missing_since: None,
        misses: 0,
        round: 1,
        version: 1,
    }
}

const GONE: DnsOutcome = DnsOutcome::Unproven(DomainReason::TxtMissing);
const SILENT: DnsOutcome = DnsOutcome::Unknown(DomainReason::DnsTimeout);

#[test]
fn a_proof_that_is_gone_for_days_ends_the_verification() {
    let mut domain = domain(DomainStatus::Verified);
    for (hour, status) in [
        (24, DomainStatus::Verified),
        (30, DomainStatus::Verified),
        (36, DomainStatus::Verified),
        (71, DomainStatus::Verified),
        (72, DomainStatus::Failed),
    ] {
        rules::note(&mut domain, GONE, at(hour));
        assert_eq!((domain.status, domain.reason), (status, Some(DomainReason::TxtMissing)), "{hour}");
    }
    assert_eq!((domain.verified_at, next_check(&domain, at(72))), (None, None));
    assert!(rules::note(&mut domain, DnsOutcome::Proven, at(100)), "it can come back");
    assert_eq!((domain.status, domain.misses), (DomainStatus::Verified, 0));
}

#[test]
fn one_look_at_a_bad_moment_ends_nothing() {
    // Missed once, then again a month later.
    let mut throttled = domain(DomainStatus::Verified);
    for (hour, outcome) in [(24, GONE), (30, DnsOutcome::Proven), (700, GONE), (706, GONE)] {
        rules::note(&mut throttled, outcome, at(hour));
        assert_eq!(throttled.status, DomainStatus::Verified, "{hour}");
    }
    // Not looked at for a long time in between: two misses are not three.
    let mut rarely = domain(DomainStatus::Verified);
    for hour in [24, 1000] {
        rules::note(&mut rarely, GONE, at(hour));
        assert_eq!(rarely.status, DomainStatus::Verified, "{hour}");
    }
    // Name servers that are down disprove nothing.
    let mut silent = domain(DomainStatus::Verified);
    for hour in 1..500 {
        rules::note(&mut silent, SILENT, at(hour));
    }
    assert_eq!((silent.status, silent.misses), (DomainStatus::Verified, 0));
    assert_eq!(silent.reason, Some(DomainReason::DnsTimeout));
}

#[test]
fn a_new_domain_is_waited_for_three_days_ever_less_often() {
    let mut pending = domain(DomainStatus::Pending);
    let (mut now, mut looks) = (at(0), 0);
    while let Some(pause) = next_check(&pending, now) {
        now = now + pause;
        rules::note(&mut pending, if looks % 2 == 0 { GONE } else { SILENT }, now);
        looks += 1;
        assert!(looks < 200, "{now}");
    }
    assert_eq!(pending.status, DomainStatus::Failed);
    assert!((PATIENCE..PATIENCE + Duration::HOUR).contains(&(now - at(0))), "{now}");
    assert!((90..130).contains(&looks), "{looks}");
}

/// Answers what a test sets.
#[derive(Default)]
struct Script {
    texts: Mutex<Option<Result<Vec<String>, ResolveError>>>,
    pointing: Vec<(&'static str, Pointing)>,
}

#[async_trait]
impl DomainResolver for Script {
    async fn texts(&self, name: &str) -> Result<Vec<String>, ResolveError> {
        assert_eq!(name, "_portico-challenge.www.example.com");
        self.texts.lock().unwrap().take().unwrap_or(Ok(Vec::new()))
    }
    async fn pointing(&self, name: &str) -> Result<Pointing, ResolveError> {
        let known = self.pointing.iter().find(|(known, _)| *known == name);
        Ok(known.map(|(_, pointing)| pointing.clone()).unwrap_or_default())
    }
}

#[tokio::test]
async fn the_answer_says_which_record_is_missing_or_wrong() {
    let domain = domain(DomainStatus::Pending);
    let right = challenge_text("token");
    for (texts, outcome) in [
        (Ok(vec![]), DnsOutcome::Unproven(DomainReason::TxtMissing)),
        (Ok(vec!["v=spf1 -all"]), DnsOutcome::Unproven(DomainReason::TxtWrong)),
        (
            Ok(vec!["portico-verify=other", "portico-verify=token2"]),
            DnsOutcome::Unproven(DomainReason::TxtWrong),
        ),
        (Ok(vec!["PORTICO-VERIFY=TOKEN"]), DnsOutcome::Unproven(DomainReason::TxtWrong)),
        (Ok(vec!["portico-verify=other", right.as_str()]), DnsOutcome::Proven),
        (Ok(vec![" \"portico-verify=token\" "]), DnsOutcome::Proven),
        (Err(ResolveError::TimedOut), DnsOutcome::Unknown(DomainReason::DnsTimeout)),
        (Err(ResolveError::Failed("SERVFAIL".to_owned())), DnsOutcome::Unknown(DomainReason::DnsFailed)),
    ] {
        let found: Vec<String> = texts.iter().flatten().map(|text| (*text).to_owned()).collect();
        let answer = texts.map(|texts| texts.into_iter().map(str::to_owned).collect());
        let script = Script { texts: Mutex::new(Some(answer)), ..Script::default() };
        let check = look(&script, &domain, &HostingTarget::default()).await;
        assert_eq!(check.outcome, outcome, "{found:?}");
        let [record] = check.records.as_slice() else { panic!("{check:?}") };
        assert_eq!((record.kind.as_str(), record.expected.as_str()), ("TXT", "portico-verify=token"));
        assert_eq!((&record.found, record.ok), (&found, outcome == DnsOutcome::Proven));
    }
}

#[tokio::test]
async fn where_a_name_leads_is_told_and_decides_nothing() {
    let domain = domain(DomainStatus::Pending);
    let leads = |aliases: &[&str], addresses: &[&str]| Pointing {
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    };
    let target = HostingTarget {
        host: Some("edge.portico.example".to_owned()),
        addresses: vec!["192.0.2.1".parse().unwrap()],
    };
    for (pointing, ok) in [
        (leads(&["edge.portico.example"], &["192.0.2.9"]), true),
        (leads(&["a.example", "Edge.Portico.Example"], &[]), true),
        (leads(&[], &["192.0.2.1"]), true),
        // What our own host leads to counts too.
        (leads(&[], &["192.0.2.9", "192.0.2.1"]), true),
        (leads(&[], &["192.0.2.1", "203.0.113.5"]), false),
        (leads(&["elsewhere.example"], &["203.0.113.5"]), false),
        (leads(&[], &[]), false),
    ] {
        let ours = ("edge.portico.example", leads(&[], &["192.0.2.9"]));
        let values = pointing.aliases.len() + pointing.addresses.len();
        let script =
            Script { pointing: vec![("www.example.com", pointing.clone()), ours], ..Script::default() };
        let check = look(&script, &domain, &target).await;
        assert_eq!(check.outcome, GONE);
        let record = &check.records[1];
        assert_eq!((record.kind.as_str(), record.expected.as_str()), ("CNAME", "edge.portico.example"));
        assert_eq!((record.ok, record.found.len()), (ok, values), "{pointing:?}");
    }
    // There can be no alias at the name that is registered.
    let apex = Domain { name: "example.com".to_owned(), ..domain };
    let kinds: Vec<_> = expected_records(&apex, &target).into_iter().map(|r| (r.kind, r.expected)).collect();
    assert_eq!(kinds[1], ("A".to_owned(), "192.0.2.1".to_owned()));
}

#[tokio::test]
async fn a_domain_counts_against_the_plan_until_it_is_gone() {
    let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
    let site = site(&mut store, &scope, &env).await;
    store.entitlements.limits.insert(Meter::CustomDomains, 2);
    let mut domains = Domains::new(&mut store, &scope, &env);
    let first = domains.add(site.id, new("one.example", None), &OwnNames::default()).await.unwrap();
    domains.add(site.id, new("two.example", None), &OwnNames::default()).await.unwrap();
    let third = domains.add(site.id, new("three.example", None), &OwnNames::default()).await;
    assert_eq!(third.unwrap_err().code(), "quota_exceeded");
    domains.remove(site.id, first.id, None).await.unwrap();
    assert_eq!(store.entitlements.used(Meter::CustomDomains), 1);
    // The one that was refused was never committed.
    store.domains.domains.retain(|domain| domain.name != "three.example");
    Domains::new(&mut store, &scope, &env).remove_all(site.id).await.unwrap();
    assert_eq!(store.entitlements.used(Meter::CustomDomains), 0);
}
