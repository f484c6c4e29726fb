//! Signatures of links.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use portico_kernel::{Timestamp, signing::LinkSigner};
use sha2::Sha256;

use crate::keys::{Macs, Secrets};

/// Signs links with HMAC-SHA256, with a key derived from the signing secret of the installation.
pub struct MacLinkSigner {
    keys: Macs,
}

impl MacLinkSigner {
    /// With keys derived from the signing secret of the installation.
    pub fn new(secrets: &Secrets) -> Self {
        Self { keys: secrets.macs("portico link") }
    }
}

/// Texts are prefixed with their lengths, so that no two triples have the same encoding.
fn over(key: Hmac<Sha256>, purpose: &str, payload: &str, expires: Timestamp) -> Hmac<Sha256> {
    let length = |text: &str| (text.len() as u64).to_be_bytes();
    key.chain_update(length(purpose))
        .chain_update(purpose)
        .chain_update(length(payload))
        .chain_update(payload)
        .chain_update(expires.to_string())
}

impl LinkSigner for MacLinkSigner {
    fn sign(&self, purpose: &str, payload: &str, expires: Timestamp) -> String {
        URL_SAFE_NO_PAD.encode(over(self.keys.current(), purpose, payload, expires).finalize().into_bytes())
    }

    fn accepted(&self, purpose: &str, payload: &str, expires: Timestamp) -> Vec<String> {
        let made = self.keys.all(|key| over(key, purpose, payload, expires));
        made.into_iter().map(|signature| URL_SAFE_NO_PAD.encode(signature)).collect()
    }

    fn verify(
        &self,
        purpose: &str,
        payload: &str,
        expires: Timestamp,
        signature: &str,
        now: Timestamp,
    ) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        self.keys.verify(&tag, |key| over(key, purpose, payload, expires)) && now < expires
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use time::Duration;

    use super::*;
    use crate::system_env;

    #[test]
    fn a_signature_is_good_for_one_link_until_it_expires() {
        let signer = MacLinkSigner::new(&"a".repeat(40).into());
        let now = system_env().now();
        let expires = now + Duration::hours(1);
        let signature = signer.sign("preview", "site/1", expires);
        let verify = |purpose, payload, until, signature: &str, at| {
            signer.verify(purpose, payload, until, signature, at)
        };
        assert!(verify("preview", "site/1", expires, &signature, now));
        assert!(!verify("asset", "site/1", expires, &signature, now));
        assert!(!verify("preview", "site/2", expires, &signature, now));
        assert!(!verify("previews", "ite/1", expires, &signature, now));
        assert!(!verify("preview", "site/1", expires + Duration::hours(1), &signature, now));
        assert!(!verify("preview", "site/1", expires, &signature, expires));
        for bad in ["", "x", "AAAA", &signature[1..], &format!("{signature}A")] {
            assert!(!verify("preview", "site/1", expires, bad, now), "{bad}");
        }
        let other = MacLinkSigner::new(&"b".repeat(40).into());
        assert!(!other.verify("preview", "site/1", expires, &signature, now));
    }

    #[test]
    fn signatures_of_earlier_secrets_are_accepted() {
        let secret = |letter: &str| SecretString::from(letter.repeat(40));
        let now = system_env().now();
        let earlier = MacLinkSigner::new(&secret("a").into());
        let later = MacLinkSigner::new(&Secrets::new(secret("b"), [secret("a")]));
        let signed = |signer: &MacLinkSigner| signer.sign("reply", "ticket/1", now);
        assert_eq!(later.accepted("reply", "ticket/1", now), [signed(&later), signed(&earlier)]);
        assert_eq!(earlier.accepted("reply", "ticket/1", now), [signed(&earlier)]);
        assert!(!later.accepted("reply", "ticket/2", now).contains(&signed(&earlier)));
    }
}
