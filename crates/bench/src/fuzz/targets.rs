//! The fuzz targets: what is fed with which corpus, and what must hold for the result.

use std::sync::{Arc, LazyLock};

use portico_kernel::{
    Clock, Env, Random, Timestamp,
    name::{Slug, Subdomain},
};
use portico_sites::{
    domain_name::DomainName,
    link::{image_source, link_target},
    rich_text::{MAX_RICH_TEXT, sanitise},
    section::{SectionType, content::SectionContent},
};
use serde_json::{Map, Value, json};

use super::{
    corpus::{DOMAINS, HTML, LINKS, NAMES},
    edge, harm,
    inputs::Numbers,
    openid, tokens,
};

/// A parser of untrusted input.
pub struct FuzzTarget {
    /// Its name.
    pub name: &'static str,
    /// Hostile cases to begin with.
    pub corpus: fn() -> &'static [&'static str],
    /// Feeds it. Returns whether it accepted the input, or what is wrong with the result.
    pub check: fn(&str) -> Result<bool, String>,
}

/// Everything that is fed.
pub const TARGETS: &[FuzzTarget] = &[
    FuzzTarget { name: "rich-text", corpus: || HTML, check: rich_text },
    FuzzTarget { name: "slug", corpus: || NAMES, check: slug },
    FuzzTarget { name: "subdomain", corpus: || NAMES, check: subdomain },
    FuzzTarget { name: "domain", corpus: || DOMAINS, check: domain },
    FuzzTarget { name: "link", corpus: || LINKS, check: link },
    FuzzTarget { name: "section", corpus: || HTML, check: section },
    FuzzTarget { name: "tokens", corpus: tokens::corpus, check: tokens::check },
    FuzzTarget { name: "openid-claims", corpus: openid::claims, check: openid::check_claims },
    FuzzTarget { name: "openid-answers", corpus: openid::documents, check: openid::check_documents },
    FuzzTarget { name: "path", corpus: || edge::PATHS, check: edge::path },
    FuzzTarget { name: "forwarded", corpus: || edge::FORWARDED, check: edge::forwarded },
];

fn rich_text(input: &str) -> Result<bool, String> {
    let Ok(clean) = sanitise(input, MAX_RICH_TEXT) else { return Ok(false) };
    if let Some(reason) = harm::in_html(&clean) {
        return Err(reason);
    }
    // Cleaning may make it longer (`&` becomes `&amp;`), and the limits apply to the input.
    match sanitise(&clean, usize::MAX / 16) {
        Ok(again) if again != clean => Err(format!("cleaning twice changes {clean:?} to {again:?}")),
        _ => Ok(true),
    }
}

fn slug(input: &str) -> Result<bool, String> {
    let made = Slug::from_title(input);
    for slug in [made.clone(), made.with_suffix(input.len() as u64)] {
        if Slug::parse(slug.as_str()).is_err() {
            return Err(format!("a title makes {slug}, which is no slug"));
        }
    }
    if Slug::from_title(made.as_str()) != made {
        return Err(format!("{made} makes another slug"));
    }
    match Slug::parse(input) {
        Ok(slug) if slug.as_str() != input => Err(format!("{slug} is not what was read")),
        read => Ok(read.is_ok()),
    }
}

/// A fixed clock and fixed randomness.
static ENV: LazyLock<Env> = LazyLock::new(|| {
    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_seconds(0).unwrap_or_else(|| time::OffsetDateTime::UNIX_EPOCH.into())
        }
    }
    impl Random for Still {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }
    Env::new(Arc::new(Still), Arc::new(Still)).reserving(["acme".to_owned()])
});

fn subdomain(input: &str) -> Result<bool, String> {
    let suffix = input.get(..input.len().min(8)).unwrap_or_default();
    for suggestion in [Subdomain::suggest(input, "", &ENV), Subdomain::suggest(input, suffix, &ENV)] {
        if Subdomain::wish(suggestion.as_str(), &ENV).is_err() && suggestion.as_str() != "site" {
            return Err(format!("{suggestion} is suggested and refused"));
        }
    }
    let Ok(name) = Subdomain::wish(input, &ENV) else { return Ok(false) };
    let is_label = (3..=63).contains(&input.len())
        && input.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !input.starts_with('-')
        && !input.ends_with('-');
    if name.as_str() != input || !is_label {
        return Err(format!("{name} is no label"));
    }
    if input.split('-').any(|word| word == "portico" || word == "acme") {
        return Err(format!("{name} poses as somebody"));
    }
    Ok(true)
}

fn domain(input: &str) -> Result<bool, String> {
    let Ok(name) = DomainName::parse(input) else { return Ok(false) };
    let text = name.as_str();
    if DomainName::parse(text).as_ref() != Ok(&name) {
        return Err(format!("{text} is read differently"));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > 253 || text.split('.').count() < 2 || !text.split('.').all(is_label) {
        return Err(format!("{text} is no host name"));
    }
    // Other parsers must read the same host.
    match url::Url::parse(&format!("https://{text}/")) {
        Ok(url) if url.domain() == Some(text) => Ok(true),
        other => Err(format!("{text} is another host to others: {other:?}")),
    }
}

fn link(input: &str) -> Result<bool, String> {
    let mut accepted = false;
    for read in [link_target, image_source] {
        let Ok(address) = read(input) else { continue };
        accepted = true;
        if read(&address).as_ref() != Ok(&address) {
            return Err(format!("{address:?} is read differently"));
        }
        if let Some(reason) = harm::address(&address) {
            return Err(reason);
        }
    }
    Ok(accepted)
}

/// A section of some type, whose fields are pieces of the input.
fn section(input: &str) -> Result<bool, String> {
    let seed = input
        .bytes()
        .fold(input.len() as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut numbers = Numbers::from_seed(seed);
    let Some((kind, fields)) = numbers.pick(KINDS).copied() else { return Ok(false) };
    let pieces: Vec<&str> = input.split(';').collect();
    let content = object(fields, &pieces, &mut numbers, 0);
    let Ok(read) = SectionContent::read(kind, content, "content") else { return Ok(false) };
    let stored = read.into_json();
    if let Some(reason) = harm_in(&stored, "") {
        return Err(reason);
    }
    match SectionContent::read(kind, stored.clone(), "content") {
        // Cleaned content may be longer than the limit of inputs.
        Err(errors) if errors.iter().all(|error| error.code == "too_long" || error.code == "too_complex") => {
            Ok(true)
        }
        Err(errors) => Err(format!("what was stored is refused: {errors:?}")),
        Ok(again) if again.clone().into_json() != stored => {
            Err(format!("reading twice changes {stored} to {}", again.into_json()))
        }
        Ok(_) => Ok(true),
    }
}

fn object(fields: &[&str], pieces: &[&str], numbers: &mut Numbers, depth: usize) -> Value {
    let mut made = Map::new();
    for field in fields {
        let text = numbers.pick(pieces).copied().unwrap_or_default();
        let value = match numbers.below(24) {
            0 => continue,
            1 => Value::Null,
            2 => json!(numbers.next()),
            3 => json!([text]),
            _ if ITEMS.contains(field) && depth == 0 => {
                let count = numbers.below(4);
                Value::Array((0..count).map(|_| object(ITEM_FIELDS, pieces, numbers, 1)).collect())
            }
            _ if matches!(*field, "html" | "answer") => json!(format!("<p>{text}</p>")),
            _ if field.ends_with("Url") || *field == "url" => {
                json!(numbers.pick(LINKS).copied().unwrap_or(text))
            }
            4 => json!(numbers.below(2) == 0),
            _ => json!(text),
        };
        made.insert((*field).to_owned(), value);
    }
    Value::Object(made)
}

/// Checks every text of stored content: HTML and addresses, by the names of fields.
fn harm_in(value: &Value, field: &str) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| harm_in(value, name)),
        Value::Array(items) => items.iter().find_map(|item| harm_in(item, field)),
        Value::String(text) if field.to_ascii_lowercase().ends_with("html") => harm::in_html(text),
        Value::String(text) if field.ends_with("Url") || field == "url" => harm::address(text),
        _ => None,
    }
}

type Kind = (SectionType, &'static [&'static str]);

/// Types of sections, and the fields that they may have.
const KINDS: &[Kind] = &[
    (SectionType::Text, &["heading", "html"]),
    (SectionType::Html, &["html"]),
    (
        SectionType::Hero,
        &["heading", "subheading", "text", "imageUrl", "imageAlt", "buttonLabel", "buttonUrl"],
    ),
    (SectionType::Cta, &["heading", "text", "buttonLabel", "buttonUrl"]),
    (SectionType::Contact, &["heading", "text", "email", "phone", "address", "hours"]),
    (SectionType::Faq, &["heading", "items"]),
    (SectionType::Features, &["heading", "text", "items"]),
    (SectionType::Gallery, &["heading", "images"]),
    (SectionType::Pricing, &["heading", "text", "plans"]),
    (SectionType::Testimonials, &["heading", "items"]),
];

/// Fields that hold lists of objects.
const ITEMS: &[&str] = &["items", "images", "plans"];

/// Fields of those objects.
const ITEM_FIELDS: &[&str] = &[
    "question",
    "answer",
    "answerHtml",
    "title",
    "text",
    "icon",
    "url",
    "imageUrl",
    "alt",
    "caption",
    "name",
    "price",
    "quote",
    "author",
    "role",
    "features",
    "buttonLabel",
    "buttonUrl",
];
