//! Licenses whose term is over: their status and their event. Whoever asks about one is told by the clock, see [`License::at`].
//!
//! [`License::at`]: crate::license::License::at

use portico_kernel::{Env, RequestInfo, Scope};

use crate::{LicensingError, license::Move, ports::LicensingRepositories, transition};

/// Licenses of one unit of work.
const BATCH: u64 = 100;

/// What the schedule does. It asks for no permission: the clock decides.
pub struct LicenseTermEnds<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    env: &'a Env,
}

impl<'a> LicenseTermEnds<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, env: &'a Env) -> Self {
        Self { repositories, env }
    }

    /// Expires a batch of licenses whose term is over, and forgets offers that nobody has accepted. Answers whether there are no others.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn expire(&mut self) -> Result<bool, LicensingError> {
        let now = self.env.now();
        let mut ended = self.repositories.licenses().ended(now, BATCH).await?;
        // The order in which licenses are locked.
        ended.sort_by_key(|license| license.id);
        for found in &ended {
            let scope = Scope::system(Some(found.tenant_id), RequestInfo::default());
            // Another unit of work may have changed it since it was read.
            let Some(license) = self.repositories.licenses().lock(found.tenant_id, found.id).await? else {
                continue;
            };
            if license.expires_at.is_some_and(|end| end <= now) {
                transition::apply(self.repositories, &scope, self.env, license, Move::Expire, None).await?;
            }
        }
        // Last, as for leases: it locks offers without their licenses, and waits for nobody.
        self.repositories.license_transfers().delete_expired(now).await?;
        Ok((ended.len() as u64) < BATCH)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::{
        license::{License, LicenseStatus},
        testing::{Repositories, env, license},
    };

    #[tokio::test]
    async fn a_term_ends_once_and_what_is_suspended_stays_so() {
        let env = env();
        let mut repositories = Repositories::seeded();
        let over = License { expires_at: Some(env.now() - Duration::SECOND), ..license(&env) };
        let suspended = License { expires_at: over.expires_at, ..license(&env) }.after(Move::Suspend);
        let later = License { expires_at: Some(env.now() - Duration::HOUR), ..license(&env) };
        let lasting = License { expires_at: Some(env.now() + Duration::SECOND), ..license(&env) };
        repositories.rows().licenses = vec![later, over, suspended, lasting, license(&env)];
        for _ in 0..2 {
            assert!(LicenseTermEnds::new(&mut repositories, &env).expire().await.unwrap());
        }
        use LicenseStatus::{Active, Expired, Suspended};
        let ids: Vec<_> = repositories.rows().licenses.iter().map(|license| license.id).collect();
        let statuses: Vec<_> = repositories.rows().licenses.iter().map(|license| license.status).collect();
        assert_eq!(statuses, [Expired, Expired, Suspended, Active, Active]);
        let mut in_order = [ids[0], ids[1]];
        in_order.sort_unstable();
        assert_eq!(repositories.rows().locked, in_order, "each once");
        assert_eq!(repositories.events(), ["license.expired"; 2]);
        let event = repositories.rows().events.remove(0);
        assert_eq!(
            (&event.before.unwrap()["status"], &event.after.unwrap()["status"]),
            (&"active".into(), &"expired".into())
        );
    }
}
