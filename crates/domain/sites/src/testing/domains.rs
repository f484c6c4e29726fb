//! Domains of customers, in memory.

use async_trait::async_trait;
use portico_kernel::{DomainId, List, PageRequest, SiteId, StoreError, TenantId};

use super::{View, conflict, missing, page_of};
use crate::{
    domain::{Domain, DomainMode, DomainStatus},
    ports::{
        DOMAIN_EXISTS, DOMAIN_VERIFIED_ELSEWHERE, DomainRepository, HostName, HostedSite, SECOND_PRIMARY,
    },
    site::SiteStatus,
};

/// The stored rows.
#[derive(Default)]
pub(crate) struct State {
    pub domains: Vec<Domain>,
}

fn is_main(domain: &Domain) -> bool {
    (domain.status, domain.mode) == (DomainStatus::Verified, DomainMode::Primary)
}

#[async_trait]
impl DomainRepository for View<'_> {
    async fn insert(&mut self, domain: &Domain) -> Result<(), StoreError> {
        if !self.0.sites.iter().any(|site| (site.tenant_id, site.id) == (domain.tenant, domain.site_id)) {
            return missing("domains_site");
        }
        let same = |other: &Domain| (other.tenant, &other.name) == (domain.tenant, &domain.name);
        if self.0.domains.domains.iter().any(same) {
            return conflict(DOMAIN_EXISTS);
        }
        self.0.domains.domains.push(domain.clone());
        Ok(())
    }
    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DomainId,
    ) -> Result<Option<Domain>, StoreError> {
        let mut all = self.0.domains.domains.iter();
        Ok(all.find(|domain| (domain.tenant, domain.site_id, domain.id) == (tenant, site, id)).cloned())
    }
    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageRequest,
    ) -> Result<List<Domain>, StoreError> {
        let all = self.0.domains.domains.iter();
        let mine = all.filter(|domain| (domain.tenant, domain.site_id) == (tenant, site));
        Ok(page_of(mine.cloned().collect(), page))
    }
    async fn primary(&mut self, tenant: TenantId, site: SiteId) -> Result<Option<Domain>, StoreError> {
        let mut all = self.0.domains.domains.iter();
        Ok(all.find(|domain| (domain.tenant, domain.site_id) == (tenant, site) && is_main(domain)).cloned())
    }
    async fn update(&mut self, domain: &Domain) -> Result<(), StoreError> {
        let others = || self.0.domains.domains.iter().filter(|other| other.id != domain.id);
        let verified = |other: &Domain| other.status == DomainStatus::Verified;
        if verified(domain) && others().any(|other| verified(other) && other.name == domain.name) {
            return conflict(DOMAIN_VERIFIED_ELSEWHERE);
        }
        if is_main(domain) && others().any(|other| is_main(other) && other.site_id == domain.site_id) {
            return conflict(SECOND_PRIMARY);
        }
        let mut all = self.0.domains.domains.iter_mut();
        let stored = all.find(|other| other.id == domain.id).ok_or(StoreError::Stale)?;
        if stored.version != domain.version {
            return Err(StoreError::Stale);
        }
        *stored = Domain { version: domain.version + 1, ..domain.clone() };
        Ok(())
    }
    async fn delete(&mut self, tenant: TenantId, site: SiteId, id: DomainId) -> Result<bool, StoreError> {
        let before = self.0.domains.domains.len();
        self.0
            .domains
            .domains
            .retain(|domain| (domain.tenant, domain.site_id, domain.id) != (tenant, site, id));
        Ok(self.0.domains.domains.len() < before)
    }
    async fn delete_of_site(&mut self, tenant: TenantId, site: SiteId) -> Result<u64, StoreError> {
        let before = self.0.domains.domains.len();
        self.0.domains.domains.retain(|domain| (domain.tenant, domain.site_id) != (tenant, site));
        Ok((before - self.0.domains.domains.len()) as u64)
    }
    async fn hosted_at(&mut self, host: &HostName) -> Result<Option<HostedSite>, StoreError> {
        let (site, mode) = match host {
            HostName::Subdomain(name) => {
                (self.0.sites.iter().find(|site| site.subdomain == name.as_str()), None)
            }
            HostName::Domain(name) => {
                let mut all = self.0.domains.domains.iter();
                let domain =
                    all.find(|domain| domain.name == *name && domain.status == DomainStatus::Verified);
                let site = domain.and_then(|domain| {
                    self.0
                        .sites
                        .iter()
                        .find(|site| (site.tenant_id, site.id) == (domain.tenant, domain.site_id))
                });
                (site, domain.map(|domain| domain.mode))
            }
        };
        Ok(site.map(|site| HostedSite {
            tenant: site.tenant_id,
            site: site.id,
            subdomain: site.subdomain.clone(),
            deployment: site.live_deployment_id.filter(|_| site.status != SiteStatus::Suspended),
            paused: false,
            bandwidth_spent_until: None,
            primary: site.custom_domain.clone(),
            mode,
        }))
    }
}
