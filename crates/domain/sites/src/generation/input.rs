//! Input of requests for generated texts.

use portico_kernel::{PageId, RuleMessage, SectionId, SiteId, Violations};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::can_be_written;
use crate::{
    industry::Industry,
    language,
    ports::{BusinessInfo, Tone},
    section::{SectionType, content::SectionContent},
};

/// The most sections of a page that is written at once.
pub const MAX_GENERATED_SECTIONS: usize = 12;

/// The most characters of instructions about a text.
const MAX_INSTRUCTIONS: usize = 1000;

/// A section to be written anew: one of a page, or content that comes along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OptimizeContent {
    /// The page of the section. Together with `sectionId`.
    #[serde(alias = "page_id")]
    pub page_id: Option<PageId>,
    /// The section to be written anew.
    #[serde(alias = "section_id")]
    pub section_id: Option<SectionId>,
    /// Type of a new section, instead of one of a page.
    #[serde(rename = "type")]
    pub kind: Option<SectionType>,
    /// Its content now; a new text is written where there is none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<SectionContent>))]
    pub content: Option<Value>,
    /// What is known of the business; by default, for a section of a page, what its site says.
    pub business: Option<BusinessInfo>,
    /// What to do about the text, at most 1000 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 1000))]
    pub instructions: Option<String>,
    /// How it is to sound; `friendly` when absent.
    pub tone: Option<Tone>,
    /// Language, BCP 47; that of the page when absent, or `en`.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "es", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
    /// Whether to put the text into the section at once.
    #[serde(default)]
    pub apply: bool,
}

/// A page to be described for search engines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OptimizeSeo {
    /// The page.
    #[serde(alias = "page_id")]
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = PageId))]
    pub page_id: Option<PageId>,
    /// What is known of the business; by default what the site says.
    pub business: Option<BusinessInfo>,
    /// Language, BCP 47; that of the page when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "es", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
    /// Whether to store it at once.
    #[serde(default)]
    pub apply: bool,
}

/// A page to be written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GeneratePage {
    /// The site; the tenant's primary (oldest) one when absent.
    #[serde(alias = "site_id")]
    pub site_id: Option<SiteId>,
    /// Title, 1 to 200 characters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub title: String,
    /// What the page is for, 1 to 1000 characters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 1000))]
    pub purpose: String,
    /// Types of its sections in order, at most 12; `hero`, `text`, `features`, `faq` and `contact` when absent. Types
    /// that are made of facts (`gallery`, `testimonials`, `pricing`) cannot be written.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 12))]
    pub sections: Option<Vec<SectionType>>,
    /// What is known of the business; by default what the site says.
    pub business: Option<BusinessInfo>,
    /// How it is to sound; `friendly` when absent.
    pub tone: Option<Tone>,
    /// Language, BCP 47; that of the site when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "es", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
    /// Whether to make it as a draft of the site at once.
    #[serde(default)]
    pub create: bool,
}

impl OptimizeContent {
    pub(super) fn check(&self, violations: &mut Violations) {
        check_common(violations, self.business.as_ref(), self.language.as_deref());
        if let Some(instructions) = &self.instructions {
            violations.text("instructions", instructions, 0, MAX_INSTRUCTIONS);
        }
        if let (Some(_), None) | (None, Some(_)) = (self.page_id, self.section_id) {
            let missing = if self.page_id.is_some() { "sectionId" } else { "pageId" };
            violations.add(missing, "required", "A section is named by its page and its own id.");
        }
        let by_id = self.page_id.is_some() || self.section_id.is_some();
        if by_id {
            let twice = "Name a section of a page, or send a type with content, not both.";
            violations.check(self.kind.is_none(), "type", "exclusive", twice);
            violations.check(self.content.is_none(), "content", "exclusive", twice);
            return;
        }
        violations.check(!self.apply, "apply", "no_section", "There is no section to put the text into.");
        let Some(kind) = self.kind else {
            violations.add("type", "required", "Name a section of a page, or send a type.");
            return;
        };
        match &self.content {
            Some(content) if !content.is_null() => {
                if let Err(errors) = SectionContent::read(kind, content.clone(), "content") {
                    violations.extend(errors);
                }
            }
            _ => {
                violations.check(can_be_written(kind, &Value::Null), "content", "facts_required", FACTS);
            }
        }
    }
}

impl OptimizeSeo {
    pub(super) fn check(&self, violations: &mut Violations) {
        check_common(violations, self.business.as_ref(), self.language.as_deref());
        violations.check(self.page_id.is_some(), "pageId", "required", "This field is required.");
    }
}

impl GeneratePage {
    pub(super) fn check(&self, violations: &mut Violations) {
        check_common(violations, self.business.as_ref(), self.language.as_deref());
        violations.text("title", &self.title, 1, 200);
        violations.text("purpose", &self.purpose, 1, MAX_INSTRUCTIONS);
        let Some(sections) = &self.sections else { return };
        let many = sections.len();
        violations.check(
            many > 0,
            "sections",
            "too_few",
            RuleMessage::new("A page has at least one section.").min(1),
        );
        violations.check(
            many <= MAX_GENERATED_SECTIONS,
            "sections",
            "too_many",
            RuleMessage::new(format!("At most {MAX_GENERATED_SECTIONS} sections are written at once."))
                .max(MAX_GENERATED_SECTIONS),
        );
        for (index, kind) in sections.iter().take(MAX_GENERATED_SECTIONS).enumerate() {
            violations.check(
                can_be_written(*kind, &Value::Null),
                format!("sections[{index}]"),
                "facts_required",
                FACTS,
            );
        }
    }

    /// The requested sections.
    pub(super) fn kinds(&self) -> Vec<SectionType> {
        use SectionType::{Contact, Faq, Features, Hero, Text};
        self.sections.clone().unwrap_or_else(|| vec![Hero, Text, Features, Faq, Contact])
    }
}

/// Why some sections are not written out of nothing.
const FACTS: &str = "This section is made of facts that only you know: pictures, quotes, prices. \
                     Send them as content, and it can be improved.";

fn check_common(violations: &mut Violations, business: Option<&BusinessInfo>, tag: Option<&str>) {
    if let Some(tag) = tag {
        language::check(violations, "language", tag);
    }
    if let Some(business) = business {
        check_business(violations, "business", business);
    }
}

/// The bounds of what is known of a business.
fn check_business(violations: &mut Violations, field: &str, business: &BusinessInfo) {
    let BusinessInfo { name, industry, description, location, services, audience, goals } = business;
    violations.text(format!("{field}.name"), name, 1, 120);
    violations.optional_text(format!("{field}.description"), description.as_deref(), 2000);
    violations.optional_text(format!("{field}.location"), location.as_deref(), 200);
    violations.optional_text(format!("{field}.audience"), audience.as_deref(), 300);
    violations.check(
        industry.as_deref().is_none_or(|id| Industry::find(id).is_some()),
        format!("{field}.industry"),
        "unknown_industry",
        "Choose one of the industries that GET /industries lists.",
    );
    for (name, list, most) in [("services", services, 20), ("goals", goals, 10)] {
        violations.check(
            list.len() <= most,
            format!("{field}.{name}"),
            "too_many",
            RuleMessage::new(format!("At most {most} are possible.")).max(most),
        );
        for (index, text) in list.iter().take(most).enumerate() {
            violations.text(format!("{field}.{name}[{index}]"), text, 1, 200);
        }
    }
}
