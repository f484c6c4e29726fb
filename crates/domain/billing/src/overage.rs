//! More sites than the limit, which comes of a smaller plan or a lower agreement.
//!
//! Nothing is deleted. The tenant is told, and has thirty days to delete sites of its choice or to take a larger plan; then the newest
//! ones are read-only until there are few enough. The days begin when a check finds it, and anew when the limit falls further: all
//! sites can be changed until then.

use portico_kernel::{Meter, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use time::Duration;

/// How long all sites stay writable.
pub const TIME_TO_CHOOSE: Duration = Duration::days(30);

/// That a tenant has more sites than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overage {
    /// Since when it has more than this.
    pub since: Timestamp,
    /// The limit.
    pub limit: u64,
}

impl Overage {
    /// When the newest sites become read-only.
    pub fn read_only_at(&self) -> Timestamp {
        self.since + TIME_TO_CHOOSE
    }

    /// How many of the oldest sites can be changed at a time; `None` is all of them.
    pub fn kept_sites(&self, now: Timestamp) -> Option<u64> {
        (now >= self.read_only_at()).then_some(self.limit)
    }

    /// What it is now with so many sites of a limit, given what it was when it was last looked at.
    fn found(before: Option<Self>, used: u64, limit: Option<u64>, now: Timestamp) -> Option<Self> {
        let limit = limit.filter(|limit| used > *limit)?;
        let goes_on = before.filter(|before| limit >= before.limit);
        Some(Self { since: goes_on.map_or(now, |before| before.since), limit })
    }
}

/// That it has changed since it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverageChange {
    /// What it was.
    pub before: Option<Overage>,
    /// What it is.
    pub after: Option<Overage>,
    /// How many sites there are.
    pub used: u64,
}

impl OverageChange {
    /// `None` where it is what it was. A limit that has risen and is still passed is noted, so that its fall is seen.
    pub(crate) fn between(
        before: Option<Overage>,
        used: u64,
        limit: Option<u64>,
        now: Timestamp,
    ) -> Option<Self> {
        let after = Overage::found(before, used, limit, now);
        (after != before).then_some(Self { before, after, used })
    }

    /// What is told to the tenant: that its days have begun.
    pub(crate) fn told(&self, tenant_id: TenantId) -> Option<SitesOverLimit> {
        let after = self.after.filter(|after| self.before.is_none_or(|before| after.limit < before.limit))?;
        let read_only_at = after.read_only_at();
        Some(SitesOverLimit {
            tenant_id,
            meter: Meter::Sites,
            used: self.used,
            limit: after.limit,
            read_only_at,
        })
    }
}

/// What the event tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SitesOverLimit {
    /// The tenant.
    pub tenant_id: TenantId,
    /// What there is too much of: sites.
    pub meter: Meter,
    /// How much there is.
    pub used: u64,
    /// How much there may be.
    pub limit: u64,
    /// When the newest ones become read-only.
    pub read_only_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::env;

    #[test]
    fn the_limit_itself_is_not_too_much() {
        let now = env().now();
        let found = |used, limit| Overage::found(None, used, limit, now);
        assert_eq!(found(3, Some(3)), None);
        assert_eq!(found(u64::MAX, None), None);
        assert_eq!(found(0, Some(0)), None);
        assert_eq!(found(4, Some(3)), Some(Overage { since: now, limit: 3 }));
        assert_eq!(found(1, Some(0)), Some(Overage { since: now, limit: 0 }));
    }

    #[test]
    fn the_newest_are_read_only_after_thirty_days_exactly() {
        let now = env().now();
        let overage = Overage { since: now, limit: 3 };
        let at = now + Duration::days(30);
        assert_eq!(overage.read_only_at(), at);
        assert_eq!(overage.kept_sites(at - Duration::microseconds(1)), None);
        assert_eq!(
            (overage.kept_sites(at), overage.kept_sites(at + Duration::days(400))),
            (Some(3), Some(3))
        );
    }

    #[test]
    fn the_days_begin_anew_where_the_limit_falls_and_only_there() {
        let now = env().now();
        let since = now - Duration::days(20);
        let before = Some(Overage { since, limit: 3 });
        let change = |used, limit| OverageChange::between(before, used, limit, now);
        let told = |used, limit| change(used, limit).and_then(|change| change.told(env().new_id()));
        // Fewer sites, and still too many.
        assert_eq!((change(5, Some(3)), change(4, Some(3))), (None, None));
        let lower = change(5, Some(1)).unwrap();
        assert_eq!((lower.after, lower.used), (Some(Overage { since: now, limit: 1 }), 5));
        assert_eq!(told(5, Some(1)).unwrap().read_only_at, now + TIME_TO_CHOOSE);
        // A larger plan that is too small as well.
        let higher = change(5, Some(4)).unwrap();
        assert_eq!(higher.after, Some(Overage { since, limit: 4 }));
        assert!(told(5, Some(4)).is_none());
        // Few enough, or a plan that is large enough.
        for (used, limit) in [(3, Some(3)), (5, Some(5)), (5, None)] {
            assert_eq!(change(used, limit).unwrap().after, None);
            assert!(told(used, limit).is_none());
        }
    }

    #[test]
    fn a_tenant_is_told_how_much_there_is_and_until_when() {
        let (now, tenant) = (env().now(), env().new_id());
        let change = OverageChange::between(None, 5, Some(1), now).unwrap();
        let told = serde_json::to_value(change.told(tenant).unwrap()).unwrap();
        let at = now + TIME_TO_CHOOSE;
        let expected = serde_json::json!({"tenantId": tenant, "meter": "sites", "used": 5, "limit": 1, "readOnlyAt": at});
        assert_eq!(told, expected);
    }
}
