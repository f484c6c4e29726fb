//! Domains of customers: from adding one, over the proof of ownership, to serving a site.

mod check;
mod rules;
mod use_cases;

pub use check::{DnsCheck, DnsOutcome, DnsRecord, HostingTarget, expected_records, look};
pub use rules::{PATIENCE, next_check};
pub use use_cases::{CheckDomain, Domains, RedeploySite};

use portico_kernel::{DomainId, SiteId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Whether the ownership of a domain is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DomainStatus {
    /// Not yet.
    Pending,
    /// Proven; it serves the site.
    Verified,
    /// The proof did not come in time, or has gone. It can be verified again.
    Failed,
}

impl DomainStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Failed => "failed",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Verified, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// What a verified domain is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DomainMode {
    /// The main address of the site, which canonical links name. The subdomain leads there then. One for a site: the last one
    /// that was made so.
    Primary,
    /// Leads to the main address.
    Redirect,
    /// Serves the site too.
    Alias,
}

impl DomainMode {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Redirect => "redirect",
            Self::Alias => "alias",
        }
    }

    /// The mode of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Primary, Self::Redirect, Self::Alias].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Why a domain is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DomainReason {
    /// There is no text record at the name.
    TxtMissing,
    /// There are text records at the name, and none of them is the one.
    TxtWrong,
    /// The name servers did not answer in time.
    DnsTimeout,
    /// The name servers failed.
    DnsFailed,
    /// Another tenant has proven that the domain is theirs.
    Taken,
}

impl DomainReason {
    /// Every reason.
    const ALL: [Self; 5] = [Self::TxtMissing, Self::TxtWrong, Self::DnsTimeout, Self::DnsFailed, Self::Taken];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TxtMissing => "txt_missing",
            Self::TxtWrong => "txt_wrong",
            Self::DnsTimeout => "dns_timeout",
            Self::DnsFailed => "dns_failed",
            Self::Taken => "taken",
        }
    }

    /// The reason of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// A domain of a customer's own, connected to a site. Its JSON form goes into events; the token that proves the ownership does
/// not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Domain {
    /// UUIDv7.
    pub id: DomainId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The site.
    pub site_id: SiteId,
    /// In the form of DNS: lower case, `xn--…` for other letters than ASCII.
    #[cfg_attr(feature = "openapi", schema(example = "www.example.com"))]
    pub name: String,
    /// What it is for.
    pub mode: DomainMode,
    /// Whether its ownership is proven.
    pub status: DomainStatus,
    /// Why it is not verified, by the last check; also what may end the verification of a verified one.
    pub reason: Option<DomainReason>,
    /// When the DNS was asked last.
    pub checked_at: Option<Timestamp>,
    /// Since when it is verified.
    pub verified_at: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// What the last check found.
    #[serde(skip)]
    pub records: Vec<DnsRecord>,
    /// The token that the text record must have. Of this tenant and this domain only, so that no tenant can prove a domain with a
    /// record meant for another one.
    #[serde(skip)]
    pub token: String,
    /// Since when the proof of a verified domain is missing.
    #[serde(skip)]
    pub missing_since: Option<Timestamp>,
    /// How many checks in a row did not find it.
    #[serde(skip)]
    pub misses: i32,
    /// The number of the next check in the background. A job with another number is outdated.
    #[serde(skip)]
    pub round: i64,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// Input of a new domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewDomain {
    /// Its name, without `https://` and path. Letters of any script.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "www.example.com", min_length = 1, max_length = 253)
    )]
    pub name: String,
    /// What it is for, once it is verified. Absent: `primary` where the site has no primary one, else `redirect`.
    pub mode: Option<DomainMode>,
}

/// What to change about a domain. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DomainUpdate {
    /// What it is for.
    pub mode: Option<DomainMode>,
}

#[cfg(test)]
mod tests;
