//! How lists are sorted, as sites and pages are.

use portico_sites::ports::{Sort, SortKey};
use sea_orm::{
    EntityTrait, Order, QueryOrder, Select,
    sea_query::{Expr, Func, IntoColumnRef},
};

/// The columns that a list can be sorted by.
pub(super) struct SortColumns<C> {
    pub created_at: C,
    pub updated_at: C,
    pub name: C,
    /// Decides between equals, so that no row is on two pages or on none.
    pub id: C,
}

/// Sorts a query. Names sort without regard to case.
pub(super) fn sorted<E: EntityTrait>(
    query: Select<E>,
    sort: Sort,
    columns: SortColumns<E::Column>,
) -> Select<E> {
    let order = if sort.descending { Order::Desc } else { Order::Asc };
    let column = |column: E::Column| Expr::column(column.into_column_ref());
    let key = match sort.key {
        SortKey::CreatedAt => column(columns.created_at),
        SortKey::UpdatedAt => column(columns.updated_at),
        SortKey::Name => Func::lower(column(columns.name)).into(),
    };
    query.order_by(key, order.clone()).order_by(column(columns.id), order)
}
