//! Signed links to files: for everybody who has one, as long as it lasts.

use portico_kernel::{AssetId, TenantId, Timestamp, signing::LinkSigner};

/// Keeps these signatures apart from those of other links.
const PURPOSE: &str = "asset";

/// The variant that is the file itself.
pub const ORIGINAL: &str = "original";

/// A file, and which of its variants.
pub type Target<'v> = (TenantId, AssetId, &'v str);

/// Path and query of a link to a variant of a file.
pub fn signed(signer: &dyn LinkSigner, target: Target<'_>, expires: Timestamp) -> String {
    let signature = signer.sign(PURPOSE, &payload(target), expires);
    let (tenant, id, variant) = target;
    format!("/files/{tenant}/{id}/{variant}?expires={}&signature={signature}", expires.unix_seconds())
}

/// Whether a link to a variant of a file is one of ours, and has not expired by `now`.
pub fn is_signed(
    signer: &dyn LinkSigner,
    target: Target<'_>,
    expires: Timestamp,
    signature: &str,
    now: Timestamp,
) -> bool {
    signer.verify(PURPOSE, &payload(target), expires, signature, now)
}

fn payload((tenant, id, variant): Target<'_>) -> String {
    format!("{tenant}/{id}/{variant}")
}
