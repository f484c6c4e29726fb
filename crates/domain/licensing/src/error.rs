//! Errors of licensing.

use std::borrow::Cow;

use portico_kernel::{Denied, Fault, FieldError, Kind, StoreError};

use crate::{scan_status::ScanStatus, unavailable::Unavailable};

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum LicensingError {
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// What was sent breaks rules.
    #[error("invalid input")]
    Invalid(Vec<FieldError>),
    /// There is no such license in the tenant, or no license has the key.
    #[error("no such license")]
    NoLicense,
    /// The license is not used on such a machine.
    #[error("no such activation")]
    NoActivation,
    /// There is no such tenant, or it is deleted.
    #[error("no such tenant")]
    NoTenant,
    /// There are no licenses of the product.
    #[error("no policy for the product")]
    NoPolicy,
    /// Nothing is offered with this token to whoever shows it, or not any more.
    #[error("no such transfer")]
    NoTransfer,
    /// The license is suspended.
    #[error("the license is suspended")]
    Suspended,
    /// The term of the license is over.
    #[error("the license has expired")]
    Expired,
    /// The license was revoked.
    #[error("the license is revoked")]
    Revoked,
    /// The license is for another product.
    #[error("the license is for another product")]
    WrongProduct,
    /// All seats of the license are taken.
    #[error("all {limit} seats are taken")]
    TooManyActivations {
        /// How many there are.
        limit: u32,
    },
    /// The owner has freed as many seats in this month as the license allows.
    #[error("all {limit} seats of this month were freed")]
    TooManyReleases {
        /// How many may be freed in a month.
        limit: u32,
    },
    /// The license does not allow license files.
    #[error("no license files for this license")]
    OfflineNotAllowed,
    /// The installation has no key to sign license files with.
    #[error("no key to sign license files with")]
    FilesUnavailable,
    /// There is no such release, or it was never offered.
    #[error("no such release")]
    NoRelease,
    /// Another release has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// The release has a status in which this cannot be done.
    #[error("the release is {status}")]
    ReleaseStatus {
        /// The word for it.
        status: &'static str,
    },
    /// The release has no file yet.
    #[error("the release has no file")]
    NoReleaseFile,
    /// A scanner for malware has not passed the file of the release.
    #[error("the file of the release is {}", .0.as_str())]
    ReleaseScan(ScanStatus),
    /// There is no such upload, or its time is over.
    #[error("no such upload")]
    NoUpload,
    /// Parts of the upload are missing.
    #[error("parts are missing")]
    UploadIncomplete {
        /// Their numbers, a hundred at most.
        missing: Vec<u64>,
    },
    /// The release is not offered any more.
    #[error("the release was withdrawn")]
    ReleaseWithdrawn,
    /// No license of the customer covers the release, or the one of a link does not any more.
    #[error("no license for it: {}", .0.as_str())]
    LicenseRequired(Unavailable),
    /// The link is none of ours, or its time is over.
    #[error("no good link")]
    InvalidLink,
    /// A secret does not open, or cannot be made.
    #[error("{0}")]
    Internal(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for LicensingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::NoLicense
            | Self::NoActivation
            | Self::NoTenant
            | Self::NoPolicy
            | Self::NoTransfer
            | Self::NoRelease
            | Self::NoUpload => Kind::NotFound,
            Self::ReleaseWithdrawn => Kind::Gone,
            Self::LicenseRequired(_) | Self::InvalidLink => Kind::Forbidden,
            Self::Suspended
            | Self::Expired
            | Self::Revoked
            | Self::WrongProduct
            | Self::TooManyActivations { .. }
            | Self::TooManyReleases { .. }
            | Self::OfflineNotAllowed
            | Self::FilesUnavailable
            | Self::SlugTaken
            | Self::ReleaseStatus { .. }
            | Self::NoReleaseFile
            | Self::ReleaseScan(_)
            | Self::UploadIncomplete { .. } => Kind::Conflict,
            Self::Internal(_) => Kind::Internal,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NoLicense
            | Self::NoActivation
            | Self::NoTenant
            | Self::NoPolicy
            | Self::NoTransfer
            | Self::NoRelease
            | Self::NoUpload => "not_found",
            Self::SlugTaken => "slug_taken",
            Self::ReleaseStatus { .. } => "release_status",
            Self::NoReleaseFile => "release_without_file",
            Self::ReleaseScan(_) => "release_file_scan",
            Self::UploadIncomplete { .. } => "upload_incomplete",
            Self::ReleaseWithdrawn => "release_withdrawn",
            Self::LicenseRequired(_) => "license_required",
            Self::InvalidLink => "invalid_link",
            Self::Suspended => "license_suspended",
            Self::Expired => "license_expired",
            Self::Revoked => "license_revoked",
            Self::WrongProduct => "license_product_mismatch",
            Self::TooManyActivations { .. } => "too_many_activations",
            Self::TooManyReleases { .. } => "too_many_seat_releases",
            Self::OfflineNotAllowed => "license_offline_not_allowed",
            Self::FilesUnavailable => "license_files_unavailable",
            Self::Internal(_) => "internal",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Denied(denied) => return denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.",
            Self::NoLicense => "There is no such license.",
            Self::NoActivation => "The license is not used on such a machine.",
            Self::NoTenant => "There is no such customer.",
            Self::NoPolicy => "There are no licenses of this product.",
            Self::NoTransfer => "No license is offered to you with this token.",
            Self::Suspended => "The license is suspended. Ask the vendor.",
            Self::Expired => "The term of the license is over.",
            Self::Revoked => "The license was revoked.",
            Self::WrongProduct => "The license is for another product.",
            Self::TooManyActivations { limit } => {
                return format!("All {limit} seats of the license are taken. Free one first.").into();
            }
            Self::TooManyReleases { limit } => {
                return format!("At most {limit} seats of the license are freed in a month.").into();
            }
            Self::OfflineNotAllowed => "There are no license files for this license.",
            Self::FilesUnavailable => "This installation makes no license files.",
            Self::NoRelease => "There is no such release.",
            Self::SlugTaken => "Another release has this slug.",
            Self::ReleaseStatus { status } => return format!("The release is {status}.").into(),
            Self::NoReleaseFile => "Upload the file of the release first.",
            Self::ReleaseScan(scan) => match scan {
                ScanStatus::Infected => "Malware was found in the file. Upload another one.",
                ScanStatus::TooLargeToScan => "The file is too large to be scanned for malware.",
                ScanStatus::Failed => "The scanner for malware has not answered yet. It is asked again.",
                ScanStatus::Scanning | ScanStatus::NotScanned | ScanStatus::Clean => {
                    "The file is being scanned for malware. Try again shortly."
                }
            },
            Self::NoUpload => "There is no such upload, or it is over.",
            Self::UploadIncomplete { .. } => "Parts of the upload are missing. Send them first.",
            Self::ReleaseWithdrawn => "This release is not offered any more.",
            Self::LicenseRequired(reason) => match reason {
                Unavailable::Withdrawn => "This release is not offered any more.",
                Unavailable::NotCovered => "The license does not cover this release.",
                Unavailable::LicenseSuspended => "The license is suspended. Ask the vendor.",
                Unavailable::LicenseExpired => "The term of the license is over.",
                Unavailable::LicenseRevoked => "The license was revoked.",
                Unavailable::NoLicense => "There is no license of this product.",
            },
            Self::InvalidLink => "This link is not good, or not any more. Ask for a new one.",
            Self::Internal(_) => "Something went wrong on our side.",
            Self::Store(error) => return error.detail(),
        })
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::TooManyActivations { limit } | Self::TooManyReleases { limit } => {
                vec![("limit", (*limit).into())]
            }
            Self::ReleaseStatus { status } => vec![("releaseStatus", (*status).into())],
            Self::ReleaseScan(scan) => vec![("scan", scan.as_str().into())],
            Self::UploadIncomplete { missing } => vec![("missing", missing.clone().into())],
            Self::LicenseRequired(reason) => vec![("reason", reason.as_str().into())],
            _ => Vec::new(),
        }
    }
}
