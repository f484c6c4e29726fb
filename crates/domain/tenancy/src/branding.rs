//! Colours, fonts and logo of a tenant, used by every site of the tenant.

pub use portico_kernel::look::{Colors, ColorsUpdate, Fonts, FontsUpdate, contrast, font_names, font_stack};
use portico_kernel::{
    AssetId, Env, Event, Permission, Scope, StoreError, TenantId, Timestamp, Violations,
    look::{apply_colors, apply_fonts},
    patch,
};
use serde::{Deserialize, Serialize};

use crate::{TenancyError, events, ports::TenancyRepositories};

/// Colours, fonts and logo of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Branding {
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Colours.
    pub colors: Colors,
    /// Fonts.
    pub fonts: Fonts,
    /// Logo.
    pub logo_asset_id: Option<AssetId>,
    /// Icon in the browser tab.
    pub favicon_asset_id: Option<AssetId>,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

impl Branding {
    /// The branding of a new tenant.
    pub fn default_of(tenant: TenantId, now: Timestamp) -> Self {
        Self {
            tenant,
            colors: Colors::default(),
            fonts: Fonts::default(),
            logo_asset_id: None,
            favicon_asset_id: None,
            updated_at: now,
            version: 1,
        }
    }
}

/// A change of branding; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BrandingUpdate {
    /// Colours.
    pub colors: Option<ColorsUpdate>,
    /// Fonts.
    pub fonts: Option<FontsUpdate>,
    /// Logo; null removes it.
    #[serde(default, deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AssetId>))]
    pub logo_asset_id: Option<Option<AssetId>>,
    /// Icon in the browser tab; null removes it.
    #[serde(default, deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AssetId>))]
    pub favicon_asset_id: Option<Option<AssetId>>,
}

/// Use cases around the branding of the scope's active tenant.
pub struct Brandings<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Brandings<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The branding.
    pub async fn get(&mut self) -> Result<Branding, TenancyError> {
        let tenant = self.scope.require(Permission::BrandingRead)?;
        self.expected(tenant, None).await
    }

    /// Changes the branding, given that its version is still the expected one, if any. The caller checks that the assets are
    /// pictures of the tenant: they belong to another domain.
    pub async fn update(
        &mut self,
        input: BrandingUpdate,
        expected: Option<i64>,
    ) -> Result<Branding, TenancyError> {
        let tenant = self.scope.require(Permission::BrandingWrite)?;
        let before = self.expected(tenant, expected).await?;
        let mut after = before.clone();
        let mut violations = Violations::default();
        if let Some(colors) = input.colors {
            apply_colors(&mut after.colors, colors, &mut violations);
        }
        if let Some(fonts) = input.fonts {
            apply_fonts(&mut after.fonts, fonts, &mut violations);
        }
        after.logo_asset_id = input.logo_asset_id.unwrap_or(after.logo_asset_id);
        after.favicon_asset_id = input.favicon_asset_id.unwrap_or(after.favicon_asset_id);
        violations.into_result()?;
        self.store(before, after, expected).await
    }

    /// Goes back to the defaults, given that the version is still the expected one, if any.
    pub async fn reset(&mut self, expected: Option<i64>) -> Result<Branding, TenancyError> {
        let tenant = self.scope.require(Permission::BrandingWrite)?;
        let before = self.expected(tenant, expected).await?;
        let defaults = Branding::default_of(tenant, before.updated_at);
        let after = Branding { version: before.version, ..defaults };
        self.store(before, after, expected).await
    }

    async fn expected(&mut self, tenant: TenantId, expected: Option<i64>) -> Result<Branding, TenancyError> {
        let found = self.repositories.branding().find(tenant).await?;
        let branding = found.ok_or(TenancyError::NotFound("tenant"))?;
        match expected {
            Some(version) if version != branding.version => Err(TenancyError::PreconditionFailed),
            _ => Ok(branding),
        }
    }

    async fn store(
        &mut self,
        before: Branding,
        mut after: Branding,
        expected: Option<i64>,
    ) -> Result<Branding, TenancyError> {
        if after == before {
            return Ok(before);
        }
        after.updated_at = self.env.now();
        self.repositories.branding().update(&after).await.map_err(|error| match error {
            StoreError::Stale if expected.is_some() => TenancyError::PreconditionFailed,
            error => error.into(),
        })?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, &events::BRANDING_UPDATED, after.tenant.uuid());
        let event = event.in_tenant(after.tenant).before(&before).after(&after);
        self.repositories.events().append(event).await?;
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, look::LEAST_CONTRAST};

    use super::*;
    use crate::{
        ports::MockBrandingRepository,
        testing::{Repositories, env, owner_of, viewer_of},
    };

    fn stored(branding: &Branding) -> Repositories {
        let branding = branding.clone();
        let mut finding = MockBrandingRepository::new();
        finding.expect_find().times(1).return_once(move |_| Ok(Some(branding)));
        let mut repositories = Repositories::default();
        repositories.branding.push_back(finding);
        repositories
    }

    fn updatable(branding: &Branding) -> Repositories {
        let mut repositories = stored(branding);
        let version = branding.version;
        let mut updating = MockBrandingRepository::new();
        updating.expect_update().times(1).withf(move |b| b.version == version).return_once(|_| Ok(()));
        repositories.branding.push_back(updating);
        repositories
    }

    fn colors(background: &str, text: &str) -> BrandingUpdate {
        let colors = ColorsUpdate {
            background: Some(background.into()),
            text: Some(text.into()),
            ..ColorsUpdate::default()
        };
        BrandingUpdate { colors: Some(colors), ..BrandingUpdate::default() }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert_eq!(contrast("#000000", "#ffffff").map(|ratio| (ratio * 100.0).round()), Some(2100.0));
        assert_eq!(contrast("#777777", "#FFFFFF").map(|ratio| (ratio * 100.0).round()), Some(448.0));
        assert_eq!(contrast("#12345", "#ffffff"), None);
        assert_eq!(contrast("#+12345", "#ffffff"), None);
    }

    #[test]
    fn the_default_can_be_read_everywhere() {
        let colors = Colors::default();
        for surface in [&colors.background, &colors.secondary] {
            assert!(contrast(&colors.text, surface).is_some_and(|ratio| ratio > 7.0));
            assert!(contrast(&colors.primary, surface).is_some_and(|ratio| ratio >= LEAST_CONTRAST));
        }
        let fonts = Fonts::default();
        assert!(font_stack(&fonts.heading).is_some() && font_stack(&fonts.body).is_some());
    }

    #[tokio::test]
    async fn a_partial_update_keeps_the_rest_and_is_recorded() {
        let env = env();
        let branding = Branding::default_of(env.new_id(), env.now());
        let mut repositories = updatable(&branding);
        let scope = owner_of(branding.tenant);
        let colors = ColorsUpdate { primary: Some("#AA0000".into()), ..ColorsUpdate::default() };
        let input = BrandingUpdate { colors: Some(colors), ..BrandingUpdate::default() };
        let after = Brandings::new(&mut repositories, &scope, &env).update(input, Some(1)).await.unwrap();
        assert_eq!(after.colors, Colors { primary: "#aa0000".into(), ..Colors::default() });
        assert_eq!((after.fonts, after.version), (Fonts::default(), 2));
        let event = &repositories.events()[0];
        assert_eq!(event.kind, "branding.updated");
        assert_eq!(event.before.as_ref().unwrap()["colors"]["primary"], "#1f5f54");
    }

    #[tokio::test]
    async fn every_bad_value_is_named() {
        let env = env();
        let branding = Branding::default_of(env.new_id(), env.now());
        let scope = owner_of(branding.tenant);
        let colors = ColorsUpdate {
            primary: Some("red".into()),
            accent: Some("#12345g".into()),
            text: Some("url(x)".into()),
            ..ColorsUpdate::default()
        };
        let fonts = FontsUpdate { heading: Some("Comic Sans; }".into()), body: None };
        let input = BrandingUpdate {
            colors: Some(colors),
            fonts: Some(fonts),
            logo_asset_id: Some(Some(env.new_id())),
            favicon_asset_id: Some(None),
        };
        let mut repositories = stored(&branding);
        let error = Brandings::new(&mut repositories, &scope, &env).update(input, None).await.unwrap_err();
        let fields: Vec<_> = error.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
        let expected = [
            ("colors.primary", "invalid_color"),
            ("colors.accent", "invalid_color"),
            ("colors.text", "invalid_color"),
            ("fonts.heading", "unknown_font"),
        ];
        assert_eq!(fields, expected);
    }

    #[tokio::test]
    async fn text_that_cannot_be_read_is_refused() {
        let env = env();
        let branding = Branding::default_of(env.new_id(), env.now());
        let scope = owner_of(branding.tenant);
        let mut repositories = stored(&branding);
        let unreadable = colors("#ffffff", "#999999");
        let error =
            Brandings::new(&mut repositories, &scope, &env).update(unreadable, None).await.unwrap_err();
        assert_eq!(error.fields()[0].code, "low_contrast");
        let mut repositories = updatable(&branding);
        let dark = colors("#111111", "#eeeeee");
        assert!(Brandings::new(&mut repositories, &scope, &env).update(dark, None).await.is_ok());
    }

    #[tokio::test]
    async fn reset_goes_back_to_the_defaults() {
        let env = env();
        let defaults = Branding::default_of(env.new_id(), env.now());
        let scope = owner_of(defaults.tenant);
        let changed = Branding {
            colors: Colors { primary: "#aa0000".into(), ..Colors::default() },
            version: 5,
            ..defaults.clone()
        };
        let mut repositories = updatable(&changed);
        let after = Brandings::new(&mut repositories, &scope, &env).reset(None).await.unwrap();
        assert_eq!((after.colors, after.version), (defaults.colors, 6));

        let viewer = viewer_of(changed.tenant);
        let mut repositories = Repositories::default();
        let error = Brandings::new(&mut repositories, &viewer, &env).reset(None).await.unwrap_err();
        assert_eq!(error.code(), "forbidden");
    }
}
