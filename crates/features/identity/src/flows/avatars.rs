//! Avatars: scaled down, stored, served publicly, and deleted when replaced.
//!
//! Each upload has a unique name that cannot be guessed, so caches may keep an image forever, and deleting an old upload
//! cannot remove a new one, even of the same content.

use portico_identity::{Accounts, events, user::User};
use portico_kernel::{
    Env, Event, FieldError, JobType, Kind, NewJob, Scope, UserId,
    files::FileError,
    images::{ImageError, PictureFormat, Size},
};
use portico_runtime::{
    logging::{self, chain},
    worker::jobs::JobError,
};
use portico_web::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::App;

/// Largest upload, in bytes.
pub const MAX_BYTES: usize = 5 << 20;

/// Side lengths of the square images made from an upload; `avatarUrl` names the first.
pub const SIDES: [u32; 2] = [256, 64];

/// Path prefix of avatar URLs.
const PATH: &str = "/api/v1/avatars/";

/// Sets an upload as the caller's avatar.
pub async fn put(app: &App, scope: &Scope, source: Vec<u8>) -> Result<User, Problem> {
    let (user, _) = scope.require_user()?;
    let pictures = app.images.cover(source, SIDES.map(Size::square).to_vec()).await.map_err(refused)?;
    let upload = app.core.env.random_uuid().simple().to_string();
    for picture in pictures {
        app.files.put(&key(user, &upload, picture.size.width), picture.bytes).await.map_err(unavailable)?;
    }
    let url = format!("{}{PATH}{user}/{upload}-{}", app.api.public_url, SIDES[0]);
    let stored = set(app, scope, Some(url)).await;
    if stored.is_err()
        && let Err(error) = app.files.delete_prefix(&folder(user, &upload)).await
    {
        tracing::warn!(error = %chain(&error), %user, upload, "a picture that nobody has stays behind");
    }
    stored
}

/// Removes the caller's avatar, if there is one.
pub async fn remove(app: &App, scope: &Scope) -> Result<User, Problem> {
    set(app, scope, None).await
}

async fn set(app: &App, scope: &Scope, url: Option<String>) -> Result<User, Problem> {
    let mut work = app.core.begin().await?;
    let user = Accounts::new(&mut *work, scope, &app.core.env).set_avatar(url).await?;
    work.commit().await?;
    Ok(user)
}

/// An image by the last segment of its URL, such as `0f…3c-256`, and its format.
pub async fn find(app: &App, user: UserId, name: &str) -> Result<Option<(PictureFormat, Vec<u8>)>, Problem> {
    let Some((upload, side)) = name.split_once('-') else { return Ok(None) };
    let side = SIDES.into_iter().find(|known| known.to_string() == side);
    let Some(side) = side.filter(|_| is_upload(upload)) else { return Ok(None) };
    let bytes = app.files.get(&key(user, upload, side)).await.map_err(unavailable)?;
    Ok(bytes.and_then(|bytes| Some((PictureFormat::of_content(&bytes)?, bytes))))
}

/// Names of uploads are 32 hexadecimal digits in lower case.
fn is_upload(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Storage prefix of all images of a user.
pub fn root(user: UserId) -> String {
    format!("avatars/{user}")
}

fn folder(user: UserId, upload: &str) -> String {
    format!("{}/{upload}", root(user))
}

fn key(user: UserId, upload: &str, side: u32) -> String {
    format!("{}/{side}", folder(user, upload))
}

fn refused(error: ImageError) -> Problem {
    let file =
        |code: &'static str, message: String| Problem::invalid(vec![FieldError::new("file", code, message)]);
    match error {
        ImageError::UnknownFormat => Problem::new(
            Kind::UnsupportedMediaType,
            "unsupported_media_type",
            "Send a picture as PNG, JPEG, WebP or GIF.",
        ),
        ImageError::TooManyPixels(most) => {
            file("too_many_pixels", format!("The picture may have {} megapixels at most.", most / 1_000_000))
        }
        ImageError::Damaged => file("damaged_image", "The picture is damaged.".to_owned()),
        ImageError::Overloaded => Problem::new(
            Kind::Unavailable,
            "overloaded",
            "Too many pictures are being read. Try again shortly.",
        ),
        ImageError::Failed(error) => {
            tracing::error!(error, "a picture could not be encoded");
            Problem::new(Kind::Internal, "internal", "Something went wrong on our side.")
        }
    }
}

fn unavailable(error: FileError) -> Problem {
    logging::warn("the file store failed", &error);
    Problem::new(Kind::Unavailable, "unavailable", "Pictures cannot be stored right now. Try again shortly.")
}

/// The job that deletes images: one upload of a user, or all of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeAvatars {
    user_id: UserId,
    upload: Option<String>,
}

impl JobType for PurgeAvatars {
    const KIND: &'static str = "avatar.purge";
    /// Retries for about a day, in case the file store is unavailable.
    const MAX_ATTEMPTS: u32 = 36;
}

/// The jobs that delete the images which an event took out of use.
pub fn jobs_for(env: &Env, event: &Event) -> Vec<NewJob> {
    let user_id = UserId::from_uuid(event.resource.id);
    let upload = replaced(event).filter(|_| event.kind.is(&events::USER_UPDATED));
    if upload.is_none() && !event.kind.is(&events::USER_ERASED) {
        return Vec::new();
    }
    vec![NewJob::following(env, event, &PurgeAvatars { user_id, upload })]
}

/// The upload that an event took out of use.
fn replaced(event: &Event) -> Option<String> {
    let url = |user: &Option<Value>| user.as_ref()?.get("avatarUrl")?.as_str().map(str::to_owned);
    let before = url(&event.before).filter(|before| url(&event.after).as_ref() != Some(before))?;
    let (upload, _) = before.rsplit_once('/')?.1.split_once('-')?;
    is_upload(upload).then(|| upload.to_owned())
}

/// `avatar.purge`: deletes images.
pub async fn purge(app: &App, PurgeAvatars { user_id, upload }: PurgeAvatars) -> Result<(), JobError> {
    let prefix = match upload.filter(|upload| is_upload(upload)) {
        Some(upload) => folder(user_id, &upload),
        None => root(user_id),
    };
    app.files.delete_prefix(&prefix).await.map_err(|error| JobError::Retry(format!("{prefix}: {error}")))
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, TenantId};
    use portico_security::system_env;
    use serde_json::json;

    use super::*;

    fn payload_for(kind: &'static str, before: Option<&str>, after: Option<&str>) -> Option<Value> {
        let env = system_env();
        let scope = Scope::anonymous(RequestInfo::default());
        let event = Event::new(
            &env,
            &scope,
            portico_runtime::events::catalogue().find(kind).unwrap(),
            TenantId::PLATFORM.uuid(),
        )
        .before(&json!({"avatarUrl": before}))
        .after(&json!({"avatarUrl": after}));
        jobs_for(&env, &event).pop().map(|job| job.payload)
    }

    const ONE: &str = "https://x/api/v1/avatars/u/0123456789abcdef0123456789abcdef-256";
    const OTHER: &str = "https://x/api/v1/avatars/u/fedcba9876543210fedcba9876543210-256";

    #[test]
    fn a_picture_that_is_not_shown_any_more_is_deleted() {
        let upload = |after| Some(payload_for("user.updated", Some(ONE), after)?["upload"].clone());
        assert_eq!(upload(None), Some(json!("0123456789abcdef0123456789abcdef")));
        assert_eq!(upload(Some(OTHER)), Some(json!("0123456789abcdef0123456789abcdef")));
        assert_eq!(upload(Some(ONE)), None, "something else has changed");
        assert_eq!(payload_for("user.updated", None, Some(ONE)), None);
        assert_eq!(payload_for("user.updated", Some("https://elsewhere/me.png"), None), None, "not ours");
        assert_eq!(payload_for("user.erased", Some(ONE), None).unwrap()["upload"], Value::Null);
        assert_eq!(payload_for("user.suspended", Some(ONE), None), None);
    }

    #[test]
    fn names_of_uploads_lead_nowhere_else() {
        for name in
            ["", "..", "../secret", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcde/"]
        {
            assert!(!is_upload(name), "{name}");
        }
        assert!(is_upload("0123456789abcdef0123456789abcdef"));
    }
}
