//! Licenses of products, where they are used, and what is downloaded by them.

use portico_licensing::ports::{
    ActivationRepository, DownloadRepository, LicensePolicyRepository, LicenseRepository,
    LicenseTransferRepository, LicensingRepositories, ReleaseRepository, ReleaseUploadRepository,
};

use crate::{Repositories, db::StatementConnection};

mod activations;
mod downloads;
mod licenses;
mod policies;
mod releases;
mod transfers;

impl<C: StatementConnection> LicensingRepositories for Repositories<C> {
    fn license_policies<'c>(&'c mut self) -> Box<dyn LicensePolicyRepository + 'c> {
        Box::new(policies::LicensePolicies { db: self.connection.db() })
    }

    fn licenses<'c>(&'c mut self) -> Box<dyn LicenseRepository + 'c> {
        Box::new(licenses::Licenses { db: self.connection.db() })
    }

    fn license_transfers<'c>(&'c mut self) -> Box<dyn LicenseTransferRepository + 'c> {
        Box::new(transfers::LicenseTransfers { db: self.connection.db() })
    }

    fn activations<'c>(&'c mut self) -> Box<dyn ActivationRepository + 'c> {
        Box::new(activations::Activations { db: self.connection.db() })
    }

    fn releases<'c>(&'c mut self) -> Box<dyn ReleaseRepository + 'c> {
        Box::new(releases::Releases { db: self.connection.db() })
    }

    fn release_uploads<'c>(&'c mut self) -> Box<dyn ReleaseUploadRepository + 'c> {
        Box::new(releases::ReleaseUploads { db: self.connection.db() })
    }

    fn downloads<'c>(&'c mut self) -> Box<dyn DownloadRepository + 'c> {
        Box::new(downloads::Downloads { db: self.connection.db() })
    }
}
