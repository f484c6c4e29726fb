//! Renders a site as static files: semantic HTML, one stylesheet, no script, nothing from other hosts except images that
//! the customer links to.
//!
//! Pages conform to this content security policy without exception: `default-src 'none'; style-src 'self'; img-src 'self'
//! https: data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`.
//!
//! Templates escape everything, except the three fields with sanitised HTML (`text.html`, `html.html`, `faq.answer`).
//! Colours and fonts reach the stylesheet only as parsed values.

mod artwork;
mod color;
mod fonts;
mod form;
mod form_words;
mod icon;
mod links;
mod markup;
mod navigation;
mod pictures;
mod section;
mod seo;
mod structured_data;
mod templates;
mod theme;
mod words;

use std::collections::{BTreeMap, HashMap};

use minijinja::{
    Environment,
    value::{Serde, Value},
};
use portico_kernel::{PageId, Timestamp};
use portico_sites::{
    ports::{PageSnapshot, RenderError, RenderedFile, SiteRenderer, SiteSnapshot},
    section::{SectionType, content::ContactContent},
    submission::form::FORMS_FILE,
};
use serde::Serialize;

use crate::{
    form::ThanksView,
    icon::Icon,
    links::Links,
    navigation::Entry,
    pictures::PictureView,
    section::SectionView,
    seo::{Alternate, DocumentHead},
    theme::Stylesheet,
    words::Words,
};

/// Renders sites from the templates in this crate.
pub struct HtmlRenderer {
    templates: Environment<'static>,
}

/// Values common to all pages of a site.
#[derive(Serialize)]
struct Shared<'a> {
    name: &'a str,
    base_url: &'a str,
    language: &'a str,
    locale: Option<String>,
    stylesheet: &'a str,
    navigation: Vec<Entry>,
    contact: Option<ContactContent>,
    /// Where visitors get in touch.
    action: Option<Action>,
    /// The page about privacy.
    privacy: Option<Action>,
    /// The year of the last change.
    year: i32,
    logo: Option<PictureView>,
    favicon: Option<PictureView>,
    /// Path of the generated icon, for a site without a favicon.
    icon: &'a str,
    words: &'static Words,
}

/// A link with a text.
#[derive(Serialize)]
struct Action {
    label: String,
    href: String,
}

/// One page.
#[derive(Serialize)]
struct PageView<'a> {
    title: &'a str,
    head: DocumentHead,
    path: &'a str,
    /// The same page in other languages.
    translations: Vec<Alternate>,
    owns_title: bool,
    sections: Vec<SectionView>,
}

/// An entry of the sitemap.
#[derive(Serialize)]
struct Location {
    address: String,
    changed: String,
    alternates: Vec<Alternate>,
}

impl HtmlRenderer {
    /// Compiles the templates. Fails only if one of them is invalid, which the tests of this crate detect.
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
        let icon = Icon::new(&snapshot.site.name, &snapshot.theme);
        let shared = |language: &str| {
            Value::from(Serde(Shared {
                name: &snapshot.site.name,
                base_url: &snapshot.base_url,
                language,
                locale: locale(language),
                stylesheet: &stylesheet.path,
                navigation: navigation::tree(&snapshot.navigation, &snapshot.pages, &paths, &links),
                contact: first_contact(&snapshot.pages, &links),
                action: action(&snapshot.pages, &paths, language),
                privacy: privacy(&snapshot.pages, &paths),
                year: snapshot
                    .pages
                    .iter()
                    .map(last_change)
                    .max()
                    .unwrap_or(snapshot.site.updated_at)
                    .into_inner()
                    .year(),
                logo: snapshot.theme.logo.as_ref().and_then(PictureView::new),
                favicon: snapshot.theme.favicon.as_ref().and_then(PictureView::new),
                icon: &icon.path,
                words: Words::in_language(language),
            }))
        };
        let in_site_language = shared(&snapshot.language);
        let alternates = seo::alternates(snapshot, &paths);

        let mut files = Vec::with_capacity(snapshot.pages.len() + 4);
        let mut locations = Vec::with_capacity(snapshot.pages.len());
        for page in &snapshot.pages {
            let path = paths.get(&page.page.id).map_or("/", String::as_str);
            let alternates = alternates.get(&page.page.id).map_or(&[][..], Vec::as_slice);
            let language = page.page.language.as_deref().unwrap_or(&snapshot.language);
            let view = view(page, path, snapshot, &links, alternates, language)?;
            // Pages that are not to be indexed, or have another canonical URL, are not listed.
            let is_listed =
                page.seo.as_ref().is_none_or(|seo| !seo.is_noindex() && seo.canonical_url.is_none());
            if is_listed {
                locations.push(Location {
                    address: format!("{}{path}", snapshot.base_url),
                    changed: last_change(page).to_string(),
                    alternates: alternates.to_vec(),
                });
            }
            let file = format!("{}index.html", path.trim_start_matches('/'));
            let view = Value::from(Serde(view));
            files.push(if language == snapshot.language {
                self.file(&file, "page.html", &in_site_language, view)?
            } else {
                self.file(&file, "page.html", &shared(language), view)?
            });
        }
        files.push(self.file("404.html", "404.html", &in_site_language, Value::from(()))?);
        files.push(self.file(
            "sitemap.xml",
            "sitemap.xml",
            &in_site_language,
            Value::from(Serde(locations)),
        )?);
        files.push(self.file("robots.txt", "robots.txt", &in_site_language, Value::from(()))?);
        let forms = form::deployed(snapshot, &paths, &stylesheet.path);
        let languages: BTreeMap<&str, &str> =
            forms.forms.values().map(|form| (form.thanks.as_str(), form.language.as_str())).collect();
        for (path, language) in languages {
            let (file, thanks) =
                (format!("{}index.html", path.trim_start_matches('/')), ThanksView::new(language));
            files.push(self.file(&file, "thanks.html", &shared(language), Value::from(Serde(thanks)))?);
        }
        if !forms.forms.is_empty() {
            let bytes = serde_json::to_vec(&forms).map_err(|error| RenderError(error.to_string()))?;
            files.push(RenderedFile { path: FORMS_FILE.to_owned(), bytes });
        }
        files.extend(artwork::files(&snapshot.pages));
        if snapshot.theme.favicon.is_none() {
            files.push(RenderedFile { path: icon.path, bytes: icon.svg.into_bytes() });
        }
        files.extend(stylesheet.fonts);
        files.push(RenderedFile { path: stylesheet.path, bytes: stylesheet.css.into_bytes() });
        Ok(files)
    }
}

/// The path of each page.
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
    alternates: &[Alternate],
    language: &str,
) -> Result<PageView<'a>, RenderError> {
    let sections = section::prepare(&snapshot.sections, links, language, &site.assets)?;
    let head = seo::head(snapshot, site, path, &sections, alternates);
    Ok(PageView {
        title: &snapshot.page.title,
        head,
        path,
        translations: alternates.iter().filter(|other| other.language != language).cloned().collect(),
        owns_title: sections.owns_title,
        sections: sections.views,
    })
}

/// The first contact details on any page: they go into the footer.
fn first_contact(pages: &[PageSnapshot], links: &Links) -> Option<ContactContent> {
    let sections = pages.iter().flat_map(|page| &page.sections);
    sections
        .filter(|section| section.kind == SectionType::Contact)
        .find_map(|section| section::contact(section, links))
}

/// The longest title of a page that fits on the button of the header, in characters.
const MAX_ACTION: usize = 18;

/// Where visitors get in touch: the first page with a contact section, named by its title.
fn action(pages: &[PageSnapshot], paths: &HashMap<PageId, String>, language: &str) -> Option<Action> {
    let has_contact = |page: &&PageSnapshot| page.sections.iter().any(|s| s.kind == SectionType::Contact);
    let found = pages.iter().find(has_contact)?;
    let path = paths.get(&found.page.id)?;
    let words = Words::in_language(language);
    Some(if path == "/" {
        Action { label: words.contact.to_owned(), href: "/#contact".to_owned() }
    } else if found.page.title.chars().count() <= MAX_ACTION {
        Action { label: found.page.title.clone(), href: path.clone() }
    } else {
        Action { label: words.contact.to_owned(), href: path.clone() }
    })
}

/// Last parts of addresses of pages about privacy.
const PRIVACY: [&str; 8] = [
    "privacy",
    "privacy-policy",
    "privacidad",
    "aviso-de-privacidad",
    "politica-de-privacidad",
    "datenschutz",
    "confidentialite",
    "politique-de-confidentialite",
];

/// The page about privacy, where the site has one.
fn privacy(pages: &[PageSnapshot], paths: &HashMap<PageId, String>) -> Option<Action> {
    let found = pages.iter().find(|page| PRIVACY.contains(&page.page.slug.as_str()))?;
    Some(Action { label: found.page.title.clone(), href: paths.get(&found.page.id)?.clone() })
}

/// `de_AT` for `de-AT`, the format of Open Graph; `None` without a region.
fn locale(language: &str) -> Option<String> {
    let (language, region) = language.split_once('-')?;
    (region.len() == 2).then(|| format!("{}_{}", language.to_lowercase(), region.to_uppercase()))
}

fn last_change(snapshot: &PageSnapshot) -> Timestamp {
    let sections = snapshot.sections.iter().map(|section| section.updated_at);
    sections.fold(snapshot.page.updated_at, Timestamp::max)
}

/// A template that fails is a bug in this crate. The alternate format has the template and line.
fn bug(error: minijinja::Error) -> RenderError {
    RenderError(format!("{error:#}"))
}
