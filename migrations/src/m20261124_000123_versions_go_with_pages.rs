//! What a version of a page costs on Postgres. A version went with its page by a foreign key, which Postgres checks for each version by a
//! query of its own: now by a trigger. Whoever stores a version has just made the page or holds its lock, so there is a page for it to go
//! with. And the trigger that counts its text does so itself, instead of calling a function that does.

use sea_orm_migration::prelude::*;

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
    create function delete_versions_of_page() returns trigger language plpgsql as $$
        begin
            delete from page_versions where tenant_id = old.tenant_id and page_id = old.id;
            return null;
        end
    $$;
    create trigger pages_versions_delete after delete on pages
        for each row execute function delete_versions_of_page();
    alter table page_versions drop constraint page_versions_tenant_id_page_id_fkey;
    create or replace function count_page_versions_insert() returns trigger language plpgsql as $$
        begin
            if new.size <> 0 then
                insert into stored_texts (tenant_id, part, bytes) values (new.tenant_id, pg_backend_pid() % 32, new.size)
                on conflict (tenant_id, part) do update set bytes = stored_texts.bytes + excluded.bytes;
            end if;
            return null;
        end
    $$;";

const DOWN: &str = "
    create or replace function count_page_versions_insert() returns trigger language plpgsql as $$
        begin
            if new.size <> 0 then
                perform add_stored_text(new.tenant_id, new.size);
            end if;
            return null;
        end
    $$;
    alter table page_versions add constraint page_versions_tenant_id_page_id_fkey
        foreign key (tenant_id, page_id) references pages (tenant_id, id) on delete cascade;
    drop trigger pages_versions_delete on pages;
    drop function delete_versions_of_page();";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_postgres(manager) { run(manager, UP).await } else { Ok(()) }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_postgres(manager) { run(manager, DOWN).await } else { Ok(()) }
    }
}
