use portico_kernel::Permissions;

use super::*;
use crate::{
    ports::MockGrowthRepository,
    testing::{Repositories, env, scope_with},
};

fn staff() -> Scope {
    scope_with(env().new_id(), Permissions::from_list(&[Permission::PlatformGrowth]))
}

fn this() -> Month {
    Month::of(env().now())
}

fn today() -> Date {
    env().now().into_inner().date()
}

/// Repositories that answer the last day, and then these figures.
fn with_figures(figures: Vec<(Month, Figure, u64)>) -> Repositories {
    let mut repositories = Repositories::default();
    let mut last = MockGrowthRepository::new();
    last.expect_last_day().times(1).return_once(|| Ok(today().previous_day()));
    let mut read = MockGrowthRepository::new();
    read.expect_figures().times(1).return_once(|_, _| Ok(figures));
    repositories.growth.extend([last, read]);
    repositories
}

#[tokio::test]
async fn figures_become_months_and_cohorts() {
    let (may, june) = (this().plus(-1), this());
    let mut repositories = with_figures(vec![
        (may, Figure::Registrations, 12),
        (may, Figure::NewTenants, 10),
        (may, Figure::Activated, 4),
        (may, Figure::Active, 8),
        (may, Figure::Cohort(may), 7),
        (may, Figure::Cohort(may.plus(-1)), 1),
        (june, Figure::NewTenants, 0),
        (june, Figure::Active, 6),
        (june, Figure::Lapsed, 3),
        (june, Figure::Used("webhook".to_owned()), 1),
        (june, Figure::Used("page".to_owned()), 5),
        (june, Figure::Used("asset".to_owned()), 1),
        (june, Figure::Cohort(may), 5),
    ]);
    let env = env();
    let report = Growth::new(&mut repositories, &env).report(&staff(), Some(may), None).await.unwrap();
    assert_eq!((report.from, report.to, report.through), (may, june, today().previous_day()));
    let [first, second] = &report.items[..] else { panic!("{report:?}") };
    assert_eq!((first.registrations, first.new_tenants, first.activated), (12, 10, 4));
    assert_eq!((first.activation, first.active_tenants, first.churn), (Some(0.4), 8, None));
    assert_eq!((second.activation, second.active_tenants, second.lapsed_tenants), (None, 6, 3));
    assert_eq!(second.churn, Some(0.375));
    let used: Vec<_> = second.features.iter().map(|used| (used.resource.as_str(), used.tenants)).collect();
    assert_eq!(used, [("page", 5), ("asset", 1), ("webhook", 1)]);
    let retained = |month, active, retention| Retained { month, active, retention };
    assert_eq!(
        report.cohorts,
        [
            Cohort {
                month: may,
                tenants: 10,
                months: vec![retained(may, 7, Some(0.7)), retained(june, 5, Some(0.5))],
            },
            Cohort { month: june, tenants: 0, months: vec![retained(june, 0, None)] },
        ]
    );
}

#[tokio::test]
async fn months_and_permission_are_checked() {
    let env = env();
    let mut repositories = Repositories::default();
    let mut growth = Growth::new(&mut repositories, &env);
    for (from, to, code) in [(0, -1, "before_from"), (-60, 0, "out_of_range")] {
        let refused = growth.report(&staff(), Some(this().plus(from)), Some(this().plus(to))).await;
        let Err(TenancyError::Invalid(errors)) = refused else { panic!("{refused:?}") };
        assert_eq!((errors[0].field.as_str(), errors[0].code.as_ref()), ("to", code));
    }
    let nobody = scope_with(env.new_id(), Permissions::NONE);
    let denied = growth.report(&nobody, None, None).await;
    assert!(matches!(denied, Err(TenancyError::Denied(_))));
}

/// Records the day after `last`: what was recorded, and which months were counted.
async fn next(last: Option<Date>, is_new: bool) -> (Option<Date>, Vec<Month>) {
    next_of(last, is_new, None).await
}

/// The same of a log that begins on a day. It is asked for that only where nothing was recorded yet.
async fn next_of(last: Option<Date>, is_new: bool, oldest: Option<Date>) -> (Option<Date>, Vec<Month>) {
    let mut repositories = Repositories::default();
    let counted = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut reading = MockGrowthRepository::new();
    reading.expect_last_day().times(1).return_once(move || Ok(last));
    let mut recording = MockGrowthRepository::new();
    recording.expect_record_day().return_once(move |_| Ok(is_new));
    repositories.growth.push_back(reading);
    if last.is_none() {
        let mut looking = MockGrowthRepository::new();
        looking.expect_oldest_event().times(1).return_once(move || Ok(oldest));
        repositories.growth.push_back(looking);
    }
    repositories.growth.push_back(recording);
    for _ in 0..15 {
        let (mut counting, counted) = (MockGrowthRepository::new(), counted.clone());
        counting.expect_count().returning(move |month, within| {
            assert_eq!(within, ACTIVATION);
            counted.lock().unwrap().push(month);
            Ok(())
        });
        repositories.growth.push_back(counting);
    }
    let env = env();
    let recorded = Growth::new(&mut repositories, &env).record_next().await.unwrap();
    let months = counted.lock().unwrap().clone();
    (recorded, months)
}

#[tokio::test]
async fn each_day_is_recorded_once_it_is_over_and_the_newest_is_counted() {
    let yesterday = today().previous_day().unwrap();
    let day = |ago: i64| Some(yesterday - Duration::days(ago));
    assert_eq!(next(day(0), true).await, (None, Vec::new()), "all is recorded");
    assert_eq!(next(day(1), true).await, (Some(yesterday), vec![this().plus(-1), this()]));
    assert_eq!(next(day(1), false).await, (None, Vec::new()), "somebody else did it");
    assert_eq!(next(day(3), true).await, (day(2), Vec::new()), "counted with the newest");
    let month_end = this().starts_at().into_inner().date().previous_day().unwrap();
    let (recorded, counted) = next(month_end.previous_day(), true).await;
    assert_eq!((recorded, counted), (Some(month_end), vec![this().plus(-2), this().plus(-1)]));
}

#[tokio::test]
async fn the_first_day_is_that_of_the_oldest_event_of_a_year_and_all_months_of_it_are_counted() {
    let yesterday = today().previous_day().unwrap();
    let day = |ago: i64| yesterday - Duration::days(ago);
    let begin = month_of(day(366)).plus(-1);
    for (oldest, first) in [
        (None, yesterday),
        (Some(today()), yesterday),
        (Some(yesterday), yesterday),
        (Some(day(40)), day(40)),
        (Some(day(366)), day(366)),
        (Some(day(3_000)), day(366)),
    ] {
        let (recorded, counted) = next_of(None, true, oldest).await;
        let expected: Vec<_> = begin.through(month_of(first)).collect();
        assert_eq!((recorded, counted), (Some(first), expected), "{oldest:?}");
        assert_eq!(next_of(None, false, oldest).await, (None, Vec::new()), "somebody else did it");
    }
}

#[test]
fn names_of_figures_are_read() {
    for (name, figure) in [
        ("registrations", Figure::Registrations),
        ("new_tenants", Figure::NewTenants),
        ("activated", Figure::Activated),
        ("active", Figure::Active),
        ("lapsed", Figure::Lapsed),
        ("used:page", Figure::Used("page".to_owned())),
        ("cohort:2026-11", Figure::Cohort(Month::parse("2026-11").unwrap())),
    ] {
        assert_eq!(Figure::parse(name), Some(figure));
    }
    assert_eq!((Figure::parse("cohort:2026"), Figure::parse("else")), (None, None));
}
