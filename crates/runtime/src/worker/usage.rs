//! Checks the thresholds of tenants that used something, and records what there was at the end of each day.

use std::time::Duration;

use portico_billing::thresholds::Thresholds;
use portico_kernel::{StoreError, TenantId};
use tokio::{sync::watch, time::sleep};

use super::failures::Failures;
use crate::{backoff::Backoff, core::Core};

/// Interval of checking: how late a tenant is told at most, and how often one that is busy is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Interval of looking whether a day is over: how much of the next one may be counted to it.
pub const RECORD_EVERY: Duration = Duration::from_secs(60);

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
    let mut due = core.signals.usage.take().into_iter();
    let (mut failures, mut outcome) = (Failures::default(), Ok(()));
    for tenant in due.by_ref() {
        let checked = check_one(core, tenant).await;
        let are_enough = failures.are_enough(&checked);
        if let Err(error) = checked {
            core.signals.usage.mark(tenant);
            outcome = Err(error);
        }
        if are_enough {
            break;
        }
    }
    due.for_each(|tenant| core.signals.usage.mark(tenant));
    outcome
}

async fn check_one(core: &Core, tenant: TenantId) -> Result<(), StoreError> {
    if !Thresholds::new(&mut *core.reader(), &core.env).are_due(tenant).await? {
        return Ok(());
    }
    let mut work = core.begin().await?;
    Thresholds::new(&mut *work, &core.env).check(tenant).await?;
    work.commit().await
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
