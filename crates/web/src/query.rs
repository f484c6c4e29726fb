//! The query of a request as a typed input, and common parameters of lists.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::{Ready, ready};
use portico_kernel::{CursorRequest, FieldError, PageRequest, RuleMessage};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

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

/// The page of a list, as every list by number takes it; among the `params` of the route. [`Query`] reads it where a list has no
/// other parameters, [`Paged`] beside them.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u64>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

impl Paging {
    /// Names of the parameters.
    const NAMES: [&'static str; 2] = ["page", "limit"];

    /// The page that the client requests, within bounds.
    pub fn request(&self) -> Result<PageRequest, Problem> {
        page_request(self.page, self.limit)
    }
}

/// The query string of a list with further parameters, which are read as a `T`; else as [`Query`]. One struct with both would not do:
/// serde's `flatten` loses the types of the fields, and does not tell which parameters are unknown.
pub struct Paged<T>(pub T, pub Paging);

impl<T: DeserializeOwned> FromRequest for Paged<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(paged(request.query_string()).map_err(Problem::invalid))
    }
}

fn paged<T: DeserializeOwned>(query: &str) -> Result<Paged<T>, Vec<FieldError>> {
    let (paging, others): (Vec<_>, Vec<_>) =
        read::pairs(query).into_iter().partition(|(name, _)| Paging::NAMES.contains(&name.as_str()));
    match (read::from_pairs(others), read::from_pairs(paging)) {
        (Ok(others), Ok(paging)) => Ok(Paged(others, paging)),
        (others, paging) => {
            let mut errors = others.err().unwrap_or_default();
            errors.extend(paging.err().unwrap_or_default());
            Err(errors)
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Filter {
        q: Option<String>,
        visible: Option<bool>,
    }

    #[test]
    fn a_page_is_read_beside_other_parameters() {
        let Paged(filter, paging): Paged<Filter> = paged("limit=5&q=a%20b&p%61ge=2&visible=").unwrap();
        assert_eq!(filter, Filter { q: Some("a b".into()), visible: None });
        assert_eq!(paging.request().unwrap(), PageRequest { page: 2, limit: 5 });
        let Paged(filter, paging): Paged<Filter> = paged("page=").unwrap();
        assert_eq!((filter, paging.request().unwrap()), (Filter::default(), PageRequest::default()));
    }

    #[test]
    fn every_wrong_parameter_is_named_beside_a_page() {
        let errors = paged::<Filter>("page=two&visible=maybe&colour=red&limit=-1").err().unwrap();
        let mut named: Vec<_> =
            errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect();
        named.sort();
        let expected = [
            ("colour", "unknown_parameter"),
            ("limit", "invalid_value"),
            ("page", "invalid_value"),
            ("visible", "invalid_value"),
        ];
        assert_eq!(named, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
        assert!(paged::<Filter>("q=a%00b").is_err() && paged::<Filter>("page=1&page=2").is_err());
    }

    #[test]
    fn the_bounds_that_are_described_are_those_that_hold() {
        let described = serde_json::to_value(Paging::into_params(|| None)).unwrap();
        let most = [PageRequest::MAX_PAGE, PageRequest::MAX_LIMIT];
        for (index, (name, most)) in Paging::NAMES.into_iter().zip(most).enumerate() {
            let parameter = &described[index];
            assert_eq!((&parameter["name"], &parameter["in"]), (&json!(name), &json!("query")));
            assert_eq!(parameter["schema"]["minimum"], json!(1), "{name}");
            assert_eq!(parameter["schema"]["maximum"], json!(most), "{name}");
        }
        let request = |page, limit| Paging { page: Some(page), limit: Some(limit) }.request();
        assert!(request(1, 1).is_ok() && request(most[0], most[1]).is_ok());
        for (page, limit) in [(0, 1), (1, 0), (most[0] + 1, 1), (1, most[1] + 1)] {
            assert!(request(page, limit).is_err(), "{page}, {limit}");
        }
    }
}
