//! `portico_identity::ports::{UserDirectory, PersonalData}`, and the sessions in which somebody acts as another.

use std::collections::BTreeSet;

use portico_identity::{
    administration::{UserFilter, UserOrder, UserSort},
    erasure::ERASED,
    ports::IdentityRepositories,
    user::{EmailAddress, User, UserStatus},
};
use portico_kernel::{
    Actor, Env, Event, NewJob, Outbox, PageRequest, Permissions, PlatformRole, RequestInfo, Scope, TenantId,
    TenantRole, UserId,
};
use portico_sql::{SqlStore, personal_columns};
use portico_tenancy::{ports::TenancyRepositories, tenant::TenantStatus};
use portico_testkit::{env, on_each_database};
use serde_json::json;
use time::Duration;

use crate::fixtures::{at_once, declared, join, session, stored_tenant, stored_user, user};

async fn stored(store: &SqlStore, env: &Env, email: &str, change: impl FnOnce(&mut User)) -> User {
    let mut user = user(env, email);
    change(&mut user);
    let mut work = store.begin().await.unwrap();
    work.users().insert(&user, None).await.unwrap();
    work.commit().await.unwrap();
    user
}

async fn list(store: &SqlStore, filter: UserFilter, sort: UserSort, descending: bool) -> Vec<String> {
    let order = UserOrder { sort, descending };
    let page = store.reader().directory().list(filter, order, PageRequest::default()).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items.iter().map(|user| user.email.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_found_by_filter_and_in_order() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let mut emails = Vec::new();
        for (number, email) in ["b@x.com", "a@x.com", "d@y.com", "c@y.com"].into_iter().enumerate() {
            env.clock.advance(Duration::seconds(1));
            let user = stored(store, &env, email, |user| {
                user.full_name = format!("Señora 10{}% {number}", number % 2);
                user.email_verified = number == 0;
                user.role = if number == 1 { PlatformRole::SuperAdmin } else { PlatformRole::Customer };
                user.status = if number == 3 { UserStatus::Deleted } else { UserStatus::Active };
            })
            .await;
            emails.push(user.email.to_string());
            if number == 2 {
                let mut work = store.begin().await.unwrap();
                work.users().touch_login(user.id, env.now()).await.unwrap();
                work.commit().await.unwrap();
            }
        }
        let [b, a, d, c] = [0, 1, 2, 3].map(|number: usize| emails[number].as_str());
        let none = UserFilter::default;
        assert_eq!(list(store, none(), UserSort::CreatedAt, true).await, [d, a, b]);
        assert_eq!(list(store, none(), UserSort::Email, false).await, [a, b, d]);
        assert_eq!(list(store, none(), UserSort::LastLoginAt, true).await[0], d);
        assert_eq!(list(store, none(), UserSort::LastLoginAt, false).await[2], d, "never comes first");
        for (filter, expected) in [
            (UserFilter { status: Some(UserStatus::Deleted), ..none() }, vec![c]),
            (UserFilter { role: Some(PlatformRole::SuperAdmin), ..none() }, vec![a]),
            (UserFilter { email_verified: Some(true), ..none() }, vec![b]),
            (UserFilter { q: Some("SEÑORA 101%".into()), ..none() }, vec![a]),
            (UserFilter { q: Some("@X".into()), ..none() }, vec![a, b]),
            (UserFilter { q: Some("%_".into()), ..none() }, vec![]),
        ] {
            let found = list(store, filter.clone(), UserSort::Email, false).await;
            assert_eq!(found, expected, "{filter:?}");
        }
        let second = PageRequest { page: 2, limit: 2 };
        let page = store.reader().directory().list(none(), UserOrder::default(), second).await.unwrap();
        assert_eq!((page.total, page.items.len()), (3, 1));
    })
    .await;
}

/// Everybody takes one off the list as long as there is another one: one remains.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_locks_the_super_admins_sees_what_others_made_of_them() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let mut users = Vec::new();
        for number in 0..4 {
            let email = format!("{number}@example.com");
            users.push(stored(store, &env, &email, |user| user.role = PlatformRole::SuperAdmin).await);
        }
        stored(store, &env, "gone@example.com", |user| {
            (user.role, user.status) = (PlatformRole::SuperAdmin, UserStatus::Suspended);
        })
        .await;
        let taken = at_once(store, 4, |store, number| {
            let mut user = users[number].clone();
            async move {
                let mut work = store.begin().await.unwrap();
                let admins = work.directory().lock_super_admins().await.unwrap();
                if admins.len() < 2 {
                    return false;
                }
                user.role = PlatformRole::Customer;
                work.users().update(&user).await.unwrap();
                work.commit().await.unwrap();
                true
            }
        })
        .await;
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 3);
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.directory().lock_super_admins().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_somebody_else_has_a_customers_role_and_ends_with_them() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let staff = stored(store, &env, "staff@example.com", |user| user.role = PlatformRole::Staff).await;
        let root = stored(store, &env, "root@example.com", |user| user.role = PlatformRole::SuperAdmin).await;
        let mut acting = session(&env, root.id, None);
        acting.impersonator = Some(staff.id);
        let own = session(&env, staff.id, None);
        let mut work = store.begin().await.unwrap();
        work.sessions().insert(&acting).await.unwrap();
        work.sessions().insert(&own).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        let state = reader.sessions().caller(acting.id, None, env.now()).await.unwrap().unwrap();
        assert_eq!(
            (state.user, state.role, state.impersonator),
            (root.id, PlatformRole::Customer, Some(staff.id))
        );

        let mut work = store.begin().await.unwrap();
        let ended = work.sessions().end_impersonations(staff.id, env.now()).await.unwrap();
        assert_eq!(ended, [(acting.id, root.id)]);
        assert!(work.sessions().end_impersonations(staff.id, env.now()).await.unwrap().is_empty());
        work.commit().await.unwrap();
        assert!(reader.sessions().caller(acting.id, None, env.now()).await.unwrap().is_none());
        assert!(reader.sessions().caller(own.id, None, env.now()).await.unwrap().is_some());
    })
    .await;
}

/// A new table that names users has to say what becomes of its rows.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_that_names_a_user_is_known() {
    on_each_database(async |database| {
        let known: BTreeSet<_> =
            personal_columns().into_iter().map(|(t, c)| (t.to_owned(), c.to_owned())).collect();
        let named: BTreeSet<_> = database.references_to("users").await.into_iter().collect();
        assert!(named.len() > 5, "{named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "say in personal_data.rs what becomes of {unknown:?}");
    })
    .await;
}

fn by(user: UserId, impersonator: Option<UserId>, env: &Env, kind: &'static str, tenant: TenantId) -> Event {
    let actor = Actor::User {
        id: user,
        session: env.new_id(),
        email_verified: true,
        role: PlatformRole::Customer,
        impersonator,
    };
    let request = RequestInfo {
        id: "r".into(),
        address: Some("192.0.2.7".into()),
        user_agent: Some("Phone".into()),
        ..RequestInfo::default()
    };
    let scope = Scope::user(actor, Some(tenant), Permissions::NONE, request);
    Event::new(env, &scope, declared(kind), env.random_uuid()).after(&json!({"title": "Mine"}))
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_found_in_order_and_redacted_for_good() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let eve = stored_user(store, &env, "eve@example.com").await;
        let tenant = stored_tenant(store, &env, "shared").await;
        let mut own = stored_tenant(store, &env, "own").await;
        join(store, &env, ada.id, own.id, TenantRole::Owner).await;
        join(store, &env, ada.id, tenant.id, TenantRole::Owner).await;
        join(store, &env, eve.id, tenant.id, TenantRole::Owner).await;
        let mut events = Vec::new();
        for (mut event, theirs) in [
            (by(ada.id, None, &env, "page.updated", tenant.id), true),
            (by(eve.id, None, &env, "page.updated", tenant.id), false),
            (by(eve.id, Some(ada.id), &env, "page.updated", tenant.id), true),
            (by(eve.id, None, &env, "user.suspended", TenantId::PLATFORM), true),
            (by(eve.id, None, &env, "tenant.updated", own.id), true),
        ] {
            env.clock.advance(Duration::seconds(1));
            if event.kind == "user.suspended" {
                event.resource.id = ada.id.uuid();
            }
            // Its id has to follow the clock.
            event.id = env.new_id();
            let mut work = store.begin().await.unwrap();
            work.events().append(event.clone()).await.unwrap();
            work.commit().await.unwrap();
            if theirs {
                events.push(event);
            }
        }
        own.status = TenantStatus::Deleted;
        let mut work = store.begin().await.unwrap();
        work.tenants().update(&own).await.unwrap();
        work.commit().await.unwrap();

        let mut reader = store.reader();
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let some = reader.personal_data().traces(ada.id, &[], after, 2).await.unwrap();
            let Some(last) = some.last() else { break };
            assert!(some.len() <= 2);
            after = Some(last.id);
            found.extend(some);
        }
        assert_eq!(found, events);
        let actions = reader.personal_data().actions(ada.id, None, 10).await.unwrap();
        assert_eq!(actions, [events[0].clone()]);
        assert!(reader.personal_data().actions(ada.id, Some(events[0].id), 10).await.unwrap().is_empty());

        let mut redacted = events[0].clone();
        redacted.after = Some(json!({"title": ERASED}));
        redacted.address = Some(ERASED.to_owned());
        let mut work = store.begin().await.unwrap();
        work.personal_data().redact(&redacted).await.unwrap();
        work.commit().await.unwrap();
        let again = reader.personal_data().actions(ada.id, None, 10).await.unwrap();
        assert_eq!(again, [redacted]);
        let others = reader.personal_data().actions(eve.id, None, 10).await.unwrap();
        assert!(others.iter().all(|event| event.address.as_deref() == Some("192.0.2.7")));
    })
    .await;
}

async fn enqueue(store: &SqlStore, env: &Env, email: &str) {
    let job = NewJob {
        id: env.new_id(),
        kind: "email.verification",
        payload: json!({"email": email}),
        tenant: TenantId::PLATFORM,
        run_at: env.now(),
        max_attempts: 1,
        request_id: "r".into(),
    };
    let mut work = store.begin().await.unwrap();
    work.jobs().enqueue(job).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_takes_what_is_theirs_and_leaves_what_is_not() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let eve = stored_user(store, &env, "eve@example.com").await;
        let (mut own, shared) =
            (stored_tenant(store, &env, "ada-own").await, stored_tenant(store, &env, "shared").await);
        join(store, &env, ada.id, own.id, TenantRole::Owner).await;
        join(store, &env, eve.id, shared.id, TenantRole::Owner).await;
        let (first, second) = (session(&env, ada.id, None), session(&env, eve.id, None));
        own.status = TenantStatus::Deleted;
        let mut work = store.begin().await.unwrap();
        work.sessions().insert(&first).await.unwrap();
        work.sessions().insert(&second).await.unwrap();
        work.tenants().update(&own).await.unwrap();
        work.commit().await.unwrap();

        let lists = store.reader().personal_data().export(ada.id).await.unwrap();
        let sessions = &lists.iter().find(|(name, _)| *name == "sessions").unwrap().1;
        assert_eq!(sessions.len(), 1);
        assert_eq!((&sessions[0]["id"], &sessions[0]["address"]), (&json!(first.id), &json!("192.0.2.1")));
        assert!(sessions[0]["createdAt"].as_str().unwrap().ends_with('Z'), "{sessions:?}");

        let mut work = store.begin().await.unwrap();
        work.personal_data().erase(ada.id).await.unwrap();
        work.personal_data().erase(ada.id).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert!(reader.sessions().find(first.id).await.unwrap().is_none());
        assert!(reader.sessions().find(second.id).await.unwrap().is_some());
        let tenant = reader.tenants().find(own.id).await.unwrap().unwrap();
        assert_eq!((tenant.name.as_str(), tenant.subdomain.starts_with("erased-")), ("Erased", true));
        assert_eq!(reader.tenants().find(shared.id).await.unwrap().unwrap().name, shared.name);

        enqueue(store, &env, "ada@example.com").await;
        enqueue(store, &env, "eve@example.com").await;
        let address = EmailAddress::trusted("ada@example.com".into());
        for (proven, left) in [(false, 2), (true, 1)] {
            let mut work = store.begin().await.unwrap();
            work.personal_data().forget_address(&address, proven).await.unwrap();
            work.commit().await.unwrap();
            let jobs = portico_kernel::WorkQueue::list(store, None, PageRequest::default()).await.unwrap();
            assert_eq!(jobs.total, left, "waiting jobs go only with a proven address");
        }
    })
    .await;
}
