use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_kernel::{EntitlementError, Entitlements, Feature, Meter, TenantId};

use super::View;

/// What is used, and what the plan of every tenant includes. Without a limit, everything.
#[derive(Default)]
pub(crate) struct State {
    pub used: BTreeMap<Meter, u64>,
    pub limits: BTreeMap<Meter, u64>,
    pub missing: Vec<Feature>,
}

impl State {
    /// What is used of a meter.
    pub fn used(&self, meter: Meter) -> u64 {
        self.used.get(&meter).copied().unwrap_or_default()
    }
}

#[async_trait]
impl Entitlements for View<'_> {
    async fn take(&mut self, _: TenantId, meter: Meter, amount: u64) -> Result<(), EntitlementError> {
        let state = &mut self.0.entitlements;
        let used = state.used(meter);
        match state.limits.get(&meter) {
            Some(&limit) if used + amount > limit => {
                Err(EntitlementError::QuotaExceeded { meter, limit, used, plan: None })
            }
            _ => {
                state.used.insert(meter, used + amount);
                Ok(())
            }
        }
    }

    async fn release(&mut self, _: TenantId, meter: Meter, amount: u64) -> Result<(), EntitlementError> {
        let state = &mut self.0.entitlements;
        let used = state.used(meter);
        state.used.insert(meter, used.saturating_sub(amount));
        Ok(())
    }

    async fn transfer(
        &mut self,
        meter: Meter,
        from: (TenantId, u64),
        to: (TenantId, u64),
    ) -> Result<(), EntitlementError> {
        self.release(from.0, meter, from.1).await?;
        let used = self.0.entitlements.used(meter);
        self.0.entitlements.used.insert(meter, used + to.1);
        Ok(())
    }

    async fn require(&mut self, _: TenantId, feature: Feature) -> Result<(), EntitlementError> {
        match self.0.entitlements.missing.contains(&feature) {
            true => Err(EntitlementError::PlanRequired { feature, plan: None }),
            false => Ok(()),
        }
    }
}
