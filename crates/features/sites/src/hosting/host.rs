//! Mapping from host names to sites.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::LocalBoxFuture;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use portico_kernel::StoreError;
use portico_runtime::{loading_cache::LoadingCache, signals::Signals};
use portico_sites::{
    domain::DomainMode,
    domain_name::DomainName,
    ports::{HostName, HostedSite, LiveSite},
};
use portico_web::host;

use super::stale::{Breaker, LastKnown, unreachable};
use crate::hosting::Hosting;

/// How long another instance may serve the deployment before a switch.
const TIME_TO_LIVE: Duration = Duration::from_millis(900);
/// Maximum number of host names in memory.
const SITES: usize = 100_000;

/// A proxy's queries about certificates per second, after a burst. Real ones occur once per name in weeks.
const ASKS_A_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// Size of the burst.
const ASKS_AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(199);

/// What is served at a host name.
#[derive(Clone)]
pub(super) enum HostContent {
    /// No site.
    Nothing,
    /// A site without a deployment.
    Idle,
    /// A site whose tenant is suspended, or has used up its bandwidth where that is a hard limit.
    Paused,
    /// A site whose main address is another one: its URL, without a slash at the end.
    Moved(Arc<str>),
    /// A site, and for how long it is known to be there.
    Live(LiveSite, HostedNow),
}

/// For how long this process may take it as known what is at a host name: for less than a second after it was looked up, and until a change
/// of a site is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostedNow {
    epoch: u64,
    until: Instant,
}

impl HostedNow {
    /// What was looked up at a time, in an epoch of [`Signals::sites_epoch`] that was read before.
    pub(super) fn since(epoch: u64, asked: Instant) -> Self {
        Self { epoch, until: asked + TIME_TO_LIVE }
    }

    /// Whether it still holds.
    pub(super) fn holds(self, epoch: u64, at: Instant) -> bool {
        self.epoch == epoch && at < self.until
    }
}

/// What is served at a host name, and how current that is.
#[derive(Clone)]
pub(super) struct HostAnswer {
    pub(super) at: HostContent,
    /// The age of the information, while the database is unavailable.
    pub(super) stale: Option<Duration>,
}

/// Cache of what is served at host names.
pub(super) struct Hosts {
    signals: Arc<Signals>,
    sites: LoadingCache<(u64, HostName), HostContent, StoreError>,
    /// For when the database is unavailable.
    last_known: LastKnown,
    database: Arc<Breaker>,
    asks: DefaultDirectRateLimiter,
}

impl Hosts {
    /// Serves the last known state for at most `serve_stale` while the database is unavailable.
    pub(super) fn new(signals: Arc<Signals>, database: Arc<Breaker>, serve_stale: Duration) -> Self {
        let quota = Quota::per_second(ASKS_A_SECOND).allow_burst(ASKS_AT_ONCE);
        Self {
            signals,
            sites: LoadingCache::new(SITES, Some(TIME_TO_LIVE)),
            last_known: LastKnown::new(serve_stale),
            database,
            asks: RateLimiter::direct(quota),
        }
    }

    /// The epoch of sites: what was looked up in another one does not hold any more.
    pub(super) fn epoch(&self) -> u64 {
        self.signals.sites_epoch()
    }

    /// Boxed, so that it is compiled here and not once more with the middleware, which is generic.
    pub(super) fn at<'a>(
        &'a self,
        hosting: &'a Hosting,
        host: &'a HostName,
    ) -> LocalBoxFuture<'a, Result<HostAnswer, Arc<StoreError>>> {
        Box::pin(self.at_by(host, look_up(hosting, host)))
    }

    async fn at_by(
        &self,
        host: &HostName,
        look_up: impl Future<Output = Result<HostContent, StoreError>>,
    ) -> Result<HostAnswer, Arc<StoreError>> {
        let key = (self.epoch(), host.clone());
        if let Some(at) = self.sites.get(&key) {
            return Ok(HostAnswer { at, stale: None });
        }
        let asked = Instant::now();
        let said = async {
            let at = self.database.ask(look_up).await?;
            self.last_known.keep(host, &at, asked);
            Ok(at)
        };
        let said = match self.database.admits() {
            true => self.sites.get_or_load(&key, said).await,
            false => Err(Arc::new(unreachable())),
        };
        match said {
            Ok(at) => Ok(HostAnswer { at, stale: None }),
            Err(error) => self.last_known.find(host, Instant::now()).ok_or(error),
        }
    }

    /// Whether one more query about a certificate is within the limit.
    pub(super) fn admits_ask(&self) -> bool {
        self.asks.check().is_ok()
    }
}

async fn look_up(hosting: &Hosting, host: &HostName) -> Result<HostContent, StoreError> {
    let now = HostedNow::since(hosting.live.hosts.epoch(), Instant::now());
    let found = hosting.core.reader().domains().hosted_at(host).await?;
    Ok(found.map_or(HostContent::Nothing, |site| place(hosting, host, site, now)))
}

/// What is served at this host of the site.
fn place(hosting: &Hosting, host: &HostName, site: HostedSite, now: HostedNow) -> HostContent {
    let Some(deployment) = site.deployment else { return HostContent::Idle };
    // What is cached is looked up again within a second, so also once the period is over.
    let is_spent = || site.bandwidth_spent_until.is_some_and(|until| hosting.core.env.now() < until);
    if site.paused || hosting.bandwidth_is_hard && is_spent() {
        return HostContent::Paused;
    }
    let leads_on = match host {
        HostName::Subdomain(_) => site.primary.is_some(),
        HostName::Domain(name) => {
            site.mode == Some(DomainMode::Redirect) && site.primary.as_ref() != Some(name)
        }
    };
    if leads_on {
        return HostContent::Moved(
            hosting.addresses.address_at(&site.subdomain, site.primary.as_deref()).into(),
        );
    }
    HostContent::Live(LiveSite { tenant: site.tenant, site: site.site, deployment }, now)
}

/// The name of the site that a request with this `Host` header is for; `None` for the API. An unknown name is answered by
/// the API, as an IP address is.
pub(super) async fn find(hosting: &Hosting, hosts: &Hosts, header: &str, path: &str) -> Option<HostName> {
    let host = host::name(header);
    if host.eq_ignore_ascii_case(&hosting.api.host) {
        return None;
    }
    if let Some(subdomain) = hosting.addresses.subdomain_of(host) {
        return Some(HostName::Subdomain(subdomain.to_ascii_lowercase()));
    }
    // Most requests by another name are by IP address; this check is quicker than parsing a domain name.
    if host.parse::<IpAddr>().is_ok() || !host.contains('.') {
        return None;
    }
    let name = DomainName::parse(host).ok()?;
    let name = HostName::Domain(name.into_string());
    match hosts.at(hosting, &name).await {
        Ok(HostAnswer { at: HostContent::Nothing, .. }) => None,
        Ok(_) => Some(name),
        // Unknown, because the database is unavailable. Requests for `/api/` (such as health checks) are answered by the
        // API; others get 503.
        Err(_) => (!path.starts_with("/api/")).then_some(name),
    }
}

/// The host name in a proxy's query.
pub(super) fn asked(hosting: &Hosting, domain: &str) -> Option<HostName> {
    let domain = host::without_root(domain);
    if let Some(subdomain) = hosting.addresses.subdomain_of(domain) {
        return Some(HostName::Subdomain(subdomain.to_ascii_lowercase()));
    }
    DomainName::parse(domain).ok().map(|name| HostName::Domain(name.into_string()))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use portico_kernel::AnnouncementListener;
    use tokio::sync::oneshot;

    use super::*;

    fn hosts(serve_stale: Duration) -> Hosts {
        Hosts::new(Arc::default(), Arc::default(), serve_stale)
    }

    async fn away() -> Result<HostContent, StoreError> {
        Err(StoreError::Unavailable("away".into()))
    }

    async fn never() -> Result<HostContent, StoreError> {
        panic!("asked")
    }

    #[tokio::test]
    async fn a_site_is_where_it_was_while_the_database_is_away() {
        let hosts = hosts(Duration::from_secs(60));
        let (shop, other) = (HostName::Subdomain("shop".into()), HostName::Subdomain("other".into()));
        let fresh = hosts.at_by(&shop, async { Ok(HostContent::Idle) }).await.unwrap();
        assert!(matches!(fresh, HostAnswer { at: HostContent::Idle, stale: None }));
        assert!(hosts.at_by(&shop, never()).await.unwrap().stale.is_none(), "known for less than a second");
        // A change was signalled, and then the database became unavailable.
        hosts.signals.announcements_lost();
        for _ in 0..3 {
            let found = hosts.at_by(&shop, away()).await.unwrap();
            assert!(matches!(found, HostAnswer { at: HostContent::Idle, stale: Some(_) }));
            assert!(hosts.at_by(&other, never()).await.is_err(), "nobody ever asked about it");
        }
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let back = hosts.at_by(&shop, async { Ok(HostContent::Paused) }).await.unwrap();
        assert!(matches!(back, HostAnswer { at: HostContent::Paused, stale: None }));
        assert!(hosts.at_by(&other, async { Ok(HostContent::Nothing) }).await.is_ok(), "all may ask again");
    }

    #[tokio::test]
    async fn a_lookup_that_ends_late_does_not_undo_what_a_later_one_found() {
        let (hosts, shop) = (hosts(Duration::from_secs(60)), HostName::Subdomain("shop".into()));
        let (answer, answered) = oneshot::channel();
        let slow = async { answered.await.map_err(|error| StoreError::Unavailable(error.into())) };
        let mut slow = Box::pin(hosts.at_by(&shop, slow));
        assert!(slow.as_mut().now_or_never().is_none());
        hosts.signals.announcements_lost();
        assert!(hosts.at_by(&shop, async { Ok(HostContent::Paused) }).await.is_ok());
        assert!(answer.send(HostContent::Idle).is_ok());
        assert!(matches!(slow.await.unwrap().at, HostContent::Idle));

        hosts.signals.announcements_lost();
        let found = hosts.at_by(&shop, away()).await.unwrap();
        assert!(matches!(found, HostAnswer { at: HostContent::Paused, stale: Some(_) }));
    }

    #[tokio::test]
    async fn without_a_bound_nothing_stale_is_served() {
        let hosts = hosts(Duration::ZERO);
        let shop = HostName::Subdomain("shop".into());
        assert!(hosts.at_by(&shop, async { Ok(HostContent::Idle) }).await.is_ok());
        hosts.signals.announcements_lost();
        assert!(hosts.at_by(&shop, away()).await.is_err());
    }
}
