//! Flows that span several domains or call external services.

pub mod assets;
pub mod domains;
pub mod generation;
pub mod previews;
pub mod publishing;
pub mod submission_export;
pub mod submissions;
pub mod template_preview;
pub mod templates;
pub mod visits;
pub mod wizard;
pub mod writing;
