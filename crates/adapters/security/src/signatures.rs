//! Signatures of outgoing webhooks, by the symmetric scheme of Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `webhook-signature`: one signature for each key, so that the receiver may use either while a secret is
/// rotated. `timestamp` is that of `webhook-timestamp`, in seconds since 1970.
pub fn webhook_signature(keys: &[Vec<u8>], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut signatures = Vec::with_capacity(keys.len());
    for key in keys {
        // HMAC accepts a key of any length (RFC 2104 section 2), so none is left out.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { continue };
        let mac = mac.chain_update(id).chain_update(".").chain_update(timestamp.to_string());
        let mac = mac.chain_update(".").chain_update(body);
        signatures.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    }
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the documentation of the scheme's first implementation.
    #[test]
    fn the_published_example_is_signed_alike() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = webhook_signature(
            &[key],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_signs_and_everything_is_signed() {
        let (one, two) = (vec![1; 24], vec![2; 24]);
        let sign = |keys: &[Vec<u8>], id: &str, at, body: &[u8]| webhook_signature(keys, id, at, body);
        let both = sign(&[one.clone(), two.clone()], "evt_1", 1, b"{}");
        let alone = [sign(std::slice::from_ref(&one), "evt_1", 1, b"{}"), sign(&[two], "evt_1", 1, b"{}")];
        assert_eq!(both, alone.join(" "));
        for other in [
            sign(std::slice::from_ref(&one), "evt_2", 1, b"{}"),
            sign(std::slice::from_ref(&one), "evt_1", 2, b"{}"),
            sign(&[one], "evt_1", 1, b"{ }"),
        ] {
            assert_ne!(other, alone[0]);
        }
    }
}
