//! Proving one's identity again, before changes by which a stolen session could take the account over.
//!
//! With a passkey alone, or with the password and, where the account has one, the second factor. A user with neither signs in
//! again at their provider: a new session is fresh.

use portico_kernel::{Denied, Event, FieldError, RuleMessage, UserId, Violations};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Accounts, IdentityError, Sessions, events,
    passkey::{Ceremony, PasskeyPurpose, put_challenge, take_challenge},
    pending_sign_in::FactorMethod,
    ports::{Credential, FactorSecrets, PasskeyCeremonies, PasswordHasher},
    user::UserStatus,
};

/// No account has a longer password.
const LONGEST_PASSWORD: usize = 4096;

/// Proves the identity of the caller again.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"password": "Corr3ct-horse", "code": "492039"})))]
pub struct Reauthenticate {
    /// The password.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "password", max_length = 4096))]
    pub password: Option<SecretString>,
    /// With the password, where the account has a second factor: a code of the authenticator app, or a recovery code.
    #[cfg_attr(feature = "openapi", schema(max_length = 64))]
    pub code: Option<String>,
    /// In place of both: the result of `navigator.credentials.get`, as JSON (`toJSON()`).
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub credential: Option<Value>,
}

/// A proof whose form is valid.
#[derive(Debug)]
pub enum Proof {
    /// Password and, optionally, a code.
    Password {
        /// To be verified.
        password: SecretString,
        /// Of the second factor.
        code: Option<String>,
    },
    /// A passkey.
    Passkey(Value),
}

/// Result of a proof. Both have to be committed.
#[derive(Debug)]
pub enum Reauthenticated {
    /// The session is fresh.
    Fresh,
    /// Wrong. It is recorded; the caller gets this error.
    Refused(IdentityError),
}

impl Reauthenticate {
    /// Checks the form only. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<Proof, IdentityError> {
        if let Some(credential) = self.credential.filter(|credential| !credential.is_null()) {
            return Ok(Proof::Passkey(credential));
        }
        let mut violations = Violations::default();
        let password = self.password.unwrap_or_default();
        let length = password.expose_secret().len();
        violations.check(length > 0, "password", "required", "This field is required.");
        violations.check(
            length <= LONGEST_PASSWORD,
            "password",
            "too_long",
            RuleMessage::new("This is too long.").max(LONGEST_PASSWORD),
        );
        violations.optional_text("code", self.code.as_deref(), 64);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(Proof::Password { password, code: self.code.filter(|code| !code.trim().is_empty()) })
    }
}

/// Whether the password is that of the account. Takes long: call it outside of a unit of work.
pub async fn verify(
    hasher: &dyn PasswordHasher,
    password: &SecretString,
    credential: &Credential,
) -> Result<bool, IdentityError> {
    hasher.verify(password.clone(), credential.password.clone()).await
}

fn wrong(field: &'static str, code: &'static str, message: &'static str) -> IdentityError {
    IdentityError::Invalid(vec![FieldError::new(field, code, message)])
}

impl Accounts<'_> {
    /// Options to prove the caller's identity with a passkey. Errors: [`Denied::Impersonated`], [`IdentityError::NoPasskey`].
    pub async fn reauthentication_options(
        &mut self,
        secrets: &dyn FactorSecrets,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<Value, IdentityError> {
        let (user, session) = self.scope.require_not_impersonated()?;
        let passkeys = self.repositories.passkeys().list(user).await?;
        if passkeys.is_empty() {
            return Err(IdentityError::NoPasskey);
        }
        let Ceremony { options, state } = ceremonies.begin_assertion(&passkeys)?;
        let (purpose, now) = (PasskeyPurpose::Reauthentication, self.env.now());
        put_challenge(self.repositories, secrets, purpose, session.uuid().as_bytes(), state, now).await?;
        Ok(options)
    }
}

impl Sessions<'_> {
    /// Makes the caller's session fresh by the password, which was right for `verified` before this unit of work (`None`: it was
    /// wrong), and by the second factor, where the account has one. Errors: [`Denied::Impersonated`];
    /// [`IdentityError::Invalid`] when the code is missing.
    pub async fn reauthenticate_by_password(
        &mut self,
        verified: Option<&Credential>,
        code: Option<&str>,
        secrets: &dyn FactorSecrets,
    ) -> Result<Reauthenticated, IdentityError> {
        let (user, _) = self.scope.require_not_impersonated()?;
        // A password that is set at the same moment is either seen below, or ends this session afterwards.
        let current = self.repositories.users().lock(user).await?.ok_or(Denied::Unauthenticated)?;
        let right = verified.is_some_and(|verified| {
            verified.user.id == user && verified.password.is_some() && verified.password == current.password
        });
        if !right {
            let error = wrong("password", "wrong_password", "This is not your password.");
            return self.refuse_reauthentication(user, error).await;
        }
        if !self.second_factors_of(user).await?.is_empty() {
            let Some(code) = code else {
                return Err(wrong("code", "required", "This account has a second factor: send a code, too."));
            };
            match self.use_code(user, code, secrets).await? {
                Some(FactorMethod::RecoveryCode) => self.note_recovery_code(user).await?,
                Some(_) => {}
                None => {
                    let error = wrong("code", "wrong_code", "This code is wrong, or was used before.");
                    return self.refuse_reauthentication(user, error).await;
                }
            }
        }
        self.make_fresh().await
    }

    /// Makes the caller's session fresh by a passkey, which counts as both factors. Errors: [`Denied::Impersonated`];
    /// [`IdentityError::ChallengeExpired`].
    pub async fn reauthenticate_by_passkey(
        &mut self,
        credential: &Value,
        secrets: &dyn FactorSecrets,
        ceremonies: &dyn PasskeyCeremonies,
    ) -> Result<Reauthenticated, IdentityError> {
        let (user, session) = self.scope.require_not_impersonated()?;
        let (purpose, owner, now) = (PasskeyPurpose::Reauthentication, session.uuid(), self.env.now());
        let state = take_challenge(self.repositories, secrets, purpose, owner.as_bytes(), now).await?;
        let state = state.ok_or(IdentityError::ChallengeExpired)?;
        if self.prove_passkey(&state, credential, Some(user), ceremonies).await?.is_err() {
            let error = wrong("credential", "wrong_credential", "This does not answer the options.");
            return self.refuse_reauthentication(user, error).await;
        }
        self.make_fresh().await
    }

    async fn make_fresh(&mut self) -> Result<Reauthenticated, IdentityError> {
        let (user, session) = self.scope.require_not_impersonated()?;
        let active = self.repositories.users().find(user).await?;
        let active = active.is_some_and(|user| user.status == UserStatus::Active);
        if !active || !self.repositories.sessions().authenticate(user, session, self.env.now()).await? {
            return Err(Denied::Unauthenticated.into());
        }
        let tenant = crate::session::audit_tenant(self.repositories, user).await?;
        let event = Event::new(self.env, self.scope, &events::SESSION_REAUTHENTICATED, session.uuid());
        self.repositories.events().append(event.in_tenant(tenant)).await?;
        Ok(Reauthenticated::Fresh)
    }

    async fn refuse_reauthentication(
        &mut self,
        user: UserId,
        error: IdentityError,
    ) -> Result<Reauthenticated, IdentityError> {
        self.note_about(user, &events::SESSION_REAUTHENTICATION_FAILED).await?;
        Ok(Reauthenticated::Refused(error))
    }
}
