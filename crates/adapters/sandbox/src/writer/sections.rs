//! Content of one section: generated from facts, or improved.

use portico_sites::section::SectionType;
use serde_json::{Map, Value, json};

use super::facts::{Facts, inside_a_sentence};

/// The facts about a section besides the business.
pub(super) struct Place<'c> {
    pub kind: SectionType,
    /// Number of preceding sections of this type on the page.
    pub number: usize,
    /// The current content: replaced in a new page, improved in a rewrite.
    pub content: &'c Value,
    /// Whether the current texts are the customer's own.
    pub keep_words: bool,
    /// Target of a button.
    pub target: &'c str,
    /// Title of the page, for its first heading if it is not the home page.
    pub topic: Option<&'c str>,
    /// Whether a shorter text is requested.
    pub shorter: bool,
}

/// Generates the content.
pub(super) fn write(facts: &Facts<'_>, place: &Place<'_>) -> Value {
    let mut fields = match place.content {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    match place.kind {
        SectionType::Hero => hero(facts, place, &mut fields),
        SectionType::Text => text(facts, place, &mut fields),
        SectionType::Html => html(facts, place, &mut fields),
        SectionType::Features => features(facts, place, &mut fields),
        SectionType::Faq => faq(facts, place, &mut fields),
        SectionType::Cta => cta(facts, place, &mut fields),
        SectionType::Contact => contact(facts, place, &mut fields),
        SectionType::Gallery => {
            set(&mut fields, "heading", phrase(facts, place, facts.language.tone(facts.tone).gallery));
        }
        SectionType::Testimonials => {
            set(&mut fields, "heading", phrase(facts, place, facts.language.tone(facts.tone).testimonials));
        }
        SectionType::Pricing => {
            let tone = facts.language.tone(facts.tone);
            set(&mut fields, "heading", phrase(facts, place, tone.pricing));
            lead(facts, place, &mut fields, "intro", tone.intro);
        }
    }
    Value::Object(fields)
}

fn part(place: &Place<'_>, name: &str) -> String {
    format!("{} {} {name}", place.kind.as_str(), place.number)
}

fn phrase(facts: &Facts<'_>, place: &Place<'_>, phrases: &[&str]) -> Option<String> {
    facts.phrase(&part(place, "heading"), phrases)
}

fn set(fields: &mut Map<String, Value>, name: &str, text: Option<String>) {
    if let Some(text) = text {
        fields.insert(name.to_owned(), text.into());
    }
}

fn has(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
}

/// A sentence below a heading: the customer's own is kept; none if a shorter text is requested.
fn lead(facts: &Facts<'_>, place: &Place<'_>, fields: &mut Map<String, Value>, name: &str, phrases: &[&str]) {
    if place.shorter {
        fields.remove(name);
    } else if !(place.keep_words && has(fields, name)) {
        set(fields, name, facts.phrase(&part(place, name), phrases));
    }
}

fn hero(facts: &Facts<'_>, place: &Place<'_>, fields: &mut Map<String, Value>) {
    let group = facts.language.group(facts.group);
    let heading = match place.topic {
        Some(topic) => Some(topic.to_owned()),
        None => phrase(facts, place, group.headings),
    };
    set(fields, "heading", heading);
    if !(place.keep_words && has(fields, "subheading")) || place.shorter {
        let own = facts.description.first().filter(|sentence| sentence.chars().count() <= 220).cloned();
        let written = facts.phrase(&part(place, "lead"), group.leads);
        let text = match (own, written) {
            (Some(own), Some(written)) if !place.shorter => format!("{own} {written}"),
            (own, written) => own.or(written).unwrap_or_default(),
        };
        set(fields, "subheading", Some(text));
    }
    let goal = facts.language.goal(facts.goal);
    if !has(fields, "ctaUrl") {
        if place.keep_words {
            // The target is the customer's choice.
            return;
        }
        fields.insert("ctaUrl".to_owned(), place.target.into());
    }
    set(fields, "ctaLabel", facts.phrase("button", goal.labels));
}

fn text(facts: &Facts<'_>, place: &Place<'_>, fields: &mut Map<String, Value>) {
    set(fields, "heading", phrase(facts, place, facts.language.tone(facts.tone).about));
    html(facts, place, fields);
}

/// Paragraphs: the owner's description, how the business works, what it offers, where and for whom.
fn html(facts: &Facts<'_>, place: &Place<'_>, fields: &mut Map<String, Value>) {
    if place.keep_words && has(fields, "html") {
        return;
    }
    let phrases = facts.language.facts();
    let mut paragraphs: Vec<String> = Vec::new();
    if place.number == 0 && !facts.description.is_empty() {
        paragraphs.push(escaped(&facts.description.join(" ")));
    }
    let about = facts.language.group(facts.group).about;
    let about = about.get(place.number % about.len().max(1)..).unwrap_or_default();
    // The first two texts on a page differ.
    let work = facts.phrase(&part(place, "about"), about.get(..1).unwrap_or_default());
    paragraphs.extend(work.map(|text| escaped(&text)));
    if !place.shorter {
        let offer = facts.list_of_services().zip(facts.phrase(&part(place, "services"), phrases.services));
        if let Some((services, begin)) = offer.filter(|_| place.number == 0) {
            paragraphs.push(escaped(&format!("{begin} {services}.")));
        }
        let mut last = Vec::new();
        if place.number == 0 && facts.place().is_some() {
            last.extend(facts.phrase(&part(place, "place"), phrases.place));
        }
        if facts.audience().is_some() {
            last.extend(facts.phrase(&part(place, "audience"), phrases.audience));
        }
        last.extend(facts.phrase(&part(place, "closing"), facts.language.tone(facts.tone).closing));
        paragraphs.push(escaped(&last.join(" ")));
    }
    let html: String =
        paragraphs.iter().filter(|text| !text.is_empty()).map(|text| format!("<p>{text}</p>")).collect();
    fields.insert("html".to_owned(), html.into());
}

fn features(facts: &Facts<'_>, place: &Place<'_>, fields: &mut Map<String, Value>) {
    let tone = facts.language.tone(facts.tone);
    set(fields, "heading", phrase(facts, place, tone.features));
    lead(facts, place, fields, "intro", tone.intro);
    let there = fields.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    if place.keep_words && !there.is_empty() {
        return;
    }
    let wanted = if there.is_empty() { if place.shorter { 3 } else { 4 } } else { there.len() };
    let mut items: Vec<(String, String)> = facts
        .services
        .iter()
        .enumerate()
        .map(|(index, service)| {
            let start = facts.chooser.number(tone.service.len());
            // Neighbouring texts differ.
            let text = tone.service.get((start + index) % tone.service.len()).copied().unwrap_or_default();
            let topic = inside_a_sentence(service).unwrap_or_default();
            let text = facts.phrase_about("service", &[text], &topic).unwrap_or_default();
            (super::template::capitalised(service), text)
        })
        .take(wanted.max(8))
        .collect();
    if items.len() < wanted {
        let offers = facts.language.group(facts.group).offers;
        for (title, text) in facts.chooser.of(&part(place, "offers")).some(offers, wanted - items.len()) {
            let filled = facts.phrase("title", &[title]).zip(facts.phrase("text", &[text]));
            items.extend(filled);
        }
    }
    let icon = |index: usize| there.get(index).and_then(|item| item.get("icon")).cloned().unwrap_or_default();
    let items: Vec<Value> = items
        .into_iter()
        .enumerate()
        .map(|(index, (title, text))| json!({"title": title, "text": text, "icon": icon(index)}))
        .collect();
    fields.insert("items".to_owned(), items.into());
}

fn faq(facts: &Facts<'_>, place: &Place<'_>, fields: &mut Map<String, Value>) {
    set(fields, "heading", phrase(facts, place, facts.language.tone(facts.tone).faq));
    if place.keep_words
        && fields.get("items").and_then(Value::as_array).is_some_and(|items| !items.is_empty())
    {
        return;
    }
    let phrases = facts.language.facts();
    let mut items: Vec<(Option<String>, Option<String>)> = Vec::new();
    if !facts.description.is_empty() && !facts.name.is_empty() {
        items.push((facts.phrase("what", &[phrases.what_is_it]), Some(facts.description.join(" "))));
    }
    if facts.place().is_some() && !facts.name.is_empty() {
        items.push((facts.phrase("where", &[phrases.where_is_it]), facts.phrase("place", phrases.place)));
    }
    if facts.audience().is_some() && !facts.name.is_empty() {
        items.push((
            facts.phrase("for whom", &[phrases.for_whom]),
            facts.phrase("audience", phrases.audience),
        ));
    }
    for (question, answer) in facts.language.group(facts.group).questions {
        items.push((facts.phrase("question", &[question]), facts.phrase("answer", &[answer])));
    }
    let most = if place.shorter { 3 } else { 6 };
    let items: Vec<Value> = items
        .into_iter()
        .filter_map(|(question, answer)| question.zip(answer))
        .take(most)
        .map(|(question, answer)| json!({"question": question, "answer": format!("<p>{}</p>", escaped(&answer))}))
        .collect();
    fields.insert("items".to_owned(), items.into());
}

fn cta(facts: &Facts<'_>, place: &Place<'_>, fields: &mut Map<String, Value>) {
    let goal = facts.language.goal(facts.goal);
    set(fields, "heading", phrase(facts, place, goal.headings));
    lead(facts, place, fields, "text", goal.texts);
    set(fields, "label", facts.phrase("button", goal.labels));
    if !has(fields, "url") {
        fields.insert("url".to_owned(), place.target.into());
    }
}

fn contact(facts: &Facts<'_>, place: &Place<'_>, fields: &mut Map<String, Value>) {
    let tone = facts.language.tone(facts.tone);
    set(fields, "heading", phrase(facts, place, tone.contact));
    lead(facts, place, fields, "text", tone.contact_text);
    let known = ["email", "phone", "address"].iter().any(|name| has(fields, name));
    if !known {
        set(fields, "address", facts.place().map(str::to_owned));
    }
}

/// Text inside HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
