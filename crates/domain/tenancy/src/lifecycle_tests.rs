use portico_kernel::{Fault, Scope, name::Subdomain};

use super::*;
use crate::{
    ports::MockTenantRepository,
    testing::{Repositories, env, owner_of, super_admin_in, viewer_of},
};

fn tenant(status: TenantStatus) -> Tenant {
    let env = env();
    Tenant {
        id: env.new_id(),
        name: "Acme".into(),
        subdomain: Subdomain::trusted("acme".into()),
        status,
        plan: "free".into(),
        delete_at: (status == TenantStatus::Deleting).then(|| env.now() + Duration::DAY),
        suspension_reason: (status == TenantStatus::Suspended).then(|| "Unpaid".into()),
        created_at: env.now(),
        updated_at: env.now(),
        version: 3,
    }
}

/// Locks, finds, and maybe updates.
fn holding(tenant: &Tenant, locked: bool, stores: bool) -> Repositories {
    let mut repositories = Repositories::default();
    let mut tenants = MockTenantRepository::new();
    if locked {
        tenants.expect_lock().times(1).return_once(|_| Ok(()));
        repositories.tenants.push_back(tenants);
    }
    let (mut find, found) = (MockTenantRepository::new(), tenant.clone());
    find.expect_find().times(1).return_once(move |_| Ok(Some(found)));
    repositories.tenants.push_back(find);
    if stores {
        let mut update = MockTenantRepository::new();
        update.expect_update().times(1).return_once(|_| Ok(()));
        repositories.tenants.push_back(update);
    }
    repositories
}

fn reason() -> SuspendTenant {
    SuspendTenant { reason: " Unpaid ".into() }
}

#[tokio::test]
async fn the_operator_suspends_and_reinstates() {
    let (env, active) = (env(), tenant(TenantStatus::Active));
    let scope = super_admin_in(active.id);
    let mut repositories = holding(&active, true, true);
    let after = Tenants::new(&mut repositories, &scope, &env).suspend(reason()).await.unwrap();
    assert_eq!((after.status, after.suspension_reason.as_deref()), (TenantStatus::Suspended, Some("Unpaid")));
    assert_eq!(repositories.events()[0].kind, "tenant.suspended");

    let mut repositories = holding(&after, true, false);
    let again = Tenants::new(&mut repositories, &scope, &env).suspend(reason()).await.unwrap();
    assert_eq!(again, after, "nothing is written");

    let mut repositories = holding(&after, true, true);
    let back = Tenants::new(&mut repositories, &scope, &env).reinstate().await.unwrap();
    assert_eq!((back.status, back.suspension_reason), (TenantStatus::Active, None));
    assert_eq!(repositories.events()[0].kind, "tenant.reinstated");

    let mut repositories = Repositories::default();
    let owner = owner_of(active.id);
    let error = Tenants::new(&mut repositories, &owner, &env).suspend(reason()).await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
    let error = Tenants::new(&mut repositories, &scope, &env).suspend(SuspendTenant::default()).await;
    assert_eq!(error.unwrap_err().fields()[0].field, "reason");
}

#[tokio::test]
async fn a_deletion_waits_for_its_time_and_may_be_taken_back() {
    let (env, active) = (env(), tenant(TenantStatus::Active));
    let owner = owner_of(active.id);
    let mut repositories = holding(&active, false, true);
    let after =
        Tenants::new(&mut repositories, &owner, &env).delete(Some(3), Duration::days(14)).await.unwrap();
    assert_eq!(
        (after.status, after.delete_at),
        (TenantStatus::Deleting, Some(env.now() + Duration::days(14)))
    );
    let (event, job) = (&repositories.events()[0], &repositories.enqueued()[0]);
    assert_eq!(event.kind, "tenant.deletion_scheduled");
    assert!(event.after.is_some(), "it is still there");
    assert_eq!((job.kind, Some(job.run_at)), (DeleteTenant::KIND, after.delete_at));

    let mut repositories = holding(&after, false, false);
    let again = Tenants::new(&mut repositories, &owner, &env).delete(None, Duration::days(14)).await;
    assert_eq!(again.unwrap_err().code(), "tenant_deleting");
    let mut repositories = holding(&after, true, true);
    let back = Tenants::new(&mut repositories, &owner, &env).restore().await.unwrap();
    assert_eq!((back.status, back.delete_at), (TenantStatus::Active, None));
    let mut repositories = holding(&back, true, false);
    let error = Tenants::new(&mut repositories, &owner, &env).restore().await.unwrap_err();
    assert_eq!(error.code(), "tenant_not_deleting");
    let viewer = viewer_of(active.id);
    let error = Tenants::new(&mut Repositories::default(), &viewer, &env).restore().await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
}

#[tokio::test]
async fn a_suspended_tenant_comes_back_from_deletion_suspended() {
    let env = env();
    let suspended = Tenant { suspension_reason: Some("Unpaid".into()), ..tenant(TenantStatus::Deleting) };
    let scope = super_admin_in(suspended.id);
    let mut repositories = holding(&suspended, true, true);
    let back = Tenants::new(&mut repositories, &scope, &env).restore().await.unwrap();
    assert_eq!(back.status, TenantStatus::Suspended);
}

#[tokio::test]
async fn the_job_deletes_only_what_is_due() {
    let env = env();
    let due = Tenant { delete_at: Some(env.now()), ..tenant(TenantStatus::Deleting) };
    let early = tenant(TenantStatus::Deleting);
    let restored = tenant(TenantStatus::Active);
    for (found, deleted) in [(due, true), (early, false), (restored, false)] {
        let scope = Scope::system(Some(found.id), Default::default());
        let mut repositories = holding(&found, true, deleted);
        Tenants::new(&mut repositories, &scope, &env).finish_deletion().await.unwrap();
        let kinds: Vec<_> = repositories.events().iter().map(|event| event.kind.to_string()).collect();
        assert_eq!(kinds, if deleted { vec!["tenant.deleted"] } else { vec![] });
    }
}
