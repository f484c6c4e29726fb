//! The templates, compiled into the binary, and the formatting of values.

use minijinja::{
    AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value, syntax::SyntaxConfig,
};

use crate::links;

const TEMPLATES: [(&str, &str); 22] = [
    ("layout.html", include_str!("../templates/layout.html")),
    ("navigation.html", include_str!("../templates/navigation.html")),
    ("icons.html", include_str!("../templates/icons.html")),
    ("picture.html", include_str!("../templates/picture.html")),
    ("head.html", include_str!("../templates/head.html")),
    ("page.html", include_str!("../templates/page.html")),
    ("404.html", include_str!("../templates/404.html")),
    ("sitemap.xml", include_str!("../templates/sitemap.xml")),
    ("robots.txt", include_str!("../templates/robots.txt")),
    ("hero.html", include_str!("../templates/hero.html")),
    ("text.html", include_str!("../templates/text.html")),
    ("features.html", include_str!("../templates/features.html")),
    ("gallery.html", include_str!("../templates/gallery.html")),
    ("testimonials.html", include_str!("../templates/testimonials.html")),
    ("pricing.html", include_str!("../templates/pricing.html")),
    ("faq.html", include_str!("../templates/faq.html")),
    ("form.html", include_str!("../templates/form.html")),
    ("form-page.html", include_str!("../templates/form-page.html")),
    ("thanks.html", include_str!("../templates/thanks.html")),
    ("contact.html", include_str!("../templates/contact.html")),
    ("cta.html", include_str!("../templates/cta.html")),
    ("html.html", include_str!("../templates/html.html")),
];

/// An environment with all templates: escaping by file name, and undefined names are errors.
pub fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?,
    );
    environment.set_formatter(format);
    environment.add_filter("mailto", links::mailto);
    environment.add_filter("telephone", links::telephone);
    environment.add_filter("map", |address: String| links::map(&address));
    environment.add_filter("network", |address: String| links::network(&address));
    environment.add_filter("opening", opening);
    environment.add_filter("json_ld", json_ld);
    environment.add_test("symbol", is_symbol);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// Like the formatter of minijinja, but does not escape `/`, which needs no escaping in HTML and is in every URL; and
/// refuses to print `none`, so that a missing `if` is an error and not the word "none".
fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_none() {
        return Err(Error::new(minijinja::ErrorKind::InvalidOperation, "printed a value that is none"));
    }
    if !matches!(state.auto_escape(), AutoEscape::Html) || value.is_safe() {
        return minijinja::escape_formatter(out, state, value);
    }
    let text = value.to_string();
    let mut start = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        out.write_str(&text[start..index])?;
        out.write_str(escape)?;
        start = index + 1;
    }
    Ok(out.write_str(&text[start..])?)
}

/// JSON for a `script` element, where HTML escaping does not apply. It is built so that it cannot end the element.
fn json_ld(document: String) -> Value {
    Value::from_safe_string(document)
}

/// The lines of opening hours, each in two parts: `Mon–Fri: 7:00–18:00` is days and times. The colon in a time is not a
/// separator.
fn opening(hours: &str) -> Vec<Vec<String>> {
    let lines = hours.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.splitn(2, ": ").map(|part| part.trim().to_owned()).collect()).collect()
}

/// Whether an icon is an emoji or similar: a few characters, none of them a letter. Other icons are names of drawings.
fn is_symbol(icon: &str) -> bool {
    icon.chars().count() <= 8 && !icon.chars().any(|c| c.is_alphanumeric() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sanitised_html_goes_in_unescaped() {
        let unescaped: Vec<(&str, usize)> = TEMPLATES
            .iter()
            .map(|(name, source)| {
                (*name, source.matches("safe").count() + source.matches("autoescape").count())
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(unescaped, [("text.html", 1), ("faq.html", 1), ("html.html", 1)]);
    }

    #[test]
    fn templates_have_no_inline_style_script_or_handler() {
        for (name, source) in TEMPLATES {
            for forbidden in ["style=", "<style", "<script", " on", "http://", "javascript:"] {
                let is_data = source.matches("<script").count()
                    == source.matches("<script type=\"application/ld+json\">").count();
                let allowed = match forbidden {
                    "http://" => name == "sitemap.xml",
                    "<script" => name == "head.html" && is_data,
                    _ => false,
                };
                let found = source.match_indices(forbidden).any(|(at, _)| {
                    // " on" is an event handler only as an attribute.
                    forbidden != " on"
                        || source[at..]
                            .split('=')
                            .next()
                            .is_some_and(|word| word.len() < 16 && !word[1..].contains(' '))
                });
                assert!(allowed || !found, "{forbidden} in {name}");
            }
        }
    }

    #[test]
    fn escapes_what_has_a_meaning_and_refuses_what_is_missing() {
        let mut environment = environment().unwrap();
        environment.add_template("t.html", "<a title=\"{{ x }}\">").unwrap();
        let template = environment.get_template("t.html").unwrap();
        assert_eq!(
            template.render(minijinja::context! { x => "</a>\"'&" }).unwrap(),
            "<a title=\"&lt;/a&gt;&quot;&#39;&amp;\">"
        );
        assert!(template.render(minijinja::context! { x => () }).is_err());
        assert!(template.render(minijinja::context! {}).is_err());
    }
}
