//! Setting a new password: by a link in a message, or with the current one.

use portico_kernel::{Denied, Event, UserId, Violations};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    Accounts, IdentityError,
    credentials::Extent,
    device, events,
    mail::{AccountMail, Recipient},
    password::PasswordRule,
    ports::{Credential, PasswordHash, PasswordHasher, TokenIssuer},
    session::EndReason,
    token::TokenPurpose,
    user::{EmailAddress, User, UserStatus},
    verification::{valid_address, valid_token},
};

/// Requests a link to set a new password.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"email": "ada@example.com"})))]
pub struct ForgotPassword {
    /// Address of the account.
    #[cfg_attr(feature = "openapi", schema(required, format = "email", max_length = 254))]
    pub email: String,
}

/// Input from the page behind the link of a reset message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"token": "VGhlIHRva2VuIG9mIHRoZSBsaW5r", "password": "N3w-horse-battery"})))]
pub struct ResetPassword {
    /// The `token` of the link.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 500))]
    pub token: String,
    /// The new password; see the password rule.
    #[serde(alias = "newPassword", alias = "new_password")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, format = "password", default = ""))]
    pub password: SecretString,
}

/// A change of the own password.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"currentPassword": "Corr3ct-horse", "newPassword": "N3w-horse-battery"})))]
pub struct ChangePassword {
    /// The password so far.
    #[serde(alias = "current_password")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, format = "password", default = ""))]
    pub current_password: SecretString,
    /// The new password; see the password rule.
    #[serde(alias = "new_password")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, format = "password", default = ""))]
    pub new_password: SecretString,
}

/// A reset whose password keeps the rule.
#[derive(Debug)]
pub struct ValidReset {
    /// The token of the link.
    pub token: String,
    /// To be hashed.
    pub password: SecretString,
    /// To be checked again once the user is known.
    pub rule: PasswordRule,
}

/// A change whose new password keeps the rule.
#[derive(Debug)]
pub struct ValidChange {
    /// To be verified.
    pub current: SecretString,
    /// To be hashed.
    pub new: SecretString,
    /// To be checked again with the account.
    pub rule: PasswordRule,
}

impl ForgotPassword {
    /// The address. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<EmailAddress, IdentityError> {
        valid_address(&self.email)
    }
}

impl ResetPassword {
    /// Checks token and password, as far as it can be done without the account. Errors: [`IdentityError::Invalid`] with all broken
    /// rules; [`IdentityError::Overloaded`].
    pub async fn validate(self, rule: &PasswordRule) -> Result<ValidReset, IdentityError> {
        let mut errors = rule.check("password", &self.password, &[]).await?;
        let token = match valid_token(&self.token) {
            Err(IdentityError::Invalid(more)) => {
                errors.splice(0..0, more);
                String::new()
            }
            other => other?,
        };
        if !errors.is_empty() {
            return Err(IdentityError::Invalid(errors));
        }
        Ok(ValidReset { token, password: self.password, rule: rule.clone() })
    }
}

impl ChangePassword {
    /// Checks both passwords, as far as it can be done without the account. Errors: [`IdentityError::Invalid`] with all broken rules;
    /// [`IdentityError::Overloaded`].
    pub async fn validate(self, rule: &PasswordRule) -> Result<ValidChange, IdentityError> {
        let mut violations = Violations::default();
        let current = self.current_password.expose_secret();
        violations.check(!current.is_empty(), "currentPassword", "required", "This field is required.");
        violations.extend(rule.check("newPassword", &self.new_password, &[]).await?);
        violations.check(
            current.is_empty() || current != self.new_password.expose_secret(),
            "newPassword",
            "unchanged",
            "Choose a password that is not the current one.",
        );
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(ValidChange { current: self.current_password, new: self.new_password, rule: rule.clone() })
    }
}

impl ValidReset {
    /// Checks against the account: the password must not be derived from it. Waits as hashing does: call it outside of a unit of work.
    /// Errors: [`IdentityError::Invalid`], [`IdentityError::Overloaded`].
    pub async fn verify(&self, user: &User) -> Result<(), IdentityError> {
        match self.rule.check_for("password", &self.password, user).await? {
            Some(error) => Err(IdentityError::Invalid(vec![error])),
            None => Ok(()),
        }
    }
}

impl ValidChange {
    /// Checks against the account: the current password must be right, the new one must not be derived from the account. Takes
    /// long: call it outside of a unit of work. Errors: [`IdentityError::Invalid`], [`IdentityError::WrongPassword`].
    pub async fn verify(
        &self,
        hasher: &dyn PasswordHasher,
        credential: &Credential,
    ) -> Result<(), IdentityError> {
        let right = hasher.verify(self.current.clone(), credential.password.clone()).await?;
        let mut violations = Violations::default();
        violations.check(right, "currentPassword", "wrong_password", "This is not your current password.");
        violations.extend(self.rule.check_for("newPassword", &self.new, &credential.user).await?);
        violations.into_result().map_err(if right {
            IdentityError::Invalid
        } else {
            IdentityError::WrongPassword
        })
    }
}

impl Accounts<'_> {
    /// Decides which account gets a reset link, and makes the token: the account that has proven the address, else the newest
    /// that names it. For the background job: the request that causes it must not depend on what is known of the address.
    pub async fn issue_password_reset(
        &mut self,
        email: &EmailAddress,
        issuer: &dyn TokenIssuer,
    ) -> Result<Option<(Recipient, AccountMail)>, IdentityError> {
        let accounts = self.repositories.users().by_email(email).await?;
        let Some(account) = accounts.into_iter().next() else { return Ok(None) };
        let user = account.user;
        if user.status != UserStatus::Active {
            return Ok(None);
        }
        let token = self.issue_token(&user, TokenPurpose::PasswordReset, issuer).await?;
        let event = Event::new(self.env, self.scope, &events::USER_PASSWORD_RESET_REQUESTED, user.id.uuid());
        self.append_about(user.id, event).await?;
        Ok(Some((Recipient::for_user(&user), AccountMail::PasswordReset { token })))
    }

    /// Makes the link by which the owner of an account that was made for them sets its first password. `None` where the address is proven
    /// already, or the account is not in use.
    pub async fn issue_first_password(
        &mut self,
        user: UserId,
        issuer: &dyn TokenIssuer,
    ) -> Result<Option<(Recipient, String)>, IdentityError> {
        let user = self.repositories.users().find(user).await?;
        let user = user.filter(|user| user.status == UserStatus::Active && !user.email_verified);
        let Some(user) = user else { return Ok(None) };
        let token = self.issue_token(&user, TokenPurpose::PasswordReset, issuer).await?;
        let event = Event::new(self.env, self.scope, &events::USER_PASSWORD_RESET_REQUESTED, user.id.uuid());
        self.append_about(user.id, event).await?;
        Ok(Some((Recipient::for_user(&user), token)))
    }

    /// The account whose password a link resets. Uses nothing up. Errors: [`IdentityError::InvalidToken`].
    pub async fn account_of_reset(
        &mut self,
        reset: &ValidReset,
        issuer: &dyn TokenIssuer,
    ) -> Result<User, IdentityError> {
        let (hash, now) = (issuer.digest(&reset.token), self.env.now());
        let id = self.repositories.one_time_tokens().find(hash, TokenPurpose::PasswordReset, now).await?;
        self.resettable(id.ok_or(IdentityError::InvalidToken)?).await
    }

    async fn resettable(&mut self, id: UserId) -> Result<User, IdentityError> {
        let user = self.repositories.users().find(id).await?;
        user.filter(|user| user.status == UserStatus::Active).ok_or(IdentityError::InvalidToken)
    }

    /// Uses a reset link up after [`ValidReset::verify`] passed: sets the password, revokes what was begun with the old one, and
    /// takes the address as verified, because the link was read there. Where it was not verified until then, a stranger may have
    /// made the account, and all its other credentials are revoked too. Where it was, second factors, passkeys and linked accounts stay: a mailbox alone must
    /// not replace them. Errors: [`IdentityError::InvalidToken`].
    pub async fn reset_password(
        &mut self,
        reset: &ValidReset,
        password: PasswordHash,
        issuer: &dyn TokenIssuer,
    ) -> Result<User, IdentityError> {
        let id = self.use_link(&reset.token, TokenPurpose::PasswordReset, issuer).await?;
        let user = self.resettable(id).await?;
        let extent = match user.email_verified {
            true => Extent::Begun { except: None },
            false => Extent::Everything,
        };
        self.revoke(id, extent, EndReason::PasswordReset).await?;
        self.repositories.users().set_password(id, Some(password)).await?;
        let event = Event::new(self.env, self.scope, &events::USER_PASSWORD_RESET, id.uuid()).by_user(id);
        self.append_about(id, event).await?;
        // Only the reader of the link is now taken for the owner: an attack on the account must not keep them from signing in,
        // and users of the old password count as strangers.
        self.repositories.known_devices().forget_user(id).await?;
        device::meet(self.repositories, self.env, &self.scope.request, id).await?;
        if user.email_verified || self.has_other_owner(&user).await? {
            return Ok(user);
        }
        self.mark_verified(user).await
    }

    async fn has_other_owner(&mut self, user: &User) -> Result<bool, IdentityError> {
        let accounts = self.repositories.users().by_email(&user.email).await?;
        Ok(accounts.iter().any(|account| account.user.email_verified && account.user.id != user.id))
    }

    /// The caller's own credential, to verify the current password against. Errors: [`Denied::Impersonated`].
    pub async fn own_credential(&mut self) -> Result<Credential, IdentityError> {
        let (id, _) = self.scope.require_not_impersonated()?;
        self.repositories.users().credential(id).await?.ok_or(IdentityError::NotFound("user"))
    }

    /// Sets the caller's password after [`ValidChange::verify`] passed for `verified`, and ends their other sessions.
    /// Errors: [`IdentityError::InvalidCredentials`] when the password was changed meanwhile.
    pub async fn change_password(
        &mut self,
        verified: &Credential,
        password: PasswordHash,
    ) -> Result<(), IdentityError> {
        let (id, session) = self.scope.require_not_impersonated()?;
        let current = self.own_credential().await?;
        if current.user.id != verified.user.id || current.password != verified.password {
            return Err(IdentityError::InvalidCredentials);
        }
        self.repositories.users().set_password(id, Some(password)).await?;
        // Now that the row is locked: a reset that was faster has ended this session, and its password stays.
        let own = self.repositories.sessions().find(session).await?;
        if own.is_none_or(|own| own.ended_at.is_some()) {
            return Err(Denied::Unauthenticated.into());
        }
        self.revoke_begun(id, Some(session), EndReason::PasswordChanged).await?;
        let event = Event::new(self.env, self.scope, &events::USER_PASSWORD_CHANGED, id.uuid());
        self.append_about(id, event).await
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
