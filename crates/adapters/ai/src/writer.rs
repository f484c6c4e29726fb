//! Implementation of the port, over the protocol.

use std::sync::Arc;

use async_trait::async_trait;
use portico_kernel::{Env, FieldError, http::HttpClient};
use portico_sites::{
    generation::{Sources, can_be_written, read_page, read_rewrite, read_seo},
    ports::{
        ContentGenerator, GeneratorError, PageBrief, PageDraft, RewriteBrief, SectionDraft, SeoBrief,
        SeoDraft, Tokens,
    },
    section::Provenance,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    chat::{Chat, ChatConfig},
    prompt, schema,
};

/// Maximum size of an answer that is sent back to the model for repair, in bytes.
const MAX_SHOWN: usize = 16 * 1024;

/// The text generator at a server with the chat completions API.
pub struct ChatWriter {
    chat: Chat,
}

impl ChatWriter {
    /// Calls the server of `config` through `http`, whose timeout must be at least `config.timeout`.
    pub fn new(config: ChatConfig, http: Arc<dyn HttpClient>, env: Env) -> Self {
        Self { chat: Chat::new(config, http, env) }
    }

    /// Requests an answer and parses it; if it is unusable, asks once more with the errors.
    async fn ask<T>(
        &self,
        document: Value,
        schema: Value,
        read: impl Fn(Value) -> Result<T, Vec<FieldError>> + Send + Sync,
    ) -> Result<(T, Tokens), GeneratorError>
    where
        T: Send,
    {
        let document = document.to_string();
        if document.len() > prompt::MAX_DATA {
            return Err(GeneratorError::Unusable("there is too much text to read".to_owned()));
        }
        let deadline = Instant::now() + self.chat.timeout();
        let work = self.ask_and_repair(document, &schema, read, deadline);
        match timeout_at(deadline, work).await {
            Ok(result) => result,
            Err(_) => Err(GeneratorError::Unavailable("no answer within ai.timeout".to_owned())),
        }
    }

    async fn ask_and_repair<T>(
        &self,
        document: String,
        schema: &Value,
        read: impl Fn(Value) -> Result<T, Vec<FieldError>> + Send + Sync,
        deadline: Instant,
    ) -> Result<(T, Tokens), GeneratorError> {
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let mut messages = vec![message("system", prompt::RULES), message("user", &document)];
        let first = self.chat.complete(&messages, schema, deadline).await?;
        let mut tokens = first.tokens;
        let errors = match parsed(&first.text, first.cut_off).and_then(&read) {
            Ok(result) => return Ok((result, tokens)),
            Err(errors) => errors,
        };
        tracing::debug!(errors = %listed(&errors), "the writer is asked to repair its answer");
        messages.push(message("assistant", beginning(&first.text)));
        messages.push(message("user", &prompt::repair(&errors).to_string()));
        let second = self.chat.complete(&messages, schema, deadline).await?;
        tokens.input += second.tokens.input;
        tokens.output += second.tokens.output;
        match parsed(&second.text, second.cut_off).and_then(read) {
            Ok(result) => Ok((result, tokens)),
            Err(errors) => Err(GeneratorError::Unusable(listed(&errors))),
        }
    }
}

#[async_trait]
impl ContentGenerator for ChatWriter {
    async fn page(&self, brief: &PageBrief) -> Result<PageDraft, GeneratorError> {
        for (kind, content) in &brief.sections {
            check_facts(can_be_written(*kind, content))?;
        }
        let name = |number: usize| format!("section{number}");
        let properties =
            (1..).zip(&brief.sections).map(|(number, (kind, _))| (name(number), schema::of_section(*kind)));
        let schema = schema::object(properties);
        let read = |mut answer: Value| {
            let written = (1..=brief.sections.len()).map(|number| answer[name(number)].take()).collect();
            read_page(brief, written)
        };
        let (sections, tokens) = self.ask(prompt::page(brief), schema, read).await?;
        Ok(PageDraft { sections, provenance: Provenance::Generated, tokens })
    }

    async fn rewrite(&self, brief: &RewriteBrief) -> Result<SectionDraft, GeneratorError> {
        check_facts(can_be_written(brief.kind, &brief.content))?;
        let schema = schema::object([("content".to_owned(), schema::of_section(brief.kind))]);
        let read = |mut answer: Value| read_rewrite(brief, answer["content"].take(), "content");
        let (content, tokens) = self.ask(prompt::rewrite(brief), schema, read).await?;
        Ok(SectionDraft { content, provenance: Provenance::Generated, tokens })
    }

    async fn seo(&self, brief: &SeoBrief) -> Result<SeoDraft, GeneratorError> {
        let text = || json!({"type": "string"});
        let schema = schema::object([
            ("title".to_owned(), text()),
            ("description".to_owned(), text()),
            ("keywords".to_owned(), json!({"type": "array", "items": text()})),
        ]);
        let sources = Sources::of_seo(brief);
        let read = |answer: Value| {
            let line = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            let keywords: Vec<String> = answer["keywords"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|keyword| keyword.as_str().map(str::to_owned))
                .collect();
            read_seo(&line("title"), &line("description"), &keywords, &sources)
        };
        let ((title, description, keywords), tokens) = self.ask(prompt::seo(brief), schema, read).await?;
        Ok(SeoDraft { title, description, keywords, tokens })
    }
}

fn check_facts(there: bool) -> Result<(), GeneratorError> {
    let reason = || GeneratorError::Unusable("a section needs facts that nobody told".to_owned());
    there.then_some(()).ok_or_else(reason)
}

/// The object in an answer. Without an enforced schema, models surround it with words or a Markdown fence.
fn parsed(text: &str, cut_off: bool) -> Result<Value, Vec<FieldError>> {
    let inside = text.find('{').zip(text.rfind('}')).and_then(|(start, end)| text.get(start..=end));
    let value = inside.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let message =
        if cut_off { "The answer was cut off. Write much less." } else { "This is not one JSON object." };
    value.ok_or_else(|| vec![FieldError::new("", "invalid_json", message)])
}

fn beginning(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_SHOWN)).rev().find(|end| text.is_char_boundary(*end));
    end.map_or("", |end| &text[..end])
}

/// Fields and codes, for the log: never the generated text.
fn listed(errors: &[FieldError]) -> String {
    let errors: Vec<String> =
        errors.iter().take(10).map(|error| format!("{}: {}", error.field, error.code)).collect();
    errors.join(", ")
}
