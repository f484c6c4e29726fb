//! The use cases of domains.

use portico_kernel::{
    DomainId, Env, Event, EventDeclaration, JobType, List, Meter, NewJob, PageRequest, Permission, Scope,
    SiteId, StoreError, TenantId, Violations,
};
use serde::{Deserialize, Serialize};

use super::{
    DnsOutcome, Domain, DomainMode, DomainReason, DomainStatus, DomainUpdate, NewDomain, check::DnsCheck,
    next_check, rules,
};
use crate::{
    SitesError,
    domain_name::{DomainName, OwnNames},
    events,
    ports::{DOMAIN_EXISTS, DOMAIN_VERIFIED_ELSEWHERE, SECOND_PRIMARY, SiteRepositories},
    site::{self, Site},
    version,
};

/// The job that checks a domain, and enqueues the next check.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckDomain {
    /// The site.
    pub site_id: SiteId,
    /// The domain.
    pub domain_id: DomainId,
    /// The round of checks that it belongs to; a job of an earlier one does nothing.
    pub round: i64,
}

impl JobType for CheckDomain {
    const KIND: &'static str = "domain.check";
    const MAX_ATTEMPTS: u32 = 20;
}

/// The job that rebuilds a site whose address has changed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedeploySite {
    /// The site.
    pub site_id: SiteId,
}

impl JobType for RedeploySite {
    const KIND: &'static str = "site.redeploy";
    const MAX_ATTEMPTS: u32 = 12;
}

/// The use cases of domains, inside one unit of work.
pub struct Domains<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Domains<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Connects a domain to a site, which counts against the tenant's plan; it serves nothing until it is verified. A job looks for
    /// the proof from now on.
    ///
    /// # Errors
    /// `Denied`, also without a verified address; `NotFound` (site); `Invalid`; `DomainExists`; `SiteForSale`; `OverLimit`;
    /// `Entitlement`.
    pub async fn add(
        &mut self,
        site: SiteId,
        input: NewDomain,
        own: &OwnNames,
    ) -> Result<Domain, SitesError> {
        let tenant = self.scope.require(Permission::DomainsWrite)?;
        self.scope.require_verified()?;
        let site = site::find(self.repositories, tenant, site).await?;
        site::editable(self.scope, &site)?;
        let mut violations = Violations::default();
        let name = violations.take("name", DomainName::parse(&input.name).and_then(|name| own.spare(name)));
        violations.into_result().map_err(SitesError::Invalid)?;
        let Some(name) = name else { return Err(SitesError::Invalid(Vec::new())) };
        let mode = match input.mode {
            Some(mode) => mode,
            None if self.repositories.domains().primary(tenant, site.id).await?.is_some() => {
                DomainMode::Redirect
            }
            None => DomainMode::Primary,
        };
        let now = self.env.now();
        let domain = Domain {
            id: self.env.new_id(),
            tenant,
            site_id: site.id,
            name: name.into_string(),
            mode,
            status: DomainStatus::Pending,
            reason: None,
            checked_at: None,
            verified_at: None,
            created_at: now,
            updated_at: now,
            records: Vec::new(),
            token: self.env.secret(),
            missing_since: None,
            misses: 0,
            round: 1,
            version: 1,
        };
        self.repositories.domains().insert(&domain).await.map_err(|error| match error {
            StoreError::Conflict(key) if key == DOMAIN_EXISTS => SitesError::DomainExists,
            StoreError::MissingReference(_) => SitesError::NotFound("site"),
            error => SitesError::Store(error),
        })?;
        self.append(self.event(&events::DOMAIN_ADDED, domain.id).after(&domain)).await?;
        self.schedule(&domain).await?;
        self.repositories.entitlements().take(tenant, Meter::CustomDomains, 1).await?;
        Ok(domain)
    }

    /// The site's domains, oldest first.
    ///
    /// # Errors
    /// `NotFound` (site).
    pub async fn list(&mut self, site: SiteId, page: PageRequest) -> Result<List<Domain>, SitesError> {
        let tenant = self.scope.require(Permission::DomainsRead)?;
        let list = self.repositories.domains().list(tenant, site, page).await?;
        if list.total == 0 {
            site::find(self.repositories, tenant, site).await?;
        }
        Ok(list)
    }

    /// The domain.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, site: SiteId, id: DomainId) -> Result<Domain, SitesError> {
        let tenant = self.scope.require(Permission::DomainsRead)?;
        self.find(tenant, site, id).await
    }

    /// The domain, for a caller who may have it checked. The DNS is asked outside of any unit of work; its answer is for
    /// [`Domains::record`].
    ///
    /// # Errors
    /// `Denied`, also without a verified address; `NotFound`; `SiteForSale`; `OverLimit`.
    pub async fn find_for_check(&mut self, site: SiteId, id: DomainId) -> Result<Domain, SitesError> {
        let tenant = self.scope.require(Permission::DomainsWrite)?;
        self.scope.require_verified()?;
        let domain = self.find(tenant, site, id).await?;
        let site = site::find(self.repositories, tenant, site).await?;
        site::editable(self.scope, &site)?;
        Ok(domain)
    }

    /// Changes what the domain is for. Making it the main address makes the previous one lead to it.
    ///
    /// # Errors
    /// `Denied`, also without a verified address; `NotFound`; `PreconditionFailed`; `SiteForSale`; `OverLimit`.
    pub async fn update(
        &mut self,
        site: SiteId,
        id: DomainId,
        input: DomainUpdate,
        expected: Option<i64>,
    ) -> Result<Domain, SitesError> {
        let tenant = self.scope.require(Permission::DomainsWrite)?;
        self.scope.require_verified()?;
        let site = site::lock(self.repositories, tenant, site).await?;
        site::editable(self.scope, &site)?;
        let before = self.find(tenant, site.id, id).await?;
        version::check(before.version, expected)?;
        let mut domain = before.clone();
        domain.mode = input.mode.unwrap_or(before.mode);
        domain.updated_at = self.env.now();
        if is_main(&domain) {
            self.demote_others(&site, id).await?;
        }
        self.store(&mut domain, expected).await?;
        self.append(self.event(&events::DOMAIN_UPDATED, id).before(&before).after(&domain)).await?;
        self.settle(site).await?;
        Ok(domain)
    }

    /// Disconnects the domain; it answers nothing from now on.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`; `SiteForSale`; `OverLimit`.
    pub async fn remove(
        &mut self,
        site: SiteId,
        id: DomainId,
        expected: Option<i64>,
    ) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::DomainsWrite)?;
        let site = site::lock(self.repositories, tenant, site).await?;
        site::editable(self.scope, &site)?;
        let before = self.find(tenant, site.id, id).await?;
        version::check(before.version, expected)?;
        // Two at the same moment: one of them removes it, so that the quota is released once.
        if !self.repositories.domains().delete(tenant, site.id, id).await? {
            return Err(SitesError::NotFound("domain"));
        }
        self.append(self.event(&events::DOMAIN_REMOVED, id).before(&before)).await?;
        self.settle(site).await?;
        Ok(self.repositories.entitlements().release(tenant, Meter::CustomDomains, 1).await?)
    }

    /// Disconnects all domains of a site that is about to be deleted in the same unit of work. The event that the site is deleted
    /// stands for all of it.
    pub async fn remove_all(&mut self, site: SiteId) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::SitesDelete)?;
        let removed = self.repositories.domains().delete_of_site(tenant, site).await?;
        Ok(self.repositories.entitlements().release(tenant, Meter::CustomDomains, removed).await?)
    }

    /// Records the answer of the DNS about the domain as it was when it was asked. A proof verifies it, unless another tenant has
    /// verified the name; a proof that is missing for some days ends the verification.
    ///
    /// # Errors
    /// `NotFound`; `DomainTaken`: the proof is there, but another tenant came first.
    pub async fn record(&mut self, checked: &Domain, check: DnsCheck) -> Result<Domain, SitesError> {
        let tenant = self.scope.require(Permission::DomainsWrite)?;
        let site = site::lock(self.repositories, tenant, checked.site_id).await?;
        let before = self.find(tenant, site.id, checked.id).await?;
        let mut domain = before.clone();
        domain.records = check.records;
        let moved = rules::note(&mut domain, check.outcome, self.env.now());
        if moved && is_main(&domain) {
            self.demote_others(&site, domain.id).await?;
        }
        // A domain that was given up has no job any more.
        let wakes = moved && before.status == DomainStatus::Failed;
        if wakes {
            domain.round += 1;
        }
        if moved || domain.reason != before.reason {
            domain.updated_at = self.env.now();
        }
        self.store(&mut domain, None).await?;
        let kind = match domain.status {
            DomainStatus::Verified if moved => Some(&events::DOMAIN_VERIFIED),
            DomainStatus::Failed if moved => Some(&events::DOMAIN_FAILED),
            // Members may want to know that a domain is about to be lost.
            DomainStatus::Verified if domain.reason != before.reason => Some(&events::DOMAIN_UPDATED),
            _ => None,
        };
        if let Some(kind) = kind {
            self.append(self.event(kind, domain.id).before(&before).after(&domain)).await?;
        }
        if wakes {
            self.schedule(&domain).await?;
        }
        if moved {
            self.settle(site).await?;
        }
        Ok(domain)
    }

    /// Records that another tenant has proven that the domain is theirs.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn record_taken(
        &mut self,
        checked: &Domain,
        mut check: DnsCheck,
    ) -> Result<Domain, SitesError> {
        check.outcome = DnsOutcome::Unknown(DomainReason::Taken);
        self.record(checked, check).await
    }

    /// The domain that a job is to check; `None` when it is gone, or the job is outdated.
    pub async fn due(
        &mut self,
        site: SiteId,
        id: DomainId,
        round: i64,
    ) -> Result<Option<Domain>, SitesError> {
        let tenant = self.scope.require(Permission::DomainsWrite)?;
        let found = self.repositories.domains().find(tenant, site, id).await?;
        Ok(found.filter(|domain| domain.round == round))
    }

    /// Ends a round of checks in the background and begins the next one, unless the domain is given up. A job that runs
    /// twice finds the round over and does nothing.
    pub async fn end_round(&mut self, mut domain: Domain) -> Result<(), SitesError> {
        self.scope.require(Permission::DomainsWrite)?;
        domain.round += 1;
        self.store(&mut domain, None).await?;
        self.schedule(&domain).await
    }

    /// Makes the verified primary domain the address of the site, or the subdomain when there is none, and has a live site
    /// built again: its pages name their address.
    async fn settle(&mut self, before: Site) -> Result<(), SitesError> {
        let primary = self.repositories.domains().primary(before.tenant_id, before.id).await?;
        let primary = primary.map(|domain| domain.name);
        if primary == before.custom_domain {
            return Ok(());
        }
        let now = self.env.now();
        let mut after = Site { custom_domain: primary, updated_at: now, ..before.clone() };
        self.repositories.sites().update(&after).await?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, &events::SITE_UPDATED, after.id.uuid());
        self.append(event.before(&before).after(&after)).await?;
        if after.live_deployment_id.is_some() {
            let job = RedeploySite { site_id: after.id };
            let job = NewJob::new(self.env, self.scope, after.tenant_id, &job);
            self.repositories.jobs().enqueue(job).await?;
        }
        Ok(())
    }

    /// Makes other primary domains of the site lead to the one that replaces them.
    async fn demote_others(&mut self, site: &Site, id: DomainId) -> Result<(), SitesError> {
        let Some(before) = self.repositories.domains().primary(site.tenant_id, site.id).await? else {
            return Ok(());
        };
        if before.id == id {
            return Ok(());
        }
        let mut demoted = Domain { mode: DomainMode::Redirect, updated_at: self.env.now(), ..before.clone() };
        self.store(&mut demoted, None).await?;
        self.append(self.event(&events::DOMAIN_UPDATED, before.id).before(&before).after(&demoted)).await
    }

    async fn find(&mut self, tenant: TenantId, site: SiteId, id: DomainId) -> Result<Domain, SitesError> {
        let found = self.repositories.domains().find(tenant, site, id).await?;
        found.ok_or(SitesError::NotFound("domain"))
    }

    async fn store(&mut self, domain: &mut Domain, expected: Option<i64>) -> Result<(), SitesError> {
        self.repositories.domains().update(domain).await.map_err(|error| match error {
            StoreError::Conflict(key) if key == DOMAIN_VERIFIED_ELSEWHERE => SitesError::DomainTaken,
            // Two became the main address at the same moment.
            StoreError::Conflict(key) if key == SECOND_PRIMARY => SitesError::Store(StoreError::Stale),
            error => version::refused(error, expected),
        })?;
        domain.version += 1;
        Ok(())
    }

    async fn schedule(&mut self, domain: &Domain) -> Result<(), SitesError> {
        let now = self.env.now();
        let Some(pause) = next_check(domain, now) else { return Ok(()) };
        let job = CheckDomain { site_id: domain.site_id, domain_id: domain.id, round: domain.round };
        let job = NewJob::new(self.env, self.scope, domain.tenant, &job).at(now + pause);
        Ok(self.repositories.jobs().enqueue(job).await?)
    }

    fn event(&self, kind: &'static EventDeclaration, id: DomainId) -> Event {
        Event::new(self.env, self.scope, kind, id.uuid())
    }

    async fn append(&mut self, event: Event) -> Result<(), SitesError> {
        Ok(self.repositories.events().append(event).await?)
    }
}

/// Whether it is the main address of its site.
fn is_main(domain: &Domain) -> bool {
    (domain.status, domain.mode) == (DomainStatus::Verified, DomainMode::Primary)
}
