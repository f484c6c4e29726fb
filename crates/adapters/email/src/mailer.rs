//! Turns a message about an account into HTML and text, in the language of its receiver.
//!
//! The words are in `templates/<language>/`, one file for HTML and one for text, which also holds the subject. The
//! frame around them is in `templates/layout.html` and `templates/layout.txt`.

use std::sync::Arc;

use async_trait::async_trait;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context, syntax::SyntaxConfig};
use portico_identity::{
    mail::{AccountMail, Recipient},
    ports::AccountMailer,
};
use portico_kernel::mail::{MailError, MailMessage, MailTransport};
use url::Url;

/// Name and source of each template; compiled in, so that the binary needs no files beside it.
macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../templates/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 25] = templates![
    "layout.html",
    "layout.txt",
    "parts.html",
    "en/footer.txt",
    "en/verification.html",
    "en/verification.txt",
    "en/already_registered.html",
    "en/already_registered.txt",
    "en/welcome.html",
    "en/welcome.txt",
    "en/password_reset.html",
    "en/password_reset.txt",
    "en/password_changed.html",
    "en/password_changed.txt",
    "es/footer.txt",
    "es/verification.html",
    "es/verification.txt",
    "es/already_registered.html",
    "es/already_registered.txt",
    "es/welcome.html",
    "es/welcome.txt",
    "es/password_reset.html",
    "es/password_reset.txt",
    "es/password_changed.html",
    "es/password_changed.txt",
];

/// Why messages cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A template cannot be read or rendered: a mistake in the source of this crate.
    #[error("email template: {0}")]
    Template(#[from] minijinja::Error),
    /// The address that links lead to is none.
    #[error("public URL: {0}")]
    PublicUrl(#[from] url::ParseError),
}

/// Renders messages about accounts and hands them to a transport.
pub struct TemplateMailer {
    environment: Environment<'static>,
    transport: Arc<dyn MailTransport>,
    public_url: Url,
    product: String,
}

impl TemplateMailer {
    /// `public_url` is where the links lead.
    pub fn new(transport: Arc<dyn MailTransport>, public_url: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).build()?);
        environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
            true => AutoEscape::Html,
            false => AutoEscape::None,
        });
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        Ok(Self { environment, transport, public_url: public_url.parse()?, product: "Portico".into() })
    }

    /// Under the name that the service has towards its users.
    #[must_use]
    pub fn with_product(mut self, product: impl Into<String>) -> Self {
        self.product = product.into();
        self
    }

    /// The message as it would be sent.
    pub fn render(&self, to: &Recipient, mail: &AccountMail) -> Result<MailMessage, TemplateError> {
        let (template, link) = match mail {
            AccountMail::Verification { token } => ("verification", self.link("verify-email", Some(token))),
            AccountMail::AlreadyRegistered => ("already_registered", self.link("", None)),
            AccountMail::Welcome => ("welcome", self.link("", None)),
            AccountMail::PasswordReset { token } => {
                ("password_reset", self.link("reset-password", Some(token)))
            }
            AccountMail::PasswordChanged => ("password_changed", self.link("", None)),
            _ => ("password_changed", self.link("", None)),
        };
        let language = language_of(&to.language);
        let context = context! {
            language,
            product => self.product.as_str(),
            name => to.full_name.as_str(),
            // A URL as `url` writes it has no character that HTML minds; escaping would only spell its slashes out.
            link => Value::from_safe_string(link.into()),
        };
        let html = self.environment.get_template(&format!("{language}/{template}.html"))?;
        let text = self.environment.get_template(&format!("{language}/{template}.txt"))?;
        let mut text = text.render_captured(&context)?;
        Ok(MailMessage {
            to: to.email.to_string(),
            to_name: Some(to.full_name.clone()),
            subject: text.with_state_mut(|state| state.render_block("subject"))?,
            html: html.render(&context)?,
            text: text.into_output(),
        })
    }

    /// An address below the public one, which may have a path of its own.
    fn link(&self, page: &str, token: Option<&str>) -> Url {
        let mut link = self.public_url.clone();
        let path = format!("{}/{page}", link.path().trim_end_matches('/'));
        link.set_path(&path);
        link.set_query(None);
        link.set_fragment(None);
        if let Some(token) = token {
            link.query_pairs_mut().append_pair("token", token);
        }
        link
    }
}

/// The language we write in for a preferred one (BCP 47, `es-GT` is `es`); English for those we have not.
fn language_of(preferred: &str) -> &'static str {
    match preferred.split('-').next() {
        Some(primary) if primary.eq_ignore_ascii_case("es") => "es",
        _ => "en",
    }
}

#[async_trait]
impl AccountMailer for TemplateMailer {
    async fn send(&self, to: &Recipient, mail: &AccountMail) -> Result<(), MailError> {
        let message = self.render(to, mail).map_err(|error| MailError::Rejected(error.into()))?;
        self.transport.send(&message).await
    }
}

#[cfg(test)]
mod tests {
    use portico_identity::user::EmailAddress;
    use portico_kernel::mail::MockMailTransport;

    use super::*;

    fn mailer() -> TemplateMailer {
        mailer_at("https://portal.example.com")
    }

    fn mailer_at(public_url: &str) -> TemplateMailer {
        let transport = Arc::new(MockMailTransport::new());
        TemplateMailer::new(transport, public_url).unwrap().with_product("Acme Portal")
    }

    fn recipient(language: &str) -> Recipient {
        Recipient {
            email: EmailAddress::parse("ada@example.com").unwrap(),
            full_name: "Ada Lovelace".into(),
            language: language.into(),
        }
    }

    fn mails() -> [(&'static str, AccountMail); 5] {
        let token = "kY3-token_of_the_link".to_owned();
        [
            ("verification", AccountMail::Verification { token: token.clone() }),
            ("already_registered", AccountMail::AlreadyRegistered),
            ("welcome", AccountMail::Welcome),
            ("password_reset", AccountMail::PasswordReset { token }),
            ("password_changed", AccountMail::PasswordChanged),
        ]
    }

    #[test]
    fn every_message_in_every_language() {
        for language in ["en", "es"] {
            for (name, mail) in mails() {
                let message = mailer().render(&recipient(language), &mail).unwrap();
                insta::assert_snapshot!(
                    format!("{language}_{name}"),
                    format!("Subject: {}\n\n{}\n\n{}", message.subject, message.text, message.html)
                );
            }
        }
    }

    #[test]
    fn both_parts_carry_the_link() {
        let mail = AccountMail::PasswordReset { token: "a-b_c".into() };
        for (base, link) in [
            ("https://portal.example.com", "https://portal.example.com/reset-password?token=a-b_c"),
            ("http://localhost:7600/", "http://localhost:7600/reset-password?token=a-b_c"),
            ("https://example.com/portal/", "https://example.com/portal/reset-password?token=a-b_c"),
        ] {
            let message = mailer_at(base).render(&recipient("en"), &mail).unwrap();
            assert!(message.text.contains(link), "{}", message.text);
            assert!(message.html.contains(&format!("href=\"{link}\"")), "{}", message.html);
        }
    }

    #[test]
    fn a_name_cannot_bring_markup_along() {
        let to =
            Recipient { full_name: "<img src=x onerror=alert(1)> & {{ 7 * 7 }}".into(), ..recipient("en") };
        let message = mailer().render(&to, &AccountMail::Welcome).unwrap();
        assert!(message.html.contains("&lt;img src=x onerror=alert(1)&gt; &amp; {{ 7 * 7 }}"));
        assert!(message.text.contains("Hello <img src=x onerror=alert(1)> & {{ 7 * 7 }},"));
    }

    #[test]
    fn an_unknown_language_is_english_and_a_region_does_not_matter() {
        let subject = |language: &str| {
            mailer().render(&recipient(language), &AccountMail::PasswordChanged).unwrap().subject
        };
        assert_eq!(subject("es-GT"), subject("es"));
        assert_eq!(subject("pt"), subject("en"));
        assert_ne!(subject("es"), subject("en"));
    }
}
