//! Signing in with an account at a provider: the ports.

use async_trait::async_trait;
use portico_kernel::{ExternalIdentityId, StoreError, Timestamp, UserId};

use crate::{
    IdentityError,
    external::{ExternalIdentity, ExternalProfile, SignInAttempt},
};

/// Accounts at providers that are linked to accounts here.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ExternalIdentityRepository: Send {
    /// Stores a link. MUST answer `Conflict` when the issuer's subject is linked already, also under concurrency.
    async fn insert(&mut self, identity: &ExternalIdentity) -> Result<(), StoreError>;

    /// The link of an issuer's subject. MUST compare both exactly: they have case (OpenID Connect Core section 2).
    async fn find(&mut self, issuer: &str, subject: &str) -> Result<Option<ExternalIdentity>, StoreError>;

    /// The links of a user, oldest first.
    async fn list(&mut self, user: UserId) -> Result<Vec<ExternalIdentity>, StoreError>;

    /// Stores what the provider sent at the last sign-in (address, name, language), and when that was. MUST NOT change anything
    /// else of the link.
    async fn update(&mut self, identity: &ExternalIdentity) -> Result<(), StoreError>;

    /// Deletes a link of this user. Answers whether it was there.
    async fn delete(&mut self, user: UserId, id: ExternalIdentityId) -> Result<bool, StoreError>;

    /// Deletes all of the user. Answers how many there were.
    async fn delete_all(&mut self, user: UserId) -> Result<u64, StoreError>;
}

/// Sign-ins that have begun, until the browser returns from the provider.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SignInAttemptRepository: Send {
    /// Stores an attempt.
    async fn insert(&mut self, attempt: &SignInAttempt) -> Result<(), StoreError>;

    /// Uses an attempt up. MUST succeed at most once for an attempt, also under concurrency, and never after it has
    /// expired.
    async fn consume(&mut self, state: [u8; 32], now: Timestamp)
    -> Result<Option<SignInAttempt>, StoreError>;

    /// Deletes the attempts to link an account at a provider to this user.
    async fn delete_all(&mut self, user: UserId) -> Result<(), StoreError>;
}

/// An OpenID Connect provider that the operator has set up.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait OpenIdProvider: Send + Sync {
    /// Name in paths and settings.
    fn name(&self) -> &str;

    /// Name on a button.
    fn display_name(&self) -> &str;

    /// The issuer identifier.
    fn issuer(&self) -> &str;

    /// Where to send the browser. MUST ask for a code with PKCE (S256, RFC 7636) and a nonce; both MUST follow from `state` and
    /// MUST NOT be computable from it without the server's key. Errors: [`IdentityError::ProviderUnavailable`].
    async fn authorization_url(&self, state: &str) -> Result<String, IdentityError>;

    /// Exchanges the code that came back with `state` for what the provider says of the person. MUST check signature (with an
    /// asymmetric algorithm only), issuer, audience, authorized party, expiry, `nbf`, nonce, and the hash of the access token
    /// where there is one (OpenID Connect Core section 3.1.3.7), and that the subject is 1 to 255 bytes. MUST take an address for
    /// verified only where `email_verified` is a JSON `true`, or a text for a provider of which the operator allows that. Errors:
    /// [`IdentityError::SignInRejected`] when any of it is wrong or the provider does not know the code,
    /// [`IdentityError::ProviderUnavailable`] when it gives no answer.
    async fn exchange(&self, code: &str, state: &str) -> Result<ExternalProfile, IdentityError>;
}
