//! Whether statements name the tenant that they are about.
//!
//! Tables that belong to tenants can be spread over many servers by tenant (Citus, or a database that is distributed by
//! itself), as long as each statement names the tenant: else it goes to every server. The same holds on one server
//! for safety: a statement without the tenant is one mistake away from another tenant's rows. So each test database checks,
//! before it is removed, every statement that any test had it run.

use std::{
    collections::{BTreeSet, HashSet},
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
};

use sqlparser::{
    ast::{
        BinaryOperator, Expr, JoinConstraint, JoinOperator, ObjectName, Query, Select, SetExpr, Statement,
        TableFactor, TableObject, Visit, Visitor,
    },
    dialect::PostgreSqlDialect,
    parser::Parser,
};

use crate::across_tenants::ACROSS_TENANTS;

/// The column that names the tenant of a row.
const COLUMN: &str = "tenant_id";

/// The table of tenants themselves, whose key is the tenant.
const TENANTS: &str = "tenants";

/// What is wrong with a statement: the tables of `owned` whose rows it reads or changes without naming the tenant. Empty when it
/// names one, and for a statement of [`ACROSS_TENANTS`].
pub(crate) fn tables_without_tenant(sql: &str, owned: &BTreeSet<String>) -> Result<Vec<String>, String> {
    // Statements that passed: test databases run the same ones.
    static FINE: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let fine = || FINE.lock().unwrap_or_else(PoisonError::into_inner);
    if fine().get_or_insert_default().contains(sql) {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    // sqlparser does not parse the weaker locks.
    let text = ["for no key update", "FOR NO KEY UPDATE"]
        .iter()
        .fold(sql.to_owned(), |sql, lock| sql.replace(lock, "for update"));
    let text =
        ["for key share", "FOR KEY SHARE"].iter().fold(text, |sql, lock| sql.replace(lock, "for share"));
    // Statements that are not about rows (begin, listen, …) have no table.
    let about_rows = ["select", "insert", "update", "delete", "with"];
    let first = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if about_rows.contains(&first.as_str()) && !is_across(sql) {
        let statements =
            Parser::parse_sql(&PostgreSqlDialect {}, &text).map_err(|error| format!("{error}: {sql}"))?;
        for statement in &statements {
            let mut walk = Walk::new(owned);
            let _ = statement.visit(&mut walk);
            missing.extend(walk.unbound());
        }
    }
    if missing.is_empty() {
        fine().get_or_insert_default().insert(sql.to_owned());
    }
    Ok(missing)
}

fn is_across(sql: &str) -> bool {
    let words = sql.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ");
    // Without the numbers of parameters.
    let mut after_dollar = false;
    let sql: String = words
        .chars()
        .filter(|character| {
            let number = after_dollar && character.is_ascii_digit();
            after_dollar = number || *character == '$';
            !number
        })
        .collect();
    ACROSS_TENANTS.iter().any(|(part, _)| sql.contains(part))
}

/// A use of a table in a statement.
struct TableUse {
    name: String,
    alias: String,
    /// Rows of a tenant; else the result of a subquery, which is checked by itself.
    owned: bool,
    /// A condition names the tenant.
    bound: bool,
}

/// A column that may name the tenant of a row.
struct Column {
    /// The qualifier before it, if there is one.
    alias: Option<String>,
    /// Whether it is a key, which names the tenant in the table of tenants only.
    key: bool,
}

/// A condition on such columns, and in which scopes it stands (the innermost last).
struct Condition {
    scopes: Vec<usize>,
    column: Column,
    /// Another such column, or any other value.
    equals: Option<Column>,
}

/// Goes through a statement and collects tables and conditions. Conditions are resolved at the end: an expression may stand
/// before the table that it names.
struct Walk<'o> {
    owned: &'o BTreeSet<String>,
    places: Vec<TableUse>,
    /// The uses of tables in each scope (a select, an update …) by index.
    scopes: Vec<Vec<usize>>,
    /// Open scopes, each with the number of `or` around the present expression.
    open: Vec<(usize, usize)>,
    named_queries: BTreeSet<String>,
    conditions: Vec<Condition>,
    inserts: Vec<String>,
}

impl<'o> Walk<'o> {
    fn new(owned: &'o BTreeSet<String>) -> Self {
        Self {
            owned,
            places: Vec::new(),
            scopes: Vec::new(),
            open: Vec::new(),
            named_queries: BTreeSet::new(),
            conditions: Vec::new(),
            inserts: Vec::new(),
        }
    }

    fn enter(&mut self) {
        self.open.push((self.scopes.len(), 0));
        self.scopes.push(Vec::new());
    }

    fn add(&mut self, name: &str, alias: &str) {
        let is_query = self.named_queries.contains(name);
        let owned = !is_query && (self.owned.contains(name) || name == TENANTS);
        let place = TableUse { name: name.to_owned(), alias: alias.to_owned(), owned, bound: !owned };
        if let Some((scope, _)) = self.open.last() {
            self.scopes[*scope].push(self.places.len());
            self.places.push(place);
        }
    }

    fn compare(&mut self, left: &Expr, right: &Expr) {
        if let (Expr::Tuple(left), Expr::Tuple(right)) = (bare(left), bare(right)) {
            for (left, right) in left.iter().zip(right) {
                self.compare(left, right);
            }
            return;
        }
        match (column(left), column(right)) {
            (Some(one), Some(other)) => self.condition(one, Some(other)),
            (Some(column), None) | (None, Some(column)) => self.condition(column, None),
            (None, None) => {}
        }
    }

    fn among(&mut self, expression: &Expr) {
        let expressions = match bare(expression) {
            Expr::Tuple(expressions) => expressions.as_slice(),
            single => std::slice::from_ref(single),
        };
        for column in expressions.iter().filter_map(column) {
            self.condition(column, None);
        }
    }

    fn condition(&mut self, column: Column, equals: Option<Column>) {
        // Under an `or`, a condition need not hold.
        if self.open.last().is_some_and(|(_, or)| *or == 0) {
            let scopes = self.open.iter().map(|(scope, _)| *scope).collect();
            self.conditions.push(Condition { scopes, column, equals });
        }
    }

    /// The use of a table that a column refers to.
    fn place_of(&self, scopes: &[usize], column: &Column) -> Option<usize> {
        let place = scopes.iter().rev().find_map(|scope| {
            let places = &self.scopes[*scope];
            match &column.alias {
                Some(alias) => places.iter().copied().find(|place| self.places[*place].alias == *alias),
                None => {
                    let mut owned = places.iter().copied().filter(|place| self.places[*place].owned);
                    let first = owned.next();
                    match (first, owned.next()) {
                        (Some(only), None) => Some(only),
                        _ => None,
                    }
                }
            }
        })?;
        (!column.key || self.places[place].name == TENANTS).then_some(place)
    }

    fn unbound(mut self) -> Vec<String> {
        let mut equal = Vec::new();
        for Condition { scopes, column, equals } in &self.conditions {
            let one = self.place_of(scopes, column);
            let other = equals.as_ref().and_then(|column| self.place_of(scopes, column));
            match (one, other) {
                (Some(one), Some(other)) => equal.push((one, other)),
                // The other side is a value, perhaps of another query.
                (Some(place), None) => self.places[place].bound = true,
                (None, Some(place)) => self.places[place].bound = true,
                (None, None) => {}
            }
        }
        // What equals something bound is bound.
        let mut changed = true;
        while changed {
            changed = false;
            for (one, other) in equal.iter().copied() {
                if self.places[one].bound != self.places[other].bound {
                    self.places[one].bound = true;
                    self.places[other].bound = true;
                    changed = true;
                }
            }
        }
        let places = self.places.iter().filter(|place| !place.bound && place.name != TENANTS);
        places.map(|place| place.name.clone()).chain(self.inserts).collect()
    }
}

impl Visitor for Walk<'_> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.enter();
        if let Statement::Insert(insert) = statement
            && let TableObject::TableName(name) = &insert.table
        {
            let table = last(name);
            let says = insert.columns.iter().any(|column| last(column) == COLUMN);
            if self.owned.contains(&table) && !says {
                self.inserts.push(table);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_statement(&mut self, _: &Statement) -> ControlFlow<()> {
        self.open.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for named in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.named_queries.insert(named.alias.name.value.clone());
        }
        // The order of a union has no table of its own.
        if !matches!(*query.body, SetExpr::Select(_)) {
            self.enter();
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if !matches!(*query.body, SetExpr::Select(_)) {
            self.open.pop();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.enter();
        let joins = select.from.iter().flat_map(|table| {
            let mut before = vec![alias_of(&table.relation)];
            table.joins.iter().map(move |join| {
                let left = before.clone();
                before.push(alias_of(&join.relation));
                (left, alias_of(&join.relation), &join.join_operator)
            })
        });
        for (left, right, operator) in joins.collect::<Vec<_>>() {
            let (JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)) = operator
            else {
                continue;
            };
            if let JoinConstraint::Using(columns) = constraint
                && columns.iter().any(|column| last(column) == COLUMN)
            {
                for left in left {
                    let column = |alias: &str| Column { alias: Some(alias.to_owned()), key: false };
                    self.condition(column(&left), Some(column(&right)));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.open.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.add(&last(name), &alias_of(factor)),
            TableFactor::NestedJoin { .. } => {}
            // Checked in the scope of its own tables.
            _ => self.add("", &alias_of(factor)),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => self.compare(left, right),
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => {
                if let Some((_, or)) = self.open.last_mut() {
                    *or += 1;
                }
            }
            Expr::InList { expr, negated: false, .. }
            | Expr::InSubquery { expr, negated: false, .. }
            | Expr::AnyOp { left: expr, compare_op: BinaryOperator::Eq, .. } => self.among(expr),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Expr::BinaryOp { op: BinaryOperator::Or, .. } = expression
            && let Some((_, or)) = self.open.last_mut()
        {
            *or -= 1;
        }
        ControlFlow::Continue(())
    }
}

/// Without parentheses and casts.
fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => bare(inner),
        other => other,
    }
}

/// The column, if it names the tenant of a row. A row of the table of tenants names it by its key.
fn column(expression: &Expr) -> Option<Column> {
    match bare(expression) {
        Expr::Identifier(name) if name.value == COLUMN => Some(Column { alias: None, key: false }),
        Expr::CompoundIdentifier(parts) => {
            let (name, before) = parts.split_last()?;
            let key = name.value == "id";
            let alias = Some(before.last()?.value.clone());
            (name.value == COLUMN || key).then_some(Column { alias, key })
        }
        _ => None,
    }
}

fn last(name: &ObjectName) -> String {
    let part = name.0.last().and_then(|part| part.as_ident());
    part.map(|ident| ident.value.clone()).unwrap_or_default()
}

fn alias_of(factor: &TableFactor) -> String {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            alias.as_ref().map_or_else(|| last(name), |alias| alias.name.value.clone())
        }
        TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::TableFunction { alias, .. } => {
            alias.as_ref().map(|alias| alias.name.value.clone()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(sql: &str) -> Vec<String> {
        let owned = ["pages", "sections"].map(str::to_owned).into();
        tables_without_tenant(sql, &owned).unwrap()
    }

    #[test]
    fn a_statement_that_says_whose_rows_is_fine() {
        for sql in [
            "select * from pages where tenant_id = $1 and id = $2",
            "select * from pages p where $1 = p.tenant_id",
            "select * from \"pages\" where \"pages\".\"tenant_id\" = $1 and (\"pages\".\"a\" = $2 or \"pages\".\"b\" = $3)",
            "select * from pages where (tenant_id, id) = ($1, $2)",
            "select * from pages where (tenant_id, id) in (($1, $2), ($3, $4))",
            "select * from pages where tenant_id = any($1)",
            "select * from pages p join sections s on s.tenant_id = p.tenant_id and s.page_id = p.id where p.tenant_id = $1",
            "select * from pages join sections using (tenant_id) where pages.tenant_id = $1",
            "select (select count(*) from sections where sections.tenant_id = pages.tenant_id) from pages where tenant_id = $1",
            "update pages set title = $1 where tenant_id = $2 and id = $3",
            "update pages set title = v.title from unnest($1::uuid[], $2::text[]) as v(tenant_id, title) where pages.tenant_id = v.tenant_id",
            "delete from pages where tenant_id = $1 and not exists (select 1 from sections s where s.tenant_id = pages.tenant_id)",
            "insert into pages (tenant_id, id) values ($1, $2) on conflict do nothing",
            "with mine as (select * from pages where tenant_id = $1) select * from mine",
            "select * from tenants t join pages p on p.tenant_id = t.id where t.id = $1",
            "select * from pages p join users u on p.tenant_id = u.id",
            "select * from users where id = $1",
            "begin",
        ] {
            assert_eq!(missing(sql), Vec::<String>::new(), "{sql}");
        }
    }

    #[test]
    fn one_that_does_not_is_found() {
        for (sql, tables) in [
            ("select * from pages where id = $1", vec!["pages"]),
            ("select * from pages where tenant_id = $1 or id = $2", vec!["pages"]),
            ("select * from pages where tenant_id <> $1", vec!["pages"]),
            ("select tenant_id from pages", vec!["pages"]),
            (
                "select * from pages p join sections s on s.page_id = p.id where p.tenant_id = $1",
                vec!["sections"],
            ),
            ("select * from pages p join sections s on s.tenant_id = p.tenant_id", vec!["pages", "sections"]),
            ("update pages set title = $1 where id = $2", vec!["pages"]),
            ("update pages set tenant_id = $1", vec!["pages"]),
            (
                "delete from pages where id in (select page_id from sections where tenant_id = $1)",
                vec!["pages"],
            ),
            (
                "delete from pages where tenant_id = $1 and id in (select page_id from sections)",
                vec!["sections"],
            ),
            ("insert into pages (id) values ($1)", vec!["pages"]),
            ("with old as (select * from pages) delete from sections where tenant_id = $1", vec!["pages"]),
            ("select * from tenants t join pages p on p.tenant_id = t.id", vec!["pages"]),
            ("select * from pages p where p.id = $1", vec!["pages"]),
            ("with old as (delete from pages returning id) select * from old", vec!["pages"]),
        ] {
            assert_eq!(missing(sql), tables, "{sql}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_excuse() {
        let owned = BTreeSet::new();
        assert!(tables_without_tenant("select (from pages", &owned).is_err());
    }
}
