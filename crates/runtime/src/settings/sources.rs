//! From texts, as the environment and files have them, to values.

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Deserializer};

/// `PORTICO_PROFILE` is one more name of `PORTICO__PROFILE`, and `…_FILE` gives the file in which a value is.
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
///
/// # Errors
/// Where it is none.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| serde::de::Error::custom(format!("duration {text:?}: {error}")))
}

/// A duration that may be left out.
///
/// # Errors
/// Where it is none.
pub fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// A list, or a text with commas, as environment variables have it.
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
