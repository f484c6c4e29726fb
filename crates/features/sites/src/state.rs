//! What the routes and the background work of sites share.

use std::sync::Arc;

use portico_kernel::{files::FileStore, images::ImageProcessor};
use portico_runtime::{core::Core, keyed_lock::KeyedLocks, mailing::Mailing};
use portico_sites::{
    domain::Target,
    domain_name::OwnNames,
    ports::{ContentGenerator, DomainResolver, SiteRenderer},
    site::Site,
};
use portico_web::api::Api;
use tokio::sync::Semaphore;

use crate::{
    flows::{previews::RenderedDrafts, template_preview::TemplatePreviews},
    hosting::LiveSites,
    settings::Settings,
    visits::VisitCounter,
};

/// The parts of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What everything in the process shares.
    pub core: Core,
    /// What stands around the routes.
    pub api: Api,
    /// Settings of sites.
    pub settings: Arc<Settings>,
    /// Where sites answer.
    pub addresses: Arc<SiteAddresses>,
    /// Sends mail.
    pub mail: Mailing,
    /// Object storage.
    pub files: Arc<dyn FileStore>,
    /// Pictures that people upload.
    pub images: Arc<dyn ImageProcessor>,
    /// Uploaded files that are made ready at a time.
    pub uploads: Arc<Semaphore>,
    /// Writer of texts, when there is one.
    pub generator: Option<Arc<dyn ContentGenerator>>,
    /// The DNS, about customers' domains.
    pub resolver: Arc<dyn DomainResolver>,
    /// Renders sites.
    pub renderer: Arc<dyn SiteRenderer>,
    /// What was rendered lately to be looked at.
    pub previews: Arc<RenderedPreviews>,
    /// What was seen on published sites.
    pub visits: Arc<VisitCounter>,
    /// What answers at which host name.
    pub live_sites: Arc<LiveSites>,
    /// Wizards that are being completed.
    pub completions: Arc<KeyedLocks>,
}

impl App {
    /// The same for background work.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}

/// What was rendered lately to be looked at.
#[derive(Default)]
pub struct RenderedPreviews {
    /// Drafts of sites.
    pub drafts: RenderedDrafts,
    /// Templates.
    pub templates: TemplatePreviews,
}

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
