//! API keys of a tenant.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get,
    http::header::{CACHE_CONTROL, HeaderValue},
    post, put,
    web::{Data, Path},
};
use portico_identity::{
    ApiKeys,
    api_key::{ApiKey, ApiKeyUpdate, NewApiKey, Rotation, usage::KeyUsageReport},
};
use portico_kernel::{ApiKeyId, List, TenantId};
use portico_web::{
    body::{Body, OptionalBody},
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::Date;
use utoipa::{IntoParams, ToSchema};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove)
        .service(KEYED, rotate)
        .service(READ, usage);
}

/// A key with its secret.
#[derive(Serialize, ToSchema)]
struct ApiKeyWithSecret {
    #[serde(flatten)]
    api_key: ApiKey,
    /// The whole key. It is returned only here, and not stored.
    #[schema(example = "sn_live_4fG7kQ2mZx9B0aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6kL9nO2rU1e9s5T")]
    key: String,
}

impl ApiKeyWithSecret {
    fn new((api_key, key): (ApiKey, SecretString)) -> Self {
        Self { api_key, key: key.expose_secret().to_owned() }
    }
}

/// Forbids caching by clients and intermediaries.
fn unstored(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Query of the usage of a key.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct UsagePeriod {
    /// First day (UTC); 29 days before the last one where absent.
    #[param(value_type = Option<String>, format = "date", example = "2026-11-01")]
    from: Option<Date>,
    /// Last day (UTC), today where absent. At most 90 days in all.
    #[param(value_type = Option<String>, format = "date", example = "2026-11-21")]
    to: Option<Date>,
}

/// List API keys
///
/// Newest first, without those that are revoked.
#[utoipa::path(
    tag = "API keys",
    operation_id = "listApiKeys",
    params(("tenantId" = TenantId, Path), Paging),
    responses((status = 200, body = List<ApiKey>)),
    security(("bearer" = ["api_keys:read"])),
)]
#[get("/tenants/{tenantId}/api-keys")]
async fn list(app: Data<App>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let keys = ApiKeys::new(&mut *app.core.reader(), &caller.0, &app.core.env).list(page).await?;
    Ok(Listed(keys))
}

/// Create an API key
///
/// The answer has the whole key in `key`, only this once. The key belongs to the tenant and stays valid when the member who
/// created it leaves. A key with mode `test` acts on the same data as one with mode `live`.
#[utoipa::path(
    tag = "API keys",
    operation_id = "createApiKey",
    params(("tenantId" = TenantId, Path)),
    request_body = NewApiKey,
    responses(
        (status = 201, body = ApiKeyWithSecret, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 402, description = "The plan includes no more API keys (`quota_exceeded`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The tenant has 100 keys already.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["api_keys:write"])),
)]
#[post("/tenants/{tenantId}/api-keys")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewApiKey>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let made =
                ApiKeys::new(&mut *work, &caller.0, &app.core.env).create(body.0, &*app.tokens).await?;
            let made = ApiKeyWithSecret::new(made);
            let location = format!("/api/v1/tenants/{}/api-keys/{}", made.api_key.tenant, made.api_key.id);
            Ok(unstored(conditional::created(&location, made.api_key.version, &made)))
        })
        .await
}

/// Read an API key
#[utoipa::path(
    tag = "API keys",
    operation_id = "getApiKey",
    params(("tenantId" = TenantId, Path), ("apiKeyId" = ApiKeyId, Path)),
    responses((status = 200, body = ApiKey, headers(("ETag" = String)))),
    security(("bearer" = ["api_keys:read"])),
)]
#[get("/tenants/{tenantId}/api-keys/{apiKeyId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, ApiKeyId)>,
) -> Result<HttpResponse, Problem> {
    let key = ApiKeys::new(&mut *app.core.reader(), &caller.0, &app.core.env).get(path.1).await?;
    // Never 304: using a key changes `lastUsedAt`, and not the version.
    Ok(conditional::updated(key.version, &key))
}

/// Update an API key
///
/// Takes effect at once, also for a key switched off with `active`.
#[utoipa::path(
    tag = "API keys",
    operation_id = "updateApiKey",
    params(("tenantId" = TenantId, Path), ("apiKeyId" = ApiKeyId, Path), ("If-Match" = Option<String>, Header)),
    request_body = ApiKeyUpdate,
    responses(
        (status = 200, body = ApiKey, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "Another request changed the key at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["api_keys:write"])),
)]
#[put("/tenants/{tenantId}/api-keys/{apiKeyId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    path: Path<(TenantId, ApiKeyId)>,
    body: Body<ApiKeyUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let key =
                ApiKeys::new(&mut *work, &caller.0, &app.core.env).update(path.1, body.0, expected).await?;
            Ok(conditional::updated(key.version, &key))
        })
        .await
}

/// Revoke an API key
///
/// Takes effect at once and cannot be undone.
#[utoipa::path(
    tag = "API keys",
    operation_id = "deleteApiKey",
    params(("tenantId" = TenantId, Path), ("apiKeyId" = ApiKeyId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Revoked."),
        (status = 409, description = "Another request changed the key at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["api_keys:write"])),
)]
#[delete("/tenants/{tenantId}/api-keys/{apiKeyId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    path: Path<(TenantId, ApiKeyId)>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            ApiKeys::new(&mut *work, &caller.0, &app.core.env).revoke(path.1, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Rotate an API key
///
/// Gives it a new secret, which is in `key` of the answer, only this once. The old one stays valid for the overlap, so that
/// programs can be changed over one by one. Rotating again during the overlap ends the oldest secret.
#[utoipa::path(
    tag = "API keys",
    operation_id = "rotateApiKey",
    params(("tenantId" = TenantId, Path), ("apiKeyId" = ApiKeyId, Path), ("If-Match" = Option<String>, Header)),
    request_body = Option<Rotation>,
    responses(
        (status = 200, body = ApiKeyWithSecret, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "Another request changed the key at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["api_keys:write"])),
)]
#[post("/tenants/{tenantId}/api-keys/{apiKeyId}/rotate")]
async fn rotate(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    path: Path<(TenantId, ApiKeyId)>,
    body: OptionalBody<Rotation>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let rotated = ApiKeys::new(&mut *work, &caller.0, &app.core.env)
                .rotate(path.1, body.0, expected, &*app.tokens)
                .await?;
            let rotated = ApiKeyWithSecret::new(rotated);
            Ok(unstored(conditional::updated(rotated.api_key.version, &rotated)))
        })
        .await
}

/// Read the usage of an API key
///
/// Requests on each day and to each endpoint, by status, including those that were refused; and the addresses it was used
/// from. Counts are written every few seconds.
#[utoipa::path(
    tag = "API keys",
    operation_id = "getApiKeyUsage",
    params(("tenantId" = TenantId, Path), ("apiKeyId" = ApiKeyId, Path), UsagePeriod),
    responses((status = 200, body = KeyUsageReport)),
    security(("bearer" = ["api_keys:read"])),
)]
#[get("/tenants/{tenantId}/api-keys/{apiKeyId}/usage")]
async fn usage(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, ApiKeyId)>,
    query: Query<UsagePeriod>,
) -> Result<HttpResponse, Problem> {
    let UsagePeriod { from, to } = query.0;
    let report =
        ApiKeys::new(&mut *app.core.reader(), &caller.0, &app.core.env).usage(path.1, from, to).await?;
    Ok(HttpResponse::Ok().with_json(&report))
}
