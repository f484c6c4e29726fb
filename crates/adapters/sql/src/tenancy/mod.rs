//! Whose data it is.

use portico_tenancy::ports::{
    AuditTrail, BrandingRepository, DealerRepository, DeliveryPlans, DeliveryRepository,
    InvitationRepository, MembershipRepository, SealRepository, SettingsRepository, TenancyRepositories,
    TenantRepository, WebhookRepository,
};
use sea_orm::ConnectionTrait;

use crate::Repositories;

mod audit;
mod brandings;
mod dealers;
mod deliveries;
mod delivery_plans;
mod delivery_queue;
mod invitations;
mod memberships;
pub(crate) mod seals;
mod settings;
pub(crate) mod subdomains;
mod tenants;
mod webhooks;

impl<C: ConnectionTrait + Send> TenancyRepositories for Repositories<C> {
    fn tenants<'c>(&'c mut self) -> Box<dyn TenantRepository + 'c> {
        Box::new(tenants::Tenants { connection: &self.connection })
    }

    fn memberships<'c>(&'c mut self) -> Box<dyn MembershipRepository + 'c> {
        Box::new(memberships::Memberships { connection: &self.connection })
    }

    fn invitations<'c>(&'c mut self) -> Box<dyn InvitationRepository + 'c> {
        Box::new(invitations::Invitations { connection: &self.connection })
    }

    fn settings<'c>(&'c mut self) -> Box<dyn SettingsRepository + 'c> {
        Box::new(settings::Settings { connection: &self.connection })
    }

    fn dealers<'c>(&'c mut self) -> Box<dyn DealerRepository + 'c> {
        Box::new(dealers::Dealers { connection: &self.connection })
    }

    fn branding<'c>(&'c mut self) -> Box<dyn BrandingRepository + 'c> {
        Box::new(brandings::Brandings { connection: &self.connection })
    }

    fn audit<'c>(&'c mut self) -> Box<dyn AuditTrail + 'c> {
        Box::new(audit::Audit { connection: &self.connection })
    }

    fn seals<'c>(&'c mut self) -> Box<dyn SealRepository + 'c> {
        Box::new(seals::Seals { connection: &self.connection })
    }

    fn webhooks<'c>(&'c mut self) -> Box<dyn WebhookRepository + 'c> {
        Box::new(webhooks::Webhooks { connection: &self.connection })
    }

    fn deliveries<'c>(&'c mut self) -> Box<dyn DeliveryRepository + 'c> {
        Box::new(deliveries::Deliveries { connection: &self.connection })
    }

    fn delivery_plans<'c>(&'c mut self) -> Box<dyn DeliveryPlans + 'c> {
        Box::new(delivery_plans::Plans { connection: &self.connection })
    }
}
