//! Signing in with an account at a provider (OpenID Connect), and the links between such accounts and ours.
//!
//! A person is identified by the issuer and its subject, never by an address: addresses change owners. An address decides once,
//! when a link is made, and only where the provider says that it is verified. See ADR 16.

use portico_kernel::{
    Env, Event, ExternalIdentityId, Scope, Timestamp, UserId, Violations, name_text::is_invisible,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    Accounts, IdentityError, events,
    ports::IdentityRepositories,
    session::RefreshTokenIn,
    user::{EmailAddress, LANGUAGES, LONGEST_NAME, User, check_name},
};

mod attempt;
mod links;
mod recognition;

pub use attempt::{Begun, Browser};
pub use recognition::Recognised;

/// How long a person may take at the provider.
pub const ATTEMPT_LIFETIME: Duration = Duration::minutes(10);

/// What a provider says about a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalProfile {
    /// The issuer.
    pub issuer: String,
    /// Id of the person at the issuer; unique there, and never reused.
    pub subject: String,
    /// Address.
    pub email: Option<String>,
    /// Whether the provider says that it has proven the address.
    pub email_verified: bool,
    /// Name as a whole.
    pub name: Option<String>,
    /// Preferred language, BCP 47.
    pub locale: Option<String>,
}

impl ExternalProfile {
    /// The address, where there is one that we can write to.
    fn address(&self) -> Option<EmailAddress> {
        EmailAddress::parse(self.email.as_deref()?).ok()
    }

    /// The name, where our rules allow it.
    fn usable_name(&self) -> Option<String> {
        let visible: String = self.name.as_ref()?.chars().filter(|c| !is_invisible(*c)).collect();
        let name = visible.trim().chars().take(LONGEST_NAME).collect::<String>().trim().to_owned();
        let mut violations = Violations::default();
        check_name(&mut violations, &name);
        violations.is_empty().then_some(name)
    }

    /// The language, where it is one that we write in.
    fn usable_language(&self) -> Option<&'static str> {
        let locale = self.locale.as_ref()?.to_ascii_lowercase();
        LANGUAGES.into_iter().find(|language| locale.split(['-', '_']).next() == Some(language))
    }
}

/// An account at a provider that signs in to an account here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExternalIdentity {
    /// UUIDv7.
    pub id: ExternalIdentityId,
    /// The user here.
    #[serde(skip)]
    pub user: UserId,
    /// Name of the provider in the settings when it was linked.
    #[cfg_attr(feature = "openapi", schema(example = "google"))]
    pub provider: String,
    /// The issuer.
    #[cfg_attr(feature = "openapi", schema(example = "https://accounts.google.com"))]
    pub issuer: String,
    /// The subject at the issuer.
    #[serde(skip)]
    pub subject: String,
    /// Address that the provider sent at the last sign-in.
    #[cfg_attr(feature = "openapi", schema(example = "ada@example.com"))]
    pub email: Option<String>,
    /// Name that the provider sent last.
    #[serde(skip)]
    pub name: Option<String>,
    /// Language that the provider sent last, as far as it is one of ours.
    #[serde(skip)]
    pub language: Option<String>,
    /// When it was linked.
    pub linked_at: Timestamp,
    /// Last sign-in with it.
    pub last_used_at: Option<Timestamp>,
}

/// A sign-in that has begun. Contains no secret: what the provider needs to see is derived from `state` and the server's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInAttempt {
    /// SHA-256 of the state.
    pub state: [u8; 32],
    /// The provider.
    pub provider: String,
    /// SHA-256 of the secret in the cookie of the browser that began.
    pub browser: [u8; 32],
    /// The signed-in account to link to; `None` for signing in.
    pub user: Option<UserId>,
    /// When it began.
    pub created_at: Timestamp,
    /// Not after.
    pub expires_at: Timestamp,
}

/// Input from the page that the provider redirected the browser to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "provider": "google", "code": "4/0AX4XfWh…", "state": "uTtLz2Q3…"
})))]
pub struct Callback {
    /// Name of the provider. May be left out: the state says which one it is.
    #[cfg_attr(feature = "openapi", schema(max_length = 32))]
    pub provider: Option<String>,
    /// `code` of the address that the provider redirected the browser to.
    #[cfg_attr(feature = "openapi", schema(required, max_length = 4096))]
    pub code: String,
    /// `state` of that address.
    #[cfg_attr(feature = "openapi", schema(required, max_length = 200))]
    pub state: String,
    /// Where the refresh token goes: `token` (the default) or `cookie`.
    pub session: Option<RefreshTokenIn>,
}

impl Callback {
    /// Checks the form only. Errors: [`IdentityError::Invalid`] with all broken rules.
    pub fn validate(self) -> Result<Self, IdentityError> {
        let mut violations = Violations::default();
        violations.optional_text("provider", self.provider.as_deref(), 32);
        violations.text("code", &self.code, 1, 4096);
        violations.text("state", &self.state, 1, 200);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self)
    }
}

/// The use cases of accounts at providers, over one unit of work. No method calls a provider.
pub struct ExternalIdentities<'a> {
    repositories: &'a mut dyn IdentityRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> ExternalIdentities<'a> {
    /// Over an open unit of work, or a reader for what only reads.
    pub fn new(repositories: &'a mut dyn IdentityRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Links an account at a provider to a user, with the event.
    async fn insert(
        &mut self,
        user: UserId,
        provider: &str,
        profile: &ExternalProfile,
        used: bool,
    ) -> Result<(), IdentityError> {
        let now = self.env.now();
        let identity = ExternalIdentity {
            id: self.env.new_id(),
            user,
            provider: provider.to_owned(),
            issuer: profile.issuer.clone(),
            subject: profile.subject.clone(),
            email: profile.email.clone(),
            name: profile.usable_name(),
            language: profile.usable_language().map(str::to_owned),
            linked_at: now,
            last_used_at: used.then_some(now),
        };
        self.repositories.external_identities().insert(&identity).await?;
        let event = Event::new(self.env, self.scope, &events::USER_IDENTITY_LINKED, user.uuid())
            .by_user(user)
            .after(&identity);
        self.append_about(user, event).await
    }

    /// Takes the address of an account that is linked as proven, if the provider calls the very address verified and no other
    /// account has proven it.
    async fn take_proof(&mut self, user: User, profile: &ExternalProfile) -> Result<User, IdentityError> {
        let proves = profile.email_verified && profile.address().as_ref() == Some(&user.email);
        if user.email_verified || !proves {
            return Ok(user);
        }
        let accounts = self.repositories.users().by_email(&user.email).await?;
        if accounts.iter().any(|account| account.user.email_verified) {
            return Ok(user);
        }
        Accounts::new(self.repositories, self.scope, self.env).mark_verified(user).await
    }

    /// Appends an event about a user to the audit trail where it belongs.
    async fn append_about(&mut self, user: UserId, event: Event) -> Result<(), IdentityError> {
        Accounts::new(self.repositories, self.scope, self.env).append_about(user, event).await
    }
}

#[cfg(test)]
mod tests;
