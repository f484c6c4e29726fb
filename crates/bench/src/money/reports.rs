//! What staff read about money and growth, with 100,000 purchases of 10,000 customers over twelve months. Each sum is compared with what
//! the filling code has added up by itself, while it made the rows.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use portico_kernel::{Month, Timestamp};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use time::PrimitiveDateTime;
use uuid::Uuid;

use super::{Latencies, Rounds, Stage, id_at, now, wait_for};
use crate::report::{Aim, Report};

/// Customers, each with an owner.
const CUSTOMERS: usize = 10_000;
/// Purchases, the same number of each customer.
const PURCHASES: usize = 100_000;
/// Rows of one statement.
const CHUNK: usize = 10_000;
/// Products that are bought in turn.
const PRODUCTS: usize = 20;
/// Each so manieth purchase is given back, an hour later.
const GIVEN_BACK: usize = 25;
/// Months of a report.
const MONTHS: i32 = 12;

/// Requests of each kind in a round, one after the other.
const TIMES: usize = 20;

/// The figures of growth are counted within this time after the start.
const PATIENCE: Duration = Duration::from_secs(300);

/// The aim for each answer, in milliseconds.
const AIM: Aim = Aim::Below(300.0);

/// Money of a month in one currency, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    gross: i64,
    refunds: i64,
    fees: i64,
}

/// What the filling code has made, as it has added it up.
pub struct Booked {
    /// The first month and the last one, which runs.
    months: (Month, Month),
    moved: BTreeMap<(String, String), Moved>,
    /// Customers by the month in which they came, and as many owners.
    came: BTreeMap<String, u64>,
}

/// A purchase that is made up.
struct Purchase {
    id: Uuid,
    customer: usize,
    amount: i64,
    currency: &'static str,
    product: String,
    fee: i64,
    at: Timestamp,
    given_back: Option<Timestamp>,
}

impl Purchase {
    fn new(number: usize, at: Timestamp) -> Self {
        let amount = 1000 + 10 * (number % 997) as i64;
        Self {
            id: id_at(at, 3, number),
            customer: number % CUSTOMERS,
            amount,
            currency: if number.is_multiple_of(3) { "gtq" } else { "usd" },
            product: format!("p{}", number % PRODUCTS),
            fee: amount * 29 / 1000 + 30,
            at,
            given_back: (number.is_multiple_of(GIVEN_BACK)).then(|| at + time::Duration::HOUR),
        }
    }
}

/// So many moments from the beginning of the first month until now, at equal distances. The last one is some hours ago.
fn moments(first: Month, now: Timestamp, number: usize) -> impl Iterator<Item = Timestamp> {
    let (start, end) = (first.starts_at(), now + time::Duration::hours(-3));
    let step = (end.unix_micros() - start.unix_micros()) / i64::try_from(number).unwrap_or(i64::MAX);
    (0..number as i64)
        .filter_map(move |place| Timestamp::from_unix_micros(start.unix_micros() + place * step))
}

fn stored(at: Timestamp) -> PrimitiveDateTime {
    let at = at.into_inner();
    PrimitiveDateTime::new(at.date(), at.time())
}

/// Makes customers and purchases, and has the figures of growth counted anew at the next start.
pub async fn fill(database: &str) -> anyhow::Result<Booked> {
    let (begin, now) = (Instant::now(), now());
    let last = Month::of(now);
    let first = last.plus(1 - MONTHS);
    let mut connection = PgConnection::connect(database).await?;
    // No triggers and no foreign keys.
    sqlx::query("set session_replication_role = replica").execute(&mut connection).await?;
    let mut booked = Booked { months: (first, last), moved: BTreeMap::new(), came: BTreeMap::new() };
    let customers: Vec<(Uuid, Uuid, Timestamp)> = moments(first, now, CUSTOMERS)
        .enumerate()
        .map(|(number, at)| (id_at(at, 1, number), id_at(at, 2, number), at))
        .collect();
    for (_, _, at) in &customers {
        *booked.came.entry(Month::of(*at).to_string()).or_default() += 1;
    }
    insert_customers(&mut connection, &customers).await?;
    let purchases: Vec<Purchase> =
        moments(first, now, PURCHASES).enumerate().map(|(number, at)| Purchase::new(number, at)).collect();
    for purchase in &purchases {
        booked.add(purchase);
    }
    for chunk in purchases.chunks(CHUNK) {
        insert_purchases(&mut connection, chunk, &customers).await?;
    }
    for statement in [
        "delete from growth_figures",
        "delete from activity_days",
        "delete from tenant_activity",
        "delete from schedules where name = 'growth'",
        "reset session_replication_role",
    ] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    println!("{PURCHASES} purchases of {CUSTOMERS} customers, in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(booked)
}

impl Booked {
    fn add(&mut self, purchase: &Purchase) {
        let of = |at: Timestamp| (Month::of(at).to_string(), purchase.currency.to_owned());
        let sold = self.moved.entry(of(purchase.at)).or_default();
        sold.gross += purchase.amount;
        sold.fees += purchase.fee;
        if let Some(at) = purchase.given_back {
            self.moved.entry(of(at)).or_default().refunds += purchase.amount;
        }
    }

    /// All months of a currency.
    fn total(&self, currency: &str) -> Moved {
        let of_currency = self.moved.iter().filter(|((_, found), _)| found == currency);
        of_currency.fold(Moved::default(), |sum, (_, moved)| Moved {
            gross: sum.gross + moved.gross,
            refunds: sum.refunds + moved.refunds,
            fees: sum.fees + moved.fees,
        })
    }
}

async fn insert_customers(
    connection: &mut PgConnection,
    customers: &[(Uuid, Uuid, Timestamp)],
) -> anyhow::Result<()> {
    let tenants: Vec<Uuid> = customers.iter().map(|(tenant, ..)| *tenant).collect();
    let owners: Vec<Uuid> = customers.iter().map(|(_, owner, _)| *owner).collect();
    let times: Vec<PrimitiveDateTime> = customers.iter().map(|(.., at)| stored(*at)).collect();
    for statement in [
        "insert into tenants (id, name, subdomain, status, created_at, updated_at, version)
         select tenant, 'Bakery ' || n, 'bought-' || n, 'active', at, at, 1 from made",
        "insert into subdomains (name, tenant_id, created_at) select 'bought-' || n, tenant, at from made",
        "insert into users (id, email, email_verified, full_name, language, role, status, created_at, updated_at, version, last_tenant_id)
         select owner, 'buyer-' || n || '@example.com', true, 'Buyer ' || n, 'en', 'customer', 'active', at, at, 1, tenant from made",
        "insert into memberships (tenant_id, user_id, role, joined_at) select tenant, owner, 'owner', at from made",
        "insert into subscriptions (tenant_id, plan_id, plan_version, status, created_at, updated_at, period_anchor)
         select tenant, plan.id, plan.version, 'active', at, at, at
         from made, (select id, version from plans order by position limit 1) plan",
    ] {
        let made = "with made as (select * from unnest($1::uuid[], $2::uuid[], $3::timestamp[]) with ordinality
            as made (tenant, owner, at, n))";
        sqlx::query(AssertSqlSafe(format!("{made} {statement}")))
            .bind(&tenants)
            .bind(&owners)
            .bind(&times)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Purchases with what the ledger has of them: payment, fee and refund, each with its two sides.
async fn insert_purchases(
    connection: &mut PgConnection,
    purchases: &[Purchase],
    customers: &[(Uuid, Uuid, Timestamp)],
) -> anyhow::Result<()> {
    let customer = |purchase: &Purchase| customers.get(purchase.customer).context("no customer");
    let mut columns = Columns::default();
    for purchase in purchases {
        let (tenant, owner, _) = customer(purchase)?;
        columns.tenants.push(*tenant);
        columns.owners.push(*owner);
        columns.ids.push(purchase.id);
        columns.amounts.push(purchase.amount);
        columns.fees.push(purchase.fee);
        columns.currencies.push(purchase.currency);
        columns.products.push(&purchase.product);
        columns.times.push(stored(purchase.at));
        columns.given_back.push(purchase.given_back.map(stored));
        columns.items.push(json!([{
            "productType": purchase.product, "description": "Software", "amount": purchase.amount, "quantity": 1, "discount": 0
        }]));
    }
    for statement in [
        "insert into purchases (tenant_id, id, user_id, amount, currency, status, items, refunded_amount, created_at, completed_at)
         select tenant, id, owner, amount, currency, case when given_back is null then 'completed' else 'refunded' end, items,
            case when given_back is null then 0 else amount end, at, at from made",
        "insert into ledger_entries (tenant_id, source_kind, source_id, position, account, amount, currency, booked_at, subject)
         select tenant, side.kind, case side.kind when 'refund' then 're_' else 'pi_' end || id, side.position, side.account,
            side.sign * case side.kind when 'fee' then fee else amount end, currency,
            case side.kind when 'refund' then given_back else at end,
            case side.position when 1 then 'product:' || product end
         from made cross join (values
            ('payment', 0, 'provider:stripe:balance', 1), ('payment', 1, 'revenue:purchases', -1),
            ('fee', 0, 'provider:stripe:balance', -1), ('fee', 1, 'fees', 1),
            ('refund', 0, 'provider:stripe:balance', -1), ('refund', 1, 'refunds', 1)) side (kind, position, account, sign)
         where side.kind <> 'refund' or given_back is not null",
    ] {
        let made = "with made as (select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[],
            $7::text[], $8::timestamp[], $9::timestamp[], $10::jsonb[])
            as made (tenant, owner, id, amount, fee, currency, product, at, given_back, items))";
        sqlx::query(AssertSqlSafe(format!("{made} {statement}")))
            .bind(&columns.tenants)
            .bind(&columns.owners)
            .bind(&columns.ids)
            .bind(&columns.amounts)
            .bind(&columns.fees)
            .bind(&columns.currencies)
            .bind(&columns.products)
            .bind(&columns.times)
            .bind(&columns.given_back)
            .bind(&columns.items)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Purchases as a statement takes them.
#[derive(Default)]
struct Columns<'p> {
    tenants: Vec<Uuid>,
    owners: Vec<Uuid>,
    ids: Vec<Uuid>,
    amounts: Vec<i64>,
    fees: Vec<i64>,
    currencies: Vec<&'p str>,
    products: Vec<&'p str>,
    times: Vec<PrimitiveDateTime>,
    given_back: Vec<Option<PrimitiveDateTime>>,
    items: Vec<Value>,
}

/// Compares the sums, and then measures.
pub async fn measure(stage: &Stage, rounds: Rounds, report: &mut Report) -> anyhow::Result<()> {
    let booked = stage.booked.as_ref().context("nothing was filled in")?;
    compare_money(stage, booked).await?;
    compare_growth(stage, booked).await?;
    let total = compare_customers(stage).await?;
    println!(
        "  sums of the reports and of the ledger are those of the {PURCHASES} purchases; {total} customers are listed"
    );
    let http = Client::builder().no_proxy().build()?;
    for (name, path) in [
        ("financial report of twelve months", "/admin/reports/finance"),
        ("financial report as CSV", "/admin/reports/finance?format=csv"),
        ("growth report of twelve months", "/admin/reports/growth"),
        ("customers, the newest 20", "/admin/customers?limit=20"),
        ("customers, by a part of their name", "/admin/customers?limit=20&q=bakery%2099"),
        ("customers, page 500", "/admin/customers?limit=20&page=500"),
    ] {
        let url = format!("{}/api/v1{path}", stage.running.url);
        Latencies::of(&http, &url, &stage.staff, TIMES).await?;
        let (mut medians, mut slowest) = (Vec::new(), Vec::new());
        for round in 1..=rounds.number {
            stage.running.server.settle().await?;
            let taken = Latencies::of(&http, &url, &stage.staff, TIMES).await?;
            medians.push(taken.percentile(50.0));
            slowest.push(taken.percentile(100.0));
            println!("  round {round}: {name}, {:.1} ms", taken.percentile(50.0));
        }
        report.state(&format!("{name}: median"), "ms", &medians, AIM);
        report.state("  the slowest of 20", "ms", &slowest, AIM);
    }
    Ok(())
}

/// Each month and currency of the financial report against what was filled in, and the ledger itself.
async fn compare_money(stage: &Stage, booked: &Booked) -> anyhow::Result<()> {
    let (first, last) = booked.months;
    let path = format!("/admin/reports/finance?from={first}&to={last}");
    let report = stage.by_staff(Method::GET, &path, None).await?;
    let months = report["items"].as_array().context("no months")?;
    let mut seen = BTreeMap::new();
    for month in months {
        let amount = |name: &str| month[name].as_i64().with_context(|| format!("no {name} in {month}"));
        let moved = Moved { gross: amount("gross")?, refunds: amount("refunds")?, fees: amount("fees")? };
        let net = moved.gross - moved.refunds - moved.fees;
        ensure!(
            amount("net")? == net && amount("disputes")? == 0,
            "the sums of a month do not agree: {month}"
        );
        let word = |name: &str| month[name].as_str().unwrap_or_default().to_owned();
        // Currencies are told of each month, also of one without any money.
        if moved != Moved::default() {
            seen.insert((word("month"), word("currency")), moved);
        }
    }
    ensure!(seen == booked.moved, "the financial report has {seen:?}, and filled in was {:?}", booked.moved);
    let query = "select account, cast(sum(amount) as bigint) from ledger_entries where currency = $1 group by account";
    for currency in ["usd", "gtq"] {
        let sums: Vec<(String, i64)> =
            sqlx::query_as(query).bind(currency).fetch_all(&mut stage.connection().await?).await?;
        let sums: BTreeMap<String, i64> = sums.into_iter().collect();
        let of = |account: &str| sums.get(account).copied().unwrap_or_default();
        let Moved { gross, refunds, fees } = booked.total(currency);
        let ledger = Moved { gross: -of("revenue:purchases"), refunds: of("refunds"), fees: of("fees") };
        ensure!(ledger == booked.total(currency), "the ledger has {ledger:?} in {currency}");
        ensure!(of("provider:stripe:balance") == gross - refunds - fees, "the ledger does not balance");
    }
    Ok(())
}

/// The months that are over: in the one that runs there are also the people of the benchmark.
async fn compare_growth(stage: &Stage, booked: &Booked) -> anyhow::Result<()> {
    let (first, last) = booked.months;
    let path = format!("/admin/reports/growth?from={first}&to={last}");
    // Days are counted up to the one before that of an hour ago.
    let newest = (now() + time::Duration::hours(-1)).into_inner().date() - time::Duration::DAY;
    let report = wait_for("counting growth", PATIENCE, async || {
        let report = stage.by_staff(Method::GET, &path, None).await?;
        let is_counted = report["through"].as_str().is_some_and(|day| day >= newest.to_string().as_str());
        anyhow::Ok(is_counted.then_some(report))
    })
    .await?;
    let months = report["items"].as_array().context("no months")?;
    for (month, came) in booked.came.iter().filter(|(month, _)| **month != last.to_string()) {
        let found = months.iter().find(|item| item["month"] == month.as_str());
        let found = found.with_context(|| format!("{month} was not counted"))?;
        let figures = (found["newTenants"].as_u64(), found["registrations"].as_u64());
        ensure!(
            figures == (Some(*came), Some(*came)),
            "{figures:?} came in {month}, and filled in were {came}"
        );
    }
    Ok(())
}

/// How many customers are listed: all tenants, for a super admin.
async fn compare_customers(stage: &Stage) -> anyhow::Result<i64> {
    let listed = stage.by_staff(Method::GET, "/admin/customers?limit=20", None).await?;
    let query = "select count(*) from tenants where status <> 'deleted'";
    let tenants: i64 = sqlx::query_scalar(query).fetch_one(&mut stage.connection().await?).await?;
    ensure!(
        listed["total"].as_i64() == Some(tenants),
        "{} of {tenants} customers are listed",
        listed["total"]
    );
    ensure!(tenants >= i64::try_from(CUSTOMERS)?, "there are {tenants} tenants");
    Ok(tenants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_counts_in_the_month_in_which_it_was() {
        let mut booked = Booked {
            months: (Month::parse("2026-01").unwrap(), Month::parse("2026-02").unwrap()),
            moved: BTreeMap::new(),
            came: BTreeMap::new(),
        };
        let at = Month::parse("2026-01").unwrap().ends_at() + time::Duration::minutes(-30);
        booked.add(&Purchase::new(0, at));
        booked.add(&Purchase::new(3, at));
        let key = |month: &str| (month.to_owned(), "gtq".to_owned());
        assert_eq!(booked.moved[&key("2026-01")], Moved { gross: 2030, refunds: 0, fees: 59 + 59 });
        assert_eq!(booked.moved[&key("2026-02")], Moved { gross: 0, refunds: 1000, fees: 0 });
        assert_eq!(booked.total("gtq"), Moved { gross: 2030, refunds: 1000, fees: 118 });
    }
}
