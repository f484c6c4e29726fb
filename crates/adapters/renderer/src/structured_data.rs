//! Structured data of a page in the vocabulary of schema.org, as JSON-LD
//! (<https://developers.google.com/search/docs/appearance/structured-data>).

use portico_sites::{
    industry::Industry,
    ports::{PageSnapshot, SiteSnapshot},
    section::{
        SectionType,
        content::{ContactContent, SectionContent},
    },
};
use serde_json::{Map, Value, json};

use crate::markup;

const CONTEXT: &str = "https://schema.org";

/// Values that are also in the head of the page.
pub struct Facts<'a> {
    pub description: Option<&'a str>,
    pub image: Option<&'a str>,
    pub path: &'a str,
}

/// The documents for a page, as texts for `script` elements: the business and the site on the home page, breadcrumbs on
/// others, questions and answers, and the customer's own.
pub fn documents(snapshot: &PageSnapshot, site: &SiteSnapshot, facts: &Facts<'_>) -> Vec<String> {
    let language = snapshot.page.language.as_deref().unwrap_or(&site.language);
    let mut documents = Vec::new();
    if facts.path == "/" {
        documents.push(business(site, facts));
        documents.push(json!({
            "@context": CONTEXT, "@type": "WebSite", "name": site.site.name,
            "url": format!("{}/", site.base_url), "inLanguage": language,
        }));
    } else {
        documents.push(breadcrumbs(snapshot, site, facts));
    }
    documents.extend(questions(snapshot));
    match snapshot.seo.as_ref().and_then(|seo| seo.structured_data.clone()) {
        Some(Value::Array(own)) => documents.extend(own.into_iter().map(in_context)),
        Some(own) => documents.push(in_context(own)),
        None => {}
    }
    documents.iter().map(script_text).collect()
}

/// The business behind the site, with the schema.org type of its industry.
fn business(site: &SiteSnapshot, facts: &Facts<'_>) -> Value {
    let industry = site.site.industry.as_deref().and_then(Industry::find);
    let mut business = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            business.insert(name.to_owned(), value);
        }
    };
    set("@context", Some(CONTEXT.into()));
    set("@type", Some(industry.map_or("Organization", |industry| industry.schema_type).into()));
    set("@id", Some(format!("{}/#business", site.base_url).into()));
    set("name", Some(site.site.name.as_str().into()));
    set("url", Some(format!("{}/", site.base_url).into()));
    set("description", facts.description.map(Value::from));
    set("image", facts.image.map(Value::from));
    let logo = site.theme.logo.as_ref().and_then(|logo| logo.sources.last());
    set("logo", logo.map(|source| format!("{}/{}", site.base_url, source.path).into()));
    if let Some(contact) = contact(site) {
        set("email", contact.email.map(Value::from));
        set("telephone", contact.phone.map(Value::from));
        // Unstructured: schema.org accepts text for an address, and guessing its parts would be wrong.
        set("address", contact.address.map(|address| address.lines().collect::<Vec<_>>().join(", ").into()));
    }
    Value::Object(business)
}

fn contact(site: &SiteSnapshot) -> Option<ContactContent> {
    let sections = site.pages.iter().flat_map(|page| &page.sections);
    let mut contacts = sections.filter(|section| section.visible && section.kind == SectionType::Contact);
    contacts.find_map(|section| match SectionContent::from_stored(section.kind, &section.content) {
        Ok(SectionContent::Contact(contact)) => Some(contact),
        _ => None,
    })
}

fn breadcrumbs(snapshot: &PageSnapshot, site: &SiteSnapshot, facts: &Facts<'_>) -> Value {
    let item = |position: u8, name: &str, address: &str| json!({"@type": "ListItem", "position": position, "name": name, "item": address});
    json!({
        "@context": CONTEXT, "@type": "BreadcrumbList",
        "itemListElement": [
            item(1, &site.site.name, &format!("{}/", site.base_url)),
            item(2, &snapshot.page.title, &format!("{}{}", site.base_url, facts.path)),
        ],
    })
}

/// The questions on the page, all in one document, as search engines require it.
fn questions(snapshot: &PageSnapshot) -> Option<Value> {
    let sections = snapshot.sections.iter().filter(|section| section.visible);
    let items: Vec<Value> = sections
        .filter_map(|section| match SectionContent::from_stored(section.kind, &section.content) {
            Ok(SectionContent::Faq(faq)) => Some(faq.items),
            _ => None,
        })
        .flatten()
        .map(|item| {
            json!({
                "@type": "Question", "name": item.question,
                "acceptedAnswer": {"@type": "Answer", "text": markup::plain_text(&item.answer)},
            })
        })
        .collect();
    (!items.is_empty()).then(|| json!({"@context": CONTEXT, "@type": "FAQPage", "mainEntity": items}))
}

fn in_context(mut own: Value) -> Value {
    if let Some(object) = own.as_object_mut() {
        object.entry("@context").or_insert_with(|| CONTEXT.into());
    }
    own
}

/// JSON in which no text can end a `script` element or begin a comment. Line and paragraph separators are escaped for
/// parsers that treat it as a script.
fn script_text(document: &Value) -> String {
    document
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_script_element() {
        let text = script_text(&json!({"name": "</script><script>alert(1)</script><!-- & \u{2028}"}));
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["name"], "</script><script>alert(1)</script><!-- & \u{2028}");
    }
}
