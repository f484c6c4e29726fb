//! Files of releases as a scanner for malware sees them. They are scanned by a job, from the store, before they may be published.

use portico_kernel::{
    Env, Event, JobType, ReleaseFileId, ReleaseId, RequestInfo, Scope, TenantId, malware::Verdict,
};
use serde::{Deserialize, Serialize};

use crate::{
    LicensingError, events,
    ports::LicensingRepositories,
    release::{Release, ReleaseFile},
    release_administration::purge,
};

/// What a scanner for malware says of the file of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ScanStatus {
    /// Nothing: the installation had no scanner when it was uploaded.
    NotScanned,
    /// Nothing yet.
    Scanning,
    /// It has found nothing.
    Clean,
    /// It has found something. The file is deleted.
    Infected,
    /// It did not answer the last time. It is asked again.
    Failed,
    /// It does not take files of this size.
    TooLargeToScan,
}

impl ScanStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::NotScanned, Self::Scanning, Self::Clean, Self::Infected, Self::Failed, Self::TooLargeToScan];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotScanned => "not_scanned",
            Self::Scanning => "scanning",
            Self::Clean => "clean",
            Self::Infected => "infected",
            Self::Failed => "failed",
            Self::TooLargeToScan => "too_large_to_scan",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the scanner is still to say something.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Scanning | Self::Failed)
    }

    /// Whether a file of which this is said may be offered. One that is too large for the scanner may where the operator says so.
    pub const fn may_be_offered(self, unscannable: bool) -> bool {
        match self {
            Self::NotScanned | Self::Clean => true,
            Self::TooLargeToScan => unscannable,
            Self::Scanning | Self::Infected | Self::Failed => false,
        }
    }
}

/// The job that has a file scanned, and asks again while the scanner does not answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanReleaseFile {
    /// The release.
    pub release_id: ReleaseId,
    /// The file.
    pub file_id: ReleaseFileId,
}

impl JobType for ScanReleaseFile {
    const KIND: &'static str = "release.scan";
    /// The scanner may be down for about a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// What the job does. It asks for no permission: staff have uploaded the file.
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
