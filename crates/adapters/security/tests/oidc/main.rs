//! `OidcProvider` against a scripted provider, with keys made for these tests.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod tokens;

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

const RSA: &[u8] = include_bytes!("../keys/rsa.der");
const EC: &[u8] = include_bytes!("../keys/ec.der");

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
