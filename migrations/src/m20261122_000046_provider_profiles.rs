//! Name and language that a provider sent last, so that changes there reach accounts whose owners have not changed theirs here.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "alter table external_identities add column name text;
             alter table external_identities add column language text;",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "alter table external_identities drop column name;
             alter table external_identities drop column language;",
        )
        .await
    }
}
