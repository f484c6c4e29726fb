//! Licenses of products: who may use a product, on which machines, and the files with which it works without a connection.

pub mod activation;
pub mod error;
pub mod events;
pub mod expiry;
pub mod key;
pub mod license;
pub mod owned;
pub mod policy;
pub mod ports;
#[cfg(test)]
mod testing;
mod transition;

pub use error::LicensingError;
