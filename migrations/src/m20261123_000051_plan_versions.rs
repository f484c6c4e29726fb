//! Plans have versions: who has bought one keeps what was bought when staff change the plan.

use sea_orm_migration::prelude::*;

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// What the plans that every installation has are shown with, from now on a part of their rows.
const WORDS: [(&str, &str, &str); 4] = [
    (
        "free",
        "To try everything out with one site.",
        r#"["1 site", "1 GB of storage", "10 AI generations a month"]"#,
    ),
    (
        "starter",
        "For a business with its own domain.",
        r#"["3 sites", "10 GB of storage", "100 AI generations a month", "Custom domains"]"#,
    ),
    (
        "professional",
        "For those who look after several sites.",
        r#"["10 sites", "50 GB of storage", "1000 AI generations a month", "Custom domains", "Premium templates"]"#,
    ),
    (
        "enterprise",
        "For organisations that want no limits.",
        r#"["Unlimited sites", "Unlimited storage", "Unlimited AI generations", "Custom domains", "Premium templates"]"#,
    ),
];

const UP_ON_POSTGRES: &str = "
    alter table subscriptions drop constraint subscriptions_plan_id_fkey;
    alter table plans drop constraint plans_pkey;
    alter table plans
        add column version integer not null default 1,
        add column is_current boolean not null default true,
        add column description text not null default '',
        add column features jsonb not null default '[]',
        add column prices jsonb not null default '[]',
        add column trial_days integer not null default 0,
        add column is_public boolean not null default true,
        add column retired_at timestamp;
    alter table plans
        alter column version drop default,
        alter column is_current drop default,
        alter column description drop default,
        alter column features drop default,
        alter column prices drop default,
        alter column trial_days drop default,
        alter column is_public drop default,
        add constraint plans_pkey primary key (id, version);
    alter table subscriptions
        add column plan_version integer not null default 1,
        add constraint subscriptions_plan_fkey foreign key (plan_id, plan_version) references plans (id, version);";

const DOWN_ON_POSTGRES: &str = "
    alter table subscriptions drop constraint subscriptions_plan_fkey, drop column plan_version;
    delete from plans where not is_current;
    alter table plans
        drop constraint plans_pkey,
        drop column version,
        drop column is_current,
        drop column description,
        drop column features,
        drop column prices,
        drop column trial_days,
        drop column is_public,
        drop column retired_at,
        add constraint plans_pkey primary key (id);
    alter table subscriptions
        add constraint subscriptions_plan_id_fkey foreign key (plan_id) references plans (id);";

/// SQLite cannot change a key, so both tables are made anew. A reference follows its table when that is renamed; the old tables go
/// first, the one that refers to the other before it.
const UP_ON_SQLITE: &str = "
    create table plans_by_version (
        id text not null,
        version integer not null,
        is_current boolean not null,
        name text not null,
        description text not null,
        features text not null,
        amount bigint not null,
        currency text not null,
        prices text not null,
        limits text not null,
        premium_templates boolean not null,
        trial_days integer not null,
        is_public boolean not null,
        position integer not null,
        retired_at timestamp,
        primary key (id, version)
    );
    insert into plans_by_version (id, version, is_current, name, description, features, amount, currency, prices, limits,
            premium_templates, trial_days, is_public, position)
        select id, 1, true, name, '', '[]', amount, currency, '[]', limits, premium_templates, 0, true, position from plans;
    create table subscriptions_by_version (
        tenant_id uuid not null primary key references tenants (id),
        plan_id text not null,
        plan_version integer not null default 1,
        status text not null,
        created_at timestamp not null,
        updated_at timestamp not null,
        overrides text,
        foreign key (plan_id, plan_version) references plans_by_version (id, version)
    );
    insert into subscriptions_by_version (tenant_id, plan_id, plan_version, status, created_at, updated_at, overrides)
        select tenant_id, plan_id, 1, status, created_at, updated_at, overrides from subscriptions;
    drop table subscriptions;
    drop table plans;
    alter table plans_by_version rename to plans;
    alter table subscriptions_by_version rename to subscriptions;";

const DOWN_ON_SQLITE: &str = "
    create table plans_without_versions (
        id text not null primary key,
        name text not null,
        amount bigint not null,
        currency text not null,
        limits text not null,
        premium_templates boolean not null,
        position integer not null
    );
    insert into plans_without_versions (id, name, amount, currency, limits, premium_templates, position)
        select id, name, amount, currency, limits, premium_templates, position from plans where is_current;
    create table subscriptions_without_versions (
        tenant_id uuid not null primary key references tenants (id),
        plan_id text not null references plans_without_versions (id),
        status text not null,
        created_at timestamp not null,
        updated_at timestamp not null,
        overrides text
    );
    insert into subscriptions_without_versions (tenant_id, plan_id, status, created_at, updated_at, overrides)
        select tenant_id, plan_id, status, created_at, updated_at, overrides from subscriptions;
    drop table subscriptions;
    drop table plans;
    alter table plans_without_versions rename to plans;
    alter table subscriptions_without_versions rename to subscriptions;";

/// The prices of the plans that are there, as JSON: that of the month which they had, and a year for ten months where every
/// installation has the plan.
fn prices(postgres: bool) -> String {
    let (list, object) =
        if postgres { ("jsonb_build_array", "jsonb_build_object") } else { ("json_array", "json_object") };
    let price = |interval: &str, amount: &str| {
        format!("{object}('interval', '{interval}', 'amount', {amount}, 'currency', currency)")
    };
    let (month, year) = (price("month", "amount"), price("year", "amount * 10"));
    let known = WORDS.map(|(id, ..)| format!("'{id}'")).join(", ");
    format!(
        "update plans set prices = {list}({month}) where id not in ({known});
        update plans set prices = {list}({month}, {year}) where id in ({known});"
    )
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = is_postgres(manager);
        run(manager, if postgres { UP_ON_POSTGRES } else { UP_ON_SQLITE }).await?;
        // One version of a plan is the current one. The other index is for the number of tenants on a version, and for moving them.
        run(
            manager,
            "
            create unique index plans_current_key on plans (id) where is_current;
            create index subscriptions_plan_idx on subscriptions (plan_id, plan_version);
            ",
        )
        .await?;
        run(manager, &prices(postgres)).await?;
        for (id, description, features) in WORDS {
            let words = format!(
                "update plans set description = '{description}', features = '{features}' where id = '{id}';"
            );
            run(manager, &words).await?;
        }
        Ok(())
    }

    /// Tenants on an earlier version are then on the plan as it was sold last.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop index subscriptions_plan_idx; drop index plans_current_key;").await?;
        run(manager, if is_postgres(manager) { DOWN_ON_POSTGRES } else { DOWN_ON_SQLITE }).await
    }
}
