//! OpenID Connect providers: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9700).

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use openidconnect::{
    AccessTokenHash, AsyncHttpClient, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest as TheirRequest,
    HttpResponse as TheirResponse, IdTokenVerifier, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, SubjectIdentifier,
    TokenResponse, UserInfoError,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdToken,
        CoreIdTokenClaims, CoreJsonWebKeySet, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreTokenResponse, CoreUserInfoClaims,
    },
    http,
};
use portico_identity::{IdentityError, external::ExternalProfile, ports::OpenIdProvider};
use portico_kernel::{
    Env, Timestamp,
    http::{HttpClient, HttpError, HttpMethod, HttpRequest, Patience},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use time::Duration;

use crate::keys::Secrets;

mod cache;

use cache::ProviderCache;

/// Accepted signature algorithms of an ID token. None are symmetric: our client secret must not be a key to our accounts.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
];

/// Most bytes of a subject (OpenID Connect Core section 2).
const LONGEST_SUBJECT: usize = 255;

/// How far the clock of a provider may be ahead of ours.
const LEEWAY: Duration = Duration::minutes(1);

/// Our registration at a provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Name in paths and settings.
    pub name: String,
    /// Name on a button.
    pub display_name: String,
    /// Issuer identifier, exactly as the provider writes it.
    pub issuer: String,
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: SecretString,
    /// Scopes to request besides `openid`.
    pub scopes: Vec<String>,
    /// Where the provider redirects the browser.
    pub redirect_uri: String,
    /// Whether `email_verified` may be a text, against OpenID Connect Core section 5.1.
    pub email_verified_as_text: bool,
}

/// A provider. Its discovery document and keys are cached, see [`ProviderCache`].
pub struct OidcProvider {
    config: ProviderConfig,
    redirect: RedirectUrl,
    secrets: Hmac<Sha256>,
    cache: ProviderCache,
    http: Outbound,
    env: Env,
}

type ProviderClient = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl OidcProvider {
    /// Makes no request to the provider before the first sign-in. `secrets` are the signing ones of the installation. Errors when a URL
    /// is invalid.
    pub fn new(
        config: ProviderConfig,
        secrets: &Secrets,
        http: Arc<dyn HttpClient>,
        env: Env,
    ) -> Result<Self, IdentityError> {
        let broken =
            |error: &dyn Error| IdentityError::Internal(format!("provider {}: {error}", config.name));
        let redirect = RedirectUrl::new(config.redirect_uri.clone()).map_err(|error| broken(&error))?;
        let cache = ProviderCache::new(&config.issuer).map_err(|error| broken(&error))?;
        // An attempt lasts minutes: one that was begun under an earlier secret is begun again.
        let secrets = secrets.macs("portico openid connect").current();
        Ok(Self { redirect, secrets, cache, http: Outbound(http), env, config })
    }

    /// A secret for one purpose, derived from the state of an attempt, so that none has to be stored: it cannot be computed
    /// from the database, or from the state in a URL.
    fn derived(&self, purpose: &str, state: &str) -> String {
        let mut mac = self.secrets.clone();
        for part in [purpose, &self.config.name, state] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    fn verifier(&self, state: &str) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.derived("verifier", state))
    }

    fn nonce(&self, state: &str) -> Nonce {
        Nonce::new(self.derived("nonce", state))
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> ProviderClient {
        let methods = metadata.token_endpoint_auth_methods_supported();
        let knows = |method| methods.is_none_or(|methods| methods.contains(&method));
        // The default is HTTP Basic (OpenID Connect Discovery section 3).
        let in_body =
            !knows(CoreClientAuthMethod::ClientSecretBasic) && knows(CoreClientAuthMethod::ClientSecretPost);
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(self.config.client_id.clone()),
            Some(ClientSecret::new(self.config.client_secret.expose_secret().to_owned())),
        );
        let client = client.set_redirect_uri(self.redirect.clone());
        client.set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth })
    }

    async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, IdentityError> {
        self.cache.metadata(&self.http, self.env.now()).await.map_err(|cause| self.unavailable(cause))
    }

    fn unavailable(&self, cause: impl std::fmt::Display) -> IdentityError {
        IdentityError::ProviderUnavailable(format!("{}: {cause}", self.config.name))
    }

    fn rejected(&self, cause: impl std::fmt::Display) -> IdentityError {
        IdentityError::SignInRejected(format!("{}: {cause}", self.config.name))
    }

    /// Validates the ID token (OpenID Connect Core section 3.1.3.7).
    fn verify(
        &self,
        keys: CoreJsonWebKeySet,
        metadata: &CoreProviderMetadata,
        tokens: &CoreTokenResponse,
        nonce: &Nonce,
    ) -> Result<CoreIdTokenClaims, Unverified> {
        let now = chrono_time(self.env.now());
        // As for a client without a secret: so the library has no key for symmetric algorithms.
        let verifier = IdTokenVerifier::new_public_client(
            ClientId::new(self.config.client_id.clone()),
            metadata.issuer().clone(),
            keys,
        )
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || now);
        let token = tokens.id_token().ok_or(Unverified::Rejected("no ID token".into()))?;
        let claims = token.claims(&verifier, nonce).map_err(|error| match error {
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                Unverified::UnknownKey
            }
            error => Unverified::Rejected(chain(&error)),
        })?;
        if !is_subject(claims.subject()) {
            return Err(Unverified::Rejected("no subject".into()));
        }
        if !raw_claims(token).is_some_and(|claims| claims.is_in_force(self.env.now())) {
            return Err(Unverified::Rejected("not in force yet".into()));
        }
        if claims.authorized_party().is_some_and(|party| party.as_str() != self.config.client_id) {
            return Err(Unverified::Rejected("issued to somebody else".into()));
        }
        if let Some(claimed) = claims.access_token_hash() {
            let computed = token
                .signing_alg()
                .and_then(|algorithm| Ok((algorithm, token.signing_key(&verifier)?)))
                .map_err(|error| Unverified::Rejected(chain(&error)))
                .and_then(|(algorithm, key)| {
                    AccessTokenHash::from_token(tokens.access_token(), algorithm, key)
                        .map_err(|error| Unverified::Rejected(chain(&error)))
                })?;
            if computed != *claimed {
                return Err(Unverified::Rejected("not the hash of the access token".into()));
            }
        }
        Ok(claims.clone())
    }

    /// The user info, if the provider has such an endpoint.
    async fn user_info(
        &self,
        client: &ProviderClient,
        tokens: &CoreTokenResponse,
        claims: &CoreIdTokenClaims,
    ) -> Result<Option<(CoreUserInfoClaims, RawClaims)>, IdentityError> {
        let subject = Some(claims.subject().clone());
        let Ok(request) = client.user_info(tokens.access_token().clone(), subject) else { return Ok(None) };
        let http = Watched::new(&self.http);
        match request.request_async(&http).await {
            Ok(info) => {
                let raw = serde_json::from_slice(&http.last().body).unwrap_or_default();
                Ok(Some((info, raw)))
            }
            Err(UserInfoError::ClaimsVerification(error)) => Err(self.rejected(chain(&error))),
            Err(error) => Err(self.unavailable(chain(&error))),
        }
    }
}

/// Why an ID token is rejected.
enum Unverified {
    /// Signed with an unknown key.
    UnknownKey,
    Rejected(String),
}

#[async_trait]
impl OpenIdProvider for OidcProvider {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn display_name(&self) -> &str {
        &self.config.display_name
    }

    fn issuer(&self) -> &str {
        &self.config.issuer
    }

    async fn authorization_url(&self, state: &str) -> Result<String, IdentityError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata);
        let (csrf, nonce) = (CsrfToken::new(state.to_owned()), self.nonce(state));
        let scopes = self.config.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new);
        let (url, _, _) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || csrf, move || nonce)
            .add_scopes(scopes)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&self.verifier(state)))
            .url();
        Ok(url.into())
    }

    async fn exchange(&self, code: &str, state: &str) -> Result<ExternalProfile, IdentityError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata);
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| self.unavailable(error))?
            .set_pkce_verifier(self.verifier(state));
        let http = Watched::new(&self.http);
        let tokens = request.request_async(&http).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(answer)
                if *answer.error() == CoreErrorResponseType::InvalidGrant =>
            {
                self.rejected("it does not know the code")
            }
            // A successful response that cannot be parsed: not a token.
            RequestTokenError::Parse(error, _) if http.last().status == 200 => self.rejected(chain(&error)),
            error => self.unavailable(chain(&error)),
        })?;

        let nonce = self.nonce(state);
        let mut verified = self.verify(metadata.jwks().clone(), &metadata, &tokens, &nonce);
        if let Err(Unverified::UnknownKey) = verified
            && let Some(keys) = self.cache.renew_keys(&self.http, self.env.now()).await
        {
            verified = self.verify(keys, &metadata, &tokens, &nonce);
        }
        let claims = verified.map_err(|unverified| match unverified {
            Unverified::UnknownKey => self.rejected("signed with an unknown key"),
            Unverified::Rejected(cause) => self.rejected(cause),
        })?;

        let raw = tokens.id_token().and_then(raw_claims).unwrap_or_default();
        let as_text = self.config.email_verified_as_text;
        let mut profile = ExternalProfile {
            issuer: metadata.issuer().to_string(),
            subject: claims.subject().to_string(),
            email: claims.email().map(|email| email.to_string()),
            email_verified: raw.is_email_verified(as_text),
            name: claims.name().and_then(|name| name.get(None)).map(|name| name.to_string()),
            locale: claims.locale().map(|locale| locale.to_string()),
        };
        if profile.email.is_none()
            && let Some((info, raw)) = self.user_info(&client, &tokens, &claims).await?
        {
            profile.email = info.email().map(|email| email.to_string());
            profile.email_verified = raw.is_email_verified(as_text);
            let name = info.name().and_then(|name| name.get(None)).map(|name| name.to_string());
            profile.name = profile.name.or(name);
            profile.locale = profile.locale.or(info.locale().map(|locale| locale.to_string()));
        }
        Ok(profile)
    }
}

fn chrono_time(time: Timestamp) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(time.unix_micros())
        .unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC)
}

/// An error with its causes. None of those logged here contains a token or a code.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Adapts our HTTP client to the library.
struct Outbound(Arc<dyn HttpClient>);

type Answer<'c> = Pin<Box<dyn Future<Output = Result<TheirResponse, HttpError>> + Send + 'c>>;

impl<'c> AsyncHttpClient<'c> for Outbound {
    type Error = HttpError;
    type Future = Answer<'c>;

    fn call(&'c self, request: TheirRequest) -> Self::Future {
        Box::pin(async move {
            let method =
                if request.method() == http::Method::POST { HttpMethod::Post } else { HttpMethod::Get };
            let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            };
            let ours = HttpRequest {
                method,
                url: request.uri().to_string(),
                headers: request.headers().iter().filter_map(header).collect(),
                body: request.into_body(),
                patience: Patience::default(),
            };
            let answer = self.0.send(ours).await?;
            let mut theirs = http::Response::builder().status(answer.status);
            for (name, value) in answer.headers {
                theirs = theirs.header(name, value);
            }
            theirs.body(answer.body).map_err(|error| HttpError::Unreachable(error.to_string()))
        })
    }
}

/// Whether a subject is valid: 1 to 255 characters (OpenID Connect Core section 2). All users without one would share an
/// account.
fn is_subject(subject: &SubjectIdentifier) -> bool {
    !subject.trim().is_empty() && subject.len() <= LONGEST_SUBJECT && !subject.contains(char::is_control)
}

/// Claims as the provider wrote them, where the library loses information: it takes a text for a boolean, and ignores
/// `nbf`.
#[derive(Default, Deserialize)]
struct RawClaims {
    #[serde(default)]
    email_verified: Value,
    #[serde(default)]
    nbf: Value,
    #[serde(default)]
    iat: Value,
}

impl RawClaims {
    /// Whether the address is verified: only by `true`, and by the text `"true"` where the operator allows it for the
    /// provider.
    fn is_email_verified(&self, as_text: bool) -> bool {
        self.email_verified == Value::Bool(true) || as_text && self.email_verified == "true"
    }

    /// Whether the time in `nbf` has passed (RFC 7519 section 4.1.5), and the token was not issued in the future.
    fn is_in_force(&self, now: Timestamp) -> bool {
        let latest = (now + LEEWAY).unix_seconds() as f64;
        let has_come = |time: &Value| time.is_null() || time.as_f64().is_some_and(|time| time <= latest);
        has_come(&self.nbf) && has_come(&self.iat)
    }
}

/// The claims of a token whose signature is verified elsewhere.
fn raw_claims(token: &CoreIdToken) -> Option<RawClaims> {
    let token = token.to_string();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// Records the last response, which the library does not expose.
struct Watched<'h> {
    inner: &'h Outbound,
    last: Mutex<Last>,
}

/// A response.
#[derive(Clone, Default)]
struct Last {
    status: u16,
    body: Vec<u8>,
}

impl<'h> Watched<'h> {
    fn new(inner: &'h Outbound) -> Self {
        Self { inner, last: Mutex::default() }
    }

    fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<'c> AsyncHttpClient<'c> for Watched<'_> {
    type Error = HttpError;
    type Future = Answer<'c>;

    fn call(&'c self, request: TheirRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.inner.call(request).await?;
            let last = Last { status: answer.status().as_u16(), body: answer.body().clone() };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
            Ok(answer)
        })
    }
}
