//! What answers have in common: headers, and descriptions of successes.

use std::collections::BTreeSet;

use utoipa::openapi::{HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, header::Header, schema::Type};

use super::{API, count};

/// The headers that many answers have.
pub(super) fn headers() -> impl Iterator<Item = (&'static str, Header)> {
    let number = || count("").description(None::<String>);
    let plain = || ObjectBuilder::new().schema_type(Type::String);
    [
        ("X-Request-Id", "Id of the request, for support.", plain()),
        ("X-RateLimit-Limit", "Requests a minute that the caller may make.", number()),
        ("X-RateLimit-Remaining", "Requests that may follow at once.", number()),
        (
            "X-RateLimit-Reset",
            "Seconds until the whole quota is there again; with 429, until one more request is allowed.",
            number(),
        ),
        ("Retry-After", "Seconds to wait before the next attempt.", number()),
        ("WWW-Authenticate", "Which credentials are wanted (RFC 9110).", plain()),
        ("ETag", "The version, for `If-None-Match` and `If-Match`.", plain()),
        ("Location", "Path of what was made, or of the status of what goes on.", plain()),
        (
            "Link",
            "Other pages of the list (RFC 8288): `first`, `prev`, `next`. Absent where there is only one.",
            plain(),
        ),
        (
            "Idempotent-Replayed",
            "There when the answer was given before, under the same `Idempotency-Key`.",
            plain().enum_values(Some(["true"])),
        ),
    ]
    .into_iter()
    .map(|(name, description, schema)| {
        (name, HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build())
    })
}

fn header(name: &str) -> RefOr<Header> {
    RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))
}

pub(super) fn add_headers(path: &str, status: &str, response: &mut Response) {
    let shared: BTreeSet<&str> = headers().map(|(name, _)| name).collect();
    for (name, given) in &mut response.headers {
        if shared.contains(name.as_str()) {
            *given = header(name);
        }
    }
    let mut add = |name: &str| drop(response.headers.insert(name.to_owned(), header(name)));
    add("X-Request-Id");
    if path.starts_with(API) {
        ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"].into_iter().for_each(&mut add);
    }
    match status {
        "401" => add("WWW-Authenticate"),
        "429" | "503" => add("Retry-After"),
        _ => {}
    }
    if response.description.contains("`Retry-After`") {
        response.headers.insert("Retry-After".to_owned(), header("Retry-After"));
    }
    if list_of(response).is_some() {
        response.headers.insert("Link".to_owned(), header("Link"));
    }
}

/// The name of the schema, if a response is a list.
fn list_of(response: &Response) -> Option<&str> {
    let RefOr::T(content) = response.content.get("application/json")? else { return None };
    let Some(RefOr::Ref(reference)) = &content.schema else { return None };
    let name = reference.ref_location.rsplit('/').next()?;
    (name.ends_with("List") || name.ends_with("CursorPage")).then_some(name)
}

/// Describes a success that the route leaves to its status.
pub(super) fn describe(status: &str, response: &mut Response) {
    if !response.description.is_empty() {
        return;
    }
    response.description = match status {
        "200" if list_of(response).is_some() => "The items of this page of the list.",
        "200" if response.content.is_empty() => "Done.",
        "200" => "The resource as it is now.",
        "201" => "Created; `Location` is its path.",
        "202" => "Accepted; it goes on in the background.",
        "204" => "Done; there is nothing to return.",
        _ => "As the status code says.",
    }
    .to_owned();
}
