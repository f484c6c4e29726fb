//! Plans as staff make and change them.
//!
//! One rule decides what a change does: where it changes what is bought ([`Plan::sells_the_same_as`]), it makes the next version, and
//! the version before stays as it was for those who have it; where it changes only words, the order, or who sees the offer, it changes
//! the current version in place.

use portico_kernel::{
    Env, Event, List, PageRequest, Permission, Scope, StoreError, TenantId, Timestamp, Violations,
    event::id_of_word,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    BillingError, events,
    plan::{FREE, Plan},
    plan_input::{PlanInput, PlanUpdate, is_id},
    ports::BillingRepositories,
};

/// How many versions of a plan are shown, the newest ones.
const VERSIONS_SHOWN: u64 = 100;

/// A plan in its current version, as staff see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ManagedPlan {
    /// The current version.
    #[serde(flatten)]
    pub plan: Plan,
    /// When it was taken off the offer; null while it is on offer.
    pub retired_at: Option<Timestamp>,
    /// Tenants with a subscription in force to any version of it.
    pub subscriptions: u64,
}

/// A version of a plan, and how many have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanVersion {
    /// As it was sold.
    #[serde(flatten)]
    pub plan: Plan,
    /// Tenants with a subscription in force to this version.
    pub subscriptions: u64,
}

/// A plan with its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanHistory {
    /// As it is now.
    #[serde(flatten)]
    pub current: ManagedPlan,
    /// Its versions, the newest first; of more than 100 the newest ones.
    pub versions: Vec<PlanVersion>,
}

/// The id of a plan in the event log.
pub fn resource_id(plan: &str) -> Uuid {
    id_of_word("plan", plan)
}

/// Use cases around plans, for staff.
pub struct PlanAdministration<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> PlanAdministration<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// All plans by position, also those that are not public or are retired.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<ManagedPlan>, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        Ok(self.repositories.plans().managed(page).await?)
    }

    /// A plan with its versions.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `NoPlan`.
    pub async fn get(&mut self, id: &str) -> Result<PlanHistory, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        check_id(id)?;
        let current = self.repositories.plans().find(id).await?.ok_or(BillingError::NoPlan)?;
        let versions = self.repositories.plans().versions(id, VERSIONS_SHOWN).await?;
        Ok(PlanHistory { current, versions })
    }

    /// Makes a plan, which is on offer at once if it is public.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `Invalid`; `PlanExists`.
    pub async fn create(&mut self, input: PlanInput) -> Result<ManagedPlan, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        let mut violations = Violations::default();
        let plan = input.read(&mut violations);
        violations.into_result().map_err(BillingError::Invalid)?;
        self.repositories.plans().insert(&plan).await.map_err(|error| match error {
            StoreError::Conflict(_) => BillingError::PlanExists,
            error => BillingError::Store(error),
        })?;
        let made = ManagedPlan { plan, retired_at: None, subscriptions: 0 };
        let event = Event::new(self.env, self.scope, &events::PLAN_CREATED, resource_id(&made.plan.id));
        self.repositories.events().append(of_platform(event).after(&made)).await?;
        Ok(made)
    }

    /// Changes a plan, in place or by its next version, see [the module](self). Where it is asked for, everybody who is on an earlier
    /// version is put on the current one, in the same unit of work; each such tenant has an event of its own. The same as before
    /// changes nothing.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `Invalid`; `NoPlan`; `PlanRetired`.
    pub async fn update(&mut self, id: &str, update: PlanUpdate) -> Result<ManagedPlan, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        check_id(id)?;
        let before = self.repositories.plans().lock(id).await?.ok_or(BillingError::NoPlan)?;
        if before.retired_at.is_some() {
            return Err(BillingError::PlanRetired);
        }
        let move_subscribers = update.move_subscribers;
        let mut plan = before.plan.clone();
        let mut violations = Violations::default();
        update.apply(&mut plan, &mut violations);
        violations.into_result().map_err(BillingError::Invalid)?;
        if !plan.sells_the_same_as(&before.plan) {
            plan.version += 1;
        }
        let changed = plan != before.plan;
        if changed {
            self.repositories.plans().upsert(&plan).await?;
        }
        let moved = if move_subscribers { self.move_all(&plan).await? } else { 0 };
        let after = ManagedPlan { plan, ..before.clone() };
        if changed || moved > 0 {
            let mut noted = serde_json::to_value(&after).unwrap_or_default();
            noted["movedSubscriptions"] = moved.into();
            let event = Event::new(self.env, self.scope, &events::PLAN_UPDATED, resource_id(id));
            self.repositories.events().append(of_platform(event).before(&before).after(&noted)).await?;
        }
        Ok(after)
    }

    /// Puts everybody who is on an earlier version on this one. Answers how many.
    async fn move_all(&mut self, plan: &Plan) -> Result<usize, BillingError> {
        let now = self.env.now();
        let moved = self.repositories.subscriptions().move_to(&plan.id, plan.version, now).await?;
        for before in &moved {
            let mut after = before.clone();
            (after.plan_version, after.updated_at) = (plan.version, now);
            let tenant = before.tenant_id;
            let event = Event::new(self.env, self.scope, &events::SUBSCRIPTION_UPDATED, tenant.uuid());
            self.repositories.events().append(event.in_tenant(tenant).before(before).after(&after)).await?;
        }
        Ok(moved.len())
    }

    /// Takes a plan off the offer for good. Who is on it stays. A plan that is retired already stays as it is.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `NoPlan`; `PlanNeeded` for the plan that tenants begin with.
    pub async fn retire(&mut self, id: &str) -> Result<(), BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        check_id(id)?;
        let before = self.repositories.plans().lock(id).await?.ok_or(BillingError::NoPlan)?;
        if id == FREE {
            return Err(BillingError::PlanNeeded);
        }
        if before.retired_at.is_some() {
            return Ok(());
        }
        let now = self.env.now();
        self.repositories.plans().retire(id, now).await?;
        let after = ManagedPlan { retired_at: Some(now), ..before.clone() };
        let event = Event::new(self.env, self.scope, &events::PLAN_RETIRED, resource_id(id));
        self.repositories.events().append(of_platform(event).before(&before).after(&after)).await?;
        Ok(())
    }
}

/// What cannot be the id of a plan is that of none. Not every text can be sent to a store.
fn check_id(id: &str) -> Result<(), BillingError> {
    if is_id(id) { Ok(()) } else { Err(BillingError::NoPlan) }
}

/// Plans belong to no tenant, whichever one the member of staff is in.
fn of_platform(event: Event) -> Event {
    event.in_tenant(TenantId::PLATFORM)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use portico_kernel::{Fault, Kind, Meter, RequestInfo};

    use super::*;
    use crate::{
        plan::{BillingInterval, catalogue},
        plan_input::PriceInput,
        ports::{MockPlanRepository, MockSubscriptionRepository},
        subscription::{Subscription, SubscriptionStatus},
        testing::{Repositories, env},
    };

    fn staff() -> Scope {
        Scope::system(None, RequestInfo::default())
    }

    fn starter(retired_at: Option<Timestamp>) -> ManagedPlan {
        ManagedPlan { plan: catalogue().remove(1), retired_at, subscriptions: 7 }
    }

    /// The calls of the repository of plans, in this order.
    fn calls<const N: usize>(expect: [&dyn Fn(&mut MockPlanRepository); N]) -> Repositories {
        let mut repositories = Repositories::default();
        for expect in expect {
            let mut plans = MockPlanRepository::new();
            expect(&mut plans);
            repositories.plans.push_back(plans);
        }
        repositories
    }

    fn locked(found: Option<ManagedPlan>) -> impl Fn(&mut MockPlanRepository) {
        move |plans| {
            let found = found.clone();
            plans.expect_lock().times(1).return_once(|_| Ok(found));
        }
    }

    fn stored(plan: Plan) -> impl Fn(&mut MockPlanRepository) {
        move |plans| {
            let plan = plan.clone();
            plans.expect_upsert().times(1).withf(move |stored| *stored == plan).return_once(|_| Ok(()));
        }
    }

    fn input(id: &str) -> PlanInput {
        let month = PriceInput {
            interval: Some(BillingInterval::Month),
            amount: Some(4900),
            currency: "usd".to_owned(),
        };
        PlanInput {
            id: id.to_owned(),
            name: "Agency".to_owned(),
            prices: vec![month],
            ..PlanInput::default()
        }
    }

    fn five_sites() -> PlanUpdate {
        PlanUpdate { limits: Some(BTreeMap::from([(Meter::Sites, Some(5))])), ..PlanUpdate::default() }
    }

    fn with_five_sites(version: i32) -> Plan {
        let mut plan = Plan { version, ..catalogue().remove(1) };
        plan.limits.insert(Meter::Sites, 5);
        plan
    }

    fn subscriber(plan_version: i32) -> Subscription {
        let env = env();
        Subscription {
            tenant_id: env.new_id(),
            plan: "starter".to_owned(),
            plan_version,
            status: SubscriptionStatus::Active,
            created_at: env.now(),
            updated_at: env.now(),
        }
    }

    #[tokio::test]
    async fn a_plan_is_made_once() {
        let (env, scope) = (env(), staff());
        let mut repositories = calls([
            &|plans| {
                plans.expect_insert().times(1).return_once(|_| Ok(()));
            },
            &|plans| {
                plans.expect_insert().times(1).return_once(|_| Err(StoreError::Conflict("id".to_owned())));
            },
        ]);
        let mut administration = PlanAdministration::new(&mut repositories, &scope, &env);
        let made = administration.create(input("agency")).await.unwrap();
        assert_eq!((made.plan.version, made.subscriptions, made.retired_at), (1, 0, None));
        let again = administration.create(input("agency")).await.unwrap_err();
        assert_eq!((again.kind(), again.code()), (Kind::Conflict, "plan_exists"));
        let wrong = administration.create(input("")).await;
        assert!(matches!(wrong, Err(BillingError::Invalid(_))));
        let events = repositories.events();
        assert_eq!(
            (events.len(), events[0].kind.as_ref(), events[0].tenant),
            (1, "plan.created", TenantId::PLATFORM)
        );
        assert_eq!((events[0].resource.id, &events[0].before), (resource_id("agency"), &None));
        assert_eq!(events[0].after.as_ref().unwrap()["id"], "agency");
    }

    #[tokio::test]
    async fn words_change_in_place() {
        let (env, scope) = (env(), staff());
        let after = Plan { name: "Beginner".to_owned(), is_public: false, ..catalogue().remove(1) };
        let mut repositories = calls([&locked(Some(starter(None))), &stored(after.clone())]);
        let update =
            PlanUpdate { name: Some("Beginner".to_owned()), is_public: Some(false), ..PlanUpdate::default() };
        let updated =
            PlanAdministration::new(&mut repositories, &scope, &env).update("starter", update).await.unwrap();
        assert_eq!(updated, ManagedPlan { plan: after, ..starter(None) });
        let events = repositories.events();
        assert_eq!((events.len(), events[0].kind.as_ref()), (1, "plan.updated"));
        assert_eq!(events[0].before.as_ref().unwrap()["name"], "Starter");
        let noted = events[0].after.as_ref().unwrap();
        assert_eq!((&noted["name"], &noted["movedSubscriptions"]), (&"Beginner".into(), &0.into()));
    }

    #[tokio::test]
    async fn what_is_bought_changes_with_the_next_version() {
        let (env, scope) = (env(), staff());
        let mut repositories = calls([&locked(Some(starter(None))), &stored(with_five_sites(2))]);
        // Nobody is moved: the mock of subscriptions is not there.
        let updated = PlanAdministration::new(&mut repositories, &scope, &env)
            .update("starter", five_sites())
            .await
            .unwrap();
        assert_eq!(updated.plan.version, 2);
        assert_eq!(repositories.events().len(), 1);
    }

    #[tokio::test]
    async fn those_on_earlier_versions_are_moved_when_asked_for() {
        let (env, scope) = (env(), staff());
        let mut repositories = calls([&locked(Some(starter(None))), &stored(with_five_sites(2))]);
        let before = subscriber(1);
        let mut subscriptions = MockSubscriptionRepository::new();
        let moved = vec![before.clone()];
        subscriptions
            .expect_move_to()
            .times(1)
            .withf(|plan, version, _| (plan, *version) == ("starter", 2))
            .return_once(|_, _, _| Ok(moved));
        repositories.subscriptions.push_back(subscriptions);
        let update = PlanUpdate { move_subscribers: true, ..five_sites() };
        PlanAdministration::new(&mut repositories, &scope, &env).update("starter", update).await.unwrap();
        let events = repositories.events();
        let kinds: Vec<_> = events.iter().map(|event| (event.kind.as_ref(), event.tenant)).collect();
        assert_eq!(kinds, [("subscription.updated", before.tenant_id), ("plan.updated", TenantId::PLATFORM)]);
        assert_eq!(events[0].before.as_ref().unwrap()["planVersion"], 1);
        assert_eq!(events[0].after.as_ref().unwrap()["planVersion"], 2);
        assert_eq!(events[1].after.as_ref().unwrap()["movedSubscriptions"], 1);
    }

    #[tokio::test]
    async fn the_same_again_changes_nothing() {
        let (env, scope) = (env(), staff());
        let unchanged = PlanUpdate { name: Some("Starter".to_owned()), ..PlanUpdate::default() };
        let mut repositories = calls([&locked(Some(starter(None))), &locked(Some(starter(None)))]);
        let mut administration = PlanAdministration::new(&mut repositories, &scope, &env);
        assert_eq!(administration.update("starter", unchanged.clone()).await.unwrap(), starter(None));
        // Nor does it where nobody is left to be moved.
        let mut subscriptions = MockSubscriptionRepository::new();
        subscriptions.expect_move_to().times(1).return_once(|_, _, _| Ok(Vec::new()));
        repositories.subscriptions.push_back(subscriptions);
        let update = PlanUpdate { move_subscribers: true, ..unchanged };
        PlanAdministration::new(&mut repositories, &scope, &env).update("starter", update).await.unwrap();
        assert!(repositories.events().is_empty());
    }

    #[tokio::test]
    async fn a_retired_plan_is_not_changed() {
        let (env, scope) = (env(), staff());
        let retired = starter(Some(env.now()));
        let mut repositories = calls([&locked(Some(retired)), &locked(None)]);
        let mut administration = PlanAdministration::new(&mut repositories, &scope, &env);
        let refused = administration.update("starter", five_sites()).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Conflict, "plan_retired"));
        let missing = administration.update("gold", five_sites()).await.unwrap_err();
        assert_eq!((missing.kind(), missing.code()), (Kind::NotFound, "not_found"));
        assert!(repositories.events().is_empty());
    }

    #[tokio::test]
    async fn a_plan_is_retired_once_and_the_one_that_tenants_begin_with_never() {
        let (env, scope) = (env(), staff());
        let free = ManagedPlan { plan: catalogue().remove(0), ..starter(None) };
        let now = env.now();
        let mut repositories = calls([
            &locked(Some(starter(None))),
            &|plans| {
                plans
                    .expect_retire()
                    .times(1)
                    .withf(move |id, at| (id, *at) == ("starter", now))
                    .return_once(|_, _| Ok(()));
            },
            &locked(Some(starter(Some(now)))),
            &locked(Some(free)),
            &locked(None),
        ]);
        let mut administration = PlanAdministration::new(&mut repositories, &scope, &env);
        administration.retire("starter").await.unwrap();
        administration.retire("starter").await.unwrap();
        assert_eq!(administration.retire("free").await.unwrap_err().code(), "plan_needed");
        assert_eq!(administration.retire("gold").await.unwrap_err().code(), "not_found");
        let events = repositories.events();
        assert_eq!((events.len(), events[0].kind.as_ref()), (1, "plan.retired"));
        assert!(events[0].before.as_ref().unwrap()["retiredAt"].is_null());
        assert!(events[0].after.as_ref().unwrap()["retiredAt"].is_string());
    }

    #[tokio::test]
    async fn staff_see_every_plan_with_its_versions() {
        let (env, scope) = (env(), staff());
        let page = PageRequest::default();
        let versions = vec![PlanVersion { plan: catalogue().remove(1), subscriptions: 7 }];
        let expected = versions.clone();
        let mut repositories = calls([
            &|plans| {
                let list = List::new(vec![starter(None)], PageRequest::default(), 1);
                plans.expect_managed().times(1).return_once(|_| Ok(list));
            },
            &|plans| {
                plans.expect_find().times(1).return_once(|_| Ok(Some(starter(None))));
            },
            &|plans| {
                let versions = versions.clone();
                plans.expect_versions().times(1).return_once(|_, _| Ok(versions));
            },
            &|plans| {
                plans.expect_find().times(1).return_once(|_| Ok(None));
            },
        ]);
        let mut administration = PlanAdministration::new(&mut repositories, &scope, &env);
        assert_eq!(administration.list(page).await.unwrap().items, [starter(None)]);
        let history = administration.get("starter").await.unwrap();
        assert_eq!(history, PlanHistory { current: starter(None), versions: expected });
        for unknown in ["gold", "a\0b", "", "Free"] {
            assert!(matches!(administration.get(unknown).await, Err(BillingError::NoPlan)), "{unknown}");
        }
        let json = serde_json::to_value(&history).unwrap();
        assert_eq!((&json["id"], &json["subscriptions"]), (&"starter".into(), &7.into()));
        assert_eq!(json["versions"][0]["version"], 1);
    }

    #[tokio::test]
    async fn others_may_not() {
        let env = env();
        let anonymous = Scope::anonymous(RequestInfo::default());
        let mut repositories = Repositories::default();
        let mut administration = PlanAdministration::new(&mut repositories, &anonymous, &env);
        assert!(matches!(administration.list(PageRequest::default()).await, Err(BillingError::Denied(_))));
        assert!(matches!(administration.get("free").await, Err(BillingError::Denied(_))));
        assert!(matches!(administration.create(input("")).await, Err(BillingError::Denied(_))));
        assert!(matches!(administration.update("free", five_sites()).await, Err(BillingError::Denied(_))));
        assert!(matches!(administration.retire("free").await, Err(BillingError::Denied(_))));
    }
}
