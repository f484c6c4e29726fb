//! Files of releases as a scanner for malware sees them. They are scanned by a job, from the store, before they may be published.

use portico_kernel::{Env, Event, RequestInfo, Scope, TenantId, malware::Verdict};

use crate::{
    LicensingError, events,
    ports::LicensingRepositories,
    release::{Release, ReleaseFile},
    release_job::{ScanReleaseFile, purge},
    scan_status::ScanStatus,
};

/// What [`ScanReleaseFile`] does. It asks for no permission: staff have uploaded the file.
pub struct ReleaseScans<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    env: &'a Env,
}

impl<'a> ReleaseScans<'a> {
    /// Over repositories.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, env: &'a Env) -> Self {
        Self { repositories, env }
    }

    /// The file that is to be scanned; `None` where nothing is left to do: it was replaced, or the scanner has spoken.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn waiting(&mut self, scan: &ScanReleaseFile) -> Result<Option<ReleaseFile>, LicensingError> {
        let release = self.repositories.releases().find(scan.release_id).await?;
        Ok(release.as_ref().and_then(|release| open(release, scan)).cloned())
    }

    /// Notes the verdict on a file, or that there is none yet. An infected file is deleted.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note(
        &mut self,
        scan: &ScanReleaseFile,
        verdict: Option<Verdict>,
    ) -> Result<(), LicensingError> {
        let Some(before) = self.repositories.releases().lock(scan.release_id).await? else { return Ok(()) };
        // It may have been replaced, or scanned by another worker, since it was read.
        if open(&before, scan).is_none() {
            return Ok(());
        }
        let (status, signature) = match verdict {
            Some(Verdict::Clean) => (ScanStatus::Clean, None),
            Some(Verdict::Infected(signature)) => (ScanStatus::Infected, Some(signature)),
            Some(Verdict::TooLarge) => (ScanStatus::TooLargeToScan, None),
            None => (ScanStatus::Failed, None),
        };
        let now = self.env.now();
        let after = before.scanned(status, signature, now);
        if after == before {
            return Ok(());
        }
        self.repositories.releases().update(&after).await?;
        let scope = Scope::system(None, RequestInfo::default());
        let declared = match status {
            ScanStatus::Infected => &events::RELEASE_FILE_INFECTED,
            _ => &events::RELEASE_FILE_SCANNED,
        };
        if status == ScanStatus::Infected {
            purge(self.repositories, &scope, self.env, (scan.release_id, scan.file_id), now).await?;
        }
        let event = Event::new(self.env, &scope, declared, after.id.uuid()).in_tenant(TenantId::PLATFORM);
        self.repositories.events().append(event.before(&before).after(&after)).await?;
        Ok(())
    }
}

/// The file of a scan, if it is that of the release and the scanner is still to say something.
fn open<'r>(release: &'r Release, scan: &ScanReleaseFile) -> Option<&'r ReleaseFile> {
    release.file.as_ref().filter(|file| file.id == scan.file_id && file.scan.is_open())
}

#[cfg(test)]
mod tests;
