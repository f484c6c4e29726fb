//! Whether tables can be spread over machines by tenant as docs/operations.md says.

use std::collections::BTreeSet;

use portico_testkit::TestDatabase;
use sqlx::{Connection, PgConnection};

/// The names in backquotes of the paragraph that begins with a word in bold.
fn listed(word: &str) -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/operations.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, rest) = document.split_once(&format!("\n**{word}**")).unwrap();
    let (paragraph, _) = rest.split_once("\n\n").unwrap();
    // What comes before the list is in backquotes too.
    let (_, list) = paragraph.rsplit_once(": `").unwrap();
    list.split('`').step_by(2).map(str::to_owned).collect()
}

async fn pairs(connection: &mut PgConnection, sql: &'static str) -> BTreeSet<(String, String)> {
    sqlx::query_as(sql).fetch_all(connection).await.unwrap().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_to_be_spread_by_tenant() {
    let database = TestDatabase::postgres().await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let (distributed, reference, local) = (listed("Distributed"), listed("Reference"), listed("Local"));
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for table in &tables {
        let lists = [&distributed, &reference, &local];
        let times = lists.iter().filter(|list| list.contains(table)).count();
        assert_eq!(times, 1, "{table} is in one list of docs/operations.md");
    }
    let all = distributed.len() + reference.len() + local.len();
    assert_eq!(all, tables.len(), "nothing is listed that is not there");

    // Uniqueness is only ensured on the machine that has the tenant.
    let keys_without_tenant = pairs(
        &mut connection,
        "select i.indrelid::regclass::text, i.indexrelid::regclass::text from pg_index i where i.indisunique \
         and not exists (select 1 from pg_attribute a where a.attrelid = i.indrelid and a.attnum = any(i.indkey) \
         and a.attname = 'tenant_id')",
    )
    .await;
    for (table, key) in keys_without_tenant {
        assert!(!distributed.contains(&table), "{key} of {table} has no tenant");
    }

    let references = pairs(
        &mut connection,
        "select conrelid::regclass::text, confrelid::regclass::text from pg_constraint where contype = 'f'",
    )
    .await;
    for (from, to) in references {
        let allowed = distributed.contains(&to) == distributed.contains(&from) || reference.contains(&to);
        assert!(allowed && !local.contains(&to), "{from} cannot refer to {to}");
    }
    let without_tenant = pairs(
        &mut connection,
        "select conrelid::regclass::text, confrelid::regclass::text from pg_constraint where contype = 'f' \
         and not exists (select 1 from pg_attribute a where a.attrelid = confrelid and a.attnum = any(confkey) \
         and a.attname = 'tenant_id')",
    )
    .await;
    for (from, to) in without_tenant {
        assert!(!distributed.contains(&to), "{from} refers to {to} without the tenant");
    }
}
