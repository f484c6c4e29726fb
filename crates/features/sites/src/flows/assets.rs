//! Uploaded files: checked, re-encoded, stored, counted, served by signed links, and deleted.
//!
//! Bytes are stored before the row that counts them, and deleted after it: a file that is counted always exists. What a
//! crash leaves in between is deleted by a job that is enqueued before the first byte is stored.

use std::{ops::Range, time::Duration};

use actix_web::{HttpResponse, body::MessageBody};
use portico_kernel::{
    AssetId, Fault, FieldError, Job, Kind, Permission, Scope, TenantId, Timestamp, Violations,
    files::FileError,
    images::{ImageError, Picture},
};
use portico_runtime::{
    logging::{self, chain},
    worker::jobs::{self, JobError},
};
use portico_sites::asset::{
    Asset, AssetKind, Assets, NewAsset, PurgeAssets, VARIANT_WIDTHS, Variant, link as signed_link,
};
use portico_tenancy::branding::{Branding, BrandingUpdate, Brandings};
use portico_web::{caller::Caller, pieces, problem::Problem};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{spool::SpooledFile, state::App};

/// How long an upload waits for a permit to be processed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Seconds after which it makes sense to ask for a file again that is to be scanned.
const SCAN_SECONDS: u64 = 10;

/// A file that passed the checks.
struct Checked {
    name: String,
    content_type: portico_sites::asset::AssetType,
    pixels: Option<(u32, u32)>,
    bytes: Vec<u8>,
    variants: Vec<Picture>,
}

/// Why a file is refused.
enum Refusal {
    /// The file is invalid: error code and detail.
    Field(&'static str, String),
    /// The server failed.
    Problem(Problem),
}

/// Creates assets from files: all of them or, if any is invalid, none. `answer` builds the response.
///
/// # Errors
/// 402 when they exceed the plan; 422 with `files[i]` for each that is damaged or too large an image; 503.
pub async fn upload(
    app: &App,
    caller: &Caller,
    files: Vec<SpooledFile>,
    answer: impl FnOnce(Vec<Asset>) -> HttpResponse,
) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    let tenant = scope.require(Permission::AssetsWrite)?;
    let mut work = app.core.begin().await?;
    let ids = Assets::new(&mut *work, scope, &app.core.env).announce(files.len()).await?;
    work.commit().await?;
    let (mut stored, mut errors) = (Vec::with_capacity(files.len()), Vec::new());
    for (number, (file, id)) in files.into_iter().zip(&ids).enumerate() {
        match take(app, tenant, *id, file, errors.is_empty()).await {
            Ok(asset) => stored.push(asset),
            Err(Refusal::Field(code, message)) => {
                errors.push(FieldError::new(format!("files[{number}]"), code, message));
            }
            Err(Refusal::Problem(problem)) => {
                discard(app, tenant, &ids).await;
                return Err(problem);
            }
        }
    }
    if !errors.is_empty() {
        discard(app, tenant, &ids).await;
        return Err(Problem::invalid(errors));
    }
    let mut work = app.core.begin().await?;
    let created = Assets::new(&mut *work, scope, &app.core.env).create(stored).await;
    match created {
        // If the commit fails, it is unknown whether it took effect: the job decides by the rows.
        Ok(assets) => caller.commit(work, answer(assets)).await,
        Err(error) => {
            drop(work);
            discard(app, tenant, &ids).await;
            Err(error.into())
        }
    }
}

/// Checks a file and, if `keep`, stores it with its smaller copies.
async fn take(
    app: &App,
    tenant: TenantId,
    id: AssetId,
    file: SpooledFile,
    keep: bool,
) -> Result<NewAsset, Refusal> {
    let permit = timeout(PATIENCE, app.uploads.acquire()).await;
    let _permit = permit.ok().and_then(Result::ok).ok_or_else(|| Refusal::Problem(overloaded()))?;
    let file = check(app, file).await?;
    let variants = file.variants.iter().map(|picture| Variant {
        width: picture.size.width,
        height: picture.size.height,
        size: picture.bytes.len() as u64,
        hash: hash(&picture.bytes),
    });
    let asset = NewAsset {
        id,
        filename: file.name,
        content_type: file.content_type,
        size: file.bytes.len() as u64,
        pixels: file.pixels,
        hash: hash(&file.bytes),
        variants: variants.collect(),
    };
    if keep {
        let unavailable = |error| Refusal::Problem(unavailable(&error));
        for picture in file.variants {
            let key = Asset::variant_key(tenant, id, picture.size.width);
            app.files.put(&key, picture.bytes).await.map_err(unavailable)?;
        }
        app.files.put(&Asset::original_key(tenant, id), file.bytes).await.map_err(unavailable)?;
    }
    Ok(asset)
}

/// Images are re-encoded, so that nothing of the file is kept but its pixels. A document is stored unchanged, and never
/// shown inside a page.
async fn check(app: &App, file: SpooledFile) -> Result<Checked, Refusal> {
    let (name, content_type) = (file.name.clone(), file.format);
    let bytes = file.read().await.map_err(Refusal::Problem)?;
    if content_type.kind() == AssetKind::Pdf {
        if !ends_like_a_pdf(&bytes) {
            return Err(Refusal::Field("damaged_file", "This document is damaged or cut off.".to_owned()));
        }
        return Ok(Checked { name, content_type, pixels: None, bytes, variants: Vec::new() });
    }
    let fitted = app.images.fit(bytes, VARIANT_WIDTHS.to_vec()).await.map_err(refused)?;
    let size = fitted.original.size;
    Ok(Checked {
        name,
        content_type,
        pixels: Some((size.width, size.height)),
        bytes: fitted.original.bytes,
        variants: fitted.variants,
    })
}

/// Whether the end-of-file marker of a PDF is present (ISO 32000-1 section 7.5.5; readers look for it in the last
/// kilobyte).
fn ends_like_a_pdf(bytes: &[u8]) -> bool {
    bytes[bytes.len().saturating_sub(1024)..].windows(5).any(|part| part == b"%%EOF")
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refused(error: ImageError) -> Refusal {
    match error {
        ImageError::UnknownFormat => {
            Refusal::Field("unknown_format", "Send PNG, JPEG, WebP, GIF or PDF.".to_owned())
        }
        ImageError::TooManyPixels(most) => Refusal::Field(
            "too_many_pixels",
            format!("A picture may have {} megapixels at most.", most / 1_000_000),
        ),
        ImageError::Damaged => Refusal::Field("damaged_image", "This picture is damaged.".to_owned()),
        ImageError::Overloaded => Refusal::Problem(overloaded()),
        ImageError::Failed(error) => {
            Refusal::Problem(Problem::internal(format!("a picture could not be encoded: {error}")))
        }
    }
}

fn overloaded() -> Problem {
    Problem::new(Kind::Unavailable, "overloaded", "Too many files are being read. Try again shortly.")
}

fn unavailable(error: &FileError) -> Problem {
    logging::warn("the file store failed", error);
    Problem::new(Kind::Unavailable, "unavailable", "Files cannot be stored right now. Try again shortly.")
}

/// Deletes the files of assets whose creation failed. If a deletion fails, the job repeats it later.
async fn discard(app: &App, tenant: TenantId, ids: &[AssetId]) {
    for id in ids {
        if let Err(error) = app.files.delete_prefix(&Asset::folder(tenant, *id)).await {
            tracing::warn!(error = %chain(&error), asset = %id, "files of an upload stay for the job");
        }
    }
}

/// Deletes an asset and returns its storage to the plan. Its bytes are kept while it can be restored.
///
/// # Errors
/// 404; 409 `asset_in_use` unless `force`; 412.
pub async fn delete(
    app: &App,
    scope: &Scope,
    id: AssetId,
    expected: Option<i64>,
    force: bool,
) -> Result<(), Problem> {
    let tenant = scope.require(Permission::AssetsWrite)?;
    let grace = app.settings.assets.deletion_grace.try_into().unwrap_or(time::Duration::MAX);
    let mut work = app.core.begin().await?;
    let branding = work.branding().find(tenant).await?;
    let shown = branding
        .is_some_and(|branding| branding.logo_asset_id == Some(id) || branding.favicon_asset_id == Some(id));
    Assets::new(&mut *work, scope, &app.core.env).delete(id, expected, grace, shown, force).await?;
    Ok(work.commit().await?)
}

/// Changes the branding, which may refer only to images of the tenant.
///
/// # Errors
/// Those of [`Brandings::update`], and 422 for `logoAssetId` and `faviconAssetId`.
pub async fn update_branding(
    app: &App,
    scope: &Scope,
    input: BrandingUpdate,
    expected: Option<i64>,
) -> Result<Branding, Problem> {
    scope.require(Permission::BrandingWrite)?;
    let named = [("logoAssetId", input.logo_asset_id), ("faviconAssetId", input.favicon_asset_id)];
    let references: Vec<(String, AssetId)> =
        named.into_iter().filter_map(|(field, id)| Some((field.to_owned(), id??))).collect();
    let mut work = app.core.begin().await?;
    let mut violations = Violations::default();
    Assets::new(&mut *work, scope, &app.core.env).check_pictures(&references, &mut violations).await?;
    let updated = Brandings::new(&mut *work, scope, &app.core.env).update(input, expected).await;
    match (updated, violations.into_result()) {
        (Ok(branding), Ok(())) => {
            work.commit().await?;
            Ok(branding)
        }
        (Ok(_), Err(errors)) => Err(Problem::invalid(errors)),
        // All invalid fields in one answer.
        (Err(error), Err(errors)) if error.kind() == Kind::Invalid => Err(Problem::from(error).and(errors)),
        (Err(error), _) => Err(error.into()),
    }
}

/// A signed link to a file, valid for one to two hours for anyone who has it. The link stays the same within an hour, so
/// that browsers cache the file. `width` selects a smaller copy.
pub fn link(app: &App, asset: &Asset, width: Option<u32>) -> String {
    let variant = width.map_or_else(|| signed_link::ORIGINAL.to_owned(), |width| width.to_string());
    let expires = link_expiry(app);
    let path = signed_link::signed(&*app.api.signer, (asset.tenant, asset.id, &variant), expires);
    format!("{}{path}", app.api.public_url)
}

/// When links made now expire.
pub fn link_expiry(app: &App) -> Timestamp {
    let window = i64::try_from(app.settings.assets.link_ttl.as_secs()).unwrap_or(3600).max(1);
    let end = (app.core.env.now().unix_seconds() / window + 2) * window;
    Timestamp::from_unix_seconds(end).unwrap_or_else(|| app.core.env.now())
}

/// The target of a link.
pub struct LinkedFile {
    /// The asset.
    pub asset: Asset,
    /// The smaller copy; `None` for the file itself.
    pub variant: Option<Variant>,
}

impl LinkedFile {
    /// SHA-256 of the file, hexadecimal.
    pub fn hash(&self) -> &str {
        self.variant.as_ref().map_or(&self.asset.hash, |variant| &variant.hash)
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.variant.as_ref().map_or(self.asset.size, |variant| variant.size)
    }

    /// A range of the file, streamed.
    pub async fn read(
        &self,
        app: &App,
        range: Range<u64>,
    ) -> Result<Option<impl MessageBody + 'static>, Problem> {
        let (tenant, id) = (self.asset.tenant, self.asset.id);
        let key = match &self.variant {
            Some(variant) => Asset::variant_key(tenant, id, variant.width),
            None => Asset::original_key(tenant, id),
        };
        pieces::of_file(app.files.clone(), key, range).await.map_err(|error| unavailable(&error))
    }
}

/// Resolves a link: `None` if its signature is invalid, it has expired, its file is deleted, or its tenant is suspended or
/// about to be deleted. Nothing of this is cached, so changes take effect on every instance at once.
///
/// # Errors
/// 409 for the file itself as long as no scanner has passed it, since it came with a ticket. Its smaller copies are made of its pixels, by us.
pub async fn follow(
    app: &App,
    (tenant, id, variant): (TenantId, AssetId, &str),
    expires: Timestamp,
    signature: &str,
) -> Result<Option<LinkedFile>, Problem> {
    let now = app.core.env.now();
    if !signed_link::is_signed(&*app.api.signer, (tenant, id, variant), expires, signature, now) {
        return Ok(None);
    }
    let Some(asset) = app.core.reader().assets().linked(tenant, id).await? else { return Ok(None) };
    if variant == signed_link::ORIGINAL {
        if asset.held {
            return Err(held());
        }
        return Ok(Some(LinkedFile { asset, variant: None }));
    }
    let found = asset.variants.iter().find(|known| known.width.to_string() == variant).cloned();
    Ok(found.map(|variant| LinkedFile { asset, variant: Some(variant) }))
}

fn held() -> Problem {
    let detail = "The file came with a ticket, and no scanner for malware has passed it.";
    Problem::new(Kind::Conflict, "attachment_not_scanned", detail).after(SCAN_SECONDS)
}

/// `asset.purge`: deletes the files of assets that were deleted or never created.
pub async fn purge(app: &App, PurgeAssets { asset_ids }: PurgeAssets, job: &Job) -> Result<(), JobError> {
    let scope = jobs::scope(job);
    for id in asset_ids {
        let mut work = app.core.begin().await?;
        let is_gone = Assets::new(&mut *work, &scope, &app.core.env).purge(id).await?;
        work.commit().await?;
        if is_gone {
            let folder = Asset::folder(job.tenant_id, id);
            let deleted = app.files.delete_prefix(&folder).await;
            deleted.map_err(|error| JobError::Retry(format!("{folder}: {}", chain(&error))))?;
        }
    }
    Ok(())
}
