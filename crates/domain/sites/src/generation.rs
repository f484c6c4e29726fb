//! Generated texts: what is requested of the text generator, and what is accepted from it.
//!
//! The generator is behind [`crate::ports::ContentGenerator`]. It is called with no transaction open: [`Generation`] makes the
//! brief, the caller calls the generator, and the result is checked ([`read_section`], [`read_seo`]) and only then stored.

mod check;
mod html;
mod input;
mod sources;
mod use_cases;

pub use check::{
    MAX_KEYWORDS, MAX_SEO_DESCRIPTION, MAX_SEO_TITLE, read_page, read_rewrite, read_section, read_seo,
    shortened,
};
pub use html::text_of;
pub use input::{GeneratePage, MAX_GENERATED_SECTIONS, OptimizeContent, OptimizeSeo};
pub use sources::Sources;
pub use use_cases::{Generation, PageTask, SectionTask, SeoTask};

use serde_json::Value;

use crate::section::SectionType;

/// Whether the generator can fill a section of this type without making facts up: pictures, quotes of customers and prices must
/// be there already.
pub fn can_be_written(kind: SectionType, content: &Value) -> bool {
    match kind {
        SectionType::Gallery | SectionType::Testimonials | SectionType::Pricing => content.is_object(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
