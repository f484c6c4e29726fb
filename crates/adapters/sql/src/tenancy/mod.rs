//! Whose data it is.

use portico_billing::quota::Quotas;
use portico_kernel::Headroom;
use portico_tenancy::ports::{
    AuditTrail, BrandingRepository, CustomerNoteRepository, CustomerRepository, DealerRepository,
    DeliveryPlans, DeliveryRepository, GrowthRepository, InvitationRepository, MembershipRepository,
    SealRepository, SettingsRepository, TenancyRepositories, TenantRepository, WebhookRepository,
};

use crate::{Repositories, db::StatementConnection};

mod audit;
mod brandings;
mod customer_notes;
mod customers;
mod dealers;
mod deliveries;
mod delivery_plans;
mod delivery_queue;
mod growth;
mod invitations;
mod memberships;
pub(crate) mod seals;
mod settings;
pub(crate) mod subdomains;
mod tenants;
mod webhooks;

impl<C: StatementConnection> TenancyRepositories for Repositories<C> {
    fn tenants<'c>(&'c mut self) -> Box<dyn TenantRepository + 'c> {
        Box::new(tenants::Tenants { db: self.connection.db() })
    }

    fn customers<'c>(&'c mut self) -> Box<dyn CustomerRepository + 'c> {
        Box::new(customers::Customers { db: self.connection.db() })
    }

    fn customer_notes<'c>(&'c mut self) -> Box<dyn CustomerNoteRepository + 'c> {
        Box::new(customer_notes::CustomerNotes { db: self.connection.db() })
    }

    fn memberships<'c>(&'c mut self) -> Box<dyn MembershipRepository + 'c> {
        Box::new(memberships::Memberships { db: self.connection.db() })
    }

    fn invitations<'c>(&'c mut self) -> Box<dyn InvitationRepository + 'c> {
        Box::new(invitations::Invitations { db: self.connection.db() })
    }

    fn settings<'c>(&'c mut self) -> Box<dyn SettingsRepository + 'c> {
        Box::new(settings::Settings { db: self.connection.db() })
    }

    fn dealers<'c>(&'c mut self) -> Box<dyn DealerRepository + 'c> {
        Box::new(dealers::Dealers { db: self.connection.db() })
    }

    fn branding<'c>(&'c mut self) -> Box<dyn BrandingRepository + 'c> {
        Box::new(brandings::Brandings { db: self.connection.db() })
    }

    fn audit<'c>(&'c mut self) -> Box<dyn AuditTrail + 'c> {
        Box::new(audit::Audit { db: self.connection.db() })
    }

    fn seals<'c>(&'c mut self) -> Box<dyn SealRepository + 'c> {
        Box::new(seals::Seals { db: self.connection.db() })
    }

    fn webhooks<'c>(&'c mut self) -> Box<dyn WebhookRepository + 'c> {
        Box::new(webhooks::Webhooks { db: self.connection.db() })
    }

    fn deliveries<'c>(&'c mut self) -> Box<dyn DeliveryRepository + 'c> {
        Box::new(deliveries::Deliveries { db: self.connection.db() })
    }

    fn delivery_plans<'c>(&'c mut self) -> Box<dyn DeliveryPlans + 'c> {
        Box::new(delivery_plans::Plans { db: self.connection.db() })
    }

    fn growth<'c>(&'c mut self) -> Box<dyn GrowthRepository + 'c> {
        Box::new(growth::Growth { db: self.connection.db() })
    }

    fn headroom<'c>(&'c mut self) -> Box<dyn Headroom + 'c> {
        Box::new(Quotas::new(self))
    }
}
