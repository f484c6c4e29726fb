//! Licenses of products: who may use a product, on which machines, the files with which it works without a connection, and its releases
//! with whoever downloads them.

pub mod activation;
pub mod administration;
pub mod check;
pub mod download;
pub mod download_link;
pub mod envelope;
pub mod error;
pub mod events;
pub mod expiry;
pub mod file;
pub mod import;
pub mod issuing;
pub mod key;
pub mod lease;
pub mod license;
pub mod owned;
#[cfg(test)]
mod parsers;
pub mod policy;
pub mod policy_edit;
pub mod ports;
pub mod release;
pub mod release_administration;
pub mod release_job;
pub mod release_scan;
pub mod release_upload;
pub mod release_version;
pub mod release_withdrawal;
pub mod scan_status;
mod seat;
pub mod succession;
#[cfg(test)]
mod testing;
pub mod transfer;
mod transition;
pub mod unavailable;
pub mod update_manifest;

pub use error::LicensingError;
