//! The rules for the input of the steps. Each part is checked whole, with every error at once.

use portico_kernel::{
    AssetId, RuleMessage, Violations,
    look::{Colors, Fonts, apply_colors, apply_fonts},
    name::{Slug, Subdomain},
};
use serde_json::{Value, json};

use super::parts::{BusinessDetails, ContentChoice, Design, OwnSection, PageChoice, Presence, SiteGoals};
use crate::{
    industry::Industry,
    language,
    look::Look,
    section::{SectionType, content::SectionContent},
};

/// The most pages that a wizard makes.
const MAX_PAGES: usize = 30;
/// The most texts of the customer's own.
const MAX_OWN_SECTIONS: usize = 300;
/// The most characters of a title.
const MAX_TITLE: usize = 200;
/// The most characters of a longer text.
const MAX_TEXT: usize = 2000;
/// The most services, goals and keywords.
const MAX_WORDS: usize = 20;
/// The most pictures of the owner's own.
const MAX_PHOTOS: usize = 12;

impl BusinessDetails {
    pub(super) fn read(mut self, violations: &mut Violations) -> Self {
        violations.name("businessInfo.name", &self.name, 1, 120);
        self.name = self.name.trim().to_owned();
        self.industry = self.industry.trim().to_owned();
        if self.industry.is_empty() {
            violations.add("businessInfo.industry", "required", "This field is required.");
        } else if Industry::find(&self.industry).is_none() {
            let message = "There is no such industry; the list has `other` for what is not in it.";
            violations.add("businessInfo.industry", "unknown_industry", message);
        }
        self.description = tidy(self.description, "businessInfo.description", MAX_TEXT, violations);
        self.location = tidy(self.location, "businessInfo.location", 300, violations);
        self.services = words(self.services, "businessInfo.services", 0, 200, violations);
        self
    }
}

impl SiteGoals {
    pub(super) fn read(mut self, violations: &mut Violations) -> Self {
        self.goals = words(self.goals, "goals.goals", 1, 200, violations);
        self.audience = tidy(self.audience, "goals.audience", 500, violations);
        self.language = self.language.map(|tag| tag.trim().to_owned());
        if let Some(tag) = &self.language {
            language::check(violations, "goals.language", tag);
        }
        self
    }
}

impl Design {
    /// Checks the design on top of what a template looks like. The caller checks whether the pictures are there.
    pub(super) fn read(self, template: Option<&Look>, violations: &mut Violations) -> Self {
        if self.photo_asset_ids.len() > MAX_PHOTOS {
            let message = RuleMessage::new(format!("At most {MAX_PHOTOS} are possible.")).max(MAX_PHOTOS);
            violations.add("design.photoAssetIds", "too_many", message);
        }
        for (index, id) in self.photos().iter().enumerate() {
            violations.check(
                !self.photo_asset_ids[..index].contains(id),
                format!("design.photoAssetIds[{index}]"),
                "duplicate",
                "This picture is in the list already.",
            );
        }
        self.over(template.unwrap_or(&Look::default()), violations);
        self
    }

    /// The pictures that it refers to, with the fields that name them.
    pub(super) fn pictures(&self) -> Vec<(String, AssetId)> {
        let logo = self.logo_asset_id.iter().map(|id| ("design.logoAssetId".to_owned(), *id));
        let photos = self.photos().iter().enumerate();
        logo.chain(photos.map(|(index, id)| (format!("design.photoAssetIds[{index}]"), *id))).collect()
    }

    /// The owner's pictures, as far as there may be any.
    fn photos(&self) -> &[AssetId] {
        &self.photo_asset_ids[..self.photo_asset_ids.len().min(MAX_PHOTOS)]
    }

    /// The look with this design on top of it.
    pub(super) fn over(&self, template: &Look, violations: &mut Violations) -> Look {
        let mut found = Violations::default();
        let mut look = template.clone();
        look.style = self.style.unwrap_or(template.style);
        if let Some(update) = self.colors.clone() {
            apply_colors(look.colors.get_or_insert_with(Colors::default), update, &mut found);
        }
        if let Some(update) = self.fonts.clone() {
            apply_fonts(look.fonts.get_or_insert_with(Fonts::default), update, &mut found);
        }
        let found = found.into_result().err().unwrap_or_default();
        violations.extend(found.into_iter().map(|error| error.within("design")));
        look
    }
}

impl PageChoice {
    /// Checks what can be checked of a list of pages without a template.
    pub(super) fn read_all(pages: Vec<Self>, violations: &mut Violations) -> Vec<Self> {
        if pages.is_empty() {
            violations.add("pages", "too_few", RuleMessage::new("Choose at least one page.").min(1));
        }
        if pages.len() > MAX_PAGES {
            violations.add(
                "pages",
                "too_many",
                RuleMessage::new(format!("At most {MAX_PAGES} pages are possible.")).max(MAX_PAGES),
            );
            return Vec::new();
        }
        let pages: Vec<Self> =
            (0..).zip(pages).map(|(index, page): (usize, _)| page.read(index, violations)).collect();
        for (index, page) in pages.iter().enumerate() {
            violations.check(
                !pages[..index].iter().any(|earlier| earlier.name() == page.name()),
                format!("pages[{index}]"),
                "duplicate",
                "This page is in the list already.",
            );
        }
        pages
    }

    fn read(mut self, index: usize, violations: &mut Violations) -> Self {
        let field = |name: &str| format!("pages[{index}].{name}");
        self.key = tidy(self.key, field("key"), 100, violations);
        self.title = tidy(self.title, field("title"), MAX_TITLE, violations);
        self.purpose = tidy(self.purpose, field("purpose"), 500, violations);
        if self.key.is_none() && self.title.is_none() {
            violations.add(field("title"), "required", "A page that is not of the template needs a title.");
        }
        self.slug = self.slug.filter(|slug| !slug.trim().is_empty());
        if let Some(slug) = &self.slug {
            violations.take(field("slug"), Slug::parse(slug));
        }
        self
    }
}

impl ContentChoice {
    /// The pictures that the customer's own texts refer to, with the fields that name them.
    pub(super) fn pictures(&self) -> Vec<(String, AssetId)> {
        let mut found = Vec::new();
        for (index, section) in self.sections.iter().enumerate() {
            collect_pictures(&section.content, &format!("content.sections[{index}].content"), &mut found);
        }
        found
    }

    /// Checks what can be checked without a template: additional sections by their type, others when the site is made.
    pub(super) fn read(mut self, violations: &mut Violations) -> Self {
        if self.mode.is_none() {
            violations.add("content.mode", "required", "Say whether the texts are `ai` or `own`.");
        }
        if self.sections.len() > MAX_OWN_SECTIONS {
            let message =
                RuleMessage::new(format!("At most {MAX_OWN_SECTIONS} are possible.")).max(MAX_OWN_SECTIONS);
            violations.add("content.sections", "too_many", message);
            self.sections = Vec::new();
        }
        for (index, section) in self.sections.iter_mut().enumerate() {
            section.read(&format!("content.sections[{index}]"), violations);
        }
        self
    }
}

/// Collects the pictures that some content refers to, whatever its type is.
fn collect_pictures(content: &Value, path: &str, found: &mut Vec<(String, AssetId)>) {
    match content {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_pictures(item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let field = format!("{path}.{name}");
                match value.as_str().filter(|_| name == "imageAssetId").and_then(|text| text.parse().ok()) {
                    Some(id) => found.push((field, id)),
                    None => collect_pictures(value, &field, found),
                }
            }
        }
        _ => {}
    }
}

impl OwnSection {
    fn read(&mut self, path: &str, violations: &mut Violations) {
        violations.text(format!("{path}.page"), &self.page, 1, 100);
        self.page = self.page.trim().to_owned();
        self.section = tidy(self.section.take(), format!("{path}.section"), 100, violations);
        match (self.section.is_some(), self.kind) {
            (false, None) => {
                let message = "Name a section of the template, or the type of a section more.";
                violations.add(format!("{path}.type"), "required", message);
            }
            (false, Some(kind)) => {
                match SectionContent::read(kind, self.content.take(), &format!("{path}.content")) {
                    Ok(content) => self.content = content.into_json(),
                    Err(errors) => violations.extend(errors),
                }
            }
            (true, _) => violations.check(
                self.content.is_object(),
                format!("{path}.content"),
                "invalid_type",
                "This must be an object.",
            ),
        }
    }
}

impl Presence {
    pub(super) fn read(mut self, violations: &mut Violations) -> Self {
        self.title = tidy(self.title, "seo.title", MAX_TITLE, violations);
        self.description = tidy(self.description, "seo.description", 500, violations);
        self.keywords = words(self.keywords, "seo.keywords", 0, 60, violations);
        self.email = blank_is_none(self.email);
        self.phone = blank_is_none(self.phone);
        self.address = blank_is_none(self.address);
        self.hours = blank_is_none(self.hours);
        // The rules are those of the section that will show it; that section must name a way, this step need not.
        let stand_in = if self.is_reachable() { None } else { Some("-") };
        let contact = json!({
            "email": self.email, "phone": self.phone,
            "address": self.address.as_deref().or(stand_in), "hours": self.hours,
        });
        if let Err(errors) = SectionContent::read(SectionType::Contact, contact, "seo") {
            violations.extend(errors);
        }
        self.subdomain = blank_is_none(self.subdomain);
        if let Some(wish) = &self.subdomain {
            violations.take("seo.subdomain", Subdomain::parse(wish));
        }
        self
    }
}

/// The trimmed text; `None` when it is blank.
fn blank_is_none(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Like [`blank_is_none`], and checked.
fn tidy(
    text: Option<String>,
    field: impl Into<String>,
    max: usize,
    violations: &mut Violations,
) -> Option<String> {
    let text = blank_is_none(text)?;
    violations.text(field, &text, 0, max);
    Some(text)
}

/// A list of `min` to [`MAX_WORDS`] short texts.
fn words(
    list: Vec<String>,
    field: &str,
    min: usize,
    length: usize,
    violations: &mut Violations,
) -> Vec<String> {
    if list.len() < min {
        violations.add(field, "required", "Name at least one.");
    }
    if list.len() > MAX_WORDS {
        violations.add(
            field,
            "too_many",
            RuleMessage::new(format!("At most {MAX_WORDS} are possible.")).max(MAX_WORDS),
        );
        return Vec::new();
    }
    for (index, text) in list.iter().enumerate() {
        violations.text(format!("{field}[{index}]"), text, 1, length);
    }
    list.into_iter().map(|text| text.trim().to_owned()).collect()
}
