//! Links that work for whoever holds them, for a while, without signing in.

use crate::Timestamp;

/// Signs what a link may do.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait LinkSigner: Send + Sync {
    /// The signature of a link: text that can stand in an address as it is. `purpose` keeps kinds of links apart (one for
    /// a file must not open a preview), `payload` says what exactly the link may do.
    ///
    /// MUST differ when any of the three differs, and MUST NOT be possible to make without the secret.
    fn sign(&self, purpose: &str, payload: &str, expires: Timestamp) -> String;

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
