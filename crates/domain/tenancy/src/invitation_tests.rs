use portico_kernel::{Fault, Kind};

use super::*;
use crate::{
    ports::{MockInvitationRepository, MockMembershipRepository, MockTenantRepository},
    testing::{Repositories, admin_of, env, unverified_owner_of, user, viewer_of},
};

fn input(role: TenantRole) -> NewInvitation {
    NewInvitation { email: " Grace@Example.com ".into(), role: Some(role), language: None }
}

/// What is asked before an invitation of the caller, an admin, is stored.
fn ready(known: bool, open: u64, sent: (u64, u64)) -> Repositories {
    let mut repositories = Repositories::default();
    let mut tenants = MockTenantRepository::new();
    tenants.expect_lock().return_once(|_| Ok(()));
    repositories.tenants.push_back(tenants);
    let mut own = MockMembershipRepository::new();
    own.expect_role().return_once(|_, _| Ok(Some(TenantRole::Admin)));
    let mut address = MockMembershipRepository::new();
    address
        .expect_has_address()
        .withf(|_, email| email == "grace@example.com")
        .return_once(move |_, _| Ok(known));
    repositories.memberships.extend([own, address]);
    let mut expire = MockInvitationRepository::new();
    expire.expect_expire().return_once(|_, _| Ok(()));
    let mut count = MockInvitationRepository::new();
    count.expect_open().return_once(move |_| Ok(open));
    let mut sends = MockInvitationRepository::new();
    sends.expect_sent_since().return_once(move |_, _, _| Ok(sent));
    repositories.invitations.extend([expire, count, sends]);
    repositories
}

fn locking() -> MockTenantRepository {
    let mut tenants = MockTenantRepository::new();
    tenants.expect_lock().times(1).return_once(|_| Ok(()));
    tenants
}

fn storing(outcome: Result<(), StoreError>) -> MockInvitationRepository {
    let mut invitations = MockInvitationRepository::new();
    invitations.expect_insert().times(1).return_once(|_| outcome);
    invitations
}

#[tokio::test]
async fn an_invitation_is_stored_told_of_and_mailed_without_any_secret() {
    let (env, tenant) = (env(), env().new_id());
    let scope = admin_of(tenant);
    let mut repositories = ready(false, 49, (99, 99));
    repositories.invitations.push_back(storing(Ok(())));
    let made = Invitations::new(&mut repositories, &scope, &env)
        .create(input(TenantRole::Admin), "es")
        .await
        .unwrap();
    assert_eq!((made.email.as_str(), made.language.as_str()), ("grace@example.com", "es"));
    assert_eq!((made.invited_by, made.expires_at), (user(), env.now() + Duration::days(7)));
    let event = &repositories.events()[0];
    assert_eq!(event.kind, "invitation.created");
    assert_eq!(event.after.as_ref().unwrap()["email"], "g…@example.com");
    let job = &repositories.enqueued()[0];
    assert_eq!((job.kind, job.tenant), (MailInvitation::KIND, tenant));
    assert_eq!(job.payload, serde_json::json!({"invitationId": made.id}));
}

#[tokio::test]
async fn what_would_be_too_much_or_twice_is_refused() {
    let (env, tenant) = (env(), env().new_id());
    let scope = admin_of(tenant);
    for (known, open, sent, code) in [
        (true, 0, (0, 0), "already_member"),
        (false, OPEN_MAX, (0, 0), "too_many_invitations"),
        (false, 0, (DAILY_MAX, 0), "too_many_invitations"),
        (false, 0, (0, DAILY_MAX), "too_many_invitations"),
        (false, 0, (0, 0), "already_invited"),
    ] {
        let mut repositories = ready(known, open, sent);
        if code == "already_invited" {
            repositories.invitations.push_back(storing(Err(StoreError::Conflict("key".into()))));
        }
        let result =
            Invitations::new(&mut repositories, &scope, &env).create(input(TenantRole::Viewer), "en").await;
        assert_eq!(result.unwrap_err().code(), code);
        assert!(repositories.events().is_empty() && repositories.enqueued().is_empty());
    }
}

#[tokio::test]
async fn who_may_not_invite_or_not_that_far_is_told_so() {
    let (env, tenant) = (env(), env().new_id());
    let mut repositories = Repositories::default();
    for (scope, role, code) in [
        (viewer_of(tenant), TenantRole::Viewer, "forbidden"),
        (admin_of(tenant), TenantRole::Owner, "forbidden"),
        (unverified_owner_of(tenant), TenantRole::Viewer, "email_unverified"),
    ] {
        let result = Invitations::new(&mut repositories, &scope, &env).create(input(role), "en").await;
        assert_eq!(result.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn wrong_fields_are_all_named() {
    let (env, tenant) = (env(), env().new_id());
    let scope = admin_of(tenant);
    let mut repositories = Repositories::default();
    let input = NewInvitation { email: "x".into(), role: None, language: Some("tlh".into()) };
    let error = Invitations::new(&mut repositories, &scope, &env).create(input, "en").await.unwrap_err();
    let fields: Vec<_> = error.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
    assert_eq!(fields, [("email", "invalid_email"), ("role", "required"), ("language", "unknown_language")]);
}

fn received(tenant: TenantId) -> ReceivedInvitation {
    let env = env();
    ReceivedInvitation {
        id: env.new_id(),
        tenant,
        tenant_name: "Acme".into(),
        invited_by: user(),
        inviter: "Ada".into(),
        email: "grace@example.com".into(),
        language: "en".into(),
        role: TenantRole::Editor,
        expires_at: env.now() + LIFETIME,
    }
}

fn stored(received: &ReceivedInvitation) -> Invitation {
    let now = env().now();
    Invitation {
        id: received.id,
        tenant_id: received.tenant,
        email: received.email.clone(),
        role: received.role,
        language: "en".into(),
        status: InvitationStatus::Pending,
        invited_by: received.invited_by,
        sends: 1,
        requested_at: now,
        expires_at: received.expires_at,
        created_at: now,
        updated_at: now,
    }
}

#[tokio::test]
async fn of_two_acceptances_the_later_one_is_told_that_the_link_is_used() {
    let (env, tenant) = (env(), env().new_id());
    let (scope, invitation) = (viewer_of(tenant), received(tenant));
    for closed in [true, false] {
        let mut repositories = Repositories::default();
        let row = stored(&invitation);
        let mut find = MockInvitationRepository::new();
        find.expect_find().times(1).return_once(move |_, _, _| Ok(Some(row)));
        let mut close = MockInvitationRepository::new();
        close.expect_close().times(1).return_once(move |_, _, _, _| Ok(closed));
        repositories.invitations.extend([find, close]);
        let mut insert = MockMembershipRepository::new();
        insert.expect_insert().return_once(|_| Ok(()));
        repositories.memberships.push_back(insert);
        repositories.tenants.push_back(locking());
        let result = Invited::new(&mut repositories, &scope, &env).accept(&invitation).await;
        let kinds: Vec<_> = repositories.events().iter().map(|event| event.kind.to_string()).collect();
        if closed {
            assert_eq!(result.unwrap().role, TenantRole::Editor);
            assert_eq!(kinds, ["invitation.accepted", "member.created"]);
        } else {
            assert_eq!(result.unwrap_err().code(), "invalid_token");
            assert!(kinds.is_empty());
        }
    }
}

#[tokio::test]
async fn nobody_is_invited_where_the_plan_has_no_seat_left() {
    let (env, tenant) = (env(), env().new_id());
    let scope = admin_of(tenant);
    let mut repositories = ready(false, 0, (0, 0));
    (repositories.seats, repositories.seated) = (Some(5), 5);
    let result =
        Invitations::new(&mut repositories, &scope, &env).create(input(TenantRole::Viewer), "en").await;
    let refused = result.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Quota, "quota_exceeded"));
    let members = refused.members();
    assert!(members.contains(&("meter", "members".into())), "{members:?}");
    assert!(repositories.events().is_empty() && repositories.enqueued().is_empty());
}

#[tokio::test]
async fn who_is_a_member_already_is_told_so_and_who_finds_no_seat_as_well() {
    let (env, tenant) = (env(), env().new_id());
    let (scope, invitation) = (viewer_of(tenant), received(tenant));
    for (inserted, code) in
        [(Err(StoreError::Conflict("key".into())), "already_member"), (Ok(()), "quota_exceeded")]
    {
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(locking());
        (repositories.seats, repositories.seated) = (Some(5), 5);
        let row = stored(&invitation);
        let mut find = MockInvitationRepository::new();
        find.expect_find().times(1).return_once(move |_, _, _| Ok(Some(row)));
        let mut close = MockInvitationRepository::new();
        close.expect_close().times(1).return_once(|_, _, _, _| Ok(true));
        repositories.invitations.extend([find, close]);
        let mut insert = MockMembershipRepository::new();
        insert.expect_insert().times(1).return_once(move |_| inserted);
        repositories.memberships.push_back(insert);
        let result = Invited::new(&mut repositories, &scope, &env).accept(&invitation).await;
        assert_eq!(result.unwrap_err().code(), code);
        let told = repositories.events();
        assert!(told.iter().all(|event| event.kind != "member.created"), "{code}");
    }
}
