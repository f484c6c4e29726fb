//! An in-process rate limiter.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use governor::{
    RateLimiter as Governor,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use portico_kernel::limits::{Quota, RateLimiter, Verdict};

type Cells = Governor<String, DashMapStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// Counts in the memory of the process.
#[derive(Default)]
pub struct ProcessLimiter {
    /// Names with the same quota share a map, each with a cell of its own.
    by_quota: RwLock<BTreeMap<Quota, Arc<Cells>>>,
    clock: DefaultClock,
}

impl ProcessLimiter {
    /// Counts one request, as [`RateLimiter::count`] does.
    pub(crate) fn count_here(&self, name: &str, quota: Quota) -> Verdict {
        match self.cells(quota).check_key(&name.to_owned()) {
            Ok(state) => {
                let used = quota.most().get().saturating_sub(state.remaining_burst_capacity());
                Verdict::allowed(quota, quota.interval() * used)
            }
            Err(refused) => Verdict::refused(quota, refused.wait_time_from(self.clock.now())),
        }
    }

    /// The cells of a quota. The number of quotas is bounded by settings and keys.
    fn cells(&self, quota: Quota) -> Arc<Cells> {
        let known = self.by_quota.read().unwrap_or_else(PoisonError::into_inner).get(&quota).cloned();
        known.unwrap_or_else(|| {
            let mut all = self.by_quota.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(quota).or_insert_with(|| Arc::new(cells(quota))).clone()
        })
    }
}

fn cells(quota: Quota) -> Cells {
    let pace = governor::Quota::with_period(quota.interval())
        .unwrap_or(governor::Quota::per_second(quota.most()))
        .allow_burst(quota.most());
    Governor::dashmap(pace).with_middleware()
}

#[async_trait]
impl RateLimiter for ProcessLimiter {
    async fn count(&self, name: &str, quota: Quota) -> Verdict {
        self.count_here(name, quota)
    }

    fn forget_idle(&self) {
        let mut all = self.by_quota.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, cells| {
            cells.retain_recent();
            cells.shrink_to_fit();
            // A map held by a request is about to get a name.
            !cells.is_empty() || Arc::strong_count(cells) > 1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_back_at_their_limit_are_forgotten() {
        let limiter = ProcessLimiter::default();
        // A period of a microsecond expires at once.
        limiter.count_here("quick", Quota::per_minute(u32::MAX));
        limiter.count_here("slow", Quota::per_hour(1));
        std::thread::sleep(std::time::Duration::from_millis(5));
        limiter.forget_idle();
        assert_eq!(limiter.by_quota.read().unwrap().len(), 1);
        assert!(!limiter.count_here("slow", Quota::per_hour(1)).allowed);
    }
}
