//! Releases and the log of downloads, in memory.

use async_trait::async_trait;
use portico_kernel::{
    Env, LicenseId, List, PageRequest, ReleaseFileId, ReleaseId, StoreError, TenantId, Timestamp,
};

use super::Repositories;
use crate::{
    download::{DownloadRecord, DownloadUse},
    policy::Channel,
    ports::{DownloadRepository, ReleaseFilter, ReleaseRepository, ReleaseUploadRepository, UpdateFilter},
    release::{Release, ReleaseFile, ReleaseStatus},
    release_upload::ReleaseUpload,
    release_version::ReleaseVersion,
    scan_status::ScanStatus,
};

/// A file that is stored.
pub fn file(env: &Env) -> ReleaseFile {
    ReleaseFile {
        id: env.new_id(),
        name: "setup.exe".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        size: 1000,
        sha256: "ab".repeat(32),
        scan: ScanStatus::NotScanned,
        signature: None,
        deleted_at: None,
    }
}

/// A release of the base product that was published now.
pub fn release(env: &Env, slug: &str, version: &str) -> Release {
    Release {
        id: env.new_id(),
        slug: slug.to_owned(),
        product_type: "base_product".to_owned(),
        name: format!("Software {version}"),
        version: ReleaseVersion::parse(version).unwrap(),
        channel: Channel::Stable,
        platform: None,
        notes: String::new(),
        status: ReleaseStatus::Published,
        withdrawal_reason: None,
        released_at: Some(env.now()),
        file: Some(file(env)),
        created_at: env.now(),
        updated_at: env.now(),
    }
}

fn paged<T>(items: Vec<T>, page: PageRequest) -> List<T> {
    let total = items.len() as u64;
    List::new(items, page, total)
}

#[async_trait]
impl ReleaseRepository for Repositories {
    async fn insert(&mut self, release: &Release) -> Result<(), StoreError> {
        let mut rows = self.rows();
        if rows.releases.iter().any(|stored| stored.slug == release.slug) {
            return Err(StoreError::Conflict("releases_slug_key".to_owned()));
        }
        rows.releases.push(release.clone());
        Ok(())
    }

    async fn find(&mut self, id: ReleaseId) -> Result<Option<Release>, StoreError> {
        Ok(self.rows().releases.iter().find(|release| release.id == id).cloned())
    }

    async fn lock(&mut self, id: ReleaseId) -> Result<Option<Release>, StoreError> {
        ReleaseRepository::find(self, id).await
    }

    async fn of_slug<'s>(&mut self, slug: &'s str) -> Result<Option<Release>, StoreError> {
        Ok(self.rows().releases.iter().find(|release| release.slug == slug).cloned())
    }

    async fn list(&mut self, filter: &ReleaseFilter, page: PageRequest) -> Result<List<Release>, StoreError> {
        let wanted = |release: &&Release| filter.status.is_none_or(|status| status == release.status);
        Ok(paged(self.rows().releases.iter().filter(wanted).cloned().collect(), page))
    }

    async fn offered(
        &mut self,
        product_type: Option<String>,
        page: PageRequest,
    ) -> Result<List<Release>, StoreError> {
        let wanted = |release: &&Release| {
            release.released_at.is_some()
                && product_type.as_ref().is_none_or(|product| *product == release.product_type)
        };
        Ok(paged(self.rows().releases.iter().filter(wanted).cloned().collect(), page))
    }

    async fn newest(&mut self, filter: &UpdateFilter) -> Result<Option<Release>, StoreError> {
        let rows = self.rows();
        let wanted = rows.releases.iter().filter(|release| {
            release.status == ReleaseStatus::Published
                && release.product_type == filter.product_type
                && filter.channels.contains(&release.channel)
                && filter.above.as_ref().is_none_or(|above| release.version > *above)
                && (release.platform.is_none() || release.platform == filter.platform)
        });
        Ok(wanted.max_by_key(|release| release.version.order_key()).cloned())
    }

    async fn withdrawn(&mut self, before: Timestamp, limit: u64) -> Result<Vec<ReleaseId>, StoreError> {
        let rows = self.rows();
        let wanted = rows.releases.iter().filter(|release| {
            release.status == ReleaseStatus::Withdrawn
                && release.updated_at < before
                && release.file.as_ref().is_some_and(|file| file.deleted_at.is_none())
        });
        Ok(wanted.take(limit as usize).map(|release| release.id).collect())
    }

    async fn update(&mut self, release: &Release) -> Result<(), StoreError> {
        let mut rows = self.rows();
        *rows.releases.iter_mut().find(|stored| stored.id == release.id).unwrap() = release.clone();
        Ok(())
    }
}

#[async_trait]
impl ReleaseUploadRepository for Repositories {
    async fn insert(&mut self, upload: &ReleaseUpload) -> Result<(), StoreError> {
        self.rows().uploads.push(upload.clone());
        Ok(())
    }

    async fn find(
        &mut self,
        release: ReleaseId,
        id: ReleaseFileId,
    ) -> Result<Option<ReleaseUpload>, StoreError> {
        let rows = self.rows();
        Ok(rows.uploads.iter().find(|upload| (upload.release_id, upload.id) == (release, id)).cloned())
    }

    async fn delete(
        &mut self,
        release: ReleaseId,
        id: ReleaseFileId,
    ) -> Result<Option<ReleaseUpload>, StoreError> {
        let found = ReleaseUploadRepository::find(self, release, id).await?;
        self.rows().uploads.retain(|upload| (upload.release_id, upload.id) != (release, id));
        Ok(found)
    }
}

#[async_trait]
impl DownloadRepository for Repositories {
    async fn insert(&mut self, used: &DownloadUse) -> Result<(), StoreError> {
        self.rows().downloads.push(used.clone());
        Ok(())
    }

    async fn of_license(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        page: PageRequest,
    ) -> Result<List<DownloadRecord>, StoreError> {
        Ok(self.records(|used| (used.tenant_id, used.license_id) == (tenant, license), page))
    }

    async fn of_release(
        &mut self,
        _: bool,
        release: ReleaseId,
        page: PageRequest,
    ) -> Result<List<DownloadRecord>, StoreError> {
        Ok(self.records(|used| used.release_id == release, page))
    }

    async fn forget(&mut self, before: Timestamp, _: u64) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let all = rows.downloads.len();
        rows.downloads.retain(|used| used.downloaded_at >= before);
        Ok((all - rows.downloads.len()) as u64)
    }
}

impl Repositories {
    fn records(&self, wanted: impl Fn(&DownloadUse) -> bool, page: PageRequest) -> List<DownloadRecord> {
        let rows = self.rows();
        let found = rows.downloads.iter().filter(|used| wanted(used)).map(|used| {
            let release = rows.releases.iter().find(|release| release.id == used.release_id).unwrap();
            DownloadRecord {
                id: used.id,
                customer_id: used.tenant_id,
                license_id: used.license_id,
                download_id: release.slug.clone(),
                version: release.version.clone(),
                user_id: used.user_id,
                address: used.address.clone(),
                bytes: used.bytes,
                downloaded_at: used.downloaded_at,
            }
        });
        paged(found.collect(), page)
    }
}
