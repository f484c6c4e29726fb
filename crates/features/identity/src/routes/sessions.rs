//! The caller's own sessions.

use actix_web::{
    HttpResponse, Responder, delete, get,
    http::header,
    post,
    web::{Data, Path},
};
use portico_identity::{
    Sessions,
    session::SessionView,
    switching::{SwitchTenant, SwitchedTenant},
};
use portico_kernel::{List, SessionId};
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Query, page_request},
    routing::{READ, Routes, WRITE},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(WRITE, end).service(WRITE, switch_tenant);
}

/// Query of the list of sessions.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ListSessions {
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u64>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// List the own sessions
///
/// Where the caller is signed in, newest first.
#[utoipa::path(
    tag = "Sessions",
    operation_id = "listSessions",
    params(ListSessions),
    responses((status = 200, body = List<SessionView>)),
    security(("bearer" = [])),
)]
#[get("/auth/sessions")]
async fn list(app: Data<App>, caller: Caller, query: Query<ListSessions>) -> Result<impl Responder, Problem> {
    let page = page_request(query.0.page, query.0.limit)?;
    let sessions =
        Sessions::new(&mut *app.core.reader(), &caller.0, &app.core.env, app.lifetimes).list().await?;
    let total = sessions.len() as u64;
    let items = sessions.into_iter().skip(page.offset() as usize).take(page.limit as usize).collect();
    Ok(Listed(List::<SessionView>::new(items, page, total)))
}

/// End a session
///
/// Signs the caller out on another device, at once.
#[utoipa::path(
    tag = "Sessions",
    operation_id = "deleteSession",
    params(("sessionId" = SessionId, Path)),
    responses((status = 204, description = "Ended.")),
    security(("bearer" = [])),
)]
#[delete("/auth/sessions/{sessionId}")]
async fn end(app: Data<App>, caller: Caller, path: Path<SessionId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            Sessions::new(&mut *work, &caller.0, &app.core.env, app.lifetimes).end(path.into_inner()).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Switch to another tenant
///
/// The session acts in it from now on, and the next sign-in begins there. Answers an access token for it; the refresh token
/// of the session stays valid, and gives tokens for the new tenant too.
#[utoipa::path(
    tag = "Sessions",
    operation_id = "switchTenant",
    request_body = SwitchTenant,
    responses((status = 200, body = SwitchedTenant)),
    security(("bearer" = [])),
)]
#[post("/auth/switch-tenant")]
async fn switch_tenant(
    app: Data<App>,
    caller: Caller,
    body: Body<SwitchTenant>,
) -> Result<HttpResponse, Problem> {
    let lifetimes = app.lifetimes;
    caller
        .write(&app.core, async |work| {
            let signed_in =
                Sessions::new(&mut *work, &caller.0, &app.core.env, lifetimes).switch_tenant(body.0).await?;
            let switched = SwitchedTenant::issue(&*app.tokens, &signed_in, lifetimes, app.core.env.now())?;
            // As for every answer with a token (RFC 6749 section 5.1).
            Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(switched))
        })
        .await
}
