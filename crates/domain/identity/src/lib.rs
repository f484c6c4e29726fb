//! Who somebody is: users, credentials, sessions, proof of an email address.

pub mod account;
pub mod error;
pub mod mail;
pub mod password;
pub mod ports;
pub mod session;
pub mod token;
pub mod user;

pub use error::IdentityError;
