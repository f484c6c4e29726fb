//! Whose data it is: tenants, their members and branding, and the trail of what happened in them.

pub mod audit;
pub mod branding;
pub mod error;
pub mod member;
pub mod ports;
pub mod subdomain;
pub mod tenant;
#[cfg(test)]
mod testing;

pub use error::TenancyError;
