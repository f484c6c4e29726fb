//! Things to store.

use std::collections::BTreeMap;

use portico_billing::{
    plan::{BillingInterval, Plan, PlanPrice},
    ports::BillingRepositories,
    subscription::{Subscription, SubscriptionStatus},
};
use portico_identity::{
    ports::{IdentityRepositories, PasswordHash},
    session::Session,
    user::{EmailAddress, User, UserStatus},
};
use portico_kernel::name::Subdomain;
use portico_kernel::{
    Actor, Env, Event, EventDeclaration, Outbox, Permission, Permissions, PlatformRole, RequestInfo, Scope,
    TenantId, TenantRole, UserId,
    event::{Audience, AuditClass},
};
use portico_sql::SqlStore;
use portico_tenancy::{
    membership::Membership,
    ports::TenancyRepositories,
    tenant::{Tenant, TenantStatus},
};
use time::Duration;

pub fn user(env: &Env, email: &str) -> User {
    User {
        id: env.new_id(),
        email: EmailAddress::trusted(email.to_owned()),
        email_verified: false,
        full_name: "Ada Lovelace".to_owned(),
        phone: Some("+44 20 7946 0000".to_owned()),
        mobile: None,
        company: None,
        language: "en".to_owned(),
        address: None,
        notes: Some("ñ 😀".to_owned()),
        avatar_url: None,
        role: PlatformRole::Customer,
        staff_areas: None,
        status: UserStatus::Active,
        last_login_at: None,
        created_at: env.now(),
        updated_at: env.now(),
        version: 1,
    }
}

pub fn tenant(env: &Env, subdomain: &str) -> Tenant {
    Tenant {
        id: env.new_id(),
        name: format!("{subdomain} ltd"),
        subdomain: Subdomain::trusted(subdomain.to_owned()),
        status: TenantStatus::Active,
        plan: "free".to_owned(),
        delete_at: None,
        suspension_reason: None,
        created_at: env.now(),
        updated_at: env.now(),
        version: 1,
    }
}

/// An event of this name: readers of the log depend on the name only.
pub fn declared(name: &'static str) -> &'static EventDeclaration {
    Box::leak(Box::new(EventDeclaration {
        name,
        when: "A test says so.",
        audience: Audience::Internal,
        invalidates: &[],
        audit: AuditClass::Sealed,
    }))
}

/// Version 1 of a plan for 12 dollars a month, without limits.
pub fn plan_of(id: &str, position: i32) -> Plan {
    let month = PlanPrice { interval: BillingInterval::Month, amount: 1200, currency: "usd".to_owned() };
    Plan {
        id: id.to_owned(),
        version: 1,
        name: id.to_uppercase(),
        description: String::new(),
        features: vec!["Everything".to_owned()],
        amount: month.amount,
        currency: month.currency.clone(),
        prices: vec![month],
        limits: BTreeMap::new(),
        premium_templates: false,
        trial_days: 14,
        is_public: true,
        position,
    }
}

/// Stores a plan, and puts a tenant on it.
pub async fn subscribe(
    store: &SqlStore,
    env: &Env,
    tenant: TenantId,
    plan: &str,
    status: SubscriptionStatus,
) {
    let plan = plan_of(plan, 2);
    let subscription = Subscription {
        tenant_id: tenant,
        plan: plan.id.clone(),
        plan_version: 1,
        status,
        created_at: env.now(),
        updated_at: env.now(),
    };
    let mut work = store.begin().await.unwrap();
    work.plans().upsert(&plan).await.unwrap();
    work.subscriptions().insert(&subscription).await.unwrap();
    work.commit().await.unwrap();
}

pub fn session(env: &Env, user: UserId, tenant: Option<TenantId>) -> Session {
    Session {
        id: env.new_id(),
        user,
        generation: 1,
        rotated_at: env.now(),
        user_agent: Some("test".to_owned()),
        address: Some("192.0.2.1".to_owned()),
        created_at: env.now(),
        last_used_at: env.now(),
        expires_at: env.now() + Duration::days(7),
        active_tenant: tenant,
        authenticated_at: env.now(),
        impersonator: None,
        ended_at: None,
    }
}

/// A member of a tenant, with these permissions.
pub fn member_scope(env: &Env, tenant: TenantId, permissions: &[Permission]) -> Scope {
    let actor = Actor::User {
        id: env.new_id(),
        session: env.new_id(),
        email_verified: true,
        role: PlatformRole::Customer,
        impersonator: None,
    };
    Scope::user(actor, Some(tenant), Permissions::from_list(permissions), RequestInfo::default())
}

pub fn event(env: &Env, tenant: TenantId, kind: &'static str) -> Event {
    let request = RequestInfo {
        id: "request-1".to_owned(),
        address: Some("192.0.2.1".to_owned()),
        user_agent: Some("test".to_owned()),
        line: Some("POST /api/v1/sites".to_owned()),
        device: None,
    };
    Event::new(env, &Scope::anonymous(request), declared(kind), env.random_uuid())
        .in_tenant(tenant)
        .after(&serde_json::json!({"title": "Ñandú", "count": 1}))
}

/// Stores and commits a user with a password hash.
pub async fn stored_user(store: &SqlStore, env: &Env, email: &str) -> User {
    let user = user(env, email);
    let mut work = store.begin().await.unwrap();
    work.users().insert(&user, Some(PasswordHash("$argon2id$stored".to_owned()))).await.unwrap();
    work.commit().await.unwrap();
    user
}

/// Stores and commits a tenant.
pub async fn stored_tenant(store: &SqlStore, env: &Env, subdomain: &str) -> Tenant {
    let tenant = tenant(env, subdomain);
    let mut work = store.begin().await.unwrap();
    work.tenants().insert(&tenant).await.unwrap();
    work.commit().await.unwrap();
    tenant
}

/// Makes `user` a member of `tenant`.
pub async fn join(store: &SqlStore, env: &Env, user: UserId, tenant: TenantId, role: TenantRole) {
    let mut work = store.begin().await.unwrap();
    let membership = Membership { tenant, user, role, joined_at: env.now() };
    work.memberships().insert(&membership).await.unwrap();
    work.commit().await.unwrap();
}

/// Appends and commits an event.
pub async fn stored_event(store: &SqlStore, env: &Env, tenant: TenantId, kind: &'static str) -> Event {
    let event = event(env, tenant, kind);
    let mut work = store.begin().await.unwrap();
    work.events().append(event.clone()).await.unwrap();
    work.commit().await.unwrap();
    event
}

/// Runs `act` `count` times at once, and answers what came of it.
pub async fn at_once<T, F>(store: &SqlStore, count: usize, act: impl Fn(SqlStore, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        tasks.spawn(act(store.clone(), number));
    }
    tasks.join_all().await
}
