//! Who somebody is.

use portico_billing::quota::Quotas;
use portico_identity::ports::{
    IdentityRepositories, OneTimeTokenRepository, SessionRepository, UserRepository,
};
use portico_kernel::Headroom;

use crate::{Repositories, db::StatementConnection};

mod api_key_usage;
mod api_keys;
mod directory;
mod email_changes;
mod external_identities;
mod known_devices;
mod mail_budgets;
mod one_time_tokens;
mod passkeys;
mod pending_sign_ins;
mod personal_data;
mod second_factors;
mod sessions;
mod sign_in_attempts;
mod sign_in_failures;
pub(crate) mod users;

pub use personal_data::personal_columns;

impl<C: StatementConnection> IdentityRepositories for Repositories<C> {
    fn directory<'c>(&'c mut self) -> Box<dyn portico_identity::ports::UserDirectory + 'c> {
        Box::new(directory::Directory { db: self.connection.db() })
    }

    fn personal_data<'c>(&'c mut self) -> Box<dyn portico_identity::ports::PersonalData + 'c> {
        Box::new(personal_data::Personal { db: self.connection.db() })
    }

    fn users<'c>(&'c mut self) -> Box<dyn UserRepository + 'c> {
        Box::new(users::Users { db: self.connection.db() })
    }

    fn sessions<'c>(&'c mut self) -> Box<dyn SessionRepository + 'c> {
        Box::new(sessions::Sessions { db: self.connection.db() })
    }

    fn second_factors<'c>(&'c mut self) -> Box<dyn portico_identity::ports::SecondFactorRepository + 'c> {
        Box::new(second_factors::SecondFactors { db: self.connection.db() })
    }

    fn pending_sign_ins<'c>(&'c mut self) -> Box<dyn portico_identity::ports::PendingSignInRepository + 'c> {
        Box::new(pending_sign_ins::PendingSignIns { db: self.connection.db() })
    }

    fn passkeys<'c>(&'c mut self) -> Box<dyn portico_identity::ports::PasskeyRepository + 'c> {
        Box::new(passkeys::Passkeys { db: self.connection.db() })
    }

    fn external_identities<'c>(
        &'c mut self,
    ) -> Box<dyn portico_identity::ports::ExternalIdentityRepository + 'c> {
        Box::new(external_identities::ExternalIdentities { db: self.connection.db() })
    }

    fn sign_in_attempts<'c>(&'c mut self) -> Box<dyn portico_identity::ports::SignInAttemptRepository + 'c> {
        Box::new(sign_in_attempts::SignInAttempts { db: self.connection.db() })
    }

    fn email_changes<'c>(&'c mut self) -> Box<dyn portico_identity::ports::EmailChangeRepository + 'c> {
        Box::new(email_changes::EmailChanges { db: self.connection.db() })
    }

    fn api_keys<'c>(&'c mut self) -> Box<dyn portico_identity::ports::ApiKeyRepository + 'c> {
        Box::new(api_keys::ApiKeys { db: self.connection.db() })
    }

    fn api_key_usage<'c>(&'c mut self) -> Box<dyn portico_identity::ports::ApiKeyUsageRepository + 'c> {
        Box::new(api_key_usage::ApiKeyUsage { db: self.connection.db() })
    }

    fn sign_in_failures<'c>(&'c mut self) -> Box<dyn portico_identity::ports::SignInFailureRepository + 'c> {
        Box::new(sign_in_failures::SignInFailures { db: self.connection.db() })
    }

    fn mail_budgets<'c>(&'c mut self) -> Box<dyn portico_identity::ports::MailBudgetRepository + 'c> {
        Box::new(mail_budgets::MailBudgets { db: self.connection.db() })
    }

    fn known_devices<'c>(&'c mut self) -> Box<dyn portico_identity::ports::KnownDeviceRepository + 'c> {
        Box::new(known_devices::KnownDevices { db: self.connection.db() })
    }

    fn one_time_tokens<'c>(&'c mut self) -> Box<dyn OneTimeTokenRepository + 'c> {
        Box::new(one_time_tokens::OneTimeTokens { db: self.connection.db() })
    }

    fn headroom<'c>(&'c mut self) -> Box<dyn Headroom + 'c> {
        Box::new(Quotas::new(self))
    }
}
