//! Content of sections that are lists: features, gallery, testimonials, pricing, questions and answers.

use portico_kernel::AssetId;
use serde::{Deserialize, Serialize};

use super::{
    blocks::{MAX_ALT, MAX_HEADING, MAX_LEAD},
    fields::Fields,
};

/// The most characters of one answer of an FAQ.
const MAX_ANSWER: usize = 5_000;

/// One strength or service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Feature {
    /// What it is.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub title: String,
    /// A few sentences about it.
    #[cfg_attr(feature = "openapi", schema(max_length = 1000))]
    pub text: Option<String>,
    /// An emoji, or the name of a drawing that the renderer knows.
    #[cfg_attr(feature = "openapi", schema(max_length = 32))]
    pub icon: Option<String>,
    /// Picture above it: an uploaded one. Goes before the icon.
    pub image_asset_id: Option<AssetId>,
}

/// Content of a `features` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeaturesContent {
    /// Heading.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub heading: Option<String>,
    /// A sentence or two below it.
    #[cfg_attr(feature = "openapi", schema(max_length = 600))]
    pub intro: Option<String>,
    /// 1 to 24 of them.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 24, required = true))]
    pub items: Vec<Feature>,
}

impl FeaturesContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            heading: fields.optional_text("heading", MAX_HEADING),
            intro: fields.optional_text("intro", MAX_LEAD),
            items: fields.list("items", 1, 24, |item| Feature {
                title: item.text("title", MAX_HEADING),
                text: item.optional_text("text", 1000),
                icon: item.optional_text("icon", 32),
                image_asset_id: item.optional_asset("imageAssetId"),
            }),
        }
    }
}

/// One picture of a gallery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GalleryImage {
    /// `https:` address, or a path on the site. Needed without an uploaded picture.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_length = 2048))]
    pub url: String,
    /// An uploaded picture. Goes before `url`.
    pub image_asset_id: Option<AssetId>,
    /// What it shows, for those who do not see it.
    #[cfg_attr(feature = "openapi", schema(max_length = 300))]
    pub alt: Option<String>,
    /// What is written below it.
    #[cfg_attr(feature = "openapi", schema(max_length = 300))]
    pub caption: Option<String>,
}

/// Content of a `gallery` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GalleryContent {
    /// Heading.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub heading: Option<String>,
    /// 1 to 60 pictures.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 60, required = true))]
    pub images: Vec<GalleryImage>,
}

impl GalleryContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            heading: fields.optional_text("heading", MAX_HEADING),
            images: fields.list("images", 1, 60, GalleryImage::read),
        }
    }
}

impl GalleryImage {
    fn read(fields: &mut Fields<'_>) -> Self {
        let image_asset_id = fields.optional_asset("imageAssetId");
        let url = match image_asset_id {
            Some(_) => fields.optional_image_source("url").unwrap_or_default(),
            None => fields.image_source("url"),
        };
        Self {
            url,
            image_asset_id,
            alt: fields.optional_text("alt", MAX_ALT),
            caption: fields.optional_text("caption", 300),
        }
    }
}

/// What one customer says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Testimonial {
    /// What they say.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 1000))]
    pub quote: String,
    /// Who says it.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 120))]
    pub author: String,
    /// What they do, or where.
    #[cfg_attr(feature = "openapi", schema(max_length = 120))]
    pub role: Option<String>,
    /// Picture of them: an uploaded one.
    pub image_asset_id: Option<AssetId>,
}

/// Content of a `testimonials` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestimonialsContent {
    /// Heading.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub heading: Option<String>,
    /// 1 to 24 of them.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 24, required = true))]
    pub items: Vec<Testimonial>,
}

impl TestimonialsContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            heading: fields.optional_text("heading", MAX_HEADING),
            items: fields.list("items", 1, 24, |item| Testimonial {
                quote: item.text("quote", 1000),
                author: item.text("author", 120),
                role: item.optional_text("role", 120),
                image_asset_id: item.optional_asset("imageAssetId"),
            }),
        }
    }
}

/// Something with a price.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PricingPlan {
    /// What it is called.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 80))]
    pub name: String,
    /// The price as it is to be read, for instance `$ 29`.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 40))]
    pub price: String,
    /// For how long, for instance `a month`.
    #[cfg_attr(feature = "openapi", schema(max_length = 40))]
    pub period: Option<String>,
    /// What is in it; up to 20 lines.
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 200))]
    pub features: Vec<String>,
    /// Whether it stands out.
    pub highlighted: bool,
    /// Label of the button. Together with `ctaUrl`.
    #[cfg_attr(feature = "openapi", schema(max_length = 80))]
    pub cta_label: Option<String>,
    /// Where the button leads.
    #[cfg_attr(feature = "openapi", schema(max_length = 2048))]
    pub cta_url: Option<String>,
}

/// Content of a `pricing` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PricingContent {
    /// Heading.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub heading: Option<String>,
    /// A sentence or two below it.
    #[cfg_attr(feature = "openapi", schema(max_length = 600))]
    pub intro: Option<String>,
    /// 1 to 8 of them.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 8, required = true))]
    pub plans: Vec<PricingPlan>,
}

impl PricingContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            heading: fields.optional_text("heading", MAX_HEADING),
            intro: fields.optional_text("intro", MAX_LEAD),
            plans: fields.list("plans", 1, 8, PricingPlan::read),
        }
    }
}

impl PricingPlan {
    fn read(fields: &mut Fields<'_>) -> Self {
        let (cta_label, cta_url) = fields.button("ctaLabel", "ctaUrl");
        Self {
            name: fields.text("name", 80),
            price: fields.text("price", 40),
            period: fields.optional_text("period", 40),
            features: fields.texts("features", 20, 200),
            highlighted: fields.flag("highlighted"),
            cta_label,
            cta_url,
        }
    }
}

/// A question and its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaqItem {
    /// The question.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 300))]
    pub question: String,
    /// The answer; rich text, sanitised HTML.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 5000))]
    pub answer: String,
}

/// Content of a `faq` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaqContent {
    /// Heading.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub heading: Option<String>,
    /// 1 to 50 questions.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 50, required = true))]
    pub items: Vec<FaqItem>,
}

impl FaqContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            heading: fields.optional_text("heading", MAX_HEADING),
            items: fields.list("items", 1, 50, |item| FaqItem {
                question: item.text("question", 300),
                answer: item.html("answer", MAX_ANSWER),
            }),
        }
    }
}
