//! The facts of the generator: the owner's input, normalised.

use portico_sites::{
    industry::Industry,
    ports::{BusinessInfo, Tone},
};

use super::{
    phrases::{Goal, Language},
    template::{Chooser, Gaps, capitalised},
    trade::{Group, Trade},
};

/// The facts of the generator.
pub(super) struct Facts<'b> {
    pub language: Language,
    pub tone: Tone,
    pub goal: Goal,
    pub group: Group,
    pub chooser: Chooser,
    pub name: String,
    trade: &'static str,
    place: Option<String>,
    audience: Option<String>,
    /// Sentences of the owner's description, each with its full stop.
    pub description: Vec<String>,
    pub services: Vec<String>,
    business: &'b BusinessInfo,
}

impl<'b> Facts<'b> {
    /// Normalises the facts. `subject` is the subject of the text: it varies the choice of phrases.
    pub fn new(business: &'b BusinessInfo, language: &str, tone: Tone, subject: &[&str]) -> Self {
        let language = Language::of(language);
        let industry = business.industry.as_deref().map(|id| match Industry::find(id) {
            Some(known) => format!("{id} {} {}", known.name, known.name_es),
            None => id.to_owned(),
        });
        let trade = Trade::find(industry.as_deref(), business.description.as_deref());
        let word = match language {
            Language::English => trade.english,
            Language::Spanish => trade.spanish,
        };
        let seed = [business.name.as_str(), business.description.as_deref().unwrap_or_default(), word];
        Self {
            language,
            tone,
            goal: Goal::of(&business.goals),
            group: trade.group,
            chooser: Chooser::new(seed.into_iter().chain(subject.iter().copied())),
            name: tidy(&business.name).unwrap_or_default(),
            trade: word,
            place: business.location.as_deref().and_then(tidy),
            audience: business.audience.as_deref().and_then(inside_a_sentence),
            description: business.description.as_deref().map(sentences).unwrap_or_default(),
            services: business.services.iter().filter_map(|service| tidy(service)).collect(),
            business,
        }
    }

    /// Values for the gaps of phrases.
    pub fn gaps<'g>(&'g self, topic: Option<&'g str>) -> Gaps<'g> {
        Gaps {
            name: self.known_name(),
            trade: Some(self.trade).filter(|trade| !trade.is_empty()),
            place: self.place.as_deref(),
            audience: self.audience.as_deref(),
            topic,
            formal: matches!(self.tone, Tone::Professional | Tone::Elegant),
        }
    }

    /// The name, or a generic word if there is none.
    fn known_name(&self) -> &str {
        match (self.name.as_str(), self.language) {
            ("", Language::English) => "our house",
            ("", Language::Spanish) => "nuestra casa",
            (name, _) => name,
        }
    }

    /// The place, as the owner wrote it.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// One of these phrases, filled. `part` varies the choice between parts of a page.
    pub fn phrase(&self, part: &str, phrases: &[&str]) -> Option<String> {
        self.chooser.of(part).phrase(phrases, &self.gaps(None))
    }

    /// The same with a topic.
    pub fn phrase_about(&self, part: &str, phrases: &[&str], topic: &str) -> Option<String> {
        self.chooser.of(part).phrase(phrases, &self.gaps(Some(topic)))
    }

    /// The services as the end of a sentence: `bread, cakes and coffee`.
    pub fn list_of_services(&self) -> Option<String> {
        let services: Vec<String> = self
            .services
            .iter()
            .take(6)
            .map(|service| inside_a_sentence(service).unwrap_or_default())
            .collect();
        let and = self.language.facts().and;
        match services.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            // Before the sound of i, `y` is `e` in Spanish.
            [first @ .., last] => {
                let starts_with_i =
                    last.to_lowercase().starts_with(['i', 'í']) || last.to_lowercase().starts_with("hi");
                let and = if self.language == Language::Spanish && starts_with_i { "e" } else { and };
                Some(format!("{} {and} {last}", first.join(", ")))
            }
        }
    }

    /// The owner's name for the line of business, in the language of the text.
    pub fn industry(&self) -> Option<&'static str> {
        let id = self.business.industry.as_deref().filter(|id| *id != "other")?;
        let industry = Industry::find(id)?;
        Some(if self.language == Language::Spanish { industry.name_es } else { industry.name })
    }
}

/// Without surrounding and repeated white space; `None` when nothing is left.
fn tidy(text: &str) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches(['.', ',', ';']).to_owned();
    (!text.is_empty()).then_some(text)
}

/// For use inside a sentence: a first word with only its first letter capitalised becomes lower-case.
pub(super) fn inside_a_sentence(text: &str) -> Option<String> {
    let text = tidy(text)?;
    let first = text.split_whitespace().next().unwrap_or_default();
    let is_acronym = first.chars().skip(1).any(|c| c.is_uppercase() || c.is_ascii_digit());
    // A second capitalised word usually indicates a proper name.
    let is_name = text.split_whitespace().nth(1).is_some_and(|word| word.starts_with(char::is_uppercase));
    if is_acronym || is_name {
        return Some(text);
    }
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect())
}

/// The sentences of a text, each beginning with a capital and ending with a full stop.
fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut sentence = String::new();
        for word in line.split_whitespace() {
            if !sentence.is_empty() {
                sentence.push(' ');
            }
            sentence.push_str(word);
            // `St.` and `Dr.` do not end a sentence, and neither does `3.5`.
            let ends =
                word.ends_with(['.', '!', '?']) && word.chars().filter(|c| c.is_alphanumeric()).count() > 2;
            if ends {
                found.push(std::mem::take(&mut sentence));
            }
        }
        if !sentence.is_empty() {
            found.push(sentence);
        }
    }
    found.into_iter().map(|sentence| finished(&sentence)).filter(|sentence| sentence.len() > 1).collect()
}

/// With a capital at the beginning and a full stop at the end.
pub(super) fn finished(sentence: &str) -> String {
    let sentence = capitalised(sentence.trim().trim_end_matches([',', ';', ':']));
    if sentence.is_empty() || sentence.ends_with(['.', '!', '?', '…']) { sentence } else { sentence + "." }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_told_apart_and_finished() {
        assert_eq!(
            sentences("we bake bread, near St. Mary. Open to all!\nAsk us"),
            ["We bake bread, near St. Mary.", "Open to all!", "Ask us."]
        );
        assert!(sentences(" \n ").is_empty());
    }

    #[test]
    fn words_fit_into_a_sentence() {
        for (text, expected) in [
            ("Young families", "young families"),
            ("Families in Antigua.", "families in Antigua"),
            ("La Antigua Guatemala", "La Antigua Guatemala"),
            ("PDF forms", "PDF forms"),
        ] {
            assert_eq!(inside_a_sentence(text).as_deref(), Some(expected));
        }
        assert_eq!(inside_a_sentence("  "), None);
    }

    #[test]
    fn lists_end_with_the_right_word() {
        let business = |services: &[&str]| BusinessInfo {
            services: services.iter().map(|text| (*text).to_owned()).collect(),
            ..BusinessInfo::default()
        };
        let list = |language, services: &[&str]| {
            Facts::new(&business(services), language, Tone::Friendly, &[]).list_of_services()
        };
        assert_eq!(list("en", &["Bread", "Cakes", "Coffee"]).as_deref(), Some("bread, cakes and coffee"));
        assert_eq!(list("es", &["Pan", "Infusiones"]).as_deref(), Some("pan e infusiones"));
        assert_eq!(list("es", &["Pan"]).as_deref(), Some("pan"));
        assert_eq!(list("es", &[]), None);
    }
}
