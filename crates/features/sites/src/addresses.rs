//! Where sites answer.

use std::sync::Arc;

use portico_sites::{domain::Target, domain_name::OwnNames, site::Site};

/// Where sites answer.
#[derive(Clone, Debug)]
pub struct SiteAddresses {
    /// A site answers at `{subdomain}.{domain}`.
    pub domain: String,
    /// Port as part of an address (`:7600`, or empty for the default port).
    pub port: String,
    /// Whether sites are reached over TLS.
    pub is_https: bool,
    /// Host name of the API.
    pub api_host: Arc<str>,
    /// Where customers' own domains have to lead.
    pub target: Target,
}

impl SiteAddresses {
    /// Where a site answers, without a trailing slash.
    pub fn site_url(&self, subdomain: &str) -> String {
        format!("{}://{subdomain}.{}{}", self.scheme(), self.domain, self.port)
    }

    /// Where a site answers: at its main address, which is a domain of the customer's own where one is.
    pub fn site_address(&self, site: &Site) -> String {
        self.address_at(&site.subdomain, site.custom_domain.as_deref())
    }

    /// The address of a site with this subdomain and perhaps a domain of its own, without a trailing slash.
    pub fn address_at(&self, subdomain: &str, domain: Option<&str>) -> String {
        match domain {
            Some(domain) => format!("{}://{domain}{}", self.scheme(), self.port),
            None => self.site_url(subdomain),
        }
    }

    /// The names that are not for customers to connect: where sites and the API are, and where domains have to lead.
    pub fn own_names(&self) -> OwnNames {
        let target = self.target.host.as_deref();
        OwnNames::new([&*self.domain, &*self.api_host].into_iter().chain(target))
    }

    /// The subdomain of a published site that a host name (without a port) is; `None` for the API itself.
    pub fn subdomain_of<'h>(&self, host: &'h str) -> Option<&'h str> {
        // Host names have no case (RFC 4343).
        let domain = self.domain.as_str();
        let (subdomain, rest) = host.split_at_checked(host.len().checked_sub(domain.len())?)?;
        let subdomain = subdomain.strip_suffix('.').filter(|_| rest.eq_ignore_ascii_case(domain))?;
        (!subdomain.is_empty() && !host.eq_ignore_ascii_case(&self.api_host)).then_some(subdomain)
    }

    fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}
