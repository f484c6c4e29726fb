//! Texts that claim nothing: what the owner of a business answered, and words that are true of every business. They stand where
//! nobody has written anything yet, and are what is written without a language model. English and Spanish.

use serde_json::{Map, Value, json};

use crate::{industry::Industry, ports::BusinessInfo, section::SectionType};

/// The longest description below a heading, in characters.
const MAX_LEAD: usize = 220;

/// The words of one language.
struct Words {
    about: &'static str,
    at: &'static str,
    and: &'static str,
    offer: &'static str,
    we_offer: &'static str,
    where_are_we: &'static str,
    questions: &'static str,
    what_do_we_do: &'static str,
    what_do_we_offer: &'static str,
    how_to_reach: &'static str,
    see_contact: &'static str,
    contact: &'static str,
    contact_us: &'static str,
    read_more: &'static str,
}

static ENGLISH: Words = Words {
    about: "About {}",
    at: "{} in {}",
    and: "and",
    offer: "What we offer",
    we_offer: "We offer: {}.",
    where_are_we: "Where are you?",
    questions: "Questions and answers",
    what_do_we_do: "What do you do?",
    what_do_we_offer: "What do you offer?",
    how_to_reach: "How can I get in touch?",
    see_contact: "With the contact details on this website.",
    contact: "Contact",
    contact_us: "Contact us",
    read_more: "Read more",
};

static SPANISH: Words = Words {
    about: "Sobre {}",
    at: "{} en {}",
    and: "y",
    offer: "Lo que ofrecemos",
    we_offer: "Ofrecemos: {}.",
    where_are_we: "¿Dónde están?",
    questions: "Preguntas y respuestas",
    what_do_we_do: "¿Qué hacen?",
    what_do_we_offer: "¿Qué ofrecen?",
    how_to_reach: "¿Cómo puedo comunicarme?",
    see_contact: "Con los datos de contacto de este sitio.",
    contact: "Contacto",
    contact_us: "Contáctenos",
    read_more: "Ver más",
};

/// What there is to say on a page.
#[derive(Clone, Copy, Debug)]
pub struct Neutral<'a> {
    business: &'a BusinessInfo,
    /// BCP 47.
    language: &'a str,
    /// Title of the page; `None` for the home page, which is about the business.
    title: Option<&'a str>,
    /// Where a visitor gets in touch, where there is such a place.
    contact: Option<&'a str>,
}

impl<'a> Neutral<'a> {
    /// What there is to say about a business on a page with this title (`None`: the home page), from which visitors get in touch
    /// at `contact`.
    pub fn new(
        business: &'a BusinessInfo,
        language: &'a str,
        title: Option<&'a str>,
        contact: Option<&'a str>,
    ) -> Self {
        Self { business, language, title, contact }
    }

    /// The content of a section, with the links, icons and opening picture of `before`. Null where there is nothing to say:
    /// quotes, prices, pictures and the like are never made up, and nor is a text about nothing.
    pub fn content(&self, kind: SectionType, before: &Value) -> Value {
        let content = match kind {
            SectionType::Hero => Some(self.hero(before)),
            SectionType::Text => self.text(),
            SectionType::Features => self.features(before),
            SectionType::Faq => self.faq(),
            SectionType::Cta => self.cta(before),
            SectionType::Contact => Some(json!({
                "heading": self.words().contact,
                "form": before.get("form").and_then(Value::as_bool).unwrap_or(before.is_null()),
            })),
            SectionType::Html => self.text().map(|text| json!({"html": text["html"]})),
            SectionType::Gallery | SectionType::Testimonials | SectionType::Pricing => None,
        };
        content.unwrap_or_default()
    }

    /// The least that a section of a type can say that can be written at all; only what its reader sees anyway.
    pub fn least(&self, kind: SectionType) -> Value {
        let line = self.line();
        let name = self.title.or(line.as_deref()).or(self.name()).unwrap_or(self.words().contact);
        let contact = format!("<p>{}</p>", self.words().see_contact);
        match kind {
            SectionType::Features => json!({"items": [{"title": name}]}),
            SectionType::Faq => {
                json!({"items": [{"question": self.words().how_to_reach, "answer": contact}]})
            }
            SectionType::Cta => json!({"heading": name, "label": self.words().contact_us, "url": "/"}),
            SectionType::Html => json!({"html": format!("<p>{}</p>", escaped(name))}),
            _ => json!({"heading": name, "html": format!("<p>{}</p>", escaped(name))}),
        }
    }

    /// The services in one line, for instance `Bread, cakes and coffee`.
    pub fn services(&self) -> Option<String> {
        let (last, others) = self.business.services.split_last()?;
        let line = match others.is_empty() {
            true => last.clone(),
            false => format!("{} {} {last}", others.join(", "), self.words().and),
        };
        Some(capitalised(&line))
    }

    /// The industry and the place, for instance `Bakery in Antigua`.
    pub fn line(&self) -> Option<String> {
        let industry = self.business.industry.as_deref().filter(|id| *id != "other");
        let industry = industry.and_then(Industry::find).map(|industry| industry.name_in(self.language));
        let place = self.location();
        match (industry, place) {
            (Some(industry), Some(place)) => {
                Some(self.words().at.replacen("{}", industry, 1).replacen("{}", place, 1))
            }
            (industry, place) => industry.or(place).map(str::to_owned),
        }
    }

    /// What the business does, in the owner's words, as a sentence.
    pub fn description(&self) -> Option<String> {
        let text = self.business.description.as_deref()?.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_finished = text.ends_with(['.', '!', '?', '…']);
        (!text.is_empty()).then(|| format!("{}{}", capitalised(&text), if is_finished { "" } else { "." }))
    }

    fn words(&self) -> &'static Words {
        let primary = self.language.split('-').next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("es") { &SPANISH } else { &ENGLISH }
    }

    fn name(&self) -> Option<&str> {
        Some(self.business.name.trim()).filter(|name| !name.is_empty())
    }

    fn location(&self) -> Option<&str> {
        self.business.location.as_deref().map(str::trim).filter(|place| !place.is_empty())
    }

    fn hero(&self, before: &Value) -> Value {
        let heading = self.title.or(self.name()).map(str::to_owned).or_else(|| self.line());
        let mut fields = Map::new();
        fields.insert("heading".to_owned(), heading.unwrap_or_else(|| self.words().offer.to_owned()).into());
        if self.title.is_none() {
            let described = self.description().filter(|text| text.chars().count() <= MAX_LEAD);
            fields.insert("subheading".to_owned(), described.or_else(|| self.line()).into());
        }
        for name in ["imageUrl", "imageAssetId", "imageAlt"] {
            fields.extend(before.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        if let Some((label, url)) = self.action(before, "ctaUrl") {
            fields.insert("ctaLabel".to_owned(), label.into());
            fields.insert("ctaUrl".to_owned(), url.into());
        }
        Value::Object(fields)
    }

    fn text(&self) -> Option<Value> {
        let place = || self.line().map(|line| format!("{line}."));
        let offer = self.services().map(|services| self.words().we_offer.replacen("{}", &services, 1));
        let told = [self.description(), offer, self.location().and_then(|_| place())];
        let mut paragraphs: Vec<String> = told.into_iter().flatten().collect();
        if paragraphs.is_empty() {
            paragraphs.extend(place());
        }
        let html: String = paragraphs.iter().map(|text| format!("<p>{}</p>", escaped(text))).collect();
        let heading = self.name().map(|name| self.words().about.replacen("{}", name, 1));
        (!html.is_empty()).then(|| json!({"heading": heading, "html": html}))
    }

    fn features(&self, before: &Value) -> Option<Value> {
        let icon = |index: usize| before["items"][index].get("icon").cloned().unwrap_or_default();
        let items: Vec<Value> = (0..)
            .zip(&self.business.services)
            .map(|(index, service)| json!({"title": capitalised(service), "icon": icon(index)}))
            .collect();
        (!items.is_empty()).then(|| json!({"heading": self.words().offer, "items": items}))
    }

    fn faq(&self) -> Option<Value> {
        let words = self.words();
        let told = [
            (words.what_do_we_do, self.description()),
            (words.what_do_we_offer, self.services().map(|services| format!("{services}."))),
            (words.where_are_we, self.location().map(|place| format!("{place}."))),
        ];
        let mut items: Vec<Value> = told
            .into_iter()
            .filter_map(|(question, answer)| Some((question, answer?)))
            .map(|(question, answer)| json!({"question": question, "answer": format!("<p>{}</p>", escaped(&answer))}))
            .collect();
        if items.is_empty() {
            return None;
        }
        if self.contact.is_some() {
            let answer = format!("<p>{}</p>", words.see_contact);
            items.push(json!({"question": words.how_to_reach, "answer": answer}));
        }
        Some(json!({"heading": words.questions, "items": items}))
    }

    fn cta(&self, before: &Value) -> Option<Value> {
        let (label, url) = self.action(before, "url")?;
        let heading = self.name().unwrap_or(self.words().contact);
        Some(json!({"heading": heading, "text": self.line(), "label": label, "url": url}))
    }

    /// What a button says, and where it leads: where it led before, else to where visitors get in touch.
    fn action(&self, before: &Value, field: &str) -> Option<(&'static str, String)> {
        let url = before.get(field).and_then(Value::as_str).or(self.contact)?;
        // The home page has the contact details where no other page has them.
        let path = url.split(['?', '#']).next();
        let is_contact = path == Some("/") || path == self.contact.or(Some(""));
        let gets_in_touch = is_contact || url.starts_with("mailto:") || url.starts_with("tel:");
        let words = self.words();
        Some((if gets_in_touch { words.contact_us } else { words.read_more }, url.to_owned()))
    }
}

/// The text with its first letter in upper case.
fn capitalised(text: &str) -> String {
    let mut letters = text.trim().chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Text inside HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::content::SectionContent;

    fn dentist() -> BusinessInfo {
        BusinessInfo {
            name: "Clínica Sol".to_owned(),
            industry: Some("dental".to_owned()),
            description: Some("we look after teeth".to_owned()),
            location: Some("Antigua".to_owned()),
            services: vec!["check-ups".to_owned(), "Fillings <quick>".to_owned()],
            ..BusinessInfo::default()
        }
    }

    #[test]
    fn only_what_was_told_is_said() {
        let business = dentist();
        let home = Neutral::new(&business, "en", None, Some("/contact"));
        let hero =
            home.content(SectionType::Hero, &json!({"heading": "Since 1987", "ctaUrl": "/contact#form"}));
        assert_eq!(
            hero,
            json!({"heading": "Clínica Sol", "subheading": "We look after teeth.", "ctaLabel": "Contact us", "ctaUrl": "/contact#form"})
        );
        let text = home.content(SectionType::Text, &json!({"html": "<p>Since 1987</p>"}));
        assert_eq!(text["heading"], "About Clínica Sol");
        assert_eq!(
            text["html"],
            "<p>We look after teeth.</p><p>We offer: Check-ups and Fillings &lt;quick&gt;.</p><p>Dentist in Antigua.</p>"
        );
        let features =
            home.content(SectionType::Features, &json!({"items": [{"title": "x", "icon": "smile"}]}));
        assert_eq!(features["items"][0], json!({"title": "Check-ups", "icon": "smile"}));
        assert_eq!(features["items"][1], json!({"title": "Fillings <quick>", "icon": null}));
        let spanish = Neutral::new(&business, "es-GT", None, None);
        assert_eq!(spanish.line().unwrap(), "Odontología en Antigua");
        assert_eq!(spanish.content(SectionType::Cta, &Value::Null), Value::Null, "it would lead nowhere");
        let elsewhere = home.content(SectionType::Cta, &json!({"url": "/prices"}));
        assert_eq!((&elsewhere["label"], &elsewhere["url"]), (&json!("Read more"), &json!("/prices")));
    }

    #[test]
    fn what_nobody_told_is_left_out() {
        let nobody = BusinessInfo::default();
        let page = Neutral::new(&nobody, "en", Some("Menu"), None);
        for kind in SectionType::ALL {
            let content =
                page.content(kind, &json!({"items": [{"title": "Bread"}], "html": "<p>x</p>", "plans": []}));
            let expected = matches!(kind, SectionType::Hero | SectionType::Contact);
            assert_eq!(!content.is_null(), expected, "{kind:?}: {content}");
        }
        assert_eq!(page.content(SectionType::Hero, &Value::Null)["heading"], "Menu");
    }

    #[test]
    fn what_is_said_passes_the_rules_of_sections() {
        let business = dentist();
        for language in ["en", "es"] {
            for title in [None, Some("Menu")] {
                let page = Neutral::new(&business, language, title, Some("/"));
                for kind in SectionType::ALL {
                    let mut content = page.content(kind, &Value::Null);
                    if kind == SectionType::Contact {
                        content["email"] = "a@b.example".into();
                    }
                    if !content.is_null() {
                        SectionContent::read(kind, content, "").unwrap();
                    }
                }
            }
        }
    }
}
