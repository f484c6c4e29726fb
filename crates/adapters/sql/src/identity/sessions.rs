//! Sessions.

use async_trait::async_trait;
use portico_identity::{
    ports::SessionRepository,
    session::{CallerState, Session, TenantAccess},
};
use portico_kernel::{PlatformRole, SessionId, StoreError, TenantId, TenantRole, Timestamp, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
};
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the table.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sessions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub user_id: Uuid,
        pub generation: i32,
        pub rotated_at: TimeDateTime,
        pub user_agent: Option<String>,
        pub address: Option<String>,
        pub created_at: TimeDateTime,
        pub last_used_at: TimeDateTime,
        pub expires_at: TimeDateTime,
        pub active_tenant_id: Option<Uuid>,
        pub authenticated_at: TimeDateTime,
        pub impersonator_id: Option<Uuid>,
        pub ended_at: Option<TimeDateTime>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<row::Model> for Session {
    fn from(row: row::Model) -> Self {
        Self {
            id: SessionId::from_uuid(row.id),
            user: UserId::from_uuid(row.user_id),
            generation: row.generation,
            rotated_at: from_row(row.rotated_at),
            user_agent: row.user_agent,
            address: row.address,
            created_at: from_row(row.created_at),
            last_used_at: from_row(row.last_used_at),
            expires_at: from_row(row.expires_at),
            active_tenant: row.active_tenant_id.map(TenantId::from_uuid),
            authenticated_at: from_row(row.authenticated_at),
            impersonator: row.impersonator_id.map(UserId::from_uuid),
            ended_at: row.ended_at.map(from_row),
        }
    }
}

/// The answer to [`SessionRepository::caller`].
#[derive(FromQueryResult)]
struct CallerRow {
    user_id: Uuid,
    email_verified: bool,
    role: String,
    impersonator_id: Option<Uuid>,
    expires_at: PrimitiveDateTime,
    tenant_id: Option<Uuid>,
    tenant_role: Option<String>,
    tenant_status: Option<String>,
    plan_id: Option<String>,
}

impl TryFrom<CallerRow> for CallerState {
    type Error = StoreError;

    fn try_from(row: CallerRow) -> Result<Self, StoreError> {
        let access = match row.tenant_status.as_deref() {
            Some("suspended") => TenantAccess::Suspended,
            Some("deleting") => TenantAccess::ReadOnly,
            _ => TenantAccess::Full,
        };
        let membership = match (row.tenant_id, row.tenant_role) {
            (Some(tenant), Some(role)) if access != TenantAccess::Suspended => {
                let role = TenantRole::parse(&role).ok_or_else(|| unreadable("memberships.role", &role))?;
                Some((TenantId::from_uuid(tenant), role))
            }
            _ => None,
        };
        Ok(Self {
            user: UserId::from_uuid(row.user_id),
            email_verified: row.email_verified,
            role: PlatformRole::parse(&row.role).ok_or_else(|| unreadable("users.role", &row.role))?,
            impersonator: row.impersonator_id.map(UserId::from_uuid),
            expires_at: from_row(row.expires_at),
            plan: membership.and(row.plan_id),
            membership,
            access,
        })
    }
}

/// Sessions over one connection.
pub(crate) struct Sessions<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> SessionRepository for Sessions<'_, C> {
    async fn insert(&mut self, session: &Session) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(session.id.uuid()),
            user_id: Set(session.user.uuid()),
            generation: Set(session.generation),
            rotated_at: Set(to_row(session.rotated_at)),
            user_agent: Set(session.user_agent.clone()),
            address: Set(session.address.clone()),
            created_at: Set(to_row(session.created_at)),
            last_used_at: Set(to_row(session.last_used_at)),
            expires_at: Set(to_row(session.expires_at)),
            active_tenant_id: Set(session.active_tenant.map(TenantId::uuid)),
            authenticated_at: Set(to_row(session.authenticated_at)),
            impersonator_id: Set(session.impersonator.map(UserId::uuid)),
            ended_at: Set(session.ended_at.map(to_row)),
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn find(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let row = row::Entity::find_by_id(id.uuid()).one(self.connection).await.map_err(store_error)?;
        Ok(row.map(Session::from))
    }

    async fn rotate(&mut self, session: &Session) -> Result<bool, StoreError> {
        let rotated = execute(
            self.connection,
            "update sessions set generation = $2, rotated_at = $3, last_used_at = $4, expires_at = $5, address = $6 \
             where id = $1 and generation = $2 - 1 and ended_at is null",
            [
                session.id.uuid().into(),
                session.generation.into(),
                to_row(session.rotated_at).into(),
                to_row(session.last_used_at).into(),
                to_row(session.expires_at).into(),
                session.address.clone().into(),
            ],
        )
        .await?;
        Ok(rotated == 1)
    }

    async fn switch(
        &mut self,
        user: UserId,
        id: SessionId,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let switched = execute(
            self.connection,
            "update sessions set active_tenant_id = $3 \
             where id = $1 and user_id = $2 and ended_at is null and expires_at > $4",
            [id.uuid().into(), user.uuid().into(), tenant.uuid().into(), to_row(now).into()],
        )
        .await?;
        Ok(switched == 1)
    }

    async fn list(&mut self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let rows = row::Entity::find()
            .filter(row::Column::UserId.eq(user.uuid()))
            .filter(row::Column::EndedAt.is_null())
            .filter(row::Column::ExpiresAt.gt(to_row(now)))
            .order_by_desc(row::Column::Id)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    async fn authenticate(
        &mut self,
        user: UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let proven = execute(
            self.connection,
            "update sessions set authenticated_at = $3 \
             where id = $1 and user_id = $2 and ended_at is null and expires_at > $3 and impersonator_id is null",
            [id.uuid().into(), user.uuid().into(), to_row(now).into()],
        )
        .await?;
        Ok(proven == 1)
    }

    async fn end(&mut self, user: UserId, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let ended = execute(
            self.connection,
            "update sessions set ended_at = $3 \
             where id = $1 and user_id = $2 and ended_at is null and expires_at > $3",
            [id.uuid().into(), user.uuid().into(), to_row(now).into()],
        )
        .await?;
        Ok(ended == 1)
    }

    async fn end_all(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        let rows = query(
            self.connection,
            "update sessions set ended_at = $3 \
             where user_id = $1 and ended_at is null and expires_at > $3 and ($2 is null or id <> $2) \
             returning id",
            [user.uuid().into(), except.map(SessionId::uuid).into(), to_row(now).into()],
        )
        .await?;
        rows.iter().map(|row| row.try_get("", "id").map(SessionId::from_uuid).map_err(store_error)).collect()
    }

    async fn end_impersonations(
        &mut self,
        impersonator: UserId,
        now: Timestamp,
    ) -> Result<Vec<(SessionId, UserId)>, StoreError> {
        let rows = query(
            self.connection,
            "update sessions set ended_at = $2 \
             where impersonator_id = $1 and ended_at is null and expires_at > $2 returning id, user_id",
            [impersonator.uuid().into(), to_row(now).into()],
        )
        .await?;
        rows.iter()
            .map(|row| {
                let column = |name: &str| row.try_get::<Uuid>("", name).map_err(store_error);
                Ok((SessionId::from_uuid(column("id")?), UserId::from_uuid(column("user_id")?)))
            })
            .collect()
    }

    async fn caller(
        &mut self,
        id: SessionId,
        tenant: Option<TenantId>,
        now: Timestamp,
    ) -> Result<Option<CallerState>, StoreError> {
        let rows = query(
            self.connection,
            "select u.id as user_id, u.email_verified, \
             case when s.impersonator_id is null then u.role else 'customer' end as role, s.impersonator_id, s.expires_at, t.id as tenant_id, m.role as tenant_role, t.status as tenant_status, p.plan_id \
             from sessions s \
             join users u on u.id = s.user_id \
             left join memberships m on m.tenant_id = $2 and m.user_id = u.id \
             left join tenants t on t.id = m.tenant_id and t.status <> 'deleted' \
             left join subscriptions p on p.tenant_id = t.id and p.status = 'active' \
             where s.id = $1 and s.ended_at is null and s.expires_at > $3 and u.status = 'active' \
             and (s.impersonator_id is null or exists (select 1 from users i where i.id = s.impersonator_id \
                  and i.status = 'active' and i.role <> 'customer'))",
            [id.uuid().into(), tenant.map(TenantId::uuid).into(), to_row(now).into()],
        )
        .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        CallerRow::from_query_result(row, "").map_err(store_error)?.try_into().map(Some)
    }
}
