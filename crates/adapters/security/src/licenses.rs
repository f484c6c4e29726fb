//! Licenses: keyed hashes of their keys, and signatures of their files (Ed25519, RFC 8032).

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use hmac::{Hmac, Mac};
use portico_licensing::ports::{KeyDigests, LicenseSigner, VerifyingKey};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::keys::{KeyRing, Macs, Secrets};

/// Hashes with HMAC-SHA256, with keys derived from the sealing secret of the installation: what is stored goes by that one.
pub struct MacKeyDigests(Macs);

impl MacKeyDigests {
    /// With keys derived from the sealing secret of the installation.
    pub fn new(sealing: &Secrets) -> Self {
        Self(sealing.macs("portico license key"))
    }
}

impl KeyDigests for MacKeyDigests {
    fn digest(&self, key: &str) -> [u8; 32] {
        self.0.current().chain_update(key).finalize().into_bytes().into()
    }

    fn digests(&self, key: &str) -> Vec<[u8; 32]> {
        self.0.all(|mac: Hmac<Sha256>| mac.chain_update(key))
    }
}

/// A secret that gives no key to sign license files with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Ed25519 key can be made of the secret")]
pub struct NoSigningKey;

/// Signs with a key that is derived from a secret of its own, and names those of earlier secrets.
pub struct Ed25519Signer {
    pair: Ed25519KeyPair,
    keys: Vec<VerifyingKey>,
}

impl Ed25519Signer {
    /// With a key derived from `secret`. Files that were signed with keys of the `previous` ones can still be verified.
    ///
    /// # Errors
    /// `NoSigningKey`.
    pub fn new(secret: &SecretString, previous: &[SecretString]) -> Result<Self, NoSigningKey> {
        let pair = pair_of(secret)?;
        let earlier =
            previous.iter().map(|secret| verifying(&pair_of(secret)?)).collect::<Result<Vec<_>, _>>()?;
        let keys = [verifying(&pair)?].into_iter().chain(earlier).collect();
        Ok(Self { pair, keys })
    }
}

fn pair_of(secret: &SecretString) -> Result<Ed25519KeyPair, NoSigningKey> {
    // 32 bytes that cannot be told from random ones: what RFC 8032 section 5.1.5 takes for a private key.
    let seed = KeyRing::new(secret).derive("portico license file");
    Ed25519KeyPair::from_seed_unchecked(seed.expose_secret()).map_err(|_| NoSigningKey)
}

/// The public key, and its id: the first eight bytes of its SHA-256.
fn verifying(pair: &Ed25519KeyPair) -> Result<VerifyingKey, NoSigningKey> {
    let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| NoSigningKey)?;
    let id = Sha256::digest(public).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(VerifyingKey { id, public })
}

impl LicenseSigner for Ed25519Signer {
    fn current_id(&self) -> String {
        self.keys.first().map(|key| key.id.clone()).unwrap_or_default()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn keys(&self) -> Vec<VerifyingKey> {
        self.keys.clone()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_is_found_under_earlier_secrets_until_they_are_left_out() {
        let (old, new) = ("a".repeat(40), "b".repeat(40));
        let before = MacKeyDigests::new(&old.clone().into()).digest("1000ABCDEFGHJKMN");
        let rotated = MacKeyDigests::new(&Secrets::new(new.clone().into(), [old.into()]));
        let known = rotated.digests("1000ABCDEFGHJKMN");
        assert_eq!(known, [rotated.digest("1000ABCDEFGHJKMN"), before]);
        assert_ne!(known[0], known[1]);
        assert!(!MacKeyDigests::new(&new.into()).digests("1000ABCDEFGHJKMN").contains(&before));
        assert_ne!(rotated.digest("1000ABCDEFGHJKMP"), known[0]);
    }

    #[test]
    fn what_is_signed_is_verified_with_the_public_key_of_the_secret() {
        let secret = |letter: &str| SecretString::from(letter.repeat(40));
        let before = Ed25519Signer::new(&secret("a"), &[]).unwrap();
        let signer = Ed25519Signer::new(&secret("b"), &[secret("a")]).unwrap();
        let verify = |key: &VerifyingKey, message: &[u8], signature: &[u8]| {
            UnparsedPublicKey::new(&ED25519, key.public).verify(message, signature).is_ok()
        };
        let signature = signer.sign(b"license/abc");
        let keys = signer.keys();
        assert_eq!((keys.len(), &keys[0].id, &keys[1]), (2, &signer.current_id(), &before.keys()[0]));
        assert!(verify(&keys[0], b"license/abc", &signature));
        assert!(!verify(&keys[0], b"license/abd", &signature));
        assert!(!verify(&keys[1], b"license/abc", &signature));
        assert!(verify(&keys[1], b"license/abc", &before.sign(b"license/abc")), "earlier files stay good");
        assert_eq!(keys[0].id.len(), 16);
        assert_eq!(
            Ed25519Signer::new(&secret("b"), &[]).unwrap().keys()[0],
            keys[0],
            "the same at each start"
        );
    }
}
