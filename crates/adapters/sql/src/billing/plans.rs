//! The catalogue of plans.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_billing::{
    plan::{Plan, PlanPrice},
    plan_edit::{ManagedPlan, PlanVersion},
    ports::PlanRepository,
};
use portico_kernel::{List, Meter, PageRequest, StoreError, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult, TryGetError,
    sea_query::OnConflict,
};

use crate::{
    columns::{Col, documents, read},
    db::{Db, Params, in_pages},
};
use row::Column;

/// A row of the table.
pub(crate) mod row {
    use std::collections::BTreeMap;

    use portico_billing::plan::PlanPrice;
    use portico_kernel::{Meter, Timestamp};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "plans")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub version: i32,
        pub is_current: bool,
        pub name: String,
        pub description: String,
        pub features: Col<Vec<String>>,
        pub amount: i64,
        pub currency: String,
        pub prices: Col<Vec<PlanPrice>>,
        pub limits: Col<BTreeMap<Meter, u64>>,
        pub premium_templates: bool,
        pub trial_days: Col<u16>,
        pub is_public: bool,
        pub position: i32,
        pub retired_at: Col<Option<Timestamp>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

documents!(BTreeMap<Meter, u64>, Vec<PlanPrice>);

impl From<row::Model> for Plan {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id,
            version: row.version,
            name: row.name,
            description: row.description,
            features: row.features.0,
            amount: row.amount,
            currency: row.currency,
            prices: row.prices.0,
            limits: row.limits.0,
            premium_templates: row.premium_templates,
            trial_days: row.trial_days.0,
            is_public: row.is_public,
            position: row.position,
        }
    }
}

/// A version that is the current one.
fn current(plan: &Plan) -> row::ActiveModel {
    row::ActiveModel {
        id: Set(plan.id.clone()),
        version: Set(plan.version),
        is_current: Set(true),
        name: Set(plan.name.clone()),
        description: Set(plan.description.clone()),
        features: Set(Col(plan.features.clone())),
        amount: Set(plan.amount),
        currency: Set(plan.currency.clone()),
        prices: Set(Col(plan.prices.clone())),
        limits: Set(Col(plan.limits.clone())),
        premium_templates: Set(plan.premium_templates),
        trial_days: Set(Col(plan.trial_days)),
        is_public: Set(plan.is_public),
        position: Set(plan.position),
        retired_at: NotSet,
    }
}

/// All columns of plans in their current versions, and how many tenants are on each plan.
const MANAGED: &str = "select plans.*, (select count(*) from subscriptions where subscriptions.plan_id = plans.id \
     and subscriptions.status = 'active') as subscribed from plans where plans.is_current";

fn managed(row: &QueryResult) -> Result<ManagedPlan, TryGetError> {
    let plan = row::Model::from_query_result(row, "")?;
    let retired_at = plan.retired_at.0;
    Ok(ManagedPlan { plan: plan.into(), retired_at, subscriptions: read(row, "subscribed")? })
}

/// The catalogue over one connection.
pub(crate) struct Plans<'c> {
    pub db: Db<'c>,
}

impl Plans<'_> {
    async fn all_managed(&self, rest: &str, values: impl Params) -> Result<Vec<ManagedPlan>, StoreError> {
        self.db.rows_with(&format!("{MANAGED} {rest}"), values, managed).await
    }
}

#[async_trait]
impl PlanRepository for Plans<'_> {
    async fn insert(&mut self, plan: &Plan) -> Result<(), StoreError> {
        self.db.insert(current(plan)).await
    }

    async fn upsert(&mut self, plan: &Plan) -> Result<(), StoreError> {
        let others = "update plans set is_current = false where id = $1 and version <> $2 and is_current";
        self.db.execute(others, (&plan.id, plan.version)).await?;
        let replace = OnConflict::columns([Column::Id, Column::Version])
            .update_columns([
                Column::IsCurrent,
                Column::Name,
                Column::Description,
                Column::Features,
                Column::Amount,
                Column::Currency,
                Column::Prices,
                Column::Limits,
                Column::PremiumTemplates,
                Column::TrialDays,
                Column::IsPublic,
                Column::Position,
            ])
            .to_owned();
        self.db.insert_with(row::Entity::insert(current(plan)).on_conflict(replace)).await.map(drop)
    }

    async fn list(&mut self) -> Result<Vec<Plan>, StoreError> {
        let on_offer = row::Entity::find()
            .filter(Column::IsCurrent.eq(true))
            .filter(Column::IsPublic.eq(true))
            .filter(Column::RetiredAt.is_null());
        self.db.all(on_offer.order_by_asc(Column::Position).order_by_asc(Column::Id)).await
    }

    async fn ids(&mut self) -> Result<Vec<String>, StoreError> {
        self.db.rows("select id from plans where is_current order by id", ()).await
    }

    async fn current<'s>(&mut self, id: &'s str) -> Result<Option<Plan>, StoreError> {
        let on_offer = row::Entity::find()
            .filter(Column::Id.eq(id))
            .filter(Column::IsCurrent.eq(true))
            .filter(Column::RetiredAt.is_null());
        self.db.one(on_offer).await
    }

    async fn managed(&mut self, page: PageRequest) -> Result<List<ManagedPlan>, StoreError> {
        let count = "select count(*) from plans where is_current";
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = self.all_managed("order by plans.position, plans.id limit $1 offset $2", (limit, offset));
        in_pages(page, self.db.total(count, ()), rows).await
    }

    async fn find<'s>(&mut self, id: &'s str) -> Result<Option<ManagedPlan>, StoreError> {
        Ok(self.all_managed("and plans.id = $1", [id]).await?.into_iter().next())
    }

    async fn lock<'s>(&mut self, id: &'s str) -> Result<Option<ManagedPlan>, StoreError> {
        // The first version stands for the plan: it stays the first, while the current one changes meanwhile. What the other unit of
        // work has stored is seen by the statement after this one only.
        let lock = self.db.dialect().for_update;
        let first = format!("select 1 from plans where id = $1 and version = 1 {lock}");
        self.db.exists(&first, [id]).await?;
        self.find(id).await
    }

    async fn versions<'s>(&mut self, id: &'s str, limit: u64) -> Result<Vec<PlanVersion>, StoreError> {
        let sql = "select plans.*, (select count(*) from subscriptions where subscriptions.plan_id = plans.id \
             and subscriptions.plan_version = plans.version and subscriptions.status = 'active') as subscribed \
             from plans where plans.id = $1 order by plans.version desc limit $2";
        let version = |row: &QueryResult| {
            let plan = row::Model::from_query_result(row, "")?;
            Ok::<_, TryGetError>(PlanVersion { plan: plan.into(), subscriptions: read(row, "subscribed")? })
        };
        self.db.rows_with(sql, (id, limit), version).await
    }

    async fn retire<'s>(&mut self, id: &'s str, at: Timestamp) -> Result<(), StoreError> {
        let sql = "update plans set retired_at = $2 where id = $1 and is_current";
        self.db.execute(sql, (id, at)).await.map(drop)
    }
}
