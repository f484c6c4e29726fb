//! Members and owners of a tenant.

use actix_web::{
    HttpResponse, Responder, delete, get, post, put,
    web::{Data, Path},
};
use portico_identity::Accounts;
use portico_kernel::{List, TenantId, TenantRole, UserId};
use portico_tenancy::{
    member::{Member, MemberFilter, MemberUpdate, Members},
    ownership::{Ownership, TransferOwnership},
};
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
    config.service(READ, list).service(MERGE, update).service(WRITE, remove).service(KEYED, transfer);
}

/// Query of the list of members.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListMembers {
    /// A part of the name or the address.
    #[param(example = "ada")]
    q: Option<String>,
    /// Role in the tenant.
    role: Option<TenantRole>,
}

/// List the members of a tenant
///
/// Oldest membership first.
#[utoipa::path(
    tag = "Members",
    operation_id = "listMembers",
    params(("tenantId" = TenantId, Path), ListMembers, Paging),
    responses((status = 200, body = List<Member>)),
    security(("bearer" = ["members:read"])),
)]
#[get("/tenants/{tenantId}/members")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListMembers>) -> Result<impl Responder, Problem> {
    let Paged(ListMembers { q, role }, paging) = query;
    let page = paging.request()?;
    let mut repositories = app.core.reader();
    let members = Members::new(&mut *repositories, &caller.0, &app.core.env)
        .list(MemberFilter { q, role }, page)
        .await?;
    Ok(Listed(members))
}

/// Change the role of a member
///
/// Only owners grant or withdraw the role of owner. The last owner stays one.
#[utoipa::path(
    tag = "Members",
    operation_id = "updateMember",
    params(("tenantId" = TenantId, Path), ("userId" = UserId, Path)),
    request_body = MemberUpdate,
    responses(
        (status = 200, body = Member),
        (status = 409, description = "The tenant would be left without an owner (`last_owner`)."),
    ),
    security(("bearer" = ["members:write"])),
)]
#[put("/tenants/{tenantId}/members/{userId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, UserId)>,
    body: Body<MemberUpdate>,
) -> Result<HttpResponse, Problem> {
    let (_, user) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            let member = Members::new(&mut *work, &caller.0, &app.core.env).change_role(user, body.0).await?;
            Ok(HttpResponse::Ok().with_json(&member))
        })
        .await
}

/// Remove a member, or leave
///
/// Every member may remove themselves; others need `members:write`, and only owners remove owners. The last owner can
/// neither be removed nor leave. Invitations sent by the removed member are revoked.
#[utoipa::path(
    tag = "Members",
    operation_id = "deleteMember",
    params(("tenantId" = TenantId, Path), ("userId" = UserId, Path)),
    responses(
        (status = 204, description = "Not a member any more."),
        (status = 409, description = "The tenant would be left without an owner (`last_owner`)."),
    ),
    security(("bearer" = ["members:write"])),
)]
#[delete("/tenants/{tenantId}/members/{userId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, UserId)>,
) -> Result<HttpResponse, Problem> {
    let (_, user) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            Members::new(&mut *work, &caller.0, &app.core.env).remove(user).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Transfer a tenant
///
/// The member becomes an owner, and the caller an admin, unless `keepRole` is true. Requires a proof of identity within the
/// last ten minutes, and is refused while impersonating.
#[utoipa::path(
    tag = "Members",
    operation_id = "transferOwnership",
    params(("tenantId" = TenantId, Path)),
    request_body = TransferOwnership,
    responses(
        (status = 200, body = Member),
        (status = 409, description = "Another request changed the same members at the same moment."),
    ),
    security(("bearer" = ["tenant:transfer"])),
)]
#[post("/tenants/{tenantId}/transfer-ownership")]
async fn transfer(
    app: Data<App>,
    caller: Caller,
    body: Body<TransferOwnership>,
) -> Result<HttpResponse, Problem> {
    // Permission is checked before a proof of identity is demanded.
    caller.0.require(portico_kernel::Permission::TenantTransfer)?;
    caller
        .write(&app.core, async |work| {
            Accounts::new(&mut *work, &caller.0, &app.core.env).require_fresh().await?;
            let member = Ownership::new(&mut *work, &caller.0, &app.core.env).transfer(body.0).await?;
            Ok(HttpResponse::Ok().with_json(&member))
        })
        .await
}
