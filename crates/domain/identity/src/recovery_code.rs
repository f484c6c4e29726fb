//! Recovery codes: for when the second factor is lost.

use portico_kernel::{Event, UserId};
use serde::Serialize;

use crate::{Accounts, IdentityError, events, ports::FactorSecrets};

/// Codes of an account.
pub const COUNT: usize = 10;

/// Letters of a code: 16 × 5 bits = 80 bits, too many to try, so a fast keyed hash of it is enough in the database.
const LENGTH: usize = 16;

/// Base32 without letters that look like others (Crockford).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The purpose of the hash.
const PURPOSE: &str = "recovery code";

/// Recovery codes, shown once.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"recoveryCodes": ["7QH2-9XKM-04DV-ZT3C", "M1WB-RR8E-5YPN-K6GS"]})))]
pub struct RecoveryCodes {
    /// Each replaces the second factor once.
    pub recovery_codes: Vec<String>,
}

impl std::fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCodes(…)")
    }
}

/// A code as it is written for people.
fn code_of(bytes: [u8; 10]) -> String {
    let mut code = String::with_capacity(LENGTH + 3);
    let number = bytes.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    for place in 0..LENGTH {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        let letter = (number >> (5 * (LENGTH - 1 - place))) as usize & 31;
        code.push(char::from(ALPHABET[letter]));
    }
    code
}

/// A code as it was typed, in the one form that is hashed; `None` when its form is not that of a code.
pub(crate) fn typed_recovery_code(text: &str) -> Option<String> {
    let code: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    (code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte))).then_some(code)
}

/// What is stored of a code.
fn digest(secrets: &dyn FactorSecrets, user: UserId, typed: &str) -> [u8; 32] {
    secrets.digest(PURPOSE, &value(user, typed))
}

/// What may be stored of a code: that with the current key, and those with earlier ones.
pub(crate) fn digests(secrets: &dyn FactorSecrets, user: UserId, typed: &str) -> Vec<[u8; 32]> {
    secrets.digests(PURPOSE, &value(user, typed))
}

fn value(user: UserId, typed: &str) -> Vec<u8> {
    [user.uuid().as_bytes(), typed.as_bytes()].concat()
}

impl Accounts<'_> {
    /// New recovery codes in place of all earlier ones. Errors: those of [`Accounts::require_fresh_verified`];
    /// [`IdentityError::NoSecondFactor`].
    pub async fn renew_recovery_codes(
        &mut self,
        secrets: &dyn FactorSecrets,
    ) -> Result<RecoveryCodes, IdentityError> {
        self.require_fresh_verified().await?;
        let user = self.require_holder().await?.0.id;
        if !self.has_second_factor(user).await? {
            return Err(IdentityError::NoSecondFactor);
        }
        let codes = self.make_recovery_codes(user, secrets).await?;
        let event = Event::new(self.env, self.scope, &events::USER_RECOVERY_CODES_RENEWED, user.uuid());
        self.append_about(user, event).await?;
        Ok(codes)
    }

    pub(crate) async fn make_recovery_codes(
        &mut self,
        user: UserId,
        secrets: &dyn FactorSecrets,
    ) -> Result<RecoveryCodes, IdentityError> {
        let recovery_codes: Vec<String> = (0..COUNT).map(|_| code_of(self.env.random_bytes())).collect();
        let typed = recovery_codes.iter().filter_map(|code| typed_recovery_code(code));
        let digests: Vec<_> = typed.map(|code| digest(secrets, user, &code)).collect();
        self.repositories.second_factors().replace_recovery_codes(user, &digests, self.env.now()).await?;
        Ok(RecoveryCodes { recovery_codes })
    }

    /// Deletes the recovery codes together with the last second factor.
    pub(crate) async fn forget_recovery_codes_of_nothing(
        &mut self,
        user: UserId,
    ) -> Result<(), IdentityError> {
        if !self.has_second_factor(user).await? {
            self.repositories.second_factors().replace_recovery_codes(user, &[], self.env.now()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_eighty_bits() {
        assert_eq!(code_of([0; 10]), "0000-0000-0000-0000");
        assert_eq!(code_of([0xff; 10]), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        assert_eq!(code_of([0, 0, 0, 0, 0, 0, 0, 0, 0, 33]), "0000-0000-0000-0011");
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = code_of(*b"0123456789");
        let typed = typed_recovery_code(&code).unwrap();
        assert_eq!(typed_recovery_code(&code.to_lowercase().replace('-', " ")), Some(typed));
        assert_eq!(typed_recovery_code("oooo-iiii-llll-0000").as_deref(), Some("0000111111110000"));
        for text in ["", "123456", "UUUU-0000-0000-0000", "0000-0000-0000-000", "0000-0000-0000-00000"] {
            assert_eq!(typed_recovery_code(text), None, "{text}");
        }
    }
}
