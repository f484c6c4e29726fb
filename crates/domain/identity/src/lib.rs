//! Who somebody is: users, credentials, sessions, proof of an email address.

pub mod account;
pub mod error;
pub mod mail;
pub mod password;
pub mod ports;
pub mod profile;
pub mod recovery;
pub mod session;
pub mod sign_in;
pub mod token;
pub mod user;
pub mod verification;

#[cfg(test)]
mod fixture;

pub use account::Accounts;
pub use error::IdentityError;
pub use session::Sessions;
