//! Keys, all derived from the secrets of the installation.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};

/// Derives a key for each purpose from one secret, so that a value made for one purpose is invalid for another.
///
/// The derivation is HMAC-SHA256 over the name of the purpose: the expand step of HKDF (RFC 5869 section 2.3) for one block
/// of output, from a secret that is random already.
#[derive(Clone)]
pub struct KeyRing(SecretString);

impl KeyRing {
    /// From the secret of the installation: 32 characters or more, from a secure source of randomness. The settings
    /// check the length.
    pub fn new(secret: &SecretString) -> Self {
        Self(secret.clone())
    }

    /// The key for a purpose.
    pub fn derive(&self, purpose: &str) -> SecretSlice<u8> {
        let mut mac = mac(self.0.expose_secret().as_bytes());
        mac.update(purpose.as_bytes());
        mac.update(&[1]);
        mac.finalize().into_bytes().to_vec().into()
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyRing(…)")
    }
}

/// A secret of the installation, and those that it has replaced.
///
/// Values are made with the current one only, and accepted when they were made with any of them.
#[derive(Clone, Debug)]
pub struct Secrets {
    current: SecretString,
    previous: Vec<SecretString>,
}

impl Secrets {
    /// The current secret, and earlier ones.
    pub fn new(current: SecretString, previous: impl IntoIterator<Item = SecretString>) -> Self {
        Self { current, previous: previous.into_iter().collect() }
    }

    /// The current one.
    pub(crate) fn ring(&self) -> KeyRing {
        KeyRing::new(&self.current)
    }

    /// Those of earlier secrets.
    pub(crate) fn earlier_rings(&self) -> impl Iterator<Item = KeyRing> {
        self.previous.iter().map(KeyRing::new)
    }

    /// The MACs for a purpose.
    pub(crate) fn macs(&self, purpose: &str) -> Macs {
        let of = |ring: KeyRing| mac(ring.derive(purpose).expose_secret());
        Macs { current: of(self.ring()), earlier: self.earlier_rings().map(of).collect() }
    }
}

impl<S: Into<SecretString>> From<S> for Secrets {
    /// One that has replaced none.
    fn from(secret: S) -> Self {
        Self::new(secret.into(), [])
    }
}

/// MACs for one purpose.
pub(crate) struct Macs {
    current: Hmac<Sha256>,
    earlier: Vec<Hmac<Sha256>>,
}

impl Macs {
    /// To make one.
    pub fn current(&self) -> Hmac<Sha256> {
        self.current.clone()
    }

    /// Whether the tag was made over this, with the current key or an earlier one. Compares in constant time, and rejects a tag
    /// of any other length.
    pub fn verify(&self, tag: &[u8], over: impl Fn(Hmac<Sha256>) -> Hmac<Sha256>) -> bool {
        let mut keys = std::iter::once(&self.current).chain(&self.earlier);
        keys.any(|key| over(key.clone()).verify_slice(tag).is_ok())
    }

    /// The MACs over a value with each of the keys, the current one first.
    pub fn all(&self, over: impl Fn(Hmac<Sha256>) -> Hmac<Sha256>) -> Vec<[u8; 32]> {
        let keys = std::iter::once(&self.current).chain(&self.earlier);
        keys.map(|key| over(key.clone()).finalize().into_bytes().into()).collect()
    }
}

/// HMAC-SHA256 with a key of any length.
pub(crate) fn mac(key: &[u8]) -> Hmac<Sha256> {
    // The key as one block, as in RFC 2104 section 2. The constructor for a key of any length would return an error that
    // cannot happen.
    let mut block = [0; 64];
    if let Some(start) = block.get_mut(..key.len()) {
        start.copy_from_slice(key);
    } else {
        block[..32].copy_from_slice(&Sha256::digest(key));
    }
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_and_each_secret_has_its_own_key() {
        let ring = |letter: &str| KeyRing::new(&letter.repeat(40).into());
        let key = |ring: &KeyRing, purpose: &str| ring.derive(purpose).expose_secret().to_vec();
        assert_eq!(key(&ring("a"), "one"), key(&ring("a"), "one"));
        assert_ne!(key(&ring("a"), "one"), key(&ring("a"), "two"));
        assert_ne!(key(&ring("a"), "one"), key(&ring("b"), "one"));
        assert_eq!(key(&ring("a"), "one").len(), 32);
    }

    #[test]
    fn what_an_earlier_secret_made_is_accepted_until_it_is_left_out() {
        let secret = |letter: &str| SecretString::from(letter.repeat(40));
        let before = Secrets::from(secret("a")).macs("purpose");
        let tag = before.current().chain_update("text").finalize().into_bytes();
        let over = |mac: Hmac<Sha256>| mac.chain_update("text");
        let rotated = Secrets::new(secret("b"), [secret("a")]).macs("purpose");
        assert!(rotated.verify(&tag, over));
        assert!(!rotated.verify(&tag[1..], over) && !rotated.verify(&tag, |mac| mac.chain_update("other")));
        assert_ne!(over(rotated.current()).finalize().into_bytes(), tag, "made with the current one");
        assert_eq!(rotated.all(over)[1], <[u8; 32]>::from(tag));
        assert!(!Secrets::new(secret("b"), []).macs("purpose").verify(&tag, over));
        assert!(!Secrets::new(secret("b"), [secret("a")]).macs("another").verify(&tag, over));
    }

    #[test]
    fn the_mac_is_hmac_sha_256() {
        // RFC 4231, test cases 2 (short key) and 6 (key longer than a block).
        let tag = |key: &[u8], message: &[u8]| mac(key).chain_update(message).finalize().into_bytes();
        assert_eq!(tag(b"Jefe", b"what do ya want for nothing?")[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(tag(&[0xaa; 131], message)[..4], [0x60, 0xe4, 0x31, 0x59]);
    }
}
