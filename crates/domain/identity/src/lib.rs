//! Users, credentials, sessions, and proof of an email address.

pub mod access;
pub mod account;
pub mod administration;
pub mod api_key;
pub mod avatar;
pub mod code_limit;
pub mod credentials;
pub mod device;
pub mod email_change;
pub mod erasure;
pub mod error;
pub mod events;
pub mod export;
pub mod external;
pub mod impersonation;
pub mod mail;
pub mod mail_budget;
pub mod passkey;
pub mod password;
pub mod pending_sign_in;
pub mod ports;
pub mod profile;
pub mod reauthentication;
pub mod recovery;
pub mod recovery_code;
pub mod second_factor;
pub mod session;
pub mod sign_in;
pub mod switching;
pub mod throttle;
pub mod ticket;
pub mod token;
pub mod totp;
pub mod user;
pub mod verification;

#[cfg(test)]
mod fixture;

pub use account::Accounts;
pub use api_key::ApiKeys;
pub use error::IdentityError;
pub use external::ExternalIdentities;
pub use session::Sessions;
pub use throttle::Throttle;
