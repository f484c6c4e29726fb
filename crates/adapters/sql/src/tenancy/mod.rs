//! Whose data it is.

use portico_tenancy::ports::{
    AuditTrail, BrandingRepository, MembershipRepository, TenancyRepositories, TenantRepository,
};
use sea_orm::ConnectionTrait;

use crate::Repositories;

mod audit;
mod brandings;
mod memberships;
pub(crate) mod subdomains;
mod tenants;

impl<C: ConnectionTrait + Send> TenancyRepositories for Repositories<C> {
    fn tenants<'c>(&'c mut self) -> Box<dyn TenantRepository + 'c> {
        Box::new(tenants::Tenants { connection: &self.connection })
    }

    fn memberships<'c>(&'c mut self) -> Box<dyn MembershipRepository + 'c> {
        Box::new(memberships::Memberships { connection: &self.connection })
    }

    fn branding<'c>(&'c mut self) -> Box<dyn BrandingRepository + 'c> {
        Box::new(brandings::Brandings { connection: &self.connection })
    }

    fn audit<'c>(&'c mut self) -> Box<dyn AuditTrail + 'c> {
        Box::new(audit::Audit { connection: &self.connection })
    }
}
