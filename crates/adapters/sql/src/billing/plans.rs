//! The catalogue of plans.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_billing::{plan::Plan, ports::PlanRepository};
use portico_kernel::{Meter, StoreError};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, QueryOrder, sea_query::OnConflict};

use crate::{
    columns::{Col, documents},
    db::Db,
};

/// A row of the table.
pub(crate) mod row {
    use std::collections::BTreeMap;

    use portico_kernel::Meter;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "plans")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub name: String,
        pub amount: i64,
        pub currency: String,
        pub limits: Col<BTreeMap<Meter, u64>>,
        pub premium_templates: bool,
        pub position: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

documents!(BTreeMap<Meter, u64>);

impl From<row::Model> for Plan {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id,
            name: row.name,
            amount: row.amount,
            currency: row.currency,
            limits: row.limits.0,
            premium_templates: row.premium_templates,
            position: row.position,
        }
    }
}

/// The catalogue over one connection.
pub(crate) struct Plans<'c, C> {
    pub db: Db<'c, C>,
}

#[async_trait]
impl<C: ConnectionTrait + Send> PlanRepository for Plans<'_, C> {
    async fn upsert(&mut self, plan: &Plan) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(plan.id.clone()),
            name: Set(plan.name.clone()),
            amount: Set(plan.amount),
            currency: Set(plan.currency.clone()),
            limits: Set(Col(plan.limits.clone())),
            premium_templates: Set(plan.premium_templates),
            position: Set(plan.position),
        };
        let replace = OnConflict::column(row::Column::Id)
            .update_columns([
                row::Column::Name,
                row::Column::Amount,
                row::Column::Currency,
                row::Column::Limits,
                row::Column::PremiumTemplates,
                row::Column::Position,
            ])
            .to_owned();
        self.db.insert_with(row::Entity::insert(row).on_conflict(replace)).await.map(drop)
    }

    async fn list(&mut self) -> Result<Vec<Plan>, StoreError> {
        self.db
            .all(row::Entity::find().order_by_asc(row::Column::Position).order_by_asc(row::Column::Id))
            .await
    }
}
