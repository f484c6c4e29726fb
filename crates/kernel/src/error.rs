//! Errors: a kind that decides the status code, a stable code, a text for the public.

use std::borrow::Cow;

use serde::Serialize;

/// What sort of failure it is. One place in the HTTP layer maps this to a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request cannot be read at all (400).
    Malformed,
    /// No credentials, or none that are valid (401).
    Unauthenticated,
    /// The plan's quota is used up, or a payment was declined (402).
    Quota,
    /// Known, but not allowed (403).
    Forbidden,
    /// Not there, or not to be seen by this caller (404).
    NotFound,
    /// A duplicate, or a state in which this cannot be done (409).
    Conflict,
    /// It was there, and is not offered any more (410).
    Gone,
    /// `If-Match` names an older version (412).
    PreconditionFailed,
    /// The body is larger than allowed (413).
    TooLarge,
    /// The content type is not one that is understood here (415).
    UnsupportedMediaType,
    /// Read, but against the rules; see [`Fault::fields`] (422).
    Invalid,
    /// Too many requests (429).
    RateLimited,
    /// Our own fault (500).
    Internal,
    /// A dependency is down; trying again makes sense (503).
    Unavailable,
}

/// An error that can be answered to a client.
///
/// The `Display` text of an implementor is for the log; [`Fault::detail`] is what a client may read.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// Decides the status code.
    fn kind(&self) -> Kind;

    /// Stable machine-readable word in snake_case, for instance `slug_taken`.
    fn code(&self) -> &'static str;

    /// A sentence for the client. MUST NOT contain internal causes.
    fn detail(&self) -> Cow<'static, str>;

    /// What is wrong with which field, for [`Kind::Invalid`].
    fn fields(&self) -> &[FieldError] {
        &[]
    }

    /// Seconds after which trying again makes sense, for [`Kind::RateLimited`].
    fn retry_after(&self) -> Option<u64> {
        None
    }

    /// More members for the problem body, for instance the meter and limit of a quota.
    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        Vec::new()
    }
}

/// One broken rule of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// Path of the field as the client wrote it, for instance `items[0].productType`.
    pub field: String,
    /// Stable word in snake_case, for instance `too_long`.
    pub code: Cow<'static, str>,
    /// A sentence in English for a person.
    pub message: Cow<'static, str>,
    /// The numbers and words that the sentence names, for clients that say it in another language.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = RuleParams))]
    pub params: Option<Box<RuleParams>>,
}

/// What a rule allows. Which members are there follows from the code of the error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"max": 200})))]
pub struct RuleParams {
    /// Smallest number, or fewest characters or items.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = i64))]
    pub min: Option<i64>,
    /// Largest number, or most characters or items.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = i64))]
    pub max: Option<i64>,
    /// The words to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub allowed: Vec<Cow<'static, str>>,
}

/// The sentence about a broken rule, with the numbers and words in it. Texts without any convert by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMessage {
    text: Cow<'static, str>,
    params: Option<Box<RuleParams>>,
}

impl RuleMessage {
    /// A sentence that names a bound or a choice, to be given by the other methods.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), params: None }
    }

    /// Names the least that is allowed.
    #[must_use]
    pub fn min(mut self, min: impl TryInto<i64>) -> Self {
        self.params.get_or_insert_default().min = min.try_into().ok();
        self
    }

    /// Names the most that is allowed.
    #[must_use]
    pub fn max(mut self, max: impl TryInto<i64>) -> Self {
        self.params.get_or_insert_default().max = max.try_into().ok();
        self
    }

    /// Names what is allowed.
    #[must_use]
    pub fn allowed<T: Into<Cow<'static, str>>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        self.params.get_or_insert_default().allowed = words.into_iter().map(Into::into).collect();
        self
    }

    /// `Use at least 3 characters.`
    pub fn at_least_characters(min: usize) -> Self {
        Self::new(format!("Use at least {min} characters.")).min(min)
    }

    /// `Use at most 100 characters.`
    pub fn at_most_characters(max: usize) -> Self {
        Self::new(format!("Use at most {max} characters.")).max(max)
    }

    /// `Use a number from 1 to 100.`
    pub fn number(min: i64, max: i64) -> Self {
        Self::new(format!("Use a number from {min} to {max}.")).min(min).max(max)
    }
}

impl From<&'static str> for RuleMessage {
    fn from(text: &'static str) -> Self {
        Self::new(text)
    }
}

impl From<String> for RuleMessage {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Cow<'static, str>> for RuleMessage {
    fn from(text: Cow<'static, str>) -> Self {
        Self::new(text)
    }
}

impl FieldError {
    /// One broken rule.
    pub fn new(
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<RuleMessage>,
    ) -> Self {
        let RuleMessage { text, params } = message.into();
        Self { field: field.into(), code: code.into(), message: text, params }
    }

    /// The same about the field `inner` of an object in the field `outer`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}

/// What a storage port can answer besides its result.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique key is taken. Carries the name of the constraint, or the columns where the database reports those.
    #[error("unique constraint violated: {0}")]
    Conflict(String),
    /// A row that this one refers to is not there (or belongs to another tenant).
    #[error("referenced row is missing: {0}")]
    MissingReference(String),
    /// The row was changed since it was read.
    #[error("row changed since it was read")]
    Stale,
    /// A rule that is checked at the commit, over all changes of a unit of work, was broken; nothing was committed.
    #[error("refused at the commit: {0}")]
    Refused(Box<dyn Fault>),
    /// The store cannot be reached, or is too busy. Trying again makes sense.
    #[error("store unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else: a bug, or a store in a bad state.
    #[error("store failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Fault for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::Conflict(_) | Self::Stale => Kind::Conflict,
            Self::MissingReference(_) => Kind::NotFound,
            Self::Refused(rule) => rule.kind(),
            Self::Unavailable(_) => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "duplicate",
            Self::MissingReference(_) => "not_found",
            Self::Stale => "modified_concurrently",
            Self::Refused(rule) => rule.code(),
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Conflict(_) => "Something with these values exists already.",
            Self::MissingReference(_) => "Something this request refers to does not exist.",
            Self::Stale => "Another request changed this at the same moment. Read it again and retry.",
            Self::Refused(rule) => return rule.detail(),
            Self::Unavailable(_) => "A part of the service is not reachable right now. Try again shortly.",
            Self::Internal(_) => "Something went wrong on our side.",
        })
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Refused(rule) => rule.fields(),
            _ => &[],
        }
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::Refused(rule) => rule.members(),
            _ => Vec::new(),
        }
    }
}
