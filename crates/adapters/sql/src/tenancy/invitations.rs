//! Invitations.

use async_trait::async_trait;
use portico_kernel::{InvitationId, List, PageRequest, StoreError, TenantId, TenantRole, Timestamp, UserId};
use portico_tenancy::{
    invitation::{Invitation, InvitationStatus, ReceivedInvitation},
    ports::InvitationRepository,
};
use sea_orm::FromQueryResult;

use crate::{
    columns::{Col, words},
    db::{Db, in_pages},
};

words!(InvitationStatus);

/// Invitations over one connection.
pub(crate) struct Invitations<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, email, role, language, status, invited_by, sends, requested_at, expires_at, created_at, updated_at";

/// Open invitations with what their receiver is told.
const RECEIVED: &str = "select i.tenant_id, i.id, i.email, i.role, i.language, i.invited_by, i.expires_at, \
     t.name as tenant_name, u.full_name as inviter \
     from invitations i join tenants t on t.id = i.tenant_id join users u on u.id = i.invited_by \
     where i.status = 'pending' and t.status = 'active'";

#[derive(FromQueryResult)]
struct InvitationRow {
    tenant_id: Col<TenantId>,
    id: Col<InvitationId>,
    email: String,
    role: Col<TenantRole>,
    language: String,
    status: Col<InvitationStatus>,
    invited_by: Col<UserId>,
    sends: i32,
    requested_at: Col<Timestamp>,
    expires_at: Col<Timestamp>,
    created_at: Col<Timestamp>,
    updated_at: Col<Timestamp>,
}

impl InvitationRow {
    fn at(self, now: Timestamp) -> Invitation {
        let expires_at = self.expires_at.0;
        Invitation {
            id: self.id.0,
            tenant_id: self.tenant_id.0,
            email: self.email,
            role: self.role.0,
            language: self.language,
            status: match self.status.0 {
                InvitationStatus::Pending if expires_at <= now => InvitationStatus::Expired,
                status => status,
            },
            invited_by: self.invited_by.0,
            sends: self.sends,
            requested_at: self.requested_at.0,
            expires_at,
            created_at: self.created_at.0,
            updated_at: self.updated_at.0,
        }
    }
}

#[derive(FromQueryResult)]
struct ReceivedRow {
    tenant_id: Col<TenantId>,
    id: Col<InvitationId>,
    email: String,
    role: Col<TenantRole>,
    language: String,
    invited_by: Col<UserId>,
    expires_at: Col<Timestamp>,
    tenant_name: String,
    inviter: String,
}

impl From<ReceivedRow> for ReceivedInvitation {
    fn from(row: ReceivedRow) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            tenant_name: row.tenant_name,
            invited_by: row.invited_by.0,
            inviter: row.inviter,
            email: row.email,
            language: row.language,
            role: row.role.0,
            expires_at: row.expires_at.0,
        }
    }
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
impl InvitationRepository for Invitations<'_> {
    async fn insert(&mut self, invitation: &Invitation) -> Result<(), StoreError> {
        let sql = format!(
            "insert into invitations ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        );
        let values = (
            invitation.tenant_id,
            invitation.id,
            &invitation.email,
            invitation.role,
            &invitation.language,
            invitation.status,
            invitation.invited_by,
            invitation.sends,
            invitation.requested_at,
            invitation.expires_at,
            invitation.created_at,
            invitation.updated_at,
        );
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn expire(&mut self, tenant: TenantId, now: Timestamp) -> Result<(), StoreError> {
        let sql = "update invitations set status = 'expired', token_hash = null \
             where tenant_id = $1 and status = 'pending' and expires_at <= $2";
        self.db.execute(sql, (tenant, now)).await.map(drop)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        let sql = format!("select {COLUMNS} from invitations where tenant_id = $1 and id = $2");
        let found: Option<InvitationRow> = self.db.model(&sql, (tenant, id)).await?;
        Ok(found.map(|row| row.at(now)))
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        status: Option<InvitationStatus>,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<Invitation>, StoreError> {
        let condition = with_status(status);
        let count = format!("select count(*) as total from invitations where tenant_id = $1 and {condition}");
        let sql = format!(
            "select {COLUMNS} from invitations where tenant_id = $1 and {condition} \
             order by created_at desc, id desc limit $3 offset $4"
        );
        let rows = async {
            let rows = self.db.models(&sql, (tenant, now, page.limit, page.offset())).await?;
            Ok(rows.into_iter().map(|row: InvitationRow| row.at(now)).collect())
        };
        in_pages(page, self.db.total(&count, (tenant, now)), rows).await
    }

    async fn open(&mut self, tenant: TenantId) -> Result<u64, StoreError> {
        let sql = "select count(*) as total from invitations where tenant_id = $1 and status = 'pending'";
        self.db.total(sql, [tenant]).await
    }

    async fn sent_since(
        &mut self,
        tenant: TenantId,
        inviter: UserId,
        since: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        let sql = "select cast(coalesce(sum(case when tenant_id = $1 then sends else 0 end), 0) as bigint) as by_tenant, \
             cast(coalesce(sum(case when invited_by = $2 then sends else 0 end), 0) as bigint) as by_inviter \
             from invitations where (tenant_id = $1 or invited_by = $2) and requested_at > $3";
        Ok(self.db.row(sql, (tenant, inviter, since)).await?.unwrap_or_default())
    }

    async fn renew(&mut self, invitation: &Invitation) -> Result<bool, StoreError> {
        let sql = "update invitations set status = 'pending', token_hash = null, sends = $3, requested_at = $4, \
             expires_at = $5, updated_at = $6 \
             where tenant_id = $1 and id = $2 and status in ('pending', 'expired')";
        let values = (
            invitation.tenant_id,
            invitation.id,
            invitation.sends,
            invitation.requested_at,
            invitation.expires_at,
            invitation.updated_at,
        );
        Ok(self.db.execute(sql, values).await? == 1)
    }

    async fn set_token(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update invitations set token_hash = $3 \
             where tenant_id = $1 and id = $2 and status = 'pending' and expires_at > $4";
        Ok(self.db.execute(sql, (tenant, id, hash, now)).await? == 1)
    }

    async fn close(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        status: InvitationStatus,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update invitations set status = $3, token_hash = null, updated_at = $4 \
             where tenant_id = $1 and id = $2 and status = 'pending' and expires_at > $4";
        Ok(self.db.execute(sql, (tenant, id, status, now)).await? == 1)
    }

    async fn revoke_of(
        &mut self,
        tenant: TenantId,
        inviter: UserId,
        now: Timestamp,
    ) -> Result<Vec<Invitation>, StoreError> {
        let sql = format!(
            "update invitations set status = 'revoked', token_hash = null, updated_at = $3 \
             where tenant_id = $1 and invited_by = $2 and status = 'pending' and expires_at > $3 \
             returning {COLUMNS}"
        );
        let rows = self.db.models(&sql, (tenant, inviter, now)).await?;
        Ok(rows.into_iter().map(|row: InvitationRow| row.at(now)).collect())
    }

    async fn by_token(
        &mut self,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<ReceivedInvitation>, StoreError> {
        let sql = format!("{RECEIVED} and i.token_hash = $1 and i.expires_at > $2");
        let found: Option<ReceivedRow> = self.db.model(&sql, (hash, now)).await?;
        Ok(found.map(ReceivedInvitation::from))
    }

    async fn for_address(
        &mut self,
        email: &str,
        now: Timestamp,
    ) -> Result<Vec<ReceivedInvitation>, StoreError> {
        let sql = format!(
            "{RECEIVED} and i.email = $1 and i.expires_at > $2 order by i.created_at desc, i.id desc"
        );
        let rows: Vec<ReceivedRow> = self.db.models(&sql, (email, now)).await?;
        Ok(rows.into_iter().map(ReceivedInvitation::from).collect())
    }
}
