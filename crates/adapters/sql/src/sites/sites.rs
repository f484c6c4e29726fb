//! Sites.

use async_trait::async_trait;
use portico_kernel::{DeploymentId, List, Money, PageId, PageRequest, SiteId, StoreError, TenantId};
use portico_sites::{
    ports::{SiteFilter, SiteRepository},
    site::{Site, SiteStatus},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
    sea_query::{Expr, LockType},
};
use uuid::Uuid;

use super::{
    list::{SortColumns, list, sorted},
    pages,
};
use crate::{
    dialect::{contains, query},
    error::{json_error, store_error, unreadable},
    tenancy::subdomains,
    time::{from_row, to_row},
};

/// A row of the table of sites.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sites")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub subdomain: String,
        pub custom_domain: Option<String>,
        pub status: String,
        pub live_deployment_id: Option<Uuid>,
        pub language: String,
        pub industry: Option<String>,
        pub look: Option<Json>,
        pub price_amount: Option<i64>,
        pub price_currency: Option<String>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Site {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: SiteId::from_uuid(row.id),
            tenant_id: TenantId::from_uuid(row.tenant_id),
            name: row.name,
            subdomain: row.subdomain,
            custom_domain: row.custom_domain,
            status: SiteStatus::parse(&row.status).ok_or_else(|| unreadable("sites.status", &row.status))?,
            live_deployment_id: row.live_deployment_id.map(DeploymentId::from_uuid),
            language: row.language,
            industry: row.industry,
            look: row.look.map(serde_json::from_value).transpose().map_err(json_error)?,
            price: row
                .price_amount
                .zip(row.price_currency)
                .map(|(amount, currency)| Money { amount, currency }),
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

/// Holds the site until the unit of work ends, against others that lock it too. Rows that refer to it can still be
/// written.
pub(super) async fn lock(
    connection: &impl ConnectionTrait,
    tenant: TenantId,
    site: SiteId,
) -> Result<(), StoreError> {
    row::Entity::find_by_id((tenant.uuid(), site.uuid()))
        .lock(LockType::NoKeyUpdate)
        .one(connection)
        .await
        .map(|_| ())
        .map_err(store_error)
}

/// Sites over one connection.
pub(crate) struct Sites<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> SiteRepository for Sites<'_, C> {
    async fn insert(&mut self, site: &Site) -> Result<(), StoreError> {
        subdomains::claim(self.connection, site.tenant_id, &site.subdomain, site.created_at).await?;
        let row = row::ActiveModel {
            tenant_id: Set(site.tenant_id.uuid()),
            id: Set(site.id.uuid()),
            created_at: Set(to_row(site.created_at)),
            version: Set(site.version),
            ..changes(site)?
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn subdomain_is_free<'s>(
        &mut self,
        tenant: TenantId,
        subdomain: &'s str,
    ) -> Result<bool, StoreError> {
        let taken = query(
            self.connection,
            "select 1 from sites where subdomain = $1 \
             union all select 1 from subdomains where name = $1 and tenant_id <> $2 limit 1",
            [subdomain.into(), tenant.uuid().into()],
        )
        .await?;
        Ok(taken.is_empty())
    }

    async fn find(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), id.uuid()));
        row.one(self.connection).await.map_err(store_error)?.map(Site::try_from).transpose()
    }

    async fn lock(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), id.uuid())).lock(LockType::NoKeyUpdate);
        row.one(self.connection).await.map_err(store_error)?.map(Site::try_from).transpose()
    }

    async fn frozen_among(
        &mut self,
        tenant: TenantId,
        sites: &[SiteId],
        pages: &[PageId],
    ) -> Result<Option<SiteStatus>, StoreError> {
        if sites.is_empty() && pages.is_empty() {
            return Ok(None);
        }
        let mut any = Condition::any();
        if !sites.is_empty() {
            any = any.add(Column::Id.is_in(sites.iter().map(|id| id.uuid())));
        }
        if !pages.is_empty() {
            let of_pages = pages::row::Entity::find()
                .select_only()
                .column(pages::row::Column::SiteId)
                .filter(pages::row::Column::TenantId.eq(tenant.uuid()))
                .filter(pages::row::Column::Id.is_in(pages.iter().map(|id| id.uuid())));
            any = any.add(Column::Id.in_subquery(of_pages.into_query()));
        }
        let changeable = [SiteStatus::Draft.as_str(), SiteStatus::Published.as_str()];
        let status: Option<String> = row::Entity::find()
            .select_only()
            .column(Column::Status)
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::Status.is_not_in(changeable))
            .filter(any)
            .limit(1)
            .into_tuple()
            .one(self.connection)
            .await
            .map_err(store_error)?;
        status
            .map(|word| SiteStatus::parse(&word).ok_or_else(|| unreadable("sites.status", &word)))
            .transpose()
    }

    async fn primary(&mut self, tenant: TenantId) -> Result<Option<SiteId>, StoreError> {
        let id: Option<Uuid> = row::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::TenantId.eq(tenant.uuid()))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id)
            .limit(1)
            .into_tuple()
            .one(self.connection)
            .await
            .map_err(store_error)?;
        Ok(id.map(SiteId::from_uuid))
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: SiteFilter,
        page: PageRequest,
    ) -> Result<List<Site>, StoreError> {
        let mut query = row::Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
        if let Some(part) = &filter.q {
            query = query.filter(contains([Expr::col(Column::Name), Expr::col(Column::Subdomain)], part));
        }
        if let Some(status) = filter.status {
            query = query.filter(Column::Status.eq(status.as_str()));
        }
        let columns = SortColumns {
            created_at: Column::CreatedAt,
            updated_at: Column::UpdatedAt,
            name: Column::Name,
            id: Column::Id,
        };
        list(self.connection, sorted(query, filter.sort, columns), page).await
    }

    async fn update(&mut self, site: &Site) -> Result<(), StoreError> {
        let (tenant, id) = (site.tenant_id, site.id);
        let stored = self.find(tenant, id).await?.ok_or(StoreError::Stale)?;
        if stored.version != site.version {
            return Err(StoreError::Stale);
        }
        let renamed = stored.subdomain != site.subdomain;
        if renamed {
            // The old name is claimed too, to hold its row: somebody who takes it for another site right now waits until
            // it is given up. In the order of names, so that two who swap names do not wait for each other.
            let mut names = [&stored.subdomain, &site.subdomain];
            names.sort_unstable();
            for name in names {
                subdomains::claim(self.connection, tenant, name, site.updated_at).await?;
            }
        }
        let updated = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(site.version + 1), ..changes(site)? })
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::Id.eq(id.uuid()))
            .filter(Column::Version.eq(site.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 {
            return Err(StoreError::Stale);
        }
        if renamed {
            subdomains::release(self.connection, tenant, &stored.subdomain).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, tenant: TenantId, id: SiteId) -> Result<bool, StoreError> {
        let Some(site) = self.find(tenant, id).await? else { return Ok(false) };
        // Holds the row of the name, as in `update`.
        subdomains::claim(self.connection, tenant, &site.subdomain, site.updated_at).await?;
        let deleted = row::Entity::delete_many()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::Id.eq(id.uuid()))
            .exec_with_returning(self.connection)
            .await
            .map_err(store_error)?;
        subdomains::release(self.connection, tenant, &site.subdomain).await?;
        // It was given another name while this one waited.
        for renamed in deleted.iter().filter(|row| row.subdomain != site.subdomain) {
            subdomains::release(self.connection, tenant, &renamed.subdomain).await?;
        }
        Ok(!deleted.is_empty())
    }

    async fn on_offer(&mut self, q: Option<String>, page: PageRequest) -> Result<List<Site>, StoreError> {
        let mut query = on_offer();
        if let Some(part) = &q {
            query = query.filter(contains([Expr::col(Column::Name), Expr::col(Column::Subdomain)], part));
        }
        list(self.connection, query.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id), page).await
    }

    async fn on_offer_at(&mut self, subdomain: &str) -> Result<Option<Site>, StoreError> {
        let found = on_offer().filter(Column::Subdomain.eq(subdomain)).one(self.connection).await;
        found.map_err(store_error)?.map(Site::try_from).transpose()
    }
}

/// Sites for sale of active tenants.
fn on_offer() -> Select<row::Entity> {
    row::Entity::find().filter(Column::Status.eq(SiteStatus::ForSale.as_str())).filter(Expr::cust(
        "exists (select 1 from tenants where tenants.id = sites.tenant_id and tenants.status = 'active')",
    ))
}

/// What an update may change.
fn changes(site: &Site) -> Result<row::ActiveModel, StoreError> {
    let look = site.look.as_ref().map(serde_json::to_value).transpose().map_err(json_error)?;
    Ok(row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        name: Set(site.name.clone()),
        subdomain: Set(site.subdomain.clone()),
        custom_domain: Set(site.custom_domain.clone()),
        status: Set(site.status.as_str().to_owned()),
        live_deployment_id: Set(site.live_deployment_id.map(DeploymentId::uuid)),
        language: Set(site.language.clone()),
        industry: Set(site.industry.clone()),
        look: Set(look),
        price_amount: Set(site.price.as_ref().map(|price| price.amount)),
        price_currency: Set(site.price.as_ref().map(|price| price.currency.clone())),
        created_at: NotSet,
        updated_at: Set(to_row(site.updated_at)),
        version: NotSet,
    })
}
