//! Turns what a message says into HTML and text, in the language of its receiver.
//!
//! The texts are in [`crate::words`], once for both forms. The layouts are in `templates/layout.html` and
//! `templates/layout.txt`.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use minijinja::{
    AutoEscape, Environment, HtmlEscape, State, UndefinedBehavior, Value, context, syntax::SyntaxConfig,
};
use portico_identity::{
    mail::{MailBrand, Recipient},
    ports::Mailer,
};
use portico_kernel::{
    mail::{MailContent, MailError, MailId, MailMessage, MailTransport},
    name_text::one_line,
};
use url::Url;

use crate::{
    look::Look,
    outline::values,
    words::{LANGUAGES, Part, Words, WordsError},
};

/// Why a message cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A template is missing or fails: a bug in this crate.
    #[error("email template: {0}")]
    Template(#[from] minijinja::Error),
    /// Texts are missing: a bug in this crate.
    #[error("email words: {0}")]
    Words(#[from] WordsError),
    /// The message contains text by users, and the address is not verified: a bug in the caller.
    #[error("free text for an address that is not verified")]
    Unverified,
}

/// Where links in messages lead: a URL for each page. A message about a page without one has no link; its button is left
/// out.
pub type Links = BTreeMap<&'static str, Url>;

/// Renders messages and hands them to a transport.
pub struct TemplateMailer {
    environment: Environment<'static>,
    words: Words,
    transport: Arc<dyn MailTransport>,
    links: Links,
    product: String,
}

/// The two forms of a message.
#[derive(Clone, Copy)]
enum Form {
    Html,
    Text,
}

impl Form {
    /// File names, by which minijinja decides whether to escape.
    const fn line(self) -> &'static str {
        match self {
            Self::Html => "line.html",
            Self::Text => "line.txt",
        }
    }
    const fn layout(self) -> &'static str {
        match self {
            Self::Html => "layout.html",
            Self::Text => "layout.txt",
        }
    }
    const fn line_break(self) -> &'static str {
        match self {
            Self::Html => "<br>",
            Self::Text => "\n",
        }
    }
}

impl TemplateMailer {
    /// Reads the templates.
    pub fn new(transport: Arc<dyn MailTransport>, links: Links) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).build()?);
        environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
            true => AutoEscape::Html,
            false => AutoEscape::None,
        });
        environment.add_filter("quoted", quoted);
        environment.add_template("layout.html", include_str!("../templates/layout.html"))?;
        environment.add_template("layout.txt", include_str!("../templates/layout.txt"))?;
        let words = Words::read()?;
        Ok(Self { environment, words, transport, links, product: "Portico".into() })
    }

    /// With another name of the service.
    #[must_use]
    pub fn with_product(mut self, product: impl Into<String>) -> Self {
        self.product = product.into();
        self
    }

    /// The message as it would be sent.
    pub fn render(
        &self,
        id: MailId,
        to: &Recipient,
        mail: &MailContent,
        brand: &MailBrand,
    ) -> Result<MailMessage, TemplateError> {
        if mail.has_free_text() && !to.is_verified() {
            return Err(TemplateError::Unverified);
        }
        // A verified address sees the tenant's name; others only its subdomain, see `Recipient`.
        let shown = if to.is_verified() { &brand.name } else { &brand.subdomain };
        let brand = &MailBrand { name: shown.clone(), ..brand.clone() };
        let language = language_of(&to.language);
        let common = self.words.get(language, "common")?;
        let values = context! {
            product => self.product.as_str(),
            brand => brand.name.as_deref(),
            name => to.full_name(),
            ..values(mail, common)?
        };
        let subject = self.words.get(language, mail.key)?.line("Subject")?;
        Ok(MailMessage {
            id,
            to: to.email.to_string(),
            to_name: Some(one_line(to.full_name())).filter(|name| !name.trim().is_empty()),
            reply_to: mail.reply_to.clone(),
            subject: one_line(&self.line(Form::Text, subject, &values)?),
            html: self.body(Form::Html, language, mail, brand, &values)?,
            text: self.body(Form::Text, language, mail, brand, &values)?,
        })
    }

    fn body(
        &self,
        form: Form,
        language: &'static str,
        mail: &MailContent,
        brand: &MailBrand,
        values: &Value,
    ) -> Result<String, TemplateError> {
        let (common, section) = (self.words.get(language, "common")?, self.words.get(language, mail.key)?);
        let line =
            |words: &str| Ok::<_, TemplateError>(Value::from_safe_string(self.line(form, words, values)?));
        let link = self.link(mail.page, mail.token.as_deref());
        let mut parts = Vec::new();
        for part in section.parts.iter().filter(|part| link.is_some() || !matches!(part, Part::Button(_))) {
            let (lines, button) = match part {
                Part::Button(label) => (None, Some(line(label)?)),
                Part::Paragraph(lines) => {
                    let rendered = lines.iter().map(|words| self.line(form, words, values));
                    let mut lines = rendered.collect::<Result<Vec<_>, _>>()?;
                    lines.retain(|line| !line.is_empty());
                    (Some(Value::from_safe_string(lines.join(form.line_break()))), None)
                }
            };
            parts.push(context! { lines, button });
        }
        let name = values.get_attr("name")?;
        let is_nameless = name.as_str().is_none_or(|name| name.trim().is_empty());
        let greeting = common.line(if is_nameless { "Nameless" } else { "Greeting" })?;
        let footer = common.line(if brand.name.is_some() { "On-Behalf" } else { "Footer" })?;
        let look = Look::new(brand, &self.product);
        // First of all, so that nothing of ours stands above it in what quotes the message.
        let reply_above = section.lines.get("Reply-Above").filter(|_| mail.reply_to.is_some());
        let context = context! {
            language,
            look => context! {
                name => look.name,
                primary => look.primary,
                on_primary => look.on_primary,
                ink => look.ink,
            },
            subject => line(section.line("Subject")?)?,
            preview => line(section.line("Preview")?)?,
            reply_above => reply_above.map(|words| line(words)).transpose()?,
            greeting => line(greeting)?,
            has_button => link.is_some() && section.parts.iter().any(|part| matches!(part, Part::Button(_))),
            parts,
            plain_link => line(common.line("Plain-Link")?)?,
            footer => line(footer)?,
            // A URL as `url` writes it has no character that HTML minds; escaping would only spell its slashes out.
            link => link.map(|link| Value::from_safe_string(link.into())),
        };
        Ok(self.environment.get_template(form.layout())?.render(&context)?)
    }

    fn line(&self, form: Form, words: &str, values: &Value) -> Result<String, TemplateError> {
        Ok(self.environment.template_from_named_str(form.line(), words)?.render(values)?)
    }

    fn link(&self, page: &str, token: Option<&str>) -> Option<Url> {
        let mut link = self.links.get(page)?.clone();
        if let Some(token) = token {
            link.query_pairs_mut().append_pair("token", token);
        }
        Some(link)
    }
}

/// Quoted lines by another person, marked so that they cannot pass for our text. In HTML they are escaped one by one; in
/// text each has a `>` in front, as is usual in mails (RFC 3676 section 4.5).
fn quoted(state: &State<'_, '_>, text: &str) -> Value {
    let lines: Vec<String> = match state.auto_escape() {
        AutoEscape::None => text.lines().map(|line| format!("> {line}")).collect(),
        _ => text.lines().map(|line| HtmlEscape(line).to_string()).collect(),
    };
    let line_break = if matches!(state.auto_escape(), AutoEscape::None) { "\n" } else { "<br>" };
    Value::from_safe_string(lines.join(line_break))
}

/// The supported language for a preferred one (BCP 47, `es-GT` is `es`); the first one if it is not supported.
fn language_of(preferred: &str) -> &'static str {
    let primary = preferred.split('-').next().unwrap_or_default();
    let known = LANGUAGES.into_iter().find(|language| language.eq_ignore_ascii_case(primary));
    known.unwrap_or(LANGUAGES[0])
}

#[async_trait]
impl Mailer for TemplateMailer {
    async fn send(
        &self,
        id: MailId,
        to: &Recipient,
        mail: &MailContent,
        brand: &MailBrand,
    ) -> Result<(), MailError> {
        let message = self.render(id, to, mail, brand).map_err(|error| MailError::Rejected(error.into()))?;
        self.transport.send(&message).await
    }
}

#[cfg(test)]
#[path = "mailer_tests.rs"]
mod tests;
