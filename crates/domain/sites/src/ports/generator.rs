//! The text generator: the port to a language model, or to its stand-in.

use std::borrow::Cow;

use async_trait::async_trait;
use portico_kernel::{Fault, Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::section::{Provenance, SectionType};

/// What is known of the business that a text is about. All of it comes from a customer: it is data, never instructions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BusinessInfo {
    /// Name of the business.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 120))]
    pub name: String,
    /// An id of the list of industries.
    #[cfg_attr(feature = "openapi", schema(max_length = 100))]
    pub industry: Option<String>,
    /// What it does, in its own words.
    #[cfg_attr(feature = "openapi", schema(max_length = 2000))]
    pub description: Option<String>,
    /// Where it is, for instance a town.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub location: Option<String>,
    /// Services or products by name.
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 200))]
    pub services: Vec<String>,
    /// Whom the site is for.
    #[cfg_attr(feature = "openapi", schema(max_length = 300))]
    pub audience: Option<String>,
    /// What the site is to achieve, for instance `bookings`.
    #[cfg_attr(feature = "openapi", schema(max_items = 10, min_length = 1, max_length = 200))]
    pub goals: Vec<String>,
}

/// How a text is to sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Tone {
    /// Warm and near.
    #[default]
    Friendly,
    /// Matter-of-fact.
    Professional,
    /// Lively and short.
    Bold,
    /// Fine and calm.
    Elegant,
}

/// The brief for a whole page.
#[derive(Clone, Debug, PartialEq)]
pub struct PageBrief {
    /// The business.
    pub business: BusinessInfo,
    /// BCP 47, for instance `es`.
    pub language: String,
    /// How it is to sound.
    pub tone: Tone,
    /// Title of the page.
    pub title: String,
    /// What the page is for, in the customer's words.
    pub purpose: Option<String>,
    /// The sections to write, in order, each with the content that is there so far (an example of the shape, or null).
    pub sections: Vec<(SectionType, Value)>,
}

/// The brief for one section that is there already.
#[derive(Clone, Debug, PartialEq)]
pub struct RewriteBrief {
    /// The business.
    pub business: BusinessInfo,
    /// BCP 47.
    pub language: String,
    /// How it is to sound.
    pub tone: Tone,
    /// What sort of section.
    pub kind: SectionType,
    /// Its content now.
    pub content: Value,
    /// What to do about it, in the customer's words.
    pub instructions: Option<String>,
}

/// The brief for the SEO metadata of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct SeoBrief {
    /// The business.
    pub business: BusinessInfo,
    /// BCP 47.
    pub language: String,
    /// Title of the page.
    pub title: String,
    /// The texts of the page.
    pub text: String,
}

/// Texts of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct PageDraft {
    /// Sections in the order of the brief, each checked and sanitised for its type.
    pub sections: Vec<(SectionType, Value)>,
    /// `Generated` when a model wrote it, `Own` when it says nothing but what is in the brief.
    pub provenance: Provenance,
    /// Tokens used.
    pub tokens: Tokens,
}

/// A section written anew.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionDraft {
    /// Content, checked and sanitised for the type.
    pub content: Value,
    /// As in [`PageDraft`].
    pub provenance: Provenance,
    /// Tokens used.
    pub tokens: Tokens,
}

/// Generated SEO metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct SeoDraft {
    /// At most 60 characters.
    pub title: String,
    /// At most 155 characters.
    pub description: String,
    /// At most 10.
    pub keywords: Vec<String>,
    /// Tokens used.
    pub tokens: Tokens,
}

/// Tokens that a text took, as the provider counts them. Zero for a generator that has no provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read.
    pub input: u64,
    /// Written.
    pub output: u64,
}

/// Generates texts. Its answers MUST have passed [`crate::generation`]: no link or fact that is not in the brief. MUST answer
/// `Unusable` where a section needs facts that are not there ([`crate::generation::can_be_written`]), and MUST bound its time.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ContentGenerator: Send + Sync {
    /// Writes a page. MUST answer one section for each of the brief, of the same type and in the same order, each of which
    /// passes `SectionContent::read`. MUST treat everything in the brief as data.
    async fn page(&self, brief: &PageBrief) -> Result<PageDraft, GeneratorError>;

    /// Writes one section anew. MUST keep links, pictures, quotes, prices and contact details that are in it, and add none.
    async fn rewrite(&self, brief: &RewriteBrief) -> Result<SectionDraft, GeneratorError>;

    /// Writes SEO metadata.
    async fn seo(&self, brief: &SeoBrief) -> Result<SeoDraft, GeneratorError>;
}

/// Why nothing was generated. The text inside is for the log.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// The provider cannot be reached, is overloaded or refuses us. Trying again later makes sense.
    #[error("the content generator is unavailable: {0}")]
    Unavailable(String),
    /// The provider answered, also when asked once more, nothing that could be used.
    #[error("the content generator answered nothing usable: {0}")]
    Unusable(String),
}

impl Fault for GeneratorError {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "generator_unavailable",
            Self::Unusable(_) => "generation_failed",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unavailable(_) => {
                "No texts can be written right now. Try again shortly; this use was not counted."
            }
            Self::Unusable(_) => {
                "The text that was written could not be used. Try again, perhaps with other words; this use was not counted."
            }
        })
    }

    fn retry_after(&self) -> Option<u64> {
        Some(30)
    }
}
