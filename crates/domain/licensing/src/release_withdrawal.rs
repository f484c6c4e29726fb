//! Files of releases that are not offered any more: what a schedule does with them.

use portico_kernel::{Env, Event, RequestInfo, Scope, TenantId, Timestamp};

use crate::{LicensingError, events, ports::LicensingRepositories, release_job::purge};

/// Releases of one unit of work.
const BATCH: u64 = 100;

/// Deletes them. It asks for no permission: the clock decides.
pub struct WithdrawnFiles<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    env: &'a Env,
}

impl<'a> WithdrawnFiles<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, env: &'a Env) -> Self {
        Self { repositories, env }
    }

    /// Has the files of a batch of releases deleted that were withdrawn, and not changed since `before`. What is said of the files stays.
    /// Answers whether there are no others.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delete(&mut self, before: Timestamp) -> Result<bool, LicensingError> {
        let found = self.repositories.releases().withdrawn(before, BATCH).await?;
        let (scope, now) = (Scope::system(None, RequestInfo::default()), self.env.now());
        for id in &found {
            let Some(release) = self.repositories.releases().lock(*id).await? else { continue };
            let after = release.without_bytes(now);
            // Another instance may have done it since it was read.
            let Some(file) = after.file.as_ref().filter(|_| after != release) else { continue };
            let of = (release.id, file.id);
            self.repositories.releases().update(&after).await?;
            purge(self.repositories, &scope, self.env, of, now).await?;
            let event = Event::new(self.env, &scope, &events::RELEASE_FILE_DELETED, id.uuid());
            let event = event.in_tenant(TenantId::PLATFORM).before(&release).after(&after);
            self.repositories.events().append(event).await?;
        }
        Ok((found.len() as u64) < BATCH)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::{
        release::{Release, ReleaseStatus},
        testing::{Repositories, env, release},
    };

    #[tokio::test]
    async fn only_what_was_withdrawn_long_ago_loses_its_bytes_and_once() {
        let env = env();
        let mut repositories = Repositories::seeded();
        let old =
            release(&env, "software_v1", "1.0.0").withdrawn("Loses settings", env.now() - Duration::DAY);
        let discarded = Release { released_at: None, ..release(&env, "software_v2", "2.0.0") }
            .withdrawn("Not needed", env.now() - Duration::DAY);
        let late = release(&env, "software_v3", "3.0.0").withdrawn("Loses settings", env.now());
        let offered =
            Release { updated_at: env.now() - Duration::DAY, ..release(&env, "software_v4", "4.0.0") };
        let empty = Release { file: None, ..old.clone() };
        let empty = Release { id: env.new_id(), ..empty };
        repositories.rows().releases = vec![old, discarded, late, offered, empty];
        for _ in 0..2 {
            let before = env.now() - Duration::HOUR;
            assert!(WithdrawnFiles::new(&mut repositories, &env).delete(before).await.unwrap());
        }
        let deleted: Vec<_> = repositories
            .rows()
            .releases
            .iter()
            .map(|release| release.file.as_ref().is_some_and(|file| file.deleted_at == Some(env.now())))
            .collect();
        assert_eq!(deleted, [true, true, false, false, false]);
        assert!(repositories.rows().releases.iter().take(2).all(|release| {
            release.status == ReleaseStatus::Withdrawn && release.file.as_ref().unwrap().size == 1000
        }));
        assert_eq!(repositories.events(), ["release.file_deleted", "release.file_deleted"]);
        assert_eq!(repositories.rows().jobs.len(), 2, "a job each deletes the bytes");
    }
}
