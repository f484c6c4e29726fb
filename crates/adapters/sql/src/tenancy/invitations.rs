//! Invitations.

use async_trait::async_trait;
use portico_kernel::{InvitationId, List, PageRequest, StoreError, TenantId, TenantRole, Timestamp, UserId};
use portico_tenancy::{
    invitation::{Invitation, InvitationStatus, ReceivedInvitation},
    ports::InvitationRepository,
};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult};
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// Invitations over one connection.
pub(crate) struct Invitations<'c, C> {
    pub connection: &'c C,
}

const COLUMNS: &str = "tenant_id, id, email, role, language, status, invited_by, sends, requested_at, expires_at, created_at, updated_at";

/// Open invitations with what their receiver is told.
const RECEIVED: &str = "select i.tenant_id, i.id, i.email, i.role, i.language, i.invited_by, i.expires_at, \
     t.name as tenant_name, u.full_name as inviter \
     from invitations i join tenants t on t.id = i.tenant_id join users u on u.id = i.invited_by \
     where i.status = 'pending' and t.status = 'active'";

#[derive(FromQueryResult)]
struct InvitationRow {
    tenant_id: Uuid,
    id: Uuid,
    email: String,
    role: String,
    language: String,
    status: String,
    invited_by: Uuid,
    sends: i32,
    requested_at: PrimitiveDateTime,
    expires_at: PrimitiveDateTime,
    created_at: PrimitiveDateTime,
    updated_at: PrimitiveDateTime,
}

fn invitation(row: &QueryResult, now: Timestamp) -> Result<Invitation, StoreError> {
    let row = InvitationRow::from_query_result(row, "").map_err(store_error)?;
    let status =
        InvitationStatus::parse(&row.status).ok_or_else(|| unreadable("invitations.status", &row.status))?;
    let expires_at = from_row(row.expires_at);
    Ok(Invitation {
        id: InvitationId::from_uuid(row.id),
        tenant_id: TenantId::from_uuid(row.tenant_id),
        email: row.email,
        role: TenantRole::parse(&row.role).ok_or_else(|| unreadable("invitations.role", &row.role))?,
        language: row.language,
        status: match status {
            InvitationStatus::Pending if expires_at <= now => InvitationStatus::Expired,
            status => status,
        },
        invited_by: UserId::from_uuid(row.invited_by),
        sends: row.sends,
        requested_at: from_row(row.requested_at),
        expires_at,
        created_at: from_row(row.created_at),
        updated_at: from_row(row.updated_at),
    })
}

#[derive(FromQueryResult)]
struct ReceivedRow {
    tenant_id: Uuid,
    id: Uuid,
    email: String,
    role: String,
    language: String,
    invited_by: Uuid,
    expires_at: PrimitiveDateTime,
    tenant_name: String,
    inviter: String,
}

fn received(row: &QueryResult) -> Result<ReceivedInvitation, StoreError> {
    let row = ReceivedRow::from_query_result(row, "").map_err(store_error)?;
    Ok(ReceivedInvitation {
        id: InvitationId::from_uuid(row.id),
        tenant: TenantId::from_uuid(row.tenant_id),
        tenant_name: row.tenant_name,
        invited_by: UserId::from_uuid(row.invited_by),
        inviter: row.inviter,
        email: row.email,
        language: row.language,
        role: TenantRole::parse(&row.role).ok_or_else(|| unreadable("invitations.role", &row.role))?,
        expires_at: from_row(row.expires_at),
    })
}

fn count(rows: &[QueryResult], column: &str) -> Result<u64, StoreError> {
    let count = rows.first().map(|row| row.try_get::<i64>("", column)).transpose().map_err(store_error)?;
    Ok(u64::try_from(count.unwrap_or_default()).unwrap_or_default())
}

/// The condition for a status, where a pending invitation whose time is over counts as expired. `$2` is now.
fn with_status(status: Option<InvitationStatus>) -> &'static str {
    match status {
        None => "$2 = $2",
        Some(InvitationStatus::Pending) => "status = 'pending' and expires_at > $2",
        Some(InvitationStatus::Expired) => "(status = 'expired' or status = 'pending' and expires_at <= $2)",
        Some(InvitationStatus::Accepted) => "status = 'accepted' and $2 = $2",
        Some(InvitationStatus::Declined) => "status = 'declined' and $2 = $2",
        Some(InvitationStatus::Revoked) => "status = 'revoked' and $2 = $2",
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> InvitationRepository for Invitations<'_, C> {
    async fn insert(&mut self, invitation: &Invitation) -> Result<(), StoreError> {
        execute(
            self.connection,
            &format!(
                "insert into invitations ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
            ),
            [
                invitation.tenant_id.uuid().into(),
                invitation.id.uuid().into(),
                invitation.email.as_str().into(),
                invitation.role.as_str().into(),
                invitation.language.as_str().into(),
                invitation.status.as_str().into(),
                invitation.invited_by.uuid().into(),
                invitation.sends.into(),
                to_row(invitation.requested_at).into(),
                to_row(invitation.expires_at).into(),
                to_row(invitation.created_at).into(),
                to_row(invitation.updated_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn expire(&mut self, tenant: TenantId, now: Timestamp) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update invitations set status = 'expired', token_hash = null \
             where tenant_id = $1 and status = 'pending' and expires_at <= $2",
            [tenant.uuid().into(), to_row(now).into()],
        )
        .await?;
        Ok(())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        let rows = query(
            self.connection,
            &format!("select {COLUMNS} from invitations where tenant_id = $1 and id = $2"),
            [tenant.uuid().into(), id.uuid().into()],
        )
        .await?;
        rows.first().map(|row| invitation(row, now)).transpose()
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        status: Option<InvitationStatus>,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<Invitation>, StoreError> {
        let condition = with_status(status);
        let total = query(
            self.connection,
            &format!("select count(*) as total from invitations where tenant_id = $1 and {condition}"),
            [tenant.uuid().into(), to_row(now).into()],
        )
        .await?;
        let rows = query(
            self.connection,
            &format!(
                "select {COLUMNS} from invitations where tenant_id = $1 and {condition} \
                 order by created_at desc, id desc limit $3 offset $4"
            ),
            [
                tenant.uuid().into(),
                to_row(now).into(),
                (page.limit as i64).into(),
                (page.offset() as i64).into(),
            ],
        )
        .await?;
        let items = rows.iter().map(|row| invitation(row, now)).collect::<Result<_, _>>()?;
        Ok(List::new(items, page, count(&total, "total")?))
    }

    async fn open(&mut self, tenant: TenantId) -> Result<u64, StoreError> {
        let rows = query(
            self.connection,
            "select count(*) as total from invitations where tenant_id = $1 and status = 'pending'",
            [tenant.uuid().into()],
        )
        .await?;
        count(&rows, "total")
    }

    async fn sent_since(
        &mut self,
        tenant: TenantId,
        inviter: UserId,
        since: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        let rows = query(
            self.connection,
            "select cast(coalesce(sum(case when tenant_id = $1 then sends else 0 end), 0) as bigint) as by_tenant, \
             cast(coalesce(sum(case when invited_by = $2 then sends else 0 end), 0) as bigint) as by_inviter \
             from invitations where (tenant_id = $1 or invited_by = $2) and requested_at > $3",
            [tenant.uuid().into(), inviter.uuid().into(), to_row(since).into()],
        )
        .await?;
        Ok((count(&rows, "by_tenant")?, count(&rows, "by_inviter")?))
    }

    async fn renew(&mut self, invitation: &Invitation) -> Result<bool, StoreError> {
        let renewed = execute(
            self.connection,
            "update invitations set status = 'pending', token_hash = null, sends = $3, requested_at = $4, \
             expires_at = $5, updated_at = $6 \
             where tenant_id = $1 and id = $2 and status in ('pending', 'expired')",
            [
                invitation.tenant_id.uuid().into(),
                invitation.id.uuid().into(),
                invitation.sends.into(),
                to_row(invitation.requested_at).into(),
                to_row(invitation.expires_at).into(),
                to_row(invitation.updated_at).into(),
            ],
        )
        .await?;
        Ok(renewed == 1)
    }

    async fn set_token(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let filed = execute(
            self.connection,
            "update invitations set token_hash = $3 \
             where tenant_id = $1 and id = $2 and status = 'pending' and expires_at > $4",
            [tenant.uuid().into(), id.uuid().into(), hash.to_vec().into(), to_row(now).into()],
        )
        .await?;
        Ok(filed == 1)
    }

    async fn close(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        status: InvitationStatus,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let closed = execute(
            self.connection,
            "update invitations set status = $3, token_hash = null, updated_at = $4 \
             where tenant_id = $1 and id = $2 and status = 'pending' and expires_at > $4",
            [tenant.uuid().into(), id.uuid().into(), status.as_str().into(), to_row(now).into()],
        )
        .await?;
        Ok(closed == 1)
    }

    async fn revoke_of(
        &mut self,
        tenant: TenantId,
        inviter: UserId,
        now: Timestamp,
    ) -> Result<Vec<Invitation>, StoreError> {
        let rows = query(
            self.connection,
            &format!(
                "update invitations set status = 'revoked', token_hash = null, updated_at = $3 \
                 where tenant_id = $1 and invited_by = $2 and status = 'pending' and expires_at > $3 \
                 returning {COLUMNS}"
            ),
            [tenant.uuid().into(), inviter.uuid().into(), to_row(now).into()],
        )
        .await?;
        rows.iter().map(|row| invitation(row, now)).collect()
    }

    async fn by_token(
        &mut self,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<ReceivedInvitation>, StoreError> {
        let rows = query(
            self.connection,
            &format!("{RECEIVED} and i.token_hash = $1 and i.expires_at > $2"),
            [hash.to_vec().into(), to_row(now).into()],
        )
        .await?;
        rows.first().map(received).transpose()
    }

    async fn for_address(
        &mut self,
        email: &str,
        now: Timestamp,
    ) -> Result<Vec<ReceivedInvitation>, StoreError> {
        let rows = query(
            self.connection,
            &format!(
                "{RECEIVED} and i.email = $1 and i.expires_at > $2 order by i.created_at desc, i.id desc"
            ),
            [email.into(), to_row(now).into()],
        )
        .await?;
        rows.iter().map(received).collect()
    }
}
