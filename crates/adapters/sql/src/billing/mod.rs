//! What a tenant has bought and used.

use portico_billing::ports::{
    BillingRepositories, GenerationRepository, MeterRepository, PlanRepository, SubscriptionRepository,
};

use crate::{Repositories, connection::StatementConnection};

mod generations;
mod meters;
mod plans;
mod roomy;
mod subscriptions;

pub(crate) use roomy::RoomyTenants;
pub(crate) use subscriptions::agreed_rate;

impl<C: StatementConnection + Send> BillingRepositories for Repositories<C> {
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c> {
        Box::new(plans::Plans { db: self.db() })
    }

    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c> {
        Box::new(subscriptions::Subscriptions { db: self.db() })
    }

    fn generations<'c>(&'c mut self) -> Box<dyn GenerationRepository + 'c> {
        Box::new(generations::Generations { db: self.db() })
    }

    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c> {
        Box::new(meters::Meters { db: self.db() })
    }
}
