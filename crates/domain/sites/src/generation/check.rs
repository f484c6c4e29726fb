//! Checks of generated texts: they are made harmless and compared with the brief.
//!
//! A language model can be talked into anything by the texts that it reads, and it makes facts up. So nothing that it answers is
//! taken as it is: only the fields of the section are read, HTML is sanitised, addresses that are not in the brief are removed,
//! and facts that are not in the brief (quotes of customers, prices, phone numbers) are refused.

use portico_kernel::{FieldError, Violations};
use serde_json::{Map, Value};

use super::{
    html,
    sources::{Sources, is_address},
};
use crate::{
    ports::{PageBrief, RewriteBrief},
    section::{SectionType, content::SectionContent},
};

/// The most bytes of one generated section.
const MAX_SECTION: usize = 40_000;

/// The most characters of a title for search engines.
pub const MAX_SEO_TITLE: usize = 60;

/// The most characters of a description for search engines.
pub const MAX_SEO_DESCRIPTION: usize = 155;

/// The most keywords.
pub const MAX_KEYWORDS: usize = 10;

/// Generated content for a section of this type, in its normal form. Errors name what the generator has to do better, with fields
/// below `field`.
pub fn read_section(
    kind: SectionType,
    mut content: Value,
    sources: &Sources,
    field: &str,
) -> Result<Value, Vec<FieldError>> {
    if content.to_string().len() > MAX_SECTION {
        return Err(vec![FieldError::new(field, "too_long", "This section is much too long.")]);
    }
    let mut violations = Violations::default();
    restrict(kind, &mut content, field, sources, &mut violations);
    if let (SectionType::Cta, Value::Object(fields)) = (kind, &mut content) {
        // The field is required; the home page is always there.
        fields.entry("url").or_insert_with(|| "/".into());
    }
    let read = SectionContent::read(kind, content, field);
    match read {
        Ok(content) => {
            check_facts(&content, field, sources, &mut violations);
            violations.into_result()?;
            Ok(content.into_json())
        }
        Err(errors) => {
            violations.extend(errors);
            Err(violations.into_result().err().unwrap_or_default())
        }
    }
}

/// Generated content that replaces existing content. Links, pictures and contact details that it has left out are taken over,
/// because they are the customer's.
pub fn read_rewrite(brief: &RewriteBrief, mut content: Value, field: &str) -> Result<Value, Vec<FieldError>> {
    keep_facts(brief.kind, &brief.content, &mut content);
    read_section(brief.kind, content, &Sources::of_rewrite(brief), field)
}

/// The sections that were generated for a page, in the order of the brief. What [`read_rewrite`] takes over is taken over here
/// too.
pub fn read_page(
    brief: &PageBrief,
    written: Vec<Value>,
) -> Result<Vec<(SectionType, Value)>, Vec<FieldError>> {
    let sources = Sources::of_page(brief);
    let mut violations = Violations::default();
    let mut sections = Vec::with_capacity(brief.sections.len());
    for (index, ((kind, before), mut content)) in brief.sections.iter().zip(written).enumerate() {
        keep_facts(*kind, before, &mut content);
        match read_section(*kind, content, &sources, &format!("section{}", index + 1)) {
            Ok(content) => sections.push((*kind, content)),
            Err(errors) => violations.extend(errors),
        }
    }
    violations.into_result()?;
    if sections.len() != brief.sections.len() {
        return Err(vec![FieldError::new("", "too_few", "A section is missing.")]);
    }
    Ok(sections)
}

fn keep_facts(kind: SectionType, before: &Value, after: &mut Value) {
    if let (SectionType::Contact, Value::Object(after)) = (kind, &mut *after) {
        // Whether there is a form, and what visitors agree to in it, is not for the generator to decide. A new section has one:
        // the tenant can always read what is sent.
        after.insert("form".to_owned(), before.get("form").cloned().unwrap_or(Value::Bool(before.is_null())));
        after.insert("consentText".to_owned(), before.get("consentText").cloned().unwrap_or_default());
        // Nor are the business's profiles elsewhere.
        after.insert("socialUrls".to_owned(), before.get("socialUrls").cloned().unwrap_or_default());
    }
    if let (Value::Object(before), Value::Object(after)) = (before, after) {
        take_over(kind, before, after);
    }
}

fn take_over(kind: SectionType, before: &Map<String, Value>, after: &mut Map<String, Value>) {
    const KEPT: [&str; 9] =
        ["imageUrl", "imageAssetId", "imageAlt", "ctaUrl", "url", "email", "phone", "address", "hours"];
    for name in KEPT {
        if let Some(value) = before.get(name).filter(|value| !value.is_null())
            && after.get(name).is_none_or(|now| now.is_null() || (name != "imageAlt" && now != value))
        {
            after.insert(name.to_owned(), value.clone());
        }
    }
    if after.get("ctaUrl").is_some_and(Value::is_string)
        && after.get("ctaLabel").is_none_or(Value::is_null)
        && let Some(label) = before.get("ctaLabel")
    {
        after.insert("ctaLabel".to_owned(), label.clone());
    }
    let pictures = |fields: &Map<String, Value>| fields.get("images").and_then(Value::as_array).cloned();
    if kind == SectionType::Gallery
        && let Some(before) = pictures(before)
    {
        let addresses = |images: &[Value]| -> Vec<Value> {
            images.iter().flat_map(|image| [image["url"].clone(), image["imageAssetId"].clone()]).collect()
        };
        let kept = pictures(after).is_some_and(|after| addresses(&after) == addresses(&before));
        if !kept {
            after.insert("images".to_owned(), Value::Array(before));
        }
    }
}

/// Removes foreign addresses from a value, and records what cannot stay.
fn restrict(
    kind: SectionType,
    value: &mut Value,
    path: &str,
    sources: &Sources,
    violations: &mut Violations,
) {
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                restrict(kind, value, &format!("{path}[{index}]"), sources, violations);
            }
            // A picture without its address is none.
            values.retain(|value| !matches!(value, Value::Object(fields) if fields.contains_key(NO_PICTURE)));
        }
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match value {
                    Value::String(text) if is_address_field(name) => {
                        if !sources.allow_address(text) {
                            *value = Value::Null;
                        }
                    }
                    Value::String(text) if is_html_field(name) => match html::restrict(text, sources) {
                        Ok(clean) => {
                            check_numbers(&html::text_of(&clean), &path, sources, violations);
                            *text = clean;
                        }
                        Err(mut error) => {
                            error.field = path;
                            violations.extend([error]);
                        }
                    },
                    Value::String(text) => {
                        *text = without_addresses(text, sources);
                        violations.check(
                            !has_markup(text),
                            &path,
                            "markup",
                            "This must be plain text without HTML.",
                        );
                        check_numbers(text, &path, sources, violations);
                    }
                    value => restrict(kind, value, &path, sources, violations),
                }
            }
            tidy(kind, fields);
        }
        _ => {}
    }
}

/// Marks a picture whose address was removed.
const NO_PICTURE: &str = "\u{1}no picture";

/// Removes what makes no sense without an address that was removed.
fn tidy(kind: SectionType, fields: &mut Map<String, Value>) {
    let gone = |fields: &Map<String, Value>, name: &str| fields.get(name).is_none_or(Value::is_null);
    if gone(fields, "ctaUrl") {
        fields.remove("ctaUrl");
        fields.remove("ctaLabel");
    }
    if gone(fields, "imageUrl") && gone(fields, "imageAssetId") {
        fields.remove("imageAlt");
    }
    let is_picture = kind == SectionType::Gallery && fields.contains_key("url");
    if is_picture && gone(fields, "url") && gone(fields, "imageAssetId") {
        fields.insert(NO_PICTURE.to_owned(), Value::Null);
    } else if gone(fields, "url") {
        fields.remove("url");
    }
}

/// Fields with an address of a link or a picture, or with the id of a file.
fn is_address_field(name: &str) -> bool {
    name == "url" || name.ends_with("Url") || name.ends_with("AssetId") || name == "assetId"
}

fn is_html_field(name: &str) -> bool {
    matches!(name, "html" | "answer")
}

/// Whether a browser would see a tag in it.
fn has_markup(text: &str) -> bool {
    text.match_indices('<').any(|(at, _)| {
        text[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
    })
}

/// The text without words that are addresses not in the brief.
pub(super) fn without_addresses(text: &str, sources: &Sources) -> String {
    let foreign = |word: &str| {
        is_address(word) && !sources.has_text(word.trim_end_matches(['.', ',', ';', ':', '!', '?']))
    };
    if !text.split_whitespace().any(foreign) {
        return text.to_owned();
    }
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().filter(|word| !foreign(word)).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Records phone numbers and amounts of money that are not in the brief.
fn check_numbers(text: &str, path: &str, sources: &Sources, violations: &mut Violations) {
    /// Fewer digits are a year, a size, a number of rooms.
    const PHONE: usize = 7;
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    for candidate in text.split(|c: char| !(c.is_ascii_digit() || "+-./() ".contains(c))) {
        let number = digits(candidate);
        if number.len() >= PHONE && !sources.has_digits(&number) {
            violations.add(path, "unknown_number", "Leave out phone numbers that are not in the data.");
        }
    }
    for (at, sign) in text.match_indices(['$', '€', '£', '¥']) {
        let amount: String = text[at + sign.len()..]
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
            .collect();
        let amount = digits(&amount);
        if !amount.is_empty() && !sources.has_digits(&amount) {
            violations.add(path, "unknown_price", "Leave out prices that are not in the data.");
        }
    }
}

/// Records facts that are not in the brief.
fn check_facts(content: &SectionContent, path: &str, sources: &Sources, violations: &mut Violations) {
    match content {
        SectionContent::Testimonials(testimonials) => {
            for (index, item) in testimonials.items.iter().enumerate() {
                violations.check(
                    sources.has_text(&item.quote) && sources.has_text(&item.author),
                    format!("{path}.items[{index}].quote"),
                    "unknown_quote",
                    "Quotes must be word for word those in the data, with their authors.",
                );
            }
        }
        SectionContent::Pricing(pricing) => {
            for (index, plan) in pricing.plans.iter().enumerate() {
                let has_digits = plan.price.contains(|c: char| c.is_ascii_digit());
                violations.check(
                    !has_digits || sources.has_loosely(&plan.price),
                    format!("{path}.plans[{index}].price"),
                    "unknown_price",
                    "Prices must be those in the data.",
                );
            }
        }
        SectionContent::Contact(contact) => {
            let facts = [
                ("email", &contact.email),
                ("phone", &contact.phone),
                ("address", &contact.address),
                ("hours", &contact.hours),
            ];
            for (name, fact) in facts {
                violations.check(
                    fact.as_deref().is_none_or(|fact| sources.has_loosely(fact)),
                    format!("{path}.{name}"),
                    "unknown_fact",
                    "Ways to get in touch must be those in the data.",
                );
            }
        }
        _ => {}
    }
}

/// Generated title, description and keywords, in the bounds of [`MAX_SEO_TITLE`], [`MAX_SEO_DESCRIPTION`] and [`MAX_KEYWORDS`].
/// What is a little too long is cut between words.
pub fn read_seo(
    title: &str,
    description: &str,
    keywords: &[String],
    sources: &Sources,
) -> Result<(String, String, Vec<String>), Vec<FieldError>> {
    let mut violations = Violations::default();
    let mut line = |name: &str, text: &str, max: usize| {
        let text = without_addresses(text, sources).split_whitespace().collect::<Vec<_>>().join(" ");
        violations.text(name, &text, 1, 2 * max);
        violations.check(!has_markup(&text), name, "markup", "This must be plain text without HTML.");
        check_numbers(&text, name, sources, &mut violations);
        shortened(&text, max)
    };
    let title = line("title", title, MAX_SEO_TITLE);
    let description = line("description", description, MAX_SEO_DESCRIPTION);
    let mut kept: Vec<String> = Vec::new();
    for keyword in keywords {
        let keyword = without_addresses(keyword, sources).trim().to_lowercase();
        let fits = !keyword.is_empty() && keyword.chars().count() <= 50 && !has_markup(&keyword);
        if fits
            && !keyword.chars().any(char::is_control)
            && !kept.contains(&keyword)
            && kept.len() < MAX_KEYWORDS
        {
            kept.push(keyword);
        }
    }
    violations.into_result()?;
    Ok((title, description, kept))
}

/// At most `max` characters, cut between words where possible.
pub fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let end = text.char_indices().nth(max).map_or(text.len(), |(end, _)| end);
    let cut = &text[..end];
    let whole = match text[end..].starts_with(char::is_whitespace) {
        true => cut,
        false => cut.rfind(char::is_whitespace).map_or(cut, |space| &cut[..space]),
    };
    whole.trim_end_matches(|c: char| c.is_whitespace() || ",;:–-|&(".contains(c)).to_owned()
}
