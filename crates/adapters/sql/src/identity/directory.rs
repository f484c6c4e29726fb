//! Accounts as those who look after them see them.

use async_trait::async_trait;
use portico_identity::{
    administration::{UserFilter, UserOrder, UserSort},
    ports::UserDirectory,
    user::{User, UserStatus},
};
use portico_kernel::{List, PageRequest, PlatformRole, StoreError, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder,
    sea_query::{Expr, NullOrdering},
};

use super::users::row;
use crate::{columns::Col, db::Db, dialect::contains};

/// The directory over one connection.
pub(crate) struct Directory<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl UserDirectory for Directory<'_> {
    async fn list(
        &mut self,
        filter: UserFilter,
        order: UserOrder,
        page: PageRequest,
    ) -> Result<List<User>, StoreError> {
        let mut found = row::Entity::find();
        found = match filter.status {
            Some(status) => found.filter(row::Column::Status.eq(Col(status))),
            None => found.filter(row::Column::Status.ne(Col(UserStatus::Deleted))),
        };
        if let Some(role) = filter.role {
            found = found.filter(row::Column::Role.eq(Col(role)));
        }
        if let Some(verified) = filter.email_verified {
            found = found.filter(row::Column::EmailVerified.eq(verified));
        }
        if let Some(part) = &filter.q {
            let columns =
                [row::Column::FullName, row::Column::Email].map(|column| Expr::col(column.as_column_ref()));
            found = found.filter(contains(columns, part.trim()));
        }
        let column = match order.sort {
            UserSort::CreatedAt => row::Column::CreatedAt,
            UserSort::Email => row::Column::Email,
            UserSort::LastLoginAt => row::Column::LastLoginAt,
        };
        let (direction, nulls) = match order.descending {
            true => (Order::Desc, NullOrdering::Last),
            false => (Order::Asc, NullOrdering::First),
        };
        // Said only where there are nulls: an index serves the order only if both say the same.
        found = match order.sort {
            UserSort::LastLoginAt => found.order_by_with_nulls(column, direction.clone(), nulls),
            _ => found.order_by(column, direction.clone()),
        };
        self.db.page(found.order_by(row::Column::Id, direction), page).await
    }

    async fn lock_super_admins(&mut self) -> Result<Vec<UserId>, StoreError> {
        // Everybody locks the rows in the same order. Whoever had to wait sees what the others made of them.
        let lock = format!(
            "select id from users where role = $1 and role <> 'customer' and status = $2 order by id {}",
            self.db.dialect().for_update
        );
        self.db.rows(&lock, (PlatformRole::SuperAdmin, UserStatus::Active)).await
    }
}
