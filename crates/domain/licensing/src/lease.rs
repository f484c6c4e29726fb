//! Leases of floating seats that are over: their event, and machines that do not come back. Who holds a seat is told by the clock, see
//! [`Activation::holds_seat`].
//!
//! [`Activation::holds_seat`]: crate::activation::Activation::holds_seat

use portico_kernel::{Env, Event, RequestInfo, Scope};
use time::Duration;

use crate::{LicensingError, activation::Activation, events, ports::LicensingRepositories};

/// Machines of one unit of work.
const BATCH: u64 = 100;

/// For how long a machine without a seat is known. Until then a heartbeat takes a seat again, after it the machine has to be activated.
const KNOWN: Duration = Duration::WEEK;

/// What the schedule does. It asks for no permission: the clock decides.
pub struct LeaseEnds<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    env: &'a Env,
}

impl<'a> LeaseEnds<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, env: &'a Env) -> Self {
        Self { repositories, env }
    }

    /// Notes the ends of a batch of leases, and forgets a batch of machines that have not come back for a week. Answers whether there are
    /// no others.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note(&mut self) -> Result<bool, LicensingError> {
        let now = self.env.now();
        let mut over = self.repositories.activations().lapsing(now, BATCH).await?;
        // The order in which licenses are locked.
        over.sort_by_key(|machine| machine.license_id);
        for found in &over {
            let (tenant, license) = (found.tenant_id, found.license_id);
            // Another unit of work may have heard of the machine since it was read.
            self.repositories.licenses().lock(tenant, license).await?;
            let machine = self.repositories.activations().find(tenant, license, found.id).await?;
            let Some(machine) = machine.filter(|machine| !machine.holds_seat(now) && !machine.lapsed) else {
                continue;
            };
            let scope = Scope::system(Some(tenant), RequestInfo::default());
            let event = Event::new(self.env, &scope, &events::LICENSE_LEASE_ENDED, license.uuid());
            self.repositories.events().append(event.in_tenant(tenant).before(&machine)).await?;
            self.repositories.activations().update(&Activation { lapsed: true, ..machine }).await?;
        }
        // Last: it locks machines without their licenses. It waits for nobody, and no license is locked after it.
        let forgotten = self.repositories.activations().forget_lapsed(now - KNOWN, BATCH).await?;
        Ok((over.len() as u64) < BATCH && forgotten < BATCH)
    }
}

#[cfg(test)]
mod tests;
