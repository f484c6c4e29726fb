//! ID tokens: what is believed of them, and what is not.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use portico_identity::{external::ExternalProfile, ports::OpenIdProvider};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{CLIENT, ISSUER, N, NOW, RSA, STATE, Setup, assert_rejected, public_keys, rs256, sign};

/// A token whose header and signature are made by hand.
fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_good_token_of_every_allowed_algorithm_is_believed() {
    let setup = Setup::new();
    let claims = setup.claims().await;
    let expected = ExternalProfile {
        issuer: ISSUER.into(),
        subject: "subject-1".into(),
        email: Some("ada@example.com".into()),
        email_verified: true,
        name: Some("Ada Lovelace".into()),
        locale: Some("es".into()),
    };
    use Algorithm::*;
    for (algorithm, key_id) in [(RS256, "rsa"), (RS512, "rsa"), (PS256, "rsa"), (ES256, "ec")] {
        let profile = setup.exchange(&sign(algorithm, Some(key_id), &claims)).await.unwrap();
        assert_eq!(profile, expected, "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_claim_that_is_wrong_is_refused() {
    let setup = Setup::new();
    let good = setup.claims().await;
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{ISSUER}/"))),
        ("iss", Value::Null),
        ("aud", json!("another client")),
        ("aud", json!([])),
        ("aud", json!([CLIENT, "another client"])),
        ("aud", Value::Null),
        ("azp", json!("another client")),
        ("nonce", json!("of another attempt")),
        ("nonce", json!("")),
        ("nonce", Value::Null),
        ("exp", json!(NOW)),
        ("exp", json!(NOW - 3600)),
        ("exp", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(" ")),
        ("sub", json!("\u{0}")),
        ("sub", json!("s".repeat(256))),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!("soon")),
        ("nbf", json!(true)),
        ("iat", json!(NOW + 61)),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        assert_rejected(setup.exchange(&rs256(&claims)).await, &format!("{name} {value}"));
    }
    setup.exchange(&rs256(&good)).await.unwrap();
}

#[tokio::test]
async fn a_right_azp_and_a_right_hash_pass() {
    let setup = Setup::new();
    let mut claims = setup.claims().await;
    claims["azp"] = json!(CLIENT);
    claims["at_hash"] = json!(URL_SAFE_NO_PAD.encode(&Sha256::digest(b"access")[..16]));
    setup.exchange(&rs256(&claims)).await.unwrap();
}

#[tokio::test]
async fn a_signature_that_proves_nothing_is_refused() {
    let setup = Setup::new();
    let claims = setup.claims().await;
    let good = rs256(&claims);
    let (body, _) = good.rsplit_once('.').unwrap();
    // Using the public key as a symmetric one, in the two forms that a careless library might accept.
    let public = public_keys()["keys"][0].to_string();
    let confused = |key: &[u8], key_id: &str| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key_id.into());
        encode(&header, &claims, &EncodingKey::from_secret(key)).unwrap()
    };
    let modulus = URL_SAFE_NO_PAD.decode(N).unwrap();
    for (what, token) in [
        ("none", raw(&json!({"alg": "none"}), &claims, b"")),
        ("none with a key id", raw(&json!({"alg": "none", "kid": "rsa"}), &claims, b"")),
        ("None", raw(&json!({"alg": "None", "kid": "rsa"}), &claims, b"")),
        ("no algorithm", raw(&json!({"kid": "rsa"}), &claims, b"")),
        ("our secret", sign(Algorithm::HS256, None, &claims)),
        ("our secret as a published key", sign(Algorithm::HS256, Some("oct"), &claims)),
        ("public key as a secret", confused(public.as_bytes(), "rsa")),
        ("modulus as a secret", confused(&modulus, "rsa")),
        ("no signature", format!("{body}.")),
        ("another signature", raw(&json!({"alg": "RS256", "kid": "rsa"}), &claims, &[7; 256])),
        ("the key of another algorithm", sign(Algorithm::RS256, Some("ec"), &claims)),
        (
            "critical extensions",
            raw(&json!({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}), &claims, &[7; 256]),
        ),
        ("an access token", {
            let mut header = Header::new(Algorithm::RS256);
            (header.kid, header.typ) = (Some("rsa".into()), Some("at+jwt".into()));
            encode(&header, &claims, &EncodingKey::from_rsa_der(RSA)).unwrap()
        }),
        ("not a token", "abc".to_owned()),
        ("empty", String::new()),
        ("changed claims", {
            let mut other = claims.clone();
            other["sub"] = json!("somebody else");
            let (_, signature) = good.rsplit_once('.').unwrap();
            raw(
                &json!({"typ": "JWT", "alg": "RS256", "kid": "rsa"}),
                &other,
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
        }),
    ] {
        assert_rejected(setup.exchange(&token).await, what);
    }
    setup.exchange(&good).await.unwrap();
}

#[tokio::test]
async fn an_answer_without_an_id_token_is_refused() {
    let setup = Setup::new();
    let tokens = json!({"access_token": "access", "token_type": "Bearer"});
    setup.script(|script| script.tokens = (200, tokens.to_string()));
    assert_rejected(setup.ours.exchange("code-1", STATE).await, "no ID token");
}

#[tokio::test]
async fn what_is_not_said_is_not_verified() {
    let setup = Setup::new();
    let mut claims = setup.claims().await;
    for value in [Some(json!(false)), Some(json!("false")), Some(json!("true")), Some(json!(null)), None] {
        match value {
            Some(value) => claims["email_verified"] = value,
            None => drop(claims.as_object_mut().unwrap().remove("email_verified")),
        }
        assert!(!setup.exchange(&rs256(&claims)).await.unwrap().email_verified);
    }
}

/// Some providers send booleans as text. If a provider did so for unverified addresses, any account here could be taken
/// over, so the operator decides which provider is trusted.
#[tokio::test]
async fn a_text_verifies_an_address_only_where_the_operator_says_so() {
    for (allowed, value, verified) in [
        (false, json!("true"), false),
        (true, json!("true"), true),
        (true, json!(true), true),
        (true, json!("false"), false),
        (true, json!(false), false),
        (false, json!(true), true),
    ] {
        let setup = Setup::with(allowed);
        let mut claims = setup.claims().await;
        claims["email_verified"] = value.clone();
        let profile = setup.exchange(&rs256(&claims)).await.unwrap();
        assert_eq!(profile.email_verified, verified, "{allowed} {value}: ID token");
        for name in ["email", "email_verified"] {
            claims.as_object_mut().unwrap().remove(name);
        }
        setup.script(|script| {
            let info = json!({"sub": "subject-1", "email": "ada@example.org", "email_verified": value});
            script.user_info = Some(info);
        });
        let profile = setup.exchange(&rs256(&claims)).await.unwrap();
        assert_eq!(profile.email_verified, verified, "{allowed} {value}: user info");
    }
}

#[tokio::test]
async fn a_token_is_good_once_its_time_has_come() {
    let setup = Setup::new();
    let mut claims = setup.claims().await;
    for (nbf, iat) in [(NOW, NOW), (NOW - 3600, NOW - 10), (NOW + 60, NOW + 60)] {
        (claims["nbf"], claims["iat"]) = (json!(nbf), json!(iat));
        setup.exchange(&rs256(&claims)).await.unwrap();
    }
}
