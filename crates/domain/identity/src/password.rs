//! Rules for passwords.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use portico_kernel::{FieldError, RuleMessage};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    IdentityError,
    user::{EmailAddress, User},
};

/// Judges how hard a password is to guess.
#[async_trait]
pub trait PasswordMeter: Debug + Send + Sync {
    /// Why the password is too easy to guess, in sentences for a person; `None` when it is not. `about` are texts about the
    /// person that an attacker knows. MUST refuse passwords that are widely known from breaches, MUST need no more than a few
    /// milliseconds of a processor for any password and any texts, and MUST NOT take them from threads that answer requests. Waits as
    /// hashing does: call it outside of a unit of work.
    async fn weakness(
        &self,
        password: &SecretString,
        about: &[&str],
    ) -> Result<Option<String>, IdentityError>;
}

/// Finds nothing too easy: for tests about something else.
#[derive(Debug)]
pub struct NoMeter;

#[async_trait]
impl PasswordMeter for NoMeter {
    async fn weakness(&self, _: &SecretString, _: &[&str]) -> Result<Option<String>, IdentityError> {
        Ok(None)
    }
}

/// What a new password must have. The operator may change it; existing passwords stay as they are.
#[derive(Clone, Debug)]
pub struct PasswordRule {
    /// Fewest characters (Unicode scalar values).
    pub min_length: usize,
    /// Most characters: a bound on the work, far above what a person types.
    pub max_length: usize,
    /// Whether an upper-case letter is needed.
    pub uppercase: bool,
    /// Whether a lower-case letter is needed.
    pub lowercase: bool,
    /// Whether a digit is needed.
    pub digit: bool,
    /// Whether a character is needed that is neither letter nor digit.
    pub special: bool,
    /// Judges the strength once all of the above holds.
    pub meter: Arc<dyn PasswordMeter>,
}

impl Default for PasswordRule {
    /// Eight characters of all four classes, of any strength.
    fn default() -> Self {
        Self {
            min_length: 8,
            max_length: 128,
            uppercase: true,
            lowercase: true,
            digit: true,
            special: true,
            meter: Arc::new(NoMeter),
        }
    }
}

impl PasswordRule {
    /// Every rule that the password breaks, as errors of `field`. `about` are texts that are known of the person, such as address
    /// and name. How easy it is to guess is reported only for a password that keeps all other rules: one that has to be changed
    /// anyway is not worth judging. Errors: [`IdentityError::Overloaded`].
    pub async fn check(
        &self,
        field: &str,
        password: &SecretString,
        about: &[&str],
    ) -> Result<Vec<FieldError>, IdentityError> {
        let mut errors = self.check_form(field, password.expose_secret());
        if errors.is_empty() {
            errors.extend(self.guessable(field, password, about).await?);
        }
        Ok(errors)
    }

    /// The rules that need no judgement.
    fn check_form(&self, field: &str, password: &str) -> Vec<FieldError> {
        if password.is_empty() {
            return vec![FieldError::new(field, "required", "This field is required.")];
        }
        let mut errors = Vec::new();
        let mut need = |holds: bool, code: &'static str, message: RuleMessage| {
            if !holds {
                errors.push(FieldError::new(field, code, message));
            }
        };
        let length = password.chars().count();
        need(length >= self.min_length, "too_short", RuleMessage::at_least_characters(self.min_length));
        need(length <= self.max_length, "too_long", RuleMessage::at_most_characters(self.max_length));
        need(
            !self.uppercase || password.chars().any(char::is_uppercase),
            "missing_uppercase",
            "Use at least one upper-case letter.".into(),
        );
        need(
            !self.lowercase || password.chars().any(char::is_lowercase),
            "missing_lowercase",
            "Use at least one lower-case letter.".into(),
        );
        need(
            !self.digit || password.chars().any(char::is_numeric),
            "missing_digit",
            "Use at least one digit.".into(),
        );
        need(
            !self.special || password.chars().any(|c| !c.is_alphanumeric() && !c.is_control()),
            "missing_special",
            "Use at least one character that is neither a letter nor a digit.".into(),
        );
        errors
    }

    /// The rules that depend on the user, for a password that passed [`PasswordRule::check`] before the user was known. Errors:
    /// [`IdentityError::Overloaded`].
    pub async fn check_for(
        &self,
        field: &str,
        password: &SecretString,
        user: &User,
    ) -> Result<Option<FieldError>, IdentityError> {
        match resembles_address(field, password, &user.email) {
            Some(error) => Ok(Some(error)),
            None => self.guessable(field, password, &[user.email.as_str(), &user.full_name]).await,
        }
    }

    async fn guessable(
        &self,
        field: &str,
        password: &SecretString,
        about: &[&str],
    ) -> Result<Option<FieldError>, IdentityError> {
        let reason = self.meter.weakness(password, about).await?;
        Ok(reason.map(|reason| FieldError::new(field, "too_guessable", reason)))
    }
}

/// The error of a password that is the account's address or the part of it before the `@`.
pub fn resembles_address(field: &str, password: &SecretString, email: &EmailAddress) -> Option<FieldError> {
    let password = password.expose_secret().to_lowercase();
    let address = email.as_str();
    let local_part = address.rsplit_once('@').map_or(address, |(local, _)| local);
    (password == address || password == local_part)
        .then(|| FieldError::new(field, "same_as_email", "Do not use your email address as your password."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(password: &str) -> Vec<String> {
        let errors = PasswordRule::default().check_form("password", password);
        assert!(errors.iter().all(|error| error.field == "password"));
        errors.into_iter().map(|error| error.code.into_owned()).collect()
    }

    #[test]
    fn reports_all_broken_rules_at_once() {
        assert_eq!(codes("abc"), ["too_short", "missing_uppercase", "missing_digit", "missing_special"]);
        assert_eq!(codes("ABCDEFGH"), ["missing_lowercase", "missing_digit", "missing_special"]);
        assert_eq!(codes(""), ["required"]);
    }

    #[test]
    fn accepts_what_has_everything() {
        assert!(codes("Corr3ct-horse").is_empty());
        assert!(codes("Ñandú 2026 feliz").is_empty());
    }

    #[test]
    fn counts_characters_not_bytes() {
        assert_eq!(codes("Ñé1!"), ["too_short"]);
        assert!(codes(&format!("Aa1!{}", "ñ".repeat(124))).is_empty());
        assert_eq!(codes(&format!("Aa1!{}", "x".repeat(125))), ["too_long"]);
    }

    #[test]
    fn a_rule_can_be_switched_off() {
        let rule = PasswordRule { special: false, min_length: 4, ..PasswordRule::default() };
        assert!(rule.check_form("password", "Abc1").is_empty());
    }

    /// Finds everything that contains a known text too easy.
    #[derive(Debug)]
    struct Texts;

    #[async_trait]
    impl PasswordMeter for Texts {
        async fn weakness(
            &self,
            password: &SecretString,
            about: &[&str],
        ) -> Result<Option<String>, IdentityError> {
            let known = |text: &&&str| password.expose_secret().contains(**text);
            Ok(about.iter().find(known).map(|text| format!("It contains {text}.")))
        }
    }

    #[tokio::test]
    async fn the_meter_judges_what_keeps_the_other_rules() {
        let rule = PasswordRule { meter: Arc::new(Texts), ..PasswordRule::default() };
        let codes = async |password: &str| {
            let errors = rule.check("new", &password.into(), &["Ada", "Lovelace"]).await.unwrap();
            let told = errors.into_iter().map(|error| (error.code.into_owned(), error.message.into_owned()));
            told.collect::<Vec<_>>()
        };
        let expected = ("too_guessable".to_owned(), "It contains Lovelace.".to_owned());
        assert_eq!(codes("Lovelace-1815").await, [expected]);
        assert_eq!(codes("Lovelace").await[0].0, "missing_digit", "not judged");
        assert!(codes("Babbage-1791").await.is_empty());
    }

    #[tokio::test]
    async fn the_account_is_looked_at_when_it_is_known() {
        let mut store = crate::fixture::Store::default();
        let user = store.user("ada.1@example.com", true);
        let rule = PasswordRule { meter: Arc::new(Texts), ..PasswordRule::default() };
        let code = async |password: &str| {
            let error = rule.check_for("new", &password.into(), &user).await.unwrap();
            error.map(|error| error.code)
        };
        assert_eq!(code("Ada.1@example.com").await.as_deref(), Some("same_as_email"));
        assert_eq!(code("x-Ada Lovelace-1").await.as_deref(), Some("too_guessable"));
        assert_eq!(code("Babbage-1791").await, None);
    }

    #[test]
    fn refuses_the_address_as_password() {
        let email = EmailAddress::parse("Ada.1!x@example.com").unwrap();
        for password in ["Ada.1!x@example.com", "ADA.1!X"] {
            assert_eq!(
                resembles_address("password", &password.into(), &email).unwrap().code,
                "same_as_email"
            );
        }
        assert!(resembles_address("password", &"Ada.1!y".into(), &email).is_none());
    }
}
