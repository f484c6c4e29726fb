//! Rendering of whole sites: the sample, and sites with hostile content.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod html;
mod sample;

use std::{collections::BTreeMap, time::Instant};

use html::Document;
use portico_renderer::HtmlRenderer;
use portico_sites::{
    ports::{SiteRenderer, SiteSnapshot},
    section::SectionType,
};
use serde_json::{Value, json};

fn render(site: &SiteSnapshot) -> BTreeMap<String, String> {
    let files = HtmlRenderer::new().unwrap().render(site).unwrap();
    let count = files.len();
    let files: BTreeMap<_, _> =
        files.into_iter().map(|file| (file.path, String::from_utf8(file.bytes).unwrap())).collect();
    assert_eq!(files.len(), count, "every path once");
    files
}

fn pages(files: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, Document)> {
    files
        .iter()
        .filter(|(path, _)| path.ends_with(".html"))
        .map(|(path, text)| (path.as_str(), Document::read(text)))
}

/// Asserts the guarantees of every rendered page.
fn assert_well_formed(files: &BTreeMap<String, String>) {
    for (path, page) in pages(files) {
        assert_eq!(page.errors, Vec::<String>::new(), "{path}");
        let headings = page.headings();
        assert_eq!(headings.first(), Some(&1), "{path} begins with its heading: {headings:?}");
        assert_eq!(headings.iter().filter(|level| **level == 1).count(), 1, "{path}: {headings:?}");
        assert!(headings.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{path} skips a level: {headings:?}");
        let mut ids: Vec<_> = page.elements.iter().filter_map(|element| element.get("id")).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{path} has an id twice");
        assert!(page.all("html").all(|element| element.get("lang").is_some()));
        assert_eq!(page.all("title").count(), 1);
        assert!(page.all("img").all(|image| image.get("alt").is_some()));
        for element in &page.elements {
            let is_data = element.get("type") == Some("application/ld+json");
            assert!(
                is_data
                    || !["script", "style", "iframe", "object", "base", "form"]
                        .contains(&element.name.as_str()),
                "{path}"
            );
            for name in element.attributes.keys() {
                assert!(name != "style" && !name.starts_with("on"), "{path}: {name}");
            }
            assert!(element.get("target").is_none() || element.get("rel") == Some("noopener"), "{path}");
        }
    }
}

#[test]
fn the_sample_site() {
    let files = render(&sample::bakery());
    assert_well_formed(&files);
    let asset =
        |end: &str| files.keys().find(|path| path.starts_with("assets/") && path.ends_with(end)).unwrap();
    let (stylesheet, icon) = (asset(".css"), asset(".svg"));
    let listed: Vec<_> =
        files.keys().filter(|path| !path.starts_with("assets/")).map(String::as_str).collect();
    assert_eq!(
        listed,
        [
            "404.html",
            "about/index.html",
            "bread-and-cakes/index.html",
            "catering/index.html",
            "index.html",
            "robots.txt",
            "sitemap.xml",
        ]
    );
    for (path, text) in &files {
        // Hashes in asset names are masked, because any change of an asset would change every page.
        let text =
            text.replace(stylesheet.as_str(), "assets/site.css").replace(icon.as_str(), "assets/icon.svg");
        let (name, text) = match path {
            path if path == stylesheet => {
                ("theme.css".to_owned(), text.split("\n\n").next().unwrap().to_owned())
            }
            path if path == icon => ("icon.svg".to_owned(), text),
            path => (path.replace('/', "-"), text),
        };
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn the_same_snapshot_gives_the_same_bytes() {
    let renderer = HtmlRenderer::new().unwrap();
    let first = renderer.render(&sample::bakery()).unwrap();
    assert_eq!(first, renderer.render(&sample::bakery()).unwrap());
    assert_eq!(first, HtmlRenderer::new().unwrap().render(&sample::bakery()).unwrap());
}

#[test]
fn nothing_comes_from_other_hosts() {
    let files = render(&sample::bakery());
    for (path, page) in pages(&files) {
        for element in &page.elements {
            if let Some(source) = element.get("src") {
                assert!(
                    sample::PICTURES.iter().any(|(picture, _)| source == format!("/{picture}")),
                    "{path}: {source}"
                );
            }
            if element.name == "link" && matches!(element.get("rel"), Some("stylesheet" | "icon")) {
                let address = element.get("href").unwrap();
                assert!(files.contains_key(&address[1..]), "{path}: {address}");
            }
            assert!(element.get("srcset").is_none());
        }
    }
    let (_, css) = files.iter().find(|(path, _)| path.ends_with(".css")).unwrap();
    for reference in ["url(", "@import", "http", "//"] {
        assert!(!css.contains(reference), "{reference}");
    }
}

#[test]
fn every_link_on_the_site_leads_to_a_rendered_page_and_place() {
    let files = render(&sample::bakery());
    let mut checked = 0;
    for (path, page) in pages(&files) {
        for address in page.all("a").filter_map(|link| link.get("href")) {
            let (target, fragment) = address.split_once('#').unwrap_or((address, ""));
            let file = match target {
                "" => path.to_owned(),
                // Rich text may lack the last slash; the server redirects such requests.
                _ if target.starts_with('/') => {
                    format!("{}/index.html", target.trim_end_matches('/'))[1..].to_owned()
                }
                _ => continue,
            };
            let document = Document::read(files.get(&file).unwrap_or_else(|| panic!("{path}: {address}")));
            let exists = document.elements.iter().any(|element| element.get("id") == Some(fragment));
            assert!(fragment.is_empty() || exists, "{path}: {address}");
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn the_sitemap_is_xml_and_names_every_page() {
    let mut site = sample::bakery();
    site.base_url = "https://a&b.example".to_owned();
    let files = render(&site);
    let sitemap = roxmltree::Document::parse(&files["sitemap.xml"]).unwrap();
    assert_eq!(
        sitemap.root_element().tag_name().namespace(),
        Some("http://www.sitemaps.org/schemas/sitemap/0.9")
    );
    let text = |name| {
        sitemap.descendants().filter(move |node| node.has_tag_name(name)).filter_map(|node| node.text())
    };
    let ns = "http://www.sitemaps.org/schemas/sitemap/0.9";
    let locations: Vec<_> = text((ns, "loc")).collect();
    assert_eq!(locations[0], "https://a&b.example/");
    assert_eq!(locations.len(), 4);
    assert!(locations[1..].iter().all(|location| location.ends_with('/')));
    assert!(text((ns, "lastmod")).all(|time| time == "2026-09-21T14:13:20Z"), "{}", files["sitemap.xml"]);
    assert!(files["robots.txt"].contains("Sitemap: https://a&b.example/sitemap.xml\n"));
}

const EVIL: &str =
    "</title></style></a>\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}{% raw %}";

/// Content with the text in every plain field.
fn evil_content(kind: SectionType) -> Value {
    match kind {
        SectionType::Hero => {
            json!({"heading": EVIL, "subheading": EVIL, "imageUrl": format!("https://x.example/{EVIL}"), "imageAlt": EVIL, "ctaLabel": EVIL, "ctaUrl": "/x\"onclick=\"alert(1)"})
        }
        SectionType::Text => json!({"heading": EVIL, "html": "<p>fine</p>"}),
        SectionType::Features => {
            json!({"heading": EVIL, "intro": EVIL, "items": [{"title": EVIL, "text": EVIL, "icon": EVIL}, {"title": EVIL, "icon": "\"'><"}]})
        }
        SectionType::Gallery => {
            json!({"heading": EVIL, "images": [{"url": format!("/{EVIL}"), "alt": EVIL, "caption": EVIL}]})
        }
        SectionType::Testimonials => {
            json!({"heading": EVIL, "items": [{"quote": EVIL, "author": EVIL, "role": EVIL}]})
        }
        SectionType::Pricing => {
            json!({"heading": EVIL, "intro": EVIL, "plans": [{"name": EVIL, "price": EVIL, "period": EVIL, "features": [EVIL], "ctaLabel": EVIL, "ctaUrl": "#\"onclick=\"alert(1)", "highlighted": true}]})
        }
        SectionType::Faq => json!({"heading": EVIL, "items": [{"question": EVIL, "answer": "<p>fine</p>"}]}),
        SectionType::Contact => {
            json!({"heading": EVIL, "text": EVIL, "email": EVIL, "phone": EVIL, "address": EVIL, "hours": format!("{EVIL}: {EVIL}")})
        }
        SectionType::Cta => {
            json!({"heading": EVIL, "text": EVIL, "label": EVIL, "url": "#\"onclick=\"alert(1)"})
        }
        SectionType::Html => json!({"html": "<p>fine</p>"}),
    }
}

/// The page without parts that are data and not markup: structured data, which is tested in `seo.rs`, and names of assets,
/// whose hashes may be any digits.
fn markup(html: &str) -> String {
    let mut parts = html.split("<script type=\"application/ld+json\">");
    let first = parts.next().unwrap_or_default().to_owned();
    let all = parts.fold(first, |text, part| {
        let (data, rest) = part.split_once("</script>").unwrap();
        assert!(serde_json::from_str::<Value>(data).is_ok() && !data.contains('<'), "{data}");
        text + rest
    });
    all.lines().filter(|line| !line.contains("=\"/assets/")).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_that_customers_type_becomes_markup() {
    let mut site = sample::site(EVIL, EVIL);
    site.base_url = format!("https://x.example/{EVIL}");
    let sections = SectionType::ALL.into_iter().map(|kind| (kind, evil_content(kind))).collect();
    let home = sample::add_page_unchecked(&mut site, EVIL, "home", sections);
    sample::add_page_unchecked(&mut site, EVIL, "other", Vec::new());
    let parent = sample::add_item(&mut site, EVIL, Some(home), None, None);
    let child =
        sample::add_item(&mut site, EVIL, None, Some("https://x.example/\"onclick=\"alert(1)"), Some(parent));
    sample::add_item(&mut site, EVIL, None, Some("/\"onclick=\"alert(1)"), Some(child));
    site.theme.primary = format!("#123456{EVIL}");
    site.theme.body_font = EVIL.to_owned();

    let files = render(&site);
    assert_well_formed(&files);
    let home = &files["index.html"];
    assert!(home.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() > 40, "escaped, not dropped");
    for (path, text) in files.iter().filter(|(path, _)| *path != "robots.txt") {
        for trace in ["<script", "onerror=alert(1)>", "49", "\"onclick"] {
            let text = if path.ends_with(".html") { markup(text) } else { text.clone() };
            assert!(!text.contains(trace) || !path.ends_with(".html") && trace == "49", "{trace} in {path}");
        }
    }
    assert!(roxmltree::Document::parse(&files["sitemap.xml"]).is_ok());
}

#[test]
fn links_that_may_not_be_followed_are_left_out() {
    let mut site = sample::site("Shop", "en");
    let evil = "javascript:alert(1)";
    let sections = vec![
        (SectionType::Hero, json!({"heading": "A", "ctaLabel": "B", "ctaUrl": evil, "imageUrl": evil})),
        (
            SectionType::Pricing,
            json!({"plans": [{"name": "C", "price": "1", "ctaLabel": "D", "ctaUrl": evil}]}),
        ),
        (SectionType::Cta, json!({"heading": "E", "label": "F", "url": evil})),
        (SectionType::Gallery, json!({"images": [{"url": evil}]})),
        (SectionType::Contact, json!({"email": "javascript:x", "phone": "javascript:x"})),
    ];
    sample::add_page_unchecked(&mut site, "Home", "home", sections);
    sample::add_item(&mut site, "G", None, Some(evil), None);
    let files = render(&site);
    assert_well_formed(&files);
    let text = &files["index.html"];
    assert_eq!(markup(text).matches("javascript:").count(), 2, "only as the text of email and phone");
    for link in Document::read(text).all("a") {
        assert!(!link.get("href").unwrap().contains("javascript"));
    }
}

#[test]
fn sites_with_little_on_them_are_decent() {
    let mut site = sample::site("Just begun", "de");
    assert_eq!(render(&site).keys().filter(|path| path.ends_with(".html")).count(), 1, "a 404 page at least");
    sample::add_page(&mut site, "Startseite", "start", Vec::new());
    let files = render(&site);
    assert_well_formed(&files);
    let page = Document::read(&files["index.html"]);
    assert_eq!(page.all("nav").count(), 0, "one page needs no navigation");
    assert!(files["index.html"].contains("<h1>Startseite</h1>"));
    assert!(files["index.html"].contains("Zum Inhalt springen"));
    assert!(!files["index.html"].contains("name=\"description\""));
}

#[test]
fn a_site_without_navigation_lists_its_pages() {
    let mut site = sample::site("Shop", "en");
    sample::add_page(&mut site, "Start", "start", Vec::new());
    sample::add_page(&mut site, "Prices", "prices", Vec::new());
    let files = render(&site);
    let page = Document::read(&files["prices/index.html"]);
    let current: Vec<_> = page.all("a").filter(|link| link.get("aria-current") == Some("page")).collect();
    assert_eq!(current.len(), 3, "in both menus and the footer");
    assert!(current.iter().all(|link| link.get("href") == Some("/prices/")));
}

#[test]
fn navigation_survives_missing_parents_and_circles() {
    let mut site = sample::site("Shop", "en");
    let home = sample::add_page(&mut site, "Start", "start", Vec::new());
    let orphan = sample::add_item(&mut site, "Orphan", Some(home), None, Some(sample::id(999)));
    let second = sample::add_item(&mut site, "Second", Some(home), None, Some(orphan));
    let third = sample::add_item(&mut site, "Third", Some(home), None, Some(second));
    sample::add_item(&mut site, "Fourth", Some(home), None, Some(third));
    let one = sample::add_item(&mut site, "Circle", Some(home), None, None);
    site.navigation.last_mut().unwrap().parent_id = Some(one);
    sample::add_item(&mut site, "Empty group", None, None, None);
    let files = render(&site);
    assert_well_formed(&files);
    let text = &files["index.html"];
    for label in ["Orphan", "Second", "Third"] {
        assert!(text.contains(label), "{label}");
    }
    for label in ["Fourth", "Circle", "Empty group"] {
        assert!(!text.contains(label), "{label}");
    }
}

#[test]
fn hidden_sections_do_not_show() {
    let mut site = sample::bakery();
    site.pages[0].sections[0].visible = false;
    for section in site.pages.iter_mut().flat_map(|page| &mut page.sections) {
        section.visible &= section.kind != SectionType::Contact;
    }
    let files = render(&site);
    assert_well_formed(&files);
    assert!(!files["index.html"].contains("Bread that takes its time"));
    assert!(files["index.html"].contains("<h1>Home</h1>"), "the title steps in for the hero");
    assert!(!files["index.html"].contains("14 Mill Lane"), "not in the footer either");
}

#[test]
fn what_cannot_be_rendered_is_an_error_that_says_what() {
    let renderer = HtmlRenderer::new().unwrap();
    let mut site = sample::bakery();
    site.pages[0].sections[0].content = json!({"heading": 5});
    let error = renderer.render(&site).unwrap_err().to_string();
    assert!(
        error.contains("hero section") && error.contains(&site.pages[0].sections[0].id.to_string()),
        "{error}"
    );
    let mut site = sample::bakery();
    site.pages[1].page.slug = portico_kernel::name::Slug::trusted("../../etc".to_owned());
    assert!(renderer.render(&site).is_err());
}

#[test]
fn a_large_site_renders_quickly() {
    let mut site = sample::bakery();
    let sections = site.pages.clone();
    for number in 4..50 {
        let content =
            sections[number % 4].sections.iter().map(|section| (section.kind, section.content.clone()));
        sample::add_page_unchecked(&mut site, "Page", &format!("page-{number}"), content.collect());
    }
    let renderer = HtmlRenderer::new().unwrap();
    let start = Instant::now();
    let files = renderer.render(&site).unwrap();
    let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
    eprintln!("50 pages, {} KB, {:?}", bytes / 1024, start.elapsed());
    assert_eq!(files.len(), 55);
}

#[test]
fn header_and_footer_say_how_to_get_in_touch() {
    let mut site = sample::site("Luz & Co", "es");
    sample::add_page(
        &mut site,
        "Inicio",
        "inicio",
        vec![(SectionType::Text, json!({"html": "<p>Pan.</p>"}))],
    );
    let contact = json!({
        "address": "5a Avenida 3\nAntigua", "hours": "Lunes: 7:00\ncerrado", "form": true,
        "socialUrls": ["https://www.instagram.com/luz", "https://luz.example/blog"],
    });
    sample::add_page(&mut site, "Visítenos", "visitenos", vec![(SectionType::Contact, contact)]);
    sample::add_page(&mut site, "Aviso de privacidad", "privacidad", Vec::new());
    let files = render(&site);
    let home = &files["index.html"];
    let wide = home.split("menu-narrow").next().unwrap();
    assert_eq!(wide.matches("/visitenos/").count(), 1, "the button, and no entry beside it");
    assert!(wide.contains("<a class=\"button header-action\" href=\"/visitenos/\">Visítenos</a>"), "{wide}");
    let footer = home.split("site-footer").nth(1).unwrap();
    let year = site.pages[0].page.updated_at.to_string()[..4].to_owned();
    for there in [
        ">Instagram</a>",
        ">luz.example</a>",
        "<span>Lunes</span> <span>7:00</span>",
        "<span>cerrado</span>",
        "<a href=\"/privacidad/\">Aviso de privacidad</a>",
        &format!("© {year} Luz &amp; Co"),
    ] {
        assert!(home.contains(there), "{there} is in {footer}");
    }
    let page = &files["visitenos/index.html"];
    assert!(
        page.contains("search?query=5a%20Avenida%203%20Antigua\" rel=\"noopener\">Ver en el mapa</a>"),
        "{page}"
    );
    assert_eq!(
        page.matches("href=\"/privacidad/\"").count(),
        5,
        "two menus, the form, the footer's menu and its end"
    );
}
