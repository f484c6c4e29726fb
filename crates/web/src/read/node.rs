//! The one deserializer of inputs. It knows where it is, and notes the fields that nobody asks for.
//!
//! serde makes code for each type and each deserializer that it is read from, so adapters around deserializers cost code several
//! times over; this is one deserializer without adapters, for bodies and query strings, with the same errors as serde_json's own.

use std::{iter::Enumerate, slice};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, Unexpected, VariantAccess,
        Visitor,
    },
};
use serde_json::{Error, Value, map};

use super::{MAX_ERRORS, MAX_NAME, Place, REMOVED};

/// A step from a value to one inside it.
#[derive(Clone, Copy)]
pub(super) enum Step<'p> {
    Name(&'p str),
    Index(usize),
}

/// A path as clients write it: `items[0].title`. Of a name that a client made long, the beginning.
pub(super) fn text(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.extend(name.chars().take(MAX_NAME));
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// What is known after reading.
#[derive(Default)]
pub(super) struct Record<'de> {
    /// To the value that is read. An error leaves it as it is then.
    path: Vec<Step<'de>>,
    /// Paths of fields that the type does not have, as many as are reported.
    pub(super) unknown: Vec<String>,
}

impl Record<'_> {
    /// Where the error is that ended reading.
    pub(super) fn place(self) -> Place {
        let steps = self.path.iter().map(|step| match step {
            Step::Name(name) => (*name).to_owned(),
            Step::Index(index) => index.to_string(),
        });
        Place { field: text(&self.path), steps: steps.collect() }
    }
}

/// What is read.
#[derive(Clone, Copy)]
pub(super) enum Input<'de> {
    Json(&'de Value),
    /// The pairs of a query string.
    Pairs(&'de [(String, String)]),
    /// The value in one of them, which is parsed as the type of the field; or a name.
    Text(&'de str),
}

impl<'de> Input<'de> {
    fn text(self) -> Option<&'de str> {
        match self {
            Self::Json(Value::String(text)) => Some(text),
            Self::Text(text) => Some(text),
            Self::Json(_) | Self::Pairs(_) => None,
        }
    }

    /// The fields of an object.
    fn fields(self) -> Option<Left<'de>> {
        match self {
            Self::Json(Value::Object(fields)) => Some(Left::Object(fields.iter())),
            Self::Pairs(pairs) => Some(Left::Pairs(pairs.iter())),
            Self::Json(_) | Self::Text(_) => None,
        }
    }

    /// The error of another type than is expected.
    #[cold]
    fn wrong(self, expected: &dyn Expected) -> Error {
        let found = match self {
            Self::Json(Value::Null) => Unexpected::Unit,
            Self::Json(Value::Bool(value)) => Unexpected::Bool(*value),
            Self::Json(Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Unexpected::Unsigned(number),
                (None, Some(number)) => Unexpected::Signed(number),
                (None, None) => Unexpected::Float(number.as_f64().unwrap_or_default()),
            },
            Self::Json(Value::String(text)) => Unexpected::Str(text),
            Self::Json(Value::Array(_)) => Unexpected::Seq,
            Self::Json(Value::Object(_)) | Self::Pairs(_) => Unexpected::Map,
            Self::Text(text) => Unexpected::Str(text),
        };
        Error::invalid_type(found, expected)
    }
}

/// A value, and where it is.
pub(super) struct Node<'de, 'r> {
    pub(super) input: Input<'de>,
    pub(super) record: &'r mut Record<'de>,
}

impl<'de> Node<'de, '_> {
    fn visit_fields<V: Visitor<'de>>(self, left: Left<'de>, visitor: V) -> Result<V::Value, Error> {
        let depth = self.record.path.len();
        visitor.visit_map(Fields { left, value: None, depth, record: self.record })
    }

    fn visit_items<V: Visitor<'de>>(self, items: &'de [Value], visitor: V) -> Result<V::Value, Error> {
        let depth = self.record.path.len();
        let mut left = Items { left: items.iter().enumerate(), depth, record: self.record };
        let value = visitor.visit_seq(&mut left)?;
        if left.left.len() == 0 {
            Ok(value)
        } else {
            Err(Error::invalid_length(items.len(), &"fewer elements in array"))
        }
    }
}

impl<'de> Deserializer<'de> for Node<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.input {
            Input::Json(Value::Null) => visitor.visit_unit(),
            Input::Json(Value::Bool(value)) => visitor.visit_bool(*value),
            Input::Json(Value::Number(number)) => number.deserialize_any(visitor),
            Input::Json(Value::String(text)) => visitor.visit_borrowed_str(text),
            Input::Json(Value::Array(items)) => self.visit_items(items, visitor),
            Input::Json(Value::Object(fields)) => self.visit_fields(Left::Object(fields.iter()), visitor),
            Input::Pairs(pairs) => self.visit_fields(Left::Pairs(pairs.iter()), visitor),
            Input::Text(text) => visitor.visit_borrowed_str(text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.input {
            Input::Json(Value::Bool(value)) => visitor.visit_bool(*value),
            Input::Text(text) => {
                visitor.visit_bool(text.parse().map_err(|_| Error::custom("Use true or false."))?)
            }
            input => Err(input.wrong(&visitor)),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.input {
            Input::Json(Value::Number(number)) => number.deserialize_u64(visitor),
            Input::Text(text) => {
                visitor.visit_u64(text.parse().map_err(|_| Error::custom("Use a whole number."))?)
            }
            input => Err(input.wrong(&visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.input.text() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => Err(self.input.wrong(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.input {
            Input::Json(Value::Null) | Input::Text("") => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.input {
            Input::Json(Value::Array(items)) => self.visit_items(items, visitor),
            input => Err(input.wrong(&visitor)),
        }
    }

    /// From an object only: serde would also read a list, as the fields in their order, with as much code again.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.input.fields() {
            Some(left) => self.visit_fields(left, visitor),
            None => Err(self.input.wrong(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (word, content) = match self.input {
            Input::Json(Value::Object(fields)) => {
                let mut fields = fields.iter();
                match (fields.next(), fields.next()) {
                    (Some((word, content)), None) => (word.as_str(), Some(content)),
                    _ => return Err(Error::invalid_value(Unexpected::Map, &"map with a single key")),
                }
            }
            input => match input.text() {
                Some(word) => (word, None),
                None => return Err(input.wrong(&"string or map")),
            },
        };
        visitor.visit_enum(Variant { word, content, record: self.record })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.record.unknown.len() < MAX_ERRORS {
            self.record.unknown.push(text(&self.record.path));
        }
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct map
    }
}

/// The fields of an object that are left.
enum Left<'de> {
    Object(map::Iter<'de>),
    Pairs(slice::Iter<'de, (String, String)>),
}

/// The fields of an object, as serde takes them.
struct Fields<'de, 'r> {
    left: Left<'de>,
    /// That of the name that was taken last.
    value: Option<Input<'de>>,
    depth: usize,
    record: &'r mut Record<'de>,
}

impl<'de> Fields<'de, '_> {
    /// The next name. The path is that of its field until its value is read.
    fn advance(&mut self) -> Option<&'de str> {
        self.record.path.truncate(self.depth);
        let (name, value) = match &mut self.left {
            Left::Object(fields) => fields.next().map(|(name, value)| (name, Input::Json(value))),
            Left::Pairs(pairs) => pairs.next().map(|(name, value)| (name, Input::Text(value))),
        }?;
        self.value = Some(value);
        self.record.path.push(Step::Name(name));
        Some(name)
    }
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.advance() {
            Some(name) => {
                seed.deserialize(Node { input: Input::Text(name), record: &mut *self.record }).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Once for each type of a field, instead of once for each field.
    #[inline(never)]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let input = self.value.take().ok_or_else(|| Error::custom("value is missing"))?;
        let value = seed.deserialize(Node { input, record: &mut *self.record })?;
        self.record.path.truncate(self.depth);
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(match &self.left {
            Left::Object(fields) => fields.len(),
            Left::Pairs(pairs) => pairs.len(),
        })
    }
}

/// The elements of a list, as serde takes them.
struct Items<'de, 'r> {
    left: Enumerate<slice::Iter<'de, Value>>,
    depth: usize,
    record: &'r mut Record<'de>,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Error;

    #[inline(never)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, item)) = self.left.find(|(_, item)| item.as_str() != Some(REMOVED)) else {
            return Ok(None);
        };
        self.record.path.truncate(self.depth);
        self.record.path.push(Step::Index(index));
        let value = seed.deserialize(Node { input: Input::Json(item), record: &mut *self.record })?;
        self.record.path.truncate(self.depth);
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// A variant of an enumeration: a word, or an object with what the variant contains under the word.
struct Variant<'de, 'r> {
    word: &'de str,
    content: Option<&'de Value>,
    record: &'r mut Record<'de>,
}

impl<'de, 'r> Variant<'de, 'r> {
    /// What the variant contains, where it is one that contains something.
    fn node(self, expected: &dyn Expected) -> Result<Node<'de, 'r>, Error> {
        match self.content {
            Some(content) => Ok(Node { input: Input::Json(content), record: self.record }),
            None => Err(Error::invalid_type(Unexpected::UnitVariant, expected)),
        }
    }
}

impl<'de> EnumAccess<'de> for Variant<'de, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let value = seed.deserialize(Node { input: Input::Text(self.word), record: &mut *self.record })?;
        if self.content.is_some() {
            self.record.path.push(Step::Name(self.word));
        }
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            Some(content) => <()>::deserialize(Node { input: Input::Json(content), record: self.record }),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.node(&"newtype variant")?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.node(&"tuple variant")?.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.node(&"struct variant")?.deserialize_struct("", fields, visitor)
    }
}
