//! Rules for templates.

use portico_kernel::{RuleMessage, Violations, name::Slug};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Template, TemplatePage, TemplateSection};
use crate::{
    industry::Industry,
    language,
    look::{Look, LookInput},
    section::{MAX_SECTIONS, SectionType, content::SectionContent},
};

/// The most pages of a template.
const MAX_PAGES: usize = 20;
/// The most characters of a name.
const MAX_NAME: usize = 120;
/// The most characters of a description.
const MAX_DESCRIPTION: usize = 600;
/// The most characters of a category or a key.
const MAX_WORD: usize = 40;
/// The most characters of a title.
const MAX_TITLE: usize = 200;
/// The most characters of a title for search engines.
const MAX_SEO_TITLE: usize = 120;
/// The most characters of a description for search engines.
const MAX_SEO_DESCRIPTION: usize = 320;

/// Input of a new template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTemplate {
    /// Display name, 1 to 120 characters.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "Corner Bakery", min_length = 1, max_length = 120)
    )]
    pub name: String,
    /// Part of its address; made from the name when absent.
    #[cfg_attr(feature = "openapi", schema(max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub slug: Option<String>,
    /// What sort of site: a word of lower-case letters, digits, hyphens and underscores.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "business", min_length = 1, max_length = 40)
    )]
    pub category: String,
    /// Its industry: an id of `GET /industries`.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "bakery", min_length = 1, max_length = 40)
    )]
    pub industry: String,
    /// What it is good for, 1 to 600 characters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 600))]
    pub description: String,
    /// Language of its texts, BCP 47; `en` when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "en", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
    /// Whether only plans with premium templates may use it.
    #[serde(alias = "is_premium")]
    pub is_premium: Option<bool>,
    /// Whether it is shown first.
    #[serde(alias = "is_featured")]
    pub is_featured: Option<bool>,
    /// Its style, colours and fonts.
    pub look: Option<LookInput>,
    /// 1 to 20 pages. The first one answers at `/` unless another one is marked.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 20, required = true))]
    pub pages: Vec<NewTemplatePage>,
}

/// What to change about a template. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplateUpdate {
    /// Display name, 1 to 120 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 120))]
    pub name: Option<String>,
    /// Part of its address.
    #[cfg_attr(feature = "openapi", schema(max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub slug: Option<String>,
    /// What sort of site.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 40))]
    pub category: Option<String>,
    /// Its industry: an id of `GET /industries`.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 40))]
    pub industry: Option<String>,
    /// What it is good for, 1 to 600 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 600))]
    pub description: Option<String>,
    /// Language of its texts, BCP 47.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "en", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
    /// Whether only plans with premium templates may use it.
    #[serde(alias = "is_premium")]
    pub is_premium: Option<bool>,
    /// Whether it is shown first.
    #[serde(alias = "is_featured")]
    pub is_featured: Option<bool>,
    /// Its style, colours and fonts, all of them.
    pub look: Option<LookInput>,
    /// All of its pages.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 20))]
    pub pages: Option<Vec<NewTemplatePage>>,
}

/// A page of a template to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTemplatePage {
    /// Names it in the template: a word of lower-case letters, digits, hyphens and underscores.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "home", min_length = 1, max_length = 40)
    )]
    pub key: String,
    /// Title, 1 to 200 characters.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "Welcome", min_length = 1, max_length = 200)
    )]
    pub title: String,
    /// Last part of its address; made from the title when absent.
    #[cfg_attr(feature = "openapi", schema(max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub slug: Option<String>,
    /// Whether it answers at `/`. One page at most.
    #[serde(alias = "is_home")]
    pub is_home: Option<bool>,
    /// Title for search engines, at most 120 characters.
    #[serde(alias = "seo_title")]
    #[cfg_attr(feature = "openapi", schema(max_length = 120))]
    pub seo_title: Option<String>,
    /// Description for search engines, at most 320 characters.
    #[serde(alias = "seo_description")]
    #[cfg_attr(feature = "openapi", schema(max_length = 320))]
    pub seo_description: Option<String>,
    /// 1 to 100 sections.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 100, required = true))]
    pub sections: Vec<NewTemplateSection>,
}

/// A section of a template to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTemplateSection {
    /// Names it on the page: a word of lower-case letters, digits, hyphens and underscores.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "hero", min_length = 1, max_length = 40)
    )]
    pub key: String,
    /// What sort of block it is.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = SectionType))]
    pub kind: Option<SectionType>,
    /// Content of the shape that the type has. Pictures by address, not by the id of an asset: those belong to tenants.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = SectionContent))]
    pub content: Value,
}

impl From<NewTemplate> for TemplateUpdate {
    /// Everything that must be there is; what may be absent keeps what a blank template has.
    fn from(new: NewTemplate) -> Self {
        let slug = new.slug.unwrap_or_else(|| Slug::from_title(&new.name).into_string());
        Self {
            name: Some(new.name),
            slug: Some(slug),
            category: Some(new.category),
            industry: Some(new.industry),
            description: Some(new.description),
            language: new.language,
            is_premium: new.is_premium,
            is_featured: new.is_featured,
            look: new.look,
            pages: Some(new.pages),
        }
    }
}

impl From<&Template> for TemplateUpdate {
    /// All of a template, to be checked like one that staff send.
    fn from(template: &Template) -> Self {
        Self {
            name: Some(template.name.clone()),
            slug: Some(template.slug.to_string()),
            category: Some(template.category.clone()),
            industry: Some(template.industry.clone()),
            description: Some(template.description.clone()),
            language: Some(template.language.clone()),
            is_premium: Some(template.is_premium),
            is_featured: Some(template.is_featured),
            look: Some(look_input(&template.look)),
            pages: Some(template.pages.iter().map(NewTemplatePage::from).collect()),
        }
    }
}

impl From<&TemplatePage> for NewTemplatePage {
    fn from(page: &TemplatePage) -> Self {
        let section = |section: &TemplateSection| NewTemplateSection {
            key: section.key.clone(),
            kind: Some(section.kind),
            content: section.content.clone(),
        };
        Self {
            key: page.key.clone(),
            title: page.title.clone(),
            slug: Some(page.slug.to_string()),
            is_home: Some(page.is_home),
            seo_title: page.seo_title.clone(),
            seo_description: page.seo_description.clone(),
            sections: page.sections.iter().map(section).collect(),
        }
    }
}

/// A look as input.
pub fn look_input(look: &Look) -> LookInput {
    use portico_kernel::look::{ColorsUpdate, FontsUpdate};
    LookInput {
        style: Some(look.style),
        colors: look.colors.clone().map(|colors| ColorsUpdate {
            primary: Some(colors.primary),
            secondary: Some(colors.secondary),
            accent: Some(colors.accent),
            background: Some(colors.background),
            text: Some(colors.text),
        }),
        fonts: look
            .fonts
            .clone()
            .map(|fonts| FontsUpdate { heading: Some(fonts.heading), body: Some(fonts.body) }),
    }
}

impl TemplateUpdate {
    /// Changes the template. Errors are recorded by their path, for instance `pages[0].sections[2].content.heading`.
    pub(super) fn apply(self, template: &mut Template, violations: &mut Violations) {
        if let Some(name) = self.name {
            violations.name("name", &name, 1, MAX_NAME);
            template.name = name.trim().to_owned();
        }
        if let Some(slug) = self.slug
            && let Some(slug) = violations.take("slug", Slug::parse(&slug))
        {
            template.slug = slug;
        }
        if let Some(category) = self.category {
            check_word("category".to_owned(), &category, violations);
            template.category = category;
        }
        if let Some(industry) = self.industry {
            let known = Industry::find(&industry).is_some();
            violations.check(known, "industry", "unknown_industry", "Choose one of GET /industries.");
            template.industry = industry;
        }
        if let Some(description) = self.description {
            violations.text("description", &description, 1, MAX_DESCRIPTION);
            template.description = description.trim().to_owned();
        }
        if let Some(language) = self.language {
            language::check(violations, "language", &language);
            template.language = language;
        }
        template.is_premium = self.is_premium.unwrap_or(template.is_premium);
        template.is_featured = self.is_featured.unwrap_or(template.is_featured);
        if let Some(look) = self.look {
            template.look = look.read("look", violations);
        }
        if let Some(pages) = self.pages {
            template.pages = read_pages(pages, violations);
        }
    }
}

fn read_pages(inputs: Vec<NewTemplatePage>, violations: &mut Violations) -> Vec<TemplatePage> {
    violations.check(
        !inputs.is_empty(),
        "pages",
        "too_few",
        RuleMessage::new("At least one page must be there.").min(1),
    );
    if inputs.len() > MAX_PAGES {
        violations.add(
            "pages",
            "too_many",
            RuleMessage::new(format!("A template has at most {MAX_PAGES} pages.")).max(MAX_PAGES),
        );
        return Vec::new();
    }
    let mut pages: Vec<TemplatePage> = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let field = format!("pages[{index}]");
        check_word(format!("{field}.key"), &input.key, violations);
        let twice = |taken: bool, name: &str, violations: &mut Violations| {
            let message = "Another page of the template has this.";
            violations.check(!taken, format!("{field}.{name}"), "duplicate", message);
        };
        twice(pages.iter().any(|other| other.key == input.key), "key", violations);
        violations.line(format!("{field}.title"), &input.title, 1, MAX_TITLE);
        let slug = match &input.slug {
            Some(slug) => violations.take(format!("{field}.slug"), Slug::parse(slug)),
            None => Some(Slug::from_title(&input.title)),
        };
        // One that breaks the rules is in `violations`; the page is read on, for the errors of its other fields.
        let slug = slug.unwrap_or_else(|| Slug::from_title(&input.key));
        twice(pages.iter().any(|other| other.slug == slug), "slug", violations);
        let is_home = input.is_home.unwrap_or_default();
        twice(is_home && pages.iter().any(|other| other.is_home), "isHome", violations);
        for (name, text, max) in [
            ("seoTitle", &input.seo_title, MAX_SEO_TITLE),
            ("seoDescription", &input.seo_description, MAX_SEO_DESCRIPTION),
        ] {
            violations.optional_text(format!("{field}.{name}"), text.as_deref(), max);
        }
        let said =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        pages.push(TemplatePage {
            sections: read_sections(input.sections, &field, violations),
            key: input.key,
            title: input.title.trim().to_owned(),
            slug,
            is_home,
            seo_title: said(input.seo_title),
            seo_description: said(input.seo_description),
        });
    }
    if !pages.iter().any(|page| page.is_home) {
        pages.iter_mut().take(1).for_each(|page| page.is_home = true);
    }
    pages
}

fn read_sections(
    inputs: Vec<NewTemplateSection>,
    page: &str,
    violations: &mut Violations,
) -> Vec<TemplateSection> {
    let list = format!("{page}.sections");
    violations.check(
        !inputs.is_empty(),
        list.clone(),
        "too_few",
        RuleMessage::new("At least one section must be there.").min(1),
    );
    if inputs.len() > MAX_SECTIONS {
        violations.add(
            list,
            "too_many",
            RuleMessage::new(format!("A page has at most {MAX_SECTIONS} sections.")).max(MAX_SECTIONS),
        );
        return Vec::new();
    }
    let mut sections: Vec<TemplateSection> = Vec::with_capacity(inputs.len());
    let mut keys: Vec<String> = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let field = format!("{list}[{index}]");
        check_word(format!("{field}.key"), &input.key, violations);
        let message = "Another section of the page has this.";
        violations.check(!keys.contains(&input.key), format!("{field}.key"), "duplicate", message);
        keys.push(input.key.clone());
        let Some(kind) = input.kind else {
            violations.add(format!("{field}.type"), "required", "This field is required.");
            continue;
        };
        let content = format!("{field}.content");
        if names_asset(&input.content) {
            let message = "A template cannot show files of a tenant. Name pictures by their address.";
            violations.add(content, "asset_in_template", message);
            continue;
        }
        match SectionContent::read(kind, input.content, &content) {
            Ok(content) => {
                sections.push(TemplateSection { key: input.key, kind, content: content.into_json() })
            }
            Err(errors) => violations.extend(errors),
        }
    }
    sections
}

/// Whether the content refers to the file of a tenant: a template belongs to none.
fn names_asset(content: &Value) -> bool {
    match content {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            (name.to_ascii_lowercase().ends_with("assetid") && !value.is_null()) || names_asset(value)
        }),
        Value::Array(items) => items.iter().any(names_asset),
        _ => false,
    }
}

fn check_word(field: String, word: &str, violations: &mut Violations) {
    if word.is_empty() {
        violations.add(field, "required", "This field is required.");
        return;
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    violations.check(
        word.len() <= MAX_WORD && word.bytes().all(plain),
        field,
        "invalid_word",
        format!("Use at most {MAX_WORD} lower-case letters a to z, digits, hyphens and underscores."),
    );
}
