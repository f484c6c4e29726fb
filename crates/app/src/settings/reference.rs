//! The reference of the settings, made of their declarations: names, defaults, doc comments.

use std::fmt::Write;

use documented::DocumentedFields;
use serde::Serialize;
use serde_json::Value;

use super::{OidcProvider, PlanLimits, Settings, Sources};

/// Settings with a common beginning of their names.
struct Section {
    /// `server.`; empty for those at the top.
    prefix: &'static str,
    fields: &'static [&'static str],
    docs: &'static [&'static str],
    /// What is set where nothing is said; nothing for sections under names that the operator chooses.
    defaults: Value,
}

/// A setting.
struct Setting {
    name: String,
    /// One line.
    text: String,
    default: Option<Value>,
    /// What the doc comment says the default is.
    documented_default: Option<String>,
}

fn section<T: DocumentedFields + Serialize>(prefix: &'static str, defaults: &T) -> Section {
    let defaults = serde_json::to_value(defaults).unwrap_or_default();
    Section { prefix, fields: T::FIELD_NAMES, docs: T::FIELD_DOCS, defaults }
}

/// All sections; those under names that the operator chooses have no defaults.
fn sections() -> Vec<Section> {
    let all = Settings::default();
    let named = |prefix, fields, docs| Section { prefix, fields, docs, defaults: Value::Null };
    vec![
        section("", &all),
        section("server.", &all.server),
        section("metrics.", &all.metrics),
        section("cors.", &all.cors),
        section("database.", &all.database),
        section("admission.", &all.admission),
        section("rate_limit.", &all.rate_limit),
        named("rate_limit.plans.<plan>.", PlanLimits::FIELD_NAMES, PlanLimits::FIELD_DOCS),
        section("redis.", &all.redis),
        section("storage.", &all.storage),
        section("assets.", &all.assets),
        section("email.", &all.email),
        section("links.", &all.links),
        section("security.", &all.security),
        section("security.throttle.", &all.security.throttle),
        named("oidc.<name>.", OidcProvider::FIELD_NAMES, OidcProvider::FIELD_DOCS),
        section("ai.", &all.ai),
        section("payments.", &all.payments),
        section("billing.", &all.billing),
        section("stripe.", &all.stripe),
        section("licensing.", &all.licensing),
        section("downloads.", &all.downloads),
        section("clamav.", &all.clamav),
        section("recurrente.", &all.recurrente),
        section("outbound.", &all.outbound),
        section("sites.", &all.sites),
        section("support.", &all.support),
        section("dns.", &all.dns),
        section("audit.", &all.audit),
        section("tenancy.", &all.tenancy),
        section("live.", &all.live),
        section("webhooks.", &all.webhooks),
        section("idempotency.", &all.idempotency),
        section("worker.", &all.worker),
        section("telemetry.", &all.telemetry),
    ]
}

impl Section {
    fn settings(&self) -> impl Iterator<Item = Setting> {
        let rows = self.fields.iter().zip(self.docs);
        rows.filter_map(|(field, doc)| {
            let default = self.defaults.get(field).cloned();
            if default.as_ref().is_some_and(Value::is_object) {
                return None;
            }
            let line = doc.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            let (text, documented_default) = match line.split_once(" Default: ") {
                Some((text, documented_default)) => {
                    (text.to_owned(), Some(documented_default.trim_end_matches('.').to_owned()))
                }
                None => (line, None),
            };
            Some(Setting { name: format!("{}{field}", self.prefix), text, default, documented_default })
        })
    }
}

/// `docs/settings.md`.
pub fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in sections() {
        let title = section.prefix.trim_end_matches('.');
        let title = if title.is_empty() { "General".to_owned() } else { format!("`{title}`") };
        let _ = write!(text, "\n## {title}\n\n| setting | default | |\n| --- | --- | --- |\n");
        for Setting { name, text: what, default, documented_default } in section.settings() {
            let default = match (documented_default, default) {
                (Some(documented_default), _) => documented_default,
                (None, Some(value)) => shown(&value).map_or("none".to_owned(), |value| format!("`{value}`")),
                (None, None) => "required".to_owned(),
            };
            // A vertical line would end the cell.
            let row =
                format!("| `{name}` | {} | {} |", default.replace('|', "\\|"), what.replace('|', "\\|"));
            let _ = writeln!(text, "{row}");
        }
    }
    text
}

const INTRODUCTION: &str = "\
# Settings

Made by `portico config docs` from the declarations of the settings; a test compares.

Defaults, then `portico.toml` in the working directory, then the environment: `server.port` is `PORTICO__SERVER__PORT`. Any of them can
be read from a file: `PORTICO__SECURITY__JWT_SECRET_FILE=/run/secrets/jwt`. Lists are divided by commas in the environment, durations
look like `15m` or `7d`. `profile` is also `PORTICO_PROFILE`. What is logged is chosen with `RUST_LOG`, for instance `RUST_LOG=warn`.

A setting that is wrong or unknown stops every command with exit code 2, and a line for each problem. `portico config check` only checks;
`portico config show` prints what is set, without secrets, and where it comes from; `portico config example` prints a `portico.toml` to
start from ([deploy/portico.toml](../deploy/portico.toml)).
";

/// A `portico.toml` with every setting at its default, commented out.
pub fn example() -> String {
    let mut text = "# Every setting of Portico, at its default. Made by `portico config example`; docs/settings.md is the reference.\n"
        .to_owned();
    for section in sections() {
        let title = section.prefix.trim_end_matches('.');
        if !title.is_empty() {
            // Under a name of the operator's choice.
            let mark = if title.contains('<') { "# " } else { "" };
            let _ = write!(text, "\n{mark}[{title}]\n");
        }
        for Setting { name, text: what, default, documented_default } in section.settings() {
            let field = name.strip_prefix(section.prefix).unwrap_or(&name);
            let _ = writeln!(text, "# {what}");
            let _ = match default.filter(|value| !value.is_null()) {
                Some(value) => writeln!(text, "#{field} = {value}"),
                None => writeln!(text, "# {field}: {}", documented_default.as_deref().unwrap_or("none")),
            };
        }
    }
    text
}

/// Every setting with its value, masked where it is secret, and where the value comes from.
pub fn values(settings: &Settings, sources: &Sources) -> String {
    let mut lines = Vec::new();
    flatten("", &serde_json::to_value(settings).unwrap_or_default(), &mut lines);
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in lines {
        let value = shown(&value).unwrap_or_else(|| "-".to_owned());
        let origin = sources.origin(&name).unwrap_or("default");
        let _ = writeln!(text, "{name:width$}  {value}  ({origin})");
    }
    text
}

fn flatten(prefix: &str, value: &Value, lines: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{name}"), value, lines);
            }
        }
        value => lines.push((prefix.to_owned(), value.clone())),
    }
}

/// A value as it is written in the environment; `None` where nothing is set.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(items.iter().filter_map(shown).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;

    #[test]
    fn every_setting_is_in_the_reference() {
        let documented_default: BTreeSet<String> =
            sections().iter().flat_map(|section| section.settings().map(|setting| setting.name)).collect();
        let mut lines = Vec::new();
        flatten("", &serde_json::to_value(Settings::default()).unwrap(), &mut lines);
        assert!(lines.len() > 100);
        for (name, _) in lines {
            assert!(documented_default.contains(&name), "{name} is in no section of the reference");
        }
    }

    #[test]
    fn the_documents_are_current() {
        for (file, made, how) in
            [("docs/settings.md", document(), "docs"), ("deploy/portico.toml", example(), "example")]
        {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
            let committed = std::fs::read_to_string(path).unwrap_or_default();
            assert!(committed == made, "{file} is not current: portico config {how} > {file}");
        }
    }

    #[test]
    fn the_example_says_the_defaults() {
        let without_marks: String = example()
            .lines()
            .filter_map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => Some(setting),
                Some(_) => None,
                None => Some(line),
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let read = Settings::from_sources(&without_marks, HashMap::new()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(Settings::default()).unwrap());
    }

    #[test]
    fn values_are_shown_with_their_origin_and_without_secrets() {
        let secret = "hush-hush-hush-hush-hush-hush-hush";
        let variables = [
            ("PORTICO__SECURITY__JWT_SECRET", secret),
            ("PORTICO__SECURITY__JWT_SECRET_PREVIOUS", "hush-hush-hush-hush-hush-hush-hash"),
            ("PORTICO__DATABASE__URL", "postgres://portico:hush@db/portico"),
            ("PORTICO__OIDC__OWN__ISSUER", "https://id.example"),
            ("PORTICO__OIDC__OWN__CLIENT_ID", "1"),
            ("PORTICO__OIDC__OWN__CLIENT_SECRET", "hush"),
            ("PORTICO_PROFILE", "development"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sources = Sources::new("[server]\nport = 8000\n", variables.into()).unwrap();
        let text = values(&sources.settings().unwrap(), &sources);
        let line = |name: &str| {
            let found = text.lines().find(|line| line.split_whitespace().next() == Some(name));
            found.unwrap_or_default().split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        for (name, expected) in [
            ("server.port", "8000 (portico.toml)"),
            ("server.public_url", "- (default)"),
            ("server.write_timeout", "30s (default)"),
            ("profile", "development (PORTICO_PROFILE)"),
            ("database.url", "******** (PORTICO__DATABASE__URL)"),
            ("security.jwt_secret", "******** (PORTICO__SECURITY__JWT_SECRET)"),
            ("security.jwt_secret_previous", "******** (PORTICO__SECURITY__JWT_SECRET_PREVIOUS)"),
            ("oidc.own.issuer", "https://id.example (PORTICO__OIDC__OWN__ISSUER)"),
            ("webhooks.retries", "5s,5m,30m,2h,5h,10h,10h (default)"),
        ] {
            assert_eq!(line(name), expected, "{name}");
        }
        assert!(!text.contains("hush"), "{text}");
    }
}
