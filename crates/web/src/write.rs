//! The one serializer of answers, the counterpart of [`read`](crate::read).
//!
//! serde makes code for each type and each serializer that it is written to, and generic code of serde_json is made again in the crates of the
//! routes, which are built for size: there, writing a text copied it in pieces of a few bytes. This serializer is not generic, so that texts and
//! numbers are written by code of this crate. What is written is what serde_json writes.

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::header::{CONTENT_TYPE, HeaderValue},
};
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
            let json = HeaderValue::from_static("application/json");
            if !answer.headers().contains_key(CONTENT_TYPE) {
                answer.headers_mut().insert(CONTENT_TYPE, json);
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
mod tests;
