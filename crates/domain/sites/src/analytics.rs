//! Visits of a site: counted without cookies, shown by day.
//!
//! What is counted is a page that was sent to a browser. [`batch`] turns requests into counts, [`agent`] distinguishes people
//! from programs, [`source`] finds where they came from, and [`series`] fills the days without visits. See ADR 31.

pub mod agent;
pub mod batch;
pub mod series;
pub mod source;

use portico_kernel::{Env, Permission, Scope, SiteId};
use serde::Serialize;
use time::{Date, Duration};

pub use agent::Device;
pub use batch::{Counts, Dimension, MAX_NAMES, OTHER, Salt, Seen, SiteDay, Traffic, VisitBatch, VisitorHash};
use series::period;

use crate::{SitesError, ports::SiteRepositories, site};

/// The most days that one answer covers.
pub const MAX_DAYS: i64 = 400;

/// The days of an answer by default.
const DEFAULT_DAYS: i64 = 30;

/// The most pages, referrers and countries in an answer, each.
const MOST: u64 = 100;

/// How long after its end a day's visits may still be on their way into the database. Then its salt is deleted, and with it the
/// last link from a hash to an address.
pub const SALT_GRACE: Duration = Duration::HOUR;

/// How long after its end the hashes of a day's visitors are deleted.
pub const HASH_GRACE: Duration = Duration::hours(25);

/// How long the ids of stored batches are kept.
pub const BATCH_MEMORY: Duration = Duration::days(2);

/// Visits of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteAnalytics {
    /// First day (UTC).
    #[serde(serialize_with = "series::iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-01"))]
    pub from: Date,
    /// Last day (UTC).
    #[serde(serialize_with = "series::iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-21"))]
    pub to: Date,
    /// All days together.
    pub totals: VisitTotals,
    /// Each day, also those without a visit.
    pub days: Vec<DayVisits>,
    /// The most visited pages first, 100 at most.
    pub pages: Vec<PageVisits>,
    /// Where visitors came from, 100 at most. Those who came directly, or from a page of the site, are not among them.
    pub referrers: Vec<ReferrerVisits>,
    /// By country, 100 at most; empty unless the operator's proxy sends the country.
    pub countries: Vec<CountryVisits>,
    /// By kind of device.
    pub devices: Vec<DeviceVisits>,
}

/// Visits and visitors of all days together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VisitTotals {
    /// Pages that were looked at.
    #[cfg_attr(feature = "openapi", schema(example = 120))]
    pub visits: u64,
    /// Visitors of each day, added up: one who comes on two days counts twice, because no visitor is recognised on another day.
    #[cfg_attr(feature = "openapi", schema(example = 45))]
    pub visitors: u64,
}

/// Visits on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayVisits {
    /// Day (UTC).
    #[serde(serialize_with = "series::iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-21"))]
    pub date: Date,
    /// Pages that were looked at.
    #[cfg_attr(feature = "openapi", schema(example = 12))]
    pub visits: u64,
    /// Different visitors.
    #[cfg_attr(feature = "openapi", schema(example = 5))]
    pub visitors: u64,
}

/// Visits of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageVisits {
    /// Its path; `(other)` for pages beyond the 500 of a day.
    #[cfg_attr(feature = "openapi", schema(example = "/about/"))]
    pub path: String,
    /// How often it was looked at.
    #[cfg_attr(feature = "openapi", schema(example = 12))]
    pub visits: u64,
}

/// Visits from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReferrerVisits {
    /// Host name, or the source of a campaign (`utm_source`); `(other)` for those beyond the 500 of a day.
    #[cfg_attr(feature = "openapi", schema(example = "google.com"))]
    pub source: String,
    /// Pages that were looked at by visitors from there.
    #[cfg_attr(feature = "openapi", schema(example = 7))]
    pub visits: u64,
}

/// Visits from a country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CountryVisits {
    /// ISO 3166-1 alpha-2.
    #[cfg_attr(feature = "openapi", schema(example = "GT"))]
    pub country: String,
    /// Pages that were looked at.
    #[cfg_attr(feature = "openapi", schema(example = 9))]
    pub visits: u64,
}

/// Visits on a kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceVisits {
    /// The kind.
    pub device: Device,
    /// Pages that were looked at.
    #[cfg_attr(feature = "openapi", schema(example = 9))]
    pub visits: u64,
}

/// The use cases around visits, inside one unit of work.
pub struct Analytics<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Analytics<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Visits of the site from one day to another (UTC, both included): the last 30 days by default.
    ///
    /// # Errors
    /// `Denied`; `Invalid`; `NotFound`.
    pub async fn read(
        &mut self,
        id: SiteId,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<SiteAnalytics, SitesError> {
        let tenant = self.scope.require(Permission::AnalyticsRead)?;
        let today = self.env.now().into_inner().date();
        let (from, to) = period(from, to, today, DEFAULT_DAYS, MAX_DAYS).map_err(SitesError::Invalid)?;
        site::find(self.repositories, tenant, id).await?;
        let mut visits = self.repositories.visits();
        let days = visits.days(tenant, id, from, to).await?;
        let names = visits.names(tenant, id, from, to, MOST).await?;
        drop(visits);

        let days = series::filled(from, to, days);
        let totals = days.iter().fold(VisitTotals::default(), |totals, day| VisitTotals {
            visits: totals.visits + day.visits,
            visitors: totals.visitors + day.visitors,
        });
        let mut answer = SiteAnalytics {
            from,
            to,
            totals,
            days,
            pages: Vec::new(),
            referrers: Vec::new(),
            countries: Vec::new(),
            devices: Vec::new(),
        };
        for (dimension, name, visits) in names {
            match dimension {
                Dimension::Page => answer.pages.push(PageVisits { path: name, visits }),
                Dimension::Referrer => answer.referrers.push(ReferrerVisits { source: name, visits }),
                Dimension::Country => answer.countries.push(CountryVisits { country: name, visits }),
                Dimension::Device => {
                    let device = Device::parse(&name).map(|device| DeviceVisits { device, visits });
                    answer.devices.extend(device);
                }
            }
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, TenantRole};

    use super::*;
    use crate::{
        site::{NewSite, Sites},
        testing::{Store, env, member, tenant, user},
    };

    async fn site(store: &mut Store) -> SiteId {
        let owner = member(TenantRole::Owner);
        let input = NewSite { name: "Luz".to_owned(), ..NewSite::default() };
        Sites::new(store, &owner, &env()).create(input).await.unwrap().id
    }

    #[tokio::test]
    async fn counts_are_put_where_they_belong() {
        let (env, viewer, mut store) = (env(), member(TenantRole::Viewer), Store::default());
        let id = site(&mut store).await;
        let today = env.now().into_inner().date();
        let names = [
            ((Dimension::Page, "/".to_owned()), 3),
            ((Dimension::Referrer, "example.org".to_owned()), 2),
            ((Dimension::Country, "GT".to_owned()), 1),
            ((Dimension::Device, "mobile".to_owned()), 3),
            ((Dimension::Device, "toaster".to_owned()), 9),
        ];
        let counts = Counts { visits: 3, visitors: [[1; 16], [2; 16]].into(), names: names.into() };
        let mut batch = VisitBatch::new(&env);
        batch.sites.insert(SiteDay { tenant: tenant(1), site: id, day: today }, counts);
        store.visits().store(&batch).await.unwrap();

        let read = Analytics::new(&mut store, &viewer, &env).read(id, None, None).await.unwrap();
        assert_eq!((read.totals.visits, read.totals.visitors, read.days.len()), (3, 2, 30));
        assert_eq!(read.days.last(), Some(&DayVisits { date: today, visits: 3, visitors: 2 }));
        assert!(read.days[..29].iter().all(|day| day.visits == 0));
        assert_eq!(read.pages, [PageVisits { path: "/".to_owned(), visits: 3 }]);
        assert_eq!(read.referrers, [ReferrerVisits { source: "example.org".to_owned(), visits: 2 }]);
        assert_eq!(read.countries, [CountryVisits { country: "GT".to_owned(), visits: 1 }]);
        assert_eq!(read.devices, [DeviceVisits { device: Device::Mobile, visits: 3 }]);
        let json = serde_json::to_value(&read).unwrap();
        assert_eq!(json["days"][29]["date"], today.to_string());
    }

    #[tokio::test]
    async fn nobody_else_sees_them() {
        let (env, mut store) = (env(), Store::default());
        let id = site(&mut store).await;
        let stranger = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
        let error = Analytics::new(&mut store, &stranger, &env).read(id, None, None).await.unwrap_err();
        assert_eq!(error.code(), "not_found");
        let stranger = user(Some(tenant(1)), portico_kernel::Permissions::NONE, true);
        let error = Analytics::new(&mut store, &stranger, &env).read(id, None, None).await.unwrap_err();
        assert_eq!(error.code(), "forbidden");
    }
}
