//! Passkeys (WebAuthn Level 3): a second factor, and a way to sign in without a password.
//!
//! A passkey is only taken when the authenticator has verified its user (PIN, finger), so it counts as both factors.

use portico_kernel::{Event, PasskeyId, Timestamp, UserId, Violations};
use serde::Serialize;
use serde_json::Value;
use time::Duration;

use crate::{
    Accounts, IdentityError, Sessions, events,
    pending_sign_in::{PendingSignIn, TRIES},
    ports::{FactorSecrets, IdentityRepositories, PasskeyCeremonies},
    session::FactorOutcome,
};

mod input;
pub use input::{AddPasskey, MfaToken, PasskeySignIn, RenamePasskey, VerifyPasskey};

/// How long a challenge waits for its answer.
pub const CHALLENGE: Duration = Duration::minutes(5);

/// Passkeys of one account.
pub const MOST_PASSKEYS: usize = 20;

/// A passkey of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Passkey {
    /// UUIDv7.
    pub id: PasskeyId,
    /// The user.
    pub user: UserId,
    /// Name that its owner chose.
    pub name: String,
    /// Its id at the authenticator.
    pub credential_id: Vec<u8>,
    /// Public key, counter and so on, in the form of [`PasskeyCeremonies`]. No secret.
    pub data: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// Last sign-in with it.
    pub last_used_at: Option<Timestamp>,
}

impl std::fmt::Debug for Passkey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passkey").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A passkey, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Passkey))]
pub struct PasskeyView {
    /// Its id.
    pub id: PasskeyId,
    /// Name that its owner chose.
    #[cfg_attr(feature = "openapi", schema(example = "Laptop"))]
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// Last sign-in with it.
    pub last_used_at: Option<Timestamp>,
}

impl PasskeyView {
    /// The fields that its owner may see.
    pub fn new(passkey: &Passkey) -> Self {
        Self {
            id: passkey.id,
            name: passkey.name.clone(),
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
        }
    }
}

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PasskeyPurpose {
    /// Adding a passkey.
    Registration,
    /// Signing in without a password.
    SignIn,
    /// The second step of a sign-in.
    SecondFactor,
    /// Proving again who one is.
    Reauthentication,
}

impl PasskeyPurpose {
    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::SignIn => "sign_in",
            Self::SecondFactor => "second_factor",
            Self::Reauthentication => "reauthentication",
        }
    }
}

/// A challenge that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyChallenge {
    /// Keyed hash of what the answer comes with: a token, a sign-in, a session.
    pub hash: [u8; 32],
    /// What it is for.
    pub purpose: PasskeyPurpose,
    /// In the form of [`PasskeyCeremonies`].
    pub state: String,
    /// Not after.
    pub expires_at: Timestamp,
}

/// The two halves of a challenge: for the browser, and for the store.
#[derive(Clone, Debug)]
pub struct Ceremony {
    /// For `navigator.credentials.create` or `.get`.
    pub options: Value,
    /// For [`PasskeyChallenge::state`].
    pub state: String,
}

/// A credential that an authenticator made.
#[derive(Clone, Debug)]
pub struct NewPasskey {
    /// Its id at the authenticator.
    pub credential_id: Vec<u8>,
    /// For [`Passkey::data`].
    pub data: String,
}

/// The claims of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Id of the passkey.
    pub credential_id: Vec<u8>,
    /// The user (`userHandle`), where the authenticator sends it.
    pub user: Option<UserId>,
}

/// Why an answer is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasskeyRefusal {
    /// Wrong in some way.
    Wrong,
    /// The signature counter went backwards: there may be two of it (WebAuthn section 6.1.1).
    Cloned,
}

/// Stores a challenge for the answer that comes with `owner`.
pub(crate) async fn put_challenge(
    repositories: &mut dyn IdentityRepositories,
    secrets: &dyn FactorSecrets,
    purpose: PasskeyPurpose,
    owner: &[u8],
    state: String,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let hash = secrets.digest(purpose.as_str(), owner);
    let challenge = PasskeyChallenge { hash, purpose, state, expires_at: now + CHALLENGE };
    Ok(repositories.passkeys().put_challenge(&challenge).await?)
}

/// Uses the challenge up that was stored for `owner`, whatever the result of the answer.
pub(crate) async fn take_challenge(
    repositories: &mut dyn IdentityRepositories,
    secrets: &dyn FactorSecrets,
    purpose: PasskeyPurpose,
    owner: &[u8],
    now: Timestamp,
) -> Result<Option<String>, IdentityError> {
    let hash = secrets.digest(purpose.as_str(), owner);
    Ok(repositories.passkeys().take_challenge(hash, purpose, now).await?)
}

impl Sessions<'_> {
    /// The user whose passkey answered a challenge, with their row locked; `Err` inside names the user to record the failure for.
    /// With `expected`, only that user's passkey is accepted; without, the authenticator has to send the user.
    pub(crate) async fn prove_passkey(
        &mut self,
        state: &str,
        credential: &Value,
        expected: Option<UserId>,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<Result<UserId, Option<UserId>>, IdentityError> {
        let Some(assertion) = ceremonies.read_assertion(credential) else { return Ok(Err(expected)) };
        let owner = self.repositories.passkeys().by_credential(&assertion.credential_id).await?;
        let Some(owner) = owner.map(|passkey| passkey.user) else { return Ok(Err(expected)) };
        if assertion.user.or(expected) != Some(owner) || expected.is_some_and(|user| user != owner) {
            return Ok(Err(expected));
        }
        // Answers of one account are checked one after the other, each against the counter that the previous one left.
        self.repositories.users().lock(owner).await?;
        let passkey = self.repositories.passkeys().by_credential(&assertion.credential_id).await?;
        let Some(passkey) = passkey.filter(|passkey| passkey.user == owner) else { return Ok(Err(expected)) };
        match ceremonies.finish_assertion(state, credential, &passkey) {
            Ok(data) => {
                let used = Passkey { data, last_used_at: Some(self.env.now()), ..passkey };
                self.repositories.passkeys().update(&used).await?;
                Ok(Ok(owner))
            }
            Err(PasskeyRefusal::Wrong) => Ok(Err(Some(owner))),
            Err(PasskeyRefusal::Cloned) => {
                self.note_about(owner, &events::SESSION_PASSKEY_CLONED).await?;
                Ok(Err(Some(owner)))
            }
        }
    }

    /// Options to sign in without a password, and the token that the answer has to come with.
    pub async fn passkey_sign_in_options(
        &mut self,
        secrets: &dyn FactorSecrets,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<(String, Value), IdentityError> {
        let (token, now) = (self.env.secret(), self.env.now());
        let Ceremony { options, state } = ceremonies.begin_assertion(&[])?;
        let purpose = PasskeyPurpose::SignIn;
        put_challenge(self.repositories, secrets, purpose, token.as_bytes(), state, now).await?;
        Ok((token, options))
    }

    /// Signs in with a passkey alone. An unknown passkey, a wrong answer and a used challenge get the same error. Errors:
    /// [`IdentityError::AccountSuspended`], reported only to a caller who has the passkey.
    pub async fn passkey_sign_in(
        &mut self,
        step: &PasskeySignIn,
        secrets: &dyn FactorSecrets,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<FactorOutcome, IdentityError> {
        let (purpose, owner) = (PasskeyPurpose::SignIn, step.challenge_token.as_bytes());
        let state = take_challenge(self.repositories, secrets, purpose, owner, self.env.now()).await?;
        let Some(state) = state else { return Ok(FactorOutcome::Refused(IdentityError::InvalidPasskey)) };
        match self.prove_passkey(&state, &step.credential, None, ceremonies).await? {
            Ok(user) => {
                let user = self.repositories.users().find(user).await?;
                let Some(user) = user else { return Err(IdentityError::InvalidPasskey) };
                Ok(FactorOutcome::Complete(Box::new(self.complete(user).await?)))
            }
            Err(Some(user)) => self.refuse(user, IdentityError::InvalidPasskey).await,
            Err(None) => Ok(FactorOutcome::Refused(IdentityError::InvalidPasskey)),
        }
    }

    /// Options for the second step of a sign-in. Errors: [`IdentityError::InvalidMfaToken`], [`IdentityError::NoPasskey`].
    pub async fn passkey_options(
        &mut self,
        token: &str,
        secrets: &dyn FactorSecrets,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<Value, IdentityError> {
        let id = secrets.read_pending_token(token).ok_or(IdentityError::InvalidMfaToken)?;
        let pending = self.repositories.pending_sign_ins().find(id).await?;
        let now = self.env.now();
        let good = |pending: &PendingSignIn| pending.expires_at > now && pending.tries < TRIES;
        let pending = pending.filter(good).ok_or(IdentityError::InvalidMfaToken)?;
        let passkeys = self.repositories.passkeys().list(pending.user).await?;
        if passkeys.is_empty() {
            return Err(IdentityError::NoPasskey);
        }
        let Ceremony { options, state } = ceremonies.begin_assertion(&passkeys)?;
        let purpose = PasskeyPurpose::SecondFactor;
        put_challenge(self.repositories, secrets, purpose, id.uuid().as_bytes(), state, now).await?;
        Ok(options)
    }

    /// Continues a sign-in by a passkey. Errors: [`IdentityError::InvalidMfaToken`].
    pub async fn verify_passkey(
        &mut self,
        step: &VerifyPasskey,
        secrets: &dyn FactorSecrets,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<FactorOutcome, IdentityError> {
        let (pending, user) = self.try_second_factor(&step.mfa_token, secrets).await?;
        let (purpose, owner) = (PasskeyPurpose::SecondFactor, pending.uuid());
        let now = self.env.now();
        let state = take_challenge(self.repositories, secrets, purpose, owner.as_bytes(), now).await?;
        let proven = match state {
            Some(state) => {
                self.prove_passkey(&state, &step.credential, Some(user.id), ceremonies).await?.is_ok()
            }
            None => false,
        };
        match proven {
            true => self.finish(pending, user).await,
            false => self.refuse(user.id, IdentityError::InvalidPasskey).await,
        }
    }
}

/// Result of adding a passkey. Both have to be committed.
#[derive(Debug)]
pub enum Registered {
    /// Added; with the first second factor come recovery codes.
    Added(PasskeyView, Option<crate::recovery_code::RecoveryCodes>),
    /// Not what was requested. The challenge is used up; the caller gets this error.
    Refused(IdentityError),
}

impl Accounts<'_> {
    /// Options to make a passkey. Errors: those of [`Accounts::require_fresh_verified`], [`IdentityError::TooManyPasskeys`].
    pub async fn begin_passkey(
        &mut self,
        secrets: &dyn FactorSecrets,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<Value, IdentityError> {
        let user = self.require_fresh_verified().await?;
        let (_, session) = self.scope.require_not_impersonated()?;
        let known = self.repositories.passkeys().list(user.id).await?;
        if known.len() >= MOST_PASSKEYS {
            return Err(IdentityError::TooManyPasskeys);
        }
        let Ceremony { options, state } = ceremonies.begin_registration(&user, &known)?;
        let (purpose, now) = (PasskeyPurpose::Registration, self.env.now());
        put_challenge(self.repositories, secrets, purpose, session.uuid().as_bytes(), state, now).await?;
        Ok(options)
    }

    /// Adds the passkey that an authenticator has made with the options that this session requested last. Errors:
    /// [`IdentityError::ChallengeExpired`], [`IdentityError::TooManyPasskeys`].
    pub async fn add_passkey(
        &mut self,
        step: &AddPasskey,
        secrets: &dyn FactorSecrets,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<Registered, IdentityError> {
        // The lock also keeps two first factors at once from both making recovery codes.
        let (user, session) = self.require_holder().await?;
        let (user, owner) = (user.id, session.id.uuid());
        let (purpose, now) = (PasskeyPurpose::Registration, self.env.now());
        let state = take_challenge(self.repositories, secrets, purpose, owner.as_bytes(), now).await?;
        let state = state.ok_or(IdentityError::ChallengeExpired)?;
        let Some(made) = ceremonies.finish_registration(&state, &step.credential) else {
            let mut violations = Violations::default();
            violations.add("credential", "wrong_credential", "This does not answer the options.");
            let errors = violations.into_result().err().unwrap_or_default();
            return Ok(Registered::Refused(IdentityError::Invalid(errors)));
        };
        if self.repositories.passkeys().list(user).await?.len() >= MOST_PASSKEYS {
            return Err(IdentityError::TooManyPasskeys);
        }
        let first = !self.has_second_factor(user).await?;
        let passkey = Passkey {
            id: self.env.new_id(),
            user,
            name: step.name.clone(),
            credential_id: made.credential_id,
            data: made.data,
            created_at: now,
            last_used_at: None,
        };
        self.repositories.passkeys().insert(&passkey).await?;
        let view = PasskeyView::new(&passkey);
        let event = Event::new(self.env, self.scope, &events::USER_PASSKEY_ADDED, user.uuid()).after(&view);
        self.append_about(user, event).await?;
        let codes = if first { Some(self.make_recovery_codes(user, secrets).await?) } else { None };
        Ok(Registered::Added(view, codes))
    }

    /// The caller's own passkeys, oldest first.
    pub async fn passkeys(&mut self) -> Result<Vec<PasskeyView>, IdentityError> {
        let (user, _) = self.scope.require_user()?;
        Ok(self.repositories.passkeys().list(user).await?.iter().map(PasskeyView::new).collect())
    }

    /// Renames one of the caller's own passkeys. Errors: [`IdentityError::NotFound`], also for another user's.
    pub async fn rename_passkey(
        &mut self,
        id: PasskeyId,
        name: String,
    ) -> Result<PasskeyView, IdentityError> {
        let (user, _) = self.scope.require_not_impersonated()?;
        let before = self.repositories.passkeys().find(user, id).await?;
        let before = before.ok_or(IdentityError::NotFound("passkey"))?;
        let after = Passkey { name, ..before.clone() };
        self.repositories.passkeys().update(&after).await?;
        let view = PasskeyView::new(&after);
        let event = Event::new(self.env, self.scope, &events::USER_PASSKEY_UPDATED, user.uuid())
            .before(&PasskeyView::new(&before))
            .after(&view);
        self.append_about(user, event).await?;
        Ok(view)
    }

    /// Removes one of the caller's own passkeys. `issuers` are those that one can sign in with: a link to another one is no
    /// credential. Errors: [`IdentityError::ReauthenticationRequired`]; [`IdentityError::NotFound`], also for another user's;
    /// [`IdentityError::LastSignInMethod`].
    pub async fn remove_passkey(&mut self, id: PasskeyId, issuers: &[String]) -> Result<(), IdentityError> {
        let user = self.require_fresh().await?.id;
        self.repositories.users().lock(user).await?;
        let passkey = self.repositories.passkeys().find(user, id).await?;
        let passkey = passkey.ok_or(IdentityError::NotFound("passkey"))?;
        let others = self.repositories.passkeys().list(user).await?.len() > 1;
        if !others && !self.signs_in_without_passkey(user, issuers).await? {
            return Err(IdentityError::LastSignInMethod);
        }
        self.repositories.passkeys().delete(user, id).await?;
        let view = PasskeyView::new(&passkey);
        let event =
            Event::new(self.env, self.scope, &events::USER_PASSKEY_REMOVED, user.uuid()).before(&view);
        self.append_about(user, event).await?;
        self.forget_recovery_codes_of_nothing(user).await
    }

    /// Whether the user has a password, or an account at a provider that signs in to this one.
    async fn signs_in_without_passkey(
        &mut self,
        user: UserId,
        issuers: &[String],
    ) -> Result<bool, IdentityError> {
        let credential = self.repositories.users().credential(user).await?;
        if credential.is_some_and(|credential| credential.password.is_some()) {
            return Ok(true);
        }
        let links = self.repositories.external_identities().list(user).await?;
        Ok(links.iter().any(|link| issuers.contains(&link.issuer)))
    }
}
