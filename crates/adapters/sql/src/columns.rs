//! How columns hold the values of the domain: one conversion for each type, for entities, for parameters and for the rows of
//! statements alike.

use std::any::type_name;

use portico_identity::user::EmailAddress;
use portico_kernel::{
    Id, Month, Timestamp,
    name::{Slug, Subdomain},
};
use sea_orm::{
    ColIdx, ColumnType, DbErr, QueryResult, TryFromU64, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ValueType, ValueTypeErr},
};
use time::{Date, PrimitiveDateTime, macros::format_description};
use uuid::Uuid;

/// A value that a column holds.
pub(crate) trait Stored: Sized {
    /// What the database has for it.
    type Raw: ValueType + TryGetable + Into<Value>;

    /// What is written.
    fn store(&self) -> Self::Raw;

    /// What was read. The error says what is there that this version of the program does not know.
    fn load(raw: Self::Raw) -> Result<Self, String>;
}

/// Declares enumerations that columns hold as their words (`as_str`, `parse`).
macro_rules! words {
    ($($word:ty),+) => {$(
        impl $crate::columns::Stored for $word {
            type Raw = String;

            fn store(&self) -> String {
                self.as_str().to_owned()
            }

            fn load(raw: String) -> Result<Self, String> {
                Self::parse(&raw).ok_or(raw)
            }
        }
    )+};
}
pub(crate) use words;

/// Declares parsed texts: the store has only checked ones.
macro_rules! texts {
    ($($text:ty),+) => {$(
        impl $crate::columns::Stored for $text {
            type Raw = String;

            fn store(&self) -> String {
                self.as_str().to_owned()
            }

            fn load(raw: String) -> Result<Self, String> {
                Ok(Self::trusted(raw))
            }
        }
    )+};
}
texts!(Subdomain, Slug, EmailAddress);

/// Declares types that columns hold as JSON. Their keys are texts, so that writing them cannot fail.
macro_rules! documents {
    ($($document:ty),+) => {$(
        impl $crate::columns::Stored for $document {
            type Raw = serde_json::Value;

            fn store(&self) -> serde_json::Value {
                serde_json::to_value(self).unwrap_or_default()
            }

            fn load(raw: serde_json::Value) -> Result<Self, String> {
                serde_json::from_value(raw).map_err(|error| error.to_string())
            }
        }
    )+};
}
pub(crate) use documents;

/// Declares types that the database has as they are.
macro_rules! plain {
    ($($plain:ty),+) => {$(
        impl Stored for $plain {
            type Raw = Self;

            fn store(&self) -> Self {
                self.clone()
            }

            fn load(raw: Self) -> Result<Self, String> {
                Ok(raw)
            }
        }
    )+};
}
plain!(bool, i32, i64, String, Vec<u8>, Uuid, serde_json::Value);

/// Columns are signed; nothing that is counted comes near their end, or is less than nothing.
macro_rules! counts {
    ($($count:ty => $raw:ty),+) => {$(
        impl Stored for $count {
            type Raw = $raw;

            fn store(&self) -> $raw {
                <$raw as TryFrom<Self>>::try_from(*self).unwrap_or(<$raw>::MAX)
            }

            fn load(raw: $raw) -> Result<Self, String> {
                Ok(<Self as TryFrom<$raw>>::try_from(raw).unwrap_or_default())
            }
        }
    )+};
}
counts!(u16 => i32, u32 => i32, u64 => i64);

impl<K> Stored for Id<K> {
    type Raw = Uuid;

    fn store(&self) -> Uuid {
        self.uuid()
    }

    fn load(raw: Uuid) -> Result<Self, String> {
        Ok(Self::from_uuid(raw))
    }
}

/// Naive UTC. SQLite keeps a time as text; without an offset at its end, the order of the texts is the order of the times.
impl Stored for Timestamp {
    type Raw = PrimitiveDateTime;

    fn store(&self) -> PrimitiveDateTime {
        let time = self.into_inner();
        PrimitiveDateTime::new(time.date(), time.time())
    }

    fn load(raw: PrimitiveDateTime) -> Result<Self, String> {
        Ok(Self::new(raw.assume_utc()))
    }
}

/// A day is a text that begins like a time does.
impl Stored for Date {
    type Raw = String;

    fn store(&self) -> String {
        self.to_string()
    }

    fn load(raw: String) -> Result<Self, String> {
        Self::parse(&raw, format_description!("[year]-[month]-[day]")).map_err(|_| raw)
    }
}

/// A month is a text that begins a day of it.
impl Stored for Month {
    type Raw = String;

    fn store(&self) -> String {
        self.to_string()
    }

    fn load(raw: String) -> Result<Self, String> {
        Self::parse(&raw).ok_or(raw)
    }
}

/// A hash of a secret, for instance.
impl<const N: usize> Stored for [u8; N] {
    type Raw = Vec<u8>;

    fn store(&self) -> Vec<u8> {
        self.to_vec()
    }

    fn load(raw: Vec<u8>) -> Result<Self, String> {
        raw.try_into().map_err(|raw: Vec<u8>| format!("{} bytes", raw.len()))
    }
}

impl<T: Stored> Stored for Option<T>
where
    Option<T::Raw>: ValueType + TryGetable + Into<Value>,
{
    type Raw = Option<T::Raw>;

    fn store(&self) -> Self::Raw {
        self.as_ref().map(T::store)
    }

    fn load(raw: Self::Raw) -> Result<Self, String> {
        raw.map(T::load).transpose()
    }
}

/// Reads a column. One that cannot be read is named, with what is there.
pub(crate) fn read<T: Stored, I: ColIdx>(row: &QueryResult, column: I) -> Result<T, TryGetError> {
    T::load(T::Raw::try_get_by(row, column)?).map_err(|found| {
        let wanted = type_name::<T>();
        TryGetError::DbErr(DbErr::Type(format!(
            "column {column:?} holds {found:?}, which is no {wanted} known here"
        )))
    })
}

/// A column of an entity. SeaORM's traits cannot be implemented for the types of other crates; this is where they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Col<T>(pub T);

impl<T: Stored> From<Col<T>> for Value {
    fn from(column: Col<T>) -> Self {
        column.0.store().into()
    }
}

impl<T: Stored> TryGetable for Col<T> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<Self, TryGetError> {
        read(row, column).map(Self)
    }
}

impl<T: Stored> ValueType for Col<T> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        let raw = <T::Raw as ValueType>::try_from(value)?;
        T::load(raw).map(Self).map_err(|_| ValueTypeErr)
    }

    fn is_option() -> bool {
        T::Raw::is_option()
    }

    fn type_name() -> String {
        T::Raw::type_name()
    }

    fn array_type() -> ArrayType {
        T::Raw::array_type()
    }

    fn column_type() -> ColumnType {
        T::Raw::column_type()
    }
}

/// No key is a number that the database counts up.
impl<T: Stored> TryFromU64 for Col<T> {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64(type_name::<T>()))
    }
}
