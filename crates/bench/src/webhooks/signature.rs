//! Signatures of Standard Webhooks, as a receiver checks them. Written from the specification and sharing no code with the
//! server, so that a mistake on one side shows.

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key of a secret as customers have it: `whsec_` and base64.
pub fn key(secret: &str) -> anyhow::Result<Vec<u8>> {
    let encoded = secret.strip_prefix("whsec_").context("a secret begins with whsec_")?;
    STANDARD.decode(encoded).context("the secret is no base64")
}

/// Errors unless one of the signatures (separated by spaces) was made with the key.
pub fn verify(key: &[u8], id: &str, timestamp: &str, signatures: &str, body: &[u8]) -> anyhow::Result<()> {
    for signature in signatures.split(' ') {
        let Some(("v1", signature)) = signature.split_once(',') else { continue };
        let mac = Hmac::<Sha256>::new_from_slice(key)?
            .chain_update(id)
            .chain_update(".")
            .chain_update(timestamp)
            .chain_update(".")
            .chain_update(body);
        if mac.verify_slice(&STANDARD.decode(signature)?).is_ok() {
            return Ok(());
        }
    }
    bail!("no signature of {id} fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_example_of_the_reference_libraries_fits() {
        let key = key(SECRET).unwrap();
        verify(&key, ID, "1614265330", SIGNATURE, BODY).unwrap();
        verify(&key, ID, "1614265330", &format!("v1,AAAA v1a,x {SIGNATURE}"), BODY).unwrap();
    }

    #[test]
    fn nothing_else_fits() {
        let key = key(SECRET).unwrap();
        assert!(verify(&key, ID, "1614265331", SIGNATURE, BODY).is_err());
        assert!(verify(&key, "msg_other", "1614265330", SIGNATURE, BODY).is_err());
        assert!(verify(&key, ID, "1614265330", SIGNATURE, b"{}").is_err());
        assert!(verify(b"another key", ID, "1614265330", SIGNATURE, BODY).is_err());
        assert!(verify(&key, ID, "1614265330", &SIGNATURE.replace("v1,", "v2,"), BODY).is_err());
        assert!(super::key("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err());
    }
}
