//! Encryption of secrets at rest: AES-256-GCM with a random nonce, and keys derived from the secret of the installation.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use portico_kernel::sealing::{SealError, Sealer};
use secrecy::ExposeSecret;

use crate::keys::{KeyRing, Secrets};

/// Seals with a key for each purpose. Sealed data: the nonce, then the ciphertext with its tag.
pub struct AesSealer {
    keys: KeyRing,
    earlier: Vec<KeyRing>,
}

impl AesSealer {
    /// With keys derived from the sealing secret of the installation; those of earlier ones only open.
    pub fn new(secrets: &Secrets) -> Self {
        Self { keys: secrets.ring(), earlier: secrets.earlier_rings().collect() }
    }
}

fn key(ring: &KeyRing, purpose: &str) -> Option<RandomizedNonceKey> {
    let key = ring.derive(&format!("portico seal {purpose}"));
    RandomizedNonceKey::new(&AES_256_GCM, key.expose_secret()).ok()
}

fn open(ring: &KeyRing, purpose: &str, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = body.to_vec();
    let plain = key(ring, purpose)?.open_in_place(nonce, Aad::from(context), &mut body).ok()?;
    Some(plain.to_vec())
}

impl Sealer for AesSealer {
    fn seal(&self, purpose: &str, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = key(&self.keys, purpose).ok_or(SealError)?;
        let mut body = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut body).map_err(|_| SealError)?;
        Ok([nonce.as_ref().as_slice(), &body].concat())
    }

    fn open(&self, purpose: &str, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut rings = std::iter::once(&self.keys).chain(&self.earlier);
        rings.find_map(|ring| open(ring, purpose, context, sealed))
    }

    fn reseal(&self, purpose: &str, context: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        if open(&self.keys, purpose, context, sealed).is_some() {
            return Ok(None);
        }
        let plain = self.open(purpose, context, sealed).ok_or(SealError)?;
        self.seal(purpose, context, &plain).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_secret_opens_and_is_replaced() {
        let (old, new) = ("a".repeat(40), "b".repeat(40));
        let before = AesSealer::new(&old.clone().into()).seal("webhook", b"one", b"secret").unwrap();
        let rotated = AesSealer::new(&Secrets::new(new.clone().into(), [old.into()]));
        assert_eq!(rotated.open("webhook", b"one", &before).as_deref(), Some(b"secret".as_slice()));
        let after = rotated.reseal("webhook", b"one", &before).unwrap().unwrap();
        assert_eq!(rotated.reseal("webhook", b"one", &after), Ok(None), "it is sealed with the current one");
        let without = AesSealer::new(&new.into());
        assert_eq!(without.open("webhook", b"one", &after).as_deref(), Some(b"secret".as_slice()));
        assert_eq!(without.open("webhook", b"one", &before), None);
        assert_eq!(without.reseal("webhook", b"one", &before), Err(SealError));
    }

    #[test]
    fn only_what_was_sealed_here_for_this_opens() {
        let sealer = AesSealer::new(&"a".repeat(40).into());
        let sealed = sealer.seal("webhook", b"one", b"secret").unwrap();
        assert_eq!(sealer.open("webhook", b"one", &sealed).as_deref(), Some(b"secret".as_slice()));
        assert_ne!(sealer.seal("webhook", b"one", b"secret").unwrap(), sealed, "each time another nonce");
        assert!(!sealed.windows(6).any(|bytes| bytes == b"secret"));

        assert_eq!(sealer.open("webhook", b"two", &sealed), None);
        assert_eq!(sealer.open("answer", b"one", &sealed), None);
        assert_eq!(AesSealer::new(&"b".repeat(40).into()).open("webhook", b"one", &sealed), None);
        assert_eq!(sealer.open("webhook", b"one", &sealed[..11]), None);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(sealer.open("webhook", b"one", &changed), None, "byte {position}");
        }
    }
}
