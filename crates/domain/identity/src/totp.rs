//! Codes of an authenticator app (RFC 6238: SHA-1, six digits, thirty seconds).

use portico_kernel::{Event, Timestamp, UserId, Violations};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{Accounts, IdentityError, events, ports::FactorSecrets, recovery_code::RecoveryCodes};

/// How long a secret may wait to be confirmed.
const PENDING: Duration = Duration::minutes(15);

/// Length of a secret: that of the hash, as RFC 4226 section 4 recommends.
const SECRET_BYTES: usize = 20;

/// An authenticator app of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Totp {
    /// The user.
    pub user: UserId,
    /// The secret, encrypted for the store.
    pub sealed: Vec<u8>,
    /// When a first code proved that the app has the secret; before that it is no second factor.
    pub confirmed_at: Option<Timestamp>,
    /// When the secret was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Totp").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What an authenticator app needs, shown once.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TotpEnrolment {
    /// The secret in base32, to be typed.
    #[cfg_attr(feature = "openapi", schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))]
    pub secret: String,
    /// The same as an address, to be shown as a QR code.
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "otpauth://totp/Portico:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Portico"
        )
    )]
    pub otpauth_uri: String,
}

impl std::fmt::Debug for TotpEnrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpEnrolment(…)")
    }
}

/// Proves that the app has the secret.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"code": "492039"})))]
pub struct ConfirmTotp {
    /// The code that the app shows.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 64))]
    pub code: String,
}

impl ConfirmTotp {
    /// The code. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<String, IdentityError> {
        let mut violations = Violations::default();
        violations.text("code", &self.code, 1, 64);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self.code)
    }
}

/// A code as it was typed, without the spaces that apps show in it; `None` when its form is not that of a code.
pub(crate) fn typed_code(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

impl Accounts<'_> {
    /// Makes a secret for an authenticator app; it is no second factor until [`Accounts::confirm_totp`]. Another pending secret
    /// is deleted. Errors: those of [`Accounts::require_fresh_verified`], [`IdentityError::TotpEnabled`].
    pub async fn begin_totp(&mut self, secrets: &dyn FactorSecrets) -> Result<TotpEnrolment, IdentityError> {
        let user = self.require_fresh_verified().await?;
        let secret = self.env.random_bytes::<SECRET_BYTES>();
        let enrolment = secrets.enrolment(&user, &secret)?;
        let totp = Totp {
            user: user.id,
            sealed: secrets.seal(user.id, &secret, self.env.random_bytes())?,
            confirmed_at: None,
            created_at: self.env.now(),
        };
        if !self.repositories.second_factors().put_totp(&totp).await? {
            return Err(IdentityError::TotpEnabled);
        }
        let event = Event::new(self.env, self.scope, &events::USER_TOTP_BEGUN, user.id.uuid());
        self.append_about(user.id, event).await?;
        Ok(enrolment)
    }

    /// Makes the authenticator app a second factor. With the first second factor come recovery codes. Errors:
    /// [`IdentityError::TotpNotPending`]; [`IdentityError::Invalid`] for a wrong code.
    pub async fn confirm_totp(
        &mut self,
        code: &str,
        secrets: &dyn FactorSecrets,
    ) -> Result<Option<RecoveryCodes>, IdentityError> {
        // The lock also keeps two first factors at once from both making recovery codes.
        let user = self.require_holder().await?.0.id;
        let now = self.env.now();
        let totp = self.repositories.second_factors().totp(user).await?;
        let pending = totp.filter(|totp| totp.confirmed_at.is_none() && now - totp.created_at <= PENDING);
        let pending = pending.ok_or(IdentityError::TotpNotPending)?;
        let step = match typed_code(code) {
            Some(code) => secrets.matching_step(user, &pending.sealed, &code, now)?,
            None => None,
        };
        let Some(step) = step else {
            let mut violations = Violations::default();
            violations.add("code", "wrong_code", "This is not the code that the app shows now.");
            return Err(IdentityError::Invalid(violations.into_result().err().unwrap_or_default()));
        };
        let first = !self.has_second_factor(user).await?;
        if !self.repositories.second_factors().confirm_totp(user, &pending.sealed, step, now).await? {
            return Err(IdentityError::TotpNotPending);
        }
        let event = Event::new(self.env, self.scope, &events::USER_TOTP_ADDED, user.uuid());
        self.append_about(user, event).await?;
        if first { self.make_recovery_codes(user, secrets).await.map(Some) } else { Ok(None) }
    }

    /// Removes the authenticator app; without one, nothing happens. Errors: [`IdentityError::ReauthenticationRequired`].
    pub async fn remove_totp(&mut self) -> Result<(), IdentityError> {
        let user = self.require_fresh().await?.id;
        self.repositories.users().lock(user).await?;
        if self.repositories.second_factors().delete_totp(user).await? {
            let event = Event::new(self.env, self.scope, &events::USER_TOTP_REMOVED, user.uuid());
            self.append_about(user, event).await?;
            self.forget_recovery_codes_of_nothing(user).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        for text in ["123456", "123 456", " 123-456 "] {
            assert_eq!(typed_code(text).as_deref(), Some("123456"));
        }
        for text in ["", "12345", "1234567", "12345a", "+12345", "１２３４５６"] {
            assert_eq!(typed_code(text), None, "{text}");
        }
    }
}
