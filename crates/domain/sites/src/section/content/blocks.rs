//! Content of sections that are one block: hero, text, contact, call to action, HTML.

use portico_kernel::AssetId;
use serde::{Deserialize, Serialize};

use super::fields::Fields;
use crate::rich_text::MAX_RICH_TEXT;

/// The most characters of a heading.
pub(super) const MAX_HEADING: usize = 200;
/// The most characters of a short text below a heading.
pub(super) const MAX_LEAD: usize = 600;
/// The most characters of a button.
pub(super) const MAX_LABEL: usize = 80;
/// The most characters of a description of a picture.
pub(super) const MAX_ALT: usize = 300;

/// Content of a `hero` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeroContent {
    /// What the page is about.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub heading: String,
    /// A sentence or two below it.
    #[cfg_attr(feature = "openapi", schema(max_length = 600))]
    pub subheading: Option<String>,
    /// Picture: `https:` address, or a path on the site.
    #[cfg_attr(feature = "openapi", schema(max_length = 2048))]
    pub image_url: Option<String>,
    /// Picture: an uploaded one. Goes before `imageUrl`.
    pub image_asset_id: Option<AssetId>,
    /// What the picture shows, for those who do not see it.
    #[cfg_attr(feature = "openapi", schema(max_length = 300))]
    pub image_alt: Option<String>,
    /// Label of the button. Together with `ctaUrl`.
    #[cfg_attr(feature = "openapi", schema(max_length = 80))]
    pub cta_label: Option<String>,
    /// Where the button leads.
    #[cfg_attr(feature = "openapi", schema(max_length = 2048))]
    pub cta_url: Option<String>,
}

impl HeroContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let (cta_label, cta_url) = fields.button("ctaLabel", "ctaUrl");
        Self {
            heading: fields.text("heading", MAX_HEADING),
            subheading: fields.optional_text("subheading", MAX_LEAD),
            image_url: fields.optional_image_source("imageUrl"),
            image_asset_id: fields.optional_asset("imageAssetId"),
            image_alt: fields.optional_text("imageAlt", MAX_ALT),
            cta_label,
            cta_url,
        }
    }
}

/// Content of a `text` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TextContent {
    /// Heading.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub heading: Option<String>,
    /// Rich text; sanitised HTML.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 50000))]
    pub html: String,
}

impl TextContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            heading: fields.optional_text("heading", MAX_HEADING),
            html: fields.html("html", MAX_RICH_TEXT),
        }
    }
}

/// Content of a `contact` section. At least one way to get in touch is named, or there is a form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContactContent {
    /// Heading.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub heading: Option<String>,
    /// A sentence or two below it.
    #[cfg_attr(feature = "openapi", schema(max_length = 600))]
    pub text: Option<String>,
    /// Email address.
    #[cfg_attr(feature = "openapi", schema(max_length = 254))]
    pub email: Option<String>,
    /// Phone number, as people write it.
    #[cfg_attr(feature = "openapi", schema(max_length = 40))]
    pub phone: Option<String>,
    /// Postal address; may have several lines.
    #[cfg_attr(feature = "openapi", schema(max_length = 300))]
    pub address: Option<String>,
    /// Opening hours; may have several lines.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub hours: Option<String>,
    /// Profiles in social networks, as `https:` addresses; at most 8.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 8, min_length = 1, max_length = 2048, example = json!(["https://www.instagram.com/panaderia.luz"])))]
    pub social_urls: Vec<String>,
    /// Whether visitors can write through a form.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub form: bool,
    /// What visitors may agree to in the form, for instance to get offers; words of ours in the language of the page where
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 300))]
    pub consent_text: Option<String>,
}

impl ContactContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let content = Self {
            heading: fields.optional_text("heading", MAX_HEADING),
            text: fields.optional_text("text", MAX_LEAD),
            email: fields.optional_text("email", 254),
            phone: fields.optional_text("phone", 40),
            address: fields.optional_text("address", 300),
            hours: fields.optional_text("hours", 500),
            social_urls: fields.web_addresses("socialUrls", 8),
            form: fields.flag("form"),
            consent_text: fields.optional_text("consentText", 300),
        };
        if content.email.as_deref().is_some_and(|email| !looks_like_email(email)) {
            fields.add("email", "invalid_email", "This is not an email address.");
        }
        let phone_characters = |phone: &str| {
            phone.chars().all(|c| c.is_ascii_digit() || "+-./() ".contains(c))
                && phone.chars().any(|c| c.is_ascii_digit())
        };
        if content.phone.as_deref().is_some_and(|phone| !phone_characters(phone)) {
            fields.add("phone", "invalid_phone", "Use digits, spaces and the characters + - . / ( ).");
        }
        let ways = [&content.email, &content.phone, &content.address];
        if ways.iter().all(|way| way.is_none()) && !content.form {
            fields.add(
                "email",
                "required",
                "Give an email address, a phone number or an address, or have a form.",
            );
        }
        content
    }
}

/// It goes into a `mailto:` link, so it must not be anything else in disguise; whether it is reachable is the customer's affair.
fn looks_like_email(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.')
    }) && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"'`\\?&#%:;,()[]/".contains(c))
}

/// Content of a `cta` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CtaContent {
    /// What it calls for.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 200, required = true))]
    pub heading: String,
    /// A sentence or two below it.
    #[cfg_attr(feature = "openapi", schema(max_length = 600))]
    pub text: Option<String>,
    /// Label of the button.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 80, required = true))]
    pub label: String,
    /// Where the button leads.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2048, required = true))]
    pub url: String,
}

impl CtaContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            heading: fields.text("heading", MAX_HEADING),
            text: fields.optional_text("text", MAX_LEAD),
            label: fields.text("label", MAX_LABEL),
            url: fields.link("url"),
        }
    }
}

/// Content of an `html` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HtmlContent {
    /// Sanitised HTML.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub html: String,
}

impl HtmlContent {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self { html: fields.html("html", MAX_RICH_TEXT) }
    }
}
