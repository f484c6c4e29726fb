//! The count of texts is a row that nobody else holds.
//!
//! A part was that of the connection, by its process id modulo 32: of two units of work in one part, the second one waited for the first,
//! and where the first one then wanted a row of the second, both waited in a circle. Now a unit of work takes the first part that is free,
//! or makes one, and does not wait for it. So there are about as many parts as units of work have ever written for the tenant at a time; a
//! few more, because a unit of work may hold several.
//!
//! It costs some 18 µs of processor time of Postgres more for each count, and writes of one tenant more often change the same row: while a
//! transaction that lasts long, such as a dump, keeps its versions, they get slower sooner than before.

use sea_orm_migration::prelude::*;

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// A new part has the number of its transaction, which no other one that runs has.
const FREE_PART: &str = "
    update stored_texts set bytes = bytes + amount where tenant_id = tenant and part = (
        select part from stored_texts where tenant_id = tenant order by part limit 1 for no key update skip locked
    );
    if not found then
        insert into stored_texts (tenant_id, part, bytes)
        values (tenant, (txid_current() % 2147483648)::integer, amount)
        on conflict (tenant_id, part) do update set bytes = stored_texts.bytes + excluded.bytes;
    end if;";

/// As it was before.
const PART_OF_CONNECTION: &str = "
    insert into stored_texts (tenant_id, part, bytes) values (tenant, pg_backend_pid() % 32, amount)
    on conflict (tenant_id, part) do update set bytes = stored_texts.bytes + excluded.bytes;";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        counting(manager, FREE_PART).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        counting(manager, PART_OF_CONNECTION).await
    }
}

/// SQLite has one writer at a time, and one part.
async fn counting(manager: &SchemaManager<'_>, body: &str) -> Result<(), DbErr> {
    if !is_postgres(manager) {
        return Ok(());
    }
    run(
        manager,
        &format!(
            "create or replace function add_stored_text(tenant uuid, amount bigint) returns void language plpgsql as $$
                begin {body} end;
            $$"
        ),
    )
    .await
}
