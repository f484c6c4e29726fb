//! Licenses of products: who may use a product, on which machines, and the files with which it works without a connection.

pub mod activation;
pub mod administration;
pub mod check;
pub mod error;
pub mod events;
pub mod expiry;
pub mod file;
pub mod import;
pub mod issuing;
pub mod key;
pub mod license;
pub mod owned;
pub mod policy;
pub mod policy_edit;
pub mod ports;
mod seat;
#[cfg(test)]
mod testing;
pub mod transfer;
mod transition;

pub use error::LicensingError;
