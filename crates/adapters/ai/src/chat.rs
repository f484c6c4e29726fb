//! The protocol: one request for a completion, with retries and fallbacks for older servers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use portico_kernel::{
    Env,
    http::{HttpClient, HttpError, HttpRequest, HttpResponse},
};
use portico_sites::ports::{GeneratorError, Tokens};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The server, and the limits of requests to it.
#[derive(Clone, Debug)]
pub struct ChatConfig {
    /// Base URL of the API, for instance `https://api.openai.com/v1`.
    pub base_url: String,
    /// Name of the model.
    pub model: String,
    /// API key.
    pub api_key: Option<SecretString>,
    /// Timeout of one text, all attempts together.
    pub timeout: Duration,
    /// Maximum tokens of one answer.
    pub max_output_tokens: u32,
    /// Maximum attempts at one answer.
    pub max_attempts: u32,
}

/// Forms of a request by which the shape of the answer is enforced. A form that the server refuses is not tried again.
const BY_SCHEMA: u8 = 0;
const AS_JSON: u8 = 1;
const BY_WORDS: u8 = 2;

/// The first pause before another attempt; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(400);

/// Client of one server.
pub(crate) struct Chat {
    config: ChatConfig,
    http: Arc<dyn HttpClient>,
    env: Env,
    shape: AtomicU8,
    /// Newer models of OpenAI call the limit of an answer `max_completion_tokens`, and refuse the older name.
    new_bound: AtomicBool,
}

/// An answer of a model.
pub(crate) struct Completion {
    /// Its text.
    pub text: String,
    /// Whether it was truncated at the token limit.
    pub cut_off: bool,
    /// Tokens used.
    pub tokens: Tokens,
}

/// What to do after an attempt.
enum Failed {
    /// A retry may succeed, after this time.
    Again(String, Option<Duration>),
    /// The server does not accept this form of request; retry at once in another form.
    OtherForm,
    /// A final failure.
    End(GeneratorError),
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Chat {
    pub fn new(config: ChatConfig, http: Arc<dyn HttpClient>, env: Env) -> Self {
        Self { config, http, env, shape: AtomicU8::new(BY_SCHEMA), new_bound: AtomicBool::new(false) }
    }

    /// Timeout of one text.
    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// Requests a completion of these messages whose content conforms to `schema`.
    pub async fn complete(
        &self,
        messages: &[Value],
        schema: &Value,
        deadline: Instant,
    ) -> Result<Completion, GeneratorError> {
        let mut attempt = 1;
        loop {
            match self.attempt(messages, schema).await {
                Ok(completion) => return Ok(completion),
                // There are three forms and two names, and none is tried again, so the loop ends.
                Err(Failed::OtherForm) => {}
                Err(Failed::End(error)) => return Err(error),
                Err(Failed::Again(reason, wait)) => {
                    let pause = wait.unwrap_or_default().max(self.pause(attempt));
                    if attempt >= self.config.max_attempts || Instant::now() + pause >= deadline {
                        return Err(GeneratorError::Unavailable(format!("{reason}, {attempt} attempts")));
                    }
                    tracing::debug!(reason, attempt, "the writer is asked once more");
                    sleep(pause).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn attempt(&self, messages: &[Value], schema: &Value) -> Result<Completion, Failed> {
        let shape = self.shape.load(Ordering::Relaxed);
        let new_bound = self.new_bound.load(Ordering::Relaxed);
        let request = self.request(messages, schema, shape, new_bound);
        let sent = request.body.len();
        let answer = self.http.send(request).await.map_err(|error| match error {
            HttpError::Refused(reason) => Failed::End(GeneratorError::Unavailable(format!(
                "ai.base_url: {reason}; see ai.allow_networks"
            ))),
            HttpError::TooLarge => {
                Failed::End(GeneratorError::Unusable("the answer is too large".to_owned()))
            }
            HttpError::Unreachable(reason) => Failed::Again(format!("unreachable: {reason}"), None),
            HttpError::TimedOut => Failed::Again("timed out".to_owned(), None),
        })?;
        match answer.status {
            200 => read(&answer, sent),
            // Nothing was generated, so a request in another form costs nothing.
            400 | 422 => Err(self.other_form(&answer, shape, new_bound)),
            429 | 500..=599 => Err(Failed::Again(format!("status {}", answer.status), retry_after(&answer))),
            status => Err(Failed::End(GeneratorError::Unavailable(format!(
                "status {status}: {}",
                excerpt(&answer.body)
            )))),
        }
    }

    fn request(&self, messages: &[Value], schema: &Value, shape: u8, new_bound: bool) -> HttpRequest {
        let bound = if new_bound { "max_completion_tokens" } else { "max_tokens" };
        let mut body = json!({
            "model": self.config.model,
            "messages": messages,
            "stream": false,
        });
        body[bound] = self.config.max_output_tokens.into();
        match shape {
            BY_SCHEMA => {
                body["response_format"] = json!({
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "strict": true, "schema": schema},
                });
            }
            AS_JSON => body["response_format"] = json!({"type": "json_object"}),
            _ => {}
        }
        if shape != BY_SCHEMA
            && let Some(rules) = body["messages"].get_mut(0)
        {
            let fixed = rules["content"].as_str().unwrap_or_default();
            rules["content"] = format!("{fixed}\n\nThe JSON schema of the answer:\n{schema}").into();
        }
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        if let Some(key) = &self.config.api_key {
            headers.push(("authorization".to_owned(), format!("Bearer {}", key.expose_secret())));
        }
        let url = format!("{}/chat/completions", self.config.base_url.trim_end_matches('/'));
        HttpRequest::post(url, headers, body.to_string().into_bytes())
    }

    /// Selects another form for a request that the server does not understand.
    fn other_form(&self, answer: &HttpResponse, shape: u8, new_bound: bool) -> Failed {
        let text = String::from_utf8_lossy(&answer.body);
        if !new_bound && text.contains("max_completion_tokens") {
            self.new_bound.store(true, Ordering::Relaxed);
            return Failed::OtherForm;
        }
        if shape < BY_WORDS
            && (text.contains("response_format") || text.contains("json_schema") || shape == BY_SCHEMA)
        {
            // Several requests may detect this concurrently; the form never goes back.
            self.shape.fetch_max(shape + 1, Ordering::Relaxed);
            return Failed::OtherForm;
        }
        let reason = format!("status {}: {}", answer.status, excerpt(&answer.body));
        Failed::End(GeneratorError::Unavailable(reason))
    }

    /// Doubled with each attempt, plus up to a half of jitter, so that clients do not retry together.
    fn pause(&self, attempt: u32) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(8));
        let [chance] = self.env.random_bytes::<1>();
        pause + pause.mul_f32(f32::from(chance) / 512.0)
    }
}

fn read(answer: &HttpResponse, sent: usize) -> Result<Completion, Failed> {
    let content_type = header(answer, "content-type").unwrap_or_default().to_ascii_lowercase();
    if !content_type.contains("json") {
        let reason = format!("ai.base_url answers {content_type:?} instead of JSON");
        return Err(Failed::End(GeneratorError::Unavailable(reason)));
    }
    let envelope: Envelope = serde_json::from_slice(&answer.body)
        .map_err(|error| Failed::Again(format!("no chat completion: {error}"), None))?;
    let choice = envelope.choices.into_iter().next();
    let choice = choice.ok_or_else(|| Failed::Again("an empty chat completion".to_owned(), None))?;
    let refused =
        choice.message.refusal.is_some() || choice.finish_reason.as_deref() == Some("content_filter");
    if refused {
        return Err(Failed::End(GeneratorError::Unusable("the model refuses".to_owned())));
    }
    let text = choice.message.content.unwrap_or_default();
    // For servers that report no usage, one token for each four bytes is assumed.
    let tokens = match envelope.usage {
        Some(usage) => Tokens { input: usage.prompt_tokens, output: usage.completion_tokens },
        None => Tokens { input: sent as u64 / 4, output: text.len() as u64 / 4 },
    };
    Ok(Completion { cut_off: choice.finish_reason.as_deref() == Some("length"), text, tokens })
}

fn header<'a>(answer: &'a HttpResponse, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Seconds (RFC 9110 section 10.2.3). A date is ignored, because it depends on the server's clock.
fn retry_after(answer: &HttpResponse) -> Option<Duration> {
    header(answer, "retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

/// The beginning of an error body, for the log.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
