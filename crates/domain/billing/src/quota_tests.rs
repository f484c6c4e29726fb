use std::collections::BTreeMap;

use portico_kernel::{Fault, Kind, RequestInfo};

use super::*;
use crate::{
    limits::Overrides,
    plan::catalogue,
    ports::{MockMeterRepository, MockPlanRepository, MockSubscriptionRepository},
    testing::{Repositories, allowance, env},
};

fn on_plan(id: &'static str) -> Repositories {
    let mut subscriptions = MockSubscriptionRepository::new();
    let plan = catalogue().into_iter().find(|plan| plan.id == id);
    let allowance = plan.map(allowance);
    subscriptions.expect_allowance().times(1).return_once(|_| Ok(allowance));
    let mut repositories = Repositories::default();
    repositories.subscriptions.push_back(subscriptions);
    repositories
}

/// On the free plan, with another limit of sites.
fn agreed(sites: Option<u64>) -> Repositories {
    let mut subscriptions = MockSubscriptionRepository::new();
    let overrides = Overrides { limits: BTreeMap::from([(Meter::Sites, sites)]), ..Overrides::default() };
    let allowance = Allowance { overrides, ..allowance(catalogue().remove(0)) };
    subscriptions.expect_allowance().times(1).return_once(|_| Ok(Some(allowance)));
    let mut repositories = Repositories::default();
    repositories.subscriptions.push_back(subscriptions);
    repositories
}

#[tokio::test]
async fn what_was_agreed_on_counts_instead_of_the_plan_and_no_plan_helps() {
    for limit in [Some(7), None] {
        let mut repositories = agreed(limit);
        repositories.meters.extend([at_once(0, false), counter(limit, true)]);
        Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, 1).await.unwrap();
    }
    let mut repositories = agreed(Some(0));
    repositories.meters.extend([at_once(0, false), counter(Some(0), false), reading(0)]);
    let refused = Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, 1).await.unwrap_err();
    assert!(refused.members().contains(&("plan", serde_json::Value::Null)), "{refused:?}");
}

/// Asked to count in one statement, with this margin.
fn at_once(margin: u64, fits: bool) -> MockMeterRepository {
    let mut meters = MockMeterRepository::new();
    meters
        .expect_add_included()
        .times(1)
        .withf(move |_, _, _, asked| *asked == margin)
        .return_once(move |_, _, _, _| Ok(fits));
    meters
}

/// Asked to count up to a limit that was read before.
fn counter(limit: Option<u64>, fits: bool) -> MockMeterRepository {
    let mut meters = MockMeterRepository::new();
    meters
        .expect_add()
        .times(1)
        .withf(move |_, _, period, _, asked| *asked == limit && *period == Period::Standing)
        .return_once(move |_, _, _, _, _| Ok(fits));
    meters
}

fn reading(used: u64) -> MockMeterRepository {
    let mut meters = MockMeterRepository::new();
    meters.expect_used().times(1).return_once(move |_, _, _| Ok(used));
    meters
}

fn system(tenant: Option<TenantId>) -> Scope {
    Scope::system(tenant, RequestInfo::default())
}

#[tokio::test]
async fn what_fits_is_counted_without_reading_the_plan() {
    for (meter, margin) in [(Meter::Sites, 0), (Meter::CustomDomains, 0), (Meter::Storage, STORAGE_MARGIN)] {
        let mut repositories = Repositories::default();
        repositories.meters.push_back(at_once(margin, true));
        Quotas::new(&mut repositories).take(env().new_id(), meter, 1).await.unwrap();
        assert!(repositories.meters.is_empty());
    }
}

#[tokio::test]
async fn what_was_not_counted_at_once_is_counted_against_the_plan_as_it_is_read() {
    // Another one was deleted, or the limit was raised, in between.
    let mut repositories = on_plan("starter");
    repositories.meters.extend([at_once(0, false), counter(Some(3), true)]);
    Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, 1).await.unwrap();
    assert!(repositories.meters.is_empty() && repositories.subscriptions.is_empty());
}

#[tokio::test]
async fn what_does_not_fit_names_the_cheapest_plan_that_would_do() {
    for (plan, limit, used, amount, remedy) in [
        ("free", 1, 1, 1, Some("starter")),
        ("free", 1, 1, 3, Some("professional")),
        ("free", 1, 1, u64::MAX, Some("enterprise")),
        ("professional", 10, 10, 1, Some("enterprise")),
    ] {
        let mut repositories = on_plan(plan);
        repositories.meters.extend([at_once(0, false), counter(Some(limit), false), reading(used)]);
        let mut plans = MockPlanRepository::new();
        plans.expect_list().times(1).return_once(|| Ok(catalogue()));
        repositories.plans.push_back(plans);
        let error = Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, amount).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Quota);
        let EntitlementError::QuotaExceeded { limit: reported, used: so_far, plan, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((reported, so_far, plan.as_deref()), (limit, used, remedy));
    }
}

fn room(files: u64, texts: u64, limit: Option<u64>, verified: bool) -> MockMeterRepository {
    let mut meters = MockMeterRepository::new();
    let room = StorageRoom { files, texts, limit, verified };
    meters.expect_storage().times(1).return_once(move |_, _| Ok(room));
    meters
}

#[tokio::test]
async fn texts_count_against_the_storage_of_the_plan() {
    for (files, texts, limit, fits) in
        [(50, 50, Some(100), true), (50, 51, Some(100), false), (1 << 40, 1 << 40, None, true)]
    {
        let mut repositories = if fits { Repositories::default() } else { on_plan("free") };
        repositories.meters.push_back(room(files, texts, limit, true));
        let mut plans = MockPlanRepository::new();
        plans.expect_list().times(usize::from(!fits)).returning(|| Ok(catalogue()));
        repositories.plans.push_back(plans);
        let checked = Quotas::new(&mut repositories).check_storage(env().new_id()).await;
        match checked {
            Ok(()) => assert!(fits),
            Err(EntitlementError::QuotaExceeded { meter, limit: reported, used, plan }) => {
                assert_eq!((meter, Some(reported), used), (Meter::Storage, limit, files + texts));
                assert_eq!((fits, plan.as_deref()), (false, Some("free")));
            }
            Err(error) => panic!("{error}"),
        }
    }
    // Storage that texts take is not available for files.
    let mut repositories = on_plan("free");
    let (stored, rest) = (room(0, 24, Some(1 << 30), true), counter(Some((1 << 30) - 24), true));
    repositories.meters.extend([at_once(STORAGE_MARGIN, false), stored, rest]);
    Quotas::new(&mut repositories).take(env().new_id(), Meter::Storage, 5).await.unwrap();
}

#[tokio::test]
async fn without_a_verified_address_there_is_little_room_on_every_plan() {
    let mut repositories = Repositories::default();
    repositories.meters.push_back(room(UNVERIFIED_STORAGE, 1, None, false));
    let refused = Quotas::new(&mut repositories).check_storage(env().new_id()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Quota, "quota_exceeded"));
    assert!(refused.members().contains(&("limit", UNVERIFIED_STORAGE.into())), "{refused}");

    let mut repositories = on_plan("enterprise");
    repositories.meters.extend([at_once(STORAGE_MARGIN, false), room(0, 10, None, false)]);
    let refused =
        Quotas::new(&mut repositories).take(env().new_id(), Meter::Storage, UNVERIFIED_STORAGE - 9).await;
    assert_eq!(refused.unwrap_err().code(), "quota_exceeded");
}

fn rows(count: Option<RowCount>) -> MockMeterRepository {
    let mut meters = MockMeterRepository::new();
    meters.expect_rows().times(1).return_once(move |_, _| Ok(count));
    meters
}

#[tokio::test]
async fn there_is_room_for_one_more_up_to_the_limit_and_what_was_just_added_does_not_count() {
    for (used, limit, added, fits) in [
        (4, Some(5), 0, true),
        (5, Some(5), 1, true),
        (5, Some(5), 0, false),
        (6, Some(5), 1, false),
        (9, Some(5), 1, false),
        (0, Some(0), 0, false),
        (u64::MAX, None, 1, true),
    ] {
        let mut repositories = if fits { Repositories::default() } else { on_plan("free") };
        repositories.meters.push_back(rows(Some(RowCount { used, limit })));
        let mut plans = MockPlanRepository::new();
        plans.expect_list().times(usize::from(!fits)).returning(|| Ok(catalogue()));
        repositories.plans.push_back(plans);
        let checked = Quotas::new(&mut repositories).check_room(env().new_id(), Meter::Members, added).await;
        match checked {
            Ok(()) => assert!(fits, "{used} of {limit:?}"),
            Err(EntitlementError::QuotaExceeded { meter, limit: reported, used: before, plan }) => {
                assert_eq!((meter, Some(reported), before), (Meter::Members, limit, used - added));
                let remedy = if used - added < 5 { "free" } else { "starter" };
                assert_eq!((fits, plan.as_deref()), (false, Some(remedy)));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_added_without_a_plan() {
    let mut repositories = Repositories::default();
    repositories.meters.push_back(rows(None));
    let refused = Quotas::new(&mut repositories).check_room(env().new_id(), Meter::ApiKeys, 1).await;
    assert!(matches!(refused, Err(EntitlementError::NoPlan)));
}

#[tokio::test]
async fn premium_templates_are_for_plans_that_have_them() {
    let mut repositories = on_plan("professional");
    Quotas::new(&mut repositories).require(env().new_id(), Feature::PremiumTemplates).await.unwrap();
    for plan in ["free", "starter"] {
        let mut repositories = on_plan(plan);
        let mut plans = MockPlanRepository::new();
        plans.expect_list().times(1).return_once(|| Ok(catalogue()));
        repositories.plans.push_back(plans);
        let refused = Quotas::new(&mut repositories).require(env().new_id(), Feature::PremiumTemplates).await;
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Quota, "plan_required"));
        assert_eq!(error.members()[1], ("plan", "professional".into()));
    }
}

#[tokio::test]
async fn no_plan_is_named_where_none_would_do() {
    let mut repositories = Repositories::default();
    let mut plans = MockPlanRepository::new();
    let limited = catalogue().into_iter().filter(|plan| plan.id != "enterprise").collect();
    plans.expect_list().times(1).return_once(|| Ok(limited));
    repositories.plans.push_back(plans);
    let cheapest =
        Quotas::new(&mut repositories).cheapest(|plan| plan.includes(Meter::Sites, 11)).await.unwrap();
    assert_eq!(cheapest, None);
}

#[tokio::test]
async fn a_tenant_without_a_plan_uses_nothing() {
    let mut repositories = on_plan("no-such-plan");
    repositories.meters.push_back(at_once(0, false));
    let result = Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, 1).await;
    assert_eq!(result.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn usage_lists_every_meter_with_its_limit() {
    let mut repositories = on_plan("free");
    let mut meters = MockMeterRepository::new();
    let (now, anchor) = (env().now(), allowance(catalogue().remove(0)).period_anchor);
    let asked = Meter::ALL.map(|meter| (meter, Period::for_meter(meter, anchor, now)));
    meters
        .expect_used_of_all()
        .withf(move |_, meters| meters == asked)
        .times(1)
        .return_once(|_, _| Ok(vec![1, 5, 0, 0, 9, 2, 3]));
    repositories.meters.extend([meters]);
    let usage = Quotas::new(&mut repositories).usage_of(&system(None), env().new_id(), now).await.unwrap();
    assert_eq!(usage.iter().map(|u| u.meter).collect::<Vec<_>>(), Meter::ALL);
    let (unit, none) = (Unit::Count, None);
    assert_eq!(usage[0], Usage { meter: Meter::Sites, used: 1, limit: Some(1), unit, resets_at: none });
    assert_eq!((usage[1].meter, usage[1].used, usage[1].unit), (Meter::Storage, 5, Unit::Bytes));
    assert_eq!(usage[2].resets_at, Period::of(anchor, now).ends_at());
    assert_eq!((usage[4].meter, usage[4].used, usage[4].limit), (Meter::Bandwidth, 9, Some(10 << 30)));
    assert_eq!(usage[4].resets_at, usage[2].resets_at);
    let (meter, used, limit) = (Meter::Members, 2, Some(5));
    assert_eq!(usage[5], Usage { meter, used, limit, unit, resets_at: none });
    assert_eq!((usage[6].meter, usage[6].used, usage[6].limit), (Meter::ApiKeys, 3, Some(5)));

    let anonymous = Scope::anonymous(RequestInfo::default());
    let error = Quotas::new(&mut repositories).usage_of(&anonymous, env().new_id(), now).await.unwrap_err();
    assert_eq!(error.code(), "unauthenticated");
}
