//! Second factors, passkeys and unfinished sign-ins: the ports.

use async_trait::async_trait;
use portico_kernel::{PasskeyId, StoreError, Timestamp, UserId};
use serde_json::Value;

use crate::{
    IdentityError,
    passkey::{Assertion, Ceremony, NewPasskey, Passkey, PasskeyChallenge, PasskeyPurpose, PasskeyRefusal},
    pending_sign_in::{PendingSignIn, PendingSignInId},
    totp::{Totp, TotpEnrolment},
    user::User,
};

/// What a user has stored to prove a second factor with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredFactors {
    /// An authenticator app that is confirmed.
    pub totp: bool,
    /// A recovery code that was not used.
    pub recovery_codes: bool,
    /// A passkey.
    pub passkeys: bool,
}

/// Authenticator apps and recovery codes.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SecondFactorRepository: Send {
    /// What the user has stored to prove a second factor with.
    async fn stored(&mut self, user: UserId) -> Result<StoredFactors, StoreError>;

    /// The user's authenticator app, confirmed or not.
    async fn totp(&mut self, user: UserId) -> Result<Option<Totp>, StoreError>;

    /// Stores one that waits to be confirmed, in place of an earlier one that waits. MUST change nothing, and answer
    /// `false`, when there is a confirmed one.
    async fn put_totp(&mut self, totp: &Totp) -> Result<bool, StoreError>;

    /// Confirms the one with this sealed secret, and stores the time step of the code that proved it. MUST answer `true` at most
    /// once, also under concurrency.
    async fn confirm_totp(
        &mut self,
        user: UserId,
        sealed: &[u8],
        step: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Uses a time step up. MUST answer `true` at most once for a step, also under concurrency, never for one before a
    /// step that was used, and never for an app that is not confirmed.
    async fn use_totp_step(&mut self, user: UserId, step: i64) -> Result<bool, StoreError>;

    /// Forgets the app. Answers whether there was a confirmed one.
    async fn delete_totp(&mut self, user: UserId) -> Result<bool, StoreError>;

    /// The sealed secrets of apps, at most so many, in the order of their users' ids after `after`.
    async fn sealed_secrets(
        &mut self,
        after: Option<UserId>,
        most: u64,
    ) -> Result<Vec<(UserId, Vec<u8>)>, StoreError>;

    /// Stores the same secret sealed anew. MUST change nothing when the stored one is not `was` any more.
    async fn reseal(&mut self, user: UserId, was: &[u8], now: &[u8]) -> Result<bool, StoreError>;

    /// Replaces all recovery codes of the user.
    async fn replace_recovery_codes(
        &mut self,
        user: UserId,
        digests: &[[u8; 32]],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Uses a recovery code up. MUST answer `true` at most once for a code, also under concurrency.
    async fn use_recovery_code(&mut self, user: UserId, digest: [u8; 32]) -> Result<bool, StoreError>;

    /// How many recovery codes are left.
    async fn recovery_codes_left(&mut self, user: UserId) -> Result<u64, StoreError>;
}

/// Sign-ins whose first factor was right, and that wait for the second one.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PendingSignInRepository: Send {
    /// Stores one.
    async fn insert(&mut self, pending: &PendingSignIn) -> Result<(), StoreError>;

    /// The one with this id, expired ones included.
    async fn find(&mut self, id: PendingSignInId) -> Result<Option<PendingSignIn>, StoreError>;

    /// Counts a try. MUST answer `false`, and count nothing, when it is gone, has expired, or has had `most` tries; also
    /// under concurrency.
    async fn count_try(&mut self, id: PendingSignInId, most: i32, now: Timestamp)
    -> Result<bool, StoreError>;

    /// Deletes it. MUST answer `true` at most once, also under concurrency.
    async fn delete(&mut self, id: PendingSignInId) -> Result<bool, StoreError>;

    /// Deletes all of the user.
    async fn delete_all(&mut self, user: UserId) -> Result<(), StoreError>;
}

/// Passkeys, and the challenges that wait for an answer.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PasskeyRepository: Send {
    /// Stores a new one. MUST answer `Conflict` when the credential is stored already, for any user.
    async fn insert(&mut self, passkey: &Passkey) -> Result<(), StoreError>;

    /// The user's passkeys, oldest first.
    async fn list(&mut self, user: UserId) -> Result<Vec<Passkey>, StoreError>;

    /// The passkey with this id, given that it is the user's.
    async fn find(&mut self, user: UserId, id: PasskeyId) -> Result<Option<Passkey>, StoreError>;

    /// The passkey that has this id at its authenticator.
    async fn by_credential(&mut self, credential_id: &[u8]) -> Result<Option<Passkey>, StoreError>;

    /// Stores name, key data and last use of a passkey that is the user's.
    async fn update(&mut self, passkey: &Passkey) -> Result<(), StoreError>;

    /// Deletes the user's passkey. Answers whether it was there.
    async fn delete(&mut self, user: UserId, id: PasskeyId) -> Result<bool, StoreError>;

    /// Deletes all of the user. Answers how many there were.
    async fn delete_all(&mut self, user: UserId) -> Result<u64, StoreError>;

    /// Stores a challenge, in place of an earlier one with the same hash.
    async fn put_challenge(&mut self, challenge: &PasskeyChallenge) -> Result<(), StoreError>;

    /// Uses a challenge up and answers its state. MUST succeed at most once, also under concurrency, and never after it has
    /// expired or for another purpose.
    async fn take_challenge(
        &mut self,
        hash: [u8; 32],
        purpose: PasskeyPurpose,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError>;
}

/// The cryptography of authenticator apps, recovery codes and unfinished sign-ins, with keys of the installation.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait FactorSecrets: Send + Sync {
    /// The enrolment of a secret in an authenticator app.
    fn enrolment(&self, user: &User, secret: &[u8]) -> Result<TotpEnrolment, IdentityError>;

    /// Encrypts a secret for the store. `nonce` MUST be random. What is sealed for one user MUST NOT open for another.
    fn seal(&self, user: UserId, secret: &[u8], nonce: [u8; 12]) -> Result<Vec<u8>, IdentityError>;

    /// The time step (RFC 6238 section 4.2) whose code this is: the present one, or one beside it. Compares in constant time.
    fn matching_step(
        &self,
        user: UserId,
        sealed: &[u8],
        code: &str,
        now: Timestamp,
    ) -> Result<Option<i64>, IdentityError>;

    /// What was sealed with an earlier key, sealed with the current one; `None` when it is already. MUST fail for what does not
    /// open. `nonce` MUST be random.
    fn reseal(&self, user: UserId, sealed: &[u8], nonce: [u8; 12]) -> Result<Option<Vec<u8>>, IdentityError>;

    /// A keyed hash for finding values that must not be stored. MUST differ for different purposes.
    fn digest(&self, purpose: &str, value: &[u8]) -> [u8; 32];

    /// The hashes under which a value may be stored: that with the current key, then those with earlier ones.
    fn digests(&self, purpose: &str, value: &[u8]) -> Vec<[u8; 32]>;

    /// The token for the second step of a sign-in. MUST NOT be guessable without the server's key.
    fn pending_token(&self, id: PendingSignInId) -> String;

    /// The sign-in of such a token that this server made; `None` for anything else.
    fn read_pending_token(&self, token: &str) -> Option<PendingSignInId>;
}

/// The ceremonies of WebAuthn (Level 3, sections 7.1 and 7.2). User verification is required in each.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait PasskeyCeremonies: Send + Sync {
    /// Options to make a passkey, none of which the user has already.
    fn begin_registration(&self, user: &User, known: &[Passkey]) -> Result<Ceremony, IdentityError>;

    /// Checks what the authenticator made; `None` when it is not what was requested.
    fn finish_registration(&self, state: &str, credential: &Value) -> Option<NewPasskey>;

    /// Options to prove one of the passkeys; without any, one that the authenticator finds by itself.
    fn begin_assertion(&self, allowed: &[Passkey]) -> Result<Ceremony, IdentityError>;

    /// The passkey, and the user, that an answer claims; nothing of it is proven yet.
    fn read_assertion(&self, credential: &Value) -> Option<Assertion>;

    /// Checks an answer: signature, challenge, origin, relying party, user verification, counter. Answers the key data to
    /// store from now on.
    fn finish_assertion(
        &self,
        state: &str,
        credential: &Value,
        passkey: &Passkey,
    ) -> Result<String, PasskeyRefusal>;
}
