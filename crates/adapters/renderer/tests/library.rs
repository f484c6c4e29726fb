//! The templates of the library as sites: every page, every image, every link.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with other tests")]
mod html;
#[allow(dead_code, reason = "shared with other tests")]
mod sample;
mod templates;

use std::collections::{BTreeMap, BTreeSet};

use html::Document;
use portico_renderer::HtmlRenderer;
use portico_sites::{
    look::Style,
    ports::{SiteRenderer, SiteSnapshot},
};

/// Maximum size of a site's stylesheet.
const MAX_STYLESHEET: usize = 40_000;

fn render(site: &SiteSnapshot) -> BTreeMap<String, String> {
    let files = HtmlRenderer::new().unwrap().render(site).unwrap();
    let texts = files.into_iter().filter(|file| !file.path.ends_with(".woff2"));
    texts.map(|file| (file.path, String::from_utf8(file.bytes).unwrap())).collect()
}

#[test]
fn every_page_of_every_template_is_whole() {
    let (mut pages, mut pictures) = (0, BTreeSet::new());
    for (slug, site) in templates::sites() {
        let files = render(&site);
        for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".html")) {
            let page = Document::read(text);
            assert_eq!(page.errors, Vec::<String>::new(), "{slug} {path}");
            let headings = page.headings();
            assert_eq!(headings.first(), Some(&1), "{slug} {path}");
            assert_eq!(headings.iter().filter(|level| **level == 1).count(), 1, "{slug} {path}");
            assert!(headings.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{slug} {path}: {headings:?}");
            let ids: BTreeSet<&str> = page.elements.iter().filter_map(|element| element.get("id")).collect();
            for element in &page.elements {
                if let Some(source) = element.get("src") {
                    assert!(files.contains_key(&source[1..]), "{slug} {path}: {source}");
                    assert!(element.get("alt").is_some_and(|alt| !alt.is_empty()), "{slug} {path}: {source}");
                    pictures.insert(source.to_owned());
                }
                if element.get("rel") == Some("icon") {
                    let icon = element.get("href").unwrap();
                    assert!(files.contains_key(&icon[1..]), "{slug} {path}: {icon}");
                    pictures.insert(icon.to_owned());
                }
                let Some(address) = element.get("href").filter(|_| element.name == "a") else { continue };
                if let Some(id) = address.strip_prefix('#') {
                    assert!(ids.contains(id), "{slug} {path}: {address}");
                } else if let Some(target) = address.strip_prefix('/') {
                    // Links in rich text may lack the last slash.
                    let (target, id) = target.split_once('#').unwrap_or((target, ""));
                    let target = target.trim_end_matches('/');
                    let file = if target.is_empty() {
                        "index.html".to_owned()
                    } else {
                        format!("{target}/index.html")
                    };
                    let there = files.get(&file).unwrap_or_else(|| panic!("{slug} {path}: {address}"));
                    assert!(
                        id.is_empty() || there.contains(&format!("id=\"{id}\"")),
                        "{slug} {path}: {address}"
                    );
                }
            }
            pages += 1;
        }
        // Every image is shown on some page.
        for path in files.keys().filter(|path| path.ends_with(".svg")) {
            assert!(pictures.contains(&format!("/{path}")), "{slug}: {path} is shown nowhere");
        }
    }
    assert!(pages > 80, "{pages} pages");
    assert!(pictures.len() > 60, "{} pictures", pictures.len());
}

#[test]
fn every_style_is_different_small_and_self_contained() {
    let mut sheets = BTreeSet::new();
    for style in Style::ALL {
        let mut site = sample::bakery();
        site.theme.style = style;
        let files = render(&site);
        let (_, css) = files.iter().find(|(path, _)| path.ends_with(".css")).unwrap();
        assert!(css.len() < MAX_STYLESHEET, "{style:?}: {} bytes", css.len());
        for forbidden in ["url(", "@import", "http:", "https:", "expression"] {
            assert!(!css.contains(forbidden), "{style:?}: {forbidden}");
        }
        assert_eq!(css.matches('{').count(), css.matches('}').count(), "{style:?}");
        assert!(css.contains(":focus-visible") && css.contains("prefers-reduced-motion"), "{style:?}");
        sheets.insert(css.clone());
    }
    assert_eq!(sheets.len(), Style::ALL.len());
}

#[test]
fn a_hidden_section_takes_its_pictures_along() {
    let (_, mut site) = templates::sites().into_iter().find(|(slug, _)| slug == "millstone-bakery").unwrap();
    let shown = |site: &SiteSnapshot| render(site).keys().filter(|path| path.ends_with(".svg")).count();
    let before = shown(&site);
    site.pages[0].sections[0].visible = false;
    assert_eq!(shown(&site), before - 1);
}
