//! What a license of a product allows. It is data of the installation, and a license keeps what was in force when it was issued.

use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{LicensingError, ports::LicensingRepositories};
use portico_kernel::Timestamp;

/// Where a release comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Channel {
    /// For everybody.
    Stable,
    /// For those who try what is to come.
    Beta,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Beta];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Beta => "beta",
        }
    }

    /// The channel of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
    }
}

/// What a license allows besides its number of machines and its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LicenseTerms {
    /// The highest major version that it covers; null for every one.
    pub max_major: Option<u32>,
    /// The channels whose releases it covers.
    pub channels: Vec<Channel>,
    /// For how many days the product goes on when it cannot reach this server.
    #[cfg_attr(feature = "openapi", schema(example = 14))]
    pub grace_days: u32,
    /// Whether there are license files for it, with which the product works without a connection.
    pub offline: bool,
    /// For how many days a license file is good at most; 1 or more.
    #[cfg_attr(feature = "openapi", schema(example = 30))]
    pub file_days: u32,
    /// How many seats its owner may free in a calendar month (UTC).
    #[cfg_attr(feature = "openapi", schema(example = 5))]
    pub releases_per_month: u32,
    /// Floating seats: for how many seconds a machine holds its seat after it was heard of last; absent where it is held until it is freed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = u32, example = 600))]
    pub lease_seconds: Option<u32>,
}

impl LicenseTerms {
    /// Until when a machine holds its seat that is heard of now; `None` for until it is freed. One with a license file holds it until the
    /// file ends, which cannot be called back.
    pub fn lease_end(&self, now: Timestamp, offline_until: Option<Timestamp>) -> Option<Timestamp> {
        let end = now + Duration::seconds(i64::from(self.lease_seconds?));
        Some(offline_until.map_or(end, |until| until.max(end)))
    }

    /// Whether it covers a release of this major version from this channel.
    pub fn covers(&self, major: u32, channel: Channel) -> bool {
        self.max_major.is_none_or(|highest| major <= highest) && self.channels.contains(&channel)
    }
}

/// What licenses of a product allow that are issued now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LicensePolicy {
    /// Id of the product.
    #[cfg_attr(feature = "openapi", schema(example = "base_product"))]
    pub product_type: String,
    /// Name of the product on its licenses.
    #[cfg_attr(feature = "openapi", schema(example = "Base Software License"))]
    pub product_name: String,
    /// On how many machines a license may be used at once; null for any number.
    pub seats: Option<u32>,
    /// For how many days a license is good; null for ever.
    pub term_days: Option<u32>,
    /// For how many days releases that appear are covered; null for ever.
    pub support_days: Option<u32>,
    /// What else a license allows.
    #[serde(flatten)]
    pub terms: LicenseTerms,
}

impl LicensePolicy {
    /// When a license ends that is issued now.
    pub fn expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.term_days.map(|days| now + Duration::days(i64::from(days)))
    }

    /// Until when a license that is issued now covers releases that appear.
    pub fn supported_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.support_days.map(|days| now + Duration::days(i64::from(days)))
    }
}

/// The policies of a new installation. Staff may have changed them since.
pub fn catalogue() -> Vec<LicensePolicy> {
    vec![LicensePolicy {
        product_type: "base_product".to_owned(),
        product_name: "Base Software License".to_owned(),
        seats: Some(3),
        term_days: None,
        support_days: Some(365),
        terms: LicenseTerms {
            max_major: None,
            channels: vec![Channel::Stable],
            grace_days: 14,
            offline: true,
            file_days: 30,
            releases_per_month: 5,
            lease_seconds: None,
        },
    }]
}

/// Use cases around policies.
pub struct LicensePolicies<'a> {
    repositories: &'a mut dyn LicensingRepositories,
}

impl<'a> LicensePolicies<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn LicensingRepositories) -> Self {
        Self { repositories }
    }

    /// Stores the policies of [`catalogue`] that are not there; part of starting. What staff have made of one stays. Answers how many were
    /// written: none on a second run.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn seed(&mut self, now: Timestamp) -> Result<usize, LicensingError> {
        let mut written = 0;
        for policy in catalogue() {
            written += usize::from(self.repositories.license_policies().insert_missing(&policy, now).await?);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_can_be_kept() {
        for policy in catalogue() {
            assert!(policy.terms.file_days >= 1 && !policy.terms.channels.is_empty());
            assert!(policy.seats != Some(0) && policy.term_days != Some(0));
        }
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.as_str()), Some(channel));
        }
    }

    #[test]
    fn times_are_counted_from_now() {
        let now = Timestamp::from_unix_seconds(1_790_000_000).unwrap();
        let policy = LicensePolicy { term_days: Some(30), ..catalogue().remove(0) };
        assert_eq!(policy.expires_at(now), Some(now + Duration::days(30)));
        assert_eq!(policy.supported_until(now), Some(now + Duration::days(365)));
        let endless = LicensePolicy { term_days: None, support_days: None, ..policy };
        assert_eq!((endless.expires_at(now), endless.supported_until(now)), (None, None));
    }

    #[test]
    fn a_lease_ends_with_the_license_file_at_the_earliest() {
        let now = Timestamp::from_unix_seconds(1_790_000_000).unwrap();
        let fixed = catalogue().remove(0).terms;
        assert_eq!(fixed.lease_end(now, Some(now + Duration::HOUR)), None);
        let floating = LicenseTerms { lease_seconds: Some(60), ..fixed.clone() };
        let end = Some(now + Duration::MINUTE);
        assert_eq!((floating.lease_end(now, None), floating.lease_end(now, Some(now))), (end, end));
        let file = Some(now + Duration::HOUR);
        assert_eq!(floating.lease_end(now, file), file);
        // Terms that were stored before there were leases are those of fixed seats.
        let stored = serde_json::to_value(&fixed).unwrap();
        assert!(stored.get("leaseSeconds").is_none(), "{stored}");
        assert_eq!(serde_json::from_value::<LicenseTerms>(stored).unwrap(), fixed);
    }

    #[test]
    fn versions_and_channels_are_covered_or_not() {
        let terms = LicenseTerms { max_major: Some(2), ..catalogue().remove(0).terms };
        assert!(terms.covers(1, Channel::Stable) && terms.covers(2, Channel::Stable));
        assert!(!terms.covers(3, Channel::Stable) && !terms.covers(2, Channel::Beta));
        assert!(LicenseTerms { max_major: None, ..terms }.covers(9, Channel::Stable));
    }
}
