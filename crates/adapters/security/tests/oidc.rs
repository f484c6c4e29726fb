//! `OidcProvider` against a scripted provider, with keys made for these tests.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use portico_identity::{IdentityError, external::ExternalProfile, ports::OpenIdProvider};
use portico_kernel::{
    Clock, Env, Timestamp,
    http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse},
};
use portico_security::{OidcProvider, ProviderConfig, SystemRandom};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const ISSUER: &str = "https://issuer.example";
const CLIENT: &str = "portico";
const SECRET: &str = "the secret at the provider";
const STATE: &str = "state-of-the-attempt";
const NOW: i64 = 1_800_000_000;

const RSA: &[u8] = include_bytes!("keys/rsa.der");
const EC: &[u8] = include_bytes!("keys/ec.der");

struct SetClock(AtomicI64);
impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// Public halves of the keys.
const N: &str = "sO5oamz3go3zUWFuHV-mmIbOFBmUyCaghwmoqleKvf7qRV9qRJaZPqxMlWi-cJRk4neq7f4IsV6takXTTO_M-WL2Gh\
    iP6BFixQBKUymPd5Y8tnDypxq80fYtmgwgbhKdeQ6WeJlotttZ2RUmPQ9cWtQ8JqGTB6nY5gjkC-CUGa8DeDmCSVs0\
    3GbbGlMAm8hv6guuOn31I0Bm-S_RXFrTrk1moVf1__nOqT42HM0lfFjNTq62g08oF0--HcB_YwxBa0yGHqm3XAsj4K\
    WLVR_H4D5-TcGYTY_8WzRWGqoxkvx8R7p3CUnvfiedSwJ5ePqKkMgwelORsKrHwOQ-Thz8YQ";
const X: &str = "7vT6oL4GGg4mg1Azcjy2j_8_tDzFO3FQ64mcKmn-HHk";
const Y: &str = "UVmaummxmsrCNF9h3BPIAT3L6tMhjnT99CDBVC3itnY";

/// The behaviour of the provider.
struct Script {
    metadata: Value,
    keys: Value,
    /// Response of the token endpoint.
    tokens: (u16, String),
    user_info: Option<Value>,
    down: bool,
}

/// The provider, behind the client that would call it.
struct Provider {
    script: Mutex<Script>,
    discoveries: AtomicUsize,
    key_requests: AtomicUsize,
    /// Form and `Authorization` of the last request for tokens.
    token_request: Mutex<(HashMap<String, String>, Option<String>)>,
}

#[async_trait]
impl HttpClient for Provider {
    fn admits(&self, _: &str) -> Result<(), HttpError> {
        Ok(())
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let script = self.script.lock().unwrap();
        if script.down {
            return Err(HttpError::Unreachable("down".into()));
        }
        let json = |value: &Value| (200, value.to_string());
        let (status, body) = match request.url.strip_prefix(ISSUER).unwrap() {
            "/.well-known/openid-configuration" => {
                self.discoveries.fetch_add(1, Ordering::SeqCst);
                json(&script.metadata)
            }
            "/keys" => {
                self.key_requests.fetch_add(1, Ordering::SeqCst);
                json(&script.keys)
            }
            "/token" => {
                assert_eq!(request.method, HttpMethod::Post);
                let header = request.headers.iter().find(|(name, _)| name == "authorization");
                let form = url::form_urlencoded::parse(&request.body).into_owned().collect();
                *self.token_request.lock().unwrap() = (form, header.map(|(_, value)| value.clone()));
                script.tokens.clone()
            }
            "/userinfo" => json(script.user_info.as_ref().unwrap()),
            other => panic!("nobody asks for {other}"),
        };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Ok(HttpResponse { status, headers, body: body.into_bytes() })
    }
}

fn public_keys() -> Value {
    json!({"keys": [
        {"kty": "RSA", "kid": "rsa", "use": "sig", "n": N, "e": "AQAB"},
        {"kty": "EC", "kid": "ec", "use": "sig", "crv": "P-256", "x": X, "y": Y},
        {"kty": "oct", "kid": "oct", "use": "sig", "k": URL_SAFE_NO_PAD.encode(SECRET)},
    ]})
}

fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/authorize"),
        "token_endpoint": format!("{ISSUER}/token"),
        "userinfo_endpoint": format!("{ISSUER}/userinfo"),
        "jwks_uri": format!("{ISSUER}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "HS256", "none", "XY999"],
    })
}

struct Setup {
    provider: Arc<Provider>,
    ours: OidcProvider,
    clock: Arc<SetClock>,
}

impl Setup {
    fn new() -> Self {
        Self::with(false)
    }

    fn with(email_verified_as_text: bool) -> Self {
        let script = Script {
            metadata: metadata(),
            keys: public_keys(),
            tokens: (500, String::new()),
            user_info: None,
            down: false,
        };
        let provider = Arc::new(Provider {
            script: Mutex::new(script),
            discoveries: AtomicUsize::new(0),
            key_requests: AtomicUsize::new(0),
            token_request: Mutex::default(),
        });
        let config = ProviderConfig {
            name: "test".into(),
            display_name: "Test".into(),
            issuer: ISSUER.into(),
            client_id: CLIENT.into(),
            client_secret: SECRET.to_owned().into(),
            scopes: vec!["openid".into(), "email".into(), "profile".into()],
            redirect_uri: "https://portal.example/auth/callback".into(),
            email_verified_as_text,
        };
        let clock = Arc::new(SetClock(AtomicI64::new(NOW)));
        let env = Env::new(clock.clone(), Arc::new(SystemRandom));
        let secret = "0123456789abcdef0123456789abcdef".to_owned().into();
        let ours = OidcProvider::new(config, &secret, provider.clone(), env).unwrap();
        Self { provider, ours, clock }
    }

    fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.provider.script.lock().unwrap());
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The parameters of the URL that the browser is redirected to.
    async fn departure(&self) -> BTreeMap<String, String> {
        let url = self.ours.authorization_url(STATE).await.unwrap();
        let url: url::Url = url.parse().unwrap();
        assert!(url.as_str().starts_with(&format!("{ISSUER}/authorize?")));
        url.query_pairs().into_owned().collect()
    }

    /// Claims of a valid ID token.
    async fn claims(&self) -> Value {
        json!({
            "iss": ISSUER, "aud": CLIENT, "sub": "subject-1", "iat": NOW, "exp": NOW + 300,
            "nonce": self.departure().await["nonce"],
            "email": "ada@example.com", "email_verified": true, "name": "Ada Lovelace", "locale": "es",
        })
    }

    /// Exchanges a code for this ID token.
    async fn exchange(&self, id_token: &str) -> Result<ExternalProfile, IdentityError> {
        let tokens = json!({"access_token": "access", "token_type": "Bearer", "id_token": id_token});
        self.script(|script| script.tokens = (200, tokens.to_string()));
        self.ours.exchange("code-1", STATE).await
    }
}

fn sign(algorithm: Algorithm, key_id: Option<&str>, claims: &Value) -> String {
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_der(EC),
        Algorithm::HS256 => EncodingKey::from_secret(SECRET.as_bytes()),
        _ => EncodingKey::from_rsa_der(RSA),
    };
    let mut header = Header::new(algorithm);
    header.kid = key_id.map(str::to_owned);
    encode(&header, claims, &key).unwrap()
}

fn rs256(claims: &Value) -> String {
    sign(Algorithm::RS256, Some("rsa"), claims)
}

/// A token whose header and signature are made by hand.
fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(signature))
}

#[track_caller]
fn assert_rejected(answer: Result<ExternalProfile, IdentityError>, what: &str) {
    assert!(matches!(answer, Err(IdentityError::SignInRejected(_))), "{what}: {answer:?}");
}

#[tokio::test]
async fn the_address_asks_for_a_code_with_everything_that_protects_it() {
    let setup = Setup::new();
    let first = setup.departure().await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("state", STATE),
        ("redirect_uri", "https://portal.example/auth/callback"),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    assert!(first["nonce"].len() == 43 && first["code_challenge"].len() == 43);
    let other = setup.ours.authorization_url("another-state").await.unwrap();
    assert!(!other.contains(&first["nonce"]) && !other.contains(&first["code_challenge"]));
    assert!(!other.contains(SECRET));
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
async fn the_code_is_sent_with_verifier_and_credentials() {
    let setup = Setup::new();
    let departure = setup.departure().await;
    setup.exchange(&rs256(&setup.claims().await)).await.unwrap();
    let (form, authorization) = setup.provider.token_request.lock().unwrap().clone();
    assert_eq!((form["code"].as_str(), form["grant_type"].as_str()), ("code-1", "authorization_code"));
    assert_eq!(form["redirect_uri"], departure["redirect_uri"]);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    assert_eq!(challenge, departure["code_challenge"]);
    assert!(authorization.unwrap().starts_with("Basic "));
    assert!(!form.contains_key("client_secret"));
}

#[tokio::test]
async fn a_provider_may_want_its_secret_in_the_form() {
    let setup = Setup::new();
    setup.script(|s| s.metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
    setup.exchange(&rs256(&setup.claims().await)).await.unwrap();
    let (form, authorization) = setup.provider.token_request.lock().unwrap().clone();
    assert_eq!((form["client_secret"].as_str(), authorization), (SECRET, None));
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
async fn a_code_that_it_does_not_know_is_told_from_a_provider_that_fails() {
    let setup = Setup::new();
    setup.script(|script| script.tokens = (400, json!({"error": "invalid_grant"}).to_string()));
    assert_rejected(setup.ours.exchange("code-1", STATE).await, "invalid_grant");
    for (status, body) in [
        (401, json!({"error": "invalid_client"}).to_string()),
        (500, json!({"error": "server_error"}).to_string()),
        (502, "<html>Bad gateway</html>".to_owned()),
        (503, String::new()),
        (302, String::new()),
    ] {
        setup.script(|script| script.tokens = (status, body.clone()));
        let answer = setup.ours.exchange("code-1", STATE).await;
        assert!(matches!(answer, Err(IdentityError::ProviderUnavailable(_))), "{status} {body}: {answer:?}");
    }
}

#[tokio::test]
async fn a_new_key_is_fetched_but_not_for_everybody_who_makes_one_up() {
    let setup = Setup::new();
    let claims = setup.claims().await;
    let requests = || setup.provider.key_requests.load(Ordering::SeqCst);
    assert_eq!(requests(), 1, "with the discovery document");
    let rotated =
        |key_id: &str| json!({"keys": [{"kty": "RSA", "kid": key_id, "use": "sig", "n": N, "e": "AQAB"}]});
    setup.script(|script| script.keys = rotated("new"));
    let token = |key_id: &str| sign(Algorithm::RS256, Some(key_id), &claims);
    setup.exchange(&token("new")).await.unwrap();
    assert_eq!(requests(), 2);
    assert_rejected(setup.exchange(&token("rsa")).await, "the old key is gone");
    for number in 0..5 {
        assert_rejected(setup.exchange(&token(&format!("made-up-{number}"))).await, "made up");
    }
    assert_eq!(requests(), 2, "within the same minute");
    setup.pass(61);
    assert_rejected(setup.exchange(&token("made-up")).await, "made up");
    assert_eq!(requests(), 3);
}

#[tokio::test]
async fn the_discovery_document_is_kept_and_renewed() {
    let setup = Setup::new();
    let discoveries = || setup.provider.discoveries.load(Ordering::SeqCst);
    for _ in 0..3 {
        setup.departure().await;
    }
    assert_eq!(discoveries(), 1);
    setup.pass(3600);
    setup.departure().await;
    assert_eq!(discoveries(), 2);
    // The cached state is used for a day.
    setup.script(|script| script.down = true);
    setup.pass(3601);
    setup.departure().await;
    setup.pass(24 * 3600);
    let answer = setup.ours.authorization_url(STATE).await;
    assert!(matches!(answer, Err(IdentityError::ProviderUnavailable(_))), "{answer:?}");
    setup.script(|script| script.down = false);
    assert!(setup.ours.authorization_url(STATE).await.is_err(), "it is left alone for a moment");
    setup.pass(5);
    setup.departure().await;
}

#[tokio::test]
async fn a_document_of_somebody_else_is_not_believed() {
    for (field, value) in [
        ("issuer", "https://evil.example"),
        ("issuer", "https://issuer.example/"),
        ("authorization_endpoint", "javascript:alert(1)"),
        ("authorization_endpoint", "http://issuer.example/authorize"),
        ("jwks_uri", "no address"),
    ] {
        let setup = Setup::new();
        setup.script(|script| script.metadata[field] = json!(value));
        let answer = setup.ours.authorization_url(STATE).await;
        assert!(matches!(answer, Err(IdentityError::ProviderUnavailable(_))), "{field} {value}: {answer:?}");
    }
}

#[tokio::test]
async fn an_address_that_the_token_lacks_is_asked_for() {
    let setup = Setup::new();
    let mut claims = setup.claims().await;
    for name in ["email", "email_verified", "name"] {
        claims.as_object_mut().unwrap().remove(name);
    }
    setup.script(|script| {
        script.user_info = Some(
            json!({"sub": "subject-1", "email": "ada@example.org", "email_verified": true, "name": "Ada"}),
        );
    });
    let profile = setup.exchange(&rs256(&claims)).await.unwrap();
    assert_eq!((profile.email.as_deref(), profile.email_verified), (Some("ada@example.org"), true));
    assert_eq!(profile.name.as_deref(), Some("Ada"));
    setup.script(|script| {
        script.user_info = Some(json!({"sub": "somebody else", "email": "eve@example.org"}))
    });
    assert_rejected(setup.exchange(&rs256(&claims)).await, "about somebody else");
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
