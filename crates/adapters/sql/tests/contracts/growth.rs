//! `portico_tenancy::ports::GrowthRepository`.

use portico_billing::ports::BillingRepositories;
use portico_identity::{ports::IdentityRepositories, user::User};
use portico_kernel::{
    Actor, Event, Month, Outbox, Permissions, PlatformRole, RequestInfo, Scope, TenantId, TenantRole,
    Timestamp, UserId,
};
use portico_sql::SqlStore;
use portico_tenancy::{
    growth::{ACTIVATION, Figure},
    membership::Membership,
    ports::TenancyRepositories,
    tenant::Tenant,
};
use portico_testkit::{TestEnv, env, on_each_database};
use time::{Date, Duration};

use crate::fixtures::{at_once, declared, tenant, user};

/// Stores an event of a person in a tenant, now.
async fn acted(
    store: &SqlStore,
    env: &TestEnv,
    tenant: TenantId,
    kind: &'static str,
    impersonator: Option<UserId>,
) {
    acted_by(store, env, tenant, kind, (env.new_id(), impersonator)).await;
}

/// The same of this person, and who acts as them.
async fn acted_by(
    store: &SqlStore,
    env: &TestEnv,
    tenant: TenantId,
    kind: &'static str,
    (author, impersonator): (UserId, Option<UserId>),
) {
    let actor = Actor::User {
        id: author,
        session: env.new_id(),
        email_verified: true,
        role: PlatformRole::Customer,
        impersonator,
    };
    let scope = Scope::user(actor, Some(tenant), Permissions::NONE, RequestInfo::default());
    let event = Event::new(env, &scope, declared(kind), env.random_uuid());
    let mut work = store.begin().await.unwrap();
    work.events().append(event).await.unwrap();
    work.commit().await.unwrap();
}

async fn record(store: &SqlStore, day: Date) -> bool {
    let mut work = store.begin().await.unwrap();
    let done = work.growth().record_day(day).await.unwrap();
    work.commit().await.unwrap();
    done
}

async fn count(store: &SqlStore, month: Month) -> Vec<(Figure, u64)> {
    let mut work = store.begin().await.unwrap();
    work.growth().count(month, ACTIVATION).await.unwrap();
    work.commit().await.unwrap();
    let figures = store.reader().growth().figures(month, month).await.unwrap();
    let mut figures: Vec<_> = figures.into_iter().map(|(_, figure, amount)| (figure, amount)).collect();
    figures.sort();
    figures
}

fn day_of(time: Timestamp) -> Date {
    time.into_inner().date()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_of_what_people_did_in_a_month() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let january = Month::of(env.now());
        let february = january.next();
        let mut tenants = Vec::new();
        for name in ["one", "two", "three"] {
            let made: Tenant = tenant(&env, name);
            let mut work = store.begin().await.unwrap();
            work.tenants().insert(&made).await.unwrap();
            work.users().insert(&user(&env, &format!("{name}@example.com")), None).await.unwrap();
            work.commit().await.unwrap();
            tenants.push(made.id);
        }
        let [one, two, three] = tenants[..] else { panic!("{tenants:?}") };
        // Somebody of staff in the name of a customer or about one, and Portico itself, do not count.
        let staff = User { role: PlatformRole::Staff, ..user(&env, "staff@example.com") };
        let own = Membership { tenant: two, user: staff.id, role: TenantRole::Owner, joined_at: env.now() };
        let mut work = store.begin().await.unwrap();
        work.users().insert(&staff, None).await.unwrap();
        work.memberships().insert(&own).await.unwrap();
        work.commit().await.unwrap();
        acted(store, &env, three, "page.updated", Some(env.new_id())).await;
        acted_by(store, &env, three, "tenant.suspended", (staff.id, None)).await;
        let by_itself = Event::new(
            &env,
            &Scope::system(Some(three), RequestInfo::default()),
            declared("site.updated"),
            env.random_uuid(),
        );
        let mut work = store.begin().await.unwrap();
        work.events().append(by_itself).await.unwrap();
        work.commit().await.unwrap();
        for kind in ["page.created", "page.updated", "site.created"] {
            acted(store, &env, one, kind, None).await;
        }
        // The last moment of the day, and the first of the next one. In their own tenants staff are members like others.
        env.clock.set(january.starts_at() + Duration::DAY - Duration::microseconds(1));
        acted_by(store, &env, two, "webhook.created", (staff.id, None)).await;
        env.clock.set(january.starts_at() + Duration::DAY);
        acted(store, &env, two, "asset.created", None).await;
        env.clock.set(february.starts_at());
        acted(store, &env, one, "page.updated", None).await;

        assert_eq!(store.reader().growth().last_day().await.unwrap(), None);
        let first = day_of(january.starts_at());
        let done = at_once(store, 8, move |store, _| async move { record(&store, first).await }).await;
        assert_eq!(done.into_iter().filter(|done| *done).count(), 1, "once");
        let used = |resource: &str| Figure::Used(resource.to_owned());
        let expected = [
            (Figure::Registrations, 4),
            (Figure::NewTenants, 3),
            (Figure::Activated, 0),
            (Figure::Active, 2),
            (Figure::Lapsed, 0),
            (used("page"), 1),
            (used("site"), 1),
            (used("webhook"), 1),
            (Figure::Cohort(january), 2),
        ];
        assert_eq!(count(store, january).await, expected, "the next day is not recorded yet");
        assert!(record(store, day_of(february.starts_at())).await);
        assert_eq!(store.reader().growth().last_day().await.unwrap(), Some(day_of(february.starts_at())));
        let expected = [
            (Figure::Registrations, 0),
            (Figure::NewTenants, 0),
            (Figure::Activated, 0),
            (Figure::Active, 1),
            (Figure::Lapsed, 1),
            (used("page"), 1),
            (Figure::Cohort(january), 1),
        ];
        assert_eq!(count(store, february).await, expected);
        assert_eq!(count(store, february).await, expected, "counting again replaces");
        let both = store.reader().growth().figures(january, february).await.unwrap();
        assert_eq!(both.len(), 16);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_event_is_that_with_the_least_id() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let made = tenant(&env, "one");
        let mut work = store.begin().await.unwrap();
        work.tenants().insert(&made).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(store.reader().growth().oldest_event().await.unwrap(), None);
        let first = Month::of(env.now()).starts_at() + Duration::DAY - Duration::MILLISECOND;
        // The log is in the order of commits, which is another one.
        for time in [first + Duration::days(3), first, first + Duration::MILLISECOND] {
            env.clock.set(time);
            acted(store, &env, made.id, "page.created", None).await;
        }
        assert_eq!(store.reader().growth().oldest_event().await.unwrap(), Some(day_of(first)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_activated_that_pays_in_time() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let month = Month::of(env.now());
        for (name, after) in
            [("soon", Some(Duration::days(13))), ("late", Some(Duration::days(14))), ("never", None)]
        {
            let made = tenant(&env, name);
            let mut work = store.begin().await.unwrap();
            work.tenants().insert(&made).await.unwrap();
            work.commit().await.unwrap();
            let (purchase, _) = crate::purchases::stored(store, &env, made.id).await;
            let paid = portico_billing::purchase::Purchase {
                completed_at: after.map(|after| env.now() + after),
                ..purchase
            };
            let mut work = store.begin().await.unwrap();
            work.purchases().update(&paid).await.unwrap();
            work.commit().await.unwrap();
        }
        let figures = count(store, month).await;
        assert!(
            figures.contains(&(Figure::NewTenants, 3)) && figures.contains(&(Figure::Activated, 1)),
            "{figures:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_published_or_bought_a_site_in_time_is_activated_and_stays_so() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (month, begin) = (Month::of(env.now()), env.now());
        let mut tenants = Vec::new();
        for name in ["soon", "late", "buyer", "never"] {
            let made = tenant(&env, name);
            let mut work = store.begin().await.unwrap();
            work.tenants().insert(&made).await.unwrap();
            work.commit().await.unwrap();
            tenants.push(made.id);
        }
        let [soon, late, buyer, never] = tenants[..] else { panic!("{tenants:?}") };
        let user = crate::fixtures::stored_user(store, &env, "bea@example.com").await.id;
        let bought = portico_billing::site_sale::SiteSale {
            buyer: Some((user, buyer)),
            paid_at: Some(begin + Duration::DAY),
            ..crate::site_sales::sale(&env, never, env.new_id())
        };
        crate::site_sales::insert(store, &bought).await.unwrap();

        // There are no deployments: they have vanished with their sites.
        for (tenant, kind, after) in [
            (soon, "site.deployed", Duration::DAY),
            (never, "site.updated", Duration::DAY),
            (soon, "site.deployed", Duration::days(15)),
            (late, "site.deployed", Duration::days(15)),
        ] {
            env.clock.set(begin + after);
            acted(store, &env, tenant, kind, None).await;
        }
        let activated = async || {
            let figures = count(store, month).await;
            figures.into_iter().find(|(figure, _)| *figure == Figure::Activated).map(|(_, amount)| amount)
        };
        assert_eq!(activated().await, Some(1), "the buyer: no day is recorded yet");
        for after in [Duration::DAY, Duration::days(15)] {
            assert!(record(store, day_of(begin + after)).await);
            assert_eq!(activated().await, Some(2), "who was late is none, and the first time counts");
        }
    })
    .await;
}
