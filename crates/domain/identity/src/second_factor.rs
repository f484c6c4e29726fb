//! Second factors: the second step of a sign-in, and the factors that a user has.

use portico_kernel::{Event, EventDeclaration, Permission, Resource, Timestamp, UserId, Violations};
use serde::{Deserialize, Serialize};

use crate::{
    Accounts, IdentityError, Sessions, events,
    passkey::PasskeyView,
    pending_sign_in::{FactorMethod, PENDING, PendingSignIn, PendingSignInId, TRIES},
    ports::{FactorSecrets, IdentityRepositories},
    session::{FactorOutcome, RefreshTokenIn, SecondFactorNeeded, audit_tenant},
    user::{User, UserStatus},
};

/// The second factors of an account, as their owner sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecondFactorsView {
    /// The authenticator app.
    pub totp: Option<TotpView>,
    /// Passkeys, oldest first.
    pub passkeys: Vec<PasskeyView>,
    /// How many recovery codes are left.
    pub recovery_codes_left: u64,
}

/// An authenticator app, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TotpView {
    /// Since when it is required.
    pub confirmed_at: Timestamp,
}

/// The second step of a sign-in, with a code.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"mfaToken": "AZOt…", "code": "492039"})))]
pub struct VerifyCode {
    /// The `mfaToken` of the first step's answer.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 200))]
    pub mfa_token: String,
    /// A code of the authenticator app, or a recovery code.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 64))]
    pub code: String,
    /// Where the refresh token goes: `token` (the default) or `cookie`.
    pub session: Option<RefreshTokenIn>,
}

impl VerifyCode {
    /// Checks the form only. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<Self, IdentityError> {
        let mut violations = Violations::default();
        violations.text("mfaToken", &self.mfa_token, 1, 200);
        violations.text("code", &self.code, 1, 64);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self)
    }
}

/// How the second factor of a user can be proven; empty without one.
async fn methods_of(
    repositories: &mut dyn IdentityRepositories,
    user: UserId,
) -> Result<Vec<FactorMethod>, IdentityError> {
    let stored = repositories.second_factors().stored(user).await?;
    if !stored.totp && !stored.passkeys {
        return Ok(Vec::new());
    }
    let all = [
        (stored.totp, FactorMethod::Totp),
        (stored.recovery_codes, FactorMethod::RecoveryCode),
        (stored.passkeys, FactorMethod::Passkey),
    ];
    Ok(all.into_iter().filter(|(there, _)| *there).map(|(_, method)| method).collect())
}

impl Sessions<'_> {
    /// How the second factor of a user can be proven; empty without one.
    pub(crate) async fn second_factors_of(
        &mut self,
        user: UserId,
    ) -> Result<Vec<FactorMethod>, IdentityError> {
        methods_of(self.repositories, user).await
    }

    /// Stores that a second factor is needed, where the user has one. The user's row is locked.
    pub(crate) async fn ask_for_second_factor(
        &mut self,
        user: UserId,
    ) -> Result<Option<SecondFactorNeeded>, IdentityError> {
        let methods = methods_of(self.repositories, user).await?;
        if methods.is_empty() {
            return Ok(None);
        }
        let now = self.env.now();
        let id = self.env.new_id();
        let pending = PendingSignIn { id, user, tries: 0, created_at: now, expires_at: now + PENDING };
        self.repositories.pending_sign_ins().insert(&pending).await?;
        Ok(Some(SecondFactorNeeded { pending: id, methods }))
    }

    /// Continues a sign-in by a code of the authenticator app or a recovery code. Errors: [`IdentityError::InvalidMfaToken`],
    /// [`IdentityError::Throttled`].
    pub async fn verify_code(
        &mut self,
        step: &VerifyCode,
        secrets: &dyn FactorSecrets,
    ) -> Result<FactorOutcome, IdentityError> {
        let (pending, user) = self.try_second_factor(&step.mfa_token, secrets).await?;
        match self.use_code(user.id, &step.code, secrets).await? {
            Some(method) => {
                if method == FactorMethod::RecoveryCode {
                    self.note_recovery_code(user.id).await?;
                }
                self.finish(pending, user).await
            }
            None => self.refuse(user.id, IdentityError::InvalidCode).await,
        }
    }

    /// The user of a sign-in that waits for its second factor, with the try counted. Locks the user's row first: then a new
    /// password either is seen here (it has deleted the row), or waits and ends the session that begins here; and all tries for
    /// one account are made one after the other.
    pub(crate) async fn try_second_factor(
        &mut self,
        token: &str,
        secrets: &dyn FactorSecrets,
    ) -> Result<(PendingSignInId, User), IdentityError> {
        let id = secrets.read_pending_token(token).ok_or(IdentityError::InvalidMfaToken)?;
        let pending = self.repositories.pending_sign_ins().find(id).await?;
        let user = pending.ok_or(IdentityError::InvalidMfaToken)?.user;
        self.repositories.users().lock(user).await?;
        if !self.repositories.pending_sign_ins().count_try(id, TRIES, self.env.now()).await? {
            return Err(IdentityError::InvalidMfaToken);
        }
        let user = self.repositories.users().find(user).await?;
        let user = user.filter(|user| user.status == UserStatus::Active);
        Ok((id, user.ok_or(IdentityError::InvalidMfaToken)?))
    }

    /// Begins the session of a sign-in whose second factor was right.
    pub(crate) async fn finish(
        &mut self,
        pending: PendingSignInId,
        user: User,
    ) -> Result<FactorOutcome, IdentityError> {
        if !self.repositories.pending_sign_ins().delete(pending).await? {
            return Err(IdentityError::InvalidMfaToken);
        }
        Ok(FactorOutcome::Complete(Box::new(self.complete(user).await?)))
    }

    /// Records a wrong second factor.
    pub(crate) async fn refuse(
        &mut self,
        user: UserId,
        error: IdentityError,
    ) -> Result<FactorOutcome, IdentityError> {
        self.note_about(user, &events::SESSION_SECOND_FACTOR_FAILED).await?;
        Ok(FactorOutcome::Refused(error))
    }

    pub(crate) async fn note_recovery_code(&mut self, user: UserId) -> Result<(), IdentityError> {
        let left = self.repositories.second_factors().recovery_codes_left(user).await?;
        let event = Event::new(self.env, self.scope, &events::USER_RECOVERY_CODE_USED, user.uuid())
            .by_user(user)
            .after(&serde_json::json!({"recoveryCodesLeft": left}));
        let tenant = audit_tenant(self.repositories, user).await?;
        Ok(self.repositories.events().append(event.in_tenant(tenant)).await?)
    }

    /// Appends an event about signing in that has no session: its resource is the user.
    pub(crate) async fn note_about(
        &mut self,
        user: UserId,
        kind: &'static EventDeclaration,
    ) -> Result<(), IdentityError> {
        let tenant = audit_tenant(self.repositories, user).await?;
        let mut event = Event::new(self.env, self.scope, kind, user.uuid()).in_tenant(tenant);
        event.resource = Resource { kind: "user".into(), id: user.uuid() };
        Ok(self.repositories.events().append(event).await?)
    }
}

impl Accounts<'_> {
    /// The caller's own second factors.
    pub async fn second_factors(&mut self) -> Result<SecondFactorsView, IdentityError> {
        let (user, _) = self.scope.require_user()?;
        let totp = self.repositories.second_factors().totp(user).await?;
        let passkeys = self.repositories.passkeys().list(user).await?;
        Ok(SecondFactorsView {
            totp: totp.and_then(|totp| totp.confirmed_at).map(|confirmed_at| TotpView { confirmed_at }),
            passkeys: passkeys.iter().map(PasskeyView::new).collect(),
            recovery_codes_left: self.repositories.second_factors().recovery_codes_left(user).await?,
        })
    }

    /// Whether a second factor is required when the user signs in.
    pub(crate) async fn has_second_factor(&mut self, user: UserId) -> Result<bool, IdentityError> {
        Ok(!methods_of(self.repositories, user).await?.is_empty())
    }

    /// Removes every second factor of a user who has lost them all and has proven their identity to the operator. Without any,
    /// nothing happens. Errors: [`IdentityError::NotFound`] for an account that is not there.
    pub async fn reset_second_factors(&mut self, user: UserId) -> Result<(), IdentityError> {
        self.scope.require_platform(Permission::PlatformUsers)?;
        self.scope.forbid_impersonation()?;
        let found = self.repositories.users().lock(user).await?;
        found
            .filter(|found| found.user.status != UserStatus::Deleted)
            .ok_or(IdentityError::NotFound("user"))?;
        let totp = self.repositories.second_factors().delete_totp(user).await?;
        let passkeys = self.repositories.passkeys().delete_all(user).await?;
        self.repositories.second_factors().replace_recovery_codes(user, &[], self.env.now()).await?;
        self.repositories.pending_sign_ins().delete_all(user).await?;
        if totp || passkeys > 0 {
            let event = Event::new(self.env, self.scope, &events::USER_SECOND_FACTOR_RESET, user.uuid())
                .before(&serde_json::json!({"totp": totp, "passkeys": passkeys}));
            self.append_about(user, event).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "second_factor_tests.rs"]
mod tests;
