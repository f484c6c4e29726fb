//! The catalogue of plans.

use async_trait::async_trait;
use portico_billing::{plan::Plan, ports::PlanRepository};
use portico_kernel::StoreError;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, QueryOrder, sea_query::OnConflict};

use crate::error::{json_error, store_error};

/// A row of the table.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "plans")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub name: String,
        pub amount: i64,
        pub currency: String,
        pub limits: Json,
        pub premium_templates: bool,
        pub position: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<row::Model> for Plan {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            amount: row.amount,
            currency: row.currency,
            limits: serde_json::from_value(row.limits).map_err(json_error)?,
            premium_templates: row.premium_templates,
            position: row.position,
        })
    }
}

/// The catalogue over one connection.
pub(crate) struct Plans<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> PlanRepository for Plans<'_, C> {
    async fn upsert(&mut self, plan: &Plan) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(plan.id.clone()),
            name: Set(plan.name.clone()),
            amount: Set(plan.amount),
            currency: Set(plan.currency.clone()),
            limits: Set(serde_json::to_value(&plan.limits).map_err(json_error)?),
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
        row::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(self.connection)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn list(&mut self) -> Result<Vec<Plan>, StoreError> {
        let rows = row::Entity::find()
            .order_by_asc(row::Column::Position)
            .order_by_asc(row::Column::Id)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Plan::try_from).collect()
    }
}
