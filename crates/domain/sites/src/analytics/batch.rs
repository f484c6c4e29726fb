//! Visits before they are stored: counted together in memory, so that nothing of a visitor is kept but what counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use hmac::{Hmac, KeyInit, Mac};
use portico_kernel::{Env, Id, SiteId, TenantId, Timestamp};
use sha2::Sha256;
use time::Date;

use super::{
    agent::{Device, is_bot},
    source,
};

/// The secret of a day, shared by all instances.
pub type Salt = [u8; 32];

/// Stands for a visitor on one day, on one site. Without the salt of the day it identifies no one.
pub type VisitorHash = [u8; 16];

/// The most different names of one kind (pages, referrers …) that a site has on one day; the rest are counted as [`OTHER`].
pub const MAX_NAMES: u64 = 500;

/// What the rest is counted as.
pub const OTHER: &str = "(other)";

/// A page that was sent, as the request describes it. Holds the address of the client, so it never leaves memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The tenant of the site.
    pub tenant: TenantId,
    /// The site.
    pub site: SiteId,
    /// When.
    pub at: Timestamp,
    /// Path of the page.
    pub path: String,
    /// Query of the address.
    pub query: String,
    /// Host of the request, without a port.
    pub host: String,
    /// `Referer`.
    pub referrer: Option<String>,
    /// `User-Agent`.
    pub user_agent: String,
    /// `Sec-CH-UA-Mobile`.
    pub mobile: Option<bool>,
    /// Country, as a trusted proxy sends it.
    pub country: Option<String>,
    /// Address of the client.
    pub address: IpAddr,
    /// Whether the visitor asks not to be tracked (`Sec-GPC`, `DNT`): then only the page is counted.
    pub private: bool,
}

impl Seen {
    /// The day that the visit counts on.
    pub fn day(&self) -> Date {
        self.at.into_inner().date()
    }

    /// The hash of the visitor. A whole IPv6 /64 is one address, because its holder changes the rest at will.
    fn hash(&self, salt: &Salt) -> VisitorHash {
        let network = match self.address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        };
        let mut hash = [0; 16];
        // Any length of key will do for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt) else { return hash };
        mac.update(self.site.uuid().as_bytes());
        // Of fixed form, and followed by what no address contains, so that two visitors never read alike.
        mac.update(network.to_string().as_bytes());
        mac.update(b"\n");
        mac.update(self.user_agent.as_bytes());
        let whole = mac.finalize().into_bytes();
        hash.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        hash
    }
}

/// A site on a day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteDay {
    /// The tenant of the site.
    pub tenant: TenantId,
    /// The site.
    pub site: SiteId,
    /// Day (UTC).
    pub day: Date,
}

/// Dimensions that visits are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// By page.
    Page,
    /// By where they came from.
    Referrer,
    /// By country.
    Country,
    /// By device.
    Device,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 4] = [Self::Page, Self::Referrer, Self::Country, Self::Device];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Referrer => "referrer",
            Self::Country => "country",
            Self::Device => "device",
        }
    }

    /// The dimension of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == text)
    }
}

/// Visits of a site on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many.
    pub visits: u64,
    /// Hashes of their visitors.
    pub visitors: BTreeSet<VisitorHash>,
    /// Visits by name of a dimension.
    pub names: BTreeMap<(Dimension, String), u64>,
}

/// What a tenant's sites sent on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Answers.
    pub answers: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// Visits and traffic to be stored together, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitBatch {
    /// Identifies the batch: one that is stored twice counts once.
    pub id: Id<VisitBatch>,
    /// When it was made.
    pub at: Timestamp,
    /// Visits, in an order that every instance has.
    pub sites: BTreeMap<SiteDay, Counts>,
    /// Traffic.
    pub traffic: BTreeMap<(TenantId, Date), Traffic>,
}

impl VisitBatch {
    /// An empty one.
    pub fn new(env: &Env) -> Self {
        Self { id: env.new_id(), at: env.now(), sites: BTreeMap::new(), traffic: BTreeMap::new() }
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty() && self.traffic.is_empty()
    }

    /// Counts a visit, unless it is that of a program. `salt` is that of the day of the visit.
    pub fn add(&mut self, seen: &Seen, salt: &Salt) {
        if is_bot(&seen.user_agent) {
            return;
        }
        let key = SiteDay { tenant: seen.tenant, site: seen.site, day: seen.day() };
        let counts = self.sites.entry(key).or_default();
        counts.visits += 1;
        let mut count = |dimension, name: String| {
            *counts.names.entry((dimension, name)).or_default() += 1;
        };
        count(Dimension::Page, seen.path.clone());
        if seen.private {
            return;
        }
        let referrer = seen.referrer.as_deref().and_then(|header| source::referrer(header, &seen.host));
        if let Some(referrer) = source::campaign(&seen.query).or(referrer) {
            count(Dimension::Referrer, referrer);
        }
        if let Some(country) = seen.country.as_deref().and_then(source::country) {
            count(Dimension::Country, country);
        }
        count(Dimension::Device, Device::from_user_agent(&seen.user_agent, seen.mobile).as_str().to_owned());
        counts.visitors.insert(seen.hash(salt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::env;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

    fn seen(address: &str) -> Seen {
        let id = uuid::Uuid::from_u128;
        Seen {
            tenant: TenantId::from_uuid(id(1)),
            site: SiteId::from_uuid(id(2)),
            // 2026-11-21T05:07:09Z
            at: Timestamp::from_unix_seconds(1_795_237_629).unwrap(),
            path: "/".to_owned(),
            query: String::new(),
            host: "luz.example".to_owned(),
            referrer: Some("https://www.example.org/x".to_owned()),
            user_agent: FIREFOX.to_owned(),
            mobile: None,
            country: Some("gt".to_owned()),
            address: address.parse().unwrap(),
            private: false,
        }
    }

    fn batch(all: &[Seen]) -> VisitBatch {
        let mut batch = VisitBatch::new(&env());
        for seen in all {
            batch.add(seen, &[7; 32]);
        }
        batch
    }

    #[test]
    fn visits_are_counted_by_everything() {
        let about = Seen { path: "/about/".into(), query: "utm_source=Letter".into(), ..seen("192.0.2.2") };
        let batch = batch(&[seen("192.0.2.1"), seen("192.0.2.1"), about]);
        let (key, counts) = batch.sites.first_key_value().unwrap();
        assert_eq!((key.day.to_string().as_str(), batch.sites.len()), ("2026-11-21", 1));
        assert_eq!((counts.visits, counts.visitors.len()), (3, 2));
        let names: Vec<_> = counts
            .names
            .iter()
            .map(|((dimension, name), count)| (dimension.as_str(), name.as_str(), *count))
            .collect();
        assert_eq!(
            names,
            [
                ("page", "/", 2),
                ("page", "/about/", 1),
                ("referrer", "example.org", 2),
                ("referrer", "letter", 1),
                ("country", "GT", 3),
                ("device", "desktop", 3)
            ]
        );
    }

    #[test]
    fn visitors_are_told_apart_by_address_browser_site_and_day() {
        let salt = [7; 32];
        let one = seen("192.0.2.1").hash(&salt);
        assert_eq!(one, seen("::ffff:192.0.2.1").hash(&salt));
        let other_site = Seen { site: SiteId::from_uuid(uuid::Uuid::from_u128(9)), ..seen("192.0.2.1") };
        let other_browser = Seen { user_agent: format!("{FIREFOX}1"), ..seen("192.0.2.1") };
        for other in [
            seen("192.0.2.10").hash(&salt),
            other_site.hash(&salt),
            other_browser.hash(&salt),
            seen("192.0.2.1").hash(&[8; 32]),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(seen("2001:db8::1").hash(&salt), seen("2001:db8::2:3").hash(&salt), "one network");
        assert_ne!(seen("2001:db8::1").hash(&salt), seen("2001:db8:0:1::1").hash(&salt));
    }

    #[test]
    fn whoever_wants_to_be_left_alone_is_only_a_visit() {
        let batch = batch(&[Seen { private: true, query: "utm_source=x".into(), ..seen("192.0.2.1") }]);
        let counts = batch.sites.values().next().unwrap();
        assert_eq!((counts.visits, counts.visitors.len()), (1, 0));
        assert_eq!(counts.names.keys().collect::<Vec<_>>(), [&(Dimension::Page, "/".to_owned())]);
    }

    #[test]
    fn programs_are_left_out() {
        let robot = Seen {
            user_agent: "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)".into(),
            ..seen("192.0.2.1")
        };
        assert!(batch(&[robot, Seen { user_agent: String::new(), ..seen("192.0.2.1") }]).is_empty());
    }

    #[test]
    fn two_days_are_counted_apart() {
        let midnight = Timestamp::from_unix_seconds(1_795_305_600).unwrap();
        let before = Seen { at: midnight - time::Duration::microseconds(1), ..seen("192.0.2.1") };
        let batch = batch(&[before, Seen { at: midnight, ..seen("192.0.2.1") }]);
        let days: Vec<_> = batch.sites.keys().map(|key| key.day.to_string()).collect();
        assert_eq!(days, ["2026-11-21", "2026-11-22"]);
    }

    #[test]
    fn every_dimension_has_a_word() {
        for dimension in Dimension::ALL {
            assert_eq!(Dimension::parse(dimension.as_str()), Some(dimension));
        }
    }
}
