//! Domains of customers.

use async_trait::async_trait;
use portico_kernel::{
    DeploymentId, DomainId, List, PageRequest, SiteId, StoreError, TenantId, Timestamp, name::Subdomain,
};
use portico_sites::{
    domain::{DnsRecord, Domain, DomainMode, DomainReason, DomainStatus},
    ports::{
        DOMAIN_EXISTS, DOMAIN_VERIFIED_ELSEWHERE, DomainRepository, HostName, HostedSite, SECOND_PRIMARY,
    },
    site::SiteStatus,
};
use portico_tenancy::tenant::TenantStatus;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};

use crate::{
    columns::{Col, documents, words},
    db::Db,
};
use row::Column;

mod row {
    use portico_kernel::{DomainId, SiteId, TenantId, Timestamp};
    use portico_sites::domain::{DnsRecord, DomainMode, DomainReason, DomainStatus};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "domains")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<DomainId>,
        pub site_id: Col<SiteId>,
        pub name: String,
        pub mode: Col<DomainMode>,
        pub status: Col<DomainStatus>,
        pub reason: Col<Option<DomainReason>>,
        pub token: String,
        pub records: Col<Vec<DnsRecord>>,
        pub checked_at: Col<Option<Timestamp>>,
        pub verified_at: Col<Option<Timestamp>>,
        pub missing_since: Col<Option<Timestamp>>,
        pub misses: i32,
        pub round: i64,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(DomainMode, DomainReason, DomainStatus);
documents!(Vec<DnsRecord>);

impl From<row::Model> for Domain {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            site_id: row.site_id.0,
            name: row.name,
            mode: row.mode.0,
            status: row.status.0,
            reason: row.reason.0,
            checked_at: row.checked_at.0,
            verified_at: row.verified_at.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            records: row.records.0,
            token: row.token,
            missing_since: row.missing_since.0,
            misses: row.misses,
            round: row.round,
            version: row.version,
        }
    }
}

/// What an update may change.
fn changes(domain: &Domain) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        site_id: NotSet,
        name: NotSet,
        mode: Set(Col(domain.mode)),
        status: Set(Col(domain.status)),
        reason: Set(Col(domain.reason)),
        token: NotSet,
        records: Set(Col(domain.records.clone())),
        checked_at: Set(Col(domain.checked_at)),
        verified_at: Set(Col(domain.verified_at)),
        missing_since: Set(Col(domain.missing_since)),
        misses: Set(domain.misses),
        round: Set(domain.round),
        created_at: NotSet,
        updated_at: Set(Col(domain.updated_at)),
        version: NotSet,
    }
}

/// Postgres names the index, SQLite its columns.
fn conflict(error: StoreError) -> StoreError {
    let StoreError::Conflict(key) = &error else { return error };
    let known = [DOMAIN_EXISTS, DOMAIN_VERIFIED_ELSEWHERE, SECOND_PRIMARY].contains(&key.as_str());
    let name = match key.as_str() {
        _ if known => return error,
        "domains.name" => DOMAIN_VERIFIED_ELSEWHERE,
        "domains.tenant_id, domains.name" => DOMAIN_EXISTS,
        "domains.tenant_id, domains.site_id" => SECOND_PRIMARY,
        _ => return error,
    };
    StoreError::Conflict(name.to_owned())
}

/// Domains of customers, over one connection.
pub(crate) struct Domains<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl DomainRepository for Domains<'_> {
    async fn insert(&mut self, domain: &Domain) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            tenant_id: Set(Col(domain.tenant)),
            id: Set(Col(domain.id)),
            site_id: Set(Col(domain.site_id)),
            name: Set(domain.name.clone()),
            token: Set(domain.token.clone()),
            created_at: Set(Col(domain.created_at)),
            version: Set(domain.version),
            ..changes(domain)
        };
        self.db.insert(row).await.map_err(conflict)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DomainId,
    ) -> Result<Option<Domain>, StoreError> {
        self.db
            .one(row::Entity::find_by_id((Col(tenant), Col(id))).filter(Column::SiteId.eq(Col(site))))
            .await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageRequest,
    ) -> Result<List<Domain>, StoreError> {
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::SiteId.eq(Col(site)))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id);
        self.db.page(query, page).await
    }

    async fn primary(&mut self, tenant: TenantId, site: SiteId) -> Result<Option<Domain>, StoreError> {
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::SiteId.eq(Col(site)))
            .filter(Column::Mode.eq(Col(DomainMode::Primary)))
            .filter(Column::Status.eq(Col(DomainStatus::Verified)));
        self.db.one(query).await
    }

    async fn update(&mut self, domain: &Domain) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(domain.version + 1), ..changes(domain) })
            .filter(Column::TenantId.eq(Col(domain.tenant)))
            .filter(Column::Id.eq(Col(domain.id)))
            .filter(Column::Version.eq(domain.version));
        self.db.update_one(update).await.map_err(conflict)
    }

    async fn delete(&mut self, tenant: TenantId, site: SiteId, id: DomainId) -> Result<bool, StoreError> {
        let delete = row::Entity::delete_many()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::SiteId.eq(Col(site)))
            .filter(Column::Id.eq(Col(id)));
        Ok(self.db.delete(delete).await? > 0)
    }

    async fn delete_of_site(&mut self, tenant: TenantId, site: SiteId) -> Result<u64, StoreError> {
        // The strongest lock of a row: a domain that refers to the site can be stored neither before this ends nor after.
        let site_row = super::sites::row::Entity::find_by_id((Col(tenant), Col(site))).lock(LockType::Update);
        let _: Option<super::sites::row::Model> = self.db.one(site_row).await?;
        let domains = row::Entity::delete_many()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::SiteId.eq(Col(site)));
        self.db.delete(domains).await
    }

    async fn hosted_at(&mut self, host: &HostName) -> Result<Option<HostedSite>, StoreError> {
        let (sql, name) = match host {
            HostName::Subdomain(name) => (
                "select sites.tenant_id, sites.id, sites.subdomain, sites.custom_domain, sites.status, \
                 sites.live_deployment_id, tenants.status as tenant_status, cast(null as text) as mode, \
                 (select bandwidth_spent_until from subscriptions where subscriptions.tenant_id = sites.tenant_id) \
                 as bandwidth_spent_until \
                 from sites join tenants on tenants.id = sites.tenant_id where sites.subdomain = $1",
                name,
            ),
            HostName::Domain(name) => (
                "select sites.tenant_id, sites.id, sites.subdomain, sites.custom_domain, sites.status, \
                 sites.live_deployment_id, tenants.status as tenant_status, domains.mode as mode, \
                 (select bandwidth_spent_until from subscriptions where subscriptions.tenant_id = sites.tenant_id) \
                 as bandwidth_spent_until \
                 from domains join sites on sites.tenant_id = domains.tenant_id and sites.id = domains.site_id \
                 join tenants on tenants.id = sites.tenant_id \
                 where domains.name = $1 and domains.status = 'verified'",
                name,
            ),
        };
        let found: Option<HostedRow> = self.db.model(sql, [name.as_str()]).await?;
        Ok(found.and_then(HostedRow::hosted))
    }
}

/// The answer to [`DomainRepository::hosted_at`].
#[derive(FromQueryResult)]
struct HostedRow {
    tenant_id: Col<TenantId>,
    id: Col<SiteId>,
    subdomain: Col<Subdomain>,
    custom_domain: Option<String>,
    status: Col<SiteStatus>,
    live_deployment_id: Col<Option<DeploymentId>>,
    tenant_status: Col<TenantStatus>,
    mode: Col<Option<DomainMode>>,
    bandwidth_spent_until: Col<Option<Timestamp>>,
}

impl HostedRow {
    /// `None` when the tenant is neither active nor suspended.
    fn hosted(self) -> Option<HostedSite> {
        let paused = match self.tenant_status.0 {
            TenantStatus::Active => false,
            TenantStatus::Suspended => true,
            TenantStatus::Deleting | TenantStatus::Deleted => return None,
        };
        let suspended = self.status.0 == SiteStatus::Suspended;
        Some(HostedSite {
            tenant: self.tenant_id.0,
            site: self.id.0,
            subdomain: self.subdomain.0,
            deployment: self.live_deployment_id.0.filter(|_| !suspended),
            paused,
            bandwidth_spent_until: self.bandwidth_spent_until.0,
            primary: self.custom_domain,
            mode: self.mode.0,
        })
    }
}
