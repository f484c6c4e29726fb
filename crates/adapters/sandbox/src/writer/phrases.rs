//! The phrases of a language: sets by kind of business, by tone, and by the goal of a site.
//!
//! The phrases address the reader, and promise nothing that only the owner can know: no experience in years, no awards, no
//! prices, no opening hours.

use super::{english, spanish, trade::Group};
use portico_sites::ports::Tone;

/// Phrases for a kind of business.
pub(super) struct GroupPhrases {
    /// Large headings.
    pub headings: &'static [&'static str],
    /// Sentences below them, if the owner has not described the business.
    pub leads: &'static [&'static str],
    /// Paragraphs about how the business works.
    pub about: &'static [&'static str],
    /// What a visitor can do there: title and text.
    pub offers: &'static [(&'static str, &'static str)],
    /// Questions and answers.
    pub questions: &'static [(&'static str, &'static str)],
    /// Search keywords.
    pub keywords: &'static [&'static str],
}

/// Phrases in a tone.
pub(super) struct TonePhrases {
    /// Headings over a text about the business.
    pub about: &'static [&'static str],
    /// Headings over what it offers.
    pub features: &'static [&'static str],
    /// Sentences below them.
    pub intro: &'static [&'static str],
    /// Headings over pictures.
    pub gallery: &'static [&'static str],
    /// Headings over testimonials.
    pub testimonials: &'static [&'static str],
    /// Headings over prices.
    pub pricing: &'static [&'static str],
    /// Headings over questions.
    pub faq: &'static [&'static str],
    /// Headings over ways to get in touch.
    pub contact: &'static [&'static str],
    /// Sentences below them.
    pub contact_text: &'static [&'static str],
    /// Descriptions of a service that the owner names, with a gap `{topic}`.
    pub service: &'static [&'static str],
    /// Last sentences of a text.
    pub closing: &'static [&'static str],
}

/// Goal of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Bookings,
    Sales,
    Enquiries,
    Visits,
    Support,
    Inform,
}

/// Calls to action for a goal.
pub(super) struct GoalPhrases {
    pub headings: &'static [&'static str],
    pub texts: &'static [&'static str],
    pub labels: &'static [&'static str],
}

/// Sentences made of facts alone.
pub(super) struct FactPhrases {
    /// Location and audience.
    pub place: &'static [&'static str],
    pub audience: &'static [&'static str],
    /// Before a list of services.
    pub services: &'static [&'static str],
    /// Joins the last two items of a list.
    pub and: &'static str,
    /// Questions that facts answer.
    pub where_is_it: &'static str,
    pub for_whom: &'static str,
    pub what_is_it: &'static str,
    /// Titles for search engines, the longest first.
    pub titles: &'static [&'static str],
    /// Ends of descriptions for search engines.
    pub invitations: &'static [&'static str],
}

/// A supported language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Spanish,
}

impl Language {
    /// The language of a tag (BCP 47). English if it is not supported.
    pub fn of(tag: &str) -> Self {
        match tag.split(['-', '_']).next() {
            Some(primary) if primary.eq_ignore_ascii_case("es") => Self::Spanish,
            _ => Self::English,
        }
    }

    pub fn group(self, group: Group) -> &'static GroupPhrases {
        match self {
            Self::English => english::groups::of(group),
            Self::Spanish => spanish::groups::of(group),
        }
    }

    pub fn tone(self, tone: Tone) -> &'static TonePhrases {
        match self {
            Self::English => english::tone(tone),
            Self::Spanish => spanish::tone(tone),
        }
    }

    pub fn goal(self, goal: Goal) -> &'static GoalPhrases {
        match self {
            Self::English => english::goal(goal),
            Self::Spanish => spanish::goal(goal),
        }
    }

    pub fn facts(self) -> &'static FactPhrases {
        match self {
            Self::English => &english::FACTS,
            Self::Spanish => &spanish::FACTS,
        }
    }
}

impl Goal {
    /// The goal in the owner's words. The first one recognised counts.
    pub fn of(goals: &[String]) -> Self {
        let says = |words: &[String], beginnings: &[&str]| {
            words.iter().any(|word| beginnings.iter().any(|beginning| word.starts_with(beginning)))
        };
        for goal in goals {
            let words = super::trade::words(goal);
            let rows: [(&[&str], Self); 5] = [
                (&["book", "reserv", "appoint", "cita", "agend", "schedul"], Self::Bookings),
                (&["sell", "sale", "order", "vend", "vent", "pedido", "shop", "compra"], Self::Sales),
                (
                    &["donat", "donac", "dona", "volunt", "member", "miembro", "support", "apoy"],
                    Self::Support,
                ),
                (
                    &["quot", "lead", "client", "custom", "cotiz", "contact", "consult", "enquir", "inquir"],
                    Self::Enquiries,
                ),
                (&["visit", "traffic", "walk", "conoc", "found", "encuentr"], Self::Visits),
            ];
            if let Some((_, goal)) = rows.into_iter().find(|(beginnings, _)| says(&words, beginnings)) {
                return goal;
            }
        }
        Self::Inform
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::template::{Gaps, fill};

    const GROUPS: [Group; 14] = [
        Group::Food,
        Group::Beauty,
        Group::Health,
        Group::Fitness,
        Group::Advice,
        Group::Trades,
        Group::Shop,
        Group::Technology,
        Group::Learning,
        Group::Property,
        Group::Travel,
        Group::Creative,
        Group::Community,
        Group::General,
    ];

    /// Every phrase can be filled when all facts are known, and each set has one that needs nothing but the name.
    #[test]
    fn every_phrase_is_well_formed_and_every_set_has_one_without_gaps() {
        let full = Gaps {
            name: "Luz",
            trade: Some("bakery"),
            place: Some("Antigua"),
            audience: Some("families"),
            topic: Some("bread"),
            formal: false,
        };
        let bare = Gaps { name: "Luz", topic: Some("bread"), ..Gaps::default() };
        let check = |name: &str, set: &[&str]| {
            assert!(
                set.iter().all(|phrase| fill(phrase, &full).is_some()),
                "{name}: a phrase is broken: {set:?}"
            );
            assert!(set.iter().any(|phrase| fill(phrase, &bare).is_some()), "{name}: nothing without gaps");
        };
        for language in [Language::English, Language::Spanish] {
            for group in GROUPS {
                let name = format!("{language:?} {group:?}");
                let phrases = language.group(group);
                for set in [phrases.headings, phrases.leads, phrases.about] {
                    check(&name, set);
                }
                assert!(
                    phrases.offers.len() >= 3 && phrases.questions.len() >= 3 && phrases.keywords.len() >= 3
                );
                for (title, text) in phrases.offers.iter().chain(phrases.questions) {
                    check(&name, &[title]);
                    check(&name, &[text]);
                }
            }
            for tone in [Tone::Friendly, Tone::Professional, Tone::Bold, Tone::Elegant] {
                let p = language.tone(tone);
                for set in [
                    p.about,
                    p.features,
                    p.intro,
                    p.gallery,
                    p.testimonials,
                    p.pricing,
                    p.faq,
                    p.contact,
                    p.contact_text,
                    p.service,
                    p.closing,
                ] {
                    check(&format!("{language:?} {tone:?}"), set);
                }
            }
            for goal in
                [Goal::Bookings, Goal::Sales, Goal::Enquiries, Goal::Visits, Goal::Support, Goal::Inform]
            {
                let p = language.goal(goal);
                for set in [p.headings, p.texts, p.labels] {
                    check(&format!("{language:?} {goal:?}"), set);
                }
            }
        }
    }

    #[test]
    fn goals_are_recognised() {
        let goal = |text: &str| Goal::of(&[text.to_owned()]);
        assert_eq!(goal("More bookings"), Goal::Bookings);
        assert_eq!(goal("Recibir reservaciones"), Goal::Bookings);
        assert_eq!(goal("sell online"), Goal::Sales);
        assert_eq!(goal("Conseguir más clientes"), Goal::Enquiries);
        assert_eq!(goal("donations"), Goal::Support);
        assert_eq!(goal("Be found by visitors"), Goal::Visits);
        assert_eq!(goal("world peace"), Goal::Inform);
        assert_eq!(Goal::of(&["peace".into(), "bookings".into()]), Goal::Bookings);
    }
}
