//! Files by signed links: for browsers, which load images without signing in.

use std::ops::Range;

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{
        StatusCode,
        header::{
            self, Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue, HeaderValue,
        },
    },
    web::{Data, Path},
};
use portico_kernel::{AssetId, TenantId, Timestamp};
use portico_sites::asset::{AssetKind, VARIANT_CONTENT_TYPE};
use portico_web::{
    conditional,
    problem::{Problem, ProblemBody},
    query::Query,
    ranges::Asked,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    flows::assets::{self, LinkedFile},
    state::App,
};

/// The file gets no capabilities: no script, no form, no origin of its own.
const POLICY: &str =
    "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Query of a signed link.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Link {
    /// Until when, in seconds since 1970.
    #[param(required = true, example = 1_800_000_000)]
    expires: Option<u64>,
    /// Signature by this installation.
    #[param(required = true)]
    signature: Option<String>,
}

/// Show a file by its link
///
/// `url` of an asset and those of its thumbnails lead here; no sign-in is needed. PDF is sent as a download. Byte ranges
/// are supported (`Range`). Links that are forged, have expired, or lead to a deleted file are all answered 404.
#[utoipa::path(
    tag = "Assets",
    operation_id = "getAssetFile",
    params(
        ("tenantId" = TenantId, Path), ("assetId" = AssetId, Path),
        ("variant" = String, Path, description = "`original`, or the width of a thumbnail.", example = "640"),
        Link,
    ),
    responses(
        (status = 200, content(
            (String = "image/webp", example = json!("(the picture)")),
            (String = "image/jpeg", example = json!("(the picture)")),
            (String = "image/png", example = json!("(the picture)")),
            (String = "image/gif", example = json!("(the picture)")),
            (String = "application/pdf", example = json!("(the document)")),
        )),
        (status = 206, description = "The part that was asked for.", content(
            (String = "image/webp", example = json!("(the picture)")),
            (String = "image/jpeg", example = json!("(the picture)")),
            (String = "image/png", example = json!("(the picture)")),
            (String = "image/gif", example = json!("(the picture)")),
            (String = "application/pdf", example = json!("(the document)")),
        )),
        (status = 304, description = "Not changed."),
        (status = 404, description = "A link that is not good (any more).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The file came with a ticket, and no scanner for malware has passed it (`attachment_not_scanned`). Try again after `Retry-After`; one that is too large for the scanner stays so.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[get("/files/{tenantId}/{assetId}/{variant}")]
pub(super) async fn show(
    app: Data<App>,
    path: Path<(TenantId, AssetId, String)>,
    query: Query<Link>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (tenant, id, variant) = path.into_inner();
    let Link { expires: Some(expires), signature: Some(signature) } = query.0 else {
        return Err(Problem::not_found());
    };
    let expires = i64::try_from(expires).ok().and_then(Timestamp::from_unix_seconds);
    let expires = expires.ok_or_else(Problem::not_found)?;
    let found = assets::follow(&app, (tenant, id, &variant), expires, &signature).await?;
    let file = found.ok_or_else(Problem::not_found)?;
    let tag = format!("\"{}\"", &file.hash()[..file.hash().len().min(32)]);
    let left = (expires.unix_seconds() - app.core.env.now().unix_seconds()).max(0);
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::ETAG, tag.as_str()))
        .insert_header((header::CACHE_CONTROL, format!("private, max-age={left}, immutable")))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .insert_header((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")))
        // Pages of other origins embed it.
        .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin")));
    if conditional::not_modified(&request, &tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let size = file.size();
    let part = match Asked::of(&request, &tag, size) {
        Asked::Part(part) => Some(part),
        // Nobody goes on with a picture that is complete.
        Asked::Whole | Asked::Beyond => None,
    };
    // No database connection is held from here on, because clients may be slow.
    let body = file.read(&app, part.clone().unwrap_or(0..size)).await?.ok_or_else(|| {
        Problem::internal(format!("the file of asset {id} ({variant}) is not in the store"))
    })?;
    if let Some(Range { start, end }) = part {
        response
            .status(StatusCode::PARTIAL_CONTENT)
            .insert_header((header::CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1)));
    }
    Ok(response
        .content_type(content_type(&file))
        .insert_header(disposition(&file))
        // It is compressed already, and a byte range must refer to the unencoded file.
        .insert_header((header::CONTENT_ENCODING, HeaderValue::from_static("identity")))
        .body(body))
}

fn content_type(file: &LinkedFile) -> &'static str {
    file.variant.as_ref().map_or(file.asset.content_type.content_type(), |_| VARIANT_CONTENT_TYPE)
}

/// The name to save it under (RFC 6266): one for old clients, and the real one. A document is never displayed inline.
fn disposition(file: &LinkedFile) -> ContentDisposition {
    let name = match &file.variant {
        None => file.asset.filename.clone(),
        Some(variant) => {
            let (stem, _) = file.asset.filename.rsplit_once('.').unwrap_or((&file.asset.filename, ""));
            format!("{stem}-{}.webp", variant.width)
        }
    };
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' };
    let extended = ExtendedValue {
        charset: Charset::Ext("UTF-8".to_owned()),
        language_tag: None,
        value: name.clone().into_bytes(),
    };
    ContentDisposition {
        disposition: match file.asset.content_type.kind() {
            AssetKind::Pdf => DispositionType::Attachment,
            AssetKind::Image => DispositionType::Inline,
        },
        parameters: vec![
            DispositionParam::Filename(name.chars().map(plain).collect()),
            DispositionParam::FilenameExt(extended),
        ],
    }
}
