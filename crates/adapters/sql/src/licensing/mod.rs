//! Licenses of products, and where they are used.

use portico_licensing::ports::{
    ActivationRepository, LicensePolicyRepository, LicenseRepository, LicenseTransferRepository,
    LicensingRepositories,
};

use crate::{Repositories, connection::StatementConnection};

mod activations;
mod licenses;
mod policies;
mod transfers;

impl<C: StatementConnection + Send> LicensingRepositories for Repositories<C> {
    fn license_policies<'c>(&'c mut self) -> Box<dyn LicensePolicyRepository + 'c> {
        Box::new(policies::LicensePolicies { db: self.db() })
    }

    fn licenses<'c>(&'c mut self) -> Box<dyn LicenseRepository + 'c> {
        Box::new(licenses::Licenses { db: self.db() })
    }

    fn license_transfers<'c>(&'c mut self) -> Box<dyn LicenseTransferRepository + 'c> {
        Box::new(transfers::LicenseTransfers { db: self.db() })
    }

    fn activations<'c>(&'c mut self) -> Box<dyn ActivationRepository + 'c> {
        Box::new(activations::Activations { db: self.db() })
    }
}
