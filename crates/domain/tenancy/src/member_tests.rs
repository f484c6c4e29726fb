use portico_kernel::Fault;

use super::*;
use crate::{
    ports::{MockInvitationRepository, MockMembershipRepository, MockTenantRepository},
    testing::{Repositories, env, owner_of, super_admin_in, user, viewer_of},
};

/// Someone other than the caller.
fn other() -> UserId {
    "0190a5b0-c0d0-7e00-8f00-0000000000bb".parse().unwrap()
}

fn locking() -> MockTenantRepository {
    let mut tenants = MockTenantRepository::new();
    tenants.expect_lock().times(1).return_once(|_| Ok(()));
    tenants
}

fn role(of: UserId, role: Option<TenantRole>) -> MockMembershipRepository {
    let mut memberships = MockMembershipRepository::new();
    memberships.expect_role().times(1).withf(move |_, user| *user == of).return_once(move |_, _| Ok(role));
    memberships
}

fn to(role: TenantRole) -> MemberUpdate {
    MemberUpdate { role: Some(role) }
}

#[tokio::test]
async fn the_last_owner_can_neither_be_demoted_nor_leave() {
    let (env, tenant) = (env(), env().new_id());
    let scope = owner_of(tenant);
    for leaving in [false, true] {
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(locking());
        if !leaving {
            repositories.memberships.push_back(role(user(), Some(TenantRole::Owner)));
            repositories.tenants.push_back(locking());
        }
        repositories.memberships.push_back(role(user(), Some(TenantRole::Owner)));
        if !leaving {
            repositories.memberships.push_back(role(user(), Some(TenantRole::Owner)));
        }
        let mut change = MockMembershipRepository::new();
        change.expect_set_role().return_once(|_, _, _| Ok(true));
        change.expect_remove().return_once(|_, _| Ok(true));
        let mut count = MockMembershipRepository::new();
        count.expect_owners().times(1).return_once(|_| Ok(0));
        repositories.memberships.extend([change, count]);
        let mut members = Members::new(&mut repositories, &scope, &env);
        let error = match leaving {
            true => members.remove(user()).await.unwrap_err(),
            false => members.change_role(user(), to(TenantRole::Admin)).await.unwrap_err(),
        };
        assert_eq!(error.code(), "last_owner");
        assert!(repositories.events().is_empty());
    }
}

#[tokio::test]
async fn what_the_caller_was_a_moment_ago_does_not_count() {
    let (env, tenant) = (env(), env().new_id());
    let scope = owner_of(tenant);
    for now in [Some(TenantRole::Editor), None] {
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(locking());
        repositories.memberships.push_back(role(user(), now));
        let error = Members::new(&mut repositories, &scope, &env).remove(other()).await.unwrap_err();
        assert_eq!(error.code(), "forbidden");
    }
}

#[tokio::test]
async fn only_who_may_hand_over_makes_and_removes_owners() {
    let (env, tenant) = (env(), env().new_id());
    let scope = crate::testing::admin_of(tenant);
    for removing in [false, true] {
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(locking());
        repositories.memberships.push_back(role(user(), Some(TenantRole::Admin)));
        repositories.memberships.push_back(role(other(), Some(TenantRole::Owner)));
        let mut members = Members::new(&mut repositories, &scope, &env);
        let error = match removing {
            true => members.remove(other()).await.unwrap_err(),
            false => members.change_role(other(), to(TenantRole::Viewer)).await.unwrap_err(),
        };
        assert_eq!(error.code(), "forbidden");
    }
}

#[tokio::test]
async fn a_viewer_leaves_and_removes_nobody() {
    let (env, tenant) = (env(), env().new_id());
    let scope = viewer_of(tenant);
    let mut repositories = Repositories::default();
    let error = Members::new(&mut repositories, &scope, &env).remove(other()).await.unwrap_err();
    assert_eq!(error.code(), "forbidden");

    repositories.tenants.push_back(locking());
    let mut change = MockMembershipRepository::new();
    change.expect_remove().times(1).return_once(|_, _| Ok(true));
    repositories.memberships.extend([role(user(), Some(TenantRole::Viewer)), change]);
    Members::new(&mut repositories, &scope, &env).remove(user()).await.unwrap();
    let event = &repositories.events()[0];
    assert_eq!((event.kind.as_ref(), event.tenant), ("member.deleted", tenant));
    assert_eq!(event.before.as_ref().unwrap()["role"], "viewer");
}

#[tokio::test]
async fn who_is_demoted_has_their_invitations_revoked() {
    let (env, tenant) = (env(), env().new_id());
    let scope = super_admin_in(tenant);
    let mut repositories = Repositories::default();
    repositories.tenants.push_back(locking());
    let mut change = MockMembershipRepository::new();
    change.expect_set_role().times(1).return_once(|_, _, _| Ok(true));
    let mut read = MockMembershipRepository::new();
    let joined_at = env.now();
    read.expect_member().times(1).return_once(move |_, user_id| {
        let (email, full_name) = ("b@example.com".to_owned(), "B".to_owned());
        Ok(Some(Member { user_id, email, full_name, role: TenantRole::Viewer, joined_at }))
    });
    repositories.memberships.extend([role(other(), Some(TenantRole::Admin)), change, read]);
    let mut invitations = MockInvitationRepository::new();
    invitations
        .expect_revoke_of()
        .times(1)
        .withf(move |_, inviter, _| *inviter == other())
        .return_once(|_, _, _| Ok(Vec::new()));
    repositories.invitations.push_back(invitations);
    let member = Members::new(&mut repositories, &scope, &env)
        .change_role(other(), to(TenantRole::Viewer))
        .await
        .unwrap();
    assert_eq!(member.role, TenantRole::Viewer);
    let event = &repositories.events()[0];
    assert_eq!(event.kind, "member.updated");
    assert_eq!(
        (&event.before.as_ref().unwrap()["role"], &event.after.as_ref().unwrap()["role"]),
        (&"admin".into(), &"viewer".into())
    );
}
