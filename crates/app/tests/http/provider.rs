//! Providers to sign in with: a real one in a process of its own, and a fake one in this process that answers what a test wants.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, mpsc},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use portico::settings::{OidcProvider, Settings};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What a page that the provider sends the browser to finds in its address.
#[derive(Clone, Debug)]
pub struct Return {
    pub code: String,
    pub state: String,
}

impl Return {
    fn of(url: &Url) -> Self {
        Self { code: parameter(url, "code"), state: parameter(url, "state") }
    }

    /// The body of the callback.
    pub fn body(&self) -> Value {
        json!({"code": self.code, "state": self.state})
    }
}

pub fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

/// Adds a provider to the settings, and allows calls to this machine.
pub fn configure(settings: &mut Settings, name: &str, issuer: &str) {
    let provider = OidcProvider {
        issuer: issuer.to_owned(),
        client_id: "portico".to_owned(),
        client_secret: "the secret at the provider".to_owned().into(),
        display_name: Some(format!("The {name} provider")),
        scopes: vec!["email".to_owned(), "profile".to_owned()],
        redirect_uri: None,
        allow_networks: Vec::new(),
        email_verified_as_text: false,
    };
    settings.oidc.insert(name.to_owned(), provider);
    settings.outbound.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
}

/// `oidc-provider-mock`, one for all tests of this program. Ends with it, because its standard input ends then.
pub struct RealProvider {
    pub issuer: String,
    // With its standard input, which has to stay open.
    _process: Mutex<Child>,
}

impl RealProvider {
    /// Starts it, if this is the first test to ask for it. Its first start on a machine installs it.
    pub fn get() -> &'static Self {
        static PROVIDER: OnceLock<RealProvider> = OnceLock::new();
        PROVIDER.get_or_init(|| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/oidc-provider");
            let mut command = Command::new(script);
            command.args(["--port", "0"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("scripts/oidc-provider runs");
            let stderr = BufReader::new(child.stderr.take().unwrap());
            let (found, wait) = mpsc::channel();
            std::thread::spawn(move || {
                let mut said = Vec::new();
                for line in stderr.lines().map_while(Result::ok) {
                    if let Some((_, rest)) = line.split_once("running on ") {
                        let url = rest.split_whitespace().next().unwrap_or_default().to_owned();
                        let _ = found.send(Ok(url));
                    }
                    if said.len() < 50 {
                        said.push(line);
                    }
                }
                let _ = found.send(Err(said.join("\n")));
            });
            match wait.recv_timeout(Duration::from_secs(120)) {
                Ok(Ok(issuer)) => Self { issuer, _process: Mutex::new(child) },
                other => panic!("scripts/oidc-provider does not start: {other:?}"),
            }
        })
    }

    /// Signs a user in there, as their browser would, and returns where it is sent.
    pub async fn approve(&self, authorization_url: &str, subject: &str, claims: Value) -> Return {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let user = http.put(format!("{}/users/{subject}", self.issuer)).json(&claims).send().await.unwrap();
        assert!(user.status().is_success(), "{user:?}");
        let form = http.post(authorization_url).header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body(format!("sub={subject}")).send().await.unwrap();
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        let location = location.unwrap_or_else(|| panic!("the provider answers {status}"));
        Return::of(&location.parse().unwrap())
    }
}

/// A provider whose codes contain its answer, so that it is stateless.
pub struct FakeProvider {
    pub issuer: String,
    address: SocketAddr,
    task: Option<JoinHandle<()>>,
}

impl FakeProvider {
    pub async fn start() -> Self {
        let mut provider =
            Self { issuer: String::new(), address: "127.0.0.1:0".parse().unwrap(), task: None };
        provider.resume().await;
        provider.issuer = format!("http://{}", provider.address);
        provider
    }

    /// Adds it to the settings, as `fake`.
    pub fn configure(&self, settings: &mut Settings) {
        configure(settings, "fake", &self.issuer);
    }

    /// Stops answering.
    pub async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Answers again, where it did before.
    pub async fn resume(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let issuer = format!("http://{}", self.address);
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, issuer.clone()));
            }
        }));
    }

    /// Where it would send the browser back to. `claims` add to, replace, or with `null` remove those of a good ID token.
    pub fn approve(authorization_url: &str, claims: &Value) -> Return {
        let url: Url = authorization_url.parse().unwrap();
        let promise = json!({
            "claims": claims,
            "nonce": parameter(&url, "nonce"),
            "client": parameter(&url, "client_id"),
            "challenge": parameter(&url, "code_challenge"),
        });
        Return { code: URL_SAFE_NO_PAD.encode(promise.to_string()), state: parameter(&url, "state") }
    }
}

async fn serve(mut stream: TcpStream, issuer: String) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let (head, body) = loop {
        let read = stream.read(&mut buffer).await?;
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        }
        if read == 0 {
            return Ok(());
        }
    };
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, answer) = match path {
        "/.well-known/openid-configuration" => (
            200,
            json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }),
        ),
        "/keys" => {
            (200, json!({"keys": [{"kty": "EC", "kid": "ec", "use": "sig", "crv": "P-256", "x": X, "y": Y}]}))
        }
        "/token" => tokens(&issuer, &body).unwrap_or((400, json!({"error": "invalid_grant"}))),
        _ => (404, json!({})),
    };
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(format!("{head}{answer}").as_bytes()).await
}

/// `None` for an invalid code, or one that belongs to another verifier.
fn tokens(issuer: &str, form: &str) -> Option<(u16, Value)> {
    let form: Url = format!("http://form/?{form}").parse().ok()?;
    let promise: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parameter(&form, "code")).ok()?).ok()?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(parameter(&form, "code_verifier")));
    if promise["challenge"] != challenge {
        return None;
    }
    let now = std::time::UNIX_EPOCH.elapsed().ok()?.as_secs();
    let mut claims = json!({
        "iss": issuer, "aud": promise["client"], "sub": "somebody", "nonce": promise["nonce"], "iat": now, "exp": now + 300,
    });
    for (name, value) in promise["claims"].as_object()? {
        claims[name] = value.clone();
    }
    claims.as_object_mut()?.retain(|_, value| !value.is_null());
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("ec".to_owned());
    let key = EncodingKey::from_ec_der(include_bytes!("../../../adapters/security/tests/keys/ec.der"));
    let token = encode(&header, &claims, &key).ok()?;
    Some((200, json!({"access_token": "access", "token_type": "Bearer", "id_token": token})))
}

/// Public half of the key.
const X: &str = "7vT6oL4GGg4mg1Azcjy2j_8_tDzFO3FQ64mcKmn-HHk";
const Y: &str = "UVmaummxmsrCNF9h3BPIAT3L6tMhjnT99CDBVC3itnY";
