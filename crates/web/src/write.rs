//! The one serializer of answers, the counterpart of [`read`](crate::read).
//!
//! serde makes code for each type and each serializer that it is written to, and generic code of serde_json is made again in the crates of the
//! routes, which are built for size: there, writing a text copied it in pieces of a few bytes. This serializer is not generic, so that texts and
//! numbers are written by code of this crate. What is written is what serde_json writes.

use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError, http::header::CONTENT_TYPE};
use serde::{
    Serialize, Serializer,
    ser::{
        Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};
use serde_json::Error;

use crate::problem::Problem;

/// Answers with JSON.
pub trait WithJson {
    /// The answer with this body; `application/json` unless another type is set. 500 where it cannot be written, which is a mistake of
    /// the program.
    fn with_json(&mut self, body: &impl Serialize) -> HttpResponse;
}

impl WithJson for HttpResponseBuilder {
    fn with_json(&mut self, body: &impl Serialize) -> HttpResponse {
        with_written(self, to_vec(body))
    }
}

fn with_written(answer: &mut HttpResponseBuilder, body: Result<Vec<u8>, Error>) -> HttpResponse {
    match body {
        Ok(body) => {
            let mut answer = answer.body(body);
            if !answer.headers().contains_key(CONTENT_TYPE) {
                answer.headers_mut().insert(
                    CONTENT_TYPE,
                    actix_web::http::header::HeaderValue::from_static("application/json"),
                );
            }
            answer
        }
        Err(error) => Problem::internal(error).error_response(),
    }
}

/// Writes JSON.
///
/// # Errors
/// Those of the value itself, and where a name in a map is not a text, a number or a boolean.
pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(512);
    value.serialize(&mut Writer(&mut out))?;
    Ok(out)
}

/// Writes to the end of these bytes.
struct Writer<'o>(&'o mut Vec<u8>);

impl Writer<'_> {
    /// A text, a number or nothing, as serde_json writes it.
    fn scalar(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        serde_json::to_writer(&mut *self.0, value)
    }

    fn open(&mut self, bracket: u8) {
        self.0.push(bracket);
    }

    /// `{"variant":`, which [`Parts::close`] ends.
    fn open_variant(&mut self, variant: &str) -> Result<(), Error> {
        self.open(b'{');
        self.scalar(variant)?;
        self.open(b':');
        Ok(())
    }
}

impl<'w, 'o> Serializer for &'w mut Writer<'o> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Parts<'w, 'o>;
    type SerializeTuple = Parts<'w, 'o>;
    type SerializeTupleStruct = Parts<'w, 'o>;
    type SerializeTupleVariant = Parts<'w, 'o>;
    type SerializeMap = Parts<'w, 'o>;
    type SerializeStruct = Parts<'w, 'o>;
    type SerializeStructVariant = Parts<'w, 'o>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.scalar(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.open_variant(variant)?;
        value.serialize(&mut *self)?;
        self.0.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'w, 'o>, Error> {
        self.open(b'[');
        Ok(Parts { writer: self, is_first: true, end: b"]" })
    }

    fn serialize_tuple(self, length: usize) -> Result<Parts<'w, 'o>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Parts<'w, 'o>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'w, 'o>, Error> {
        self.open_variant(variant)?;
        self.open(b'[');
        Ok(Parts { writer: self, is_first: true, end: b"]}" })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'w, 'o>, Error> {
        self.open(b'{');
        Ok(Parts { writer: self, is_first: true, end: b"}" })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Parts<'w, 'o>, Error> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'w, 'o>, Error> {
        self.open_variant(variant)?;
        self.open(b'{');
        Ok(Parts { writer: self, is_first: true, end: b"}}" })
    }
}

/// What is inside brackets.
struct Parts<'w, 'o> {
    writer: &'w mut Writer<'o>,
    is_first: bool,
    end: &'static [u8],
}

impl Parts<'_, '_> {
    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.writer.0.push(b',');
        }
    }

    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.separate();
        value.serialize(&mut *self.writer)
    }

    fn name(&mut self, name: &str) -> Result<(), Error> {
        self.separate();
        self.writer.scalar(name)?;
        self.writer.0.push(b':');
        Ok(())
    }

    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.name(name)?;
        value.serialize(&mut *self.writer)
    }

    /// What was written last, from `start` on, as a name.
    fn make_name(&mut self, start: usize) -> Result<(), Error> {
        let written = &mut *self.writer.0;
        match written.get(start) {
            Some(b'"') => {}
            Some(b'{' | b'[' | b'n') | None => return Err(Error::custom("a name must be a text")),
            Some(_) => {
                written.insert(start, b'"');
                written.push(b'"');
            }
        }
        written.push(b':');
        Ok(())
    }

    fn close(self) {
        self.writer.0.extend_from_slice(self.end);
    }
}

impl SerializeSeq for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeTuple for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleStruct for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleVariant for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Error> {
        self.separate();
        let start = self.writer.0.len();
        name.serialize(&mut *self.writer)?;
        self.make_name(start)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeStruct for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeStructVariant for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use actix_web::{body::to_bytes, http::StatusCode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Newtype(&'static str);

    #[derive(Serialize)]
    struct Pair(u8, i16);

    #[derive(Serialize)]
    enum Kind {
        Unit,
        Newtype(u64),
        Tuple(i8, char),
        Struct { a: f32, b: Option<bool> },
    }

    #[derive(Serialize)]
    struct Inner {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
    }

    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "camelCase")]
    enum Tagged {
        SomeKind { value: u16 },
    }

    #[derive(Serialize)]
    struct All {
        #[serde(flatten)]
        inner: Inner,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
        unit: Unit,
        nothing: (),
        newtype: Newtype,
        pair: Pair,
        kinds: Vec<Kind>,
        tagged: Tagged,
        empty: (Vec<u8>, BTreeMap<u8, u8>),
        numbers: (u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, f64),
        by_number: BTreeMap<i32, bool>,
        by_word: Vec<(char, Value)>,
        displayed: std::net::IpAddr,
    }

    fn compare(value: &impl Serialize) {
        assert_eq!(String::from_utf8(to_vec(value).unwrap()).unwrap(), serde_json::to_string(value).unwrap());
    }

    #[test]
    fn every_kind_of_value_is_written_as_serde_json_writes_it() {
        compare(&All {
            inner: Inner {
                name: "quote \" backslash \\ line \n bell \u{7} é 🦀 \u{2028} </script>".to_owned(),
                absent: None,
            },
            rest: BTreeMap::from([("x\"y".to_owned(), json!({"a": [1, {"b": null}], "c": 1.5e300}))]),
            unit: Unit,
            nothing: (),
            newtype: Newtype(""),
            pair: Pair(u8::MAX, i16::MIN),
            kinds: vec![
                Kind::Unit,
                Kind::Newtype(u64::MAX),
                Kind::Tuple(-1, '"'),
                Kind::Struct { a: 0.1, b: Some(false) },
                Kind::Struct { a: f32::NAN, b: None },
            ],
            tagged: Tagged::SomeKind { value: 7 },
            empty: (Vec::new(), BTreeMap::new()),
            numbers: (1, 2, 3, 4, -1, -2, -3, i64::MIN, 1.0, 0.1, f64::INFINITY),
            by_number: BTreeMap::from([(-1, true), (2, false)]),
            by_word: vec![('é', json!([]))],
            displayed: [127, 0, 0, 1].into(),
        });
        compare(&BTreeMap::from([(true, 'a')]));
        compare(&BTreeMap::from([('"', "b")]));
    }

    #[test]
    fn names_are_texts() {
        for (is_name, written) in [
            (to_vec(&BTreeMap::from([(Some(1), 1)])), Some("{\"1\":1}")),
            (to_vec(&BTreeMap::from([(None::<u8>, 1)])), None),
            (to_vec(&BTreeMap::from([((), 1)])), None),
            (to_vec(&BTreeMap::from([(vec![1], 1)])), None),
            (to_vec(&BTreeMap::from([(BTreeMap::from([(1, 1)]), 1)])), None),
        ] {
            assert_eq!(is_name.ok().map(|bytes| String::from_utf8(bytes).unwrap()).as_deref(), written);
        }
    }

    #[actix_web::test]
    async fn an_answer_has_its_type_and_one_that_cannot_be_written_is_a_problem() {
        let answer = HttpResponse::Created().with_json(&[1]);
        assert_eq!(
            (answer.status(), &answer.headers()[CONTENT_TYPE]),
            (StatusCode::CREATED, &"application/json".parse().unwrap())
        );
        assert_eq!(to_bytes(answer.into_body()).await.unwrap(), "[1]");
        let answer = HttpResponse::Ok().content_type("application/jose").with_json(&1);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/jose");
        let answer = HttpResponse::Ok().with_json(&BTreeMap::from([((), 1)]));
        assert_eq!(
            (answer.status(), &answer.headers()[CONTENT_TYPE]),
            (StatusCode::INTERNAL_SERVER_ERROR, &"application/problem+json".parse().unwrap())
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_written_as_serde_json_writes_it(value in values()) {
            prop_assert_eq!(to_vec(&value).unwrap(), serde_json::to_vec(&value).unwrap());
        }
    }
}
