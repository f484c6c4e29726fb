//! How every statement is sent: the answer is what the domain wants, or a [`StoreError`].

use portico_kernel::{CursorPage, List, PageRequest, StoreError};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, DeleteMany, EntityTrait, FromQueryResult, Insert, InsertMany,
    PaginatorTrait, QueryResult, QuerySelect, QueryTrait, Select, SelectModel, Selector, SelectorTrait,
    Statement, StatementBuilder, TryGetError, UpdateMany, Value,
    sea_query::{Expr, Query as AnyQuery, SelectStatement},
};

use crate::{
    columns::{Col, Stored, read},
    connection::{Connection, TableInsert, Transaction, Until},
    dialect::{Dialect, dialect},
    error::store_error,
};

/// What repositories are made over. Of all that they do nothing but this depends on its type.
pub(crate) trait StatementConnection: Send {
    /// The connection, to send statements over it.
    fn db(&self) -> Db<'_>;
}

impl StatementConnection for Transaction {
    fn db(&self) -> Db<'_> {
        Db(Connection::Transaction(self))
    }
}

/// A connection with statements to be sent over it.
pub(crate) struct Db<'c>(pub Connection<'c>);

impl Db<'_> {
    /// The first row of a query.
    pub async fn one<Q: Query, T: From<Q::Row>>(&self, query: Q) -> Result<Option<T>, StoreError> {
        Ok(query.selector().one(&self.0).await.map_err(store_error)?.map(T::from))
    }

    /// All rows of a query.
    pub async fn all<Q: Query, T: From<Q::Row>>(&self, query: Q) -> Result<Vec<T>, StoreError> {
        let rows = query.selector().all(&self.0).await.map_err(store_error)?;
        Ok(rows.into_iter().map(T::from).collect())
    }

    /// How many rows a query has.
    pub async fn count<E: EntityTrait<Model: Sync>>(&self, query: Select<E>) -> Result<u64, StoreError> {
        query.count(&self.0).await.map_err(store_error)
    }

    /// One page of the rows of a query, and the number of all of them.
    pub async fn page<E, T>(&self, query: Select<E>, request: PageRequest) -> Result<List<T>, StoreError>
    where
        E: EntityTrait<Model: Sync>,
        T: From<E::Model>,
    {
        self.page_as::<_, E::Model, T>(query.clone(), query, request).await
    }

    /// One page of `rows` as `M` has them, and the number of all rows of `counted`, which leaves out what only costs time there.
    ///
    /// One statement where the list ends with this page, which one row more than asked for tells; else a second one for the number.
    /// Postgres keeps the plan of the first, because what it costs does not depend on the tenant: with the number in it, or the
    /// limit as a parameter, it makes another plan each time, which takes longer than finding twenty rows.
    pub async fn page_as<E, M, T>(
        &self,
        counted: Select<E>,
        rows: Select<E>,
        request: PageRequest,
    ) -> Result<List<T>, StoreError>
    where
        E: EntityTrait<Model: Sync>,
        M: FromQueryResult + Send + Sync,
        T: From<M>,
    {
        let statement = self.beginning(rows.into_query(), request);
        let mut rows = self.run(statement, |row| M::from_query_result_nullable(row, "")).await?;
        let (before, limit) = (request.offset(), usize::try_from(request.limit).unwrap_or(usize::MAX));
        let ends_here = rows.len() <= limit && (!rows.is_empty() || before == 0);
        let total = if ends_here { before + rows.len() as u64 } else { self.count(counted).await? };
        rows.truncate(limit);
        Ok(List::new(rows.into_iter().map(T::from).collect(), request, total))
    }

    /// The rows of a page and one more.
    fn beginning(&self, mut query: SelectStatement, request: PageRequest) -> Statement {
        let build = |query: &SelectStatement| StatementBuilder::build(query, &self.0.get_database_backend());
        let limit = request.limit + 1;
        if request.page > 1 || request.limit != PageRequest::DEFAULT_LIMIT {
            return build(query.offset(request.offset()).limit(limit));
        }
        let mut statement = build(&query);
        statement.sql.push_str(&format!(" LIMIT {limit}"));
        statement
    }

    /// The same where `rows` are those of the page and no others: one statement, and a second one for the number where the page is beyond
    /// the last one.
    pub async fn page_of<E, M, T>(
        &self,
        counted: Select<E>,
        rows: Select<E>,
        request: PageRequest,
    ) -> Result<List<T>, StoreError>
    where
        E: EntityTrait<Model: Sync>,
        M: FromQueryResult + Send + Sync,
        T: From<M>,
    {
        let number = AnyQuery::select()
            .expr(Expr::cust("count(*)"))
            .from_subquery(QuerySelect::query(&mut counted.clone()).clear_order_by().take(), "counted")
            .take();
        let rows =
            rows.expr_as(Expr::SubQuery(None, Box::new(number.into())), TOTAL).into_model::<Numbered<M>>();
        let rows = rows.all(&self.0).await.map_err(store_error)?;
        let total = match rows.first() {
            Some(first) => u64::try_from(first.total).unwrap_or_default(),
            None if request.offset() == 0 => 0,
            None => self.count(counted).await?,
        };
        Ok(List::new(rows.into_iter().map(|row| row.row.into()).collect(), request, total))
    }

    /// Adds a row.
    pub async fn insert<A: ActiveModelTrait>(&self, row: A) -> Result<(), StoreError> {
        let insert = TableInsert::of(row).statement(self.0.get_database_backend());
        self.0.execute_raw(insert).await.map(drop).map_err(store_error)
    }

    /// Adds a row with a later statement, by the commit at the latest; what is wrong with it is told then. At once where there is
    /// no transaction.
    pub async fn insert_later<A: ActiveModelTrait>(&self, row: A, until: Until) -> Result<(), StoreError> {
        match self.0.deferred() {
            Some(deferred) => {
                deferred.add(TableInsert::of(row), until);
                Ok(())
            }
            None => self.insert(row).await,
        }
    }

    /// Adds a row in a way of its own, for instance unless it is there. Answers how many it added or changed.
    pub async fn insert_with<A: ActiveModelTrait>(&self, insert: Insert<A>) -> Result<u64, StoreError> {
        insert.exec_without_returning(&self.0).await.map_err(store_error)
    }

    /// Adds rows in one statement, or in none if there are no rows. Those that give other columns than the one before are in a further
    /// statement.
    pub async fn insert_many<A: ActiveModelTrait>(
        &self,
        rows: impl IntoIterator<Item = A>,
    ) -> Result<(), StoreError> {
        let mut inserts: Vec<TableInsert> = Vec::new();
        for row in rows.into_iter().map(TableInsert::of) {
            match inserts.last_mut() {
                Some(last) if last.columns == row.columns => last.values.extend(row.values),
                _ => inserts.push(row),
            }
        }
        for insert in inserts {
            let insert = insert.statement(self.0.get_database_backend());
            self.0.execute_raw(insert).await.map_err(store_error)?;
        }
        Ok(())
    }

    /// Adds rows in a way of their own.
    pub async fn insert_many_with<A: ActiveModelTrait>(
        &self,
        insert: InsertMany<A>,
    ) -> Result<(), StoreError> {
        insert.exec_without_returning(&self.0).await.map(drop).map_err(store_error)
    }

    /// Changes rows. Answers how many.
    pub async fn update<E: EntityTrait>(&self, update: UpdateMany<E>) -> Result<u64, StoreError> {
        update.exec(&self.0).await.map(|done| done.rows_affected).map_err(store_error)
    }

    /// Changes the row that has the version at hand.
    ///
    /// # Errors
    /// `Stale` if it has another one by now.
    pub async fn update_one<E: EntityTrait>(&self, update: UpdateMany<E>) -> Result<(), StoreError> {
        if self.update(update).await? == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    /// Deletes rows. Answers how many.
    pub async fn delete<E: EntityTrait>(&self, delete: DeleteMany<E>) -> Result<u64, StoreError> {
        delete.exec(&self.0).await.map(|done| done.rows_affected).map_err(store_error)
    }

    /// Deletes rows. Answers what they were.
    pub async fn take<E: EntityTrait>(&self, delete: DeleteMany<E>) -> Result<Vec<E::Model>, StoreError> {
        delete.exec_with_returning(&self.0).await.map_err(store_error)
    }

    /// The values of the only column of a query.
    pub async fn values<E: EntityTrait, T: Stored>(&self, query: Select<E>) -> Result<Vec<T>, StoreError> {
        let values = query.into_tuple::<Col<T>>().all(&self.0).await.map_err(store_error)?;
        Ok(values.into_iter().map(|value| value.0).collect())
    }

    /// The value of the only column of the first row.
    pub async fn value<E: EntityTrait, T: Stored>(&self, query: Select<E>) -> Result<Option<T>, StoreError> {
        let value = query.into_tuple::<Col<T>>().one(&self.0).await.map_err(store_error)?;
        Ok(value.map(|value| value.0))
    }

    /// Runs a statement with `$1`, `$2` … and answers the number of rows it changed.
    pub async fn execute(&self, sql: &str, values: impl Params) -> Result<u64, StoreError> {
        let result = self.0.execute_raw(self.statement(sql, values)).await;
        result.map(|result| result.rows_affected()).map_err(store_error)
    }

    /// Runs such a statement that changes the row which has the version at hand.
    ///
    /// # Errors
    /// `Stale` if it has another one by now.
    pub async fn execute_one(&self, sql: &str, values: impl Params) -> Result<(), StoreError> {
        if self.execute(sql, values).await? == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    /// Runs a statement that cannot be prepared.
    pub async fn script(&self, sql: &str) -> Result<(), StoreError> {
        self.0.execute_unprepared(sql).await.map(drop).map_err(store_error)
    }

    /// Runs a query with `$1`, `$2` … and answers its rows: their columns by their position.
    pub async fn rows<T: Row>(&self, sql: &str, values: impl Params) -> Result<Vec<T>, StoreError> {
        self.rows_with(sql, values, T::read).await
    }

    /// The first row of such a query.
    pub async fn row<T: Row>(&self, sql: &str, values: impl Params) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// The number that such a query counts; 0 without a row.
    pub async fn total(&self, sql: &str, values: impl Params) -> Result<u64, StoreError> {
        Ok(self.row(sql, values).await?.unwrap_or_default())
    }

    /// Whether such a query finds anything. Also for one that only locks what it finds.
    pub async fn exists(&self, sql: &str, values: impl Params) -> Result<bool, StoreError> {
        Ok(self.row::<()>(sql, values).await?.is_some())
    }

    /// Runs such a query and answers its rows: their columns by their names.
    pub async fn models<M: FromQueryResult>(
        &self,
        sql: &str,
        values: impl Params,
    ) -> Result<Vec<M>, StoreError> {
        self.rows_with(sql, values, |row| M::from_query_result_nullable(row, "")).await
    }

    /// The first of them.
    pub async fn model<M: FromQueryResult>(
        &self,
        sql: &str,
        values: impl Params,
    ) -> Result<Option<M>, StoreError> {
        Ok(self.models(sql, values).await?.into_iter().next())
    }

    /// Runs such a query and has its rows read by `read`.
    pub async fn rows_with<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl Fn(&QueryResult) -> Result<T, TryGetError>,
    ) -> Result<Vec<T>, StoreError> {
        self.run(self.statement(sql, values), read).await
    }

    /// Runs a query that was put together without an entity.
    pub async fn select<M: FromQueryResult>(&self, query: &SelectStatement) -> Result<Vec<M>, StoreError> {
        let statement = StatementBuilder::build(query, &self.0.get_database_backend());
        self.run(statement, |row| M::from_query_result_nullable(row, "")).await
    }

    /// The number that such a query counts.
    pub async fn select_count(&self, query: &SelectStatement) -> Result<u64, StoreError> {
        let statement = StatementBuilder::build(query, &self.0.get_database_backend());
        Ok(self.run(statement, u64::read).await?.into_iter().next().unwrap_or_default())
    }

    /// What the database behind it speaks.
    pub fn dialect(&self) -> &'static Dialect {
        dialect(&self.0)
    }

    fn statement(&self, sql: &str, values: impl Params) -> Statement {
        Statement::from_sql_and_values(self.0.get_database_backend(), sql, values.values())
    }

    async fn run<T>(
        &self,
        statement: Statement,
        read: impl Fn(&QueryResult) -> Result<T, TryGetError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.0.query_all_raw(statement).await.map_err(store_error)?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| store_error(error.into()))
    }
}

/// The column of the number of all rows, in each row of a page.
const TOTAL: &str = "total_of_all";

/// A row of a page with the number of all rows.
struct Numbered<M> {
    row: M,
    total: i64,
}

impl<M: FromQueryResult> FromQueryResult for Numbered<M> {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self { row: M::from_query_result(row, prefix)?, total: row.try_get(prefix, TOTAL)? })
    }
}

/// `$first, …` for so many values; `null` for none, because a list without an item is none to SQL.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    if count == 0 {
        return "null".to_owned();
    }
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// One page of a list: its number of items, and those of the page.
pub(crate) async fn in_pages<T>(
    request: PageRequest,
    total: impl Future<Output = Result<u64, StoreError>>,
    items: impl Future<Output = Result<Vec<T>, StoreError>>,
) -> Result<List<T>, StoreError> {
    let total = total.await?;
    // Beyond the end there is nothing to ask for.
    let items = if request.offset() < total { items.await? } else { Vec::new() };
    Ok(List::new(items, request, total))
}

/// A piece of a list without numbers of pages, of one item more than was asked for, which tells whether there is a next piece.
pub(crate) fn piece<T>(mut items: Vec<T>, limit: u64, id: impl Fn(&T) -> String) -> CursorPage<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(id);
    CursorPage { items, next_cursor }
}

/// A query for the rows of an entity, or for a part of them.
pub(crate) trait Query {
    /// A row of it.
    type Row;
    /// How a row is read.
    type Reader: SelectorTrait<Item = Self::Row> + Send + Sync;

    /// The query as SeaORM runs it.
    fn selector(self) -> Selector<Self::Reader>;
}

impl<E: EntityTrait<Model: Sync>> Query for Select<E> {
    type Row = E::Model;
    type Reader = SelectModel<E::Model>;

    fn selector(self) -> Selector<Self::Reader> {
        self.into_model()
    }
}

impl<S: SelectorTrait + Send + Sync> Query for Selector<S> {
    type Row = S::Item;
    type Reader = S;

    fn selector(self) -> Self {
        self
    }
}

/// A parameter of a statement.
pub(crate) trait Param {
    /// As the database gets it.
    fn value(self) -> Value;
}

impl<T: Stored> Param for T {
    fn value(self) -> Value {
        self.store().into()
    }
}

/// Not for all references: the compiler takes `&T` for something that could be stored itself.
macro_rules! borrowed {
    ($($stored:ty),+) => {$(
        impl Param for &$stored {
            fn value(self) -> Value {
                self.store().into()
            }
        }
    )+};
}
borrowed!(String, Option<String>, Vec<u8>, Option<serde_json::Value>);

impl Param for &str {
    fn value(self) -> Value {
        self.into()
    }
}

impl Param for Option<&str> {
    fn value(self) -> Value {
        self.into()
    }
}

impl Param for Value {
    fn value(self) -> Value {
        self
    }
}

/// The parameters of a statement, `$1` first: nothing, an array, a tuple, or as many as are put together.
pub(crate) trait Params {
    /// As the database gets them.
    fn values(self) -> Vec<Value>;
}

impl Params for () {
    fn values(self) -> Vec<Value> {
        Vec::new()
    }
}

impl<P: Param, const N: usize> Params for [P; N] {
    fn values(self) -> Vec<Value> {
        self.into_iter().map(Param::value).collect()
    }
}

impl Params for Vec<Value> {
    fn values(self) -> Vec<Value> {
        self
    }
}

/// A row of a statement, read by position.
pub(crate) trait Row: Sized {
    /// Reads it.
    fn read(row: &QueryResult) -> Result<Self, TryGetError>;
}

/// Of such a row nothing matters but that it is there.
impl Row for () {
    fn read(_: &QueryResult) -> Result<Self, TryGetError> {
        Ok(())
    }
}

impl<T: Stored> Row for T {
    fn read(row: &QueryResult) -> Result<Self, TryGetError> {
        read(row, 0)
    }
}

/// A function cannot take tuples of any length.
macro_rules! tuples {
    ($($part:ident $index:tt),+) => {
        impl<$($part: Param),+> Params for ($($part,)+) {
            fn values(self) -> Vec<Value> {
                vec![$(self.$index.value()),+]
            }
        }

        impl<$($part: Stored),+> Row for ($($part,)+) {
            fn read(row: &QueryResult) -> Result<Self, TryGetError> {
                Ok(($(read(row, $index)?,)+))
            }
        }
    };
}
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered() {
        assert_eq!(placeholders(1, 1), "$1");
        assert_eq!(placeholders(9, 3), "$9, $10, $11");
        assert_eq!(placeholders(2, 0), "null");
    }
}
