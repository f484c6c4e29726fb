//! Parsing of settings from the environment and files.

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Deserializer};

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
///
/// # Errors
/// If it is malformed.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| serde::de::Error::custom(format!("duration {text:?}: {error}")))
}

/// An optional duration.
///
/// # Errors
/// If it is malformed.
pub fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
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
