//! Domains of customers.

use async_trait::async_trait;
use portico_kernel::{DeploymentId, DomainId, List, PageRequest, SiteId, StoreError, TenantId};
use portico_sites::{
    domain::{Domain, DomainMode, DomainReason, DomainStatus},
    ports::{
        DOMAIN_EXISTS, DOMAIN_VERIFIED_ELSEWHERE, DomainRepository, HostName, HostedSite, SECOND_PRIMARY,
    },
    site::SiteStatus,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect,
    sea_query::LockType,
};
use uuid::Uuid;

use super::list::list;
use crate::{
    dialect::query,
    error::{json_error, store_error, unreadable},
    time::{from_row, to_row},
};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "domains")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub site_id: Uuid,
        pub name: String,
        pub mode: String,
        pub status: String,
        pub reason: Option<String>,
        pub token: String,
        pub records: Json,
        pub checked_at: Option<TimeDateTime>,
        pub verified_at: Option<TimeDateTime>,
        pub missing_since: Option<TimeDateTime>,
        pub misses: i32,
        pub round: i64,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Domain {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let reason = row
            .reason
            .map(|word| DomainReason::parse(&word).ok_or_else(|| unreadable("domains.reason", &word)));
        Ok(Self {
            id: DomainId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            site_id: SiteId::from_uuid(row.site_id),
            name: row.name,
            mode: DomainMode::parse(&row.mode).ok_or_else(|| unreadable("domains.mode", &row.mode))?,
            status: DomainStatus::parse(&row.status)
                .ok_or_else(|| unreadable("domains.status", &row.status))?,
            reason: reason.transpose()?,
            checked_at: row.checked_at.map(from_row),
            verified_at: row.verified_at.map(from_row),
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            records: serde_json::from_value(row.records).map_err(json_error)?,
            token: row.token,
            missing_since: row.missing_since.map(from_row),
            misses: row.misses,
            round: row.round,
            version: row.version,
        })
    }
}

/// What an update may change.
fn changes(domain: &Domain) -> Result<row::ActiveModel, StoreError> {
    Ok(row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        site_id: NotSet,
        name: NotSet,
        mode: Set(domain.mode.as_str().to_owned()),
        status: Set(domain.status.as_str().to_owned()),
        reason: Set(domain.reason.map(|reason| reason.as_str().to_owned())),
        token: NotSet,
        records: Set(serde_json::to_value(&domain.records).map_err(json_error)?),
        checked_at: Set(domain.checked_at.map(to_row)),
        verified_at: Set(domain.verified_at.map(to_row)),
        missing_since: Set(domain.missing_since.map(to_row)),
        misses: Set(domain.misses),
        round: Set(domain.round),
        created_at: NotSet,
        updated_at: Set(to_row(domain.updated_at)),
        version: NotSet,
    })
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
pub(crate) struct Domains<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> DomainRepository for Domains<'_, C> {
    async fn insert(&mut self, domain: &Domain) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            tenant_id: Set(domain.tenant.uuid()),
            id: Set(domain.id.uuid()),
            site_id: Set(domain.site_id.uuid()),
            name: Set(domain.name.clone()),
            token: Set(domain.token.clone()),
            created_at: Set(to_row(domain.created_at)),
            version: Set(domain.version),
            ..changes(domain)?
        };
        let inserted = row::Entity::insert(row).exec_without_returning(self.connection).await;
        inserted.map(|_| ()).map_err(|error| conflict(store_error(error)))
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DomainId,
    ) -> Result<Option<Domain>, StoreError> {
        row::Entity::find_by_id((tenant.uuid(), id.uuid()))
            .filter(Column::SiteId.eq(site.uuid()))
            .one(self.connection)
            .await
            .map_err(store_error)?
            .map(Domain::try_from)
            .transpose()
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageRequest,
    ) -> Result<List<Domain>, StoreError> {
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::SiteId.eq(site.uuid()))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id);
        list(self.connection, query, page).await
    }

    async fn primary(&mut self, tenant: TenantId, site: SiteId) -> Result<Option<Domain>, StoreError> {
        row::Entity::find()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::SiteId.eq(site.uuid()))
            .filter(Column::Mode.eq(DomainMode::Primary.as_str()))
            .filter(Column::Status.eq(DomainStatus::Verified.as_str()))
            .one(self.connection)
            .await
            .map_err(store_error)?
            .map(Domain::try_from)
            .transpose()
    }

    async fn update(&mut self, domain: &Domain) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(domain.version + 1), ..changes(domain)? })
            .filter(Column::TenantId.eq(domain.tenant.uuid()))
            .filter(Column::Id.eq(domain.id.uuid()))
            .filter(Column::Version.eq(domain.version))
            .exec(self.connection)
            .await
            .map_err(|error| conflict(store_error(error)))?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn delete(&mut self, tenant: TenantId, site: SiteId, id: DomainId) -> Result<bool, StoreError> {
        let deleted = row::Entity::delete_many()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::SiteId.eq(site.uuid()))
            .filter(Column::Id.eq(id.uuid()))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        Ok(deleted.rows_affected > 0)
    }

    async fn delete_of_site(&mut self, tenant: TenantId, site: SiteId) -> Result<u64, StoreError> {
        // The strongest lock of a row: a domain that refers to the site can be stored neither before this ends nor after.
        super::sites::row::Entity::find_by_id((tenant.uuid(), site.uuid()))
            .lock(LockType::Update)
            .one(self.connection)
            .await
            .map_err(store_error)?;
        let deleted = row::Entity::delete_many()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::SiteId.eq(site.uuid()))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        Ok(deleted.rows_affected)
    }

    async fn hosted_at(&mut self, host: &HostName) -> Result<Option<HostedSite>, StoreError> {
        let (sql, name) = match host {
            HostName::Subdomain(name) => (
                "select sites.tenant_id, sites.id, sites.subdomain, sites.custom_domain, sites.status, \
                 sites.live_deployment_id, tenants.status as tenant_status, cast(null as text) as mode \
                 from sites join tenants on tenants.id = sites.tenant_id where sites.subdomain = $1",
                name,
            ),
            HostName::Domain(name) => (
                "select sites.tenant_id, sites.id, sites.subdomain, sites.custom_domain, sites.status, \
                 sites.live_deployment_id, tenants.status as tenant_status, domains.mode as mode \
                 from domains join sites on sites.tenant_id = domains.tenant_id and sites.id = domains.site_id \
                 join tenants on tenants.id = sites.tenant_id \
                 where domains.name = $1 and domains.status = 'verified'",
                name,
            ),
        };
        let rows = query(self.connection, sql, [name.as_str().into()]).await?;
        rows.first().map(hosted).transpose().map(Option::flatten)
    }
}

/// `None` when the tenant is neither active nor suspended.
fn hosted(row: &QueryResult) -> Result<Option<HostedSite>, StoreError> {
    let text = |column| row.try_get::<String>("", column).map_err(store_error);
    let optional = |column| row.try_get::<Option<String>>("", column).map_err(store_error);
    let id = |column| row.try_get::<Uuid>("", column).map_err(store_error);
    let paused = match text("tenant_status")?.as_str() {
        "active" => false,
        "suspended" => true,
        _ => return Ok(None),
    };
    let status = text("status")?;
    let suspended = status == SiteStatus::Suspended.as_str();
    let live = row.try_get::<Option<Uuid>>("", "live_deployment_id").map_err(store_error)?;
    let mode = optional("mode")?
        .map(|word| DomainMode::parse(&word).ok_or_else(|| unreadable("domains.mode", &word)));
    Ok(Some(HostedSite {
        tenant: TenantId::from_uuid(id("tenant_id")?),
        site: SiteId::from_uuid(id("id")?),
        subdomain: text("subdomain")?,
        deployment: live.filter(|_| !suspended).map(DeploymentId::from_uuid),
        paused,
        primary: optional("custom_domain")?,
        mode: mode.transpose()?,
    }))
}
