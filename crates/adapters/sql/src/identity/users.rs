//! Users.

use async_trait::async_trait;
use portico_identity::{
    ports::{Credential, PasswordHash, TenantsAtSignIn, UserRepository},
    user::{EmailAddress, User, UserStatus},
};
use portico_kernel::{PlatformRole, StaffAreas, StoreError, TenantId, Timestamp, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType,
};

use crate::{
    columns::{Col, documents, words},
    db::Db,
};

/// A row of the table.
pub(crate) mod row {
    use portico_identity::user::EmailAddress;
    use portico_identity::user::UserStatus;
    use portico_kernel::{PlatformRole, StaffAreas, Timestamp, UserId};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<UserId>,
        pub email: Col<EmailAddress>,
        pub email_verified: bool,
        pub password_hash: Option<String>,
        pub full_name: String,
        pub phone: Option<String>,
        pub mobile: Option<String>,
        pub company: Option<String>,
        pub language: String,
        pub address: Option<String>,
        pub notes: Option<String>,
        pub avatar_url: Option<String>,
        pub role: Col<PlatformRole>,
        pub staff_areas: Col<Option<StaffAreas>>,
        pub status: Col<UserStatus>,
        pub last_login_at: Col<Option<Timestamp>>,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(PlatformRole, UserStatus);
documents!(StaffAreas);

impl From<row::Model> for Credential {
    fn from(row: row::Model) -> Self {
        let user = User {
            id: row.id.0,
            email: row.email.0,
            email_verified: row.email_verified,
            full_name: row.full_name,
            phone: row.phone,
            mobile: row.mobile,
            company: row.company,
            language: row.language,
            address: row.address,
            notes: row.notes,
            avatar_url: row.avatar_url,
            role: row.role.0,
            staff_areas: row.staff_areas.0,
            status: row.status.0,
            last_login_at: row.last_login_at.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        };
        Self { user, password: row.password_hash.map(PasswordHash) }
    }
}

impl From<row::Model> for User {
    fn from(row: row::Model) -> Self {
        Credential::from(row).user
    }
}

/// Everything of a user that an update may change.
fn changeable(user: &User) -> row::ActiveModel {
    row::ActiveModel {
        email: Set(Col(user.email.clone())),
        email_verified: Set(user.email_verified),
        full_name: Set(user.full_name.clone()),
        phone: Set(user.phone.clone()),
        mobile: Set(user.mobile.clone()),
        company: Set(user.company.clone()),
        language: Set(user.language.clone()),
        address: Set(user.address.clone()),
        notes: Set(user.notes.clone()),
        avatar_url: Set(user.avatar_url.clone()),
        role: Set(Col(user.role)),
        staff_areas: Set(Col(user.staff_areas)),
        status: Set(Col(user.status)),
        updated_at: Set(Col(user.updated_at)),
        ..<row::ActiveModel as sea_orm::ActiveModelTrait>::default()
    }
}

/// The active tenants of user `$1`.
const ACTIVE_TENANTS: &str = "select m.tenant_id from memberships m join tenants t on t.id = m.tenant_id \
    where m.user_id = $1 and t.status = 'active'";

/// Their order by the time that the user has been a member of them.
const OLDEST_FIRST: &str = "order by m.joined_at, m.tenant_id";

/// Users over one connection.
pub(crate) struct Users<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl UserRepository for Users<'_> {
    async fn insert(&mut self, user: &User, password: Option<PasswordHash>) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(Col(user.id)),
            password_hash: Set(password.map(|hash| hash.0)),
            last_login_at: Set(Col(user.last_login_at)),
            created_at: Set(Col(user.created_at)),
            version: Set(user.version),
            ..changeable(user)
        };
        self.db.insert(row).await
    }

    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.credential(id).await?.map(|credential| credential.user))
    }

    async fn by_email(&mut self, email: &EmailAddress) -> Result<Vec<Credential>, StoreError> {
        let query = row::Entity::find()
            .filter(row::Column::Email.eq(email.as_str()))
            .filter(row::Column::Status.ne(Col(UserStatus::Deleted)))
            .order_by_desc(row::Column::EmailVerified)
            .order_by_desc(row::Column::Id)
            .limit(2);
        self.db.all(query).await
    }

    async fn claimants(&mut self, email: &EmailAddress, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let sql = "select id from users where email = $1 and not email_verified and status <> 'deleted' \
             order by id desc limit $2";
        self.db.rows(sql, (email.as_str(), i64::from(limit))).await
    }

    async fn credential(&mut self, id: UserId) -> Result<Option<Credential>, StoreError> {
        self.db.one(row::Entity::find_by_id(Col(id))).await
    }

    async fn update(&mut self, user: &User) -> Result<(), StoreError> {
        let row = row::ActiveModel { version: Set(user.version + 1), ..changeable(user) };
        let update = row::Entity::update_many()
            .set(row)
            .filter(row::Column::Id.eq(Col(user.id)))
            .filter(row::Column::Version.eq(user.version));
        self.db.update_one(update).await
    }

    async fn set_password(&mut self, id: UserId, password: Option<PasswordHash>) -> Result<(), StoreError> {
        let sql = "update users set password_hash = $2 where id = $1";
        self.db.execute(sql, (id, password.map(|hash| hash.0))).await?;
        // After the lock of the user's row: a sign-in that begins at the same moment has been stored by now, or sees the new
        // password.
        self.db.execute("delete from pending_sign_ins where user_id = $1", [id]).await.map(drop)
    }

    async fn default_tenant(&mut self, id: UserId) -> Result<Option<TenantId>, StoreError> {
        self.db.row(&format!("{ACTIVE_TENANTS} {OLDEST_FIRST} limit 1"), [id]).await
    }

    async fn tenants_at_sign_in(&mut self, id: UserId) -> Result<TenantsAtSignIn, StoreError> {
        let sql = format!(
            "select ({ACTIVE_TENANTS} {OLDEST_FIRST} limit 1) as oldest, \
             ({ACTIVE_TENANTS} and m.tenant_id = (select last_tenant_id from users where id = $1)) as latest"
        );
        let found: Option<(Option<TenantId>, Option<TenantId>)> = self.db.row(&sql, [id]).await?;
        let (default, last) = found.unwrap_or_default();
        Ok(TenantsAtSignIn { default, starting: last.or(default) })
    }

    async fn remember_tenant(&mut self, id: UserId, tenant: TenantId) -> Result<(), StoreError> {
        self.db.execute("update users set last_tenant_id = $2 where id = $1", (id, tenant)).await.map(drop)
    }

    async fn lock(&mut self, id: UserId) -> Result<Option<Credential>, StoreError> {
        self.db.one(row::Entity::find_by_id(Col(id)).lock(LockType::NoKeyUpdate)).await
    }

    async fn touch_login(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        self.db.execute("update users set last_login_at = $2 where id = $1", (id, at)).await.map(drop)
    }
}
