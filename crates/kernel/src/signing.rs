//! Signed links, which work for their holder for a limited time, without signing in.

use crate::Timestamp;

/// Signs what a link permits.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait LinkSigner: Send + Sync {
    /// The signature of a link: text that can stand in an address as it is. `purpose` keeps kinds of links apart (one for a file
    /// must not open a preview), `payload` is exactly what the link permits.
    ///
    /// MUST differ when any of the three differs, and MUST NOT be possible to make without the secret.
    fn sign(&self, purpose: &str, payload: &str, expires: Timestamp) -> String;

    /// The signatures of a link with each secret that is accepted: first the one that [`LinkSigner::sign`] makes, then those made with
    /// earlier secrets. For what is too short for a signature, and has a part of a digest of it. None but the first may be given away.
    fn accepted(&self, purpose: &str, payload: &str, expires: Timestamp) -> Vec<String>;

    /// Whether the signature is one of ours for exactly this, and has not expired by `now`. MUST compare in constant time.
    fn verify(
        &self,
        purpose: &str,
        payload: &str,
        expires: Timestamp,
        signature: &str,
        now: Timestamp,
    ) -> bool;
}
