//! Lists in pages, as sites and pages have them.

use portico_kernel::{List, PageRequest, StoreError};
use portico_sites::ports::{Sort, SortKey};
use sea_orm::{
    ConnectionTrait, EntityTrait, FromQueryResult, Order, PaginatorTrait, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, Func, IntoColumnRef},
};

use crate::error::store_error;

/// Runs a query for one page of its rows, and for the number of all of them.
pub(super) async fn list<E, T>(
    connection: &impl ConnectionTrait,
    query: Select<E>,
    request: PageRequest,
) -> Result<List<T>, StoreError>
where
    E: EntityTrait,
    E::Model: FromQueryResult + Send + Sync,
    T: TryFrom<E::Model, Error = StoreError>,
{
    let total = query.clone().count(connection).await.map_err(store_error)?;
    // Beyond the end there is nothing to ask for.
    let rows = if request.offset() < total {
        let query = query.offset(request.offset()).limit(request.limit);
        query.all(connection).await.map_err(store_error)?
    } else {
        Vec::new()
    };
    let items = rows.into_iter().map(T::try_from).collect::<Result<_, _>>()?;
    Ok(List::new(items, request, total))
}

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
