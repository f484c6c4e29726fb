//! Encrypting secrets that have to be read again, such as those that webhooks are signed with.

/// A secret could not be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret could not be sealed")]
pub struct SealError;

/// Encrypts values at rest.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Sealer: Send + Sync {
    /// Encrypts. `purpose` keeps kinds of secrets apart; `context` names the owner (an id), so that one copied to another row
    /// does not open there.
    fn seal(&self, purpose: &str, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Decrypts. MUST answer `None` when anything was changed, or purpose or context differ.
    fn open(&self, purpose: &str, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>>;

    /// What was sealed with an earlier key, sealed with the current one; `None` when it is already. MUST fail for what does not
    /// open.
    fn reseal(&self, purpose: &str, context: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError>;
}
