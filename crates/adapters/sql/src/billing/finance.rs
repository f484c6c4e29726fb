//! What the financial report is made of.

use async_trait::async_trait;
use portico_billing::{
    finance::{BookedSum, ChangeCount, PricedVersion},
    ledger::Account,
    paid::PriceReference,
    plan::PlanPrice,
    plan_discount::RecurringOff,
    ports::FinanceRepository,
    recurring::RecurringChange,
    subject::Subject,
};
use portico_kernel::{Month, StoreError};
use sea_orm::Value;

use crate::{
    columns::Stored,
    db::{Db, Param},
};

impl Stored for RecurringOff {
    type Raw = String;

    fn store(&self) -> String {
        self.to_string()
    }

    fn load(raw: String) -> Result<Self, String> {
        Self::parse(&raw).ok_or(raw)
    }
}

/// The sums of the months over one connection.
pub(crate) struct Finance<'c> {
    pub db: Db<'c>,
}

/// A query for each month, with the months by their numbers from the first one: each reads its part of the index and no more, and sums it
/// before the next one begins. Grouped by month in one query, all entries would be sorted where the database takes the groups for many. The
/// first value is the mode.
fn by_month(
    live: bool,
    from: Month,
    to: Month,
    query: impl Fn(&str, &str, &str) -> String,
) -> (String, Vec<Value>) {
    let (mut parts, mut values): (Vec<String>, Vec<Value>) = (Vec::new(), vec![live.value()]);
    for (number, month) in from.through(to).enumerate() {
        let first = values.len() + 1;
        parts.push(query(&number.to_string(), &format!("${first}"), &format!("${}", first + 1)));
        values.extend([month.starts_at().value(), month.ends_at().value()]);
    }
    (parts.join(" union all "), values)
}

#[async_trait]
impl FinanceRepository for Finance<'_> {
    async fn record(&mut self, change: &RecurringChange) -> Result<(), StoreError> {
        let sql = "insert into recurring_changes (tenant_id, revision, from_price, to_price, changed_at, live, from_discount, to_discount) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)";
        let values = (
            change.tenant_id,
            change.revision,
            change.from.clone(),
            change.to.clone(),
            change.changed_at,
            change.live,
            change.from_off,
            change.to_off,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn booked(&mut self, live: bool, from: Month, to: Month) -> Result<Vec<BookedSum>, StoreError> {
        let (sql, values) = by_month(live, from, to, |number, start, end| {
            format!(
                "select {number} as month, currency, account, subject, cast(sum(amount) as bigint) as amount from ledger_entries \
                 where subject is not null and live = $1 and booked_at >= {start} and booked_at < {end} group by currency, account, subject"
            )
        });
        let rows: Vec<(i32, String, Account, Subject, i64)> = self.db.rows(&sql, values).await?;
        let sum = |(number, currency, account, subject, amount): (i32, String, Account, Subject, i64)| {
            BookedSum { month: from.plus(number), currency, account, subject, amount }
        };
        Ok(rows.into_iter().map(sum).collect())
    }

    async fn changes(&mut self, live: bool, from: Month, to: Month) -> Result<Vec<ChangeCount>, StoreError> {
        let (sql, mut values) = by_month(live, from, to, |number, start, end| {
            format!(
                "select {number} as month, from_price, to_price, from_discount, to_discount, count(*) as changes \
                 from recurring_changes where live = $1 and changed_at >= {start} and changed_at < {end} \
                 group by from_price, to_price, from_discount, to_discount"
            )
        });
        values.push(from.starts_at().value());
        let sql = format!(
            "{sql} union all select -1 as month, from_price, to_price, from_discount, to_discount, count(*) as changes \
             from recurring_changes where live = $1 and changed_at < ${} group by from_price, to_price, from_discount, to_discount",
            values.len()
        );
        type Off = Option<RecurringOff>;
        type Row = (i32, Option<PriceReference>, Option<PriceReference>, Off, Off, u64);
        let rows: Vec<Row> = self.db.rows(&sql, values).await?;
        let change = |(number, before, after, from_off, to_off, count): Row| {
            let month = (number >= 0).then(|| from.plus(number));
            ChangeCount { month, from: before, to: after, from_off, to_off, count }
        };
        Ok(rows.into_iter().map(change).collect())
    }

    async fn prices(&mut self) -> Result<Vec<PricedVersion>, StoreError> {
        let rows: Vec<(String, i32, Vec<PlanPrice>)> =
            self.db.rows("select id, version, prices from plans", ()).await?;
        Ok(rows.into_iter().map(|(plan, version, prices)| PricedVersion { plan, version, prices }).collect())
    }
}
