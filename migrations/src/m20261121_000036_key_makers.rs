//! Who made the secrets of API keys.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Of keys that are there already, the audit trail says who made the last two secrets. Where it does not any more,
        // nobody is known to answer for the key.
        let maker = |before: u8| {
            format!(
                "(select e.actor_id from events e join users u on u.id = e.actor_id
                  where e.tenant_id = api_keys.tenant_id and e.resource_type = 'api_key' and e.resource_id = api_keys.id
                    and e.kind in ('api_key.created', 'api_key.rotated') and e.actor_kind = 'user'
                  order by e.id desc limit 1 offset {before})"
            )
        };
        let statements = format!(
            "
            alter table api_keys add column made_by uuid references users (id);
            alter table api_keys add column previous_made_by uuid references users (id);
            update api_keys set made_by = {}, previous_made_by = {};
            ",
            maker(0),
            maker(1)
        );
        run(manager, &statements).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table api_keys drop column previous_made_by;
            alter table api_keys drop column made_by;
            ",
        )
        .await
    }
}
