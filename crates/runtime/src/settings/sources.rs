//! Parsing of settings from the environment and files.

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Accepts `PORTICO_PROFILE` as an alias of `PORTICO__PROFILE`, and reads values from the files named by `…_FILE`.
pub fn normalize(environment: HashMap<String, String>) -> anyhow::Result<HashMap<String, String>> {
    let mut result = HashMap::new();
    for (key, value) in environment {
        if key == "PORTICO_PROFILE" {
            result.insert("PORTICO__PROFILE".to_owned(), value);
        } else if let Some(target) = key.strip_suffix("_FILE").filter(|key| key.starts_with("PORTICO__")) {
            let content =
                std::fs::read_to_string(&value).with_context(|| format!("{key}: cannot read {value}"))?;
            result.insert(target.to_owned(), content.trim_end().to_owned());
        } else if key.starts_with("PORTICO__") {
            result.insert(key, value);
        }
    }
    Ok(result)
}

/// A duration as `1h 30m`.
pub mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, shown};

    /// Reads one.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map_err(|error| serde::de::Error::custom(format!("duration {text:?}: {error}")))
    }

    /// Shows one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&shown(*duration))
    }
}

/// An optional duration.
pub mod optional_duration {
    use super::{Deserializer, Duration, Serialize, Serializer, duration, shown};

    /// Reads one.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        duration::deserialize(deserializer).map(Some)
    }

    /// Shows one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(shown).serialize(serializer)
    }
}

/// A list of durations, or a text separated by commas.
pub mod durations {
    use super::{Deserializer, Duration, Serialize, Serializer, list, shown};

    /// Reads one.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
        Ok(list::<D, humantime::Duration>(deserializer)?.into_iter().map(Into::into).collect())
    }

    /// Shows one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
        let shown: Vec<_> = durations.iter().copied().map(shown).collect();
        shown.serialize(serializer)
    }
}

/// A duration in the largest unit of which it is a multiple.
fn shown(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let unit = units.into_iter().find(|(size, _)| millis > 0 && millis.is_multiple_of(*size));
    match unit {
        Some((size, name)) => format!("{}{name}", millis / size),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// What is shown in place of a secret.
const MASK: &str = "********";

/// Shows whether a secret is set, and not the secret.
///
/// # Errors
/// Those of the serializer.
pub fn masked<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| MASK).serialize(serializer)
}

/// The same for a secret that is required.
///
/// # Errors
/// Those of the serializer.
pub fn masked_always<S: Serializer>(_: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(MASK)
}

/// Shows how many secrets are set, and not the secrets.
///
/// # Errors
/// Those of the serializer.
pub fn masked_list<S: Serializer>(secrets: &[SecretString], serializer: S) -> Result<S::Ok, S::Error> {
    vec![MASK; secrets.len()].serialize(serializer)
}

/// A list of secrets, or a text separated by commas.
///
/// # Errors
/// If it is neither.
pub fn secret_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    Ok(list::<D, String>(deserializer)?.into_iter().map(Into::into).collect())
}

/// A list, or a text separated by commas, as in environment variables.
pub fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<String>),
        Numbers(Vec<i64>),
        Text(String),
    }
    let items = match Form::deserialize(deserializer)? {
        Form::List(items) => items,
        Form::Numbers(numbers) => numbers.iter().map(i64::to_string).collect(),
        Form::Text(text) => {
            text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
        }
    };
    items
        .iter()
        .map(|item| item.parse().map_err(|error| serde::de::Error::custom(format!("{item:?}: {error}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_as_they_can_be_read() {
        for (text, shown_as) in [
            ("0s", "0s"),
            ("250ms", "250ms"),
            ("90s", "90s"),
            ("60s", "1m"),
            ("1h 30m", "90m"),
            ("365d", "365d"),
            ("7days", "7d"),
        ] {
            let duration = humantime::parse_duration(text).unwrap();
            assert_eq!(shown(duration), shown_as);
            assert_eq!(humantime::parse_duration(&shown(duration)).unwrap(), duration);
        }
    }
}
