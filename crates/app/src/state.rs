//! What every route can reach.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use portico_identity::{
    password::PasswordRule,
    ports::{
        AccountMailer, FactorSecrets, Marks, OpenIdProvider, PasskeyCeremonies, PasswordHasher, TokenIssuer,
    },
    session::SessionLifetimes,
};
use portico_kernel::{files::FileStore, http::HttpClient, images::ImageProcessor, signing::LinkSigner};
use portico_runtime::{core::Core, keyed_lock::KeyedLocks};
use portico_sandbox::Mailbox;
use portico_sites::{
    domain::Target,
    domain_name::OwnNames,
    ports::{ContentGenerator, DomainResolver, FormRenderer, SiteRenderer},
    site::Site,
};
use portico_web::connection::Connections;
use tokio::sync::Semaphore;

use crate::{
    admission::Admission,
    answers::Answers,
    flows::{previews::RenderedDrafts, template_preview::TemplatePreviews},
    http::{
        limits::Limits,
        openapi::Document,
        site::{Forms, LiveSites},
    },
    settings::Settings,
    throttle::Throttling,
    visits::VisitCounter,
};

/// The parts that the server is made of. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What background work shares with the routes.
    pub core: Core,
    /// Settings.
    pub settings: Arc<Settings>,
    /// Address under which clients reach the server, without a trailing slash.
    pub public_url: Arc<str>,
    /// Host name of `public_url`.
    pub api_host: Arc<str>,
    /// Port that published sites answer at, as part of their address (`:7600`, or empty for the default port).
    pub site_port: Arc<str>,
    /// Object storage.
    pub files: Arc<dyn FileStore>,
    /// Pictures that people upload.
    pub images: Arc<dyn ImageProcessor>,
    /// Places for uploaded files that are made ready at a time.
    pub uploads: Arc<Semaphore>,
    /// Password hashing.
    pub hasher: Arc<dyn PasswordHasher>,
    /// What a password must be like.
    pub password_rule: PasswordRule,
    /// Access and refresh tokens.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Marks of devices.
    pub marks: Arc<dyn Marks>,
    /// Guesses at credentials.
    pub throttling: Arc<Throttling>,
    /// Where people can sign in from elsewhere, by name.
    pub openid: Arc<BTreeMap<String, Arc<dyn OpenIdProvider>>>,
    /// Calls the receivers of webhooks, and nothing else: what it may call is what the settings allow for webhooks.
    pub webhook_client: Arc<dyn HttpClient>,
    /// Secrets of second factors.
    pub factors: Arc<dyn FactorSecrets>,
    /// Passkeys.
    pub passkeys: Arc<dyn PasskeyCeremonies>,
    /// Writer of texts, when there is one.
    pub generator: Option<Arc<dyn ContentGenerator>>,
    /// Links that work without signing in.
    pub signer: Arc<dyn LinkSigner>,
    /// Mail about accounts.
    pub mailer: Arc<dyn AccountMailer>,
    /// Where mail goes when there is no SMTP server.
    pub mailbox: Option<Arc<Mailbox>>,
    /// The DNS, about customers' domains.
    pub resolver: Arc<dyn DomainResolver>,
    /// Where customers' domains have to lead.
    pub domain_target: Arc<Target>,
    /// Renders sites.
    pub renderer: Arc<dyn SiteRenderer>,
    /// Templates that were rendered lately.
    pub template_previews: Arc<TemplatePreviews>,
    /// The cache of answers.
    pub answers: Arc<Answers>,
    /// What was seen on published sites.
    pub visits: Arc<VisitCounter>,
    /// How much may be sent through contact forms.
    pub forms: Arc<Forms>,
    /// Renders what contact forms answer.
    pub form_renderer: Arc<dyn FormRenderer>,
    /// What answers at which host name.
    pub live_sites: Arc<LiveSites>,
    /// Drafts that were looked at lately.
    pub drafts: Arc<RenderedDrafts>,
    /// Queues of work.
    pub admission: Arc<Admission>,
    /// Bytes of large bodies that are in memory.
    pub bodies: Arc<AtomicUsize>,
    /// Connections of clients.
    pub connections: Arc<Connections>,
    /// Rate limits, when there are any.
    pub limits: Option<Arc<Limits>>,
    /// Wizards that are being completed.
    pub completions: Arc<KeyedLocks>,
    /// The API document.
    pub document: Arc<Document>,
    /// Whether new requests are welcome: not while starting or shutting down.
    pub ready: Arc<AtomicBool>,
}

impl App {
    /// How long the parts of a session live.
    pub fn session_lifetimes(&self) -> SessionLifetimes {
        let security = &self.settings.security;
        let default = SessionLifetimes::default();
        SessionLifetimes {
            access_token: security.access_token_ttl.try_into().unwrap_or(default.access_token),
            refresh_token: security.refresh_token_ttl.try_into().unwrap_or(default.refresh_token),
            session: security.session_max_age.try_into().unwrap_or(default.session),
            grace: default.grace,
        }
    }

    /// How long a tenant can be restored after somebody asked for its deletion.
    pub fn deletion_grace(&self) -> time::Duration {
        self.settings.tenancy.deletion_grace.try_into().unwrap_or(time::Duration::MAX)
    }

    /// Where a site answers, without a trailing slash.
    pub fn site_url(&self, subdomain: &str) -> String {
        let scheme = if self.is_https() { "https" } else { "http" };
        format!("{scheme}://{subdomain}.{}{}", self.settings.sites.domain, self.site_port)
    }

    /// Where a site answers: at its main address, which is a domain of the customer's own where one is.
    pub fn site_address(&self, site: &Site) -> String {
        self.address_at(&site.subdomain, site.custom_domain.as_deref())
    }

    /// The address of a site with this subdomain and perhaps a domain of its own, without a trailing slash.
    pub fn address_at(&self, subdomain: &str, domain: Option<&str>) -> String {
        let Some(domain) = domain else { return self.site_url(subdomain) };
        let scheme = if self.is_https() { "https" } else { "http" };
        format!("{scheme}://{domain}{}", self.site_port)
    }

    /// The names that are not for customers to connect: where sites and the API are, and where domains have to lead.
    pub fn own_names(&self) -> OwnNames {
        let target = self.domain_target.host.as_deref();
        OwnNames::new([&*self.settings.sites.domain, &*self.api_host].into_iter().chain(target))
    }

    /// Whether clients reach the server over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https:")
    }

    /// The subdomain of a published site that a host name (without a port) is; `None` for the API itself.
    pub fn subdomain_of<'h>(&self, host: &'h str) -> Option<&'h str> {
        // Host names have no case (RFC 4343).
        let domain = self.settings.sites.domain.as_str();
        let (subdomain, rest) = host.split_at_checked(host.len().checked_sub(domain.len())?)?;
        let subdomain = subdomain.strip_suffix('.').filter(|_| rest.eq_ignore_ascii_case(domain))?;
        (!subdomain.is_empty() && !host.eq_ignore_ascii_case(&self.api_host)).then_some(subdomain)
    }
}
