//! Settings as serde reads them.
//!
//! serde makes code for each type and each deserializer. With the one of `config` that was half a megabyte for what a start reads
//! once: a copy of reading a value for each field, and for each section a second reader, which takes a list for one.

use config::{ConfigError, Map, Value, ValueKind};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, Expected, MapAccess, Unexpected, Visitor, value::StrDeserializer},
};

/// A value that settings are read from, with the errors of `config`.
pub(super) struct Setting(pub(super) Value);

impl Setting {
    fn visit_table<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match self.0.kind {
            ValueKind::Table(table) => visitor.visit_map(Table { left: table.into_iter(), value: None }),
            kind => Err(wrong(&kind, &visitor)),
        }
    }
}

/// The error of something else than a table.
#[cold]
fn wrong(kind: &ValueKind, expected: &dyn Expected) -> ConfigError {
    let found = match kind {
        ValueKind::Nil => Unexpected::Unit,
        ValueKind::Boolean(value) => Unexpected::Bool(*value),
        ValueKind::I64(number) => Unexpected::Signed(*number),
        ValueKind::U64(number) => Unexpected::Unsigned(*number),
        ValueKind::I128(_) | ValueKind::U128(_) => Unexpected::Other("integer of 128 bits"),
        ValueKind::Float(number) => Unexpected::Float(*number),
        ValueKind::String(text) => Unexpected::Str(text),
        ValueKind::Table(_) => Unexpected::Map,
        ValueKind::Array(_) => Unexpected::Seq,
    };
    // Not that of `ConfigError` itself, which is about something else.
    Error::invalid_type(found, expected)
}

impl<'de> Deserializer<'de> for Setting {
    type Error = ConfigError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        self.visit_table(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.visit_table(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match self.0.kind {
            ValueKind::Nil => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_bool(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_u8(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_u16(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_u32(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_u64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_i32(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_i64(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_f32(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_str(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.0.deserialize_string(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 char seq bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The settings of a section that are left.
struct Table {
    left: <Map<String, Value> as IntoIterator>::IntoIter,
    /// The one whose name was taken last.
    value: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Table {
    type Error = ConfigError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ConfigError> {
        let Some((name, value)) = self.left.next() else { return Ok(None) };
        let key = seed.deserialize(StrDeserializer::<ConfigError>::new(&name))?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    /// Once for each type of a setting, instead of once for each setting.
    #[inline(never)]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ConfigError> {
        let (name, value) = self.value.take().ok_or_else(|| ConfigError::custom("a value is missing"))?;
        seed.deserialize(Setting(value)).map_err(|error| inside(&name, error))
    }
}

/// An error in the section `name`.
fn inside(name: &str, error: ConfigError) -> ConfigError {
    let path = |rest: Option<String>| match rest {
        None => name.to_owned(),
        Some(rest) if rest.starts_with('[') => format!("{name}{rest}"),
        Some(rest) => format!("{name}.{rest}"),
    };
    match error {
        ConfigError::Type { origin, unexpected, expected, key } => {
            ConfigError::Type { origin, unexpected, expected, key: Some(path(key)) }
        }
        ConfigError::At { error, origin, key } => ConfigError::At { error, origin, key: Some(path(key)) },
        ConfigError::NotFound(key) => ConfigError::NotFound(path(Some(key))),
        error => ConfigError::At { error: Box::new(error), origin: None, key: Some(path(None)) },
    }
}

#[cfg(test)]
mod tests {
    use config::{Config, File, FileFormat};
    use serde::Deserialize;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn settings_and_errors_are_those_of_config() {
        for toml in [
            "",
            "profile = 'production'\n[server]\nport = '80'\nworkers = 2\nbody_timeout = '5s'\ntrusted_proxies = '10.0.0.0/8'",
            "[cors]\norigins = ['https://a.example', 'https://b.example']",
            "profile = 'colour'",
            "colour = 1",
            "server = 5",
            "server = 'x'",
            "server = true",
            "server = 1.5",
            "[server]\nport = 'x'",
            "[server]\nport = 70000",
            "[server]\nport = -1",
            "[server]\nport = [1]",
            "[server]\ncolour = 1",
            "[server]\nhost = 'x'",
            "[server]\nbody_timeout = 'x'",
            "[server]\nbody_timeout = {}",
            "[cors]\norigins = 5",
            "[oidc]\nx = 1",
            "[oidc.x]\nissuer = 'a'",
            "[oidc.x]\nissuer = 'a'\nclient_id = 'b'\nclient_secret = {}",
        ] {
            let config =
                Config::builder().add_source(File::from_str(toml, FileFormat::Toml)).build().unwrap();
            let shown = |read: Result<Settings, ConfigError>| match read {
                Ok(settings) => Ok(serde_json::to_value(settings).unwrap()),
                Err(error) => Err(error.to_string()),
            };
            let read = shown(Settings::deserialize(Setting(config.cache.clone())));
            assert_eq!(read, shown(config.try_deserialize()), "{toml}");
        }
    }

    #[test]
    fn a_list_is_no_section() {
        let list = Value::new(None, vec!["127.0.0.1"]);
        let error = Settings::deserialize(Setting(list)).unwrap_err().to_string();
        assert_eq!(error, "invalid type: sequence, expected struct Settings");
    }
}
