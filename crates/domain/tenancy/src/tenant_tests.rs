use portico_kernel::Fault;

use super::*;
use crate::{
    ports::{MockBrandingRepository, MockMembershipRepository, MockTenantRepository},
    testing::{Repositories, env, owner_of, registering, super_admin_in, user, viewer_of},
};

fn tenant() -> Tenant {
    let env = env();
    Tenant {
        id: env.new_id(),
        name: "Acme".into(),
        subdomain: Subdomain::trusted("acme".into()),
        status: TenantStatus::Active,
        plan: "free".into(),
        delete_at: None,
        suspension_reason: None,
        created_at: env.now(),
        updated_at: env.now(),
        version: 3,
    }
}

fn holding(tenant: Option<Tenant>) -> MockTenantRepository {
    let mut tenants = MockTenantRepository::new();
    tenants.expect_find().times(1).return_once(move |_| Ok(tenant));
    tenants
}

fn storing(matches: impl Fn(&Tenant) -> bool + Send + 'static) -> MockTenantRepository {
    let mut tenants = MockTenantRepository::new();
    tenants.expect_update().times(1).withf(matches).return_once(|_| Ok(()));
    tenants
}

fn ready_to_insert(outcome: Result<(), StoreError>) -> Repositories {
    let mut repositories = Repositories::default();
    let complete = outcome.is_ok();
    let mut tenants = MockTenantRepository::new();
    tenants.expect_insert().times(1).return_once(|_| outcome);
    repositories.tenants.push_back(tenants);
    if complete {
        let mut memberships = MockMembershipRepository::new();
        let as_owner =
            |membership: &Membership| membership.role == TenantRole::Owner && membership.user == user();
        memberships.expect_insert().times(1).withf(as_owner).return_once(|_| Ok(()));
        repositories.memberships.push_back(memberships);
        let mut branding = MockBrandingRepository::new();
        branding.expect_insert().times(1).return_once(|_| Ok(()));
        repositories.branding.push_back(branding);
    }
    repositories
}

fn owning(count: u64) -> MockMembershipRepository {
    let mut memberships = MockMembershipRepository::new();
    memberships.expect_count_owned().times(1).return_once(move |_| Ok(count));
    memberships
}

#[tokio::test]
async fn nobody_owns_more_tenants_than_allowed_but_the_operator_gives_more() {
    let (env, scope) = (env(), viewer_of(tenant().id));
    let mut repositories = Repositories::default();
    repositories.memberships.push_back(owning(20));
    let input = NewTenant { name: "Acme".into(), subdomain: None };
    let refused = Tenants::new(&mut repositories, &scope, &env).create(input.clone(), user(), 20).await;
    assert_eq!(refused.unwrap_err().code(), "too_many_tenants");

    let mut repositories = ready_to_insert(Ok(()));
    let scope = super_admin_in(tenant().id);
    Tenants::new(&mut repositories, &scope, &env).create(input, user(), 0).await.unwrap();
}

#[tokio::test]
async fn registering_makes_a_tenant_with_owner_branding_and_events() {
    let (env, scope) = (env(), registering());
    let mut repositories = ready_to_insert(Ok(()));
    let made =
        Tenants::new(&mut repositories, &scope, &env).create_personal(user(), "  Zoë Núñez ").await.unwrap();
    assert_eq!((made.name.as_str(), made.plan.as_str(), made.version), ("Zoë Núñez", "free", 1));
    assert!(made.subdomain.starts_with("zoe-nunez-") && made.subdomain.len() == "zoe-nunez-".len() + 6);
    let events = repositories.events();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_ref()).collect();
    assert_eq!(kinds, ["tenant.created", "member.created", "branding.created"]);
    assert!(events.iter().all(|event| event.tenant == made.id && event.actor_id == Some(user().uuid())));
    assert_eq!(events[0].after.as_ref().unwrap()["subdomain"], made.subdomain.as_str());
}

#[tokio::test]
async fn a_taken_subdomain_is_a_conflict_and_leaves_no_event() {
    let (env, scope) = (env(), viewer_of(tenant().id));
    let mut repositories = ready_to_insert(Err(StoreError::Conflict("subdomain".into())));
    repositories.memberships.push_back(owning(19));
    let input = NewTenant { name: "Acme".into(), subdomain: Some("acme".into()) };
    let error = Tenants::new(&mut repositories, &scope, &env).create(input, user(), 20).await.unwrap_err();
    assert_eq!(error.code(), "subdomain_taken");
    assert!(repositories.events().is_empty());
}

#[tokio::test]
async fn all_wrong_fields_are_named_at_once() {
    let (env, scope) = (env(), viewer_of(tenant().id));
    let mut repositories = Repositories::default();
    let input = NewTenant { name: " ".into(), subdomain: Some("admin".into()) };
    let error = Tenants::new(&mut repositories, &scope, &env).create(input, user(), 20).await.unwrap_err();
    let fields: Vec<_> = error.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
    assert_eq!(fields, [("name", "required"), ("subdomain", "reserved_subdomain")]);
}

#[tokio::test]
async fn nobody_makes_a_tenant_for_somebody_else() {
    let (env, scope) = (env(), viewer_of(tenant().id));
    let mut repositories = Repositories::default();
    let input = NewTenant { name: "Acme".into(), subdomain: None };
    let error =
        Tenants::new(&mut repositories, &scope, &env).create(input, env.new_id(), 20).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
}

#[tokio::test]
async fn an_update_keeps_what_is_absent_and_records_both_sides() {
    let (env, before) = (env(), tenant());
    let scope = owner_of(before.id);
    let mut repositories = Repositories::default();
    repositories.tenants.push_back(holding(Some(before.clone())));
    repositories.tenants.push_back(storing(|t| t.version == 3 && t.subdomain == "acme" && t.name == "New"));
    let input = TenantUpdate { name: Some(" New ".into()), subdomain: Some("acme".into()) };
    let after = Tenants::new(&mut repositories, &scope, &env).update(input, Some(3)).await.unwrap();
    assert_eq!(after.version, 4);
    let event = &repositories.events()[0];
    assert_eq!(event.kind, "tenant.updated");
    assert_eq!(
        (&event.before.as_ref().unwrap()["name"], &event.after.as_ref().unwrap()["name"]),
        (&"Acme".into(), &"New".into())
    );
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let (env, before) = (env(), tenant());
    let scope = owner_of(before.id);
    let mut repositories = Repositories::default();
    repositories.tenants.push_back(holding(Some(before.clone())));
    let after =
        Tenants::new(&mut repositories, &scope, &env).update(TenantUpdate::default(), None).await.unwrap();
    assert_eq!(after, before);
    assert!(repositories.events().is_empty());
}

#[tokio::test]
async fn a_stale_version_is_refused_before_and_during_the_write() {
    let (env, before) = (env(), tenant());
    let scope = owner_of(before.id);
    let input = TenantUpdate { name: Some("New".into()), subdomain: None };

    let mut repositories = Repositories::default();
    repositories.tenants.push_back(holding(Some(before.clone())));
    let error =
        Tenants::new(&mut repositories, &scope, &env).update(input.clone(), Some(2)).await.unwrap_err();
    assert_eq!(error.code(), "precondition_failed");

    for (expected, code) in [(Some(3), "precondition_failed"), (None, "modified_concurrently")] {
        let mut racing = MockTenantRepository::new();
        racing.expect_update().times(1).return_once(|_| Err(StoreError::Stale));
        let mut repositories = Repositories::default();
        repositories.tenants.extend([holding(Some(before.clone())), racing]);
        let error =
            Tenants::new(&mut repositories, &scope, &env).update(input.clone(), expected).await.unwrap_err();
        assert_eq!(error.code(), code);
    }
}

#[tokio::test]
async fn deleting_is_soft_and_for_owners() {
    let (env, before) = (env(), tenant());
    let mut repositories = Repositories::default();
    let viewer = viewer_of(before.id);
    let error =
        Tenants::new(&mut repositories, &viewer, &env).delete(None, time::Duration::ZERO).await.unwrap_err();
    assert_eq!(error.code(), "forbidden");

    let owner = owner_of(before.id);
    repositories.tenants.push_back(holding(Some(before.clone())));
    repositories.tenants.push_back(storing(|t| t.status == TenantStatus::Deleted && t.subdomain == "acme"));
    Tenants::new(&mut repositories, &owner, &env).delete(None, time::Duration::ZERO).await.unwrap();
    let event = &repositories.events()[0];
    assert_eq!((event.kind.as_ref(), event.after.is_none()), ("tenant.deleted", true));
}

#[tokio::test]
async fn a_tenant_that_is_deleted_or_never_was_is_not_found() {
    let (env, id) = (env(), tenant().id);
    let deleted = Tenant { status: TenantStatus::Deleted, ..tenant() };
    for stored in [None, Some(deleted)] {
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(holding(stored));
        let scope = super_admin_in(id);
        let error = Tenants::new(&mut repositories, &scope, &env).get().await.unwrap_err();
        assert_eq!(error.code(), "not_found");
    }
}

#[tokio::test]
async fn only_those_who_see_the_platform_list_all_tenants() {
    let (env, id) = (env(), tenant().id);
    for (scope, member) in [(owner_of(id), Some(user())), (super_admin_in(id), None)] {
        let mut tenants = MockTenantRepository::new();
        tenants
            .expect_list()
            .times(1)
            .withf(move |asked, _, _| *asked == member)
            .return_once(|_, _, page| Ok(List::new(Vec::new(), page, 0)));
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(tenants);
        Tenants::new(&mut repositories, &scope, &env)
            .list(TenantFilter::default(), PageRequest::default())
            .await
            .unwrap();
    }
    let mut repositories = Repositories::default();
    let scope = registering();
    let error = Tenants::new(&mut repositories, &scope, &env)
        .list(TenantFilter::default(), PageRequest::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "unauthenticated");
}
