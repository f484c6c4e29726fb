//! A passkey authenticator in software, with the browser around it: answers the options of the server as
//! `navigator.credentials` would (WebAuthn Level 3, sections 6 and 7), and can be set to answer wrongly.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::{SystemRandom, fill},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The user was present (section 6.1).
const USER_PRESENT: u8 = 1;
/// The user was verified.
const USER_VERIFIED: u8 = 1 << 2;
/// A credential follows.
const ATTESTED: u8 = 1 << 6;

/// An authenticator that holds one passkey. A clone is a stolen copy.
#[derive(Clone)]
pub struct Authenticator {
    key: Vec<u8>,
    /// Id of its passkey.
    pub credential_id: Vec<u8>,
    /// Whom the passkey is for, once it is made.
    pub user_handle: Option<Vec<u8>>,
    /// Signature counter; incremented before each signature, unless it is zero.
    pub counter: u32,
    /// Whether it verifies its user.
    pub verifies_user: bool,
    /// Origin of the page that the browser shows.
    pub origin: String,
    /// Domain that it signs for, where that is not the one in the options.
    pub rp_id: Option<String>,
}

impl Authenticator {
    /// A new one, in a browser that shows a page of `origin`.
    pub fn new(origin: &str) -> Self {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let mut credential_id = vec![0; 16];
        fill(&mut credential_id).expect("randomness");
        Self {
            key: key.expect("a key").as_ref().to_vec(),
            credential_id,
            user_handle: None,
            counter: 1,
            verifies_user: true,
            origin: origin.to_owned(),
            rp_id: None,
        }
    }

    fn key(&self) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key).expect("the key")
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = &options["publicKey"]["challenge"];
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    /// Hash of the domain, flags, counter (section 6.1).
    fn authenticator_data(&self, rp_id: &str, flags: u8) -> Vec<u8> {
        let rp_id = self.rp_id.as_deref().unwrap_or(rp_id);
        let verified = if self.verifies_user { USER_VERIFIED } else { 0 };
        let mut data = digest(&SHA256, rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags | USER_PRESENT | verified);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// `navigator.credentials.create`: makes the passkey for whom the options are.
    pub fn create(&mut self, options: &Value) -> Value {
        let public_key = &options["publicKey"];
        let handle = public_key["user"]["id"].as_str().expect("a user");
        self.user_handle = Some(URL_SAFE_NO_PAD.decode(handle).expect("base64url"));
        let rp_id = public_key["rp"]["id"].as_str().expect("a relying party");
        let mut data = self.authenticator_data(rp_id, ATTESTED);
        data.extend([0; 16]);
        data.extend((self.credential_id.len() as u16).to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(self.cose_key());
        // CBOR (RFC 8949): {"fmt": "none", "attStmt": {}, "authData": data}.
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x59");
        object.extend((data.len() as u16).to_be_bytes());
        object.extend(data);
        let client_data = self.client_data("webauthn.create", options);
        json!({
            "id": URL_SAFE_NO_PAD.encode(&self.credential_id),
            "rawId": URL_SAFE_NO_PAD.encode(&self.credential_id),
            "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data),
                "attestationObject": URL_SAFE_NO_PAD.encode(object),
                "transports": ["internal"],
            },
            "clientExtensionResults": {},
        })
    }

    /// The public key (RFC 9053 section 7.1.1): {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y}.
    fn cose_key(&self) -> Vec<u8> {
        let key = self.key();
        let point = key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let mut cose = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        cose.extend(x);
        cose.extend([0x22, 0x58, 0x20]);
        cose.extend(y);
        cose
    }

    /// `navigator.credentials.get`: answers the challenge.
    pub fn get(&mut self, options: &Value) -> Value {
        if self.counter > 0 {
            self.counter += 1;
        }
        let rp_id = options["publicKey"]["rpId"].as_str().expect("a relying party");
        let data = self.authenticator_data(rp_id, 0);
        let client_data = self.client_data("webauthn.get", options);
        let signed = [data.as_slice(), digest(&SHA256, &client_data).as_ref()].concat();
        let signature = self.key().sign(&SystemRandom::new(), &signed).expect("a signature");
        json!({
            "id": URL_SAFE_NO_PAD.encode(&self.credential_id),
            "rawId": URL_SAFE_NO_PAD.encode(&self.credential_id),
            "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data),
                "authenticatorData": URL_SAFE_NO_PAD.encode(data),
                "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()),
                "userHandle": self.user_handle.as_ref().map(|handle| URL_SAFE_NO_PAD.encode(handle)),
            },
            "clientExtensionResults": {},
        })
    }
}
