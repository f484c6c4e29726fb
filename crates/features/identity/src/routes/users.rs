//! Accounts by their id: administration, impersonation, and what users may do to their own.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get,
    http::header,
    post, put,
    web::{Bytes, Data, Path},
};
use futures_util::stream;
use portico_identity::{
    Accounts, IdentityError,
    administration::{NewUser, SetPassword, UserFilter, UserOrder, UserSort, UserUpdate},
    export::{Action, MOST_ENTRIES, PersonalRecord},
    impersonation::{Impersonate, ImpersonationTokens},
    user::{User, UserStatus},
};
use portico_kernel::{EventId, List, Permission, PlatformRole, Scope, UserId};
use portico_runtime::logging;
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    problem::Problem,
    query::{Paged, Paging, sort},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{flows::users, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED.waiting_in(Class::Logins), create)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove)
        .service(WRITE.waiting_in(Class::Logins), set_password)
        .service(KEYED, erase)
        .service(WRITE, impersonate)
        .service(READ.by_ticket(), export)
        .service(WRITE, erase_oneself);
}

/// Query of the list of accounts.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListUsers {
    /// A part of the name or the address, ignoring case.
    #[param(example = "ada")]
    q: Option<String>,
    /// Status; all but deleted ones where absent.
    status: Option<UserStatus>,
    /// Platform-wide role.
    role: Option<PlatformRole>,
    /// Whether the address is verified.
    email_verified: Option<bool>,
    /// `createdAt`, `email` or `lastLoginAt`, with a minus for the largest first; newest first where absent.
    #[param(example = "-createdAt")]
    sort: Option<String>,
}

/// Sort keys.
const SORTS: &[(&str, UserSort)] =
    &[("createdAt", UserSort::CreatedAt), ("email", UserSort::Email), ("lastLoginAt", UserSort::LastLoginAt)];

/// List accounts
///
/// For super admins. Deleted accounts are listed only where `status` asks for them.
#[utoipa::path(
    tag = "Users",
    operation_id = "listUsers",
    params(ListUsers, Paging),
    responses((status = 200, body = List<User>)),
    security(("bearer" = ["platform:users"])),
)]
#[get("/users")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListUsers>) -> Result<impl Responder, Problem> {
    let Paged(ListUsers { q, status, role, email_verified, sort: by }, paging) = query;
    let page = paging.request()?;
    let order = sort(by.as_deref(), SORTS)?.map(|(sort, descending)| UserOrder { sort, descending });
    let filter = UserFilter { q, status, role, email_verified };
    let users = Accounts::new(&mut *app.core.reader(), &caller.0, &app.core.env)
        .list(filter, order.unwrap_or_default(), page)
        .await?;
    Ok(Listed(users))
}

/// Create an account
///
/// For super admins. With a personal tenant on the free plan. Without a password, the person is sent a link to set one,
/// which also verifies the address; with one, a link to verify the address.
#[utoipa::path(
    tag = "Users",
    operation_id = "createUser",
    request_body = NewUser,
    responses(
        (status = 201, body = User, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "An account has proven the address."),
    ),
    security(("bearer" = ["platform:users"])),
)]
#[post("/users")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewUser>) -> Result<HttpResponse, Problem> {
    let prepared = users::prepare(&app, &caller.0, body.0).await?;
    caller
        .write(&app.core, async |work| {
            let user = users::make(work, &app, &caller.0, prepared).await?;
            Ok(conditional::created(&format!("/api/v1/users/{}", user.id), user.version, &user))
        })
        .await
}

/// Read an account
///
/// The caller's own, or any for super admins.
#[utoipa::path(
    tag = "Users",
    operation_id = "getUser",
    params(("userId" = UserId, Path)),
    responses((status = 200, body = User, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = [])),
)]
#[get("/users/{userId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    id: Path<UserId>,
) -> Result<HttpResponse, Problem> {
    let user = Accounts::new(&mut *app.core.reader(), &caller.0, &app.core.env).read(id.into_inner()).await?;
    conditional::resource(&request, user.version, &user)
}

/// Update an account
///
/// The caller's own as in `PUT /profile`; for super admins any, including the role, the areas and the status of others. A suspension
/// ends every session at once. Absent fields stay unchanged; `null` clears an optional one.
#[utoipa::path(
    tag = "Users",
    operation_id = "updateUser",
    params(("userId" = UserId, Path), ("If-Match" = Option<String>, Header)),
    request_body = UserUpdate,
    responses(
        (status = 200, body = User, headers(("ETag" = String))),
        (status = 409, description = "One's own role or status, the last super admin, a deleted account, or changed by another request at the same moment."),
        (status = 412, description = "Changed since it was read."),
    ),
    security(("bearer" = [])),
)]
#[put("/users/{userId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    id: Path<UserId>,
    body: Body<UserUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let user = Accounts::new(&mut *work, &caller.0, &app.core.env)
                .update(id.into_inner(), body.0, expected)
                .await?;
            Ok(conditional::updated(user.version, &user))
        })
        .await
}

/// Delete an account
///
/// The caller's own, shortly after a proof of identity, or any for super admins. Every session ends at once. Tenants
/// without other members are deleted too. The entry stays for the audit trail; to have its personal data removed, erase the
/// account.
#[utoipa::path(
    tag = "Users",
    operation_id = "deleteUser",
    params(("userId" = UserId, Path)),
    responses(
        (status = 204, description = "Deleted."),
        (status = 409, description = "The last super admin, or the only owner of tenants that have other members (`tenants` names them)."),
    ),
    security(("bearer" = [])),
)]
#[delete("/users/{userId}")]
async fn remove(app: Data<App>, caller: Caller, id: Path<UserId>) -> Result<HttpResponse, Problem> {
    users::delete(&app, &caller.0, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Set the password of an account
///
/// The caller's own with `currentPassword`, which ends every other session; for super admins any other without it, which
/// ends all of its sessions.
#[utoipa::path(
    tag = "Users",
    operation_id = "updateUserPassword",
    params(("userId" = UserId, Path)),
    request_body = SetPassword,
    responses(
        (status = 204, description = "The password is set."),
        (status = 409, description = "A deleted account."),
    ),
    security(("bearer" = [])),
)]
#[put("/users/{userId}/password")]
async fn set_password(
    app: Data<App>,
    caller: Caller,
    id: Path<UserId>,
    body: Body<SetPassword>,
) -> Result<HttpResponse, Problem> {
    users::set_password(&app, &caller.0, id.into_inner(), body.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Acknowledgement of an erasure that continues in the background.
#[derive(Serialize, ToSchema)]
struct Erasing {
    /// A human-readable sentence.
    #[schema(value_type = String, example = "The account is erased. Its traces in the audit trail follow within minutes.")]
    message: &'static str,
}

fn erasing() -> HttpResponse {
    let message = "The account is erased. Its traces in the audit trail follow within minutes.";
    HttpResponse::Accepted().with_json(&Erasing { message })
}

/// Erase an account
///
/// For super admins, on request of the person. Deletes it, removes its personal data, and frees the address. Entries of the
/// audit trail stay, without personal data. Cannot be undone.
#[utoipa::path(
    tag = "Users",
    operation_id = "eraseUser",
    params(("userId" = UserId, Path)),
    responses(
        (status = 202, body = Erasing),
        (status = 409, description = "The last super admin, or the only owner of tenants that have other members (`tenants` names them)."),
    ),
    security(("bearer" = ["platform:users"])),
)]
#[post("/users/{userId}/erase")]
async fn erase(app: Data<App>, caller: Caller, id: Path<UserId>) -> Result<HttpResponse, Problem> {
    caller.0.require_platform(Permission::PlatformUsers)?;
    caller
        .write(&app.core, async |work| {
            users::erase(work, &app, &caller.0, id.into_inner()).await?;
            Ok(erasing())
        })
        .await
}

/// Erase the own account
///
/// Shortly after a proof of identity. Deletes the account, removes its personal data, and frees the address. Cannot be
/// undone.
#[utoipa::path(
    tag = "Profile",
    operation_id = "eraseProfile",
    responses(
        (status = 202, body = Erasing),
        (status = 409, description = "The last super admin, or the only owner of tenants that have other members (`tenants` names them)."),
    ),
    security(("bearer" = [])),
)]
#[post("/profile/erase")]
async fn erase_oneself(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let (id, _) = caller.0.require_not_impersonated()?;
    caller
        .write(&app.core, async |work| {
            users::erase(work, &app, &caller.0, id).await?;
            Ok(erasing())
        })
        .await
}

/// Act as a customer
///
/// For staff, shortly after a proof of identity. The token is valid for an hour and cannot be refreshed; signing out with
/// it ends it. It permits what the customer may do, except what is reserved to them in person: passwords, second factors,
/// keys, members, deleting. Every entry of the audit trail names both.
#[utoipa::path(
    tag = "Users",
    operation_id = "impersonateUser",
    params(("userId" = UserId, Path)),
    request_body = Impersonate,
    responses(
        (status = 200, body = ImpersonationTokens),
        (status = 409, description = "Oneself, or an account that is not in use."),
    ),
    security(("bearer" = ["platform:impersonate"])),
)]
#[post("/users/{userId}/impersonate")]
async fn impersonate(
    app: Data<App>,
    caller: Caller,
    id: Path<UserId>,
    body: Body<Impersonate>,
) -> Result<HttpResponse, Problem> {
    caller.0.require_platform(Permission::PlatformImpersonate)?;
    let reason = body.0.validate()?;
    caller
        .write(&app.core, async |work| {
            let begun = Accounts::new(&mut *work, &caller.0, &app.core.env)
                .impersonate(id.into_inner(), &reason)
                .await?;
            let tokens = ImpersonationTokens::issue(&*app.tokens, begun, app.core.env.now())?;
            Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).with_json(&tokens))
        })
        .await
}

/// Everything that is stored about a person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Export {
    /// The account.
    user: User,
    /// Sessions, ended ones included as long as they are kept.
    sessions: Vec<serde_json::Value>,
    /// Tenants that the person belongs to.
    memberships: Vec<serde_json::Value>,
    /// Devices that the person signed in from.
    devices: Vec<serde_json::Value>,
    /// Changes of the address that were asked for.
    email_changes: Vec<serde_json::Value>,
    /// Passkeys by name.
    passkeys: Vec<serde_json::Value>,
    /// External accounts that can sign in to this one.
    identities: Vec<serde_json::Value>,
    /// Invitations sent by the person.
    invitations_sent: Vec<serde_json::Value>,
    /// Invitations to the person's address.
    invitations_received: Vec<serde_json::Value>,
    /// Downloads by links that the person got.
    downloads: Vec<serde_json::Value>,
    /// Support tickets that the person opened.
    support_tickets: Vec<serde_json::Value>,
    /// What the person wrote in support tickets.
    support_messages: Vec<serde_json::Value>,
    /// What the person did, newest first, at most 10,000 entries.
    audit_entries: Vec<serde_json::Value>,
}

/// Export the own data
///
/// Everything that is stored about the caller, as one JSON file, without secrets.
#[utoipa::path(
    tag = "Profile",
    operation_id = "exportProfile",
    responses((status = 200, body = Export, headers(("Content-Disposition" = String)))),
    security(("bearer" = [])),
)]
#[get("/profile/export")]
async fn export(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let record = Accounts::new(&mut *app.core.reader(), &caller.0, &app.core.env).export().await?;
    let name = format!("portico-{}.json", record.user.id);
    let state = Sending {
        app: app.get_ref().clone(),
        scope: caller.0,
        next: Next::Record(Box::new(record)),
        sent: 0,
    };
    let pieces = stream::try_unfold(state, |state| async move {
        state.piece().await.inspect_err(|error| logging::warn("an export broke off", error))
    });
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(Box::pin(pieces)))
}

/// The state of a streamed export: holds at most one batch of entries in memory.
struct Sending {
    app: App,
    scope: Scope,
    next: Next,
    sent: usize,
}

enum Next {
    Record(Box<PersonalRecord>),
    Entries(Option<EventId>),
    Nothing,
}

impl Sending {
    /// The next chunk of JSON, and the state after it.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, IdentityError> {
        let internal = |error: serde_json::Error| IdentityError::Internal(error.to_string());
        let bytes = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Record(record) => {
                let mut text = serde_json::to_string(&record).map_err(internal)?;
                // The entries follow as the last member of the same object.
                text.truncate(text.len() - 1);
                text.push_str(",\"auditEntries\":[");
                self.next = Next::Entries(None);
                text
            }
            Next::Entries(before) => {
                let mut reader = self.app.core.reader();
                let events =
                    Accounts::new(&mut *reader, &self.scope, &self.app.core.env).actions(before).await?;
                let mut text = String::new();
                for event in events.iter().take(MOST_ENTRIES - self.sent) {
                    if self.sent > 0 {
                        text.push(',');
                    }
                    text.push_str(&serde_json::to_string(&Action::from(event.clone())).map_err(internal)?);
                    self.sent += 1;
                }
                match events.last() {
                    Some(last) if self.sent < MOST_ENTRIES => self.next = Next::Entries(Some(last.id)),
                    _ => text.push_str("]}"),
                }
                text
            }
            Next::Nothing => return Ok(None),
        };
        Ok(Some((Bytes::from(bytes), self)))
    }
}
