//! Releases: versions of products that are offered for download. They belong to the installation.

use portico_kernel::{PRODUCT_ID_MAX, ReleaseFileId, ReleaseId, Timestamp, Violations};
use serde::{Deserialize, Serialize};

use crate::{
    LicensingError,
    policy::Channel,
    release_version::{ReleaseVersion, VERSION_MAX},
    scan_status::ScanStatus,
};

/// Most characters of a slug.
const SLUG_MAX: usize = 64;

/// Most characters of a name.
const NAME_MAX: usize = 100;

/// Most characters of a platform.
pub(crate) const PLATFORM_MAX: usize = 50;

/// Most characters of notes.
const NOTES_MAX: usize = 10_000;

/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// Most characters of the name of a file, and of its media type.
const FILE_NAME_MAX: usize = 200;
const CONTENT_TYPE_MAX: usize = 100;

/// Characters of a SHA-256 in hexadecimal.
const SHA256: usize = 64;

/// Whether a release is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReleaseStatus {
    /// Not yet: staff prepare it.
    Draft,
    /// It is.
    Published,
    /// Not any more.
    Withdrawn,
}

impl ReleaseStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Draft, Self::Published, Self::Withdrawn];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// The file of a release, which is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseFile {
    /// Another one for each upload.
    #[serde(skip)]
    pub id: ReleaseFileId,
    /// Under which it is saved: ASCII letters, digits, `.`, `_` and `-`.
    #[cfg_attr(feature = "openapi", schema(example = "software-2.0.0-setup.exe"))]
    pub name: String,
    /// Its media type, as it was sent.
    #[cfg_attr(feature = "openapi", schema(example = "application/octet-stream"))]
    pub content_type: String,
    /// Bytes.
    #[cfg_attr(feature = "openapi", schema(example = 73_400_320))]
    pub size: u64,
    /// SHA-256 of the file, hexadecimal.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    )]
    pub sha256: String,
    /// What a scanner for malware says of it.
    pub scan: ScanStatus,
    /// The name of what was found in it, as the scanner calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "Win.Test.EICAR_HDB-1"))]
    pub signature: Option<String>,
    /// When it was deleted: something was found in it, or its release was withdrawn long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Timestamp))]
    pub deleted_at: Option<Timestamp>,
}

/// A version of a product for download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Release {
    /// UUIDv7.
    pub id: ReleaseId,
    /// Its readable id, under which customers download it. No two have the same.
    #[cfg_attr(feature = "openapi", schema(example = "software_v2"))]
    pub slug: String,
    /// Id of the product.
    #[cfg_attr(feature = "openapi", schema(example = "base_product"))]
    pub product_type: String,
    /// What customers see.
    #[cfg_attr(feature = "openapi", schema(example = "Software 2.0 for Windows"))]
    pub name: String,
    /// Its version (Semantic Versioning 2.0.0).
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2.0.0"))]
    pub version: ReleaseVersion,
    /// For whom it is.
    pub channel: Channel,
    /// What it runs on; absent for one that runs everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "windows-x64"))]
    pub platform: Option<String>,
    /// What is new in it, as plain text.
    #[cfg_attr(feature = "openapi", schema(example = "Prints in colour."))]
    pub notes: String,
    /// Whether it is offered.
    pub status: ReleaseStatus,
    /// Why it is not offered any more, for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String))]
    pub withdrawal_reason: Option<String>,
    /// When it was published; absent for one that never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Timestamp))]
    pub released_at: Option<Timestamp>,
    /// Its file; absent before one was uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = ReleaseFile))]
    pub file: Option<ReleaseFile>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

impl Release {
    /// The folder of a file in the file store. Nothing else is in it but [parts](Self::parts) of an upload.
    pub fn folder(release: ReleaseId, file: ReleaseFileId) -> String {
        format!("releases/{release}/{file}")
    }

    /// The key of a file in the file store. It ends with the name of the file, under which browsers save it.
    pub fn file_key(release: ReleaseId, file: ReleaseFileId, name: &str) -> String {
        format!("{}/{name}", Self::folder(release, file))
    }

    /// The folder of the parts in which a file is uploaded. No file has its name, as it begins with a dot.
    pub fn parts(release: ReleaseId, file: ReleaseFileId) -> String {
        format!("{}/.parts", Self::folder(release, file))
    }

    /// The key of such a part in the file store.
    pub fn part_key(release: ReleaseId, file: ReleaseFileId, part: u64) -> String {
        format!("{}/{part:05}", Self::parts(release, file))
    }

    /// The release with another file, which only a draft can get: whoever has downloaded it has the one with this SHA-256.
    ///
    /// # Errors
    /// `ReleaseStatus` for what is no draft.
    pub fn with_file(&self, file: ReleaseFile, now: Timestamp) -> Result<Self, LicensingError> {
        self.require_draft()?;
        Ok(Self { file: Some(file), updated_at: now, ..self.clone() })
    }

    /// The release with what a scanner says of its file. What is infected is deleted.
    #[must_use]
    pub(crate) fn scanned(&self, scan: ScanStatus, signature: Option<String>, now: Timestamp) -> Self {
        let file = self.file.clone().map(|file| {
            let deleted_at = (scan == ScanStatus::Infected).then_some(now).or(file.deleted_at);
            ReleaseFile { scan, signature, deleted_at, ..file }
        });
        if file == self.file {
            return self.clone();
        }
        Self { file, updated_at: now, ..self.clone() }
    }

    /// The release without the bytes of its file, if it is not offered any more. What is said of the file stays.
    #[must_use]
    pub(crate) fn without_bytes(&self, now: Timestamp) -> Self {
        let file = self.file.clone().map(|file| match (self.status, file.deleted_at) {
            (ReleaseStatus::Withdrawn, None) => ReleaseFile { deleted_at: Some(now), ..file },
            _ => file,
        });
        Self { file, ..self.clone() }
    }

    /// Errors for what is no draft.
    pub(crate) fn require_draft(&self) -> Result<(), LicensingError> {
        match self.status {
            ReleaseStatus::Draft => Ok(()),
            other => Err(LicensingError::ReleaseStatus { status: other.as_str() }),
        }
    }

    /// The release offered from `now` on. One that is offered stays as it is. `unscannable` says whether a file may be offered that is too
    /// large for the scanner.
    ///
    /// # Errors
    /// `ReleaseStatus` for one that was withdrawn: whoever has heard of it is told so for ever; `NoReleaseFile`; `ReleaseScan` for a file
    /// that a scanner has not passed.
    pub fn published(&self, unscannable: bool, now: Timestamp) -> Result<Self, LicensingError> {
        match self.status {
            ReleaseStatus::Published => return Ok(self.clone()),
            ReleaseStatus::Withdrawn => {
                return Err(LicensingError::ReleaseStatus { status: self.status.as_str() });
            }
            ReleaseStatus::Draft => {}
        }
        let scan = self.file.as_ref().ok_or(LicensingError::NoReleaseFile)?.scan;
        if !scan.may_be_offered(unscannable) {
            return Err(LicensingError::ReleaseScan(scan));
        }
        let status = ReleaseStatus::Published;
        Ok(Self { status, released_at: Some(now), updated_at: now, ..self.clone() })
    }

    /// The release not offered any more; a draft is discarded by it. One that was withdrawn stays as it is.
    #[must_use]
    pub fn withdrawn(&self, reason: &str, now: Timestamp) -> Self {
        if self.status == ReleaseStatus::Withdrawn {
            return self.clone();
        }
        Self {
            status: ReleaseStatus::Withdrawn,
            withdrawal_reason: Some(reason.to_owned()),
            updated_at: now,
            ..self.clone()
        }
    }
}

/// A release to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "slug": "software_v2", "productType": "base_product", "name": "Software 2.0 for Windows", "version": "2.0.0", "channel": "stable",
    "platform": "windows-x64", "notes": "Prints in colour."
})))]
pub struct NewRelease {
    /// Its readable id, 2 to 64 lower-case letters, digits, `_` and `-`, which begins with a letter or digit. It stays.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 2, max_length = 64))]
    pub slug: String,
    /// Id of the product, which has a policy.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 50))]
    pub product_type: String,
    /// What customers see, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 100))]
    pub name: String,
    /// Its version (Semantic Versioning 2.0.0), without build metadata.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 5, max_length = 64))]
    pub version: String,
    /// For whom it is; `stable` where absent.
    pub channel: Option<Channel>,
    /// What it runs on, up to 50 lower-case letters, digits, `.`, `_` and `-`; everywhere where absent.
    #[cfg_attr(feature = "openapi", schema(max_length = 50))]
    pub platform: Option<String>,
    /// What is new in it, up to 10,000 characters of plain text.
    #[cfg_attr(feature = "openapi", schema(max_length = 10_000))]
    pub notes: Option<String>,
}

impl NewRelease {
    /// The draft.
    ///
    /// # Errors
    /// `Invalid`.
    pub(crate) fn draft(&self, id: ReleaseId, now: Timestamp) -> Result<Release, LicensingError> {
        let mut violations = Violations::default();
        let is_slug = (2..=SLUG_MAX).contains(&self.slug.len())
            && self.slug.bytes().all(is_word)
            && self.slug.starts_with(|first: char| first.is_ascii_alphanumeric());
        let message = "Use 2 to 64 lower-case letters, digits, _ and -, with a letter or digit first.";
        violations.check(is_slug, "slug", "invalid_slug", message);
        violations.line("productType", &self.product_type, 1, PRODUCT_ID_MAX);
        let version = ReleaseVersion::parse(&self.version);
        check_version("version", version.is_some(), &mut violations);
        let platform = self.platform.as_deref().filter(|platform| !platform.is_empty());
        check_platform(platform, &mut violations);
        let notes = self.notes.clone().unwrap_or_default();
        check_texts(&self.name, &notes, &mut violations);
        violations.into_result().map_err(LicensingError::Invalid)?;
        // Without an error there is one.
        let version = version.ok_or(LicensingError::NoRelease)?;
        Ok(Release {
            id,
            slug: self.slug.clone(),
            product_type: self.product_type.trim().to_owned(),
            name: self.name.trim().to_owned(),
            version,
            channel: self.channel.unwrap_or(Channel::Stable),
            platform: platform.map(str::to_owned),
            notes: notes.trim().to_owned(),
            status: ReleaseStatus::Draft,
            withdrawal_reason: None,
            released_at: None,
            file: None,
            created_at: now,
            updated_at: now,
        })
    }
}

/// Changes what is said about a release; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"notes": "Prints in colour, also on both sides."})))]
pub struct ReleaseUpdate {
    /// What customers see, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: Option<String>,
    /// What is new in it, up to 10,000 characters of plain text.
    #[cfg_attr(feature = "openapi", schema(max_length = 10_000))]
    pub notes: Option<String>,
}

impl ReleaseUpdate {
    /// The release with it.
    ///
    /// # Errors
    /// `Invalid`.
    pub(crate) fn applied(&self, release: &Release, now: Timestamp) -> Result<Release, LicensingError> {
        let name = self.name.as_deref().unwrap_or(&release.name).trim().to_owned();
        let notes = self.notes.as_deref().unwrap_or(&release.notes).trim().to_owned();
        let mut violations = Violations::default();
        check_texts(&name, &notes, &mut violations);
        violations.into_result().map_err(LicensingError::Invalid)?;
        Ok(Release { name, notes, updated_at: now, ..release.clone() })
    }
}

/// Why a release is withdrawn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"reason": "Loses settings on update"})))]
pub struct Withdrawal {
    /// For staff and the audit trail; 1 to 500 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 500))]
    pub reason: String,
}

impl Withdrawal {
    /// The reason without white space around it.
    ///
    /// # Errors
    /// `Invalid`.
    pub(crate) fn checked(&self) -> Result<&str, LicensingError> {
        let mut violations = Violations::default();
        violations.line("reason", &self.reason, 1, REASON_MAX);
        violations.into_result().map_err(LicensingError::Invalid)?;
        Ok(self.reason.trim())
    }
}

/// What is said about a file before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedFile {
    /// Under which name it is to be saved.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// The SHA-256 that it must have, hexadecimal.
    pub sha256: String,
}

impl AnnouncedFile {
    /// The same with the SHA-256 in lower case.
    ///
    /// # Errors
    /// `Invalid`.
    pub(crate) fn checked(&self) -> Result<Self, LicensingError> {
        let mut violations = Violations::default();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = (1..=FILE_NAME_MAX).contains(&self.name.len())
            && self.name.bytes().all(allowed)
            && !self.name.starts_with('.');
        let message = "Use 1 to 200 letters (A to Z), digits, ., _ and -, with no dot first.";
        violations.check(is_name, "fileName", "invalid_file_name", message);
        let is_hash = self.sha256.len() == SHA256 && self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        violations.check(
            is_hash,
            "sha256",
            "invalid_sha256",
            "Send the SHA-256 of the file, 64 hexadecimal digits.",
        );
        violations.into_result().map_err(LicensingError::Invalid)?;
        let is_type = self.content_type.len() <= CONTENT_TYPE_MAX
            && self.content_type.split_once('/').is_some_and(|(kind, rest)| {
                let is_token = |text: &str| {
                    !text.is_empty()
                        && text
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
                };
                is_token(kind) && is_token(rest)
            });
        let content_type = if is_type {
            self.content_type.to_ascii_lowercase()
        } else {
            "application/octet-stream".to_owned()
        };
        Ok(Self { name: self.name.clone(), content_type, sha256: self.sha256.to_ascii_lowercase() })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
}

/// Records what is wrong with a platform.
pub(crate) fn check_platform(platform: Option<&str>, violations: &mut Violations) {
    let fits = platform.is_none_or(|platform| {
        platform.len() <= PLATFORM_MAX && platform.bytes().all(|byte| is_word(byte) || byte == b'.')
    });
    let message = "Use up to 50 lower-case letters, digits, ., _ and -.";
    violations.check(fits, "platform", "invalid_platform", message);
}

/// Records that a text is no version.
pub(crate) fn check_version(field: &str, is_version: bool, violations: &mut Violations) {
    let message =
        format!("Use a version such as 2.1.0 or 2.1.0-beta.3, of at most {VERSION_MAX} characters.");
    violations.check(is_version, field, "invalid_version", message);
}

fn check_texts(name: &str, notes: &str, violations: &mut Violations) {
    violations.line("name", name, 1, NAME_MAX);
    violations.text("notes", notes, 0, NOTES_MAX);
}

#[cfg(test)]
mod tests;
