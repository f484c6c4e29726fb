//! Manifests of updates: which release a program should be replaced by, signed with the key of license files.

use portico_kernel::{Env, PRODUCT_ID_MAX, Timestamp, Violations};
use serde::Serialize;
use time::Duration;

use crate::{
    LicensingError,
    envelope::Envelope,
    policy::Channel,
    ports::{LicenseSigner, LicensingRepositories, UpdateFilter},
    release::{Release, ReleaseFile, check_platform, check_version},
    release_version::ReleaseVersion,
};

/// What is signed begins with this, so that no other signature by the key can be taken for one of a manifest.
const SIGNED: &str = "update/";

/// Version of the content.
const VERSION: u32 = 1;

/// For how long a manifest is good: whoever sends an old one offers what was withdrawn or replaced since for so long at most.
const LIFETIME: Duration = Duration::DAY;

/// What a program asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateQuery {
    /// Id of the product.
    pub product_type: String,
    /// The version that it has; none for whatever is the newest.
    pub version: Option<String>,
    /// What it runs on.
    pub platform: Option<String>,
    /// From where it takes releases: `beta` includes `stable`, which is the default.
    pub channel: Option<Channel>,
}

/// What is signed. Members in alphabetical order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    /// Until when it is good, in seconds since 1970.
    exp: i64,
    issued: Timestamp,
    kid: &'a str,
    product_type: &'a str,
    release: ContentRelease<'a>,
    version: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentRelease<'a> {
    channel: Channel,
    file_name: &'a str,
    id: &'a str,
    name: &'a str,
    notes: &'a str,
    platform: Option<&'a str>,
    released_at: Option<Timestamp>,
    sha256: &'a str,
    size: u64,
    version: &'a ReleaseVersion,
}

/// Use cases of programs.
pub struct Updates<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    env: &'a Env,
}

impl<'a> Updates<'a> {
    /// Over repositories. Anyone may ask: what is published is no secret, and its file needs a license.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, env: &'a Env) -> Self {
        Self { repositories, env }
    }

    /// The manifest of the newest release; `None` for a program that has it.
    ///
    /// # Errors
    /// `Invalid`; `NoPolicy` for what is no product; `FilesUnavailable` without a key to sign with.
    pub async fn newest(
        &mut self,
        query: UpdateQuery,
        signer: Option<&dyn LicenseSigner>,
    ) -> Result<Option<Envelope>, LicensingError> {
        let UpdateQuery { product_type, version, platform, channel } = query;
        let mut violations = Violations::default();
        let above = version.as_deref().map(ReleaseVersion::parse);
        check_version("version", above != Some(None), &mut violations);
        check_platform(platform.as_deref(), &mut violations);
        violations.into_result().map_err(LicensingError::Invalid)?;
        let is_product = product_type.len() <= PRODUCT_ID_MAX
            && self.repositories.license_policies().find(&product_type).await?.is_some();
        if !is_product {
            return Err(LicensingError::NoPolicy);
        }
        let signer = signer.ok_or(LicensingError::FilesUnavailable)?;
        let channels = match channel {
            Some(Channel::Beta) => Channel::ALL.to_vec(),
            Some(Channel::Stable) | None => vec![Channel::Stable],
        };
        let filter = UpdateFilter { product_type, above: above.flatten(), platform, channels };
        let found = self.repositories.releases().newest(&filter).await?;
        Ok(found.and_then(|release| Some(manifest(signer, &release, release.file.as_ref()?, self.env.now()))))
    }
}

/// The manifest of a release with this file, which is good for a day.
pub fn manifest(
    signer: &dyn LicenseSigner,
    release: &Release,
    file: &ReleaseFile,
    now: Timestamp,
) -> Envelope {
    let content = Content {
        exp: (now + LIFETIME).unix_seconds(),
        issued: now,
        kid: &signer.current_id(),
        product_type: &release.product_type,
        release: ContentRelease {
            channel: release.channel,
            file_name: &file.name,
            id: &release.slug,
            name: &release.name,
            notes: &release.notes,
            platform: release.platform.as_deref(),
            released_at: release.released_at,
            sha256: &file.sha256,
            size: file.size,
            version: &release.version,
        },
        version: VERSION,
    };
    Envelope::sign(signer, SIGNED, &content)
}

#[cfg(test)]
mod tests;
