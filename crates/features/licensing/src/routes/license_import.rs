//! Licenses of an older system, as staff bring them.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, post,
    web::{Data, Payload},
};
use portico_kernel::Kind;
use portico_web::{
    body::collect,
    caller::Caller,
    csv,
    problem::{Problem, ProblemBody},
    routing::{KEYED, Routes},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    flows::import::{OPTIONAL, REQUIRED, import},
    state::App,
};

/// Most bytes of a table.
const BODY_MAX: usize = 1024 * 1024;

/// Adds the route.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(KEYED, import_licenses);
}

/// What came of an import.
#[derive(Serialize, ToSchema)]
struct ImportedLicenses {
    /// How many licenses were issued: as many as there are lines below the header.
    #[schema(example = 2)]
    issued: usize,
}

/// Import licenses
///
/// For staff: issues a license for each line of a table, with the key that the customer has already, or a new one. All lines are checked
/// first: where one is wrong nothing is issued, and the answer names every wrong line (`lines[7].key`), line 1 being the header. At most
/// 5,000 lines and a mebibyte. Nobody is told by mail.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "importLicenses",
    request_body(
        content = String,
        content_type = "text/csv",
        description = "CSV (RFC 4180) in UTF-8 with a header. `customer` is the id of a customer or the verified address of an owner; `key` one of 16 characters of Crockford's base 32; `expiresAt` RFC 3339. The last three columns may be missing or empty: then the key is new, and the policy of the product says the rest.",
        example = json!("customer,productType,key,expiresAt,seats\r\nada@example.com,base_product,7K2M-9QXD-4T0B-HZ5R,2027-11-23T10:03:12Z,5\r\n"),
    ),
    responses(
        (status = 201, body = ImportedLicenses, description = "A license was issued for each line."),
        (status = 400, description = "The body is no table (`malformed_body`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:licenses"])),
)]
#[post("/admin/licenses/import")]
async fn import_licenses(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    if request.content_type() != "text/csv" {
        let detail = "Send the body as text/csv.";
        return Err(Problem::new(Kind::UnsupportedMediaType, "unsupported_media_type", detail));
    }
    let body = collect(&request, payload.into_inner(), BODY_MAX).await?;
    let lines = csv::read(&body, &REQUIRED, &OPTIONAL)?;
    caller
        .write(&app.core, async |work| {
            let issued = import(&app, &mut *work, &caller.0, lines).await?;
            Ok(HttpResponse::Created().with_json(&ImportedLicenses { issued }))
        })
        .await
}
