//! The use cases of files.

use portico_kernel::{
    AssetId, Env, Event, EventDeclaration, JobType, List, Meter, NewJob, PageId, PageRequest, Permission,
    Scope, TenantId, Timestamp, Violations, patch::double_option,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use super::{Asset, AssetKind, AssetType, Variant, check_pictures, filename};
use crate::{SitesError, events, ports::SiteRepositories, site, version};

/// The job that deletes the files of assets that are gone, or never came to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeAssets {
    /// The assets.
    pub asset_ids: Vec<AssetId>,
}

impl JobType for PurgeAssets {
    const KIND: &'static str = "asset.purge";
    /// The file store may be down for about a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// How long an upload may take from its first stored file to its row. What has no row by then is deleted.
const UPLOAD_TIME: Duration = Duration::HOUR;

/// The most characters of a description.
const MAX_ALT: usize = 300;

/// Which files to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetFilter {
    /// Part of the name or the description, ignoring case.
    pub q: Option<String>,
    /// What sort of file.
    pub kind: Option<AssetKind>,
}

/// A file that was checked and is in the file store already.
#[derive(Clone, Debug)]
pub struct NewAsset {
    /// As [`Assets::announce`] gave it.
    pub id: AssetId,
    /// Name as it was sent.
    pub filename: String,
    /// What it is, by its content.
    pub content_type: AssetType,
    /// Bytes as stored.
    pub size: u64,
    /// Width and height of a picture.
    pub pixels: Option<(u32, u32)>,
    /// SHA-256 as stored, hexadecimal.
    pub hash: String,
    /// Smaller copies of a picture, narrowest first.
    pub variants: Vec<Variant>,
}

/// What to change about a file. Absent fields stay as they are; `null` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssetUpdate {
    /// Name without a path, at most 150 characters. Ends as files of its format do.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 150))]
    pub filename: Option<String>,
    /// What a picture shows, for those who do not see it; at most 300 characters.
    #[serde(default, deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 300))]
    pub alt_text: Option<Option<String>>,
}

/// The use cases of files, inside one unit of work. The caller stores the bytes: see `flows/assets.rs` of the feature.
pub struct Assets<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Assets<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Ids for files that are about to be stored. Commit before storing the first byte: whatever happens after that, a job
    /// deletes the files of those that did not become assets within an hour.
    pub async fn announce(&mut self, count: usize) -> Result<Vec<AssetId>, SitesError> {
        let tenant = self.scope.require(Permission::AssetsWrite)?;
        let ids: Vec<AssetId> = (0..count).map(|_| self.env.new_id()).collect();
        self.purge_later(tenant, &ids, self.env.now() + UPLOAD_TIME).await?;
        Ok(ids)
    }

    /// Makes assets of files that are stored, whose bytes count against the tenant's plan. The copies in smaller sizes do not.
    ///
    /// # Errors
    /// `Entitlement`.
    pub async fn create(&mut self, files: Vec<NewAsset>) -> Result<Vec<Asset>, SitesError> {
        let tenant = self.scope.require(Permission::AssetsWrite)?;
        let now = self.env.now();
        let assets: Vec<Asset> = files
            .into_iter()
            .map(|file| Asset {
                id: file.id,
                tenant,
                filename: filename::clean(&file.filename, file.content_type),
                content_type: file.content_type,
                size: file.size,
                width: file.pixels.map(|(width, _)| width),
                height: file.pixels.map(|(_, height)| height),
                hash: file.hash,
                variants: file.variants,
                alt_text: None,
                purge_at: None,
                held: false,
                created_at: now,
                updated_at: now,
                version: 1,
            })
            .collect();
        self.repositories.assets().insert(&assets).await?;
        for asset in &assets {
            self.append(self.event(&events::ASSET_CREATED, asset.id).after(asset)).await?;
        }
        // Last: the counter stays locked for the tenant until the unit of work ends.
        let size = assets.iter().map(|asset| asset.size).sum();
        self.repositories.entitlements().take(tenant, Meter::Storage, size).await?;
        Ok(assets)
    }

    /// The file.
    ///
    /// # Errors
    /// `NotFound`, also when it is deleted.
    pub async fn get(&mut self, id: AssetId) -> Result<Asset, SitesError> {
        let tenant = self.scope.require(Permission::AssetsRead)?;
        self.find(tenant, id).await
    }

    /// The tenant's files, newest first.
    pub async fn list(&mut self, filter: AssetFilter, page: PageRequest) -> Result<List<Asset>, SitesError> {
        let tenant = self.scope.require(Permission::AssetsRead)?;
        Ok(self.repositories.assets().list(tenant, filter, page).await?)
    }

    /// Changes name or description. `expected` is the version that the client saw, if it says.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `PreconditionFailed`; `SiteForSale`, `SiteSold`, `SiteSuspended` or `OverLimit` when a page of such a site
    /// shows it.
    pub async fn update(
        &mut self,
        id: AssetId,
        input: AssetUpdate,
        expected: Option<i64>,
    ) -> Result<Asset, SitesError> {
        let tenant = self.scope.require(Permission::AssetsWrite)?;
        let before = self.find(tenant, id).await?;
        version::check(before.version, expected)?;
        let pages = self.repositories.assets().used_by(tenant, id).await?;
        site::editable_pages(self.repositories, self.scope, tenant, &pages).await?;
        let mut after = before.clone();
        let mut violations = Violations::default();
        if let Some(name) = input.filename {
            let name = name.trim();
            violations.text("filename", name, 1, filename::MAX_FILENAME);
            let ending = before.content_type.extensions()[0];
            violations.check(
                !violations.is_empty() || filename::clean(name, before.content_type) == name,
                "filename",
                "invalid_filename",
                format!(
                    "Use a name without slashes, quotes and invisible characters that ends in .{ending}."
                ),
            );
            after.filename = name.to_owned();
        }
        if let Some(text) = input.alt_text {
            violations.optional_text("altText", text.as_deref(), MAX_ALT);
            after.alt_text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        }
        violations.into_result().map_err(SitesError::Invalid)?;
        after.updated_at = self.env.now();
        let after = self.store(after, expected).await?;
        self.append(self.event(&events::ASSET_UPDATED, id).before(&before).after(&after)).await?;
        Ok(after)
    }

    /// Deletes a file: it is in no list any more, and a job deletes its bytes after `grace`, but they count no
    /// more. `is_branding` says whether the branding shows it; `force` deletes it although it is in use,
    /// and pages show nothing in its place from their next deployment on. Answers the file as it was.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`; `AssetInUse` unless `force`; `SiteForSale`, `SiteSold`, `SiteSuspended` or `OverLimit` when a
    /// page of such a site shows it.
    pub async fn delete(
        &mut self,
        id: AssetId,
        expected: Option<i64>,
        grace: Duration,
        is_branding: bool,
        force: bool,
    ) -> Result<Asset, SitesError> {
        let tenant = self.scope.require(Permission::AssetsWrite)?;
        let before = self.find(tenant, id).await?;
        version::check(before.version, expected)?;
        let pages: Vec<PageId> = self.repositories.assets().used_by(tenant, id).await?;
        site::editable_pages(self.repositories, self.scope, tenant, &pages).await?;
        if !force && (is_branding || !pages.is_empty()) {
            return Err(SitesError::AssetInUse { pages, branding: is_branding });
        }
        let purge_at = self.env.now() + grace.max(Duration::ZERO);
        self.store(Asset { purge_at: Some(purge_at), ..before.clone() }, expected).await?;
        self.append(self.event(&events::ASSET_DELETED, id).before(&before)).await?;
        self.purge_later(tenant, &[id], purge_at).await?;
        self.repositories.entitlements().release(tenant, Meter::Storage, before.size).await?;
        Ok(before)
    }

    /// Deletes a file for good in which malware was found, whatever shows it, and also where it is deleted but could be restored. Pages
    /// show nothing in its place from their next deployment on. One that is gone stays so.
    ///
    /// # Errors
    /// Those of the store; `Stale` where it is changed at the same moment.
    pub async fn discard(&mut self, id: AssetId) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::AssetsWrite)?;
        let now = self.env.now();
        let found = self.repositories.assets().find(tenant, id).await?;
        if let Some(before) = found {
            self.store(Asset { purge_at: Some(now), ..before.clone() }, None).await?;
            self.append(self.event(&events::ASSET_DELETED, id).before(&before)).await?;
            self.purge_later(tenant, &[id], now).await?;
            self.repositories.entitlements().release(tenant, Meter::Storage, before.size).await?;
            return Ok(());
        }
        let deleted = self.repositories.assets().deleted(tenant, id).await?;
        if let Some(deleted) = deleted {
            self.store(Asset { purge_at: Some(now), ..deleted }, None).await?;
            self.purge_later(tenant, &[id], now).await?;
        }
        Ok(())
    }

    /// Brings a deleted file back, if there is room for it.
    ///
    /// # Errors
    /// `NotFound` when there is none, or its grace period is over; `AssetNotDeleted`; `SiteForSale`, `SiteSold`,
    /// `SiteSuspended` or `OverLimit` when a page of such a site would show it again.
    pub async fn restore(&mut self, id: AssetId) -> Result<Asset, SitesError> {
        let tenant = self.scope.require(Permission::AssetsWrite)?;
        let found = self.repositories.assets().deleted(tenant, id).await?;
        // One whose grace period is over may be purged any moment.
        let found = found.filter(|asset| asset.purge_at.is_some_and(|at| at > self.env.now()));
        let Some(found) = found else {
            self.find(tenant, id).await?;
            return Err(SitesError::AssetNotDeleted);
        };
        let pages = self.repositories.assets().used_by(tenant, id).await?;
        site::editable_pages(self.repositories, self.scope, tenant, &pages).await?;
        let after = self.store(Asset { purge_at: None, ..found }, None).await?;
        self.append(self.event(&events::ASSET_RESTORED, id).after(&after)).await?;
        self.repositories.entitlements().take(tenant, Meter::Storage, after.size).await?;
        Ok(after)
    }

    /// Checks that these are pictures of the tenant; records each that is not, with its field. For references from outside of
    /// this domain.
    pub async fn check_pictures(
        &mut self,
        references: &[(String, AssetId)],
        violations: &mut Violations,
    ) -> Result<(), SitesError> {
        let Some(tenant) = self.scope.active_tenant() else { return Ok(()) };
        check_pictures(self.repositories, tenant, references, violations).await
    }

    /// For the job: whether the files of the asset may be deleted, because it was never made, is gone, or is purged now.
    pub async fn purge(&mut self, id: AssetId) -> Result<bool, SitesError> {
        let tenant = self.scope.require(Permission::AssetsWrite)?;
        Ok(self.repositories.assets().purge(tenant, id, self.env.now()).await?)
    }

    async fn find(&mut self, tenant: TenantId, id: AssetId) -> Result<Asset, SitesError> {
        self.repositories.assets().find(tenant, id).await?.ok_or(SitesError::NotFound("asset"))
    }

    async fn store(&mut self, mut asset: Asset, expected: Option<i64>) -> Result<Asset, SitesError> {
        let stored = self.repositories.assets().update(&asset).await;
        stored.map_err(|error| version::refused(error, expected))?;
        asset.version += 1;
        Ok(asset)
    }

    async fn purge_later(
        &mut self,
        tenant: TenantId,
        ids: &[AssetId],
        at: Timestamp,
    ) -> Result<(), SitesError> {
        let job = PurgeAssets { asset_ids: ids.to_vec() };
        let job = NewJob::new(self.env, self.scope, tenant, &job).at(at);
        Ok(self.repositories.jobs().enqueue(job).await?)
    }

    fn event(&self, kind: &'static EventDeclaration, id: AssetId) -> Event {
        Event::new(self.env, self.scope, kind, id.uuid())
    }

    async fn append(&mut self, event: Event) -> Result<(), SitesError> {
        Ok(self.repositories.events().append(event).await?)
    }
}
