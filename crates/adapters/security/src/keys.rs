//! Keys, all derived from the one secret of the installation.

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
    fn the_mac_is_hmac_sha_256() {
        // RFC 4231, test cases 2 (short key) and 6 (key longer than a block).
        let tag = |key: &[u8], message: &[u8]| mac(key).chain_update(message).finalize().into_bytes();
        assert_eq!(tag(b"Jefe", b"what do ya want for nothing?")[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(tag(&[0xaa; 131], message)[..4], [0x60, 0xe4, 0x31, 0x59]);
    }
}
