//! Rules for passwords.

use std::{fmt::Debug, sync::Arc};

use portico_kernel::{FieldError, RuleMessage};
use secrecy::{ExposeSecret, SecretString};

use crate::user::{EmailAddress, User};

/// Judges how hard a password is to guess.
pub trait PasswordMeter: Debug + Send + Sync {
    /// Why the password is too easy to guess, in sentences for a person; `None` when it is not. `about` are texts about the
    /// person that an attacker knows. MUST refuse passwords that are widely known from breaches, and MUST answer within a few
    /// milliseconds for any password and any texts, because it is called on threads that answer requests.
    fn weakness(&self, password: &SecretString, about: &[&str]) -> Option<String>;
}

/// Finds nothing too easy: for tests about something else.
#[derive(Debug)]
pub struct NoMeter;

impl PasswordMeter for NoMeter {
    fn weakness(&self, _: &SecretString, _: &[&str]) -> Option<String> {
        None
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
    /// anyway is not worth judging.
    pub fn check(&self, field: &str, secret: &SecretString, about: &[&str]) -> Vec<FieldError> {
        let password = secret.expose_secret();
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
        if errors.is_empty() {
            errors.extend(self.guessable(field, secret, about));
        }
        errors
    }

    /// The rules that depend on the user, for a password that passed [`PasswordRule::check`] before the user was known.
    pub fn check_for(&self, field: &str, password: &SecretString, user: &User) -> Option<FieldError> {
        resembles_address(field, password, &user.email)
            .or_else(|| self.guessable(field, password, &[user.email.as_str(), &user.full_name]))
    }

    fn guessable(&self, field: &str, password: &SecretString, about: &[&str]) -> Option<FieldError> {
        let reason = self.meter.weakness(password, about)?;
        Some(FieldError::new(field, "too_guessable", reason))
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
        let errors = PasswordRule::default().check("password", &password.into(), &[]);
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
        assert!(rule.check("password", &"Abc1".into(), &[]).is_empty());
    }

    /// Finds everything that contains a known text too easy.
    #[derive(Debug)]
    struct Texts;

    impl PasswordMeter for Texts {
        fn weakness(&self, password: &SecretString, about: &[&str]) -> Option<String> {
            let known = |text: &&&str| password.expose_secret().contains(**text);
            about.iter().find(known).map(|text| format!("It contains {text}."))
        }
    }

    #[test]
    fn the_meter_judges_what_keeps_the_other_rules() {
        let rule = PasswordRule { meter: Arc::new(Texts), ..PasswordRule::default() };
        let codes = |password: &str| -> Vec<_> {
            let errors = rule.check("new", &password.into(), &["Ada", "Lovelace"]);
            errors.into_iter().map(|error| (error.code.into_owned(), error.message.into_owned())).collect()
        };
        let expected = ("too_guessable".to_owned(), "It contains Lovelace.".to_owned());
        assert_eq!(codes("Lovelace-1815"), [expected]);
        assert_eq!(codes("Lovelace")[0].0, "missing_digit", "not judged");
        assert!(codes("Babbage-1791").is_empty());
    }

    #[test]
    fn the_account_is_looked_at_when_it_is_known() {
        let mut store = crate::fixture::Store::default();
        let user = store.user("ada.1@example.com", true);
        let rule = PasswordRule { meter: Arc::new(Texts), ..PasswordRule::default() };
        let code = |password: &str| rule.check_for("new", &password.into(), &user).map(|error| error.code);
        assert_eq!(code("Ada.1@example.com").as_deref(), Some("same_as_email"));
        assert_eq!(code("x-Ada Lovelace-1").as_deref(), Some("too_guessable"));
        assert_eq!(code("Babbage-1791"), None);
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
