//! The API document (OpenAPI 3.1): collected from the routes, then completed with what holds for every route.

use std::{collections::BTreeMap, sync::Arc};

use actix_web::{HttpMessage, dev::ServiceRequest, http::Method};
use keyed::KeyedOperation;
use matchit::{InsertError, Router};
use portico_kernel::Permission;
use utoipa::openapi::{
    Components, ContactBuilder, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApi,
    OpenApiBuilder, Ref, RefOr, ResponseBuilder, ServerBuilder,
    path::{HttpMethod, Operation, Parameter, ParameterIn},
    schema::Type,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::{
    problem::ProblemBody,
    routing::{self, METHODS, Row},
};

mod codes;
mod examples;
pub mod keyed;
mod layout;
mod publish;
mod tags;

pub use layout::compact;
pub use publish::published;

/// Name of the security scheme of users. A route that needs permissions names them as its scopes (OpenAPI 3.1 has names of
/// roles there): `security(("bearer" = ["pages:read"]))`.
const BEARER: &str = "bearer";

/// Name of the security scheme of API keys. Added to every route whose permissions a key may have.
const API_KEY: &str = "apiKey";

/// Name of the security scheme of tickets.
const TICKET: &str = "ticket";

/// The operations of the API document, in the form that the server needs.
pub struct Document {
    paths: Router<Arc<DocumentedPath>>,
}

/// A path of the document. Found once for each request, which then carries it.
pub struct DocumentedPath {
    /// As the document spells it.
    pub pattern: String,
    /// The methods of its operations, as `Allow` lists them.
    pub methods: String,
    /// Whether PATCH is another spelling of its PUT.
    pub merges: bool,
    /// The POST of this path, if that takes an `Idempotency-Key`.
    pub keyed: Option<KeyedOperation>,
    operations: Vec<DocumentedOperation>,
}

/// An operation of a path.
struct DocumentedOperation {
    method: &'static str,
    operation: routing::Operation,
    place: usize,
}

impl DocumentedPath {
    /// The operation of a method; `None` where the document has none.
    pub fn operation(&self, method: &Method) -> Option<routing::Operation> {
        self.find(method).map(|documented| documented.operation)
    }

    fn find(&self, method: &Method) -> Option<&DocumentedOperation> {
        let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
        self.operations.iter().find(|documented| documented.method == method)
    }

    /// The pattern, where an operation has the strict limit: that holds for the path, whatever the method.
    pub fn strict(&self) -> Option<&str> {
        self.operations.iter().any(|documented| documented.operation.strict).then_some(self.pattern.as_str())
    }
}

/// Where the operation was registered that a request, which carries its path of the document, is for.
pub fn place_of(request: &ServiceRequest) -> Option<usize> {
    let carried = request.extensions();
    carried.get::<Arc<DocumentedPath>>()?.find(request.method()).map(|documented| documented.place)
}

impl Document {
    /// With the operations that it describes.
    ///
    /// # Errors
    /// When two paths cannot be told apart.
    pub fn new(rows: &[Row]) -> Result<Self, InsertError> {
        let mut by_path: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            by_path.entry(&row.path).or_default().push(row);
        }
        let mut paths = Router::new();
        for (pattern, mut rows) in by_path {
            rows.sort_by_key(|row| METHODS.iter().position(|method| *method == row.method));
            let merges = rows.iter().any(|row| row.operation.merges);
            let methods: Vec<&str> =
                rows.iter().map(|row| row.method).chain(merges.then_some("PATCH")).collect();
            let keyed = rows.iter().find(|row| row.method == "POST" && row.operation.keyed);
            let path = DocumentedPath {
                pattern: pattern.to_owned(),
                methods: methods.join(", "),
                merges,
                keyed: keyed.map(|row| KeyedOperation::new(row)),
                operations: rows
                    .iter()
                    .map(|row| DocumentedOperation {
                        method: row.method,
                        operation: row.operation,
                        place: row.place,
                    })
                    .collect(),
            };
            let takes_rest = rows.iter().any(|row| row.operation.takes_rest);
            match pattern.rsplit_once('{').filter(|_| takes_rest) {
                Some((before, parameter)) => {
                    paths.insert(format!("{before}{{*{parameter}"), Arc::new(path))?
                }
                None => paths.insert(pattern, Arc::new(path))?,
            }
        }
        Ok(Self { paths })
    }

    /// The path of the document that a request's path matches.
    pub fn path(&self, path: &str) -> Option<&Arc<DocumentedPath>> {
        self.paths.at(path).ok().map(|found| found.value)
    }
}

/// The document without routes.
pub fn base() -> OpenApi {
    let description = "The backend behind a customer portal. Errors are problem details (RFC 9457) with a stable `code`. \
        Lists take `page` and `limit`, append-only lists `cursor` and `limit`. `ETag`, `If-None-Match` and `If-Match` \
        work on single resources. An update (PATCH, a merge patch) changes the fields that it names and leaves the others; \
        PUT on the same path does the same.";
    let mut components = Components::new();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("An access token from `POST /api/v1/auth/login`."))
        .build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    let api_key = ApiKeyValue::with_description(
        "X-API-Key",
        "A key of a tenant, from `POST /api/v1/tenants/{tenantId}/api-keys`. It may also be sent as \
         `Authorization: Bearer`. It acts in its own tenant only, with its own permissions and limit.",
    );
    components.add_security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(api_key)));
    let ticket = ApiKeyValue::with_description(
        "ticket",
        "From `POST /api/v1/auth/tickets`, for one GET within a minute: downloads by link, and `EventSource`.",
    );
    components.add_security_scheme(TICKET, SecurityScheme::ApiKey(ApiKey::Query(ticket)));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Portico")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(description))
                .license(Some(
                    LicenseBuilder::new()
                        .name("MIT OR Apache-2.0")
                        .identifier(Some("MIT OR Apache-2.0"))
                        .build(),
                ))
                .contact(Some(ContactBuilder::new().name(Some("Portico")).build()))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url("/").description(Some("This server")).build()]))
        .components(Some(components))
        .build()
}

/// Permissions to change content of a site.
const CONTENT: [Permission; 6] = [
    Permission::PagesWrite,
    Permission::NavigationWrite,
    Permission::SitesWrite,
    Permission::SitesDelete,
    Permission::SitesDeploy,
    Permission::AssetsWrite,
];

/// Errors common to many operations, with their component names and descriptions.
const SHARED: [(&str, &str); 22] = [
    ("TooManyRequests", "Too many requests; `Retry-After` says when to come back."),
    ("InternalError", "Our own fault."),
    ("Unavailable", "A part that is needed is down; `Retry-After` says when to come back."),
    ("Unauthenticated", "No access token or API key, or one that is not good any more."),
    ("Forbidden", "Seen, but not allowed."),
    ("EmailUnverified", "Not allowed; `email_unverified` while the address of the account is not verified."),
    (
        "MakerUnverified",
        "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified.",
    ),
    ("NotFound", "Not there, or not to be seen by this caller."),
    ("Invalid", "Fields or parameters that break rules, all of them at once."),
    ("StorageExceeded", "The plan includes no more storage: texts and their history count."),
    ("SiteNotEditable", "The site is for sale, sold, suspended or over the limit of the plan."),
    ("ModifiedConcurrently", "Another request changed it at the same moment."),
    ("PreconditionFailed", "Changed since it was read."),
    ("MalformedBody", "The body cannot be read."),
    ("MalformedBodyOrPath", "The body or the path cannot be read."),
    ("MalformedPath", "The path has no normal form."),
    ("RequestTimeout", "The body came too slowly; the connection is closed."),
    ("BodyTooLarge", "The body is too large."),
    ("NotJson", "The body is not JSON."),
    ("MalformedKey", keyed::MALFORMED),
    ("KeyInUse", keyed::IN_USE),
    ("InvalidOrKeyReused", keyed::INVALID_OR_REUSED),
];

/// Moves common errors to the components.
fn share_errors(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    for (name, text) in SHARED {
        components.responses.insert(name.to_owned(), problem(text));
    }
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations_mut(item) {
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(inline) = &*response else { continue };
                let shared = SHARED.iter().find(|(_, text)| inline.description == *text);
                if let Some((name, _)) = shared
                    && status.starts_with(['4', '5'])
                {
                    *response = RefOr::Ref(Ref::from_response_name(*name));
                }
            }
        }
    }
}

/// Adds to every operation the responses of the middleware, so that no response is undocumented.
pub fn complete(mut document: OpenApi, rows: &[Row]) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    let mut schemas = Vec::new();
    <ProblemBody as utoipa::ToSchema>::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert("ProblemBody".to_owned(), <ProblemBody as utoipa::PartialSchema>::schema());
    for (path, item) in &mut document.paths.paths {
        let in_path = path.contains('{');
        for (method, operation) in operations_mut(item) {
            for (status, response) in &mut operation.responses.responses {
                // A route documents only the reason of an error; the body is the same everywhere.
                if let RefOr::T(response) = response
                    && status.starts_with(['4', '5'])
                    && response.content.is_empty()
                    && let RefOr::T(complete) = problem(&response.description)
                {
                    *response = complete;
                }
            }
            document_permissions(operation);
            if method == HttpMethod::Get
                && rows.iter().any(|row| row.operation.by_ticket && row.method == "GET" && row.path == *path)
            {
                let requirement = SecurityRequirement::new(TICKET, Vec::<String>::new());
                operation.security.get_or_insert_default().push(requirement);
            }
            if method == HttpMethod::Post
                && rows.iter().any(|row| row.operation.keyed && row.method == "POST" && row.path == *path)
            {
                keyed::offer(operation, problem);
            }
            let changes = match method {
                HttpMethod::Get => Vec::new(),
                _ => permissions_of(operation),
            };
            let secured = is_secured(operation);
            let body = operation.request_body.is_some();
            let query = operation.parameters.as_ref().is_some_and(|parameters| {
                parameters.iter().any(|parameter| {
                    matches!(parameter, RefOr::T(Parameter { parameter_in: ParameterIn::Query, .. }))
                })
            });
            let mut add = |status: &str, text: &str| {
                operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem(text));
            };
            add("429", "Too many requests; `Retry-After` says when to come back.");
            add("500", "Our own fault.");
            add("503", "A part that is needed is down; `Retry-After` says when to come back.");
            // Checked when a change is committed.
            if changes.contains(&Permission::PagesWrite) {
                add("402", "The plan includes no more storage: texts and their history count.");
                add("422", "Fields or parameters that break rules, all of them at once.");
            }
            if changes.iter().any(|permission| CONTENT.contains(permission)) {
                add("409", "The site is for sale, sold, suspended or over the limit of the plan.");
            }
            if secured {
                add("401", "No access token or API key, or one that is not good any more.");
                add("403", "Seen, but not allowed.");
                // `X-Tenant-Id` may name a tenant that the caller does not belong to.
                add("404", "Not there, or not to be seen by this caller.");
            }
            if in_path {
                add("404", "Not there, or not to be seen by this caller.");
            }
            if body {
                add(
                    "400",
                    match in_path {
                        true => "The body or the path cannot be read.",
                        false => "The body cannot be read.",
                    },
                );
                add("408", "The body came too slowly; the connection is closed.");
                add("413", "The body is too large.");
                add("415", "The body is not JSON.");
            }
            if in_path {
                add("400", "The path has no normal form.");
            }
            if body || query {
                add("422", "Fields or parameters that break rules, all of them at once.");
            }
        }
    }
    share_errors(&mut document);
    document
}

/// Whether an operation is for signed-in callers only.
fn is_secured(operation: &Operation) -> bool {
    operation.security.as_ref().is_some_and(|security| !security.is_empty())
}

/// Documents the required permissions of an operation, and admits keys that may have them.
fn document_permissions(operation: &mut Operation) {
    let needed = permissions_of(operation);
    if needed.is_empty() {
        return;
    }
    let words: Vec<String> = needed.iter().map(|permission| format!("`{}`", permission.as_str())).collect();
    let mut text = format!("Needs the permission {}.", words.join(" and "));
    if needed.iter().all(|permission| permission.is_for_keys()) {
        let scopes = needed.iter().map(|permission| permission.as_str());
        operation.security.get_or_insert_default().push(SecurityRequirement::new(API_KEY, scopes));
    } else {
        text.push_str(" Not for API keys.");
    }
    operation.description = Some(match operation.description.take() {
        Some(description) if !description.is_empty() => format!("{description}\n\n{text}"),
        _ => text,
    });
}

/// The permissions that a route names as the scopes of its security.
fn permissions_of(operation: &Operation) -> Vec<Permission> {
    let security = serde_json::to_value(&operation.security).unwrap_or_default();
    let requirements = security.as_array().into_iter().flatten();
    let scopes = requirements.filter_map(|requirement| requirement[BEARER].as_array()).flatten();
    scopes.filter_map(|scope| Permission::parse(scope.as_str()?)).collect()
}

fn problem(description: &str) -> RefOr<utoipa::openapi::Response> {
    let mut response = ResponseBuilder::new().description(description).content(
        "application/problem+json",
        ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("ProblemBody")))).build(),
    );
    let text = utoipa::openapi::ObjectBuilder::new().schema_type(Type::String);
    response = response.header("X-Request-Id", HeaderBuilder::new().schema(Some(text)).build());
    RefOr::T(response.build())
}

/// The operations of a path, by upper-case method.
fn operations(item: &utoipa::openapi::PathItem) -> Vec<(&'static str, &Operation)> {
    [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("PATCH", &item.patch),
        ("HEAD", &item.head),
        ("OPTIONS", &item.options),
    ]
    .into_iter()
    .filter_map(|(name, operation)| operation.as_ref().map(|operation| (name, operation)))
    .collect()
}

fn operations_mut(item: &mut utoipa::openapi::PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Delete, &mut item.delete),
        (HttpMethod::Patch, &mut item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
    .collect()
}

/// The security requirement of a route for signed-in callers.
pub fn bearer() -> SecurityRequirement {
    SecurityRequirement::new(BEARER, Vec::<String>::new())
}
