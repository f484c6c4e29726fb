//! The text of an API key.
//!
//! `sn_live_` or `sn_test_`, twelve letters by which the key is found, forty-three letters of secret (256 bits), and six letters
//! of checksum. The fixed beginning lets scanners of leaked secrets recognise a key, and the checksum lets them and us
//! distinguish a key from a typing error without asking the database.

use portico_kernel::Env;
use secrecy::{ExposeSecret, SecretString};

use super::Mode;

/// Letters by which a key is found, behind the words of its mode.
const NAME_LETTERS: usize = 12;
/// 43 · log₂ 62 is a little more than 256 bits.
const SECRET_LETTERS: usize = 43;
/// 62⁶ is more than 2³².
const CHECKSUM_LETTERS: usize = 6;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key as its holder knows it. Its `Debug` form does not contain the secret.
#[derive(Clone, Debug)]
pub struct KeyText {
    prefix: String,
    secret: SecretString,
}

impl KeyText {
    /// A new key.
    pub fn new(mode: Mode, env: &Env) -> Self {
        Self::renewed(mode.prefix().to_owned() + &letters(env, NAME_LETTERS), env)
    }

    /// A new secret for the key of this prefix.
    pub fn renewed(prefix: String, env: &Env) -> Self {
        Self { prefix, secret: letters(env, SECRET_LETTERS).into() }
    }

    /// Reads a key; `None` for what cannot be one of ours: another length, another letter, a wrong checksum.
    pub fn parse(text: &str) -> Option<Self> {
        let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_LETTERS)?)?;
        let mode = [Mode::Live, Mode::Test].into_iter().find(|mode| body.starts_with(mode.prefix()))?;
        let end = mode.prefix().len() + NAME_LETTERS;
        let (prefix, secret) = body.split_at_checked(end)?;
        let letters = prefix.bytes().skip(mode.prefix().len()).chain(secret.bytes());
        let fits = secret.len() == SECRET_LETTERS
            && letters.into_iter().all(|letter| letter.is_ascii_alphanumeric())
            && checksum(body) == sum;
        fits.then(|| Self { prefix: prefix.to_owned(), secret: secret.to_owned().into() })
    }

    /// By this the key is found. No secret: it is shown in lists.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The part to be hashed.
    pub fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    /// The whole key. Shown once.
    pub fn full(&self) -> SecretString {
        let body = format!("{}{}", self.prefix, self.secret.expose_secret());
        let sum = checksum(&body);
        (body + &sum).into()
    }
}

/// CRC-32 in base 62, as the tokens of code hosts have it: not against forgery, but against typing errors.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut letters = [b'0'; CHECKSUM_LETTERS];
    for letter in letters.iter_mut().rev() {
        *letter = ALPHABET.get(rest % 62).copied().unwrap_or_default();
        rest /= 62;
    }
    letters.into_iter().map(char::from).collect()
}

fn letters(env: &Env, count: usize) -> String {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        // Six bits for a letter. The two values that stand for none are discarded, so that every letter is as likely as any
        // other.
        let bytes = env.random_bytes::<64>();
        let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        text.extend(letters.take(count - text.len()).map(|letter| char::from(*letter)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Store;

    #[test]
    fn a_key_is_read_back_and_does_not_show_its_secret() {
        let env = Store::default().env();
        for (mode, beginning) in [(Mode::Live, "sn_live_"), (Mode::Test, "sn_test_")] {
            let key = KeyText::new(mode, &env);
            let full = key.full();
            let full = full.expose_secret();
            assert!(full.starts_with(beginning) && full.len() == 69, "{full}");
            let read = KeyText::parse(full).unwrap();
            assert_eq!((read.prefix(), read.secret()), (key.prefix(), key.secret()));
            assert_eq!(key.prefix().len(), 20);
            assert!(!format!("{key:?}").contains(key.secret()));
        }
    }

    #[test]
    fn every_typing_error_is_found() {
        let env = Store::default().env();
        let full = KeyText::new(Mode::Live, &env).full().expose_secret().to_owned();
        for place in 0..full.len() {
            for letter in ['0', 'z', '-', 'é'] {
                let mut wrong: Vec<char> = full.chars().collect();
                if wrong[place] == letter {
                    continue;
                }
                wrong[place] = letter;
                assert!(KeyText::parse(&wrong.iter().collect::<String>()).is_none(), "{letter} at {place}");
            }
            assert!(KeyText::parse(&full[..place]).is_none(), "cut at {place}");
        }
        assert!(KeyText::parse(&format!("{full}0")).is_none());
        assert!(KeyText::parse(&full.to_lowercase()).is_none());
    }

    #[test]
    fn the_checksum_is_crc_32() {
        // The check value of CRC-32/ISO-HDLC is 0xCBF43926.
        let value = checksum("123456789").bytes().fold(0, |sum: u64, letter| {
            sum * 62 + ALPHABET.iter().position(|other| *other == letter).unwrap() as u64
        });
        assert_eq!(value, 0xcbf4_3926);
    }

    #[test]
    fn a_renewed_key_keeps_its_prefix_only() {
        let env = Store::default().env();
        let old = KeyText::new(Mode::Test, &env);
        let new = KeyText::renewed(old.prefix().to_owned(), &env);
        assert_eq!(old.prefix(), new.prefix());
        assert_ne!(old.secret(), new.secret());
    }
}
