//! `portico_billing::ports::FinanceRepository`, and what it sums over a large ledger.

use std::{collections::BTreeMap, time::Instant};

use portico_billing::{
    checkout::{CheckoutStage, PurchaseCheckout},
    finance::{BookedSum, ChangeCount},
    ledger::{Account, LedgerEntry, LedgerTransaction, SourceKind},
    ledger_check::check_ledger,
    paid::PriceReference,
    payment::Provider,
    plan_discount::RecurringOff,
    ports::BillingRepositories,
    recurring::RecurringChange,
    subject::Subject,
};
use portico_kernel::{Money, Month, StoreError, TenantId, Timestamp};
use portico_testkit::{TestDatabase, env, on_each_database};
use sqlx::{Connection, PgConnection};
use time::Duration;

use crate::{
    fixtures::{plan_of, stored_tenant},
    purchases::stored,
};

fn month(text: &str) -> Month {
    Month::parse(text).unwrap()
}

fn moved(kind: SourceKind, id: &str, amount: i64, currency: &str, at: Timestamp) -> LedgerTransaction {
    let money = Money { amount, currency: currency.to_owned() };
    LedgerTransaction::moved(Provider::Stripe, false, kind, id, &money, at).unwrap()
}

fn product(id: &str) -> Subject {
    Subject::Product(id.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_months_are_those_of_the_ledger() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (first, last) = (month("2026-01"), month("2026-03"));
        let moment = Duration::microseconds(1);
        let shares = [(product("a"), 2), (product("b"), 1)];
        let plan = [(Subject::Plan("pro".to_owned()), 1)];
        let mut work = store.begin().await.unwrap();
        for (tenant, transaction) in [
            (ours, moved(SourceKind::Payment, "pi_1", 100, "usd", first.starts_at()).about(&shares)),
            (ours, moved(SourceKind::Fee, "pi_1", 9, "usd", first.ends_at() - moment).about(&shares)),
            (
                theirs,
                moved(SourceKind::Payment, "pi_1", 50, "usd", first.starts_at()).about(&[(product("a"), 1)]),
            ),
            (theirs, moved(SourceKind::Invoice, "in_1", 30, "gtq", last.ends_at() - moment).about(&plan)),
            // Before and after.
            (ours, moved(SourceKind::Payment, "pi_0", 1, "usd", first.starts_at() - moment)),
            (ours, moved(SourceKind::Payment, "pi_2", 1, "usd", last.ends_at())),
        ] {
            work.ledger().book(tenant, &transaction).await.unwrap();
        }
        work.commit().await.unwrap();
        let mut reader = store.reader();
        let mut sums = reader.finance().booked(false, first, last).await.unwrap();
        sums.sort_by_key(|sum| (sum.month, sum.account, sum.subject.clone()));
        let sum = |month, currency: &str, account, subject, amount| BookedSum {
            month,
            currency: currency.to_owned(),
            account,
            subject,
            amount,
        };
        let expected = [
            sum(first, "usd", Account::PurchaseRevenue, product("a"), -117),
            sum(first, "usd", Account::PurchaseRevenue, product("b"), -33),
            sum(first, "usd", Account::Fees, product("a"), 6),
            sum(first, "usd", Account::Fees, product("b"), 3),
            sum(last, "gtq", Account::SubscriptionRevenue, Subject::Plan("pro".to_owned()), -30),
        ];
        assert_eq!(sums, expected);
        // Real money is counted apart from play money.
        let real = |kind, id: &str, amount| {
            let money = Money { amount, currency: "usd".to_owned() };
            let moved = LedgerTransaction::moved(Provider::Stripe, true, kind, id, &money, first.starts_at())
                .unwrap();
            moved.about(&[(product("a"), 1)])
        };
        let mut work = store.begin().await.unwrap();
        work.ledger().book(ours, &real(SourceKind::Payment, "pi_live", 700)).await.unwrap();
        work.commit().await.unwrap();
        let live = store.reader().finance().booked(true, first, last).await.unwrap();
        assert_eq!(live, [sum(first, "usd", Account::PurchaseRevenue, product("a"), -700)]);
        let balances = check_ledger(&mut store.reader(), true).await.unwrap().balances;
        assert_eq!(balances.values().copied().collect::<Vec<_>>(), [700, -700]);
        // Over all months they are the balances of the ledger.
        let all = reader.finance().booked(false, month("2025-12"), month("2026-04")).await.unwrap();
        let mut totals: BTreeMap<(Account, String), i128> = BTreeMap::new();
        for sum in all {
            *totals.entry((sum.account, sum.currency)).or_default() += i128::from(sum.amount);
        }
        let mut balances = check_ledger(&mut reader, false).await.unwrap().balances;
        balances.retain(|(account, _), _| !matches!(account, Account::Balance(_)));
        assert_eq!(totals, balances);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_booked_keeps_its_entries_whatever_is_booked_again() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let whole = moved(SourceKind::Refund, "re_1", 10, "usd", env.now());
        let parts = whole.clone().about(&[(product("a"), 1), (product("b"), 1), (product("c"), 1)]);
        for (transaction, is_new) in [(&whole, true), (&parts, false)] {
            let mut work = store.begin().await.unwrap();
            assert_eq!(work.ledger().book_missing(tenant, transaction).await.unwrap(), is_new);
            work.commit().await.unwrap();
        }
        let entries = store.reader().ledger().entries(None, 10).await.unwrap();
        let seen: Vec<_> = entries.into_iter().map(|stored| stored.entry).collect();
        assert_eq!(seen, whole.entries());
        let mut work = store.begin().await.unwrap();
        let other = moved(SourceKind::Refund, "re_2", 10, "usd", env.now())
            .about(&[(product("a"), 1), (product("b"), 1)]);
        assert!(work.ledger().book_missing(tenant, &other).await.unwrap());
        work.commit().await.unwrap();
        let entries = store.reader().ledger().entries(None, 10).await.unwrap();
        let seen: Vec<_> = entries.into_iter().skip(2).map(|stored| stored.entry).collect();
        assert_eq!(seen, other.entries(), "all entries are stored, with their subjects");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_what_is_paid_are_counted_by_month() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (first, last) = (month("2026-01"), month("2026-02"));
        let price = |text: &str| PriceReference::parse(text);
        let (starter, pro) = (price("starter-1-month"), price("pro-2-year"));
        let change = |tenant_id: TenantId,
                      revision,
                      from: &Option<PriceReference>,
                      to: &Option<PriceReference>,
                      changed_at| {
            let to_off = to.as_ref().filter(|_| revision == 3).map(|_| RecurringOff::Percent(25));
            let (from, to) = (from.clone(), to.clone());
            RecurringChange { tenant_id, live: false, revision, from, to, from_off: None, to_off, changed_at }
        };
        let before = first.starts_at() - Duration::microseconds(1);
        let mut work = store.begin().await.unwrap();
        for stored in [
            change(ours, 1, &None, &starter, before),
            change(theirs, 1, &None, &starter, before),
            change(ours, 2, &starter, &pro, first.starts_at()),
            change(theirs, 2, &starter, &None, last.ends_at() - Duration::microseconds(1)),
            change(theirs, 3, &None, &pro, last.ends_at()),
        ] {
            work.finance().record(&stored).await.unwrap();
        }
        work.commit().await.unwrap();
        let mut found = store.reader().finance().changes(false, first, last).await.unwrap();
        found.sort_by_key(|change| change.month);
        let count = |month, from: &Option<PriceReference>, to: &Option<PriceReference>, count| ChangeCount {
            month,
            from: from.clone(),
            to: to.clone(),
            from_off: None,
            to_off: None,
            count,
        };
        let expected = [
            count(None, &None, &starter, 2),
            count(Some(first), &starter, &pro, 1),
            count(Some(last), &starter, &None, 1),
        ];
        assert_eq!(found, expected);
        let next = store.reader().finance().changes(false, month("2026-03"), month("2026-03")).await.unwrap();
        let discounted: Vec<_> = next.iter().filter(|change| change.month.is_some()).collect();
        let off = ChangeCount {
            to_off: Some(RecurringOff::Percent(25)),
            ..count(Some(month("2026-03")), &None, &pro, 1)
        };
        assert_eq!(discounted, [&off]);
        let mut work = store.begin().await.unwrap();
        let real = RecurringChange { live: true, ..change(ours, 4, &None, &pro, first.starts_at()) };
        work.finance().record(&real).await.unwrap();
        work.commit().await.unwrap();
        let of_real = store.reader().finance().changes(true, first, last).await.unwrap();
        assert_eq!(of_real, [count(Some(first), &None, &pro, 1)]);
        assert_eq!(store.reader().finance().changes(false, first, last).await.unwrap().len(), 3);
        let mut work = store.begin().await.unwrap();
        let twice = work.finance().record(&change(ours, 2, &pro, &None, env.now())).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(work);
        let mut work = store.begin().await.unwrap();
        work.plans().upsert(&plan_of("starter", 1)).await.unwrap();
        work.commit().await.unwrap();
        let versions = store.reader().finance().prices().await.unwrap();
        assert!(!versions.is_empty() && versions.iter().all(|version| version.version > 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_booked_before_has_the_mode_of_what_was_paid() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let mut work = store.begin().await.unwrap();
        for tenant in [ours, theirs] {
            for (kind, id) in [
                (SourceKind::Payment, "pi_1"),
                (SourceKind::Payment, "pi_2"),
                (SourceKind::Fee, "pi_1"),
                (SourceKind::Invoice, "in_1:1"),
            ] {
                work.ledger().book(tenant, &moved(kind, id, 5, "usd", env.now())).await.unwrap();
            }
            let to = PriceReference::parse("starter-1-month");
            let (tenant_id, changed_at) = (tenant, env.now());
            let change = RecurringChange { tenant_id, live: false, revision: 1, from: None, to, from_off: None, to_off: None, changed_at };
            work.finance().record(&change).await.unwrap();
        }
        work.commit().await.unwrap();
        // Both have paid for a purchase; one of them with real money, which also pays for its plan.
        for tenant in [ours, theirs] {
            let (_, checkout) = stored(store, &env, tenant).await;
            let payment_id = Some("pi_1".to_owned());
            let mut work = store.begin().await.unwrap();
            let paid = PurchaseCheckout { stage: CheckoutStage::Paid, payment_id, ..checkout };
            work.checkouts().update(&paid).await.unwrap();
            work.commit().await.unwrap();
        }
        let live = "update checkouts set live = true where tenant_id = $1";
        assert_eq!(database.tamper(live, &[ours.uuid()]).await, 1);
        let account = "insert into billing_accounts \
             (tenant_id, provider, live, keyed_at, revision, had_trial, reminders, created_at, updated_at) \
             select id, 'stripe', true, created_at, 1, false, 0, created_at, created_at from tenants where id = $1";
        assert_eq!(database.tamper(account, &[ours.uuid()]).await, 1);

        let migrations = store.migration_status().await.unwrap();
        let first = migrations.iter().position(|migration| migration.name.ends_with("money_modes")).unwrap();
        store.migrate_down((migrations.len() - first) as u32).await.unwrap();
        store.migrate().await.unwrap();
        let mut reader = store.reader();
        let entries = reader.ledger().entries(None, 100).await.unwrap();
        assert_eq!(entries.len(), 16);
        for LedgerEntry { key, live, .. } in entries {
            assert_eq!(live, key.tenant_id == ours && key.source.id != "pi_2", "{key:?}");
        }
        let month = Month::of(env.now());
        for live in [true, false] {
            assert_eq!(reader.finance().changes(live, month, month).await.unwrap().len(), 1, "{live}");
        }
    })
    .await;
}

/// What `just time-reports` times.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_thousand_purchases_only_the_index_is_read() {
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    let tenant = stored_tenant(store, &env, "one").await.id;
    // Two entries for each payment and two for its fee, over a year, of twenty products.
    for (kind, balance, account, amount) in
        [("payment", 35900, "revenue:purchases", -35900), ("fee", -1071, "fees", 1071)]
    {
        let statement = format!(
            "insert into ledger_entries (tenant_id, source_kind, source_id, position, account, amount, currency, booked_at, subject) \
             select $1, '{kind}', 'pi_' || n, side.position, side.account, side.amount, case when n % 3 = 0 then 'gtq' else 'usd' end, \
             timestamp '2025-01-01' + n * interval '315 seconds', case side.position when 1 then 'product:p' || n % 20 end \
             from generate_series(0, 99999) n cross join \
             (values (0, 'provider:stripe:balance', {balance}), (1, '{account}', {amount})) side (position, account, amount)"
        );
        assert_eq!(database.tamper(&statement, &[tenant.uuid()]).await, 200_000);
    }
    database.tamper("vacuum analyze ledger_entries", &[]).await;
    let (from, to) = (month("2025-01"), month("2025-12"));
    let mut sums = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        sums = store.reader().finance().booked(false, from, to).await.unwrap();
        eprintln!("the sums of a year with 100,000 purchases: {:?}", began.elapsed());
    }
    let total = |account| sums.iter().filter(|sum| sum.account == account).map(|sum| sum.amount).sum::<i64>();
    assert_eq!((total(Account::PurchaseRevenue), total(Account::Fees)), (-3_590_000_000, 107_100_000));
    assert_eq!(sums.len(), 12 * 20 * 2 * 2, "months, products, currencies, accounts");

    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let (pages, of_table): (i64, i64) = sqlx::query_as(
        "select pg_relation_size('ledger_entries_report_idx') / 8192, pg_relation_size('ledger_entries') / 8192 /* by a test */",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    let statement = "%from ledger_entries where subject is not null and live =%";
    let (calls, read) = database.calls_and_pages(statement).await;
    assert_eq!(calls, 5);
    // Each page of the index once, and a way down to each month.
    assert!(
        read / calls <= pages + 200,
        "{} pages are read of {pages} of the index; the table has {of_table}",
        read / calls
    );
    assert!(pages * 2 < of_table);
}
