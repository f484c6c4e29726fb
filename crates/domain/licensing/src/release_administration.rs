//! Releases as staff make, publish and withdraw them.

use portico_kernel::{
    Env, Event, EventDeclaration, FieldError, List, NewJob, PRODUCT_ID_MAX, PageRequest, Permission,
    ReleaseFileId, ReleaseId, Scope, StoreError, TenantId, Violations,
};
use time::Duration;

use crate::{
    LicensingError,
    download::DownloadRecord,
    events,
    ports::{LicensingRepositories, ReleaseFilter},
    release::{AnnouncedFile, NewRelease, Release, ReleaseFile, ReleaseUpdate, Withdrawal},
    release_job::{ScanReleaseFile, purge},
    scan_status::ScanStatus,
};

/// How long an upload may take. What belongs to no release an hour later is deleted.
pub const UPLOAD_TIME: Duration = Duration::DAY;

/// Use cases of staff.
pub struct Releases<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Releases<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// All releases, the one made last first.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `Invalid`.
    pub async fn list(
        &mut self,
        filter: ReleaseFilter,
        page: PageRequest,
    ) -> Result<List<Release>, LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        let mut violations = Violations::default();
        violations.optional_text("productType", filter.product_type.as_deref(), PRODUCT_ID_MAX);
        violations.into_result().map_err(LicensingError::Invalid)?;
        Ok(self.repositories.releases().list(&filter, page).await?)
    }

    /// A release.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoRelease`.
    pub async fn get(&mut self, id: ReleaseId) -> Result<Release, LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        self.repositories.releases().find(id).await?.ok_or(LicensingError::NoRelease)
    }

    /// Makes a draft.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `Invalid`, also for a product without a policy; `SlugTaken`.
    pub async fn create(&mut self, input: &NewRelease) -> Result<Release, LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        let release = input.draft(self.env.new_id(), self.env.now())?;
        if self.repositories.license_policies().find(&release.product_type).await?.is_none() {
            let message = "There are no licenses of such a product.";
            let error = FieldError::new("productType", "unknown_product", message);
            return Err(LicensingError::Invalid(vec![error]));
        }
        match self.repositories.releases().insert(&release).await {
            Err(StoreError::Conflict(_)) => return Err(LicensingError::SlugTaken),
            stored => stored?,
        }
        let event = self.event(&events::RELEASE_CREATED, release.id).after(&release);
        self.repositories.events().append(event).await?;
        Ok(release)
    }

    /// Changes name and notes, whatever the status.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoRelease`; `Invalid`.
    pub async fn update(&mut self, id: ReleaseId, input: &ReleaseUpdate) -> Result<Release, LicensingError> {
        let before = self.locked(id).await?;
        let after = input.applied(&before, self.env.now())?;
        self.store(&events::RELEASE_UPDATED, &before, after).await
    }

    /// The file that is about to be uploaded: what was announced, checked, and its id. Unless it comes to be that of the release, it is
    /// deleted [later](UPLOAD_TIME).
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoRelease`; `Invalid`; `ReleaseStatus` for what is no draft.
    pub async fn begin_file(
        &mut self,
        id: ReleaseId,
        announced: &AnnouncedFile,
    ) -> Result<(ReleaseFileId, AnnouncedFile), LicensingError> {
        self.get(id).await?.require_draft()?;
        let announced = announced.checked()?;
        let file = self.env.new_id();
        let at = self.env.now() + UPLOAD_TIME + Duration::HOUR;
        purge(self.repositories, self.scope, self.env, (id, file), at).await?;
        Ok((file, announced))
    }

    /// Gives a draft its file, which is stored. One that it had before is deleted. One that is to be scanned is, by a job. The file that it
    /// has already stays as it is.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoRelease`; `ReleaseStatus` for what is no draft.
    pub async fn store_file(&mut self, id: ReleaseId, file: ReleaseFile) -> Result<Release, LicensingError> {
        let before = self.locked(id).await?;
        if before.file.as_ref().is_some_and(|stored| stored.id == file.id) {
            return Ok(before);
        }
        let (file_id, is_scanned) = (file.id, file.scan == ScanStatus::Scanning);
        let after = before.with_file(file, self.env.now())?;
        if let Some(replaced) = &before.file {
            let replaced = (id, replaced.id);
            purge(self.repositories, self.scope, self.env, replaced, self.env.now()).await?;
        }
        if is_scanned {
            let scan = ScanReleaseFile { release_id: id, file_id };
            let job = NewJob::new(self.env, self.scope, TenantId::PLATFORM, &scan);
            self.repositories.jobs().enqueue(job).await?;
        }
        self.store(&events::RELEASE_FILE_STORED, &before, after).await
    }

    /// Offers a release. One that is offered stays as it is. `unscannable` says whether its file may be too large for the scanner.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoRelease`; `ReleaseStatus` for one that was withdrawn; `NoReleaseFile`; `ReleaseScan`.
    pub async fn publish(&mut self, id: ReleaseId, unscannable: bool) -> Result<Release, LicensingError> {
        let before = self.locked(id).await?;
        let after = before.published(unscannable, self.env.now())?;
        self.store(&events::RELEASE_PUBLISHED, &before, after).await
    }

    /// Offers a release no more, or discards a draft. One that was withdrawn stays as it is.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `Invalid`; `NoRelease`.
    pub async fn withdraw(&mut self, id: ReleaseId, why: &Withdrawal) -> Result<Release, LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        let reason = why.checked()?;
        let before = self.locked(id).await?;
        let after = before.withdrawn(reason, self.env.now());
        self.store(&events::RELEASE_WITHDRAWN, &before, after).await
    }

    /// Which customers have downloaded a release, the last first. Tenants of the operator's own people are none, except to super admins.
    ///
    /// # Errors
    /// `Denied` without `platform:releases`; `NoRelease`.
    pub async fn downloads(
        &mut self,
        id: ReleaseId,
        page: PageRequest,
    ) -> Result<List<DownloadRecord>, LicensingError> {
        self.get(id).await?;
        let all = self.scope.crosses_tenants();
        Ok(self.repositories.downloads().of_release(all, id, page).await?)
    }

    async fn locked(&mut self, id: ReleaseId) -> Result<Release, LicensingError> {
        self.scope.require_platform(Permission::PlatformReleases)?;
        self.repositories.releases().lock(id).await?.ok_or(LicensingError::NoRelease)
    }

    /// Stores a release that has changed, with its event. Where nothing changed, nothing is stored.
    async fn store(
        &mut self,
        declared: &'static EventDeclaration,
        before: &Release,
        after: Release,
    ) -> Result<Release, LicensingError> {
        if after != *before {
            self.repositories.releases().update(&after).await?;
            let event = self.event(declared, after.id).before(before).after(&after);
            self.repositories.events().append(event).await?;
        }
        Ok(after)
    }

    fn event(&self, declared: &'static EventDeclaration, id: ReleaseId) -> Event {
        Event::new(self.env, self.scope, declared, id.uuid()).in_tenant(TenantId::PLATFORM)
    }
}

#[cfg(test)]
mod tests;
