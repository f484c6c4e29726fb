//! API keys.

use async_trait::async_trait;
use portico_identity::{
    api_key::{ApiKey, KeySecret, KeyState, Mode},
    ports::ApiKeyRepository,
    user::UserStatus,
};
use portico_kernel::{
    ApiKeyId, List, Maker, PageRequest, Permission, Permissions, StoreError, TenantId, Timestamp, UserId,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::Value;
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::{json_error, store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the table.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub prefix: String,
        pub hash: Vec<u8>,
        pub previous_hash: Option<Vec<u8>>,
        pub previous_expires_at: Option<TimeDateTime>,
        pub permissions: Json,
        pub mode: String,
        pub active: bool,
        pub allowed_addresses: Json,
        pub rate_limit: Option<i32>,
        pub expires_at: Option<TimeDateTime>,
        pub last_used_at: Option<TimeDateTime>,
        pub refusals_noticed_at: Option<TimeDateTime>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub revoked_at: Option<TimeDateTime>,
        pub made_by: Option<Uuid>,
        pub previous_made_by: Option<Uuid>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

/// A word that this version does not know gives no permission.
fn permissions(words: Value) -> Result<Permissions, StoreError> {
    let words: Vec<String> = serde_json::from_value(words).map_err(json_error)?;
    let known: Vec<_> = words.iter().filter_map(|word| Permission::parse(word)).collect();
    Ok(Permissions::of(&known))
}

fn hash(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| unreadable("api_keys.hash", "another length"))
}

fn rate(limit: Option<i32>) -> Option<u32> {
    limit.and_then(|limit| u32::try_from(limit).ok())
}

impl TryFrom<row::Model> for ApiKey {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: ApiKeyId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            name: row.name,
            prefix: row.prefix,
            permissions: permissions(row.permissions)?,
            mode: Mode::parse(&row.mode).ok_or_else(|| unreadable("api_keys.mode", &row.mode))?,
            active: row.active,
            allowed_addresses: serde_json::from_value(row.allowed_addresses).map_err(json_error)?,
            rate_limit_per_minute: rate(row.rate_limit),
            expires_at: row.expires_at.map(from_row),
            previous_secret_expires_at: row.previous_expires_at.map(from_row),
            last_used_at: row.last_used_at.map(from_row),
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            revoked_at: row.revoked_at.map(from_row),
            made_by: row.made_by.map(UserId::from_uuid),
            version: row.version,
        })
    }
}

/// What an update may change.
fn changes(key: &ApiKey) -> Result<row::ActiveModel, StoreError> {
    let words: Vec<_> = key.permissions.iter().map(Permission::as_str).collect();
    Ok(row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        name: Set(key.name.clone()),
        prefix: NotSet,
        hash: NotSet,
        previous_hash: NotSet,
        previous_expires_at: Set(key.previous_secret_expires_at.map(to_row)),
        permissions: Set(serde_json::to_value(words).map_err(json_error)?),
        mode: NotSet,
        active: Set(key.active),
        allowed_addresses: Set(serde_json::to_value(&key.allowed_addresses).map_err(json_error)?),
        rate_limit: Set(key.rate_limit_per_minute.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX))),
        expires_at: Set(key.expires_at.map(to_row)),
        last_used_at: NotSet,
        refusals_noticed_at: NotSet,
        created_at: NotSet,
        updated_at: Set(to_row(key.updated_at)),
        revoked_at: Set(key.revoked_at.map(to_row)),
        made_by: NotSet,
        previous_made_by: NotSet,
        version: NotSet,
    })
}

/// The answer to [`ApiKeyRepository::state`].
#[derive(FromQueryResult)]
struct StateRow {
    tenant_id: Uuid,
    id: Uuid,
    hash: Vec<u8>,
    previous_hash: Option<Vec<u8>>,
    previous_expires_at: Option<PrimitiveDateTime>,
    permissions: Value,
    usable: bool,
    allowed_addresses: Value,
    rate_limit: Option<i32>,
    plan_id: Option<String>,
    expires_at: Option<PrimitiveDateTime>,
    maker_id: Option<Uuid>,
    maker_verified: Option<bool>,
    maker_status: Option<String>,
    previous_maker_id: Option<Uuid>,
    previous_maker_verified: Option<bool>,
    previous_maker_status: Option<String>,
}

/// A secret with the account of its maker as it was joined.
fn secret(
    bytes: Vec<u8>,
    (id, verified, status): (Option<Uuid>, Option<bool>, Option<String>),
) -> Result<KeySecret, StoreError> {
    let maker = id.map(|id| Maker { id: UserId::from_uuid(id), email_verified: verified == Some(true) });
    let maker_barred = maker.is_some() && status.as_deref() != Some(UserStatus::Active.as_str());
    Ok(KeySecret { hash: hash(bytes)?, maker, maker_barred })
}

impl TryFrom<StateRow> for KeyState {
    type Error = StoreError;

    fn try_from(row: StateRow) -> Result<Self, StoreError> {
        let maker = (row.maker_id, row.maker_verified, row.maker_status);
        let before = (row.previous_maker_id, row.previous_maker_verified, row.previous_maker_status);
        let previous = row.previous_hash.map(|hash| secret(hash, before)).transpose()?;
        Ok(Self {
            id: ApiKeyId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            permissions: permissions(row.permissions)?,
            usable: row.usable,
            expires_at: row.expires_at.map(from_row),
            allowed_addresses: serde_json::from_value(row.allowed_addresses).map_err(json_error)?,
            rate_limit_per_minute: rate(row.rate_limit),
            plan: row.plan_id,
            secret: secret(row.hash, maker)?,
            previous: previous.zip(row.previous_expires_at.map(from_row)),
        })
    }
}

/// Keys over one connection.
pub(crate) struct ApiKeys<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> ApiKeyRepository for ApiKeys<'_, C> {
    async fn insert(&mut self, key: &ApiKey, hash: [u8; 32], most: u64) -> Result<bool, StoreError> {
        let tenant = key.tenant.uuid();
        // Holds the row of the tenant, so that of two at once the second one counts the first one's key.
        execute(self.connection, "update tenants set name = name where id = $1", [tenant.into()]).await?;
        let held = row::Entity::find()
            .filter(Column::TenantId.eq(tenant))
            .filter(Column::RevokedAt.is_null())
            .count(self.connection)
            .await
            .map_err(store_error)?;
        if held >= most {
            return Ok(false);
        }
        let row = row::ActiveModel {
            tenant_id: Set(tenant),
            id: Set(key.id.uuid()),
            prefix: Set(key.prefix.clone()),
            hash: Set(hash.to_vec()),
            mode: Set(key.mode.as_str().to_owned()),
            created_at: Set(to_row(key.created_at)),
            made_by: Set(key.made_by.map(UserId::uuid)),
            version: Set(key.version),
            ..changes(key)?
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(true)
    }

    async fn find(&mut self, tenant: TenantId, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), id.uuid()));
        row.one(self.connection).await.map_err(store_error)?.map(ApiKey::try_from).transpose()
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<ApiKey>, StoreError> {
        let found = row::Entity::find()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::RevokedAt.is_null())
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id);
        let total = found.clone().count(self.connection).await.map_err(store_error)?;
        let rows =
            found.offset(page.offset()).limit(page.limit).all(self.connection).await.map_err(store_error)?;
        let items = rows.into_iter().map(ApiKey::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(List::new(items, page, total))
    }

    async fn made_by(&mut self, user: UserId) -> Result<Vec<ApiKey>, StoreError> {
        let made =
            Condition::any().add(Column::MadeBy.eq(user.uuid())).add(Column::PreviousMadeBy.eq(user.uuid()));
        let rows = row::Entity::find()
            .filter(made)
            .filter(Column::RevokedAt.is_null())
            .order_by_asc(Column::Id)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    async fn update(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(key.version + 1), ..changes(key)? })
            .filter(Column::TenantId.eq(key.tenant.uuid()))
            .filter(Column::Id.eq(key.id.uuid()))
            .filter(Column::Version.eq(key.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn replace_secret(
        &mut self,
        tenant: TenantId,
        id: ApiKeyId,
        hash: [u8; 32],
        maker: UserId,
    ) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update api_keys set previous_hash = hash, previous_made_by = made_by, hash = $3, made_by = $4 \
             where tenant_id = $1 and id = $2",
            [tenant.uuid().into(), id.uuid().into(), hash.to_vec().into(), maker.uuid().into()],
        )
        .await?;
        Ok(())
    }

    async fn state<'p>(&mut self, prefix: &'p str) -> Result<Option<KeyState>, StoreError> {
        let rows = query(
            self.connection,
            "select k.tenant_id, k.id, k.hash, k.previous_hash, k.previous_expires_at, k.permissions, \
             (k.active and k.revoked_at is null and t.status = 'active') as usable, \
             k.allowed_addresses, k.rate_limit, p.plan_id, k.expires_at, \
             m.id as maker_id, m.email_verified as maker_verified, m.status as maker_status, \
             b.id as previous_maker_id, b.email_verified as previous_maker_verified, b.status as previous_maker_status \
             from api_keys k join tenants t on t.id = k.tenant_id \
             left join users m on m.id = k.made_by left join users b on b.id = k.previous_made_by \
             left join subscriptions p on p.tenant_id = k.tenant_id and p.status = 'active' \
             where k.prefix = $1",
            [prefix.into()],
        )
        .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        StateRow::from_query_result(row, "").map_err(store_error)?.try_into().map(Some)
    }
}

/// Times in a statement of our own.
pub(crate) fn time_value(at: Option<Timestamp>) -> sea_orm::Value {
    at.map(to_row).into()
}
