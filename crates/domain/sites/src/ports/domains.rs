//! Domains of customers: the ports.

use std::net::IpAddr;

use async_trait::async_trait;
use portico_kernel::{
    DeploymentId, DomainId, List, PageRequest, SiteId, StoreError, TenantId, Timestamp, name::Subdomain,
};

use crate::domain::{Domain, DomainMode};

/// The conflict when the tenant has a domain of this name already.
pub const DOMAIN_EXISTS: &str = "domains_name_key";
/// The conflict when another tenant has proven that the name is theirs.
pub const DOMAIN_VERIFIED_ELSEWHERE: &str = "domains_verified_key";
/// The conflict when the site has another primary domain.
pub const SECOND_PRIMARY: &str = "domains_primary_key";

/// The host name of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostName {
    /// A name below the domain of sites.
    Subdomain(String),
    /// A name of a customer's own.
    Domain(String),
}

/// The site at a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedSite {
    /// The tenant.
    pub tenant: TenantId,
    /// The site.
    pub site: SiteId,
    /// Its subdomain.
    pub subdomain: Subdomain,
    /// The live deployment; `None` when there is none, or the site is suspended.
    pub deployment: Option<DeploymentId>,
    /// Whether the tenant is suspended.
    pub paused: bool,
    /// Until when the bandwidth of the tenant is used up, as far as it was checked. The time may be over.
    pub bandwidth_spent_until: Option<Timestamp>,
    /// The domain that is the site's main address, where it is not the subdomain.
    pub primary: Option<String>,
    /// The mode of the domain, where the visitor came to one.
    pub mode: Option<DomainMode>,
}

/// Domains of customers.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DomainRepository: Send {
    /// Stores a new domain. MUST answer `Conflict` with [`DOMAIN_EXISTS`] when the tenant has one of this name, also under
    /// concurrency, and `MissingReference` when the tenant has no such site. Other tenants may have the name too, as long as
    /// none of them has proven it.
    async fn insert(&mut self, domain: &Domain) -> Result<(), StoreError>;

    /// The domain.
    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DomainId,
    ) -> Result<Option<Domain>, StoreError>;

    /// The site's domains, oldest first.
    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageRequest,
    ) -> Result<List<Domain>, StoreError>;

    /// The domain that is the site's main address: the verified one in that mode.
    async fn primary(&mut self, tenant: TenantId, site: SiteId) -> Result<Option<Domain>, StoreError>;

    /// Stores the domain with `version + 1`. MUST answer `Stale` when the stored version is not `domain.version`; `Conflict`
    /// with [`DOMAIN_VERIFIED_ELSEWHERE`] when it is to be verified and another one of the name is, and with
    /// [`SECOND_PRIMARY`] when the site has another verified primary one, both also under concurrency.
    async fn update(&mut self, domain: &Domain) -> Result<(), StoreError>;

    /// Deletes the domain. Answers whether it was there: to one of two calls at once.
    async fn delete(&mut self, tenant: TenantId, site: SiteId, id: DomainId) -> Result<bool, StoreError>;

    /// Deletes all domains of a site that is about to be deleted, and answers how many there were. MUST keep other transactions
    /// from adding one until the unit of work ends.
    async fn delete_of_site(&mut self, tenant: TenantId, site: SiteId) -> Result<u64, StoreError>;

    /// The site at a host name; by a name of a customer's own only when that is verified. MUST NOT answer a site whose tenant
    /// is being deleted.
    async fn hosted_at(&mut self, host: &HostName) -> Result<Option<HostedSite>, StoreError>;
}

/// Why the DNS gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No server answered in time.
    #[error("no name server answered in time")]
    TimedOut,
    /// A server refused, or failed, or its answer cannot be understood.
    #[error("the name servers failed: {0}")]
    Failed(String),
}

/// Where a name leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointing {
    /// The names that it is an alias of, one behind the other, in lower case without a dot at the end.
    pub aliases: Vec<String>,
    /// The addresses at the end.
    pub addresses: Vec<IpAddr>,
}

/// Asks the DNS. Names are in the form of [`crate::domain_name::DomainName`], perhaps with an underscore.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DomainResolver: Send + Sync {
    /// The values of the text records at a name, each with its parts put together (RFC 7208 section 3.3 does the same). MUST
    /// answer nothing, and no error, when there is no such name or it has none; MUST follow aliases; MUST answer
    /// [`ResolveError::TimedOut`] within ten seconds when no server does; MUST NOT answer from a cache what a server would answer
    /// differently: people change records and ask again at once.
    async fn texts(&self, name: &str) -> Result<Vec<String>, ResolveError>;

    /// Where a name leads, under the same conditions.
    async fn pointing(&self, name: &str) -> Result<Pointing, ResolveError>;
}
