//! What customers build: sites, pages, sections, navigation, and their publication.

pub mod deployment;
pub mod error;
pub mod navigation;
pub mod page;
pub mod ports;
pub mod section;
pub mod site;

pub use error::SitesError;
