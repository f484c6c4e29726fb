//! Invitations: how a person becomes a member of an existing tenant.
//!
//! The secret of the link is made by the job that sends it ([`Invitations::issue`]), and only its digest is stored. Nothing here
//! reveals whether an address has an account.

use portico_kernel::{
    Env, Event, EventDeclaration, InvitationId, JobType, List, Meter, NewJob, PageRequest, Permission, Scope,
    StoreError, TenantId, TenantRole, Timestamp, UserId, Violations,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    TenancyError,
    contact::{self, masked},
    events,
    membership::{Membership, hold},
    ports::TenancyRepositories,
};

/// How long the link of an invitation is valid.
pub const LIFETIME: Duration = Duration::days(7);

/// Invitations of a tenant that may be open at once.
pub const OPEN_MAX: u64 = 50;

/// Messages that the invitations of a tenant, or of one inviter in all tenants together, may cause in a day.
pub const DAILY_MAX: u64 = 100;

/// The job that makes the link of an invitation and sends the message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailInvitation {
    /// The invitation.
    pub invitation_id: InvitationId,
}

impl JobType for MailInvitation {
    const KIND: &'static str = "invitation.mail";
    /// With the pauses between attempts growing to an hour, a mail server may be down for about a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// Status of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum InvitationStatus {
    /// Waits for an answer.
    Pending,
    /// The invited person is, or was, a member by it.
    Accepted,
    /// Declined by its receiver.
    Declined,
    /// Revoked by the tenant.
    Revoked,
    /// Not answered in time.
    Expired,
}

impl InvitationStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Accepted, Self::Declined, Self::Revoked, Self::Expired]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// An invitation as the members who manage members see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// UUIDv7.
    pub id: InvitationId,
    /// The tenant that invites.
    pub tenant_id: TenantId,
    /// Address of the invited person.
    #[cfg_attr(feature = "openapi", schema(format = "email", example = "grace@example.com"))]
    pub email: String,
    /// Role.
    pub role: TenantRole,
    /// Language of the message: `en` or `es`.
    pub language: String,
    /// Status.
    pub status: InvitationStatus,
    /// Who invites.
    pub invited_by: UserId,
    /// Messages that were requested.
    #[serde(skip)]
    pub sends: i32,
    /// When the last one was.
    #[serde(skip)]
    pub requested_at: Timestamp,
    /// When the link stops being valid.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

impl Invitation {
    /// For the audit trail, which cannot forget: the address is masked there.
    fn recorded(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id, "email": masked(&self.email), "role": self.role, "status": self.status,
            "invitedBy": self.invited_by, "expiresAt": self.expires_at,
        })
    }
}

/// A person to invite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"email": "grace@example.com", "role": "editor", "language": "en"})))]
pub struct NewInvitation {
    /// Address of the person.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, format = "email", max_length = 254))]
    pub email: String,
    /// Role. Only owners make owners.
    #[cfg_attr(feature = "openapi", schema(required, value_type = TenantRole))]
    pub role: Option<TenantRole>,
    /// Language of the message, `en` or `es`; the caller's own where absent.
    pub language: Option<String>,
}

/// An open invitation as its receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedInvitation {
    /// Its id.
    pub id: InvitationId,
    /// The tenant.
    pub tenant: TenantId,
    /// Name of the tenant.
    pub tenant_name: String,
    /// The inviter.
    pub invited_by: UserId,
    /// Name of the inviter.
    pub inviter: String,
    /// Address of the invited person.
    pub email: String,
    /// Language of the message.
    pub language: String,
    /// Role.
    pub role: TenantRole,
    /// When the link stops being valid.
    pub expires_at: Timestamp,
}

/// A link of an invitation.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"token": "VGhlIHRva2VuIG9mIHRoZSBsaW5r"})))]
pub struct InvitationToken {
    /// The `token` of the link.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 500))]
    pub token: String,
}

impl InvitationToken {
    /// The token. Errors: [`TenancyError::Invalid`] when it is missing.
    pub fn validate(self) -> Result<String, TenancyError> {
        let mut violations = Violations::default();
        violations.text("token", &self.token, 1, 500);
        violations.into_result()?;
        Ok(self.token.trim().to_owned())
    }
}

/// Use cases of those who invite, in the active tenant.
pub struct Invitations<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Invitations<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Invites a person; `language` is that of the caller. The message follows in the background. An invitation takes no seat of the
    /// plan, but there has to be one. Errors: [`TenancyError::AlreadyMember`], [`TenancyError::AlreadyInvited`],
    /// [`TenancyError::TooManyInvitations`], [`TenancyError::Entitlement`].
    pub async fn create(&mut self, input: NewInvitation, language: &str) -> Result<Invitation, TenancyError> {
        let tenant = self.scope.require(Permission::MembersWrite)?;
        self.scope.require_verified()?;
        let (caller, _) = self.scope.require_not_impersonated()?;
        let mut violations = Violations::default();
        let email = violations.take("email", contact::email(&input.email));
        violations.check(input.role.is_some(), "role", "required", "This field is required.");
        if let Some(language) = &input.language {
            contact::check_language(&mut violations, language);
        }
        violations.into_result()?;
        let (Some(email), Some(role)) = (email, input.role) else {
            return Err(TenancyError::NotFound("role"));
        };
        let needed =
            if role == TenantRole::Owner { Permission::TenantTransfer } else { Permission::MembersWrite };
        self.scope.require(needed)?;
        hold(self.repositories, self.scope, tenant, needed).await?;
        if self.repositories.memberships().has_address(tenant, &email).await? {
            return Err(TenancyError::AlreadyMember);
        }
        self.repositories.headroom().check_room(tenant, Meter::Members, 0).await?;
        let now = self.env.now();
        self.repositories.invitations().expire(tenant, now).await?;
        if self.repositories.invitations().open(tenant).await? >= OPEN_MAX {
            return Err(TenancyError::TooManyInvitations);
        }
        self.check_daily(tenant, caller).await?;
        let invitation = Invitation {
            id: self.env.new_id(),
            tenant_id: tenant,
            email,
            role,
            language: input.language.unwrap_or_else(|| language.to_owned()),
            status: InvitationStatus::Pending,
            invited_by: caller,
            sends: 1,
            requested_at: now,
            expires_at: now + LIFETIME,
            created_at: now,
            updated_at: now,
        };
        self.repositories.invitations().insert(&invitation).await.map_err(invited)?;
        self.note(&events::INVITATION_CREATED, None, Some(&invitation)).await?;
        self.ask_for_mail(&invitation).await?;
        Ok(invitation)
    }

    /// The invitations of the tenant, newest first; those with one status for `Some`.
    pub async fn list(
        &mut self,
        status: Option<InvitationStatus>,
        page: PageRequest,
    ) -> Result<List<Invitation>, TenancyError> {
        let tenant = self.scope.require(Permission::MembersWrite)?;
        Ok(self.repositories.invitations().list(tenant, status, self.env.now(), page).await?)
    }

    /// One of the tenant's invitations.
    pub async fn get(&mut self, id: InvitationId) -> Result<Invitation, TenancyError> {
        let tenant = self.scope.require(Permission::MembersWrite)?;
        self.find(tenant, id).await
    }

    /// Revokes an invitation; its link is invalid at once. One that is closed already stays as it is. Errors:
    /// [`TenancyError::InvitationClosed`] for one that was accepted.
    pub async fn revoke(&mut self, id: InvitationId) -> Result<(), TenancyError> {
        let tenant = self.scope.require(Permission::MembersWrite)?;
        let before = self.find(tenant, id).await?;
        let now = self.env.now();
        let status = InvitationStatus::Revoked;
        if self.repositories.invitations().close(tenant, id, status, now).await? {
            let after = Invitation { status, updated_at: now, ..before.clone() };
            return self.note(&events::INVITATION_REVOKED, Some(&before), Some(&after)).await;
        }
        match self.find(tenant, id).await?.status {
            InvitationStatus::Accepted => Err(TenancyError::InvitationClosed),
            _ => Ok(()),
        }
    }

    /// Sends the message again, with a new link that is valid for a week. The old link is invalid at once. Errors:
    /// [`TenancyError::InvitationClosed`], [`TenancyError::TooManyInvitations`], [`TenancyError::AlreadyInvited`] when an expired
    /// one was followed by another.
    pub async fn resend(&mut self, id: InvitationId) -> Result<Invitation, TenancyError> {
        let tenant = self.scope.require(Permission::MembersWrite)?;
        self.scope.require_verified()?;
        let (caller, _) = self.scope.require_not_impersonated()?;
        let before = self.find(tenant, id).await?;
        let needed = match before.role {
            TenantRole::Owner => Permission::TenantTransfer,
            _ => Permission::MembersWrite,
        };
        self.scope.require(needed)?;
        hold(self.repositories, self.scope, tenant, needed).await?;
        self.check_daily(tenant, caller).await?;
        let now = self.env.now();
        let after = Invitation {
            status: InvitationStatus::Pending,
            sends: before.sends.saturating_add(1),
            requested_at: now,
            expires_at: now + LIFETIME,
            updated_at: now,
            ..before.clone()
        };
        if !self.repositories.invitations().renew(&after).await.map_err(invited)? {
            return Err(TenancyError::InvitationClosed);
        }
        self.note(&events::INVITATION_RESENT, Some(&before), Some(&after)).await?;
        self.ask_for_mail(&after).await?;
        Ok(after)
    }

    /// Stores the digest of a new secret for the message that is about to be sent; `None` when the invitation is not open any
    /// more. For the background job. A secret made before is invalid from then on.
    pub async fn issue(
        &mut self,
        id: InvitationId,
        hash: [u8; 32],
    ) -> Result<Option<ReceivedInvitation>, TenancyError> {
        let tenant = self.scope.require(Permission::MembersWrite)?;
        let now = self.env.now();
        if !self.repositories.invitations().set_token(tenant, id, hash, now).await? {
            return Ok(None);
        }
        Ok(self.repositories.invitations().by_token(hash, now).await?)
    }

    async fn find(&mut self, tenant: TenantId, id: InvitationId) -> Result<Invitation, TenancyError> {
        let found = self.repositories.invitations().find(tenant, id, self.env.now()).await?;
        found.ok_or(TenancyError::NotFound("invitation"))
    }

    /// Limits what may be used to flood mailboxes. Exact for a tenant, whose row is locked; for an inviter in several tenants at
    /// once it may let a few more pass.
    async fn check_daily(&mut self, tenant: TenantId, inviter: UserId) -> Result<(), TenancyError> {
        let since = self.env.now() - Duration::DAY;
        let (by_tenant, by_inviter) =
            self.repositories.invitations().sent_since(tenant, inviter, since).await?;
        if by_tenant.max(by_inviter) >= DAILY_MAX { Err(TenancyError::TooManyInvitations) } else { Ok(()) }
    }

    async fn ask_for_mail(&mut self, invitation: &Invitation) -> Result<(), TenancyError> {
        let job = MailInvitation { invitation_id: invitation.id };
        let job = NewJob::new(self.env, self.scope, invitation.tenant_id, &job);
        Ok(self.repositories.jobs().enqueue(job).await?)
    }

    async fn note(
        &mut self,
        kind: &'static EventDeclaration,
        before: Option<&Invitation>,
        after: Option<&Invitation>,
    ) -> Result<(), TenancyError> {
        note(self.repositories, self.scope, self.env, kind, before, after).await
    }
}

async fn note(
    repositories: &mut dyn TenancyRepositories,
    scope: &Scope,
    env: &Env,
    kind: &'static EventDeclaration,
    before: Option<&Invitation>,
    after: Option<&Invitation>,
) -> Result<(), TenancyError> {
    let Some(about) = after.or(before) else { return Ok(()) };
    let mut event = Event::new(env, scope, kind, about.id.uuid()).in_tenant(about.tenant_id);
    event.before = before.map(Invitation::recorded);
    event.after = after.map(Invitation::recorded);
    Ok(repositories.events().append(event).await?)
}

/// Revokes the pending invitations of a member who may not invite any more.
pub(crate) async fn revoke_of(
    repositories: &mut dyn TenancyRepositories,
    scope: &Scope,
    env: &Env,
    tenant: TenantId,
    inviter: UserId,
) -> Result<(), TenancyError> {
    let revoked = repositories.invitations().revoke_of(tenant, inviter, env.now()).await?;
    for after in revoked {
        let before = Invitation { status: InvitationStatus::Pending, ..after.clone() };
        note(repositories, scope, env, &events::INVITATION_REVOKED, Some(&before), Some(&after)).await?;
    }
    Ok(())
}

/// Use cases of those who are invited.
pub struct Invited<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Invited<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The open invitation behind a link, for every holder of it. Errors: [`TenancyError::InvalidInvitation`].
    pub async fn by_token(&mut self, hash: [u8; 32]) -> Result<ReceivedInvitation, TenancyError> {
        let found = self.repositories.invitations().by_token(hash, self.env.now()).await?;
        found.ok_or(TenancyError::InvalidInvitation)
    }

    /// The open invitations to an address, newest first. Identity checks that the address is proven to be the caller's.
    pub async fn for_address(&mut self, email: &str) -> Result<Vec<ReceivedInvitation>, TenancyError> {
        self.scope.require_user()?;
        Ok(self.repositories.invitations().for_address(email, self.env.now()).await?)
    }

    /// The open invitation of this id among those to an address.
    pub async fn for_address_by_id(
        &mut self,
        email: &str,
        id: InvitationId,
    ) -> Result<ReceivedInvitation, TenancyError> {
        let all = self.for_address(email).await?;
        all.into_iter().find(|invitation| invitation.id == id).ok_or(TenancyError::NotFound("invitation"))
    }

    /// Makes the caller a member. Identity checks, in the same unit of work, that the address of the invitation is theirs. Of two
    /// acceptances at once one succeeds. Holds the row of the tenant, so that of many who accept at once as many get in as the plan
    /// includes. Errors: [`TenancyError::InvalidInvitation`], [`TenancyError::AlreadyMember`], [`TenancyError::Entitlement`].
    pub async fn accept(&mut self, invitation: &ReceivedInvitation) -> Result<Membership, TenancyError> {
        let (user, _) = self.scope.require_not_impersonated()?;
        let tenant = invitation.tenant;
        self.repositories.tenants().lock(tenant).await?;
        self.close(invitation, InvitationStatus::Accepted, &events::INVITATION_ACCEPTED).await?;
        let membership = Membership { tenant, user, role: invitation.role, joined_at: self.env.now() };
        self.repositories.memberships().insert(&membership).await.map_err(|error| match error {
            StoreError::Conflict(_) => TenancyError::AlreadyMember,
            error => error.into(),
        })?;
        self.repositories.headroom().check_room(tenant, Meter::Members, 1).await?;
        let event = Event::new(self.env, self.scope, &events::MEMBER_CREATED, user.uuid())
            .in_tenant(tenant)
            .after(&serde_json::json!({"userId": user, "role": membership.role}));
        self.repositories.events().append(event).await?;
        Ok(membership)
    }

    /// Declines an invitation. Any holder of the link may, so that it takes no account to decline. Errors:
    /// [`TenancyError::InvalidInvitation`].
    pub async fn decline(&mut self, invitation: &ReceivedInvitation) -> Result<(), TenancyError> {
        self.close(invitation, InvitationStatus::Declined, &events::INVITATION_DECLINED).await
    }

    async fn close(
        &mut self,
        invitation: &ReceivedInvitation,
        status: InvitationStatus,
        kind: &'static EventDeclaration,
    ) -> Result<(), TenancyError> {
        let (tenant, id, now) = (invitation.tenant, invitation.id, self.env.now());
        let before = self.repositories.invitations().find(tenant, id, now).await?;
        let before = before.ok_or(TenancyError::InvalidInvitation)?;
        if !self.repositories.invitations().close(tenant, id, status, now).await? {
            return Err(TenancyError::InvalidInvitation);
        }
        let after = Invitation { status, updated_at: now, ..before.clone() };
        note(self.repositories, self.scope, self.env, kind, Some(&before), Some(&after)).await
    }
}

/// The only unique key of an invitation is its address.
fn invited(error: StoreError) -> TenancyError {
    match error {
        StoreError::Conflict(_) => TenancyError::AlreadyInvited,
        error => error.into(),
    }
}

#[cfg(test)]
#[path = "invitation_tests.rs"]
mod tests;
