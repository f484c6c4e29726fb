//! Invitations, from both sides: `/tenants/{tenantId}/invitations` for those who invite, `/invitations` for those who are
//! invited.

use actix_web::{
    HttpResponse, Responder, delete, get, post,
    web::{Data, Path},
};
use portico_kernel::{InvitationId, List, TenantId, TenantRole, Timestamp};
use portico_tenancy::{
    contact::masked,
    invitation::{
        Invitation, InvitationStatus, InvitationToken, Invitations, NewInvitation, ReceivedInvitation,
    },
    membership::Membership,
};
use portico_web::{
    admission::Class,
    body::Body,
    caller::{Caller, Visitor},
    list::Listed,
    problem::Problem,
    query::{Paged, Paging, Query},
    routing::{KEYED, READ, Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{flows::invitations, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(WRITE, revoke)
        .service(KEYED, resend)
        .service(WRITE.for_anyone(), look_up)
        .service(KEYED.waiting_in(Class::Logins), accept_by_token)
        .service(WRITE.for_anyone(), decline_by_token)
        .service(READ, mine)
        .service(KEYED, accept)
        .service(KEYED, decline);
}

/// Query of the list of a tenant's invitations.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListInvitations {
    /// Status of the invitation.
    status: Option<InvitationStatus>,
}

/// An open invitation as the holder of its link sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InvitationPreview {
    /// Name of the tenant.
    #[schema(example = "Panaderia Luz")]
    tenant_name: String,
    /// Name of the inviter.
    inviter: String,
    /// Role in the tenant.
    role: TenantRole,
    /// The invited address, masked: enough for its owner to recognise it.
    #[schema(example = "g…@example.com")]
    email: String,
    /// When the link expires.
    expires_at: Timestamp,
}

/// An open invitation to the caller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReceivedInvitation)]
struct Received {
    /// Id of the invitation.
    id: InvitationId,
    /// Id of the tenant.
    tenant_id: TenantId,
    /// Name of the tenant.
    #[schema(example = "Panaderia Luz")]
    tenant_name: String,
    /// Name of the inviter.
    inviter: String,
    /// Role in the tenant.
    role: TenantRole,
    /// When it expires.
    expires_at: Timestamp,
}

/// The caller's new membership.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Joined {
    /// The tenant.
    tenant_id: TenantId,
    /// Role in the tenant.
    role: TenantRole,
    /// When the membership began.
    joined_at: Timestamp,
}

impl From<ReceivedInvitation> for InvitationPreview {
    fn from(invitation: ReceivedInvitation) -> Self {
        Self {
            tenant_name: invitation.tenant_name,
            inviter: invitation.inviter,
            role: invitation.role,
            email: masked(&invitation.email),
            expires_at: invitation.expires_at,
        }
    }
}

impl From<ReceivedInvitation> for Received {
    fn from(invitation: ReceivedInvitation) -> Self {
        Self {
            id: invitation.id,
            tenant_id: invitation.tenant,
            tenant_name: invitation.tenant_name,
            inviter: invitation.inviter,
            role: invitation.role,
            expires_at: invitation.expires_at,
        }
    }
}

fn joined(membership: Membership) -> HttpResponse {
    let Membership { tenant, role, joined_at, .. } = membership;
    HttpResponse::Ok().with_json(&Joined { tenant_id: tenant, role, joined_at })
}

/// List the invitations of a tenant
///
/// Newest first.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "listInvitations",
    params(("tenantId" = TenantId, Path), ListInvitations, Paging),
    responses((status = 200, body = List<Invitation>)),
    security(("bearer" = ["members:write"])),
)]
#[get("/tenants/{tenantId}/invitations")]
async fn list(
    app: Data<App>,
    caller: Caller,
    query: Paged<ListInvitations>,
) -> Result<impl Responder, Problem> {
    let Paged(ListInvitations { status }, paging) = query;
    let page = paging.request()?;
    let found =
        Invitations::new(&mut *app.core.reader(), &caller.0, &app.core.env).list(status, page).await?;
    Ok(Listed(found))
}

/// Invite a member
///
/// Sends a message with a link that is valid for a week. The answer does not reveal whether the address has an account.
/// Requires that the caller's address is verified; only owners invite owners. A tenant may have 50 open invitations, and
/// send 100 a day.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "createInvitation",
    params(("tenantId" = TenantId, Path)),
    request_body = NewInvitation,
    responses(
        (status = 201, body = Invitation, headers(("Location" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 402, description = "The plan includes no more members (`quota_exceeded`)."),
        (status = 409, description = "A member already, invited already, or too many invitations."),
    ),
    security(("bearer" = ["members:write"])),
)]
#[post("/tenants/{tenantId}/invitations")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewInvitation>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let made = invitations::create(work, &app.core.env, &caller.0, body.0).await?;
            let location = format!("/api/v1/tenants/{}/invitations/{}", made.tenant_id, made.id);
            Ok(HttpResponse::Created().insert_header(("Location", location)).with_json(&made))
        })
        .await
}

/// Read an invitation
#[utoipa::path(
    tag = "Invitations",
    operation_id = "getInvitation",
    params(("tenantId" = TenantId, Path), ("invitationId" = InvitationId, Path)),
    responses((status = 200, body = Invitation)),
    security(("bearer" = ["members:write"])),
)]
#[get("/tenants/{tenantId}/invitations/{invitationId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, InvitationId)>,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    let found = Invitations::new(&mut *app.core.reader(), &caller.0, &app.core.env).get(id).await?;
    Ok(HttpResponse::Ok().with_json(&found))
}

/// Revoke an invitation
///
/// Its link is invalid at once. One that was declined, revoked or has expired stays as it is.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "deleteInvitation",
    params(("tenantId" = TenantId, Path), ("invitationId" = InvitationId, Path)),
    responses(
        (status = 204, description = "Not open any more."),
        (status = 409, description = "It was accepted; remove the member instead (`invitation_closed`)."),
    ),
    security(("bearer" = ["members:write"])),
)]
#[delete("/tenants/{tenantId}/invitations/{invitationId}")]
async fn revoke(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, InvitationId)>,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            Invitations::new(&mut *work, &caller.0, &app.core.env).revoke(id).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Send an invitation again
///
/// With a new link that is valid for a week; the old one is invalid at once. Also for one that has expired.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "resendInvitation",
    params(("tenantId" = TenantId, Path), ("invitationId" = InvitationId, Path)),
    responses(
        (status = 200, body = Invitation),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "It was answered or revoked, another one is open, or too many were sent today."),
    ),
    security(("bearer" = ["members:write"])),
)]
#[post("/tenants/{tenantId}/invitations/{invitationId}/resend")]
async fn resend(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, InvitationId)>,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            let invitation = Invitations::new(&mut *work, &caller.0, &app.core.env).resend(id).await?;
            Ok(HttpResponse::Ok().with_json(&invitation))
        })
        .await
}

/// Look at an invitation
///
/// For the holder of the link, before signing in or registering.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "lookUpInvitation",
    request_body = InvitationToken,
    responses((status = 200, body = InvitationPreview)),
)]
#[post("/invitations/lookup")]
async fn look_up(
    app: Data<App>,
    visitor: Visitor,
    body: Body<InvitationToken>,
) -> Result<HttpResponse, Problem> {
    let token = body.0.validate()?;
    let found = invitations::look_up(&app, &visitor.0, &token).await?;
    Ok(HttpResponse::Ok().with_json(&InvitationPreview::from(found)))
}

/// Accept an invitation by its link
///
/// The account must have the invited address, which counts as verified by this. Register first where there is none.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "acceptInvitationByToken",
    request_body = InvitationToken,
    responses(
        (status = 200, body = Joined),
        (status = 403, description = "The invitation is for another address (`wrong_account`)."),
        (status = 402, description = "The plan includes no more members (`quota_exceeded`)."),
        (status = 409, description = "A member already."),
    ),
    security(("bearer" = [])),
)]
#[post("/invitations/accept")]
async fn accept_by_token(
    app: Data<App>,
    caller: Caller,
    body: Body<InvitationToken>,
) -> Result<HttpResponse, Problem> {
    let token = body.0.validate()?;
    caller
        .write(&app.core, async |work| {
            Ok(joined(invitations::accept_by_token(work, &app, &caller.0, &token).await?))
        })
        .await
}

/// Decline an invitation by its link
///
/// Needs no account.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "declineInvitationByToken",
    request_body = InvitationToken,
    responses((status = 204, description = "Declined.")),
)]
#[post("/invitations/decline")]
async fn decline_by_token(
    app: Data<App>,
    visitor: Visitor,
    body: Body<InvitationToken>,
) -> Result<HttpResponse, Problem> {
    let token = body.0.validate()?;
    invitations::decline_by_token(&app, &visitor.0, &token).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the own open invitations
///
/// Those to the address of the account, once it is verified; newest first.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "listOwnInvitations",
    params(Paging),
    responses((status = 200, body = List<Received>)),
    security(("bearer" = [])),
)]
#[get("/invitations")]
async fn mine(app: Data<App>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let all = invitations::mine(&app, &caller.0).await?;
    let total = all.len() as u64;
    let items = all.into_iter().skip(page.offset() as usize).take(page.limit as usize);
    Ok(Listed(List::<Received>::new(items.map(Received::from).collect(), page, total)))
}

/// Accept an own invitation
///
/// Adds the caller to the members of the tenant, with the role of the invitation.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "acceptInvitation",
    params(("invitationId" = InvitationId, Path)),
    responses(
        (status = 200, body = Joined),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 402, description = "The plan includes no more members (`quota_exceeded`)."),
        (status = 409, description = "A member already."),
    ),
    security(("bearer" = [])),
)]
#[post("/invitations/{invitationId}/accept")]
async fn accept(app: Data<App>, caller: Caller, path: Path<InvitationId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            Ok(joined(invitations::accept(work, &app.core.env, &caller.0, path.into_inner()).await?))
        })
        .await
}

/// Decline an own invitation
///
/// Closes the invitation. The tenant may send another one.
#[utoipa::path(
    tag = "Invitations",
    operation_id = "declineInvitation",
    params(("invitationId" = InvitationId, Path)),
    responses(
        (status = 204, description = "Declined."),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
    ),
    security(("bearer" = [])),
)]
#[post("/invitations/{invitationId}/decline")]
async fn decline(app: Data<App>, caller: Caller, path: Path<InvitationId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            invitations::decline(work, &app.core.env, &caller.0, path.into_inner()).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
