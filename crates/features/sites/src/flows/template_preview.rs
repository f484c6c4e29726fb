//! Preview of a template as a site.
//!
//! The renderer writes URLs for a site with its own host name (`/about/`, `/assets/site.css`). A preview lives below a path
//! of the API, so URLs of the site are rewritten to URLs of the preview. It is kept apart from the files and caches of
//! published sites.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use portico_kernel::TenantId;
use portico_sites::{
    ports::{RenderError, RenderedFile},
    template::{Template, TemplatePage, preview},
};
use portico_tenancy::branding::Branding;
use sha2::{Digest, Sha256};

use super::publishing::theme;
use crate::{
    rendered::{Preview, PreviewFile},
    state::App,
};

/// The preview of a template.
///
/// # Errors
/// A template that cannot be rendered, which is a bug.
pub async fn get(app: &App, template: Template) -> Result<Arc<Preview>, Arc<RenderError>> {
    let key = (template.id, template.version);
    app.previews.templates.cache.get_or_load(&key, render(app, template)).await
}

/// Renders on a pool of threads, because it is CPU-bound.
async fn render(app: &App, template: Template) -> Result<Arc<Preview>, RenderError> {
    let renderer = app.renderer.clone();
    let base = format!("/api/v1/templates/{}/preview", template.id);
    // Values that the template's look leaves open are those of a new tenant.
    let branding = Branding::default_of(TenantId::PLATFORM, app.core.env.now());
    let theme = theme(&branding, Some(&template.look));
    let snapshot = preview(&template, format!("{}{base}", app.api.public_url), theme);
    let rendered = app.pools.previews.run(move || renderer.render(&snapshot)).await;
    let files = rendered.map_err(|error| RenderError(error.to_string()))??;
    Ok(Arc::new(assemble(&template, &base, files)))
}

fn assemble(template: &Template, base: &str, rendered: Vec<RenderedFile>) -> Preview {
    let home = template.pages.iter().find(|page| page.is_home).or(template.pages.first());
    let home = home.map(|page| page.key.clone()).unwrap_or_default();
    let path_of = |page: &TemplatePage| {
        if page.key == home { "/".to_owned() } else { format!("/{}/", page.slug) }
    };
    let pages = template.pages.iter().map(|page| (path_of(page), page.key.clone())).collect();
    let mut preview = Preview { pages: BTreeMap::new(), files: BTreeMap::new(), home };
    let addresses = Addresses {
        base,
        pages,
        files: rendered.iter().filter(|file| !is_page(&file.path)).map(|file| file.path.clone()).collect(),
    };
    for RenderedFile { path, bytes } in rendered {
        if !is_page(&path) {
            preview.files.insert(path, file(bytes));
            continue;
        }
        let address = format!("/{}", path.trim_end_matches("index.html"));
        if let Some(key) = addresses.pages.get(&address) {
            let html = String::from_utf8_lossy(&bytes);
            preview.pages.insert(key.clone(), file(addresses.rewrite(&html).into_bytes()));
        }
    }
    preview
}

/// Whether a file is a page, or only for search engines, as opposed to a resource that pages refer to.
fn is_page(path: &str) -> bool {
    path.ends_with(".html") || ["sitemap.xml", "robots.txt"].contains(&path)
}

fn file(bytes: Vec<u8>) -> PreviewFile {
    let digest = Sha256::digest(&bytes);
    let tag = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    PreviewFile { bytes: bytes.into(), tag: format!("\"{tag}\"") }
}

/// Maps URLs of a site to those of its preview.
struct Addresses<'a> {
    base: &'a str,
    /// Keys of pages by their URL paths.
    pages: BTreeMap<String, String>,
    files: BTreeSet<String>,
}

impl Addresses<'_> {
    /// Rewrites every attribute of the page that begins with a URL of the site.
    fn rewrite(&self, html: &str) -> String {
        const BEGINNING: &str = "=\"/";
        let mut out = String::with_capacity(html.len() + 2048);
        let mut rest = html;
        while let Some(at) = rest.find(BEGINNING) {
            let (before, value) = rest.split_at(at + 2);
            let end = value.find('"').unwrap_or(value.len());
            out.push_str(before);
            let (value, behind) = value.split_at(end);
            if before.trim_end_matches("=\"").ends_with("srcset") {
                let candidates: Vec<String> = value.split(", ").map(|one| self.address(one)).collect();
                out.push_str(&candidates.join(", "));
            } else {
                out.push_str(&self.address(value));
            }
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    /// The URL in the preview; one without a target in it stays unchanged.
    fn address(&self, address: &str) -> String {
        let end = address.find(['?', '#', ' ']).unwrap_or(address.len());
        let (path, rest) = address.split_at(end);
        // Links in texts by authors may lack the slash at the end; a site redirects these.
        if let Some(key) = self.pages.get(path).or_else(|| self.pages.get(&format!("{path}/"))) {
            // Keys need no escaping, and a query has no meaning in a preview.
            let fragment = rest.find('#').map_or("", |at| &rest[at..]);
            return format!("{}?page={key}{fragment}", self.base);
        }
        match path.strip_prefix('/').filter(|file| self.files.contains(*file)) {
            Some(file) => format!("{}/{file}{rest}", self.base),
            None => address.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_on_the_site_become_addresses_of_the_preview() {
        let pages =
            [("/", "home"), ("/about/", "about")].map(|(path, key)| (path.to_owned(), key.to_owned()));
        let addresses = Addresses {
            base: "/p",
            pages: pages.into_iter().collect(),
            files: ["assets/site.css", "assets/a.svg"].map(str::to_owned).into_iter().collect(),
        };
        for (html, expected) in [
            (r#"<a href="/">x</a>"#, r#"<a href="/p?page=home">x</a>"#),
            (r##"<a href="/about/#team" class="b">"##, r##"<a href="/p?page=about#team" class="b">"##),
            (r##"<a href="/about#team">"##, r##"<a href="/p?page=about#team">"##),
            (r#"<a href="/nowhere/">"#, r#"<a href="/nowhere/">"#),
            (r##"<a href="#top">"##, r##"<a href="#top">"##),
            (r#"<a href="https://example.com/about/">"#, r#"<a href="https://example.com/about/">"#),
            (r#"<link href="/assets/site.css">"#, r#"<link href="/p/assets/site.css">"#),
            (
                r#"<img src="/assets/a.svg" srcset="/assets/a.svg 400w, /assets/a.svg 800w">"#,
                r#"<img src="/p/assets/a.svg" srcset="/p/assets/a.svg 400w, /p/assets/a.svg 800w">"#,
            ),
            (r#"cut off ="/"#, r#"cut off ="/p?page=home"#),
            ("nothing", "nothing"),
        ] {
            assert_eq!(addresses.rewrite(html), expected);
        }
    }
}
