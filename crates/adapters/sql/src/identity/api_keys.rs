//! API keys.

use async_trait::async_trait;
use portico_identity::{
    api_key::{AddressRange, ApiKey, KeySecret, KeyState, Mode},
    ports::ApiKeyRepository,
    user::UserStatus,
};
use portico_kernel::{
    ApiKeyId, KeyMaker, List, PageRequest, Permission, Permissions, StoreError, TenantId, Timestamp, UserId,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
};
use serde_json::Value;

use crate::{
    billing::agreed_rate,
    columns::{Col, Stored, documents, words},
    db::Db,
};
use row::Column;

/// A row of the table.
pub(crate) mod row {
    use portico_identity::api_key::{AddressRange, Mode};
    use portico_kernel::{ApiKeyId, Permissions, TenantId, Timestamp, UserId};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<ApiKeyId>,
        pub name: String,
        pub prefix: String,
        pub hash: Col<[u8; 32]>,
        pub previous_hash: Col<Option<[u8; 32]>>,
        pub previous_expires_at: Col<Option<Timestamp>>,
        pub permissions: Col<Permissions>,
        pub mode: Col<Mode>,
        pub active: bool,
        pub allowed_addresses: Col<Vec<AddressRange>>,
        pub rate_limit: Col<Option<u32>>,
        pub expires_at: Col<Option<Timestamp>>,
        pub last_used_at: Col<Option<Timestamp>>,
        pub refusals_noticed_at: Col<Option<Timestamp>>,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub revoked_at: Col<Option<Timestamp>>,
        pub made_by: Col<Option<UserId>>,
        pub previous_made_by: Col<Option<UserId>>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(Mode);

/// A word that this version does not know gives no permission.
impl Stored for Permissions {
    type Raw = Value;

    fn store(&self) -> Value {
        self.iter().map(Permission::as_str).collect()
    }

    fn load(raw: Value) -> Result<Self, String> {
        let words: Vec<String> = serde_json::from_value(raw).map_err(|error| error.to_string())?;
        let known: Vec<_> = words.iter().filter_map(|word| Permission::parse(word)).collect();
        Ok(Self::from_list(&known))
    }
}

documents!(Vec<AddressRange>);

impl From<row::Model> for ApiKey {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            name: row.name,
            prefix: row.prefix,
            permissions: row.permissions.0,
            mode: row.mode.0,
            active: row.active,
            allowed_addresses: row.allowed_addresses.0,
            rate_limit_per_minute: row.rate_limit.0,
            expires_at: row.expires_at.0,
            previous_secret_expires_at: row.previous_expires_at.0,
            last_used_at: row.last_used_at.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            revoked_at: row.revoked_at.0,
            made_by: row.made_by.0,
            version: row.version,
        }
    }
}

/// What an update may change.
fn changes(key: &ApiKey) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        name: Set(key.name.clone()),
        prefix: NotSet,
        hash: NotSet,
        previous_hash: NotSet,
        previous_expires_at: Set(Col(key.previous_secret_expires_at)),
        permissions: Set(Col(key.permissions)),
        mode: NotSet,
        active: Set(key.active),
        allowed_addresses: Set(Col(key.allowed_addresses.clone())),
        rate_limit: Set(Col(key.rate_limit_per_minute)),
        expires_at: Set(Col(key.expires_at)),
        last_used_at: NotSet,
        refusals_noticed_at: NotSet,
        created_at: NotSet,
        updated_at: Set(Col(key.updated_at)),
        revoked_at: Set(Col(key.revoked_at)),
        made_by: NotSet,
        previous_made_by: NotSet,
        version: NotSet,
    }
}

/// The answer to [`ApiKeyRepository::state`].
#[derive(FromQueryResult)]
struct StateRow {
    tenant_id: Col<TenantId>,
    id: Col<ApiKeyId>,
    hash: Col<[u8; 32]>,
    previous_hash: Col<Option<[u8; 32]>>,
    previous_expires_at: Col<Option<Timestamp>>,
    permissions: Col<Permissions>,
    usable: bool,
    allowed_addresses: Col<Vec<AddressRange>>,
    rate_limit: Col<Option<u32>>,
    plan_id: Option<String>,
    agreed_rate: Col<Option<u32>>,
    expires_at: Col<Option<Timestamp>>,
    maker_id: Col<Option<UserId>>,
    maker_verified: Option<bool>,
    maker_status: Col<Option<UserStatus>>,
    previous_maker_id: Col<Option<UserId>>,
    previous_maker_verified: Option<bool>,
    previous_maker_status: Col<Option<UserStatus>>,
}

/// A secret with the account of its maker as it was joined.
fn secret(
    hash: [u8; 32],
    id: Option<UserId>,
    verified: Option<bool>,
    status: Option<UserStatus>,
) -> KeySecret {
    let maker = id.map(|id| KeyMaker { id, email_verified: verified == Some(true) });
    KeySecret { hash, maker, maker_barred: maker.is_some() && status != Some(UserStatus::Active) }
}

impl From<StateRow> for KeyState {
    fn from(row: StateRow) -> Self {
        let before = (row.previous_maker_id.0, row.previous_maker_verified, row.previous_maker_status.0);
        let previous = row.previous_hash.0.map(|hash| secret(hash, before.0, before.1, before.2));
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            permissions: row.permissions.0,
            usable: row.usable,
            expires_at: row.expires_at.0,
            allowed_addresses: row.allowed_addresses.0,
            rate_limit_per_minute: row.rate_limit.0,
            plan: row.plan_id,
            tenant_rate_limit: row.agreed_rate.0,
            secret: secret(row.hash.0, row.maker_id.0, row.maker_verified, row.maker_status.0),
            previous: previous.zip(row.previous_expires_at.0),
        }
    }
}

/// Keys over one connection.
pub(crate) struct ApiKeys<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl ApiKeyRepository for ApiKeys<'_> {
    async fn insert(&mut self, key: &ApiKey, hash: [u8; 32], most: u64) -> Result<bool, StoreError> {
        let tenant = key.tenant;
        // Holds the row of the tenant, so that of two at once the second one counts the first one's key.
        self.db.execute("update tenants set name = name where id = $1", [tenant]).await?;
        let query =
            row::Entity::find().filter(Column::TenantId.eq(Col(tenant))).filter(Column::RevokedAt.is_null());
        let held = self.db.count(query).await?;
        if held >= most {
            return Ok(false);
        }
        let row = row::ActiveModel {
            tenant_id: Set(Col(tenant)),
            id: Set(Col(key.id)),
            prefix: Set(key.prefix.clone()),
            hash: Set(Col(hash)),
            mode: Set(Col(key.mode)),
            created_at: Set(Col(key.created_at)),
            made_by: Set(Col(key.made_by)),
            version: Set(key.version),
            ..changes(key)
        };
        self.db.insert(row).await?;
        Ok(true)
    }

    async fn find(&mut self, tenant: TenantId, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(id)));
        self.db.one(row).await
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<ApiKey>, StoreError> {
        let found = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::RevokedAt.is_null())
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id);
        self.db.page(found, page).await
    }

    async fn made_by(&mut self, user: UserId) -> Result<Vec<ApiKey>, StoreError> {
        let made =
            Condition::any().add(Column::MadeBy.eq(Col(user))).add(Column::PreviousMadeBy.eq(Col(user)));
        let query =
            row::Entity::find().filter(made).filter(Column::RevokedAt.is_null()).order_by_asc(Column::Id);
        self.db.all(query).await
    }

    async fn update(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(key.version + 1), ..changes(key) })
            .filter(Column::TenantId.eq(Col(key.tenant)))
            .filter(Column::Id.eq(Col(key.id)))
            .filter(Column::Version.eq(key.version));
        self.db.update_one(update).await
    }

    async fn replace_secret(
        &mut self,
        tenant: TenantId,
        id: ApiKeyId,
        hash: [u8; 32],
        maker: UserId,
    ) -> Result<(), StoreError> {
        let sql = "update api_keys set previous_hash = hash, previous_made_by = made_by, hash = $3, made_by = $4 \
             where tenant_id = $1 and id = $2";
        self.db.execute(sql, (tenant, id, hash, maker)).await.map(drop)
    }

    async fn state<'p>(&mut self, prefix: &'p str) -> Result<Option<KeyState>, StoreError> {
        let agreed_rate = agreed_rate("p", "perKey");
        let sql = format!(
            "select k.tenant_id, k.id, k.hash, k.previous_hash, k.previous_expires_at, k.permissions, \
             (k.active and k.revoked_at is null and t.status = 'active') as usable, \
             k.allowed_addresses, k.rate_limit, p.plan_id, {agreed_rate} as agreed_rate, k.expires_at, \
             m.id as maker_id, m.email_verified as maker_verified, m.status as maker_status, \
             b.id as previous_maker_id, b.email_verified as previous_maker_verified, b.status as previous_maker_status \
             from api_keys k join tenants t on t.id = k.tenant_id \
             left join users m on m.id = k.made_by left join users b on b.id = k.previous_made_by \
             left join subscriptions p on p.tenant_id = k.tenant_id and p.status = 'active' \
             where k.prefix = $1"
        );
        let found: Option<StateRow> = self.db.model(&sql, [prefix]).await?;
        Ok(found.map(KeyState::from))
    }
}
