//! Releases as customers see and download them, and the log of that.

use portico_kernel::{
    Actor, DownloadId, Env, Event, LicenseId, List, PRODUCT_ID_MAX, PageRequest, Permission, ReleaseId,
    Scope, TenantId, Timestamp, UserId, Violations,
};
use serde::Serialize;
use serde_json::json;
use time::Duration;

use crate::{
    LicensingError,
    download_link::DownloadLink,
    events,
    license::{License, LicenseStatus},
    policy::Channel,
    ports::LicensingRepositories,
    release::{Release, ReleaseFile, ReleaseStatus},
    release_version::ReleaseVersion,
    unavailable::Unavailable,
};

/// A release as a customer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Download {
    /// Its readable id.
    #[cfg_attr(feature = "openapi", schema(example = "software_v2"))]
    pub id: String,
    /// Name.
    #[cfg_attr(feature = "openapi", schema(example = "Software 2.0 for Windows"))]
    pub name: String,
    /// Its version (Semantic Versioning 2.0.0).
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2.0.0"))]
    pub version: ReleaseVersion,
    /// For whom it is.
    pub channel: Channel,
    /// Id of the product.
    #[cfg_attr(feature = "openapi", schema(example = "base_product"))]
    pub product_type: String,
    /// What it runs on; absent for one that runs everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "windows-x64"))]
    pub platform: Option<String>,
    /// Bytes of its file.
    #[cfg_attr(feature = "openapi", schema(example = 73_400_320))]
    pub size: u64,
    /// SHA-256 of its file, hexadecimal.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    )]
    pub sha256: String,
    /// When it was published.
    pub released_at: Timestamp,
    /// What is new in it, as plain text.
    #[cfg_attr(feature = "openapi", schema(example = "Prints in colour."))]
    pub notes: String,
    /// Whether the customer can download it now.
    pub available: bool,
    /// Why not; absent where they can.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Unavailable))]
    pub reason: Option<Unavailable>,
}

/// A use of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadUse {
    /// UUIDv7.
    pub id: DownloadId,
    /// The tenant whose license it is.
    pub tenant_id: TenantId,
    /// The license.
    pub license_id: LicenseId,
    /// The release.
    pub release_id: ReleaseId,
    /// The person who got the link; `None` for an API key.
    pub user_id: Option<UserId>,
    /// Address of whoever used it.
    pub address: Option<String>,
    /// How many bytes were asked for. Less may have arrived.
    pub bytes: u64,
    /// When.
    pub downloaded_at: Timestamp,
}

/// A use of a link, as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DownloadRecord {
    /// UUIDv7.
    pub id: DownloadId,
    /// The customer.
    pub customer_id: TenantId,
    /// The license by which it was downloaded.
    pub license_id: LicenseId,
    /// The readable id of the release.
    #[cfg_attr(feature = "openapi", schema(example = "software_v2"))]
    pub download_id: String,
    /// Its version.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2.0.0"))]
    pub version: ReleaseVersion,
    /// The person who got the link; absent for an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = UserId))]
    pub user_id: Option<UserId>,
    /// Address of whoever used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "192.0.2.7"))]
    pub address: Option<String>,
    /// How many bytes were asked for: less than the file where a download was resumed. Less may have arrived.
    #[cfg_attr(feature = "openapi", schema(example = 73_400_320))]
    pub bytes: u64,
    /// When.
    pub downloaded_at: Timestamp,
}

/// Whether a license covers a release, whatever its status: the version, the channel, and the time at which it was published.
pub fn covers(license: &License, release: &Release) -> bool {
    let in_time = match (license.supported_until, release.released_at) {
        (Some(until), Some(released)) => released <= until,
        (None, _) => true,
        (Some(_), None) => false,
    };
    license.product_type == release.product_type
        && license.terms.covers(release.version.major(), release.channel)
        && in_time
}

/// The license by which a customer may download a release at `now`.
///
/// # Errors
/// Why there is none.
pub fn license_for<'l>(
    licenses: &'l [License],
    release: &Release,
    now: Timestamp,
) -> Result<&'l License, Unavailable> {
    if release.status == ReleaseStatus::Withdrawn {
        return Err(Unavailable::Withdrawn);
    }
    let of_product = || {
        let of = licenses.iter().filter(|license| license.product_type == release.product_type);
        of.map(|license| (license, license.clone().at(now).status))
    };
    let usable = of_product().filter(|(_, status)| *status == LicenseStatus::Active);
    if let Some((license, _)) = usable.into_iter().find(|(license, _)| covers(license, release)) {
        return Ok(license);
    }
    let has = |wanted: LicenseStatus| of_product().any(|(_, status)| status == wanted);
    Err(if has(LicenseStatus::Active) {
        Unavailable::NotCovered
    } else if has(LicenseStatus::Suspended) {
        Unavailable::LicenseSuspended
    } else if has(LicenseStatus::Expired) {
        Unavailable::LicenseExpired
    } else if has(LicenseStatus::Revoked) {
        Unavailable::LicenseRevoked
    } else {
        Unavailable::NoLicense
    })
}

/// Use cases of customers.
pub struct Downloads<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Downloads<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// What is or was published, the last first, with whether the active tenant can download it.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`; `Invalid`.
    pub async fn list(
        &mut self,
        product_type: Option<String>,
        page: PageRequest,
    ) -> Result<List<Download>, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        let mut violations = Violations::default();
        violations.optional_text("productType", product_type.as_deref(), PRODUCT_ID_MAX);
        violations.into_result().map_err(LicensingError::Invalid)?;
        let found = self.repositories.releases().offered(product_type, page).await?;
        let mut products: Vec<String> =
            found.items.iter().map(|release| release.product_type.clone()).collect();
        products.sort_unstable();
        products.dedup();
        let now = self.env.now();
        let licenses = self.repositories.licenses().representatives(tenant, &products, now).await?;
        let items = found.items.iter().filter_map(|release| shown(release, &licenses, now)).collect();
        Ok(List::new(items, page, found.total))
    }

    /// A release that is or was published.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`; `NoRelease`.
    pub async fn get(&mut self, slug: &str) -> Result<Download, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        let (release, _) = offered(self.repositories, slug).await?;
        let licenses = self.licenses(tenant, &release).await?;
        shown(&release, &licenses, self.env.now()).ok_or(LicensingError::NoRelease)
    }

    /// A link to the file of a release, which is good for so long, and only as long as the license is.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`; `NoRelease`; `ReleaseWithdrawn`; `LicenseRequired`.
    pub async fn link(&mut self, slug: &str, lifetime: Duration) -> Result<DownloadLink, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        let (release, file) = offered(self.repositories, slug).await?;
        let licenses = self.licenses(tenant, &release).await?;
        let now = self.env.now();
        let license = license_for(&licenses, &release, now).map_err(refused)?;
        let link = DownloadLink {
            slug: release.slug.clone(),
            file_name: file.name,
            license: license.id,
            user: match self.scope.actor() {
                Actor::User { id, .. } => Some(*id),
                Actor::ApiKey { .. } | Actor::Anonymous | Actor::System => None,
            },
            expires: whole_seconds(now + lifetime),
        };
        let noted = json!({
            "downloadId": link.slug, "version": release.version, "licenseId": link.license, "expiresAt": link.expires,
        });
        let event = Event::new(self.env, self.scope, &events::DOWNLOAD_LINKED, release.id.uuid());
        self.repositories.events().append(event.in_tenant(tenant).after(&noted)).await?;
        Ok(link)
    }

    /// The uses of links of a license, the last first.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`; `NoLicense`, also for one of another tenant.
    pub async fn of_license(
        &mut self,
        id: LicenseId,
        page: PageRequest,
    ) -> Result<List<DownloadRecord>, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        if self.repositories.licenses().find(tenant, id).await?.is_none() {
            return Err(LicensingError::NoLicense);
        }
        Ok(self.repositories.downloads().of_license(tenant, id, page).await?)
    }

    async fn licenses(
        &mut self,
        tenant: TenantId,
        release: &Release,
    ) -> Result<Vec<License>, LicensingError> {
        let products = [release.product_type.clone()];
        let now = self.env.now();
        Ok(self.repositories.licenses().representatives(tenant, &products, now).await?)
    }
}

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedFile {
    /// The release.
    pub release: ReleaseId,
    /// Its file.
    pub file: ReleaseFile,
    /// The tenant whose license it is.
    pub tenant: TenantId,
}

/// Use cases of whoever has a link, whose signature was verified.
pub struct LinkHolders<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> LinkHolders<'a> {
    /// Over repositories, for whoever asks.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// What the link leads to, as release and license are at this moment. Nothing of it is cached.
    ///
    /// # Errors
    /// `NoRelease`; `InvalidLink` for a file that it does not have; `ReleaseWithdrawn`; `LicenseRequired`.
    pub async fn follow(&mut self, link: &DownloadLink) -> Result<LinkedFile, LicensingError> {
        let (release, file) = offered(self.repositories, &link.slug).await?;
        if file.name != link.file_name {
            return Err(LicensingError::InvalidLink);
        }
        let no_license = || LicensingError::LicenseRequired(Unavailable::NoLicense);
        let tenant = self.repositories.licenses().tenant_of(link.license).await?.ok_or_else(no_license)?;
        let license = self.repositories.licenses().find(tenant, link.license).await?;
        let license = license.ok_or_else(no_license)?;
        license_for(&[license], &release, self.env.now()).map_err(refused)?;
        Ok(LinkedFile { release: release.id, file, tenant })
    }

    /// Notes that so many bytes were asked for.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note(
        &mut self,
        link: &DownloadLink,
        linked: &LinkedFile,
        bytes: u64,
    ) -> Result<(), LicensingError> {
        let used = DownloadUse {
            id: self.env.new_id(),
            tenant_id: linked.tenant,
            license_id: link.license,
            release_id: linked.release,
            user_id: link.user,
            address: self.scope.request.address.clone(),
            bytes,
            downloaded_at: self.env.now(),
        };
        Ok(self.repositories.downloads().insert(&used).await?)
    }
}

/// A release that is or was published, with its file.
async fn offered(
    repositories: &mut dyn LicensingRepositories,
    slug: &str,
) -> Result<(Release, ReleaseFile), LicensingError> {
    let release = repositories.releases().of_slug(slug).await?;
    let release = release.filter(|release| release.released_at.is_some()).ok_or(LicensingError::NoRelease)?;
    let file = release.file.clone().ok_or(LicensingError::NoRelease)?;
    Ok((release, file))
}

fn refused(reason: Unavailable) -> LicensingError {
    match reason {
        Unavailable::Withdrawn => LicensingError::ReleaseWithdrawn,
        other => LicensingError::LicenseRequired(other),
    }
}

/// Links name their end in seconds.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_unix_seconds(time.unix_seconds()).unwrap_or(time)
}

/// A release as a customer with these licenses sees it; `None` for a draft, which has no time of its publication.
fn shown(release: &Release, licenses: &[License], now: Timestamp) -> Option<Download> {
    let (file, released_at) = release.file.as_ref().zip(release.released_at)?;
    let reason = license_for(licenses, release, now).err();
    Some(Download {
        id: release.slug.clone(),
        name: release.name.clone(),
        version: release.version.clone(),
        channel: release.channel,
        product_type: release.product_type.clone(),
        platform: release.platform.clone(),
        size: file.size,
        sha256: file.sha256.clone(),
        released_at,
        notes: release.notes.clone(),
        available: reason.is_none(),
        reason,
    })
}

#[cfg(test)]
mod tests;
