//! Ports of identity.

use async_trait::async_trait;
use portico_kernel::{
    Headroom, Outbox, SessionId, StoreError, TenantId, Timestamp, UserId,
    mail::{MailContent, MailError, MailId},
};
use secrecy::SecretString;

use crate::{
    IdentityError,
    email_change::EmailChangeId,
    mail::{MailBrand, Recipient},
    session::{CallerState, Session},
    ticket::Ticket,
    token::{OneTimeToken, TokenPurpose},
    user::{EmailAddress, User},
};

mod api_keys;
mod email_changes;
mod external;
mod guards;
mod second_factors;
mod users;
pub use api_keys::*;
pub use email_changes::*;
pub use external::*;
pub use guards::*;
pub use second_factors::*;
pub use users::*;

/// A password hash as a PHC string (`$argon2id$…`).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// An account with its password.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The user.
    pub user: User,
    /// Absent for an account that signs in by other means.
    pub password: Option<PasswordHash>,
}

/// Tenants of a user who signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantsAtSignIn {
    /// As [`UserRepository::default_tenant`].
    pub default: Option<TenantId>,
    /// Where the session begins: the active tenant that was stored last, if the user is still a member of it, else the default.
    pub starting: Option<TenantId>,
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

    /// The accounts that name this address without having proven it, not deleted, newest first, at most `limit`.
    async fn claimants(&mut self, email: &EmailAddress, limit: u32) -> Result<Vec<UserId>, StoreError>;

    /// The user's own credential.
    async fn credential(&mut self, id: UserId) -> Result<Option<Credential>, StoreError>;

    /// Stores the user with `version + 1`. MUST answer `Stale` when the stored version is not `user.version`, and
    /// `Conflict` like [`UserRepository::insert`].
    async fn update(&mut self, user: &User) -> Result<(), StoreError>;

    /// Replaces the password hash; with `None` no password signs in until one is set. Does not change the version. MUST also
    /// delete the sign-ins of the user that wait for their second factor: they rest on the password so far.
    async fn set_password(&mut self, id: UserId, password: Option<PasswordHash>) -> Result<(), StoreError>;

    /// The active tenant that the user has been a member of for longest.
    async fn default_tenant(&mut self, id: UserId) -> Result<Option<TenantId>, StoreError>;

    /// The tenants that a sign-in of the user needs, read together.
    async fn tenants_at_sign_in(&mut self, id: UserId) -> Result<TenantsAtSignIn, StoreError>;

    /// Stores where the user wants to begin. Does not change the version.
    async fn remember_tenant(&mut self, id: UserId, tenant: TenantId) -> Result<(), StoreError>;

    /// Locks the user's row until this unit of work ends: every other one that writes to it waits. Changes nothing. Answers the
    /// user's credential as it is once the row is locked.
    async fn lock(&mut self, id: UserId) -> Result<Option<Credential>, StoreError>;

    /// Records a sign-in. Does not change the version.
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

    /// Makes a running session of `user` act in `tenant` from now on. Answers whether there is one.
    async fn switch(
        &mut self,
        user: UserId,
        id: SessionId,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The sessions of a user that have neither ended nor expired, newest first.
    async fn list(&mut self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError>;

    /// Records that the user has proven their identity again. Answers whether the session is theirs and has not ended.
    async fn authenticate(&mut self, user: UserId, id: SessionId, now: Timestamp)
    -> Result<bool, StoreError>;

    /// Ends one session of `user`. Answers whether it was running.
    async fn end(&mut self, user: UserId, id: SessionId, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends every running session of `user` but `except`. Answers the ones ended.
    async fn end_all(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError>;

    /// Ends every running session in which `impersonator` acts as another user. Answers the ones ended, and as whom.
    async fn end_impersonations(
        &mut self,
        impersonator: UserId,
        now: Timestamp,
    ) -> Result<Vec<(SessionId, UserId)>, StoreError>;

    /// What a request needs to know of its caller, in one round trip: `None` when the session has ended or expired, or the user
    /// is not active, or the impersonator is not, or is not staff any more. MUST answer the role of a customer where an
    /// impersonator acts as the user, whose own role is not for others. `membership` is filled when `tenant` is given, active or
    /// about to be deleted, and the user a member of it; `access` is what the state of the tenant leaves of the role.
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

    /// The user of this token, if it is valid for the purpose. Uses nothing up.
    async fn find(
        &mut self,
        hash: [u8; 32],
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;

    /// Uses a token up and answers its user. MUST succeed at most once for a token, also under concurrency, and never after it
    /// has expired or for another purpose.
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
    /// Accounts, for administrators.
    fn directory<'c>(&'c mut self) -> Box<dyn UserDirectory + 'c>;
    /// What is stored about a person besides the account.
    fn personal_data<'c>(&'c mut self) -> Box<dyn PersonalData + 'c>;
    /// Users.
    fn users<'c>(&'c mut self) -> Box<dyn UserRepository + 'c>;
    /// Sessions.
    fn sessions<'c>(&'c mut self) -> Box<dyn SessionRepository + 'c>;
    /// Counts of failed guesses at credentials.
    fn sign_in_failures<'c>(&'c mut self) -> Box<dyn SignInFailureRepository + 'c>;
    /// How much mail recipients may still get.
    fn mail_budgets<'c>(&'c mut self) -> Box<dyn MailBudgetRepository + 'c>;
    /// Devices that users signed in with.
    fn known_devices<'c>(&'c mut self) -> Box<dyn KnownDeviceRepository + 'c>;
    /// Tokens of links in emails.
    fn one_time_tokens<'c>(&'c mut self) -> Box<dyn OneTimeTokenRepository + 'c>;
    /// Authenticator apps and recovery codes.
    fn second_factors<'c>(&'c mut self) -> Box<dyn SecondFactorRepository + 'c>;
    /// Sign-ins that wait for their second factor.
    fn pending_sign_ins<'c>(&'c mut self) -> Box<dyn PendingSignInRepository + 'c>;
    /// Passkeys.
    fn passkeys<'c>(&'c mut self) -> Box<dyn PasskeyRepository + 'c>;
    /// Accounts at providers that are linked to users.
    fn external_identities<'c>(&'c mut self) -> Box<dyn ExternalIdentityRepository + 'c>;
    /// Sign-ins at a provider that have begun.
    fn sign_in_attempts<'c>(&'c mut self) -> Box<dyn SignInAttemptRepository + 'c>;
    /// Changes of address that wait for the reader of the new one.
    fn email_changes<'c>(&'c mut self) -> Box<dyn EmailChangeRepository + 'c>;
    /// API keys.
    fn api_keys<'c>(&'c mut self) -> Box<dyn ApiKeyRepository + 'c>;
    /// How API keys are used.
    fn api_key_usage<'c>(&'c mut self) -> Box<dyn ApiKeyUsageRepository + 'c>;
    /// How many API keys the tenant's plan leaves.
    fn headroom<'c>(&'c mut self) -> Box<dyn Headroom + 'c>;
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

/// Contents of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// The user.
    pub user: UserId,
    /// The session.
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

    /// The refresh token of a session's generation. MUST be the same for the same arguments, and unguessable without the server's
    /// key.
    fn refresh_token(&self, session: SessionId, generation: i32) -> String;

    /// Session and generation of a refresh token that this server made; `None` for anything else.
    fn read_refresh_token(&self, token: &str) -> Option<(SessionId, i32)>;

    /// The token that confirms a change of address. MUST be the same for the same id, and unguessable without the server's key.
    fn email_change_token(&self, id: EmailChangeId) -> String;

    /// The id in a token that this server made; `None` for anything else.
    fn read_email_change_token(&self, token: &str) -> Option<EmailChangeId>;

    /// The text of a ticket. MUST be unguessable without the server's key.
    fn ticket(&self, ticket: &Ticket) -> Result<String, IdentityError>;

    /// Reads a ticket. MUST answer `None` for a wrong signature, algorithm, issuer, kind of token, or when expired. Whether it was
    /// used is for the store to know.
    fn read_ticket(&self, text: &str, now: Timestamp) -> Option<Ticket>;

    /// SHA-256, under which the secret of a link is stored.
    fn digest(&self, secret: &str) -> [u8; 32];
}

/// Sends messages about accounts.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Renders the message in the recipient's language and hands it over. MUST send it under `id`, which is the same at
    /// every attempt.
    async fn send(
        &self,
        id: MailId,
        to: &Recipient,
        mail: &MailContent,
        brand: &MailBrand,
    ) -> Result<(), MailError>;
}
