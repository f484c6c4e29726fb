//! Sites.

use std::time::Instant;

use async_trait::async_trait;
use portico_kernel::{List, Money, PageId, PageRequest, SiteId, StoreError, TenantId};
use portico_sites::{
    look::Look,
    ports::{SiteFilter, SiteRepository},
    site::{Frozen, Site, SiteStatus},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, LockType},
};

use super::{
    list::{SortColumns, sorted},
    pages,
};
use crate::{
    columns::{Col, documents, words},
    db::Db,
    dialect::contains,
    error::store_error,
    frozen,
    remembered::Remembered,
    tenancy::subdomains,
};
use row::Column;

/// A row of the table of sites.
pub(crate) mod row {
    use portico_kernel::{DeploymentId, SiteId, TenantId, Timestamp, name::Subdomain};
    use portico_sites::{look::Look, site::SiteStatus};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sites")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<SiteId>,
        pub name: String,
        pub subdomain: Col<Subdomain>,
        pub custom_domain: Option<String>,
        pub status: Col<SiteStatus>,
        pub live_deployment_id: Col<Option<DeploymentId>>,
        pub language: String,
        pub industry: Option<String>,
        pub look: Col<Option<Look>>,
        pub price_amount: Option<i64>,
        pub price_currency: Option<String>,
        pub over_limit: bool,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(SiteStatus);
documents!(Look);

impl From<row::Model> for Site {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant_id: row.tenant_id.0,
            name: row.name,
            subdomain: row.subdomain.0,
            custom_domain: row.custom_domain,
            status: row.status.0,
            live_deployment_id: row.live_deployment_id.0,
            language: row.language,
            industry: row.industry,
            look: row.look.0,
            price: row
                .price_amount
                .zip(row.price_currency)
                .map(|(amount, currency)| Money { amount, currency }),
            over_limit: row.over_limit,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// Holds the site until the unit of work ends, against others that lock it too. Rows that refer to it can still be
/// written.
pub(super) async fn lock(db: &Db<'_>, tenant: TenantId, site: SiteId) -> Result<(), StoreError> {
    let _: Option<row::Model> =
        db.one(row::Entity::find_by_id((Col(tenant), Col(site))).lock(LockType::NoKeyUpdate)).await?;
    Ok(())
}

/// Sites over one connection.
pub(crate) struct Sites<'c> {
    pub db: Db<'c>,
    /// Where those are noted that were seen, and may be changed by others than staff.
    pub unfrozen: &'c mut Vec<(TenantId, SiteId)>,
    /// Where the tenants are noted whose sites are changed.
    pub changed: &'c mut Vec<TenantId>,
    /// Of the whole process.
    pub remembered: &'c Remembered,
}

#[async_trait]
impl SiteRepository for Sites<'_> {
    async fn insert(&mut self, site: &Site) -> Result<(), StoreError> {
        self.changed.push(site.tenant_id);
        subdomains::claim(&self.db, site.tenant_id, &site.subdomain, site.created_at).await?;
        let row = row::ActiveModel {
            tenant_id: Set(Col(site.tenant_id)),
            id: Set(Col(site.id)),
            created_at: Set(Col(site.created_at)),
            version: Set(site.version),
            ..changes(site)
        };
        self.db.insert(row).await
    }

    async fn subdomain_is_free<'s>(
        &mut self,
        tenant: TenantId,
        subdomain: &'s str,
    ) -> Result<bool, StoreError> {
        let sql = "select 1 from sites where subdomain = $1 \
             union all select 1 from subdomains where name = $1 and tenant_id <> $2 limit 1";
        Ok(!self.db.exists(sql, (subdomain, tenant)).await?)
    }

    async fn find(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(id)));
        self.db.one(row).await
    }

    async fn lock(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(id))).lock(LockType::NoKeyUpdate);
        self.db.one(row).await
    }

    async fn lock_for_deletion(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(id))).lock(LockType::Update);
        self.db.one(row).await
    }

    async fn frozen_among(
        &mut self,
        tenant: TenantId,
        sites: &[SiteId],
        pages: &[PageId],
    ) -> Result<Option<Frozen>, StoreError> {
        if sites.is_empty() && pages.is_empty() {
            return Ok(None);
        }
        let mut any = Condition::any();
        if !sites.is_empty() {
            any = any.add(Column::Id.is_in(sites.iter().copied().map(Col)));
        }
        if !pages.is_empty() {
            let of_pages = pages::row::Entity::find()
                .select_only()
                .column(pages::row::Column::SiteId)
                .filter(pages::row::Column::TenantId.eq(Col(tenant)))
                .filter(pages::row::Column::Id.is_in(pages.iter().copied().map(Col)));
            any = any.add(Column::Id.in_subquery(of_pages.into_query()));
        }
        let query = row::Entity::find()
            .select_only()
            .expr(Expr::cust(frozen::REASON))
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Expr::cust(frozen::IS_FROZEN))
            .filter(any)
            .limit(1);
        self.db.value(query).await
    }

    async fn over_limit_differs(&mut self, tenant: TenantId, keep: Option<u64>) -> Result<bool, StoreError> {
        match keep {
            // Nearly always, and answered by an index of what is read-only.
            None => {
                self.db
                    .exists("select 1 from sites where tenant_id = $1 and over_limit limit 1", [tenant])
                    .await
            }
            Some(keep) => {
                let sql = format!("select 1 from ({RANKED}) ranked where was_over <> is_over limit 1");
                self.db.exists(&sql, (tenant, keep)).await
            }
        }
    }

    async fn set_over_limit(&mut self, tenant: TenantId, keep: Option<u64>) -> Result<Vec<Site>, StoreError> {
        self.changed.push(tenant);
        // The mark is compared with the row as it is, not as it was ranked: whoever waited for another one to do the same changes nothing.
        let sql = format!(
            "update sites set over_limit = ranked.is_over, version = sites.version + 1 from ({RANKED}) ranked \
             where sites.tenant_id = $1 and sites.id = ranked.site and sites.over_limit <> ranked.is_over returning *"
        );
        let changed: Vec<row::Model> = self.db.models(&sql, (tenant, keep.unwrap_or(u64::MAX))).await?;
        Ok(changed.into_iter().map(Site::from).collect())
    }

    async fn primary(&mut self, tenant: TenantId) -> Result<Option<SiteId>, StoreError> {
        // A unit of work sees its own changes, which others see only when it has committed.
        let is_as_others_see = self.db.0.has_only_read();
        let asked = Instant::now();
        if is_as_others_see && let Some(site) = self.remembered.primary_site(tenant, asked) {
            self.unfrozen.push((tenant, site));
            return Ok(Some(site));
        }
        let query = row::Entity::find()
            .select_only()
            .column(Column::Id)
            .expr(Expr::cust(frozen::IS_FROZEN))
            .filter(Column::TenantId.eq(Col(tenant)))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id)
            .limit(1);
        let found = query.into_tuple::<(Col<SiteId>, bool)>().one(&self.db.0).await.map_err(store_error)?;
        let Some((Col(site), is_frozen)) = found else { return Ok(None) };
        if !is_frozen {
            self.unfrozen.push((tenant, site));
            if is_as_others_see {
                self.remembered.note_primary_site(tenant, site, asked);
            }
        }
        Ok(Some(site))
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: SiteFilter,
        page: PageRequest,
    ) -> Result<List<Site>, StoreError> {
        let mut query = row::Entity::find().filter(Column::TenantId.eq(Col(tenant)));
        if let Some(part) = &filter.q {
            query = query.filter(contains([Expr::col(Column::Name), Expr::col(Column::Subdomain)], part));
        }
        if let Some(status) = filter.status {
            query = query.filter(Column::Status.eq(Col(status)));
        }
        let columns = SortColumns {
            created_at: Column::CreatedAt,
            updated_at: Column::UpdatedAt,
            name: Column::Name,
            id: Column::Id,
        };
        self.db.page(sorted(query, filter.sort, columns), page).await
    }

    async fn update(&mut self, site: &Site) -> Result<(), StoreError> {
        let (tenant, id) = (site.tenant_id, site.id);
        self.changed.push(tenant);
        let stored = self.find(tenant, id).await?.ok_or(StoreError::Stale)?;
        if stored.version != site.version {
            return Err(StoreError::Stale);
        }
        let renamed = stored.subdomain != site.subdomain;
        if renamed {
            // The site before its names, as where it is deleted.
            lock(&self.db, tenant, id).await?;
            // The old name is claimed too, to hold its row: somebody who takes it for another site right now waits until
            // it is given up. In the order of names, so that two who swap names do not wait for each other.
            let mut names = [&stored.subdomain, &site.subdomain];
            names.sort_unstable();
            for name in names {
                subdomains::claim(&self.db, tenant, name, site.updated_at).await?;
            }
        }
        let update = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(site.version + 1), ..changes(site) })
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::Id.eq(Col(id)))
            .filter(Column::Version.eq(site.version));
        self.db.update_one(update).await?;
        if renamed {
            subdomains::release(&self.db, tenant, &stored.subdomain).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, tenant: TenantId, id: SiteId) -> Result<bool, StoreError> {
        self.changed.push(tenant);
        // The site before its name, as in `update`, whose row is held in the same way.
        let Some(site) = self.lock_for_deletion(tenant, id).await? else { return Ok(false) };
        subdomains::claim(&self.db, tenant, &site.subdomain, site.updated_at).await?;
        let delete = row::Entity::delete_many()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::Id.eq(Col(id)));
        let deleted = self.db.take(delete).await?;
        subdomains::release(&self.db, tenant, &site.subdomain).await?;
        Ok(!deleted.is_empty())
    }

    async fn on_offer(&mut self, q: Option<String>, page: PageRequest) -> Result<List<Site>, StoreError> {
        let mut query = on_offer();
        if let Some(part) = &q {
            query = query.filter(contains([Expr::col(Column::Name), Expr::col(Column::Subdomain)], part));
        }
        self.db.page(query.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id), page).await
    }

    async fn on_offer_at(&mut self, subdomain: &str) -> Result<Option<Site>, StoreError> {
        self.db.one(on_offer().filter(Column::Subdomain.eq(subdomain))).await
    }
}

/// The sites of tenant `$1`, and which of them are beyond the `$2` oldest: that of equal age with the larger id is newer.
const RANKED: &str = "select id as site, over_limit as was_over, row_number() over (order by created_at, id) > $2 as is_over \
    from sites where tenant_id = $1";

/// Sites for sale of active tenants.
fn on_offer() -> Select<row::Entity> {
    row::Entity::find().filter(Column::Status.eq(Col(SiteStatus::ForSale))).filter(Expr::cust(
        "exists (select 1 from tenants where tenants.id = sites.tenant_id and tenants.status = 'active')",
    ))
}

/// What an update may change.
fn changes(site: &Site) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        name: Set(site.name.clone()),
        subdomain: Set(Col(site.subdomain.clone())),
        custom_domain: Set(site.custom_domain.clone()),
        status: Set(Col(site.status)),
        live_deployment_id: Set(Col(site.live_deployment_id)),
        language: Set(site.language.clone()),
        industry: Set(site.industry.clone()),
        look: Set(Col(site.look.clone())),
        price_amount: Set(site.price.as_ref().map(|price| price.amount)),
        price_currency: Set(site.price.as_ref().map(|price| price.currency.clone())),
        // Only by `set_over_limit`: whoever changes something else does not know.
        over_limit: NotSet,
        created_at: NotSet,
        updated_at: Set(Col(site.updated_at)),
        version: NotSet,
    }
}
