//! Avatars.

use actix_multipart::{Multipart, MultipartError};
use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, delete, get,
    http::header::{CACHE_CONTROL, CONTENT_LENGTH},
    put,
    web::{BytesMut, Data, Path, Payload},
};
use futures_util::{Stream, StreamExt};
use portico_identity::user::User;
use portico_kernel::{FieldError, Kind, UserId};
use portico_web::{
    admission::Class,
    caller::Caller,
    conditional,
    problem::Problem,
    routing::{READ, Routes, WRITE},
};
use utoipa::ToSchema;

use crate::{
    flows::avatars::{self, MAX_BYTES},
    state::App,
};

/// Allowance for the multipart framing around the file.
const FORM_BYTES: usize = 16 << 10;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(WRITE.unqueued().taking_files(), upload)
        .service(WRITE.unqueued(), remove)
        .service(READ.for_anyone(), show);
}

/// A multipart form with an image.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; the parts are read as a stream")]
struct AvatarUpload {
    /// PNG, JPEG, WebP or GIF, detected from its content; at most 5 MB and 25 megapixels.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

/// Upload the own picture
///
/// As a form with one `file`, or as the body itself. It is cropped to a centred square and re-encoded, without metadata
/// such as the place where a photo was taken. `avatarUrl` of the answer leads to the image with 256 pixels a side; the same
/// URL ending in `-64` in place of `-256`, to the one with 64.
#[utoipa::path(
    tag = "Profile",
    operation_id = "updateAvatar",
    request_body(content(
        (AvatarUpload = "multipart/form-data", example = json!({"file": "(the file)"})),
        (String = "image/*", example = json!("(the file)")),
    )),
    responses(
        (status = 200, body = User, headers(("ETag" = String))),
        (status = 409, description = "Another request changed the account at the same moment."),
        (status = 413, description = "More than 5 MB."),
        (status = 415, description = "Neither a form nor a picture, or no format that is accepted, by its content."),
        (status = 422, description = "Too many pixels, a damaged picture, or other parts than one `file`."),
    ),
    security(("bearer" = [])),
)]
#[put("/profile/avatar")]
async fn upload(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > MAX_BYTES + FORM_BYTES) {
        return Err(too_large());
    }
    let content_type = request.content_type().to_ascii_lowercase();
    let source = if content_type == "multipart/form-data" {
        file_of(Multipart::new(request.headers(), payload)).await?
    } else if content_type.starts_with("image/") || content_type == "application/octet-stream" {
        collect(payload, |_| malformed("The body could not be read.")).await?
    } else {
        let detail = "Send a form (multipart/form-data) with one `file`, or the picture itself (image/*).";
        return Err(Problem::new(Kind::UnsupportedMediaType, "unsupported_media_type", detail));
    };
    let _place = app.api.admission.enter(Class::Uploads, 0).await?;
    let user = avatars::put(&app, &caller.0, source).await?;
    Ok(conditional::updated(user.version, &user))
}

/// Remove the own picture
///
/// Its addresses stop answering shortly after.
#[utoipa::path(
    tag = "Profile",
    operation_id = "deleteAvatar",
    responses(
        (status = 204, description = "There is none any more."),
        (status = 409, description = "Another request changed the account at the same moment."),
    ),
    security(("bearer" = [])),
)]
#[delete("/profile/avatar")]
async fn remove(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    avatars::remove(&app, &caller.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Show a picture of a person
///
/// `avatarUrl` of a user leads here. The image at a URL never changes.
#[utoipa::path(
    tag = "Profile",
    operation_id = "getAvatar",
    params(
        ("userId" = UserId, Path),
        ("avatarName" = String, Path, example = "0f8fad5bd9cb469fa16570867728950e-256"),
    ),
    responses((status = 200, content(
        (String = "image/jpeg", example = json!("(the picture)")),
        (String = "image/webp", example = json!("(the picture)")),
    ))),
)]
#[get("/avatars/{userId}/{avatarName}")]
async fn show(app: Data<App>, path: Path<(UserId, String)>) -> Result<HttpResponse, Problem> {
    let (user, name) = path.into_inner();
    let (format, bytes) = avatars::find(&app, user, &name).await?.ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok()
        .content_type(format.content_type())
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        // Pages of other origins embed it.
        .insert_header(("cross-origin-resource-policy", "cross-origin"))
        .body(bytes))
}

/// The file in a form.
async fn file_of(mut form: Multipart) -> Result<Vec<u8>, Problem> {
    let mut file = None;
    let mut errors = Vec::new();
    while let Some(field) = form.next().await {
        let field = field.map_err(unreadable)?;
        match (field.name(), &file) {
            (Some("file"), None) => file = Some(collect(field, unreadable).await?),
            (Some("file"), Some(_)) => {
                errors.push(FieldError::new("file", "duplicate", "Send one file."));
                break;
            }
            (name, _) => {
                // The name is client input: control characters are removed, and its length is limited.
                let name = name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(64);
                errors.push(FieldError::new(
                    name.collect::<String>(),
                    "unknown_field",
                    "There is no such field.",
                ));
                break;
            }
        }
    }
    match file {
        Some(file) if errors.is_empty() => Ok(file),
        None if errors.is_empty() => {
            Err(Problem::invalid(vec![FieldError::new("file", "required", "This field is required.")]))
        }
        _ => Err(Problem::invalid(errors)),
    }
}

/// Collects all bytes of a stream, up to the limit.
async fn collect<B, E>(
    mut stream: impl Stream<Item = Result<B, E>> + Unpin,
    failed: impl Fn(E) -> Problem,
) -> Result<Vec<u8>, Problem>
where
    B: AsRef<[u8]>,
{
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(&failed)?;
        if bytes.len() + chunk.as_ref().len() > MAX_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(chunk.as_ref());
    }
    Ok(bytes.into())
}

fn unreadable(_: MultipartError) -> Problem {
    malformed("The form could not be read.")
}

fn malformed(detail: &'static str) -> Problem {
    Problem::new(Kind::Malformed, "malformed_body", detail)
}

fn too_large() -> Problem {
    Problem::new(
        Kind::TooLarge,
        "body_too_large",
        format!("The picture may have {} MB at most.", MAX_BYTES >> 20),
    )
}
