//! How long the audit trail is kept.

use portico_kernel::{Env, Event, RequestInfo, Scope, StoreError, TenantId, Timestamp};
use serde_json::json;
use time::{Duration, Time};

use crate::{
    chain::SEALER,
    events,
    ports::{Expired, OldestEntry, TenancyRepositories},
};

/// Entries deleted in one transaction.
const BATCH: u32 = 1000;

/// How long events that the trail does not keep stay in the log: attempts to send one to a webhook last less than two days, and
/// read it from the log.
const NOT_KEPT: Duration = Duration::days(3);

/// Chains read in one query.
const CHAINS: u32 = 500;

/// How long entries are kept where a tenant has no setting of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention(Option<Duration>);

impl Retention {
    /// For this time; for ever without one.
    pub const fn new(time: Option<Duration>) -> Self {
        Self(time)
    }

    /// Entries before this moment have expired. Whole days, so that a trail loses entries once a day at most.
    pub fn cutoff(self, retention_days: Option<u32>, now: Timestamp) -> Option<Timestamp> {
        let kept = retention_days.map(|days| Duration::days(i64::from(days))).or(self.0)?;
        let moment = (now - kept).into_inner();
        Some(Timestamp::new(moment.replace_time(Time::MIDNIGHT)))
    }

    /// The chains whose oldest entry has expired, each with its cutoff.
    pub async fn due(
        self,
        repositories: &mut dyn TenancyRepositories,
        now: Timestamp,
    ) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        let (mut due, mut after) = (Vec::new(), None);
        loop {
            let chains = repositories.seals().oldest(after, CHAINS).await?;
            let Some(last) = chains.last() else { return Ok(due) };
            after = Some(last.tenant);
            due.extend(self.of_age(&chains, now));
        }
    }

    /// The tenants whose oldest entry without a seal has expired, each with its cutoff.
    pub async fn due_recorded(
        self,
        repositories: &mut dyn TenancyRepositories,
        now: Timestamp,
    ) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        let (mut due, mut after) = (Vec::new(), None);
        loop {
            let tenants = repositories.seals().recorded(after, CHAINS).await?;
            let Some(last) = tenants.last() else { return Ok(due) };
            after = Some(last.tenant);
            due.extend(self.of_age(&tenants, now));
        }
    }

    fn of_age(self, entries: &[OldestEntry], now: Timestamp) -> impl Iterator<Item = (TenantId, Timestamp)> {
        entries.iter().filter_map(move |OldestEntry { tenant, retention_days, at }| {
            let cutoff = self.cutoff(*retention_days, now)?;
            // One that is missing does not keep those behind it from expiring.
            at.is_none_or(|at| at < cutoff).then_some((*tenant, cutoff))
        })
    }
}

/// Deletes one batch of a tenant's entries that happened before `before`, were taken by all of `readers`, and are sealed; and
/// records that it did. Answers whether there may be more.
pub async fn expire(
    repositories: &mut dyn TenancyRepositories,
    env: &Env,
    tenant: TenantId,
    mut readers: Vec<&'static str>,
    before: Timestamp,
) -> Result<bool, StoreError> {
    if !readers.contains(&SEALER) {
        readers.push(SEALER);
    }
    let expired = repositories.seals().expire(tenant, readers, before, BATCH).await?;
    let Some(Expired { entries, checkpoint, until }) = expired else { return Ok(false) };
    let request = RequestInfo { id: format!("retention-{}", env.random_uuid()), ..RequestInfo::default() };
    let event = Event::new(env, &Scope::system(Some(tenant), request), &events::AUDIT_EXPIRED, tenant.uuid())
        .before(&json!({"entries": entries, "checkpoint": checkpoint, "until": until}));
    repositories.events().append(event).await?;
    Ok(entries >= u64::from(BATCH))
}

/// Deletes one batch of a tenant's entries without a seal that happened before `before` and were taken by all of `readers`.
/// Answers whether there may be more.
pub async fn expire_recorded(
    repositories: &mut dyn TenancyRepositories,
    tenant: TenantId,
    readers: Vec<&'static str>,
    before: Timestamp,
) -> Result<bool, StoreError> {
    Ok(repositories.seals().expire_recorded(tenant, readers, before, BATCH).await? >= u64::from(BATCH))
}

/// Deletes one batch of the events that are not kept, some days after they happened, given that all of `readers` have taken them.
/// Answers whether there may be more.
pub async fn forget(
    repositories: &mut dyn TenancyRepositories,
    readers: Vec<&'static str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(repositories.seals().forget(readers, now - NOT_KEPT, BATCH).await? >= u64::from(BATCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ports::MockSealRepository,
        testing::{Repositories, env},
    };

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(json!(text)).unwrap()
    }

    #[test]
    fn whole_days_are_kept_and_a_tenant_goes_before_the_platform() {
        let now = at("2026-11-21T09:30:00Z");
        let year = Retention::new(Some(Duration::days(365)));
        assert_eq!(year.cutoff(None, now), Some(at("2025-11-21T00:00:00Z")));
        assert_eq!(year.cutoff(Some(30), now), Some(at("2026-10-22T00:00:00Z")));
        assert_eq!(Retention::new(None).cutoff(None, now), None);
        assert_eq!(Retention::new(None).cutoff(Some(1), now), Some(at("2026-11-20T00:00:00Z")));
    }

    #[tokio::test]
    async fn chains_with_old_entries_are_due() {
        let env = env();
        let now = at("2026-11-21T09:30:00Z");
        let entry = |days: Option<u32>, time: Option<&str>| OldestEntry {
            tenant: env.new_id(),
            retention_days: days,
            at: time.map(at),
        };
        let chains = vec![
            entry(None, Some("2026-11-21T00:00:00Z")),
            entry(None, Some("2025-11-20T00:00:00Z")),
            entry(Some(1000), Some("2025-11-20T00:00:00Z")),
            entry(Some(7), Some("2026-11-01T00:00:00Z")),
            entry(None, None),
        ];
        let expected: Vec<TenantId> = [1, 3, 4].map(|at: usize| chains[at].tenant).into();
        let last = chains[4].tenant;
        let mut repositories = Repositories::default();
        let (mut first, mut second) = (MockSealRepository::new(), MockSealRepository::new());
        first.expect_oldest().withf(|after, _| after.is_none()).return_once(move |_, _| Ok(chains));
        second.expect_oldest().withf(move |after, _| *after == Some(last)).return_once(|_, _| Ok(Vec::new()));
        repositories.seals.extend([first, second]);
        let due = Retention::new(Some(Duration::days(365))).due(&mut repositories, now).await.unwrap();
        assert_eq!(due.iter().map(|(tenant, _)| *tenant).collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn what_expired_is_written_down_and_the_sealer_is_always_waited_for() {
        let env = env();
        let tenant = env.new_id();
        let until = at("2025-11-20T00:00:00Z");
        let mut repositories = Repositories::default();
        let mut seals = MockSealRepository::new();
        seals
            .expect_expire()
            .withf(move |asked, readers, _, _| *asked == tenant && *readers == ["mail", SEALER])
            .return_once(move |_, _, _, _| Ok(Some(Expired { entries: 3, checkpoint: 3, until })));
        repositories.seals.push_back(seals);
        assert!(!expire(&mut repositories, &env, tenant, vec!["mail"], until).await.unwrap());
        let events = repositories.events();
        assert_eq!((events.len(), &*events[0].kind, events[0].tenant), (1, "audit.expired", tenant));
        assert_eq!(events[0].before.as_ref().unwrap()["entries"], 3);

        let mut seals = MockSealRepository::new();
        seals.expect_expire().return_once(|_, _, _, _| Ok(None));
        repositories.seals.push_back(seals);
        assert!(!expire(&mut repositories, &env, tenant, vec![SEALER], until).await.unwrap());
        assert_eq!(repositories.events().len(), 1, "nothing happened, nothing is written");
    }
}
