//! Settings of tenants.

use async_trait::async_trait;
use portico_kernel::{StoreError, TenantId};
use portico_tenancy::{ports::SettingsRepository, settings::TenantSettings};
use sea_orm::{ConnectionTrait, FromQueryResult};
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

/// Settings over one connection.
pub(crate) struct Settings<'c, C> {
    pub connection: &'c C,
}

#[derive(FromQueryResult)]
struct SettingsRow {
    tenant_id: Uuid,
    language: String,
    time_zone: String,
    support_email: Option<String>,
    audit_retention_days: Option<i32>,
    updated_at: PrimitiveDateTime,
    version: i64,
}

impl From<SettingsRow> for TenantSettings {
    fn from(row: SettingsRow) -> Self {
        Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            language: row.language,
            time_zone: row.time_zone,
            support_email: row.support_email,
            audit_retention_days: row.audit_retention_days,
            updated_at: from_row(row.updated_at),
            version: row.version,
        }
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> SettingsRepository for Settings<'_, C> {
    async fn find(&mut self, tenant: TenantId) -> Result<Option<TenantSettings>, StoreError> {
        let rows = query(
            self.connection,
            "select tenant_id, language, time_zone, support_email, audit_retention_days, updated_at, version \
             from tenant_settings where tenant_id = $1",
            [tenant.uuid().into()],
        )
        .await?;
        rows.first()
            .map(|row| SettingsRow::from_query_result(row, "").map(Into::into).map_err(store_error))
            .transpose()
    }

    async fn save(&mut self, settings: &TenantSettings) -> Result<(), StoreError> {
        let row = [
            settings.tenant.uuid().into(),
            settings.language.as_str().into(),
            settings.time_zone.as_str().into(),
            settings.support_email.clone().into(),
            settings.audit_retention_days.into(),
            to_row(settings.updated_at).into(),
            (settings.version + 1).into(),
        ];
        let statement = if settings.version == 1 {
            "insert into tenant_settings \
             (tenant_id, language, time_zone, support_email, audit_retention_days, updated_at, version) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id) do nothing"
        } else {
            "update tenant_settings set language = $2, time_zone = $3, support_email = $4, \
             audit_retention_days = $5, updated_at = $6, version = $7 where tenant_id = $1 and version = $7 - 1"
        };
        if execute(self.connection, statement, row).await? == 1 { Ok(()) } else { Err(StoreError::Stale) }
    }
}
