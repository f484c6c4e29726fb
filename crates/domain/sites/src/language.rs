//! Languages of pages.

use portico_kernel::Violations;

/// A language tag as pages use them (BCP 47): `es`, `pt-BR`, `zh-Hant`. Longer forms are refused: no page needs them.
pub(crate) fn check(violations: &mut Violations, field: &str, tag: &str) {
    let mut parts = tag.split('-');
    let letters = |part: &str, min, max| {
        (min..=max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let language = parts.next().is_some_and(|part| letters(part, 2, 3));
    let region = parts.next().is_none_or(|part| letters(part, 2, 2) || letters(part, 4, 4));
    violations.check(
        language && region && parts.next().is_none(),
        field,
        "invalid_language",
        "Use a language tag such as en, es or pt-BR.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_a_language_and_perhaps_a_region_or_script() {
        let good = |tag: &str| {
            let mut violations = Violations::default();
            check(&mut violations, "language", tag);
            violations.into_result().is_ok()
        };
        for tag in ["en", "es", "pt-BR", "zh-Hant", "gsw"] {
            assert!(good(tag), "{tag}");
        }
        for tag in ["", "e", "english", "en_US", "en-", "en-1", "en-US-x", "e\"n", "ñ-US"] {
            assert!(!good(tag), "{tag}");
        }
    }
}
