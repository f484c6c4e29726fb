//! Jobs about files of releases.

use portico_kernel::{Env, JobType, NewJob, ReleaseFileId, ReleaseId, Scope, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{LicensingError, ports::LicensingRepositories};

/// The job that deletes a file which its release does not have, or not any more: it was replaced, is infected, never came to be, or the
/// release was withdrawn long ago. Of a file that the release has, it deletes the parts in which it was uploaded.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeReleaseFile {
    /// The release.
    pub release_id: ReleaseId,
    /// The file.
    pub file_id: ReleaseFileId,
}

impl JobType for PurgeReleaseFile {
    const KIND: &'static str = "release.purge";
    /// The file store may be down for about a day.
    const MAX_ATTEMPTS: u32 = 36;
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

/// Has a file deleted at a time, unless its release has it then.
pub(crate) async fn purge(
    repositories: &mut dyn LicensingRepositories,
    scope: &Scope,
    env: &Env,
    (release_id, file_id): (ReleaseId, ReleaseFileId),
    at: Timestamp,
) -> Result<(), LicensingError> {
    let job = PurgeReleaseFile { release_id, file_id };
    let job = NewJob::new(env, scope, TenantId::PLATFORM, &job).at(at);
    Ok(repositories.jobs().enqueue(job).await?)
}
