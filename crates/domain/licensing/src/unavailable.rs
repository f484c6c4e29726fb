//! Why a release cannot be downloaded.

use serde::Serialize;

/// Why a customer cannot download a release. In the order in which it is told where several hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Unavailable {
    /// It is not offered any more.
    Withdrawn,
    /// A license may be used, but covers neither this version nor this channel, or releases of this time no more.
    NotCovered,
    /// The license is suspended.
    LicenseSuspended,
    /// The term of the license is over.
    LicenseExpired,
    /// The license has ended for good.
    LicenseRevoked,
    /// There is no license of the product.
    NoLicense,
}

impl Unavailable {
    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::NotCovered => "not_covered",
            Self::LicenseSuspended => "license_suspended",
            Self::LicenseExpired => "license_expired",
            Self::LicenseRevoked => "license_revoked",
            Self::NoLicense => "no_license",
        }
    }
}
