//! SEO metadata of pages.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with the other tests")]
mod html;
#[allow(dead_code, reason = "shared with the other tests")]
mod sample;

use std::collections::BTreeMap;

use html::Document;
use portico_renderer::HtmlRenderer;
use portico_sites::{
    ports::{PictureSource, SitePicture, SiteRenderer, SiteSnapshot},
    seo::{OpenGraph, Seo},
};
use serde_json::{Value, json};

fn render(site: &SiteSnapshot) -> BTreeMap<String, String> {
    let files = HtmlRenderer::new().unwrap().render(site).unwrap();
    files.into_iter().map(|file| (file.path, String::from_utf8(file.bytes).unwrap())).collect()
}

/// The content of a `meta` element, by its name or property.
fn meta(page: &Document, name: &str) -> Option<String> {
    let mut all = page.all("meta");
    let found = all.find(|meta| meta.get("name") == Some(name) || meta.get("property") == Some(name))?;
    found.get("content").map(str::to_owned)
}

fn links<'d>(page: &'d Document, rel: &str) -> Vec<(Option<&'d str>, &'d str)> {
    let found = page.all("link").filter(|link| link.get("rel") == Some(rel));
    found.map(|link| (link.get("hreflang"), link.get("href").unwrap())).collect()
}

/// The JSON-LD documents of a page.
fn documents(html: &str) -> Vec<Value> {
    let parts = html.split("<script type=\"application/ld+json\">").skip(1);
    parts.map(|part| serde_json::from_str(part.split("</script>").next().unwrap()).unwrap()).collect()
}

fn of_type<'v>(documents: &'v [Value], kind: &str) -> &'v Value {
    documents.iter().find(|document| document["@type"] == kind).unwrap_or(&Value::Null)
}

#[test]
fn what_the_customer_set_comes_before_what_the_page_says() {
    let mut site = sample::bakery();
    let asset = sample::id(77);
    let source = PictureSource {
        width: 1200,
        path: "assets/abc.jpg".to_owned(),
        content_type: "image/jpeg".to_owned(),
    };
    let picture = SitePicture { width: 1200, height: 630, alt: None, sources: vec![source] };
    site.assets.insert(asset, picture);
    let (tenant, now) = (site.site.tenant_id, site.site.updated_at);
    let about = site.pages.iter_mut().find(|page| page.page.slug == "about").unwrap();
    about.seo = Some(Seo {
        title: Some("The bakers & \"us\"".to_owned()),
        description: Some("Who <we> are".to_owned()),
        keywords: vec!["bread".to_owned(), "bakers".to_owned()],
        canonical_url: Some("https://elsewhere.example/about".to_owned()),
        robots: Some("noindex, nofollow".to_owned()),
        open_graph: OpenGraph {
            title: Some("Shared title".to_owned()),
            description: None,
            image_asset_id: Some(asset),
        },
        structured_data: Some(json!([{"@type": "Person", "name": "</script><script>alert(1)</script>"}])),
        ..Seo::nothing(tenant, about.page.id, now)
    });
    let files = render(&site);
    let html = &files["about/index.html"];
    let page = Document::read(html);
    assert_eq!(page.errors, Vec::<String>::new());
    assert!(html.contains("<title>The bakers &amp; &quot;us&quot;</title>"));
    assert_eq!(meta(&page, "description").as_deref(), Some("Who <we> are"));
    assert_eq!(meta(&page, "keywords").as_deref(), Some("bread, bakers"));
    assert_eq!(meta(&page, "robots").as_deref(), Some("noindex, nofollow"));
    assert_eq!(meta(&page, "og:title").as_deref(), Some("Shared title"));
    assert_eq!(meta(&page, "og:description").as_deref(), Some("Who <we> are"));
    assert_eq!(meta(&page, "og:image").as_deref(), Some("https://sample.example/assets/abc.jpg"));
    assert_eq!(links(&page, "canonical"), [(None, "https://elsewhere.example/about")]);
    // Hostile text stays data: there are as many script elements as documents.
    let documents = documents(html);
    assert_eq!(page.all("script").count(), documents.len());
    let person = of_type(&documents, "Person");
    assert_eq!(person["name"], "</script><script>alert(1)</script>");
    assert_eq!(person["@context"], "https://schema.org");
    assert!(!files["sitemap.xml"].contains("/about/"));
    assert!(files["sitemap.xml"].contains("/catering/"));
}

#[test]
fn structured_data_says_who_where_and_what_is_answered() {
    let mut site = sample::bakery();
    site.site.industry = Some("bakery".to_owned());
    let files = render(&site);
    let home = documents(&files["index.html"]);
    let business = of_type(&home, "Bakery");
    assert_eq!(business["name"], site.site.name.as_str());
    assert_eq!(business["url"], "https://sample.example/");
    assert!(business["telephone"].is_string() && business["address"].is_string(), "{business}");
    assert_eq!(of_type(&home, "WebSite")["inLanguage"], site.language.as_str());
    let about = documents(&files["about/index.html"]);
    assert_eq!(
        of_type(&about, "BreadcrumbList")["itemListElement"][1]["item"],
        "https://sample.example/about/"
    );
    let all: Vec<Value> = files.values().flat_map(|html| documents(html)).collect();
    let questions = of_type(&all, "FAQPage");
    assert!(questions["mainEntity"][0]["acceptedAnswer"]["text"].is_string(), "{questions}");

    site.site.industry = None;
    let home = documents(&render(&site)["index.html"]);
    assert_eq!(of_type(&home, "Organization")["name"], site.site.name.as_str());
}

#[test]
fn translations_know_each_other() {
    let mut site = sample::bakery();
    let about = site.pages.iter().find(|page| page.page.slug == "about").unwrap().page.id;
    let catering = site.pages.iter_mut().find(|page| page.page.slug == "catering").unwrap();
    catering.page.language = Some("es".to_owned());
    catering.page.translation_of = Some(about);
    let files = render(&site);
    for (path, other) in [("about/index.html", "/catering/"), ("catering/index.html", "/about/")] {
        let page = Document::read(&files[path]);
        assert_eq!(
            links(&page, "alternate"),
            [
                (Some("en-GB"), "https://sample.example/about/"),
                (Some("es"), "https://sample.example/catering/"),
                (Some("x-default"), "https://sample.example/about/"),
            ]
        );
        let switches: Vec<_> = page.all("a").filter(|link| link.get("hreflang").is_some()).collect();
        assert_eq!(switches.len(), 1, "{path}");
        assert_eq!(switches[0].get("href"), Some(other));
    }
    let language =
        |path: &str| Document::read(&files[path]).all("html").next().unwrap().get("lang").unwrap().to_owned();
    assert_eq!(
        (language("about/index.html"), language("catering/index.html")),
        ("en-GB".into(), "es".into())
    );
    // Texts that the customer did not write are in the language of the page.
    assert!(files["catering/index.html"].contains("Saltar al contenido"));
    let sitemap = &files["sitemap.xml"];
    assert_eq!(sitemap.matches("hreflang=\"es\"").count(), 2);
    roxmltree::Document::parse(sitemap).unwrap();
    assert!(links(&Document::read(&files["index.html"]), "alternate").is_empty());
}
