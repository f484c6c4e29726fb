//! Metadata in the head of a page for search engines and social networks.

use std::collections::BTreeMap;

use portico_kernel::PageId;
use portico_sites::{
    ports::{PageSnapshot, SitePicture, SiteSnapshot},
    seo::Seo,
};
use serde::Serialize;

use crate::{section::Sections, structured_data};

/// The head of a page.
#[derive(Debug, Serialize)]
pub struct DocumentHead {
    /// Title of the document.
    title: String,
    description: Option<String>,
    keywords: Option<String>,
    canonical: String,
    robots: Option<String>,
    /// Title on social networks.
    shared_title: String,
    /// Description on social networks.
    shared_description: Option<String>,
    /// Absolute URL of an image.
    image: Option<String>,
    /// The same page in every language, this one included; empty when there is only one.
    alternates: Vec<Alternate>,
    /// The URL for readers of any other language.
    default_alternate: Option<String>,
    /// JSON-LD, one document each.
    structured_data: Vec<String>,
}

/// A page in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alternate {
    /// BCP 47.
    pub language: String,
    /// Native name of the language.
    pub name: String,
    /// Absolute URL.
    pub address: String,
    /// Path on the site.
    pub path: String,
}

/// The head of a page at `path`.
pub fn head(
    snapshot: &PageSnapshot,
    site: &SiteSnapshot,
    path: &str,
    sections: &Sections,
    alternates: &[Alternate],
) -> DocumentHead {
    let seo = snapshot.seo.as_ref();
    let title = seo.and_then(|seo| seo.title.clone()).unwrap_or_else(|| document_title(snapshot, site, path));
    let description = seo.and_then(|seo| seo.description.clone()).or_else(|| sections.description.clone());
    let own_picture = seo
        .and_then(|seo| seo.open_graph.image_asset_id)
        .and_then(|id| site.assets.get(&id))
        .and_then(|picture| picture_address(picture, &site.base_url));
    let first_picture = || sections.image.as_deref().and_then(|image| absolute(image, &site.base_url));
    let image = own_picture.or_else(first_picture);
    let canonical =
        seo.and_then(|seo| seo.canonical_url.clone()).unwrap_or_else(|| format!("{}{path}", site.base_url));
    let default_alternate = alternates
        .iter()
        .find(|alternate| alternate.language == site.language)
        .or_else(|| alternates.first())
        .map(|alternate| alternate.address.clone());
    let facts = structured_data::Facts { description: description.as_deref(), image: image.as_deref(), path };
    let structured_data = structured_data::documents(snapshot, site, &facts);
    DocumentHead {
        shared_title: seo.and_then(|seo| seo.open_graph.title.clone()).unwrap_or_else(|| title.clone()),
        shared_description: seo
            .and_then(|seo| seo.open_graph.description.clone())
            .or_else(|| description.clone()),
        keywords: seo.map(|seo| seo.keywords.join(", ")).filter(|keywords| !keywords.is_empty()),
        robots: seo.and_then(|seo| seo.robots.clone()),
        alternates: alternates.to_vec(),
        title,
        description,
        canonical,
        image,
        default_alternate,
        structured_data,
    }
}

/// For each page, its translations including itself; pages without translations are left out.
pub fn alternates(site: &SiteSnapshot, paths: &std::collections::HashMap<PageId, String>) -> Alternates {
    let mut groups: BTreeMap<PageId, Vec<(PageId, Alternate)>> = BTreeMap::new();
    for PageSnapshot { page, seo, .. } in &site.pages {
        if seo.as_ref().is_some_and(Seo::is_noindex) {
            continue;
        }
        let language = page.language.as_deref().unwrap_or(&site.language);
        let path = paths.get(&page.id).map_or("/", String::as_str);
        let group = groups.entry(page.translation_of.unwrap_or(page.id)).or_default();
        // If there are several pages in a language, the oldest is used.
        if group.iter().all(|(_, other)| other.language != language) {
            let alternate = Alternate {
                language: language.to_owned(),
                name: language_name(language).to_owned(),
                address: format!("{}{path}", site.base_url),
                path: path.to_owned(),
            };
            group.push((page.id, alternate));
        }
    }
    let mut found = Alternates::new();
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let mut all: Vec<Alternate> = group.iter().map(|(_, alternate)| alternate.clone()).collect();
        all.sort_by(|one, other| one.language.cmp(&other.language));
        found.extend(group.into_iter().map(|(page, _)| (page, all.clone())));
    }
    found
}

/// Translations of pages, by page.
pub type Alternates = BTreeMap<PageId, Vec<Alternate>>;

fn document_title(snapshot: &PageSnapshot, site: &SiteSnapshot, path: &str) -> String {
    let (title, name) = (snapshot.page.title.as_str(), site.site.name.as_str());
    if path == "/" || title == name { name.to_owned() } else { format!("{title} · {name}") }
}

/// The URL of the largest of its files.
fn picture_address(picture: &SitePicture, base_url: &str) -> Option<String> {
    picture.sources.last().map(|source| format!("{base_url}/{}", source.path))
}

/// The absolute URL of an image; `None` for an inline one.
fn absolute(image: &str, base_url: &str) -> Option<String> {
    if image.starts_with('/') {
        return Some(format!("{base_url}{image}"));
    }
    image.starts_with("https:").then(|| image.to_owned())
}

/// The native name of a language; the tag if it is unknown.
fn language_name(tag: &str) -> &str {
    match tag.split('-').next().unwrap_or(tag).to_ascii_lowercase().as_str() {
        "ca" => "Català",
        "cs" => "Čeština",
        "da" => "Dansk",
        "de" => "Deutsch",
        "el" => "Ελληνικά",
        "en" => "English",
        "es" => "Español",
        "fi" => "Suomi",
        "fr" => "Français",
        "hu" => "Magyar",
        "it" => "Italiano",
        "ja" => "日本語",
        "ko" => "한국어",
        "nl" => "Nederlands",
        "nb" | "no" => "Norsk",
        "pl" => "Polski",
        "pt" => "Português",
        "ro" => "Română",
        "ru" => "Русский",
        "sv" => "Svenska",
        "tr" => "Türkçe",
        "uk" => "Українська",
        "zh" => "中文",
        _ => tag,
    }
}
