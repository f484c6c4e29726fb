//! Previews of drafts for the holder of a link: rendered on request from the stored state, by the same steps as a
//! deployment. Nothing is written to the file store, so a preview cannot affect the live site.

use std::{
    fmt::{self, Write},
    sync::Arc,
    time::Duration,
};

use actix_web::web::Bytes;
use portico_kernel::{RequestInfo, Scope, SiteId, TenantId, Timestamp};
use portico_runtime::{logging::chain, worker::jobs::JobError};
use portico_sites::{
    SitesError,
    ports::SiteSnapshot,
    preview::{PreviewGrant, Previews},
};
use portico_tenancy::tenant::TenantStatus;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::publishing::{Prepared, StoredFile, prepare, render};
pub use crate::rendered::Refusal;
use crate::{hosting::manifest::content_type, rendered::Draft, state::App};

/// Purpose of the signatures of previews, distinct from those of other links.
const PURPOSE: &str = "preview";
/// How long a request waits for a permit to render.
const PATIENCE: Duration = Duration::from_secs(5);

/// The content at a path of a preview.
pub enum Shown {
    /// A file and its media type.
    File(Bytes, &'static str),
    /// A redirect to this path, which is relative to the preview.
    Moved(String),
    /// Nothing; with the site's page for missing files.
    Missing(Option<Bytes>),
}

/// The last path segment of a preview's URL: what it grants, the expiry, and the signature over both.
pub fn token(app: &App, tenant: TenantId, grant: &PreviewGrant) -> String {
    let payload = payload(tenant, grant.site);
    let signature = app.api.signer.sign(PURPOSE, &payload, grant.expires_at);
    format!("{payload}-{}-{signature}", grant.expires_at.unix_seconds())
}

fn payload(tenant: TenantId, site: SiteId) -> String {
    format!("{}-{}", tenant.uuid().simple(), site.uuid().simple())
}

/// The tenant and site that a token currently grants access to.
fn read(app: &App, token: &str) -> Option<(TenantId, SiteId)> {
    // The signature may contain hyphens.
    let mut parts = token.splitn(4, '-');
    let (tenant, site) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let expires = Timestamp::from_unix_seconds(parts.next()?.parse().ok()?)?;
    let (tenant, site) = (TenantId::from_uuid(tenant), SiteId::from_uuid(site));
    let good =
        app.api.signer.verify(PURPOSE, &payload(tenant, site), expires, parts.next()?, app.core.env.now());
    good.then_some((tenant, site))
}

/// The content at a path of a preview.
pub async fn show(app: &App, token: &str, path: &str) -> Result<Shown, Refusal> {
    let (tenant, site) = read(app, token).ok_or(Refusal::Gone)?;
    let draft = draft(app, tenant, site).await?;
    let name =
        if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    if let Some(bytes) = draft.rendered.get(&name) {
        return Ok(Shown::File(bytes.clone(), content_type(&name)));
    }
    if let Some(key) = draft.stored.get(&name) {
        let found = app.files.get(key).await.map_err(|error| busy(&chain(&error)))?;
        if let Some(bytes) = found {
            return Ok(Shown::File(bytes.into(), content_type(&name)));
        }
    }
    if !path.ends_with('/') && draft.rendered.contains_key(&format!("{path}/index.html")) {
        return Ok(Shown::Moved(format!("{path}/")));
    }
    Ok(Shown::Missing(draft.rendered.get("404.html").cloned()))
}

/// The current draft of a site.
async fn draft(app: &App, tenant: TenantId, site: SiteId) -> Result<Arc<Draft>, Refusal> {
    let mut repositories = app.core.reader();
    let owner = repositories.tenants().find(tenant).await.map_err(|error| busy(&chain(&error)))?;
    if owner.is_none_or(|owner| owner.status != TenantStatus::Active) {
        return Err(Refusal::Gone);
    }
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    let parts = match Previews::new(&mut *repositories, &scope, &app.core.env).draft(site).await {
        Ok(parts) => parts,
        Err(SitesError::NotFound(_) | SitesError::SiteSuspended) => return Err(Refusal::Gone),
        Err(error) => return Err(busy(&chain(&error))),
    };
    drop(repositories);
    let Prepared { snapshot, stored } = prepare(app, parts).await.map_err(|error| failed(&error))?;
    let render = async {
        let turn = timeout(PATIENCE, app.previews.drafts.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(Refusal::Busy)?;
        let rendered =
            render(app, &app.pools.previews, snapshot.clone()).await.map_err(|error| failed(&error))?;
        Ok(Arc::new(Draft {
            rendered: rendered.into_iter().map(|file| (file.path, file.bytes.into())).collect(),
            stored: stored.iter().map(|file| (file.path.clone(), file.key.clone())).collect(),
        }))
    };
    let drafts = &app.previews.drafts.drafts;
    let digest = digest(&snapshot, &stored);
    let draft = drafts.get_or_load(&digest, render).await.map_err(|error| *error)?;
    // Kept for as long as it is asked for.
    drafts.put(digest, draft.clone());
    Ok(draft)
}

/// Digest that identifies the state of a draft.
fn digest(snapshot: &SiteSnapshot, stored: &[StoredFile]) -> [u8; 32] {
    struct Hasher(Sha256);
    impl Write for Hasher {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let mut hasher = Hasher(Sha256::new());
    // Writing into a hash cannot fail.
    let _ = write!(hasher, "{snapshot:?}{stored:?}");
    hasher.0.finalize().into()
}

fn busy(error: &str) -> Refusal {
    tracing::warn!(error, "a preview cannot be shown now");
    Refusal::Busy
}

fn failed(error: &JobError) -> Refusal {
    match error {
        JobError::Retry(error) => busy(error),
        JobError::Fatal(error) => {
            tracing::error!(error, "a preview cannot be rendered");
            Refusal::Failed
        }
    }
}

/// Moves the site's own URLs of a page below another path: those that begin with a slash are prefixed with `prefix`. Pages
/// are written by our renderer, so tags and attributes have one form, and texts never contain a bare `<`.
pub fn below(prefix: &str, html: &str) -> String {
    let mut page = String::with_capacity(html.len() + html.len() / 8);
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        page.push_str(before);
        let (tag, behind) = tag.split_at(end_of_tag(tag));
        rewrite_tag(prefix, tag, &mut page);
        rest = behind;
    }
    page.push_str(rest);
    page
}

/// The end of a tag: after the first `>` outside of quotes.
fn end_of_tag(tag: &str) -> usize {
    let mut quote = None;
    for (at, letter) in tag.char_indices() {
        match (quote, letter) {
            (None, '>') => return at + 1,
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
    }
    tag.len()
}

fn rewrite_tag(prefix: &str, tag: &str, page: &mut String) {
    let mut rest = tag;
    while let Some(at) = rest.find("=\"") {
        let (name, value) = rest.split_at(at + 2);
        let end = value.find('"').unwrap_or(value.len());
        let (value, behind) = value.split_at(end);
        page.push_str(name);
        let attribute = name.trim_end_matches("=\"").rsplit(char::is_whitespace).next().unwrap_or_default();
        match attribute {
            "href" | "src" | "action" | "poster" => page.push_str(&moved(prefix, value)),
            "srcset" | "imagesrcset" => {
                let candidates = value.split(',').map(|candidate| moved(prefix, candidate.trim()));
                page.push_str(&candidates.collect::<Vec<_>>().join(", "));
            }
            _ => page.push_str(value),
        }
        // Without a closing quote there is no further value.
        let (quote, behind) = behind.split_at(behind.len().min(1));
        page.push_str(quote);
        rest = behind;
    }
    page.push_str(rest);
}

/// Moves the site's own URLs of a style sheet below another path.
pub fn sheet_below(prefix: &str, css: &str) -> String {
    let mut sheet = css.to_owned();
    for open in ["url(", "url(\"", "url('"] {
        sheet = sheet.replace(&format!("{open}/"), &format!("{open}{prefix}/"));
    }
    sheet
}

fn moved(prefix: &str, address: &str) -> String {
    if address.starts_with('/') && !address.starts_with("//") {
        format!("{prefix}{address}")
    } else {
        address.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_site_lead_into_the_preview() {
        for (page, expected) in [
            ("<a href=\"/\">Home</a>", "<a href=\"/p/\">Home</a>"),
            ("<a class=\"x\" href=\"/about/?a=1#b\">", "<a class=\"x\" href=\"/p/about/?a=1#b\">"),
            ("<img src=\"/a.png\" alt=\"see src=/b\">", "<img src=\"/p/a.png\" alt=\"see src=/b\">"),
            ("<img srcset=\"/a.webp 1x, /b.webp 2x\">", "<img srcset=\"/p/a.webp 1x, /p/b.webp 2x\">"),
            ("<a title=\"a > b\" href=\"/c/\">", "<a title=\"a > b\" href=\"/p/c/\">"),
            ("<a href=\"#top\">", "<a href=\"#top\">"),
            ("<a href=\"//elsewhere.example\">", "<a href=\"//elsewhere.example\">"),
            ("<a href=\"https://example.com/x\">", "<a href=\"https://example.com/x\">"),
            ("<a data-href=\"/x\">", "<a data-href=\"/x\">"),
            ("<p>href=\"/x\" &lt;a href=\"/y\"</p>", "<p>href=\"/x\" &lt;a href=\"/y\"</p>"),
            ("<a href=\"/x", "<a href=\"/p/x"),
            ("no tags at all", "no tags at all"),
        ] {
            assert_eq!(below("/p", page), expected, "{page}");
        }
        assert_eq!(
            sheet_below("/p", "a{b:url(/x.woff2)}c{d:url(\"/y\")}e{f:url(data:x)}"),
            "a{b:url(/p/x.woff2)}c{d:url(\"/p/y\")}e{f:url(data:x)}"
        );
    }
}
