//! Answers of an identity provider: whatever they are, a user is signed in only by an ID token that the provider signed for us, for
//! this attempt, and that is valid now.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::{
    rand::SystemRandom as Entropy,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portico_identity::{external::ExternalProfile, ports::OpenIdProvider};
use portico_kernel::{
    Clock, Env, Random, Timestamp,
    http::{HttpClient, HttpError, HttpRequest, HttpResponse},
};
use portico_security::{OidcProvider, ProviderConfig};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const ISSUER: &str = "https://issuer.example";
const CLIENT: &str = "portico";
const STATE: &str = "state-of-the-attempt";
const SUBJECT: &str = "subject-1";
const EMAIL: &str = "ada@example.com";
const NOW: i64 = 1_800_000_000;

/// Seconds by which a provider's clock may be ahead.
const LEEWAY: f64 = 60.0;

/// A fixed clock and fixed randomness.
struct Still;
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(NOW).unwrap_or_else(|| time::OffsetDateTime::UNIX_EPOCH.into())
    }
}
impl Random for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// What the provider answers to each question.
#[derive(Clone, Default)]
struct Answers {
    discovery: String,
    keys: String,
    tokens: String,
    user_info: String,
}

/// The provider, behind the client that would call it.
struct Provider(Mutex<Answers>);

#[async_trait]
impl HttpClient for Provider {
    fn admits(&self, _: &str) -> Result<(), HttpError> {
        Ok(())
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let body = match request.url.strip_prefix(ISSUER) {
            Some("/.well-known/openid-configuration") => &answers.discovery,
            Some("/keys") => &answers.keys,
            Some("/token") => &answers.tokens,
            Some("/userinfo") => &answers.user_info,
            // Any other URL in a document is answered, too.
            _ => &answers.tokens,
        };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Ok(HttpResponse { status: 200, headers, body: body.clone().into_bytes() })
    }
}

/// Everything that a sign-in needs.
struct Setup {
    runtime: Runtime,
    pair: EcdsaKeyPair,
    genuine: Answers,
    nonce: String,
}

static SETUP: LazyLock<Option<Setup>> = LazyLock::new(setup);

fn setup() -> Option<Setup> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
    // An uncompressed point: 4, x, y (SEC 1 section 2.3.3).
    let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
    let keys = json!({"keys": [{
        "kty": "EC", "kid": "ec", "use": "sig", "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    }]});
    let discovery = json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/authorize"),
        "token_endpoint": format!("{ISSUER}/token"),
        "userinfo_endpoint": format!("{ISSUER}/userinfo"),
        "jwks_uri": format!("{ISSUER}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    let mut genuine = Answers {
        discovery: discovery.to_string(),
        keys: keys.to_string(),
        tokens: String::new(),
        user_info: json!({"sub": SUBJECT, "email": EMAIL, "email_verified": true}).to_string(),
    };
    let url = runtime.block_on(provider(genuine.clone())?.authorization_url(STATE)).ok()?;
    let url: url::Url = url.parse().ok()?;
    let nonce = url.query_pairs().find(|(name, _)| name == "nonce")?.1.into_owned();
    let mut setup = Setup { runtime, pair, nonce, genuine: Answers::default() };
    genuine.tokens = setup.tokens(&setup.claims().to_string())?;
    setup.genuine = genuine;
    Some(setup)
}

/// Our client of the provider. Nothing of an earlier answer is cached.
fn provider(answers: Answers) -> Option<OidcProvider> {
    let config = ProviderConfig {
        name: "fuzz".into(),
        display_name: "Fuzz".into(),
        issuer: ISSUER.into(),
        client_id: CLIENT.into(),
        client_secret: "the secret at the provider".to_owned().into(),
        scopes: Vec::new(),
        redirect_uri: "https://portal.example/auth/callback".into(),
        email_verified_as_text: false,
    };
    let env = Env::new(Arc::new(Still), Arc::new(Still));
    OidcProvider::new(config, &"fuzz".repeat(11).into(), Arc::new(Provider(Mutex::new(answers))), env).ok()
}

impl Setup {
    /// Claims of a good ID token.
    fn claims(&self) -> Value {
        json!({
            "iss": ISSUER, "aud": CLIENT, "sub": SUBJECT, "iat": NOW, "exp": NOW + 300, "nonce": self.nonce,
            "email": EMAIL, "email_verified": true, "name": "Ada", "locale": "es",
        })
    }

    /// The answer of the token endpoint with these claims, signed.
    fn tokens(&self, claims: &str) -> Option<String> {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let body = format!("{}.{}", part(r#"{"alg":"ES256","kid":"ec"}"#), part(claims));
        let signature = self.pair.sign(&Entropy::new(), body.as_bytes()).ok()?;
        let token = format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature));
        Some(json!({"access_token": "access", "token_type": "Bearer", "id_token": token}).to_string())
    }

    fn exchange(&self, answers: Answers) -> Option<ExternalProfile> {
        self.runtime.block_on(provider(answers)?.exchange("code", STATE)).ok()
    }
}

/// Names of claims that an input may replace.
const CLAIMS: &[&str] = &[
    "iss",
    "aud",
    "sub",
    "iat",
    "exp",
    "nbf",
    "nonce",
    "azp",
    "at_hash",
    "email",
    "email_verified",
    "name",
    "locale",
];

/// Claims, and values of claims.
pub fn claims() -> &'static [&'static str] {
    static CORPUS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let Some(setup) = &*SETUP else { return Vec::new() };
        let good = setup.claims();
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            &*claims.to_string().leak()
        };
        let mut corpus = vec![
            with("azp", json!(CLIENT)),
            with("aud", json!([CLIENT])),
            with("aud", json!([CLIENT, "other"])),
            with("sub", json!("")),
            with("email_verified", json!("true")),
            with("email_verified", json!(1)),
            with("nbf", json!(NOW + 61)),
            with("nbf", json!(NOW)),
            with("iat", json!(NOW + 3600)),
            with("exp", json!(NOW)),
            with("exp", json!(1e300)),
            with("name", json!({"en": "x"})),
            with("address", json!({"formatted": []})),
            &*good.to_string().leak(),
        ];
        corpus.extend([
            "\"\"",
            "null",
            "true",
            "\"true\"",
            "false",
            "0",
            "-1",
            "1800000000",
            "1800000061",
            "1e300",
            "-0.0",
            "[]",
            "{}",
            "[\"portico\"]",
            "\"portico\"",
            "\"https://issuer.example\"",
            "\"https://issuer.example/\"",
            "\"subject-1\"",
            " ",
            "\"\\u0000\"",
            "{\"sub\":\"a\",\"sub\":\"b\"}",
            "\"email_verified\":true,",
            "\"email_verified\":\"true\",",
            "\"name#es\":\"x\",",
            "[[[[",
            "}",
            ",",
        ]);
        corpus
    });
    &CORPUS
}

/// Signs an input as the claims of an ID token, or as the value of one of them.
pub fn check_claims(input: &str) -> Result<bool, String> {
    let setup = SETUP.as_ref().ok_or("no provider")?;
    let is_object = input.trim_start().starts_with('{');
    let claims = match is_object {
        true => input.to_owned(),
        false => {
            let name = CLAIMS.get(input.len() % CLAIMS.len()).copied().unwrap_or("sub");
            let mut claims = setup.claims();
            claims[name] = serde_json::from_str(input).unwrap_or_else(|_| json!(input));
            claims.to_string()
        }
    };
    let answers = Answers { tokens: setup.tokens(&claims).ok_or("no signature")?, ..setup.genuine.clone() };
    let Some(profile) = setup.exchange(answers) else { return Ok(false) };
    let read: Value =
        serde_json::from_str(&claims).map_err(|error| format!("accepted, but no JSON: {error}"))?;
    let latest = NOW as f64 + LEEWAY;
    let begun = |name: &str| read[name].is_null() || read[name].as_f64().is_some_and(|time| time <= latest);
    let audience = read["aud"] == CLIENT || read["aud"] == json!([CLIENT]);
    for (holds, rule) in [
        (read["iss"] == ISSUER, "issuer"),
        (audience, "audience"),
        (read["azp"].is_null() || read["azp"] == CLIENT, "authorized party"),
        (read["nonce"] == setup.nonce, "nonce"),
        (read["exp"].as_f64().is_some_and(|end| end > NOW as f64), "expiry"),
        (begun("nbf") && begun("iat"), "not before"),
        (read["sub"] == profile.subject && !profile.subject.trim().is_empty(), "subject"),
        (read["email"].is_null() || read["email"].as_str() == profile.email.as_deref(), "address"),
    ] {
        if !holds {
            return Err(format!("signed in against the rule of the {rule}: {profile:?}"));
        }
    }
    // Without an address in the token, that of the user info counts.
    let verified = if read["email"].is_null() { &Value::Bool(true) } else { &read["email_verified"] };
    if profile.email_verified != (*verified == true) {
        return Err(format!("verified by {verified}: {profile:?}"));
    }
    Ok(true)
}

/// Documents, and pieces of them.
pub fn documents() -> &'static [&'static str] {
    static CORPUS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let Some(setup) = &*SETUP else { return Vec::new() };
        let Answers { discovery, keys, tokens, user_info } = setup.genuine.clone();
        let whole = [discovery, keys, tokens, user_info].map(|text| &*text.leak());
        let mut corpus = whole.to_vec();
        corpus.extend([
            "{\"keys\":[]}",
            "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}",
            "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
            "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\",\"y\":\"\"}]}",
            "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}",
            "{\"error\":\"invalid_grant\"}",
            "{\"access_token\":\"a\",\"token_type\":\"Bearer\"}",
            "{\"sub\":\"subject-1\"}",
            "{\"sub\":\"subject-1\",\"email\":\"eve@example.com\",\"email_verified\":\"true\"}",
            "{\"sub\":\"other\",\"email\":\"eve@example.com\"}",
            "eyJhbGciOiJub25lIn0.e30.",
            "eyJhbGciOiJub25lIn0",
            "\"issuer\":\"https://evil.example\",",
            "\"jwks_uri\":\"https://evil.example\",",
            "\"token_endpoint\":\"file:///etc/passwd\",",
            "[",
            "{",
            "\"",
            "null",
            "\u{feff}",
            "[[[[[[[[",
            "{\"a\":{\"a\":{\"a\":",
            "1e999",
            "\\ud800",
        ]);
        corpus
    });
    &CORPUS
}

/// Requests to a provider.
const QUESTIONS: &[&str] = &["discovery", "keys", "tokens", "ID token", "user info"];

/// Answers one of the requests with an input, and the others correctly.
pub fn check_documents(input: &str) -> Result<bool, String> {
    let setup = SETUP.as_ref().ok_or("no provider")?;
    let sum: usize = input.bytes().map(usize::from).sum();
    let question = QUESTIONS.get(sum % QUESTIONS.len()).copied().unwrap_or_default();
    let mut answers = setup.genuine.clone();
    match question {
        "discovery" => input.clone_into(&mut answers.discovery),
        "keys" => input.clone_into(&mut answers.keys),
        "tokens" => input.clone_into(&mut answers.tokens),
        "ID token" => {
            let tokens = json!({"access_token": "access", "token_type": "Bearer", "id_token": input});
            answers.tokens = tokens.to_string();
        }
        _ => {
            // It is asked where the ID token has no address.
            let mut claims = setup.claims();
            claims.as_object_mut().into_iter().for_each(|claims| drop(claims.remove("email")));
            answers.tokens = setup.tokens(&claims.to_string()).ok_or("no signature")?;
            input.clone_into(&mut answers.user_info);
        }
    }
    let Some(profile) = setup.exchange(answers) else { return Ok(false) };
    if (profile.subject.as_str(), profile.issuer.as_str()) != (SUBJECT, ISSUER) {
        return Err(format!("{question}: signed in as somebody else: {profile:?}"));
    }
    if question != "user info" {
        let is_signed = profile.email.as_deref() == Some(EMAIL) && profile.email_verified;
        return if is_signed {
            Ok(true)
        } else {
            Err(format!("{question}: not what was signed: {profile:?}"))
        };
    }
    let said: Value = serde_json::from_str(input).unwrap_or_default();
    if profile.email_verified && (said["email_verified"] != true || said["sub"] != SUBJECT) {
        return Err(format!("{question}: verified by {}: {profile:?}", said["email_verified"]));
    }
    Ok(true)
}
