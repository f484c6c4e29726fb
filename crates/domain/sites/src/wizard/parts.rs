//! Input of the steps of the wizard.

use portico_kernel::{
    AssetId, TemplateId,
    look::{ColorsUpdate, FontsUpdate},
    name::Slug,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{look::Style, ports::Tone, section::SectionType};

/// Step 1: who the business is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BusinessDetails {
    /// Name of the business, 1 to 120 characters; becomes the name of the site.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "Panadería Luz", min_length = 1, max_length = 120)
    )]
    pub name: String,
    /// An id of the list of industries.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "bakery", min_length = 1, max_length = 100)
    )]
    pub industry: String,
    /// What it does, in its own words.
    #[cfg_attr(feature = "openapi", schema(max_length = 2000))]
    pub description: Option<String>,
    /// Where it is, for instance a town.
    #[cfg_attr(feature = "openapi", schema(max_length = 300))]
    pub location: Option<String>,
    /// Services or products by name, at most 20.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 200))]
    pub services: Vec<String>,
}

/// Step 2: what the site is to achieve, for whom, and how it is to sound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteGoals {
    /// What it is to achieve, for instance `bookings`; 1 to 20 of them.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(min_items = 1, max_items = 20, min_length = 1, max_length = 200, required = true)
    )]
    pub goals: Vec<String>,
    /// Whom it is for.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub audience: Option<String>,
    /// How its texts are to sound; `friendly` when absent.
    pub tone: Option<Tone>,
    /// Language of the site, BCP 47; that of the template when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "es", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
}

/// Step 4: style, colours, fonts, logo, pictures. What is absent is as the template has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Design {
    /// Layout, shapes and sizes.
    pub style: Option<Style>,
    /// Colours.
    pub colors: Option<ColorsUpdate>,
    /// Fonts.
    pub fonts: Option<FontsUpdate>,
    /// Logo: a picture of the tenant.
    #[serde(alias = "logo_asset_id")]
    pub logo_asset_id: Option<AssetId>,
    /// The owner's own pictures, at most 12: different pictures of the tenant. The first one becomes the opening picture of the
    /// home page, the others a gallery.
    #[serde(default, alias = "photo_asset_ids")]
    #[cfg_attr(feature = "openapi", schema(max_items = 12))]
    pub photo_asset_ids: Vec<AssetId>,
}

/// Step 5: one page of the site: of the template (named by its key), or an extra one (with a title and no key).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageChoice {
    /// Key of a page of the template.
    #[cfg_attr(feature = "openapi", schema(example = "home", max_length = 100))]
    pub key: Option<String>,
    /// Title; that of the template's page when absent. An extra page needs one.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub title: Option<String>,
    /// Last part of the address; that of the template's page, or made from the title, when absent.
    #[cfg_attr(feature = "openapi", schema(max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub slug: Option<String>,
    /// What an extra page is for: a brief for its text.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub purpose: Option<String>,
}

impl PageChoice {
    /// The name of the page in the customer's own texts: its key; of an extra page its slug.
    pub fn name(&self) -> String {
        self.key.clone().unwrap_or_else(|| self.extra_slug().into_string())
    }

    /// The slug of an extra page.
    pub(super) fn extra_slug(&self) -> Slug {
        let title = self.title.as_deref().unwrap_or_default();
        // Answers are checked before they are stored.
        self.slug.clone().map_or_else(|| Slug::from_title(title), Slug::trusted)
    }
}

/// The author of the texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ContentMode {
    /// They are generated from the first two steps.
    Ai,
    /// The customer.
    #[default]
    Own,
}

/// Step 6: the author of the texts, and the customer's own texts. They take precedence over generated ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContentChoice {
    /// The author of the texts. With `ai` the step is complete once they are generated.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = ContentMode))]
    pub mode: Option<ContentMode>,
    /// The customer's own texts.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 300))]
    pub sections: Vec<OwnSection>,
}

impl ContentChoice {
    /// The author of the texts.
    pub fn mode(&self) -> ContentMode {
        self.mode.unwrap_or_default()
    }
}

/// A text of the customer's own, for a section of the template or as an additional section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnSection {
    /// Key of the template's page, or slug of an extra page.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "home", min_length = 1, max_length = 100)
    )]
    pub page: String,
    /// Key of the section on the template's page; its fields replace the template's one by one. Absent: an additional section.
    #[cfg_attr(feature = "openapi", schema(example = "hero", max_length = 100))]
    pub section: Option<String>,
    /// What sort of block an additional section is.
    #[serde(rename = "type")]
    pub kind: Option<SectionType>,
    /// Content of the shape that the type has.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = Object))]
    pub content: Value,
}

/// Step 7: SEO metadata, contact details, and the address of the site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Presence {
    /// Title in results; the name of the business when absent.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub title: Option<String>,
    /// A sentence or two below it; the description of the business when absent.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub description: Option<String>,
    /// What the site is about, at most 20.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 60))]
    pub keywords: Vec<String>,
    /// Email address.
    #[cfg_attr(feature = "openapi", schema(max_length = 254, example = "hola@luz.example"))]
    pub email: Option<String>,
    /// Phone number, as people write it.
    #[cfg_attr(feature = "openapi", schema(max_length = 40, example = "+502 5555 1234"))]
    pub phone: Option<String>,
    /// Postal address; may have several lines.
    #[cfg_attr(feature = "openapi", schema(max_length = 300))]
    pub address: Option<String>,
    /// Opening hours; may have several lines.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub hours: Option<String>,
    /// Where the site answers; made from the name when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "panaderia-luz",
            min_length = 3,
            max_length = 63,
            pattern = "^[a-z0-9][a-z0-9-]*[a-z0-9]$"
        )
    )]
    pub subdomain: Option<String>,
}

impl Presence {
    /// The contact details, as fields of a contact section.
    pub(super) fn contact(&self) -> [(&'static str, Option<&String>); 4] {
        [
            ("email", self.email.as_ref()),
            ("phone", self.phone.as_ref()),
            ("address", self.address.as_ref()),
            ("hours", self.hours.as_ref()),
        ]
    }

    /// Whether there is a way to get in touch: opening hours alone are none.
    pub(super) fn is_reachable(&self) -> bool {
        self.contact()[..3].iter().any(|(_, value)| value.is_some())
    }
}

/// What to change about a wizard: any of its parts. A part that is named is replaced whole, the others stay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WizardUpdate {
    /// Step 1.
    #[serde(alias = "business_info")]
    pub business_info: Option<BusinessDetails>,
    /// Step 2.
    pub goals: Option<SiteGoals>,
    /// Step 3.
    #[serde(alias = "template_id")]
    pub template_id: Option<TemplateId>,
    /// Step 4.
    pub design: Option<Design>,
    /// Step 5: 1 to 30 pages, in the order of the navigation.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 30))]
    pub pages: Option<Vec<PageChoice>>,
    /// Step 6.
    pub content: Option<ContentChoice>,
    /// Step 7.
    pub seo: Option<Presence>,
}
