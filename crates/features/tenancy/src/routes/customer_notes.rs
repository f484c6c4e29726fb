//! Notes of staff about customers.

use actix_web::{
    HttpResponse, Responder, delete, get, post,
    web::{Data, Path},
};
use portico_kernel::{CustomerNoteId, List, TenantId};
use portico_tenancy::customer_note::{CustomerNote, CustomerNotes, NewCustomerNote};
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Paging, Query},
    routing::{KEYED, READ, Routes, WRITE},
    write::WithJson,
};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(KEYED, create).service(WRITE, remove);
}

/// List the notes about a customer
///
/// For staff, newest first. Customers do not see them.
#[utoipa::path(
    tag = "Customers",
    operation_id = "listCustomerNotes",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), Paging),
    responses((status = 200, body = List<CustomerNote>)),
    security(("bearer" = ["platform:customers"])),
)]
#[get("/admin/customers/{customerId}/notes")]
async fn list(
    app: Data<App>,
    caller: Caller,
    path: Path<TenantId>,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = app.core.reader();
    let notes = CustomerNotes::new(&mut *repositories, &caller.0, &app.core.env)
        .list(path.into_inner(), page)
        .await?;
    Ok(Listed(notes))
}

/// Write a note about a customer
///
/// For staff.
#[utoipa::path(
    tag = "Customers",
    operation_id = "createCustomerNote",
    params(("customerId" = TenantId, Path, description = "Id of the tenant.")),
    request_body = NewCustomerNote,
    responses((status = 201, description = "Written.", body = CustomerNote)),
    security(("bearer" = ["platform:customers"])),
)]
#[post("/admin/customers/{customerId}/notes")]
async fn create(
    app: Data<App>,
    caller: Caller,
    path: Path<TenantId>,
    body: Body<NewCustomerNote>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let note = CustomerNotes::new(&mut *work, &caller.0, &app.core.env)
                .create(path.into_inner(), body.0)
                .await?;
            Ok(HttpResponse::Created().with_json(&note))
        })
        .await
}

/// Delete a note about a customer
///
/// For staff.
#[utoipa::path(
    tag = "Customers",
    operation_id = "deleteCustomerNote",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), ("noteId" = CustomerNoteId, Path)),
    responses((status = 204, description = "Deleted.")),
    security(("bearer" = ["platform:customers"])),
)]
#[delete("/admin/customers/{customerId}/notes/{noteId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, CustomerNoteId)>,
) -> Result<HttpResponse, Problem> {
    let (customer, id) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            CustomerNotes::new(&mut *work, &caller.0, &app.core.env).delete(customer, id).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
