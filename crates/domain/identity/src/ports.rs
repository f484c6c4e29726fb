//! What identity needs from the outside.

use async_trait::async_trait;
use portico_kernel::{Outbox, SessionId, StoreError, TenantId, Timestamp, UserId, mail::MailError};
use secrecy::SecretString;

use crate::{
    IdentityError,
    mail::{AccountMail, Recipient},
    session::{CallerState, Session},
    token::{OneTimeToken, TokenPurpose},
    user::{EmailAddress, User},
};

/// A password hash as a PHC string (`$argon2id$…`).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// An account with what proves it.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Whose it is.
    pub user: User,
    /// Absent for an account that signs in by other means.
    pub password: Option<PasswordHash>,
}

/// Users.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UserRepository: Send {
    /// Stores a new user. MUST answer `Conflict` when `email_verified` is set and another account that is not
    /// deleted has verified the same address, also under concurrency.
    async fn insert(&mut self, user: &User, password: Option<PasswordHash>) -> Result<(), StoreError>;

    /// The user, deleted ones included.
    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The accounts that name this address, at most two, not deleted: the one that verified it first, then the newest
    /// others.
    async fn by_email(&mut self, email: &EmailAddress) -> Result<Vec<Credential>, StoreError>;

    /// The user's own credential.
    async fn credential(&mut self, id: UserId) -> Result<Option<Credential>, StoreError>;

    /// Stores the user with `version + 1`. MUST answer `Stale` when the stored version is not `user.version`, and
    /// `Conflict` like [`UserRepository::insert`].
    async fn update(&mut self, user: &User) -> Result<(), StoreError>;

    /// Replaces the password hash; with `None` no password signs in until one is set. Does not change the version.
    async fn set_password(&mut self, id: UserId, password: Option<PasswordHash>) -> Result<(), StoreError>;

    /// The active tenant that the user has been a member of for longest.
    async fn default_tenant(&mut self, id: UserId) -> Result<Option<TenantId>, StoreError>;

    /// Notes a sign-in. Does not change the version.
    async fn touch_login(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError>;
}

/// Sessions.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SessionRepository: Send {
    /// Stores a new session.
    async fn insert(&mut self, session: &Session) -> Result<(), StoreError>;

    /// The session, ended and expired ones included.
    async fn find(&mut self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Moves to the next generation: sets `generation`, `rotated_at`, `last_used_at`, `expires_at`, `address` as in
    /// `session`, where the stored generation is `session.generation - 1` and the session has not ended. MUST answer
    /// whether it did, so that of two rotations at once exactly one succeeds.
    async fn rotate(&mut self, session: &Session) -> Result<bool, StoreError>;

    /// The sessions of a user that have neither ended nor expired, newest first.
    async fn list(&mut self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError>;

    /// Ends one session of `user`. Answers whether it was running.
    async fn end(&mut self, user: UserId, id: SessionId, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends every running session of `user` but `except`. Answers the ones ended.
    async fn end_all(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError>;

    /// What a request needs to know of its caller, in one round trip: `None` when the session has ended or expired, or
    /// the user is not active. `membership` is filled when `tenant` is given, active, and the user a member of it.
    async fn caller(
        &mut self,
        id: SessionId,
        tenant: Option<TenantId>,
        now: Timestamp,
    ) -> Result<Option<CallerState>, StoreError>;
}

/// Tokens of links in emails.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait OneTimeTokenRepository: Send {
    /// Stores a token.
    async fn insert(&mut self, token: &OneTimeToken) -> Result<(), StoreError>;

    /// Uses a token up and tells whose it was. MUST succeed at most once for a token, also under concurrency, and never
    /// after it has expired or for another purpose.
    async fn consume(
        &mut self,
        hash: [u8; 32],
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;

    /// Deletes the user's tokens for a purpose, for instance the other reset links once one was used.
    async fn revoke(&mut self, user: UserId, purpose: TokenPurpose) -> Result<(), StoreError>;
}

/// The repositories of identity, over one unit of work.
pub trait IdentityRepositories: Outbox {
    /// Users.
    fn users<'c>(&'c mut self) -> Box<dyn UserRepository + 'c>;
    /// Sessions.
    fn sessions<'c>(&'c mut self) -> Box<dyn SessionRepository + 'c>;
    /// Tokens of links in emails.
    fn one_time_tokens<'c>(&'c mut self) -> Box<dyn OneTimeTokenRepository + 'c>;
}

/// Hashes passwords, slowly, on a bounded pool.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes with a fresh salt.
    async fn hash(&self, password: SecretString) -> Result<PasswordHash, IdentityError>;

    /// Whether the password is the one that was hashed. MUST take as long when `hash` is `None` (and then answer
    /// `false`) as for a real one.
    async fn verify(&self, password: SecretString, hash: Option<PasswordHash>)
    -> Result<bool, IdentityError>;
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// Who.
    pub user: UserId,
    /// From which session.
    pub session: SessionId,
    /// The active tenant.
    pub tenant: Option<TenantId>,
    /// Not after.
    pub expires_at: Timestamp,
}

/// Makes and reads tokens.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait TokenIssuer: Send + Sync {
    /// Signs an access token.
    fn access_token(&self, claims: &AccessClaims, now: Timestamp) -> Result<String, IdentityError>;

    /// Reads an access token. MUST answer `None` for a wrong signature, algorithm, issuer, kind of token, or when expired.
    fn read_access_token(&self, token: &str, now: Timestamp) -> Option<AccessClaims>;

    /// The refresh token of a session's generation. MUST be the same for the same arguments, and not to be guessed
    /// without the server's key.
    fn refresh_token(&self, session: SessionId, generation: i32) -> String;

    /// Session and generation of a refresh token that this server made; `None` for anything else.
    fn read_refresh_token(&self, token: &str) -> Option<(SessionId, i32)>;

    /// SHA-256, under which the secret of a link is stored.
    fn digest(&self, secret: &str) -> [u8; 32];
}

/// Sends messages about accounts.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AccountMailer: Send + Sync {
    /// Renders the message in the recipient's language and hands it over.
    async fn send(&self, to: &Recipient, mail: &AccountMail) -> Result<(), MailError>;
}
