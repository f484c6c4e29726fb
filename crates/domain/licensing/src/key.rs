//! License keys: their text, and how they are stored.
//!
//! A key is 80 random bits, derived from nothing. The store has it sealed, so that its owner can see it again, and by a keyed hash, so that
//! whoever holds it can be found and a copy of the database gives nothing away.

use std::{fmt, sync::Arc};

use portico_kernel::{Env, LicenseId, sealing::Sealer};
use serde::{Serialize, Serializer};

use crate::{LicensingError, ports::KeyDigests};

/// Purpose under which keys are sealed; the context is the id of the license.
pub const KEY_PURPOSE: &str = "license key";

/// Before the token of a transfer where it is hashed. What is looked up as a key is in upper case.
const TOKEN_PURPOSE: &str = "transfer:";

/// Crockford's base 32: no I, L, O and U, which are taken for others (<https://www.crockford.com/base32.html>).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// 80 bits are 16 characters.
const BYTES: usize = 10;

/// Characters of a key without its hyphens.
const SYMBOLS: usize = 16;

/// Characters between two hyphens.
const GROUP: usize = 4;

/// Most characters of a text that is looked up.
const TEXT_MAX: usize = 64;

/// The text of a key: `XXXX-XXXX-XXXX-XXXX`.
#[derive(Clone, PartialEq, Eq)]
pub struct LicenseKey(String);

impl LicenseKey {
    /// A new one.
    pub fn new(env: &Env) -> Self {
        Self(text_of(env.random_bytes()))
    }

    /// A key as somebody has typed it; `None` for a text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let form = normal_form(text);
        if form.len() != SYMBOLS || !form.bytes().all(|byte| ALPHABET.contains(&byte)) {
            return None;
        }
        let mut grouped = String::with_capacity(19);
        for (place, symbol) in form.chars().enumerate() {
            if place > 0 && place.is_multiple_of(GROUP) {
                grouped.push('-');
            }
            grouped.push(symbol);
        }
        Some(Self(grouped))
    }

    /// With its hyphens, for its owner.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last four characters, by which people tell keys apart.
    pub fn ending(&self) -> &str {
        self.0.rsplit('-').next().unwrap_or_default()
    }
}

impl fmt::Debug for LicenseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LicenseKey(…)")
    }
}

impl Serialize for LicenseKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

fn text_of(bytes: [u8; BYTES]) -> String {
    let mut text = String::with_capacity(19);
    let (mut buffer, mut bits, mut written) = (0_u32, 0_u32, 0_usize);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            if written > 0 && written.is_multiple_of(GROUP) {
                text.push('-');
            }
            let index = ((buffer >> bits) & 31) as usize;
            text.extend(ALPHABET.get(index).map(|symbol| char::from(*symbol)));
            written += 1;
        }
    }
    text
}

/// What a text is looked up by: as people type it, in any case, with any hyphens and blanks, with letters that are taken for digits. A text
/// that cannot be a key is looked up like one that is nobody's, so that the two cannot be told apart.
pub fn normal_form(text: &str) -> String {
    let symbol = |c: char| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    text.chars().take(TEXT_MAX).filter(|c| *c != '-' && !c.is_whitespace()).map(symbol).collect()
}

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// Its keyed hash, see [`KeyDigests`].
    pub digest: [u8; 32],
    /// The text, sealed (see [`Sealer`]).
    pub sealed: Vec<u8>,
}

/// Makes keys, and reads those that are stored. Cheap to clone.
#[derive(Clone)]
pub struct KeyVault {
    sealer: Arc<dyn Sealer>,
    digests: Arc<dyn KeyDigests>,
}

impl KeyVault {
    /// With the keys of the installation.
    pub fn new(sealer: Arc<dyn Sealer>, digests: Arc<dyn KeyDigests>) -> Self {
        Self { sealer, digests }
    }

    /// A new key for a license.
    ///
    /// # Errors
    /// `Internal` where it cannot be sealed.
    pub fn make(&self, env: &Env, license: LicenseId) -> Result<SealedKey, LicensingError> {
        self.keep(&LicenseKey::new(env), license)
    }

    /// A key that there is already, of an older system, for a license.
    ///
    /// # Errors
    /// `Internal` where it cannot be sealed.
    pub fn keep(&self, key: &LicenseKey, license: LicenseId) -> Result<SealedKey, LicensingError> {
        let sealed = self.sealer.seal(KEY_PURPOSE, license.uuid().as_bytes(), key.0.as_bytes());
        let sealed = sealed.map_err(|error| LicensingError::Internal(error.to_string()))?;
        Ok(SealedKey { digest: self.digests.digest(&normal_form(&key.0)), sealed })
    }

    /// The text of a key that is stored.
    ///
    /// # Errors
    /// `Internal` where it does not open: the secret of the installation is another one.
    pub fn open(&self, license: LicenseId, key: &SealedKey) -> Result<LicenseKey, LicensingError> {
        let plain = self.sealer.open(KEY_PURPOSE, license.uuid().as_bytes(), &key.sealed);
        let text = plain.and_then(|plain| String::from_utf8(plain).ok());
        text.map(LicenseKey).ok_or_else(|| {
            let why = "a license key does not open: has security.sealing_secret changed?";
            LicensingError::Internal(why.to_owned())
        })
    }

    /// The same key sealed and hashed with the current secret of the installation; `None` when it is already.
    ///
    /// # Errors
    /// `Internal` where it does not open.
    pub fn renew(&self, license: LicenseId, key: &SealedKey) -> Result<Option<SealedKey>, LicensingError> {
        let anew = self.sealer.reseal(KEY_PURPOSE, license.uuid().as_bytes(), &key.sealed);
        let anew = anew.map_err(|error| LicensingError::Internal(error.to_string()))?;
        let Some(sealed) = anew else { return Ok(None) };
        let text = self.open(license, key)?;
        Ok(Some(SealedKey { digest: self.digests.digest(&normal_form(&text.0)), sealed }))
    }

    /// The hash under which the token of a transfer is stored. No token has that of a key.
    pub fn digest_of_token(&self, token: &str) -> [u8; 32] {
        self.digests.digest(&format!("{TOKEN_PURPOSE}{token}"))
    }

    /// The hashes under which the token of a transfer may be stored.
    pub fn digests_of_token(&self, token: &str) -> Vec<[u8; 32]> {
        self.digests.digests(&format!("{TOKEN_PURPOSE}{token}"))
    }

    /// The hashes under which a key with this text may be stored.
    pub fn digests_of(&self, text: &str) -> Vec<[u8; 32]> {
        self.digests.digests(&normal_form(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_crockfords() {
        assert_eq!(text_of([0; 10]), "0000-0000-0000-0000");
        assert_eq!(text_of([0xff; 10]), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        // 0x01 0x23 … in groups of five bits: 00000 00100 10001 10100 01010 11001 11100 01001 …
        assert_eq!(
            text_of([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23]),
            "04HM-ASW9-NF6Y-Y093"
        );
        let key = LicenseKey("ABCD-EFGH-JKMN-PQRS".to_owned());
        assert_eq!(key.ending(), "PQRS");
        assert_eq!(format!("{key:?}"), "LicenseKey(…)");
        assert_eq!(serde_json::to_value(&key).unwrap(), "ABCD-EFGH-JKMN-PQRS");
    }

    #[test]
    fn what_people_type_is_one_form() {
        for typed in
            ["1O00-abcd-EFGH-JKMN", " 1000abcdefghjkmn ", "IoO0 ABCD-efgh--jkmn", "loo0-AbCd-EfGh-JkMn"]
        {
            assert_eq!(normal_form(typed), "1000ABCDEFGHJKMN", "{typed}");
        }
        assert_ne!(normal_form("1000ABCDEFGHJKMU"), normal_form("1000ABCDEFGHJKMV"));
        assert_eq!(normal_form(&"A".repeat(10_000)).len(), TEXT_MAX);
    }

    #[test]
    fn what_is_no_key_is_not_kept() {
        let key = LicenseKey::parse(" 7k2m 9qxd-4tob hz5r ").unwrap();
        assert_eq!(key.as_str(), "7K2M-9QXD-4T0B-HZ5R");
        for text in
            ["", "7K2M-9QXD-4T0B-HZ5", "7K2M-9QXD-4T0B-HZ5RX", "7K2M-9QXD-4T0B-HZ5U", "7K2M-9QXD-4T0B-HZñ"]
        {
            assert_eq!(LicenseKey::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn two_keys_have_two_texts_and_no_letter_that_is_mistaken(one: [u8; 10], other: [u8; 10]) {
            let text = text_of(one);
            prop_assert_eq!(text.len(), 19);
            prop_assert!(text.chars().all(|c| c == '-' || ALPHABET.contains(&(c as u8))));
            prop_assert_eq!(normal_form(&text), text.replace('-', ""));
            prop_assert_eq!(LicenseKey::parse(&text), Some(LicenseKey(text.clone())));
            prop_assert_eq!(text == text_of(other), one == other);
        }

        #[test]
        fn no_text_is_too_odd_to_be_looked_up(text in ".*") {
            let form = normal_form(&text);
            prop_assert!(form.chars().count() <= TEXT_MAX);
            prop_assert_eq!(normal_form(&form), form);
        }
    }
}
