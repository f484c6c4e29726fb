//! What customers build: sites, pages, sections, navigation, and their publication.

pub mod deployment;
pub mod error;
pub mod link;
pub mod navigation;
pub mod page;
pub mod ports;
pub mod rich_text;
pub mod section;
pub mod site;
#[cfg(test)]
mod testing;
mod version;

pub use error::SitesError;
