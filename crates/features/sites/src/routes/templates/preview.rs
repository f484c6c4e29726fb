//! Preview of a template as a site.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::{Data, Path},
};
use portico_kernel::{FieldError, RuleMessage};
use portico_sites::template::Templates;
use portico_web::{
    caller::Visitor,
    conditional,
    problem::Problem,
    query::Query,
    routing::{READ, Routes},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    flows::template_preview,
    rendered::{Preview, PreviewFile},
    state::App,
};

/// Content security policy of previews: that of published sites, without sending forms.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' https: data:; font-src 'self'; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ.for_anyone(), show).service(READ.for_anyone().taking_rest(), show_file);
}

/// Selects a page of a template.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct PreviewPage {
    /// Key of the page; the home page where absent.
    #[param(example = "home")]
    page: Option<String>,
}

/// Preview a template
///
/// A page, rendered as in a site made from the template. Links lead to the other pages of the preview.
#[utoipa::path(
    tag = "Templates",
    operation_id = "getTemplatePreview",
    params(("templateId" = String, Path, description = "Id or slug."), PreviewPage),
    responses(
        (status = 200, content_type = "text/html", body = String, headers(("ETag" = String)), example = json!("<!doctype html><title>Panadería Luz</title>")),
        (status = 304, description = "Not changed."),
    ),
)]
#[get("/templates/{templateId}/preview")]
async fn show(
    app: Data<App>,
    visitor: Visitor,
    path: Path<String>,
    query: Query<PreviewPage>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let preview = rendered(&app, &visitor, &path).await?;
    let page = preview.page(query.0.page.as_deref()).ok_or_else(|| {
        let keys: Vec<String> = preview.keys().map(str::to_owned).collect();
        let message = RuleMessage::new(format!("Choose one of: {}.", keys.join(", "))).allowed(keys);
        Problem::invalid(vec![FieldError::new("page", "unknown_page", message)])
    })?;
    Ok(send(&request, page, "text/html; charset=utf-8", "public, no-cache"))
}

/// Show a file of a preview
///
/// A style sheet, image or font that the pages of a preview refer to.
#[utoipa::path(
    tag = "Templates",
    operation_id = "getTemplatePreviewFile",
    params(
        ("templateId" = String, Path, description = "Id or slug."),
        ("previewFile" = String, Path, description = "Path on the site, for instance `assets/site.0123.css`."),
    ),
    responses(
        (status = 200, content(
            (String = "text/css", example = json!("(the file)")),
            (String = "image/svg+xml", example = json!("(the file)")),
            (String = "image/webp", example = json!("(the file)")),
            (String = "image/png", example = json!("(the file)")),
            (String = "image/jpeg", example = json!("(the file)")),
            (String = "font/woff2", example = json!("(the file)")),
            (String = "application/octet-stream", example = json!("(the file)")),
        )),
        (status = 304, description = "Not changed."),
    ),
)]
#[get("/templates/{templateId}/preview/{previewFile:.+}")]
async fn show_file(
    app: Data<App>,
    visitor: Visitor,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let preview = rendered(&app, &visitor, &path.0).await?;
    let file = preview.file(&path.1).ok_or_else(Problem::not_found)?;
    let content_type = content_type(&path.1);
    // Another version of the template may have another file under the same name, unless the name contains a hash.
    let cache = if path.1.starts_with("assets/") { "public, max-age=86400" } else { "public, no-cache" };
    Ok(send(&request, file, content_type, cache))
}

/// The media type of a file of a preview, by its extension.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

async fn rendered(app: &App, visitor: &Visitor, id_or_slug: &str) -> Result<Arc<Preview>, Problem> {
    let mut repositories = app.core.reader();
    let template = Templates::new(&mut *repositories, &visitor.0, &app.core.env).get(id_or_slug).await?;
    template_preview::get(app, template).await.map_err(Problem::internal)
}

fn send(
    request: &HttpRequest,
    file: &PreviewFile,
    content_type: &'static str,
    cache: &'static str,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::ETAG, file.tag.as_str()))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(cache)))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .insert_header(("x-robots-tag", "noindex"));
    if conditional::not_modified(request, &file.tag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.content_type(content_type).body(file.bytes.clone())
}
