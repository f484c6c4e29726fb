//! Turns a site into static files: semantic HTML, one stylesheet, no script, nothing from other hosts but the pictures that
//! the customer links to.
//!
//! Pages are made for this content security policy, and need no exception from it:
//! `default-src 'none'; style-src 'self'; img-src 'self' https: data:; form-action 'self'; base-uri 'none';
//! frame-ancestors 'none'`.
//!
//! Templates escape everything, except the three places that hold sanitised HTML (`text.html`, `html.html`,
//! `faq.answer`). Colours and fonts reach the stylesheet only as parsed values.

mod color;
mod links;
mod markup;
mod navigation;
mod section;
mod templates;
mod theme;
mod words;

use std::collections::HashMap;

use minijinja::{
    Environment,
    value::{Serde, Value},
};
use portico_kernel::{PageId, Timestamp};
use portico_sites::{
    ports::{PageSnapshot, RenderError, RenderedFile, SiteRenderer, SiteSnapshot},
    section::{SectionType, content::ContactContent},
};
use serde::Serialize;

use crate::{links::Links, navigation::Entry, section::SectionView, theme::Stylesheet, words::Words};

/// Renders sites from the templates in this crate.
pub struct HtmlRenderer {
    templates: Environment<'static>,
}

/// What every page of a site shares.
#[derive(Serialize)]
struct Shared<'a> {
    name: &'a str,
    base_url: &'a str,
    language: &'a str,
    locale: Option<String>,
    stylesheet: &'a str,
    navigation: Vec<Entry>,
    contact: Option<ContactContent>,
    words: &'static Words,
}

/// One page.
#[derive(Serialize)]
struct PageView<'a> {
    title: &'a str,
    /// Title of the document.
    document_title: String,
    path: &'a str,
    canonical: String,
    description: Option<String>,
    image: Option<String>,
    owns_title: bool,
    sections: Vec<SectionView>,
}

/// An entry of the sitemap.
#[derive(Serialize)]
struct Location {
    address: String,
    changed: String,
}

impl HtmlRenderer {
    /// Compiles the templates. Fails only when one of them is broken, which the tests of this crate would show.
    pub fn new() -> Result<Self, RenderError> {
        Ok(Self { templates: templates::environment().map_err(bug)? })
    }

    fn file(
        &self,
        path: &str,
        template: &str,
        shared: &Value,
        page: Value,
    ) -> Result<RenderedFile, RenderError> {
        let template = self.templates.get_template(template).map_err(bug)?;
        let text = template.render(minijinja::context! { site => shared, page => page }).map_err(bug)?;
        Ok(RenderedFile { path: path.to_owned(), bytes: text.into_bytes() })
    }
}

impl SiteRenderer for HtmlRenderer {
    fn render(&self, snapshot: &SiteSnapshot) -> Result<Vec<RenderedFile>, RenderError> {
        let home = snapshot.pages.first().map_or("", |first| first.page.slug.as_str());
        let links = Links::new(home);
        let paths = paths(&snapshot.pages)?;
        let stylesheet = Stylesheet::new(&snapshot.theme);
        let shared = Value::from(Serde(Shared {
            name: &snapshot.site.name,
            base_url: &snapshot.base_url,
            language: &snapshot.language,
            locale: locale(&snapshot.language),
            stylesheet: &stylesheet.path,
            navigation: navigation::tree(&snapshot.navigation, &snapshot.pages, &paths, &links),
            contact: first_contact(&snapshot.pages, &links),
            words: Words::in_language(&snapshot.language),
        }));

        let mut files = Vec::with_capacity(snapshot.pages.len() + 4);
        let mut locations = Vec::with_capacity(snapshot.pages.len());
        for page in &snapshot.pages {
            let path = paths.get(&page.page.id).map_or("/", String::as_str);
            let view = view(page, path, snapshot, &links)?;
            locations
                .push(Location { address: view.canonical.clone(), changed: last_change(page).to_string() });
            let file = format!("{}index.html", path.trim_start_matches('/'));
            files.push(self.file(&file, "page.html", &shared, Value::from(Serde(view)))?);
        }
        files.push(self.file("404.html", "404.html", &shared, Value::from(()))?);
        files.push(self.file("sitemap.xml", "sitemap.xml", &shared, Value::from(Serde(locations)))?);
        files.push(self.file("robots.txt", "robots.txt", &shared, Value::from(()))?);
        files.push(RenderedFile { path: stylesheet.path, bytes: stylesheet.css.into_bytes() });
        Ok(files)
    }
}

/// Where each page answers.
fn paths(pages: &[PageSnapshot]) -> Result<HashMap<PageId, String>, RenderError> {
    let mut paths = HashMap::with_capacity(pages.len());
    for (index, PageSnapshot { page, .. }) in pages.iter().enumerate() {
        // A slug becomes part of a file name.
        let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if page.slug.is_empty() || !page.slug.chars().all(plain) {
            return Err(RenderError(format!("slug of page {}", page.id)));
        }
        paths.insert(page.id, if index == 0 { "/".to_owned() } else { format!("/{}/", page.slug) });
    }
    Ok(paths)
}

fn view<'a>(
    snapshot: &'a PageSnapshot,
    path: &'a str,
    site: &SiteSnapshot,
    links: &Links,
) -> Result<PageView<'a>, RenderError> {
    let title = snapshot.page.title.as_str();
    let name = site.site.name.as_str();
    let sections = section::prepare(&snapshot.sections, links)?;
    Ok(PageView {
        title,
        document_title: if path == "/" || title == name {
            name.to_owned()
        } else {
            format!("{title} · {name}")
        },
        path,
        canonical: format!("{}{path}", site.base_url),
        description: sections.description,
        image: sections.image.and_then(|image| absolute(&image, &site.base_url)),
        owns_title: sections.owns_title,
        sections: sections.views,
    })
}

/// The address of a picture for other hosts; `None` for one that is inline.
fn absolute(image: &str, base_url: &str) -> Option<String> {
    if image.starts_with('/') {
        return Some(format!("{base_url}{image}"));
    }
    image.starts_with("https:").then(|| image.to_owned())
}

/// The first contact details on any page: they go into the footer.
fn first_contact(pages: &[PageSnapshot], links: &Links) -> Option<ContactContent> {
    let sections = pages.iter().flat_map(|page| &page.sections);
    sections
        .filter(|section| section.kind == SectionType::Contact)
        .find_map(|section| section::contact(section, links))
}

/// `de_AT` for `de-AT`, as Open Graph has it; `None` without a region.
fn locale(language: &str) -> Option<String> {
    let (language, region) = language.split_once('-')?;
    (region.len() == 2).then(|| format!("{}_{}", language.to_lowercase(), region.to_uppercase()))
}

fn last_change(snapshot: &PageSnapshot) -> Timestamp {
    let sections = snapshot.sections.iter().map(|section| section.updated_at);
    sections.fold(snapshot.page.updated_at, Timestamp::max)
}

/// A template that fails is a bug in this crate. The alternate form has the template and line.
fn bug(error: minijinja::Error) -> RenderError {
    RenderError(format!("{error:#}"))
}
