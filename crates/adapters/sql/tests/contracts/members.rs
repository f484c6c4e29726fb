//! Members, invitations, settings and dealers: every MUST of their ports.

use std::collections::BTreeMap;

use portico_billing::{
    limits::Overrides,
    period::Period,
    ports::{BillingRepositories, RowCount},
    subscription::SubscriptionStatus,
};
use portico_identity::{
    ports::{IdentityRepositories, TenantsAtSignIn},
    session::TenantAccess,
    user::{User, UserStatus},
};
use portico_kernel::{Fault, Meter, PageRequest, StoreError, TenantId, TenantRole, UserId};
use portico_sql::SqlStore;
use portico_tenancy::{
    dealer::Dealer,
    invitation::{Invitation, InvitationStatus, LIFETIME},
    member::MemberFilter,
    membership::Membership,
    ports::TenancyRepositories,
    settings::TenantSettings,
    tenant::{Tenant, TenantStatus},
};
use portico_testkit::{TestEnv, env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, join, session, stored_tenant, stored_user, subscribe};

fn invitation(env: &TestEnv, tenant: TenantId, inviter: UserId, email: &str) -> Invitation {
    Invitation {
        id: env.new_id(),
        tenant_id: tenant,
        email: email.to_owned(),
        role: TenantRole::Editor,
        language: "es".to_owned(),
        status: InvitationStatus::Pending,
        invited_by: inviter,
        sends: 1,
        requested_at: env.now(),
        expires_at: env.now() + LIFETIME,
        created_at: env.now(),
        updated_at: env.now(),
    }
}

async fn stored_invitation(store: &SqlStore, invitation: &Invitation) -> Result<(), StoreError> {
    let mut work = store.begin().await?;
    work.invitations().insert(invitation).await?;
    work.commit().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_tenant_is_waited_for_and_seen() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let tenant = stored_tenant(store, &env, "acme").await;
        for number in 0..8 {
            let user = stored_user(store, &env, &format!("owner{number}@example.com")).await;
            join(store, &env, user.id, tenant.id, TenantRole::Owner).await;
        }
        let page = PageRequest::default();
        let all = store.reader().memberships().list(tenant.id, MemberFilter::default(), page).await.unwrap();
        let owners: Vec<_> = all.items.into_iter().map(|member| member.user_id).collect();
        // Each takes one owner away, unless it was the last one.
        let left = at_once(store, 8, |store, number| {
            let (user, tenant) = (owners[number], tenant.id);
            async move {
                let mut work = store.begin().await.unwrap();
                work.tenants().lock(tenant).await.unwrap();
                assert!(work.memberships().set_role(tenant, user, TenantRole::Admin).await.unwrap());
                let left = work.memberships().owners(tenant).await.unwrap();
                if left > 0 {
                    work.commit().await.unwrap();
                }
                left
            }
        })
        .await;
        assert_eq!(left.iter().filter(|left| **left == 0).count(), 1, "{left:?}");
        assert_eq!(store.reader().memberships().owners(tenant.id).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owned_tenants_are_counted_one_after_the_other() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await.id;
        let mut tenants = Vec::new();
        for number in 0..6 {
            tenants.push(stored_tenant(store, &env, &format!("tenant-{number}")).await.id);
        }
        let joined_at = env.now();
        let counts = at_once(store, 6, |store, number| {
            let tenant = tenants[number];
            async move {
                let mut work = store.begin().await.unwrap();
                let count = work.memberships().count_owned(ada).await.unwrap();
                if count < 3 {
                    let role = TenantRole::Owner;
                    let membership = Membership { tenant, user: ada, role, joined_at };
                    work.memberships().insert(&membership).await.unwrap();
                    work.commit().await.unwrap();
                }
                count
            }
        })
        .await;
        let mut counts = counts;
        counts.sort_unstable();
        assert_eq!(counts, [0, 1, 2, 3, 3, 3]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_change_leave_and_stay_in_their_tenant() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await.id;
        let (acme, other) =
            (stored_tenant(store, &env, "acme").await.id, stored_tenant(store, &env, "other").await.id);
        join(store, &env, ada, acme, TenantRole::Viewer).await;
        let mut work = store.begin().await.unwrap();
        let mut members = work.memberships();
        assert_eq!(members.role(acme, ada).await.unwrap(), Some(TenantRole::Viewer));
        assert_eq!(members.role(other, ada).await.unwrap(), None);
        assert!(!members.set_role(other, ada, TenantRole::Owner).await.unwrap());
        assert!(members.set_role(acme, ada, TenantRole::Admin).await.unwrap());
        assert_eq!(members.member(acme, ada).await.unwrap().unwrap().role, TenantRole::Admin);
        assert!(members.has_address(acme, "ada@example.com").await.unwrap());
        assert!(!members.has_address(other, "ada@example.com").await.unwrap());
        assert!(!members.remove(other, ada).await.unwrap());
        assert!(members.remove(acme, ada).await.unwrap());
        assert!(!members.remove(acme, ada).await.unwrap());
        assert_eq!(members.member(acme, ada).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_one_open_invitation_of_a_tenant() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await.id;
        let (acme, other) =
            (stored_tenant(store, &env, "acme").await.id, stored_tenant(store, &env, "other").await.id);
        let drafts: Vec<_> = (0..8).map(|_| invitation(&env, acme, ada, "grace@example.com")).collect();
        let results = at_once(store, 8, |store, number| {
            let draft = drafts[number].clone();
            async move { stored_invitation(&store, &draft).await }
        })
        .await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for result in results.iter().filter(|result| result.is_err()) {
            assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
        }
        stored_invitation(store, &invitation(&env, other, ada, "grace@example.com")).await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.invitations().open(acme).await.unwrap(), 1);
        assert_eq!(reader.invitations().for_address("grace@example.com", env.now()).await.unwrap().len(), 2);
        assert!(reader.invitations().for_address("eve@example.com", env.now()).await.unwrap().is_empty());

        // Once its time is over, the address is free, and the old one cannot come back beside the new one.
        let page = PageRequest::default();
        let old = reader.invitations().list(acme, None, env.now(), page).await.unwrap().items.remove(0);
        env.clock.advance(LIFETIME);
        let expired = reader.invitations().find(acme, old.id, env.now()).await.unwrap().unwrap();
        assert_eq!(expired.status, InvitationStatus::Expired);
        let mut work = store.begin().await.unwrap();
        work.invitations().expire(acme, env.now()).await.unwrap();
        work.invitations().insert(&invitation(&env, acme, ada, "grace@example.com")).await.unwrap();
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let again = Invitation { expires_at: env.now() + LIFETIME, ..expired };
        let renewed = work.invitations().renew(&again).await;
        assert!(matches!(renewed, Err(StoreError::Conflict(_))), "{renewed:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_closed_once_and_its_secret_is_forgotten() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await.id;
        let tenant = stored_tenant(store, &env, "acme").await;
        let (acme, other) = (tenant.id, stored_tenant(store, &env, "other").await.id);
        let made = invitation(&env, acme, ada, "grace@example.com");
        stored_invitation(store, &made).await.unwrap();
        let now = env.now();
        let mut work = store.begin().await.unwrap();
        assert!(work.invitations().set_token(acme, made.id, [1; 32], now).await.unwrap());
        assert!(!work.invitations().set_token(other, made.id, [9; 32], now).await.unwrap());
        assert!(work.invitations().set_token(acme, made.id, [2; 32], now).await.unwrap());
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.invitations().by_token([1; 32], now).await.unwrap(), None, "replaced");
        let found = reader.invitations().by_token([2; 32], now).await.unwrap().unwrap();
        assert_eq!(
            (found.id, found.tenant_name.as_str(), found.language.as_str()),
            (made.id, "acme ltd", "es")
        );
        assert_eq!(reader.invitations().by_token([2; 32], made.expires_at).await.unwrap(), None, "too late");

        let mut work = store.begin().await.unwrap();
        let suspended = Tenant { status: TenantStatus::Suspended, ..tenant.clone() };
        work.tenants().update(&suspended).await.unwrap();
        assert_eq!(work.invitations().by_token([2; 32], now).await.unwrap(), None, "the tenant is suspended");
        drop(work);

        let closed = at_once(store, 8, |store, _| {
            let id = made.id;
            async move {
                let mut work = store.begin().await.unwrap();
                let status = InvitationStatus::Accepted;
                let closed = work.invitations().close(acme, id, status, now).await.unwrap();
                work.commit().await.unwrap();
                closed
            }
        })
        .await;
        assert_eq!(closed.iter().filter(|closed| **closed).count(), 1);
        assert_eq!(reader.invitations().by_token([2; 32], now).await.unwrap(), None);
        let mut work = store.begin().await.unwrap();
        assert!(!work.invitations().renew(&made).await.unwrap(), "accepted is accepted");
        assert!(!work.invitations().set_token(acme, made.id, [3; 32], now).await.unwrap());
        assert!(work.invitations().revoke_of(acme, ada, now).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_counted_by_tenant_and_by_inviter() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let (ada, bob) = (
            stored_user(store, &env, "ada@example.com").await.id,
            stored_user(store, &env, "bob@example.com").await.id,
        );
        let (acme, other) =
            (stored_tenant(store, &env, "acme").await.id, stored_tenant(store, &env, "other").await.id);
        for (tenant, inviter, email, sends) in [
            (acme, ada, "a@example.com", 2),
            (acme, bob, "b@example.com", 3),
            (other, ada, "c@example.com", 5),
        ] {
            let made = Invitation { sends, ..invitation(&env, tenant, inviter, email) };
            stored_invitation(store, &made).await.unwrap();
        }
        let mut reader = store.reader();
        let since = env.now() - Duration::DAY;
        assert_eq!(reader.invitations().sent_since(acme, ada, since).await.unwrap(), (5, 7));
        assert_eq!(reader.invitations().sent_since(other, bob, since).await.unwrap(), (5, 3));
        assert_eq!(reader.invitations().sent_since(acme, ada, env.now()).await.unwrap(), (0, 0));
        let mut work = store.begin().await.unwrap();
        let revoked = work.invitations().revoke_of(acme, bob, env.now()).await.unwrap();
        assert_eq!(revoked.iter().map(|one| one.email.as_str()).collect::<Vec<_>>(), ["b@example.com"]);
        assert_eq!(revoked[0].status, InvitationStatus::Revoked);
        assert_eq!(work.invitations().open(acme).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_dealers_are_saved_at_the_stored_version() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let acme = stored_tenant(store, &env, "acme").await.id;
        let settings =
            TenantSettings { audit_retention_days: Some(90), ..TenantSettings::default_of(acme, env.now()) };
        let dealer = Dealer {
            tenant: acme,
            name: "Centro".into(),
            email: None,
            phone: None,
            updated_at: env.now(),
            version: 0,
        };
        // Of eight first ones at once, one is.
        let results = at_once(store, 8, |store, _| {
            let (settings, dealer) = (settings.clone(), dealer.clone());
            async move {
                let mut work = store.begin().await.unwrap();
                let first = work.settings().save(&settings).await;
                let second = work.dealers().save(&dealer).await;
                work.commit().await.unwrap();
                (first, second)
            }
        })
        .await;
        assert_eq!(results.iter().filter(|(settings, dealer)| settings.is_ok() && dealer.is_ok()).count(), 1);
        for (settings, dealer) in results.iter().filter(|(settings, _)| settings.is_err()) {
            assert!(matches!(settings, Err(StoreError::Stale)) && matches!(dealer, Err(StoreError::Stale)));
        }
        let mut reader = store.reader();
        assert_eq!(reader.settings().find(acme).await.unwrap().unwrap().version, 2);
        let stored = reader.dealers().find(acme).await.unwrap().unwrap();
        assert_eq!((stored.version, stored.name.as_str()), (1, "Centro"));
        let mut work = store.begin().await.unwrap();
        let late = TenantSettings { version: 3, ..settings };
        assert!(matches!(work.settings().save(&late).await, Err(StoreError::Stale)));
        work.dealers().save(&Dealer { name: "Otro".into(), ..stored }).await.unwrap();
        assert_eq!(work.dealers().find(acme).await.unwrap().unwrap().version, 2);
        assert!(work.dealers().remove(acme).await.unwrap());
        assert!(!work.dealers().remove(acme).await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_where_it_was_left_and_sees_what_the_tenant_allows() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await.id;
        let home = stored_tenant(store, &env, "home").await.id;
        let mut acme = stored_tenant(store, &env, "acme").await;
        join(store, &env, ada, home, TenantRole::Owner).await;
        env.clock.advance(Duration::SECOND);
        join(store, &env, ada, acme.id, TenantRole::Viewer).await;
        let running = session(&env, ada, Some(home));
        let mut work = store.begin().await.unwrap();
        work.sessions().insert(&running).await.unwrap();
        let tenants = |starting| TenantsAtSignIn { default: Some(home), starting: Some(starting) };
        assert_eq!(work.users().tenants_at_sign_in(ada).await.unwrap(), tenants(home));
        work.users().remember_tenant(ada, acme.id).await.unwrap();
        assert_eq!(work.users().tenants_at_sign_in(ada).await.unwrap(), tenants(acme.id));
        assert_eq!(work.users().default_tenant(ada).await.unwrap(), Some(home));
        let nobody = TenantsAtSignIn { default: None, starting: None };
        assert_eq!(work.users().tenants_at_sign_in(env.new_id()).await.unwrap(), nobody);
        let now = env.now();
        assert!(
            !work.sessions().switch(env.new_id(), running.id, acme.id, now).await.unwrap(),
            "somebody else"
        );
        assert!(work.sessions().switch(ada, running.id, acme.id, now).await.unwrap());
        assert_eq!(work.sessions().find(running.id).await.unwrap().unwrap().active_tenant, Some(acme.id));
        assert!(!work.sessions().switch(ada, running.id, home, running.expires_at).await.unwrap(), "expired");
        for (status, membership, access) in [
            (TenantStatus::Active, true, TenantAccess::Full),
            (TenantStatus::Deleting, true, TenantAccess::ReadOnly),
            (TenantStatus::Suspended, false, TenantAccess::Suspended),
            (TenantStatus::Deleted, false, TenantAccess::Full),
        ] {
            acme.status = status;
            work.tenants().update(&acme).await.unwrap();
            acme.version += 1;
            let state = work.sessions().caller(running.id, Some(acme.id), now).await.unwrap().unwrap();
            assert_eq!((state.membership.is_some(), state.access), (membership, access), "{status:?}");
        }
        assert_eq!(work.users().tenants_at_sign_in(ada).await.unwrap(), tenants(home), "that one is gone");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_counted_by_their_rows_against_the_plan_or_what_was_agreed_on() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let count = async |tenant| store.reader().meters().rows(tenant, Meter::Members).await.unwrap();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        join(store, &env, ada.id, ours, TenantRole::Owner).await;
        join(store, &env, bob.id, ours, TenantRole::Viewer).await;
        join(store, &env, ada.id, theirs, TenantRole::Viewer).await;
        assert_eq!(count(ours).await, None, "without a plan");
        for tenant in [ours, theirs] {
            subscribe(store, &env, tenant, "starter", SubscriptionStatus::Active).await;
        }
        assert_eq!(count(ours).await, Some(RowCount { used: 2, limit: None }), "not in the plan");
        let mut plan = store.reader().plans().current("starter").await.unwrap().unwrap();
        plan.limits.insert(Meter::Members, 7);
        let mut work = store.begin().await.unwrap();
        work.plans().upsert(&plan).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(count(ours).await, Some(RowCount { used: 2, limit: Some(7) }));
        for limit in [Some(2), None] {
            let overrides =
                Overrides { limits: BTreeMap::from([(Meter::Members, limit)]), ..Overrides::default() };
            let mut work = store.begin().await.unwrap();
            work.subscriptions().set_overrides(ours, &overrides).await.unwrap();
            work.commit().await.unwrap();
            assert_eq!(count(ours).await, Some(RowCount { used: 2, limit }));
        }
        assert_eq!(count(theirs).await, Some(RowCount { used: 1, limit: Some(7) }));

        // An account that is deleted, and a member who left.
        let mut work = store.begin().await.unwrap();
        work.users().update(&User { status: UserStatus::Deleted, ..bob }).await.unwrap();
        assert_eq!(work.meters().rows(ours, Meter::Members).await.unwrap().unwrap().used, 1);
        assert!(work.memberships().remove(ours, ada.id).await.unwrap());
        let left = [(Meter::Members, Period::Standing)];
        assert_eq!(work.meters().used_of_all(ours, &left).await.unwrap(), [0]);
        assert_eq!(work.meters().used(ours, left[0].0, left[0].1).await.unwrap(), 0);
        assert_eq!(work.meters().rows(theirs, Meter::Members).await.unwrap().unwrap().used, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_who_take_the_last_seats_at_once_as_many_get_one() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        subscribe(store, &env, tenant, "starter", SubscriptionStatus::Active).await;
        let overrides =
            Overrides { limits: BTreeMap::from([(Meter::Members, Some(3))]), ..Overrides::default() };
        let mut work = store.begin().await.unwrap();
        work.subscriptions().set_overrides(tenant, &overrides).await.unwrap();
        work.commit().await.unwrap();
        let (mut users, joined_at) = (Vec::new(), env.now());
        for number in 0..64 {
            users.push(stored_user(store, &env, &format!("user{number}@example.com")).await.id);
        }
        let outcomes = at_once(store, 64, |store, number| {
            let membership = Membership { tenant, user: users[number], role: TenantRole::Viewer, joined_at };
            async move {
                let mut work = store.begin().await.unwrap();
                work.tenants().lock(tenant).await.unwrap();
                work.memberships().insert(&membership).await.unwrap();
                let mut room = TenancyRepositories::headroom(&mut work);
                let checked = room.check_room(tenant, Meter::Members, 1).await;
                drop(room);
                match checked {
                    Ok(()) => {
                        work.commit().await.unwrap();
                        "joined"
                    }
                    Err(refused) => refused.code(),
                }
            }
        })
        .await;
        let joined = outcomes.iter().filter(|outcome| **outcome == "joined").count();
        assert_eq!(
            (joined, outcomes.iter().filter(|outcome| **outcome == "quota_exceeded").count()),
            (3, 61)
        );
        let count = store.reader().meters().rows(tenant, Meter::Members).await.unwrap();
        assert_eq!(count, Some(RowCount { used: 3, limit: Some(3) }));
    })
    .await;
}
