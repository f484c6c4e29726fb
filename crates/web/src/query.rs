//! The query of a request as a typed input, and common parameters of lists.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::{Ready, ready};
use portico_kernel::{CursorRequest, FieldError, PageRequest, RuleMessage};
use serde::de::DeserializeOwned;

use crate::{problem::Problem, read};

/// The query string, read as a `T`; 422 with every unknown or mistyped parameter. Every field of `T` is an `Option`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read::from_query(request.query_string()).map(Self).map_err(Problem::invalid))
    }
}

/// The page that a client requests, within bounds.
pub fn page_request(page: Option<u64>, limit: Option<u64>) -> Result<PageRequest, Problem> {
    let request = PageRequest { page: page.unwrap_or(1), limit: limit.unwrap_or(PageRequest::DEFAULT_LIMIT) };
    let mut errors = limit_error(request.limit);
    if !(1..=PageRequest::MAX_PAGE).contains(&request.page) {
        let message = RuleMessage::number(1, i64::try_from(PageRequest::MAX_PAGE).unwrap_or(i64::MAX));
        errors.push(FieldError::new("page", "out_of_range", message));
    }
    if errors.is_empty() { Ok(request) } else { Err(Problem::invalid(errors)) }
}

/// The page of an append-only list that a client requests, within bounds.
pub fn cursor_request(cursor: Option<String>, limit: Option<u64>) -> Result<CursorRequest, Problem> {
    let limit = limit.unwrap_or(PageRequest::DEFAULT_LIMIT);
    let errors = limit_error(limit);
    if errors.is_empty() { Ok(CursorRequest { cursor, limit }) } else { Err(Problem::invalid(errors)) }
}

fn limit_error(limit: u64) -> Vec<FieldError> {
    if (1..=PageRequest::MAX_LIMIT).contains(&limit) {
        return Vec::new();
    }
    let message = RuleMessage::number(1, i64::try_from(PageRequest::MAX_LIMIT).unwrap_or(i64::MAX));
    vec![FieldError::new("limit", "out_of_range", message)]
}

/// Splits a sort parameter such as `-createdAt` into its key and whether it descends.
pub fn sort<K: Copy>(text: Option<&str>, keys: &[(&str, K)]) -> Result<Option<(K, bool)>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    match keys.iter().find(|(key, _)| *key == name) {
        Some((_, key)) => Ok(Some((*key, descending))),
        None => {
            let names: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
            let message =
                format!("Sort by one of {}, with a - before it for the largest first.", names.join(", "));
            Err(Problem::invalid(vec![FieldError::new("sort", "unknown_sort_key", message)]))
        }
    }
}
