//! Documentation of operations that take an `Idempotency-Key`.

use utoipa::openapi::{
    HeaderBuilder, ObjectBuilder, RefOr, Required, Response,
    path::{Operation, ParameterBuilder, ParameterIn},
    schema::Type,
};

use crate::routing::Row;

/// Description of a request whose body or key cannot be read.
pub const MALFORMED: &str = "The body, or the `Idempotency-Key`, cannot be read.";

/// Description of a request whose key is in use.
pub const IN_USE: &str =
    "The first request with this `Idempotency-Key` is under way; `Retry-After` says when to come back.";

/// Description of a request that violates rules, or whose key was used before.
pub const INVALID_OR_REUSED: &str =
    "Something breaks rules, all of it at once; or the `Idempotency-Key` was used for another request.";

/// Longest key.
pub const MAX_LENGTH: usize = 255;

/// Name of the parameter.
const NAME: &str = "Idempotency-Key";

/// An operation that takes a key.
pub struct KeyedOperation {
    path: String,
    /// Whether the body is part of the fingerprint. Uploads are not read for it.
    pub by_body: bool,
}

impl KeyedOperation {
    /// The operation of a row.
    pub fn new(row: &Row) -> Self {
        Self { path: row.path.clone(), by_body: !row.operation.takes_files }
    }

    /// The tenant id in the path of a request, as text.
    pub fn tenant<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut places = self.path.split('/').zip(path.split('/'));
        places.find(|(name, _)| *name == "{tenantId}").map(|(_, text)| text)
    }
}

/// Documents that a POST takes a key. `problem` makes the description of an error.
pub fn offer(operation: &mut Operation, problem: impl Fn(&str) -> RefOr<Response>) {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX_LENGTH))
        .pattern(Some("^[!-~]([ -~]*[!-~])?$"))
        .examples([serde_json::json!("8e03978e-40d5-43dd-bc93-6894a57f9324")]);
    let parameter = ParameterBuilder::new()
        .name(NAME)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Any text that the client makes up for this one request, such as a UUID. Sent again under the same key, within a day \
             and by the same caller in the same tenant, the request is not carried out again: the first answer comes back, with \
             `Idempotent-Replayed: true`. Answers other than 2xx are not kept. 409 `idempotency_key_in_use` while the first \
             request is under way, 422 `idempotency_key_reused` when it was another one.",
        ))
        .schema(Some(schema));
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter.build()));
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && status.starts_with('2')
        {
            let text = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]));
            let header = HeaderBuilder::new()
                .description(Some(
                    "There when the answer was given before, under the same `Idempotency-Key`.",
                ))
                .schema(Some(text));
            response.headers.insert("Idempotent-Replayed".to_owned(), RefOr::T(header.build()));
        }
    }
    for (status, text) in [("400", MALFORMED), ("409", IN_USE), ("422", INVALID_OR_REUSED)] {
        responses.entry(status.to_owned()).or_insert_with(|| problem(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_is_where_the_path_has_it() {
        let operation = |path: &str| KeyedOperation { path: path.to_owned(), by_body: true };
        let pages = operation("/api/v1/tenants/{tenantId}/pages/{pageId}/duplicate");
        assert_eq!(pages.tenant("/api/v1/tenants/7/pages/8/duplicate"), Some("7"));
        assert_eq!(operation("/api/v1/sites").tenant("/api/v1/sites"), None);
    }
}
