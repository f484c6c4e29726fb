//! Checks the thresholds of tenants that used something, and which of their sites are read-only, and records what there was at the end of
//! each day.

use std::time::Duration;

use portico_billing::thresholds::Thresholds;
use portico_kernel::{RequestInfo, Scope, StoreError, TenantId};
use portico_sites::site::Sites;
use tokio::{sync::watch, time::sleep};

use super::failures::Failures;
use crate::{backoff::Backoff, core::Core, store::broken, usage::UsageMarks};

/// Interval of checking: how late a tenant is told at most, and how often one that is busy is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Interval of looking whether a day is over: how much of the next one may be counted to it.
pub const RECORD_EVERY: Duration = Duration::from_secs(60);

/// Tenants that are read at once.
const BATCH: u64 = 500;

/// Checks periodically until shutdown.
pub async fn run(core: Core, mut stopping: watch::Receiver<bool>) {
    let mut backoff = Backoff::new("the usage of tenants could not be checked");
    let mut pause = EVERY;
    while !*stopping.borrow() {
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        pause = match check(&core).await {
            Ok(()) => {
                backoff.succeeded();
                EVERY
            }
            Err(error) => backoff.failed(&error).max(EVERY),
        };
    }
}

/// Checks the tenants that used something since the last check.
///
/// # Errors
/// When tenants could not be checked: they are next time, and all others as well where several in a row could not.
pub async fn check(core: &Core) -> Result<(), StoreError> {
    check_each(&core.signals.usage, |tenant| check_one(core, tenant)).await
}

/// Checks the tenants that are marked. Those that could not be checked are marked again.
async fn check_each<F: Future<Output = Result<(), StoreError>>>(
    marks: &UsageMarks,
    check: impl Fn(TenantId) -> F,
) -> Result<(), StoreError> {
    let mut due = marks.take().into_iter();
    let (mut failures, mut outcome) = (Failures::default(), Ok(()));
    for tenant in due.by_ref() {
        let checked = check(tenant).await;
        let are_enough = failures.are_enough(&checked);
        if let Err(error) = checked {
            marks.mark(tenant);
            outcome = Err(error);
        }
        if are_enough {
            break;
        }
    }
    due.for_each(|tenant| marks.mark(tenant));
    outcome
}

/// Whether something about the tenant is to be stored. Its sites are looked at in every check, because they may have changed while what is
/// known of their number has not.
async fn is_due(core: &Core, tenant: TenantId) -> Result<bool, StoreError> {
    let mut reader = core.reader();
    let Some(found) = Thresholds::new(&mut *reader, &core.env).look(tenant).await? else { return Ok(false) };
    Ok(found.are_news() || reader.sites().over_limit_differs(tenant, found.kept_sites).await?)
}

async fn check_one(core: &Core, tenant: TenantId) -> Result<(), StoreError> {
    if !is_due(core, tenant).await? {
        return Ok(());
    }
    let mut work = core.begin().await?;
    let Some(found) = Thresholds::new(&mut *work, &core.env).look(tenant).await? else { return Ok(()) };
    // Sites before the subscription, as changes of a site lock them, so that none of them waits for the other in a circle.
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    Sites::new(&mut *work, &scope, &core.env).keep_writable(found.kept_sites).await.map_err(broken)?;
    Thresholds::new(&mut *work, &core.env).store(tenant, &found).await?;
    work.commit().await
}

/// Has the tenants checked that have or had more sites than their limit: time passes for them without a change of theirs, and a check that
/// was missed is made up for.
pub async fn look_again(core: &Core) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let tenants = core.reader().subscriptions().over_limit(after, BATCH).await?;
        let Some(last) = tenants.last() else { return Ok(()) };
        after = Some(*last);
        tenants.iter().for_each(|tenant| core.signals.usage.mark(*tenant));
    }
}

/// Records what there was at the end of yesterday, unless that was done. What changed since midnight is counted to it: less than two
/// minutes of changes while a worker runs, and all of them where none ran while requests were answered.
pub async fn record_day(core: &Core) -> Result<(), StoreError> {
    let today = core.env.now().into_inner().date();
    let Some(yesterday) = today.previous_day() else { return Ok(()) };
    let mut work = core.begin().await?;
    if work.meters().record_day(yesterday).await? {
        work.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use portico_security::system_env;

    use super::*;

    /// Checks five tenants, of which those at some places cannot be checked. Answers which were tried, which are marked afterwards, and
    /// whether all is well, each tenant by its place.
    async fn checked(failing: &[usize]) -> (Vec<usize>, Vec<usize>, bool) {
        let (marks, env) = (UsageMarks::default(), system_env());
        let mut tenants: Vec<TenantId> = (0..5).map(|_| env.new_id()).collect();
        // In the order in which they are checked.
        tenants.sort_unstable();
        tenants.iter().for_each(|tenant| marks.mark(*tenant));
        let place = |tenant: TenantId| tenants.iter().position(|known| *known == tenant).unwrap();
        let tried = Mutex::new(Vec::new());
        let outcome = check_each(&marks, |tenant| {
            tried.lock().unwrap().push(place(tenant));
            let fails = failing.contains(&place(tenant));
            async move { if fails { Err(StoreError::Unavailable("away".into())) } else { Ok(()) } }
        });
        let is_well = outcome.await.is_ok();
        let marked = marks.take().into_iter().map(place).collect();
        (tried.into_inner().unwrap(), marked, is_well)
    }

    #[tokio::test]
    async fn a_tenant_that_cannot_be_checked_holds_up_no_other() {
        assert_eq!(checked(&[]).await, (vec![0, 1, 2, 3, 4], vec![], true));
        assert_eq!(checked(&[0]).await, (vec![0, 1, 2, 3, 4], vec![0], false));
        assert_eq!(checked(&[0, 1, 3, 4]).await, (vec![0, 1, 2, 3, 4], vec![0, 1, 3, 4], false));
        // It is the database.
        assert_eq!(checked(&[0, 1, 2]).await, (vec![0, 1, 2], vec![0, 1, 2, 3, 4], false));
    }
}
