//! What a tenant has bought and used.

use portico_billing::ports::{
    BillingRepositories, GenerationRepository, MeterRepository, PlanRepository, SubscriptionRepository,
};
use sea_orm::ConnectionTrait;

use crate::Repositories;

mod generations;
mod meters;
mod plans;
mod subscriptions;

impl<C: ConnectionTrait + Send> BillingRepositories for Repositories<C> {
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c> {
        Box::new(plans::Plans { connection: &self.connection })
    }

    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c> {
        Box::new(subscriptions::Subscriptions { connection: &self.connection })
    }

    fn generations<'c>(&'c mut self) -> Box<dyn GenerationRepository + 'c> {
        Box::new(generations::Generations { connection: &self.connection })
    }

    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c> {
        Box::new(meters::Meters { connection: &self.connection })
    }
}
