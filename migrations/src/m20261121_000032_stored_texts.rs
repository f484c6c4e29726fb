//! Counts the bytes of texts that tenants store: the versions of pages (the newest one is the page itself), what they fill in
//! and have written in the wizard, what the event log keeps of their changes, and the answers kept for requests that may be sent
//! again.
//!
//! Triggers count, because rows go in many ways: deleted with their page or site, to make room, by a schedule. A count is
//! exact whatever is done to the rows, and costs no round trip.

use sea_orm_migration::prelude::*;

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Which tables are counted, and how.
pub(crate) const COUNTED: [(&str, Bytes); 5] = [
    ("page_versions", Bytes::In("size")),
    ("wizards", Bytes::Of("answers")),
    ("wizard_pages", Bytes::Of("sections")),
    ("events", Bytes::OfChanges),
    ("idempotency_keys", Bytes::OfAnswer),
];

/// How the bytes of a row are found.
#[derive(Clone, Copy)]
pub(crate) enum Bytes {
    /// The column is their number.
    In(&'static str),
    /// They are the JSON text of the column.
    Of(&'static str),
    /// They are what an event says of a change that a member has made, if that is more than 1 KiB. What is less is not worth
    /// counting; what visitors cause is not the tenant's doing.
    OfChanges,
    /// They are an answer that is kept for a request with an `Idempotency-Key`, if that is more than 1 KiB.
    OfAnswer,
}

impl Bytes {
    /// The bytes of a row of this name.
    pub fn of(self, row: &str, postgres: bool) -> String {
        let length = |column: &str| match postgres {
            true => format!("octet_length({row}.{column}::text)"),
            false => format!("length(cast({row}.{column} as blob))"),
        };
        match self {
            Self::OfAnswer => {
                let length = if postgres { "octet_length" } else { "length" };
                format!("case when {length}({row}.answer) > 1024 then {length}({row}.answer) else 0 end")
            }
            Self::In(column) => format!("{row}.{column}"),
            Self::Of(column) => length(column),
            Self::OfChanges => {
                let both =
                    ["before", "after"].map(|column| format!("coalesce({}, 0)", length(column))).join(" + ");
                format!(
                    "case when {row}.actor_kind in ('user', 'api_key') and {both} > 1024 then {both} else 0 end"
                )
            }
        }
    }
}

/// In parts, so that connections of Postgres that write for one tenant at the same moment do not wait for each other: each counts
/// in its own. A part alone can be negative, where one connection has stored and another one deleted.
const TABLE: &str = "
    create table stored_texts (
        -- No foreign key: the platform, which is no tenant, has events of its own.
        tenant_id uuid not null,
        part integer not null,
        bytes bigint not null,
        primary key (tenant_id, part)
    );";

const ADD_ON_POSTGRES: &str = "
    create function add_stored_text(tenant uuid, amount bigint) returns void language sql as $$
        insert into stored_texts (tenant_id, part, bytes) values (tenant, pg_backend_pid() % 32, amount)
        on conflict (tenant_id, part) do update set bytes = stored_texts.bytes + excluded.bytes
    $$;";

/// When each trigger fires, the rows that it compares, and what it adds.
fn triggers(bytes: Bytes, postgres: bool) -> [(&'static str, &'static str, String); 3] {
    let (new, old) = (bytes.of("new", postgres), bytes.of("old", postgres));
    [
        ("insert", "new", format!("({new})")),
        ("delete", "old", format!("-({old})")),
        ("update", "new", format!("({new}) - ({old})")),
    ]
}

fn on_postgres(table: &str, bytes: Bytes) -> String {
    triggers(bytes, true)
        .map(|(event, row, amount)| {
            format!(
                "create function count_{table}_{event}() returns trigger language plpgsql as $$ begin
                    perform add_stored_text({row}.tenant_id, {amount});
                    return null;
                end $$;
                create trigger {table}_counted_{event} after {event} on {table}
                    for each row when ({amount} <> 0) execute function count_{table}_{event}();"
            )
        })
        .concat()
}

fn on_sqlite(table: &str, bytes: Bytes) -> String {
    triggers(bytes, false)
        .map(|(event, row, amount)| {
            format!(
                "create trigger {table}_counted_{event} after {event} on {table} when {amount} <> 0 begin
                    insert into stored_texts (tenant_id, part, bytes) values ({row}.tenant_id, 0, {amount})
                    on conflict (tenant_id, part) do update set bytes = bytes + excluded.bytes;
                end;"
            )
        })
        .concat()
}

/// What is there already.
fn existing(postgres: bool) -> String {
    let rows = COUNTED.map(|(table, bytes)| {
        let bytes = bytes.of(table, postgres);
        format!("select tenant_id, {bytes} as bytes from {table}")
    });
    format!(
        "insert into stored_texts (tenant_id, part, bytes) \
         select tenant_id, 0, sum(bytes) from ({}) as texts group by tenant_id;",
        rows.join(" union all ")
    )
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = is_postgres(manager);
        run(manager, TABLE).await?;
        run(manager, &existing(postgres)).await?;
        if postgres {
            run(manager, ADD_ON_POSTGRES).await?;
        }
        for (table, bytes) in COUNTED {
            run(manager, &if postgres { on_postgres(table, bytes) } else { on_sqlite(table, bytes) }).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = is_postgres(manager);
        for (table, _) in COUNTED {
            for event in ["insert", "delete", "update"] {
                let name = format!("{table}_counted_{event}");
                let sql = match postgres {
                    true => format!("drop trigger {name} on {table}; drop function count_{table}_{event}();"),
                    false => format!("drop trigger {name};"),
                };
                run(manager, &sql).await?;
            }
        }
        if postgres {
            run(manager, "drop function add_stored_text(uuid, bigint);").await?;
        }
        run(manager, "drop table stored_texts;").await
    }
}
