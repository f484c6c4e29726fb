//! Settings of tenants.

use async_trait::async_trait;
use portico_kernel::{StoreError, TenantId, Timestamp};
use portico_tenancy::{ports::SettingsRepository, settings::TenantSettings};
use sea_orm::FromQueryResult;

use crate::{columns::Col, db::Db};

/// Settings over one connection.
pub(crate) struct Settings<'c> {
    pub db: Db<'c>,
}

#[derive(FromQueryResult)]
struct SettingsRow {
    tenant_id: Col<TenantId>,
    language: String,
    time_zone: String,
    support_email: Option<String>,
    audit_retention_days: Option<i32>,
    updated_at: Col<Timestamp>,
    version: i64,
}

impl From<SettingsRow> for TenantSettings {
    fn from(row: SettingsRow) -> Self {
        Self {
            tenant: row.tenant_id.0,
            language: row.language,
            time_zone: row.time_zone,
            support_email: row.support_email,
            audit_retention_days: row.audit_retention_days,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

#[async_trait]
impl SettingsRepository for Settings<'_> {
    async fn find(&mut self, tenant: TenantId) -> Result<Option<TenantSettings>, StoreError> {
        let sql = "select tenant_id, language, time_zone, support_email, audit_retention_days, updated_at, version \
             from tenant_settings where tenant_id = $1";
        let found: Option<SettingsRow> = self.db.model(sql, [tenant]).await?;
        Ok(found.map(TenantSettings::from))
    }

    async fn save(&mut self, settings: &TenantSettings) -> Result<(), StoreError> {
        let row = (
            settings.tenant,
            settings.language.as_str(),
            settings.time_zone.as_str(),
            &settings.support_email,
            settings.audit_retention_days,
            settings.updated_at,
            settings.version + 1,
        );
        let statement = if settings.version == 1 {
            "insert into tenant_settings \
             (tenant_id, language, time_zone, support_email, audit_retention_days, updated_at, version) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id) do nothing"
        } else {
            "update tenant_settings set language = $2, time_zone = $3, support_email = $4, \
             audit_retention_days = $5, updated_at = $6, version = $7 where tenant_id = $1 and version = $7 - 1"
        };
        self.db.execute_one(statement, row).await
    }
}
