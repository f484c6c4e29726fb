//! Phrases with gaps, and the choice between several.

/// Values of the gaps. A phrase with a gap without a value is not used.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps<'f> {
    pub name: &'f str,
    /// `bakery`, in the language of the text.
    pub trade: Option<&'f str>,
    pub place: Option<&'f str>,
    pub audience: Option<&'f str>,
    /// Title of the page.
    pub topic: Option<&'f str>,
    /// Whether the reader is addressed formally.
    pub formal: bool,
}

/// Fills the gaps of a phrase: `{name}`, `{trade}`, `{place}`, `{audience}`, `{topic}`; and of two forms in brackets,
/// `[informal|formal]`, takes the one that fits the tone. `None` if one of the gaps has no value.
pub(super) fn fill(phrase: &str, gaps: &Gaps<'_>) -> Option<String> {
    let mut text = String::with_capacity(phrase.len() + 32);
    let mut rest = phrase;
    while let Some(at) = rest.find(['{', '[']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let close = if from.starts_with('{') { '}' } else { ']' };
        let (inner, after) = from.get(1..)?.split_once(close)?;
        let part = match inner {
            "name" => gaps.name,
            "trade" => gaps.trade?,
            "place" => gaps.place?,
            "audience" => gaps.audience?,
            "topic" => gaps.topic?,
            forms => {
                let (informal, formal) = forms.split_once('|')?;
                if gaps.formal { formal } else { informal }
            }
        };
        text.push_str(part);
        rest = after;
    }
    text.push_str(rest);
    Some(capitalised(&text))
}

/// With a capital at the beginning.
pub(super) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Deterministic choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chooser(u64);

impl Chooser {
    /// Choices depend on all of these texts (FNV-1a).
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for text in texts {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Self(hash)
    }

    /// A chooser for another part of the text.
    pub fn of(self, part: &str) -> Self {
        Self::new([part, &self.0.to_string()])
    }

    /// A number below `count`, which is at least one.
    pub fn number(self, count: usize) -> usize {
        // The high bits of FNV are better mixed.
        ((self.0 >> 17) % count.max(1) as u64) as usize
    }

    /// One of the phrases whose gaps can be filled, filled. Those with more gaps, which are more specific, are preferred.
    pub fn phrase(self, phrases: &[&str], gaps: &Gaps<'_>) -> Option<String> {
        let usable: Vec<(usize, String)> = phrases
            .iter()
            .filter_map(|phrase| Some((phrase.matches('{').count(), fill(phrase, gaps)?)))
            .collect();
        let most = usable.iter().map(|(count, _)| (*count).min(2)).max()?;
        let mut best: Vec<String> =
            usable.into_iter().filter(|(count, _)| (*count).min(2) == most).map(|(_, text)| text).collect();
        (!best.is_empty()).then(|| best.swap_remove(self.number(best.len())))
    }

    /// `count` consecutive items from a chosen start.
    pub fn some<T: Copy>(self, items: &[T], count: usize) -> Vec<T> {
        let start = self.number(items.len());
        items.iter().cycle().skip(start).take(count.min(items.len())).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_or_the_phrase_is_not_used() {
        let gaps = Gaps { name: "Luz", place: Some("Antigua"), ..Gaps::default() };
        assert_eq!(fill("{name} in {place}", &gaps).as_deref(), Some("Luz in Antigua"));
        assert_eq!(fill("your {trade} in {place}", &gaps), None);
        assert_eq!(fill("[escríbenos|escríbanos] hoy", &gaps).as_deref(), Some("Escríbenos hoy"));
        let formal = Gaps { formal: true, ..gaps.clone() };
        assert_eq!(fill("[Escríbenos|Escríbanos]", &formal).as_deref(), Some("Escríbanos"));
        for broken in ["{", "[", "{name", "[a]", "{nobody}"] {
            assert_eq!(fill(broken, &gaps), None, "{broken}");
        }
    }

    #[test]
    fn what_says_more_goes_first() {
        let gaps = Gaps { name: "Luz", place: Some("Antigua"), ..Gaps::default() };
        for seed in ["a", "b", "c"] {
            let text = Chooser::new([seed]).phrase(&["Welcome", "{name} in {place}", "{trade}"], &gaps);
            assert_eq!(text.as_deref(), Some("Luz in Antigua"));
        }
        assert_eq!(Chooser::new(["a"]).phrase(&["{trade}"], &gaps), None);
    }

    #[test]
    fn choices_differ_between_inputs_and_not_between_runs() {
        let numbers: std::collections::BTreeSet<usize> =
            (0..40).map(|n| Chooser::new([n.to_string().as_str()]).number(4)).collect();
        assert_eq!(numbers.len(), 4);
        assert_eq!(Chooser::new(["a", "b"]).number(1000), Chooser::new(["a", "b"]).number(1000));
        assert_eq!(Chooser::new(["x"]).some(&[1, 2, 3], 5).len(), 3);
        assert!(Chooser::new(["x"]).some::<u8>(&[], 2).is_empty());
    }
}
