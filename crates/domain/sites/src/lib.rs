//! What customers build: sites, pages, sections, navigation, and their publication.

pub mod analytics;
pub mod asset;
pub mod deployment;
pub mod domain;
pub mod domain_name;
pub mod error;
pub mod events;
pub mod generation;
pub mod industry;
mod language;
pub mod link;
pub mod look;
pub mod mail;
pub mod navigation;
pub mod neutral;
pub mod page;
pub mod page_version;
pub mod ports;
pub mod preview;
pub mod rich_text;
pub mod sale;
pub mod section;
pub mod seo;
pub mod site;
pub mod submission;
pub mod template;
#[cfg(test)]
mod testing;
mod version;
pub mod wizard;

pub use error::SitesError;
