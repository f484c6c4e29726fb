//! Answers of support that are kept ready.

use actix_web::{
    HttpResponse, Responder, delete, get,
    http::header,
    post, put,
    web::{Data, Path},
};
use portico_kernel::{CannedReplyId, List};
use portico_support::canned_reply::{CannedReplies, CannedReply, CannedReplyUpdate, NewCannedReply};
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Paged, Paging},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove);
}

/// Query of the list of answers.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ListReplies {
    /// A part of title or text.
    #[param(example = "version", max_length = 100)]
    q: Option<String>,
}

/// List canned replies
///
/// For staff: answers that are kept ready, by title.
#[utoipa::path(
    tag = "Support",
    operation_id = "listCannedReplies",
    params(ListReplies, Paging),
    responses((status = 200, body = List<CannedReply>)),
    security(("bearer" = ["platform:support"])),
)]
#[get("/admin/support/canned-replies")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListReplies>) -> Result<impl Responder, Problem> {
    let Paged(ListReplies { q }, paging) = query;
    let page = paging.request()?;
    let mut repositories = app.core.reader();
    let replies = CannedReplies::new(&mut *repositories, &caller.0, &app.core.env).list(q, page).await?;
    Ok(Listed(replies))
}

/// Create a canned reply
///
/// For staff. Its text is sent by nobody but whoever answers with it.
#[utoipa::path(
    tag = "Support",
    operation_id = "createCannedReply",
    request_body = NewCannedReply,
    responses((status = 201, body = CannedReply, headers(("Location" = String)))),
    security(("bearer" = ["platform:support"])),
)]
#[post("/admin/support/canned-replies")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewCannedReply>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let reply = CannedReplies::new(&mut *work, &caller.0, &app.core.env).create(body.0).await?;
            Ok(HttpResponse::Created()
                .insert_header((
                    header::LOCATION,
                    format!("/api/v1/admin/support/canned-replies/{}", reply.id),
                ))
                .with_json(&reply))
        })
        .await
}

/// Read a canned reply
///
/// For staff.
#[utoipa::path(
    tag = "Support",
    operation_id = "getCannedReply",
    params(("replyId" = CannedReplyId, Path, description = "Id of the answer.")),
    responses((status = 200, body = CannedReply)),
    security(("bearer" = ["platform:support"])),
)]
#[get("/admin/support/canned-replies/{replyId}")]
async fn read(app: Data<App>, caller: Caller, path: Path<CannedReplyId>) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let reply = CannedReplies::new(&mut *repositories, &caller.0, &app.core.env).get(*path).await?;
    Ok(HttpResponse::Ok().with_json(&reply))
}

/// Update a canned reply
///
/// For staff. What was sent of it stays as it is.
#[utoipa::path(
    tag = "Support",
    operation_id = "updateCannedReply",
    params(("replyId" = CannedReplyId, Path, description = "Id of the answer.")),
    request_body = CannedReplyUpdate,
    responses((status = 200, body = CannedReply)),
    security(("bearer" = ["platform:support"])),
)]
#[put("/admin/support/canned-replies/{replyId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<CannedReplyId>,
    body: Body<CannedReplyUpdate>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let reply =
                CannedReplies::new(&mut *work, &caller.0, &app.core.env).update(*path, body.0).await?;
            Ok(HttpResponse::Ok().with_json(&reply))
        })
        .await
}

/// Delete a canned reply
///
/// For staff.
#[utoipa::path(
    tag = "Support",
    operation_id = "deleteCannedReply",
    params(("replyId" = CannedReplyId, Path, description = "Id of the answer.")),
    responses((status = 204, description = "Deleted.")),
    security(("bearer" = ["platform:support"])),
)]
#[delete("/admin/support/canned-replies/{replyId}")]
async fn remove(app: Data<App>, caller: Caller, path: Path<CannedReplyId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            CannedReplies::new(&mut *work, &caller.0, &app.core.env).delete(*path).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
