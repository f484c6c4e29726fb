//! An imitation of the provider for machines of developers and for tests: the part of its documented API that is used here, and what a
//! buyer does on its pages.
//!
//! It has no socket. The adapter calls it as it calls the provider, through [`HttpClient`]; pages and webhooks are brought to people and to
//! the server by whoever embeds it. All that it knows is one JSON file, which processes may share.

mod api;
mod buyer;
mod state;

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use portico_kernel::{
    Env,
    http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse},
};
use serde_json::Value;
use url::Url;

pub use buyer::{Act, Page, PageLine, PageState, Webhook};

use crate::{
    client::{HeaderStyle, RecurrenteConfig},
    webhook::{InvalidSecret, WebhookSecrets},
};
use state::State;

/// Base URL of its API. Nothing is resolved or called there.
const BASE_URL: &str = "https://recurrente.invalid/api";

/// Its keys: they open nothing but the stand-in.
const PUBLIC_KEY: &str = "pk_test_stand_in";
const SECRET_KEY: &str = "sk_test_stand_in";

/// The imitation. Clones share it.
#[derive(Clone)]
pub struct StandIn {
    shared: Arc<Shared>,
    env: Env,
    secrets: WebhookSecrets,
}

struct Shared {
    file: PathBuf,
    /// Where the pages are, without a slash at the end.
    pages: String,
    /// One change at a time in this process.
    changing: Mutex<()>,
}

impl StandIn {
    /// With what earlier runs left in `file`. Its pages are below `pages`, for instance `http://127.0.0.1:7600/dev/recurrente`.
    ///
    /// # Errors
    /// Never in practice: its secret is made here and well formed.
    pub fn new(file: impl Into<PathBuf>, pages: impl Into<String>, env: Env) -> Result<Self, InvalidSecret> {
        let secret = format!("whsec_{}", STANDARD.encode(env.random_bytes::<24>()));
        let secrets = WebhookSecrets::new(&[secret.into()])?;
        let shared = Shared { file: file.into(), pages: pages.into(), changing: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), env, secrets })
    }

    /// The same with secrets of the embedder's own for its webhooks.
    #[must_use]
    pub fn signing_with(self, secrets: WebhookSecrets) -> Self {
        Self { secrets, ..self }
    }

    /// The account at the stand-in.
    pub fn config() -> RecurrenteConfig {
        RecurrenteConfig {
            base_url: BASE_URL.to_owned(),
            public_key: PUBLIC_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned().into(),
            headers: HeaderStyle::default(),
        }
    }

    /// What its webhooks are signed with.
    pub fn secrets(&self) -> WebhookSecrets {
        self.secrets.clone()
    }

    /// Answers a call of the API: status and body. `target` is the path with the query, such as `/api/checkouts?page=1`.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub async fn answer(
        &self,
        method: HttpMethod,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> io::Result<(u16, Value)> {
        let call = api::Call::new(method, target, headers, body);
        let (env, pages) = (self.env.clone(), self.shared.pages.clone());
        self.change(move |state| api::answer(state, &call, &pages, &env)).await
    }

    /// Reads what there is, changes it, and stores it. File operations are on the blocking pool.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> io::Result<T> {
        let shared = self.shared.clone();
        let changed = tokio::task::spawn_blocking(move || {
            let _one = shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let mut state = match fs::read(&shared.file) {
                Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
                Err(error) => return Err(error),
            };
            let before = serde_json::to_vec(&state).map_err(io::Error::other)?;
            let result = work(&mut state);
            let after = serde_json::to_vec(&state).map_err(io::Error::other)?;
            if before != after {
                // Whole or not at all: another process may read it at any time.
                let unfinished = shared.file.with_extension("tmp");
                fs::write(&unfinished, after)?;
                fs::rename(&unfinished, &shared.file)?;
            }
            Ok(result)
        });
        changed.await.map_err(io::Error::other)?
    }
}

#[async_trait]
impl HttpClient for StandIn {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = Url::parse(&request.url).map_err(|_| HttpError::Refused("not an address".into()))?;
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let answer = self.answer(request.method, &target, &request.headers, &request.body).await;
        let (status, body) = answer.map_err(|error| HttpError::Unreachable(error.to_string()))?;
        Ok(HttpResponse { status, headers: Vec::new(), body: body.to_string().into_bytes() })
    }

    fn admits(&self, _: &str) -> Result<(), HttpError> {
        Ok(())
    }
}
