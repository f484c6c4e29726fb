//! Tenants that may have used something, for the check of their thresholds.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use portico_kernel::TenantId;

/// Tenants that something was committed for in this process, or that sent something to visitors, since they were last checked. Lost when
/// the process dies: the next change makes up for it, because a check looks at what there is.
#[derive(Default)]
pub struct UsageMarks(Mutex<BTreeSet<TenantId>>);

impl UsageMarks {
    /// Has a tenant checked.
    pub fn mark(&self, tenant: TenantId) {
        if tenant != TenantId::PLATFORM {
            self.tenants().insert(tenant);
        }
    }

    /// The tenants that are to be checked, which then are not any more.
    pub fn take(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut *self.tenants())
    }

    fn tenants(&self) -> MutexGuard<'_, BTreeSet<TenantId>> {
        // Consistent after every line, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use portico_security::system_env;

    use super::*;

    #[test]
    fn each_tenant_is_taken_once_and_the_platform_never() {
        let (marks, tenant) = (UsageMarks::default(), system_env().new_id());
        for marked in [tenant, TenantId::PLATFORM, tenant] {
            marks.mark(marked);
        }
        assert_eq!((marks.take(), marks.take()), (BTreeSet::from([tenant]), BTreeSet::new()));
    }
}
