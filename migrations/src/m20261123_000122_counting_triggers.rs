//! Rows that are added are counted by triggers without a condition, on Postgres. It parses the condition of a trigger again for each
//! statement: for a row of the event log that takes longer than to call the function that asks the same. Triggers are replaced and not
//! dropped, so that the tables can be read meanwhile.

use sea_orm_migration::prelude::*;

use crate::{
    dialect::{is_postgres, run},
    m20261121_000032_stored_texts::COUNTED,
};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let count = |amount: &str| {
            format!(
                "declare
                    amount bigint := {amount};
                begin
                    if amount <> 0 then
                        perform add_stored_text(new.tenant_id, amount);
                    end if;"
            )
        };
        replace(manager, |amount| (String::new(), count(amount))).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let count = |amount: &str| format!("begin perform add_stored_text(new.tenant_id, ({amount}));");
        replace(manager, |amount| (format!("when (({amount}) <> 0)"), count(amount))).await
    }
}

/// Makes the triggers of rows that are added anew. From the bytes of a row follow the condition of its trigger, and what its function does.
async fn replace(manager: &SchemaManager<'_>, parts: impl Fn(&str) -> (String, String)) -> Result<(), DbErr> {
    if !is_postgres(manager) {
        return Ok(());
    }
    for (table, bytes) in COUNTED {
        let (condition, body) = parts(&bytes.of("new", true));
        let sql = format!(
            "create or replace function count_{table}_insert() returns trigger language plpgsql as $$
                {body}
                    return null;
                end
            $$;
            create or replace trigger {table}_counted_insert after insert on {table}
                for each row {condition} execute function count_{table}_insert();"
        );
        run(manager, &sql).await?;
    }
    Ok(())
}
