//! Users.

use async_trait::async_trait;
use portico_identity::{
    ports::{Credential, PasswordHash, UserRepository},
    user::{EmailAddress, User, UserStatus},
};
use portico_kernel::{PlatformRole, StoreError, TenantId, Timestamp, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the table.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub email: String,
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
        pub role: String,
        pub status: String,
        pub last_login_at: Option<TimeDateTime>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<row::Model> for Credential {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let user = User {
            id: UserId::from_uuid(row.id),
            email: EmailAddress::trusted(row.email),
            email_verified: row.email_verified,
            full_name: row.full_name,
            phone: row.phone,
            mobile: row.mobile,
            company: row.company,
            language: row.language,
            address: row.address,
            notes: row.notes,
            avatar_url: row.avatar_url,
            role: PlatformRole::parse(&row.role).ok_or_else(|| unreadable("users.role", &row.role))?,
            status: UserStatus::parse(&row.status).ok_or_else(|| unreadable("users.status", &row.status))?,
            last_login_at: row.last_login_at.map(from_row),
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        };
        Ok(Self { user, password: row.password_hash.map(PasswordHash) })
    }
}

/// Everything of a user that an update may change.
fn changeable(user: &User) -> row::ActiveModel {
    row::ActiveModel {
        email: Set(user.email.as_str().to_owned()),
        email_verified: Set(user.email_verified),
        full_name: Set(user.full_name.clone()),
        phone: Set(user.phone.clone()),
        mobile: Set(user.mobile.clone()),
        company: Set(user.company.clone()),
        language: Set(user.language.clone()),
        address: Set(user.address.clone()),
        notes: Set(user.notes.clone()),
        avatar_url: Set(user.avatar_url.clone()),
        role: Set(user.role.as_str().to_owned()),
        status: Set(user.status.as_str().to_owned()),
        updated_at: Set(to_row(user.updated_at)),
        ..<row::ActiveModel as sea_orm::ActiveModelTrait>::default()
    }
}

/// Users over one connection.
pub(crate) struct Users<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> UserRepository for Users<'_, C> {
    async fn insert(&mut self, user: &User, password: Option<PasswordHash>) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(user.id.uuid()),
            password_hash: Set(password.map(|hash| hash.0)),
            last_login_at: Set(user.last_login_at.map(to_row)),
            created_at: Set(to_row(user.created_at)),
            version: Set(user.version),
            ..changeable(user)
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.credential(id).await?.map(|credential| credential.user))
    }

    async fn by_email(&mut self, email: &EmailAddress) -> Result<Vec<Credential>, StoreError> {
        let rows = row::Entity::find()
            .filter(row::Column::Email.eq(email.as_str()))
            .filter(row::Column::Status.ne(UserStatus::Deleted.as_str()))
            .order_by_desc(row::Column::EmailVerified)
            .order_by_desc(row::Column::Id)
            .limit(2)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Credential::try_from).collect()
    }

    async fn claimants(&mut self, email: &EmailAddress, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let rows = query(
            self.connection,
            "select id from users where email = $1 and not email_verified and status <> 'deleted' \
             order by id desc limit $2",
            [email.as_str().into(), i64::from(limit).into()],
        )
        .await?;
        rows.iter().map(|row| row.try_get("", "id").map(UserId::from_uuid).map_err(store_error)).collect()
    }

    async fn credential(&mut self, id: UserId) -> Result<Option<Credential>, StoreError> {
        let row = row::Entity::find_by_id(id.uuid()).one(self.connection).await.map_err(store_error)?;
        row.map(Credential::try_from).transpose()
    }

    async fn update(&mut self, user: &User) -> Result<(), StoreError> {
        let row = row::ActiveModel { version: Set(user.version + 1), ..changeable(user) };
        let updated = row::Entity::update_many()
            .set(row)
            .filter(row::Column::Id.eq(user.id.uuid()))
            .filter(row::Column::Version.eq(user.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn set_password(&mut self, id: UserId, password: Option<PasswordHash>) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update users set password_hash = $2 where id = $1",
            [id.uuid().into(), password.map(|hash| hash.0).into()],
        )
        .await?;
        // After the lock of the user's row: a sign-in that begins at the same moment has been stored by now, or sees the new
        // password.
        execute(self.connection, "delete from pending_sign_ins where user_id = $1", [id.uuid().into()])
            .await?;
        Ok(())
    }

    async fn default_tenant(&mut self, id: UserId) -> Result<Option<TenantId>, StoreError> {
        let rows = query(
            self.connection,
            "select m.tenant_id from memberships m join tenants t on t.id = m.tenant_id \
             where m.user_id = $1 and t.status = 'active' order by m.joined_at, m.tenant_id limit 1",
            [id.uuid().into()],
        )
        .await?;
        rows.first()
            .map(|row| row.try_get("", "tenant_id").map(TenantId::from_uuid).map_err(store_error))
            .transpose()
    }

    async fn starting_tenant(&mut self, id: UserId) -> Result<Option<TenantId>, StoreError> {
        let rows = query(
            self.connection,
            "select m.tenant_id from memberships m join tenants t on t.id = m.tenant_id join users u on u.id = m.user_id \
             where m.user_id = $1 and t.status = 'active' \
             order by case when m.tenant_id = u.last_tenant_id then 0 else 1 end, m.joined_at, m.tenant_id limit 1",
            [id.uuid().into()],
        )
        .await?;
        rows.first()
            .map(|row| row.try_get("", "tenant_id").map(TenantId::from_uuid).map_err(store_error))
            .transpose()
    }

    async fn remember_tenant(&mut self, id: UserId, tenant: TenantId) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update users set last_tenant_id = $2 where id = $1",
            [id.uuid().into(), tenant.uuid().into()],
        )
        .await?;
        Ok(())
    }

    async fn lock(&mut self, id: UserId) -> Result<(), StoreError> {
        execute(self.connection, "update users set version = version where id = $1", [id.uuid().into()])
            .await?;
        Ok(())
    }

    async fn touch_login(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update users set last_login_at = $2 where id = $1",
            [id.uuid().into(), to_row(at).into()],
        )
        .await?;
        Ok(())
    }
}
