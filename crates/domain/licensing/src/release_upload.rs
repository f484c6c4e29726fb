//! Uploads of files of releases in parts, which can be resumed: each part is stored by itself, by any instance, in any order, as often as it
//! comes. The file is put together from them, and counts once it has the size and the SHA-256 that were announced.

use std::collections::BTreeSet;

use portico_kernel::{
    Env, Event, EventDeclaration, Permission, ReleaseFileId, ReleaseId, Scope, TenantId, Timestamp,
    Violations,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    LicensingError, events,
    ports::LicensingRepositories,
    release::{AnnouncedFile, Release, ReleaseFile},
    release_administration::{Releases, UPLOAD_TIME},
    release_job::purge,
    scan_status::ScanStatus,
};

/// Bytes of each part but the last one.
pub const PART_SIZE: u64 = 16 << 20;

/// Most missing parts that are named.
const NAMED: usize = 100;

/// An upload that has begun. Its id is that of the file to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseUpload {
    /// UUIDv7.
    pub id: ReleaseFileId,
    /// The release.
    pub release_id: ReleaseId,
    /// Under which name the file is to be saved.
    #[cfg_attr(feature = "openapi", schema(example = "software-2.0.0-setup.exe"))]
    pub file_name: String,
    /// Its media type.
    #[cfg_attr(feature = "openapi", schema(example = "application/octet-stream"))]
    pub content_type: String,
    /// Bytes of the file.
    #[cfg_attr(feature = "openapi", schema(example = 73_400_320))]
    pub size: u64,
    /// SHA-256 that it must have, hexadecimal.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    )]
    pub sha256: String,
    /// Bytes of each part but the last one, which has the rest.
    #[cfg_attr(feature = "openapi", schema(example = 16_777_216))]
    pub part_size: u64,
    /// When it began.
    pub created_at: Timestamp,
    /// Until when it can be completed. What came is deleted afterwards.
    pub expires_at: Timestamp,
}

impl ReleaseUpload {
    /// How many parts the file has.
    pub fn part_count(&self) -> u64 {
        self.size.div_ceil(self.part_size.max(1))
    }

    /// The bytes that a part must have; `None` for one that the file does not have. The first part is 1.
    pub fn size_of(&self, part: u64) -> Option<u64> {
        if !(1..=self.part_count()).contains(&part) {
            return None;
        }
        Some(self.part_size.min(self.size - (part - 1) * self.part_size))
    }

    /// Fails while a part is missing; `stored` has the numbers of those that are there.
    ///
    /// # Errors
    /// `UploadIncomplete`.
    pub fn require_parts(&self, stored: &BTreeSet<u64>) -> Result<(), LicensingError> {
        let missing = (1..=self.part_count()).filter(|part| !stored.contains(part));
        match missing.take(NAMED).collect::<Vec<_>>() {
            none if none.is_empty() => Ok(()),
            missing => Err(LicensingError::UploadIncomplete { missing }),
        }
    }

    /// The file that comes of it.
    pub fn file(&self, scan: ScanStatus) -> ReleaseFile {
        ReleaseFile {
            id: self.id,
            name: self.file_name.clone(),
            content_type: self.content_type.clone(),
            size: self.size,
            sha256: self.sha256.clone(),
            scan,
            signature: None,
            deleted_at: None,
        }
    }
}

/// An upload to begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "fileName": "software-2.0.0-setup.exe", "contentType": "application/octet-stream", "size": 73_400_320,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
})))]
pub struct NewUpload {
    /// Under which name the file is to be saved: 1 to 200 letters (A to Z), digits, `.`, `_` and `-`, with no dot first.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub file_name: String,
    /// Its media type; `application/octet-stream` where absent.
    #[cfg_attr(feature = "openapi", schema(max_length = 100))]
    pub content_type: Option<String>,
    /// Bytes of the file, 1 to `downloads.max_file_bytes`.
    #[cfg_attr(feature = "openapi", schema(required = true, minimum = 1))]
    pub size: u64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 64, max_length = 64))]
    pub sha256: String,
}

/// Use cases of staff.
pub struct ReleaseUploads<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> ReleaseUploads<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Begins an upload of a file that has `most` bytes at most. What came of it is deleted [later](UPLOAD_TIME), unless it was completed.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoRelease`; `Invalid`; `ReleaseStatus` for what is no draft.
    pub async fn begin(
        &mut self,
        release: ReleaseId,
        input: &NewUpload,
        most: u64,
    ) -> Result<ReleaseUpload, LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        let mut violations = Violations::default();
        let message = format!("A file has 1 to {most} bytes.");
        violations.check((1..=most).contains(&input.size), "size", "invalid_size", message);
        let announced = AnnouncedFile {
            name: input.file_name.clone(),
            content_type: input.content_type.clone().unwrap_or_default(),
            sha256: input.sha256.clone(),
        };
        let announced = match announced.checked() {
            Err(LicensingError::Invalid(errors)) => {
                violations.extend(errors);
                None
            }
            checked => Some(checked?),
        };
        violations.into_result().map_err(LicensingError::Invalid)?;
        // Without an error there is one.
        let announced = announced.ok_or(LicensingError::NoUpload)?;
        let mut releases = Releases::new(&mut *self.repositories, self.scope, self.env);
        let (id, announced) = releases.begin_file(release, &announced).await?;
        let AnnouncedFile { name, content_type, sha256 } = announced;
        let now = self.env.now();
        let upload = ReleaseUpload {
            id,
            release_id: release,
            file_name: name,
            content_type,
            size: input.size,
            sha256,
            part_size: PART_SIZE,
            created_at: now,
            expires_at: now + UPLOAD_TIME,
        };
        self.repositories.release_uploads().insert(&upload).await?;
        let event = self.event(&events::RELEASE_UPLOAD_BEGUN, release).after(&upload);
        self.repositories.events().append(event).await?;
        Ok(upload)
    }

    /// An upload that can be gone on with.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoUpload`, also for one whose time is over; `ReleaseStatus` for what is no draft any more.
    pub async fn get(
        &mut self,
        release: ReleaseId,
        id: ReleaseFileId,
    ) -> Result<ReleaseUpload, LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        let upload = self.repositories.release_uploads().find(release, id).await?;
        let now = self.env.now();
        let upload = upload.filter(|upload| upload.expires_at > now).ok_or(LicensingError::NoUpload)?;
        let draft = self.repositories.releases().find(release).await?.ok_or(LicensingError::NoRelease)?;
        draft.require_draft()?;
        Ok(upload)
    }

    /// Gives an upload up. What came of it is deleted.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoUpload`.
    pub async fn abort(&mut self, release: ReleaseId, id: ReleaseFileId) -> Result<(), LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        let Some(upload) = self.repositories.release_uploads().delete(release, id).await? else {
            return Err(LicensingError::NoUpload);
        };
        purge(self.repositories, self.scope, self.env, (release, id), self.env.now()).await?;
        let event = self.event(&events::RELEASE_UPLOAD_ABORTED, release).before(&upload);
        self.repositories.events().append(event).await?;
        Ok(())
    }

    /// Ends an upload whose file is stored whole: its release gets it, see [`Releases::store_file`]. The parts are deleted. One that has ended
    /// so stays as it is.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoUpload` for one that was given up meanwhile; `NoRelease`; `ReleaseStatus`.
    pub async fn complete(
        &mut self,
        upload: &ReleaseUpload,
        scan: ScanStatus,
    ) -> Result<Release, LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        let (release, id) = (upload.release_id, upload.id);
        if self.repositories.release_uploads().delete(release, id).await?.is_none() {
            return self.completed(release, id).await?.ok_or(LicensingError::NoUpload);
        }
        let mut releases = Releases::new(&mut *self.repositories, self.scope, self.env);
        let stored = releases.store_file(release, upload.file(scan)).await?;
        // A part that is on its way may be stored a moment later: the job that was enqueued at the beginning deletes it.
        let at = self.env.now() + Duration::SECOND;
        purge(self.repositories, self.scope, self.env, (release, id), at).await?;
        Ok(stored)
    }

    /// The release that has the file of an upload; `None` while it has not.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoRelease`.
    pub async fn completed(
        &mut self,
        release: ReleaseId,
        id: ReleaseFileId,
    ) -> Result<Option<Release>, LicensingError> {
        let release = Releases::new(&mut *self.repositories, self.scope, self.env).get(release).await?;
        let is_completed = release.file.as_ref().is_some_and(|file| file.id == id);
        Ok(is_completed.then_some(release))
    }

    fn event(&self, declared: &'static EventDeclaration, id: ReleaseId) -> Event {
        Event::new(self.env, self.scope, declared, id.uuid()).in_tenant(TenantId::PLATFORM)
    }
}

#[cfg(test)]
mod tests;
