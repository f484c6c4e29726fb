//! License files, with which a product works without a connection.
//!
//! A file is an envelope in base64 between two lines, as other license servers have it: `enc` is the content, `sig` an Ed25519 signature of
//! the text `license/` followed by `enc`, and `kid` names the key. The content is JSON without white space, its members in alphabetical
//! order. It names one machine, and it is good until `exp`: it cannot be called back, so it is made for a short time and made anew.

use base64::{Engine, engine::general_purpose::STANDARD};
use portico_kernel::{ActivationId, LicenseId, RuleMessage, Timestamp, Violations};
use serde::Serialize;
use time::Duration;

use crate::{
    activation::Activation,
    envelope::{Envelope, json},
    license::License,
    policy::Channel,
    ports::{LicenseSigner, VerifyingKey},
};

/// The first line of a file.
const BEGIN: &str = "-----BEGIN LICENSE FILE-----";

/// The last one.
const END: &str = "-----END LICENSE FILE-----";

/// Characters of a line between the two.
const LINE: usize = 64;

/// What is signed begins with this, so that no other signature by the key can be taken for one of a file.
const SIGNED: &str = "license/";

/// Version of the content.
const VERSION: u32 = 1;

/// The shortest time for which a file is made, in seconds.
const TTL_MIN: i64 = 3600;

/// Seconds of a day.
const DAY: i64 = 86400;

/// A license file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LicenseFile {
    /// Text of the file, to be stored as it is.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "-----BEGIN LICENSE FILE-----\neyJhbGciOi…\n-----END LICENSE FILE-----\n")
    )]
    pub file: String,
    /// Id of the key that signed it, see `GET /licenses/keys`.
    #[cfg_attr(feature = "openapi", schema(example = "3f1c9a0b5d7e2468"))]
    pub key_id: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// Public keys with which license files are verified (JWK Set, RFC 7517 and RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerifyingKeys {
    /// The keys; the one that signs now first. Empty where no files are made.
    pub keys: Vec<Jwk>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwk {
    /// Always `OKP`.
    #[cfg_attr(feature = "openapi", schema(example = "OKP"))]
    pub kty: &'static str,
    /// Always `Ed25519`.
    #[cfg_attr(feature = "openapi", schema(example = "Ed25519"))]
    pub crv: &'static str,
    /// The 32 bytes of the key in base64url.
    #[cfg_attr(feature = "openapi", schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))]
    pub x: String,
    /// Its id, `kid` in files.
    #[cfg_attr(feature = "openapi", schema(example = "3f1c9a0b5d7e2468"))]
    pub kid: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    #[cfg_attr(feature = "openapi", schema(example = "sig"))]
    pub usage: &'static str,
    /// Always `EdDSA`.
    #[cfg_attr(feature = "openapi", schema(example = "EdDSA"))]
    pub alg: &'static str,
}

impl From<VerifyingKey> for Jwk {
    fn from(key: VerifyingKey) -> Self {
        let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.public);
        Self { kty: "OKP", crv: "Ed25519", x, kid: key.id, usage: "sig", alg: "EdDSA" }
    }
}

impl VerifyingKeys {
    /// Those of a signer; none where there is none.
    pub fn of(signer: Option<&dyn LicenseSigner>) -> Self {
        let keys = signer.map(LicenseSigner::keys).unwrap_or_default();
        Self { keys: keys.into_iter().map(Jwk::from).collect() }
    }
}

/// What is signed. Members in alphabetical order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    activation: ContentActivation<'a>,
    /// Until when it is good, in seconds since 1970.
    exp: i64,
    kid: &'a str,
    license: ContentLicense<'a>,
    meta: ContentMeta,
    version: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentActivation<'a> {
    fingerprint: &'a str,
    id: ActivationId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentLicense<'a> {
    channels: &'a [Channel],
    expires_at: Option<Timestamp>,
    id: LicenseId,
    max_major: Option<u32>,
    product_type: &'a str,
    supported_until: Option<Timestamp>,
}

#[derive(Serialize)]
struct ContentMeta {
    expiry: Timestamp,
    issued: Timestamp,
    ttl: i64,
}

/// For how long a file is made, of a wish in seconds: an hour to what the license allows, which is also the default.
pub(crate) fn ttl_of(wish: Option<i64>, license: &License, violations: &mut Violations) -> Duration {
    let most = i64::from(license.terms.file_days).saturating_mul(DAY).max(TTL_MIN);
    let ttl = wish.unwrap_or(most);
    let message = RuleMessage::number(TTL_MIN, most);
    violations.check((TTL_MIN..=most).contains(&ttl), "ttl", "out_of_range", message);
    Duration::seconds(ttl)
}

/// The file for a machine. It ends with the license at the latest.
pub fn made(
    signer: &dyn LicenseSigner,
    license: &License,
    activation: &Activation,
    ttl: Duration,
    now: Timestamp,
) -> LicenseFile {
    let end = now + ttl;
    let end = license.expires_at.map_or(end, |over| over.min(end));
    let key_id = signer.current_id();
    let content = Content {
        activation: ContentActivation { fingerprint: &activation.fingerprint, id: activation.id },
        exp: end.unix_seconds(),
        kid: &key_id,
        license: ContentLicense {
            channels: &license.terms.channels,
            expires_at: license.expires_at,
            id: license.id,
            max_major: license.terms.max_major,
            product_type: &license.product_type,
            supported_until: license.supported_until,
        },
        meta: ContentMeta { expiry: end, issued: now, ttl: (end - now).whole_seconds() },
        version: VERSION,
    };
    let envelope = Envelope::sign(signer, SIGNED, &content);
    let body = STANDARD.encode(json(&envelope));
    let mut file = format!("{BEGIN}\n");
    for (place, symbol) in body.chars().enumerate() {
        if place > 0 && place.is_multiple_of(LINE) {
            file.push('\n');
        }
        file.push(symbol);
    }
    file.push('\n');
    file.push_str(END);
    file.push('\n');
    LicenseFile { file, key_id, issued_at: now, expires_at: end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        envelope::ALGORITHM,
        testing::{Signer, activation, env, license},
    };

    fn content(file: &str) -> (Envelope, String) {
        let body: String =
            file.lines().filter(|line| !line.starts_with("-----")).collect::<Vec<_>>().concat();
        let envelope: Envelope = serde_json::from_slice(&STANDARD.decode(body).unwrap()).unwrap();
        let content = String::from_utf8(STANDARD.decode(&envelope.enc).unwrap()).unwrap();
        (envelope, content)
    }

    #[test]
    fn the_content_is_canonical_and_signed_with_its_prefix() {
        let env = env();
        let license = license(&env);
        let machine = activation(&env, &license, "f1");
        let made = made(&Signer, &license, &machine, Duration::days(30), env.now());
        let lines: Vec<&str> = made.file.lines().collect();
        assert_eq!((lines[0], lines[lines.len() - 1]), (BEGIN, END));
        assert!(lines.iter().all(|line| line.len() <= LINE));
        let (envelope, content) = content(&made.file);
        assert_eq!((envelope.alg.as_str(), envelope.kid.as_str()), (ALGORITHM, "test-key"));
        let signed = format!("license/{}", envelope.enc);
        assert_eq!(STANDARD.decode(envelope.sig).unwrap(), Signer.sign(signed.as_bytes()));
        let end = made.expires_at;
        assert_eq!(end, env.now() + Duration::days(30));
        assert_eq!(
            content,
            format!(
                "{{\"activation\":{{\"fingerprint\":\"f1\",\"id\":\"{}\"}},\"exp\":{},\"kid\":\"test-key\",\
                 \"license\":{{\"channels\":[\"stable\"],\"expiresAt\":null,\"id\":\"{}\",\"maxMajor\":null,\
                 \"productType\":\"base_product\",\"supportedUntil\":\"{}\"}},\
                 \"meta\":{{\"expiry\":\"{end}\",\"issued\":\"{}\",\"ttl\":2592000}},\"version\":1}}",
                machine.id,
                end.unix_seconds(),
                license.id,
                license.supported_until.unwrap(),
                env.now()
            )
        );
        let Envelope { alg, enc, kid, .. } = envelope;
        assert!(!enc.is_empty() && !alg.is_empty() && !kid.is_empty());
    }

    #[test]
    fn a_file_ends_with_the_license() {
        let env = env();
        let over = env.now() + Duration::days(2);
        let license = License { expires_at: Some(over), ..license(&env) };
        let machine = activation(&env, &license, "f1");
        let made = made(&Signer, &license, &machine, Duration::days(30), env.now());
        assert_eq!(made.expires_at, over);
        assert!(content(&made.file).1.contains("\"ttl\":172800"));
    }

    #[test]
    fn a_time_is_an_hour_to_what_the_license_allows() {
        let license = license(&env());
        let ttl = |wish| {
            let mut violations = Violations::default();
            let ttl = ttl_of(wish, &license, &mut violations);
            violations.is_empty().then_some(ttl)
        };
        assert_eq!(ttl(None), Some(Duration::days(30)));
        assert_eq!(ttl(Some(3600)), Some(Duration::HOUR));
        for wrong in [0, -1, 3599, 30 * DAY + 1, i64::MIN, i64::MAX] {
            assert_eq!(ttl(Some(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn public_keys_are_a_jwk_set() {
        let keys = VerifyingKeys::of(Some(&Signer));
        let json = serde_json::to_value(&keys).unwrap();
        let key = serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "test-key", "use": "sig", "alg": "EdDSA",
            "x": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
        });
        assert_eq!(json, serde_json::json!({"keys": [key]}));
        assert!(VerifyingKeys::of(None).keys.is_empty());
    }
}
