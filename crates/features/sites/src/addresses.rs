//! Host names and URLs of sites.

use std::sync::Arc;

use portico_sites::{domain::HostingTarget, domain_name::OwnNames, site::Site};

/// Host names and URLs of sites.
#[derive(Clone, Debug)]
pub struct SiteAddresses {
    /// A site answers at `{subdomain}.{domain}`.
    pub domain: String,
    /// Port in URLs (`:7600`, or empty for the default port).
    pub port: String,
    /// Whether sites are reached over TLS.
    pub is_https: bool,
    /// Host name of the API.
    pub api_host: Arc<str>,
    /// The target that customers' own domains have to point to.
    pub target: HostingTarget,
}

impl SiteAddresses {
    /// The URL of a site at its subdomain, without a trailing slash.
    pub fn site_url(&self, subdomain: &str) -> String {
        format!("{}://{subdomain}.{}{}", self.scheme(), self.domain, self.port)
    }

    /// The URL of a site at its main address, which is the customer's own domain if it has one.
    pub fn site_address(&self, site: &Site) -> String {
        self.address_at(&site.subdomain, site.custom_domain.as_deref())
    }

    /// The URL of a site with this subdomain and optional custom domain, without a trailing slash.
    pub fn address_at(&self, subdomain: &str, domain: Option<&str>) -> String {
        match domain {
            Some(domain) => format!("{}://{domain}{}", self.scheme(), self.port),
            None => self.site_url(subdomain),
        }
    }

    /// The names that customers cannot connect: those of sites, the API and the domain target.
    pub fn own_names(&self) -> OwnNames {
        let target = self.target.host.as_deref();
        OwnNames::new([&*self.domain, &*self.api_host].into_iter().chain(target))
    }

    /// The subdomain of the published site at a host name (without a port); `None` for the API itself.
    pub fn subdomain_of<'h>(&self, host: &'h str) -> Option<&'h str> {
        // Host names are case-insensitive (RFC 4343).
        let domain = self.domain.as_str();
        let (subdomain, rest) = host.split_at_checked(host.len().checked_sub(domain.len())?)?;
        let subdomain = subdomain.strip_suffix('.').filter(|_| rest.eq_ignore_ascii_case(domain))?;
        (!subdomain.is_empty() && !host.eq_ignore_ascii_case(&self.api_host)).then_some(subdomain)
    }

    fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}
