//! Sections for the templates: sanitised URLs, headings in the outline of the page.

use std::collections::BTreeMap;

use portico_kernel::AssetId;
use portico_sites::{
    ports::{RenderError, SitePicture},
    section::{
        Section, SectionType,
        content::{ContactContent, SectionContent},
    },
};
use serde::Serialize;

use crate::{
    form::FormView,
    links::{self, Links},
    markup,
    pictures::{self, PictureView},
};

/// Maximum length of a generated page description; search engines show about this much.
const DESCRIPTION: usize = 160;

/// A section, ready for its template.
#[derive(Debug, Serialize)]
pub struct SectionView {
    /// Selects the template.
    kind: &'static str,
    /// Anchor name: its type, with a number from the second one on a page.
    anchor: String,
    /// Whether it has a quiet background. Neighbours alternate.
    quiet: bool,
    /// Level of its heading.
    level: u8,
    /// Level of nested headings.
    inner_level: u8,
    /// Columns of its list on a wide screen.
    columns: usize,
    content: SectionContent,
    /// The uploaded images in it.
    pictures: BTreeMap<AssetId, PictureView>,
    /// The contact form, if there is one.
    form: Option<FormView>,
}

/// The sections of a page, and the data for its head.
#[derive(Default)]
pub struct Sections {
    /// In order.
    pub views: Vec<SectionView>,
    /// Whether the first section has the page's `h1`.
    pub owns_title: bool,
    /// Plain text for search engines and previews.
    pub description: Option<String>,
    /// URL of the first large image.
    pub image: Option<String>,
}

/// Prepares the visible sections of a page in a language. `uploaded` are the images of the site.
pub fn prepare(
    sections: &[Section],
    links: &Links,
    language: &str,
    uploaded: &BTreeMap<AssetId, SitePicture>,
) -> Result<Sections, RenderError> {
    let mut result = Sections::default();
    let mut quiet = true;
    for section in sections.iter().filter(|section| section.visible) {
        let mut content = read(section, links)?;
        let pictures = pictures::take(&mut content, uploaded);
        let has_heading = !heading(&content).is_empty();
        let is_title = result.views.is_empty() && section.kind == SectionType::Hero && has_heading;
        let level = if is_title { 1 } else { 2 };
        let inner_level = if has_heading && !is_title { 3 } else { 2 };
        rebase_headings(&mut content, inner_level);
        result.describe(&content, &pictures);
        result.owns_title |= is_title;

        // The title band and a hero have their own background, a call to action the plain one.
        quiet = match section.kind {
            SectionType::Hero => true,
            SectionType::Cta => false,
            _ => !quiet,
        };
        let kind = section.kind.as_str();
        let earlier = result.views.iter().filter(|view| view.kind == kind).count();
        let anchor = if earlier == 0 { kind.to_owned() } else { format!("{kind}-{}", earlier + 1) };
        let columns = columns(&content);
        let form = match &content {
            SectionContent::Contact(contact) if contact.form => {
                Some(FormView::empty(section, contact, language))
            }
            _ => None,
        };
        let view = SectionView { kind, anchor, quiet, level, inner_level, columns, content, pictures, form };
        result.views.push(view);
    }
    Ok(result)
}

/// The contact details of a section, if it has any.
pub fn contact(section: &Section, links: &Links) -> Option<ContactContent> {
    match read(section, links) {
        Ok(SectionContent::Contact(contact)) if section.visible => Some(contact),
        _ => None,
    }
}

/// The content, without forbidden URLs. They are refused when content is written; this covers content that was stored in
/// another way.
fn read(section: &Section, links: &Links) -> Result<SectionContent, RenderError> {
    let mut content = SectionContent::from_stored(section.kind, &section.content).map_err(|error| {
        RenderError(format!("content of {} section {}: {error}", section.kind.as_str(), section.id))
    })?;
    match &mut content {
        SectionContent::Hero(hero) => {
            hero.image_url = hero.image_url.take().and_then(|url| links::image(&url));
            hero.cta_url = hero.cta_url.take().and_then(|url| links.href(&url));
        }
        SectionContent::Gallery(gallery) => gallery.images.retain_mut(|image| {
            image.url = links::image(&image.url).unwrap_or_default();
            !image.url.is_empty() || image.image_asset_id.is_some()
        }),
        SectionContent::Pricing(pricing) => {
            for plan in &mut pricing.plans {
                plan.cta_url = plan.cta_url.take().and_then(|url| links.href(&url));
            }
        }
        // A button with an empty URL is not shown.
        SectionContent::Cta(cta) => cta.url = links.href(&cta.url).unwrap_or_default(),
        SectionContent::Text(_)
        | SectionContent::Features(_)
        | SectionContent::Testimonials(_)
        | SectionContent::Faq(_)
        | SectionContent::Contact(_)
        | SectionContent::Html(_) => {}
    }
    Ok(content)
}

fn heading(content: &SectionContent) -> &str {
    match content {
        SectionContent::Hero(hero) => Some(&hero.heading),
        SectionContent::Text(text) => text.heading.as_ref(),
        SectionContent::Features(features) => features.heading.as_ref(),
        SectionContent::Gallery(gallery) => gallery.heading.as_ref(),
        SectionContent::Testimonials(testimonials) => testimonials.heading.as_ref(),
        SectionContent::Pricing(pricing) => pricing.heading.as_ref(),
        SectionContent::Faq(faq) => faq.heading.as_ref(),
        SectionContent::Contact(contact) => contact.heading.as_ref(),
        SectionContent::Cta(cta) => Some(&cta.heading),
        SectionContent::Html(_) => None,
    }
    .map_or("", String::as_str)
}

/// Renumbers headings in rich text, so that they continue the outline.
fn rebase_headings(content: &mut SectionContent, first: u8) {
    match content {
        SectionContent::Text(text) => text.html = markup::rebase_headings(&text.html, first),
        SectionContent::Html(html) => html.html = markup::rebase_headings(&html.html, first),
        SectionContent::Faq(faq) => {
            for item in &mut faq.items {
                item.answer = markup::rebase_headings(&item.answer, first);
            }
        }
        _ => {}
    }
}

/// The number of columns on a wide screen that leaves the fewest gaps.
fn columns(content: &SectionContent) -> usize {
    let items = match content {
        SectionContent::Features(features) => features.items.len(),
        SectionContent::Gallery(gallery) => gallery.images.len(),
        SectionContent::Testimonials(testimonials) => testimonials.items.len(),
        SectionContent::Pricing(pricing) => pricing.plans.len(),
        _ => 1,
    };
    match items {
        0 | 1 => 1,
        2 | 4 => 2,
        _ => 3,
    }
}

impl Sections {
    /// The description is taken from the first non-empty hero or text, the image from the first hero with one.
    fn describe(&mut self, content: &SectionContent, pictures: &BTreeMap<AssetId, PictureView>) {
        let text = match content {
            SectionContent::Hero(hero) => {
                if self.image.is_none() {
                    let uploaded = hero.image_asset_id.and_then(|id| pictures.get(&id));
                    let uploaded = uploaded.map(|picture| picture.src().to_owned());
                    self.image = uploaded.or_else(|| hero.image_url.clone());
                }
                hero.subheading.clone().unwrap_or_else(|| hero.heading.clone())
            }
            SectionContent::Text(text) => markup::plain_text(&text.html),
            _ => return,
        };
        if self.description.is_none() && !text.trim().is_empty() {
            self.description = Some(markup::excerpt(&text, DESCRIPTION));
        }
    }
}
