//! Sessions.

use async_trait::async_trait;
use portico_identity::{
    ports::SessionRepository,
    session::{CallerState, Session, TenantAccess},
};
use portico_kernel::{
    PlatformRole, SessionId, StaffAreas, StoreError, TenantId, TenantRole, Timestamp, UserId,
};
use portico_tenancy::tenant::TenantStatus;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder};

use crate::{billing::agreed_rate, columns::Col, db::Db};

/// A row of the table.
pub(crate) mod row {
    use portico_kernel::{SessionId, TenantId, Timestamp, UserId};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sessions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<SessionId>,
        pub user_id: Col<UserId>,
        pub generation: i32,
        pub rotated_at: Col<Timestamp>,
        pub user_agent: Option<String>,
        pub address: Option<String>,
        pub created_at: Col<Timestamp>,
        pub last_used_at: Col<Timestamp>,
        pub expires_at: Col<Timestamp>,
        pub active_tenant_id: Col<Option<TenantId>>,
        pub authenticated_at: Col<Timestamp>,
        pub impersonator_id: Col<Option<UserId>>,
        pub ended_at: Col<Option<Timestamp>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<row::Model> for Session {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            user: row.user_id.0,
            generation: row.generation,
            rotated_at: row.rotated_at.0,
            user_agent: row.user_agent,
            address: row.address,
            created_at: row.created_at.0,
            last_used_at: row.last_used_at.0,
            expires_at: row.expires_at.0,
            active_tenant: row.active_tenant_id.0,
            authenticated_at: row.authenticated_at.0,
            impersonator: row.impersonator_id.0,
            ended_at: row.ended_at.0,
        }
    }
}

/// The answer to [`SessionRepository::caller`].
#[derive(FromQueryResult)]
struct CallerRow {
    user_id: Col<UserId>,
    email_verified: bool,
    role: Col<PlatformRole>,
    staff_areas: Col<Option<StaffAreas>>,
    impersonator_id: Col<Option<UserId>>,
    expires_at: Col<Timestamp>,
    tenant_id: Col<Option<TenantId>>,
    tenant_role: Col<Option<TenantRole>>,
    tenant_status: Col<Option<TenantStatus>>,
    plan_id: Option<String>,
    agreed_rate: Col<Option<u32>>,
}

impl From<CallerRow> for CallerState {
    fn from(row: CallerRow) -> Self {
        let access = match row.tenant_status.0 {
            Some(TenantStatus::Suspended) => TenantAccess::Suspended,
            Some(TenantStatus::Deleting) => TenantAccess::ReadOnly,
            _ => TenantAccess::Full,
        };
        let membership = row.tenant_id.0.zip(row.tenant_role.0).filter(|_| access != TenantAccess::Suspended);
        Self {
            user: row.user_id.0,
            email_verified: row.email_verified,
            role: row.role.0,
            staff_areas: row.staff_areas.0,
            impersonator: row.impersonator_id.0,
            expires_at: row.expires_at.0,
            plan: membership.and(row.plan_id),
            requests_per_minute: membership.and(row.agreed_rate.0),
            membership,
            access,
        }
    }
}

/// Sessions over one connection.
pub(crate) struct Sessions<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl SessionRepository for Sessions<'_> {
    async fn insert(&mut self, session: &Session) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(Col(session.id)),
            user_id: Set(Col(session.user)),
            generation: Set(session.generation),
            rotated_at: Set(Col(session.rotated_at)),
            user_agent: Set(session.user_agent.clone()),
            address: Set(session.address.clone()),
            created_at: Set(Col(session.created_at)),
            last_used_at: Set(Col(session.last_used_at)),
            expires_at: Set(Col(session.expires_at)),
            active_tenant_id: Set(Col(session.active_tenant)),
            authenticated_at: Set(Col(session.authenticated_at)),
            impersonator_id: Set(Col(session.impersonator)),
            ended_at: Set(Col(session.ended_at)),
        };
        self.db.insert(row).await
    }

    async fn find(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.db.one(row::Entity::find_by_id(Col(id))).await
    }

    async fn rotate(&mut self, session: &Session) -> Result<bool, StoreError> {
        let sql = "update sessions set generation = $2, rotated_at = $3, last_used_at = $4, expires_at = $5, address = $6 \
             where id = $1 and generation = $2 - 1 and ended_at is null";
        let values = (
            session.id,
            session.generation,
            session.rotated_at,
            session.last_used_at,
            session.expires_at,
            &session.address,
        );
        Ok(self.db.execute(sql, values).await? == 1)
    }

    async fn switch(
        &mut self,
        user: UserId,
        id: SessionId,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update sessions set active_tenant_id = $3 \
             where id = $1 and user_id = $2 and ended_at is null and expires_at > $4";
        Ok(self.db.execute(sql, (id, user, tenant, now)).await? == 1)
    }

    async fn list(&mut self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let query = row::Entity::find()
            .filter(row::Column::UserId.eq(Col(user)))
            .filter(row::Column::EndedAt.is_null())
            .filter(row::Column::ExpiresAt.gt(Col(now)))
            .order_by_desc(row::Column::Id);
        self.db.all(query).await
    }

    async fn authenticate(
        &mut self,
        user: UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update sessions set authenticated_at = $3 \
             where id = $1 and user_id = $2 and ended_at is null and expires_at > $3 and impersonator_id is null";
        Ok(self.db.execute(sql, (id, user, now)).await? == 1)
    }

    async fn end(&mut self, user: UserId, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "update sessions set ended_at = $3 \
             where id = $1 and user_id = $2 and ended_at is null and expires_at > $3";
        Ok(self.db.execute(sql, (id, user, now)).await? == 1)
    }

    async fn end_all(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        let sql = "update sessions set ended_at = $3 \
             where user_id = $1 and ended_at is null and expires_at > $3 and ($2 is null or id <> $2) \
             returning id";
        self.db.rows(sql, (user, except, now)).await
    }

    async fn end_impersonations(
        &mut self,
        impersonator: UserId,
        now: Timestamp,
    ) -> Result<Vec<(SessionId, UserId)>, StoreError> {
        let sql = "update sessions set ended_at = $2 \
             where impersonator_id = $1 and ended_at is null and expires_at > $2 returning id, user_id";
        self.db.rows(sql, (impersonator, now)).await
    }

    async fn caller(
        &mut self,
        id: SessionId,
        tenant: Option<TenantId>,
        now: Timestamp,
    ) -> Result<Option<CallerState>, StoreError> {
        let agreed_rate = agreed_rate("p", "perUser");
        let sql = format!(
            "select u.id as user_id, u.email_verified, \
             case when s.impersonator_id is null then u.role else 'customer' end as role, u.staff_areas, s.impersonator_id, s.expires_at, t.id as tenant_id, m.role as tenant_role, t.status as tenant_status, p.plan_id, {agreed_rate} as agreed_rate \
             from sessions s \
             join users u on u.id = s.user_id \
             left join memberships m on m.tenant_id = $2 and m.user_id = u.id \
             left join tenants t on t.id = m.tenant_id and t.status <> 'deleted' \
             left join subscriptions p on p.tenant_id = t.id and p.status = 'active' \
             where s.id = $1 and s.ended_at is null and s.expires_at > $3 and u.status = 'active' \
             and (s.impersonator_id is null or exists (select 1 from users i where i.id = s.impersonator_id \
                  and i.status = 'active' and i.role <> 'customer'))"
        );
        let found: Option<CallerRow> = self.db.model(&sql, (id, tenant, now)).await?;
        Ok(found.map(CallerState::from))
    }
}
