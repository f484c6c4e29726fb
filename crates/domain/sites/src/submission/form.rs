//! Contact forms: what a deployment knows of them, and what visitors send through them.

use std::collections::BTreeMap;

use portico_kernel::{FieldError, RuleMessage, SectionId, Violations};
use serde::{Deserialize, Serialize};

/// Where a deployment lists its forms. The path is one that no page can have, and is not sent to visitors.
pub const FORMS_FILE: &str = "_forms/forms.json";

/// Below which path forms are posted, followed by the id of their section.
pub const FORMS_PATH: &str = "/_forms/";

/// Name of the field that no person sees, and programs fill in.
pub const TRAP: &str = "website";

/// The most bytes that a form may send.
pub const MAX_BYTES: usize = 32 * 1024;

/// The most characters of a name.
pub const MAX_NAME: usize = 120;
/// The most characters of an address (RFC 5321 section 4.5.3.1.3).
pub const MAX_EMAIL: usize = 254;
/// The most characters of a phone number.
pub const MAX_PHONE: usize = 40;
/// The most characters of a message.
pub const MAX_MESSAGE: usize = 5_000;

/// Links in a message that people still send.
const MAX_LINKS: usize = 2;

/// The forms of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedForms {
    /// Name of the site.
    pub site: String,
    /// Path of its style sheet.
    pub stylesheet: String,
    /// Each form by its section.
    pub forms: BTreeMap<SectionId, DeployedForm>,
}

/// A form of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedForm {
    /// Path of its page.
    pub page: String,
    /// Language of its page, BCP 47.
    pub language: String,
    /// What the visitor may agree to.
    pub consent: String,
    /// Path of the page that thanks for it.
    pub thanks: String,
}

/// What a visitor filled in, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormInput {
    /// Name of the visitor.
    pub name: String,
    /// Their email address.
    pub email: String,
    /// Phone number.
    pub phone: String,
    /// Their message.
    pub message: String,
    /// Whether they may be written to later.
    pub consent: bool,
    /// Contents of the field that no person sees.
    pub trap: String,
}

/// What a visitor wrote, within its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Name of the visitor.
    pub name: String,
    /// Their email address.
    pub email: String,
    /// Phone number.
    pub phone: Option<String>,
    /// Their message.
    pub message: String,
}

impl FormInput {
    /// Reads the body of a form (`application/x-www-form-urlencoded`). What is no UTF-8 is replaced; unknown fields are left
    /// out, because browser extensions add some; of fields that come twice the first one counts.
    pub fn read(body: &[u8]) -> Self {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        let mut take = |name: &str| fields.remove(name).unwrap_or_default();
        Self {
            name: take("name"),
            email: take("email"),
            phone: take("phone"),
            message: take("message"),
            consent: !take("consent").is_empty(),
            trap: take(TRAP),
        }
    }

    /// Whether a program filled in what no person sees.
    pub fn is_trapped(&self) -> bool {
        !self.trap.trim().is_empty()
    }

    /// What was written, given that it keeps to its bounds.
    ///
    /// # Errors
    /// Every wrong field.
    pub fn checked(&self) -> Result<Message, Vec<FieldError>> {
        let mut violations = Violations::default();
        // It goes into the subject of a mail. One with a link in it is taken for spam, see [`Message::is_spam`].
        violations.line("name", &self.name, 1, MAX_NAME);
        let email = self.email.trim();
        violations.text("email", email, 1, MAX_EMAIL);
        if !email.is_empty() && email.chars().count() <= MAX_EMAIL && !is_email(email) {
            violations.add("email", "invalid_email", "This is not an email address.");
        }
        let phone = self.phone.trim();
        if phone.chars().count() > MAX_PHONE {
            violations.add("phone", "too_long", RuleMessage::at_most_characters(MAX_PHONE));
        } else if !phone.is_empty() && !is_phone(phone) {
            violations.add("phone", "invalid_phone", "Use digits, spaces and the characters + - . / ( ).");
        }
        violations.text("message", &self.message, 1, MAX_MESSAGE);
        violations.into_result()?;
        Ok(Message {
            name: self.name.trim().to_owned(),
            email: email.to_owned(),
            phone: Some(phone.to_owned()).filter(|phone| !phone.is_empty()),
            // As forms send line breaks (HTML, multipart/form-data and urlencoded alike).
            message: self.message.trim().replace("\r\n", "\n"),
        })
    }
}

impl Message {
    /// Whether it looks like spam: more links than people send, or a link for a name.
    pub fn is_spam(&self) -> bool {
        links(&self.message) > MAX_LINKS || links(&self.name) > 0
    }
}

fn links(text: &str) -> usize {
    let text = text.to_lowercase();
    let addresses = text.matches("http://").count() + text.matches("https://").count();
    let bare = text.matches("www.").count() - text.matches("://www.").count();
    addresses + bare + text.matches("[url").count()
}

/// Whether it can be an address, and nothing else in disguise: it goes into headers of mails. Whether it is reachable only a
/// mail to it would show.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>\"'`\\?&#%:;,()[]/".contains(c);
    let dots = |part: &str| part.starts_with('.') || part.ends_with('.') || part.contains("..");
    !local.is_empty()
        && local.len() <= 64
        && !local.contains('@')
        && domain.contains('.')
        && !dots(local)
        && !dots(domain)
        && !text.contains(odd)
}

fn is_phone(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || "+-./() ".contains(c))
        && text.chars().any(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(message: &str) -> FormInput {
        FormInput {
            name: " Ana Pérez ".to_owned(),
            email: "ana+web@example.com".to_owned(),
            phone: "+502 5555-1234".to_owned(),
            message: message.to_owned(),
            ..FormInput::default()
        }
    }

    #[test]
    fn a_form_is_read() {
        let body = b"name=Ana+P%C3%A9rez&email=ana%40example.com&name=Eve&message=a%0D%0Ab&consent=on&extra=1&phone=";
        let read = FormInput::read(body);
        assert_eq!(
            (read.name.as_str(), read.email.as_str(), read.message.as_str(), read.consent),
            ("Ana Pérez", "ana@example.com", "a\r\nb", true)
        );
        assert!(!read.is_trapped());
        assert_eq!(read.checked().unwrap().message, "a\nb");
        assert_eq!(FormInput::read(b"name=%ff%00").name, "\u{fffd}\0");
        assert!(FormInput::read(b"website=http://x").is_trapped());
        assert_eq!(FormInput::read(b"&&==&%"), FormInput::default());
    }

    #[test]
    fn what_is_right_is_taken() {
        let message = input("Do you bake?").checked().unwrap();
        assert_eq!((message.name.as_str(), message.phone.as_deref()), ("Ana Pérez", Some("+502 5555-1234")));
        let silent = FormInput { phone: "  ".to_owned(), ..input("x") };
        assert_eq!(silent.checked().unwrap().phone, None);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let codes = |input: FormInput| -> Vec<String> {
            let errors = input.checked().unwrap_err();
            errors.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
        };
        assert_eq!(codes(FormInput::default()), ["name required", "email required", "message required"]);
        let wrong = FormInput {
            name: "Ana\r\nBcc: everybody@example.com".to_owned(),
            email: "ana@example.com\r\nBcc: x@example.com".to_owned(),
            phone: "call me".to_owned(),
            message: "a\0b".to_owned(),
            ..FormInput::default()
        };
        assert_eq!(
            codes(wrong),
            [
                "name invalid_characters",
                "email invalid_email",
                "phone invalid_phone",
                "message invalid_characters"
            ]
        );
        let long = FormInput {
            name: "a".repeat(121),
            email: format!("{}@example.com", "a".repeat(260)),
            phone: "1".repeat(41),
            message: "a".repeat(5001),
            ..FormInput::default()
        };
        assert_eq!(codes(long), ["name too_long", "email too_long", "phone too_long", "message too_long"]);
    }

    #[test]
    fn addresses_are_nothing_in_disguise() {
        for good in ["a@b.co", "ana.perez+x@mail.example.com", "ñandú@correo.example"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a b@c.de",
            "a@b.co,c@d.ef",
            "a@b@c.de",
            "<a@b.co>",
            "a@.co",
            "a@b.co.",
            "a..b@c.de",
            "a@b..co",
            "a\u{0}@b.co",
            "\"a\"@b.co",
            "a@[192.0.2.1]",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn many_links_are_spam() {
        for ham in ["See https://a.example and http://b.example", "www.luz.example", "no link"] {
            assert!(!input(ham).checked().unwrap().is_spam(), "{ham}");
        }
        for spam in [
            "https://a.example HTTPS://b.example http://c.example",
            "www.a.example www.b.example https://www.c.example",
            "[url=x] [url=y] [URL=z]",
        ] {
            assert!(input(spam).checked().unwrap().is_spam(), "{spam}");
        }
        let name = FormInput { name: "https://spam.example".to_owned(), ..input("hello") };
        assert!(name.checked().unwrap().is_spam());
    }
}
