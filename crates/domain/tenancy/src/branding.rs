//! Colours, fonts and logo of a tenant; every site of the tenant wears them.

use portico_kernel::{
    AssetId, Env, Event, Permission, Scope, StoreError, TenantId, Timestamp, Violations, patch,
};
use serde::{Deserialize, Serialize};

use crate::{TenancyError, ports::TenancyRepositories};

/// Least contrast of text on background: WCAG 2.2, success criterion 1.4.3, level AA.
const LEAST_CONTRAST: f64 = 4.5;

/// Fonts by name, each a CSS `font-family` list of fonts that devices have, so that no visitor downloads any.
const FONT_STACKS: [(&str, &str); 10] = [
    ("system", "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"),
    ("grotesque", "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'Nimbus Sans', sans-serif"),
    ("humanist", "Optima, Candara, 'Gill Sans', 'Noto Sans', 'Trebuchet MS', sans-serif"),
    ("geometric", "'Avenir Next', Avenir, Futura, 'Century Gothic', 'URW Gothic', Montserrat, sans-serif"),
    (
        "rounded",
        "ui-rounded, 'SF Pro Rounded', Nunito, Quicksand, 'Arial Rounded MT Bold', Verdana, sans-serif",
    ),
    (
        "condensed",
        "'Avenir Next Condensed', Bahnschrift, 'Roboto Condensed', 'Arial Narrow', 'Liberation Sans Narrow', sans-serif",
    ),
    ("transitional", "Charter, 'Bitstream Charter', Cambria, Georgia, 'DejaVu Serif', serif"),
    (
        "old-style",
        "'Iowan Old Style', Palatino, 'Palatino Linotype', 'Book Antiqua', 'URW Palladio L', P052, serif",
    ),
    ("slab", "Rockwell, 'Rockwell Nova', 'Roboto Slab', 'DejaVu Serif', 'Sitka Small', serif"),
    ("mono", "ui-monospace, 'Cascadia Code', Menlo, Consolas, 'DejaVu Sans Mono', monospace"),
];

/// The CSS `font-family` list of this name; `None` when there is no such font.
pub fn font_stack(name: &str) -> Option<&'static str> {
    FONT_STACKS.iter().find(|(known, _)| *known == name).map(|(_, stack)| *stack)
}

/// Names of the fonts that can be chosen.
pub fn font_names() -> impl Iterator<Item = &'static str> {
    FONT_STACKS.iter().map(|(name, _)| *name)
}

/// Colours as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Colors {
    /// Buttons and links.
    pub primary: String,
    /// Bands and quiet surfaces.
    pub secondary: String,
    /// Highlights.
    pub accent: String,
    /// Page background.
    pub background: String,
    /// Body text.
    pub text: String,
}

/// Names of font stacks that need no download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fonts {
    /// Headings.
    pub heading: String,
    /// Everything else.
    pub body: String,
}

impl Default for Colors {
    fn default() -> Self {
        let [primary, secondary, accent, background, text] =
            ["#1f5f54", "#f3efe6", "#c8651b", "#fffdf9", "#1f2933"].map(str::to_owned);
        Self { primary, secondary, accent, background, text }
    }
}

impl Default for Fonts {
    fn default() -> Self {
        Self { heading: "transitional".to_owned(), body: "system".to_owned() }
    }
}

/// Colours, fonts and logo of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Branding {
    /// Whose.
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
    /// What a new tenant wears.
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

/// A change of colours; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ColorsUpdate {
    /// Buttons and links, `#rrggbb`.
    #[cfg_attr(feature = "openapi", schema(example = "#1f5f54", pattern = "^#[0-9a-fA-F]{6}$"))]
    pub primary: Option<String>,
    /// Bands and quiet surfaces, `#rrggbb`.
    #[cfg_attr(feature = "openapi", schema(example = "#f3efe6", pattern = "^#[0-9a-fA-F]{6}$"))]
    pub secondary: Option<String>,
    /// Highlights, `#rrggbb`.
    #[cfg_attr(feature = "openapi", schema(example = "#c8651b", pattern = "^#[0-9a-fA-F]{6}$"))]
    pub accent: Option<String>,
    /// Page background, `#rrggbb`.
    #[cfg_attr(feature = "openapi", schema(example = "#fffdf9", pattern = "^#[0-9a-fA-F]{6}$"))]
    pub background: Option<String>,
    /// Body text, `#rrggbb`; must stand out from the background by 4.5 to 1.
    #[cfg_attr(feature = "openapi", schema(example = "#1f2933", pattern = "^#[0-9a-fA-F]{6}$"))]
    pub text: Option<String>,
}

/// A change of fonts; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FontsUpdate {
    /// Headings.
    #[cfg_attr(feature = "openapi", schema(example = "transitional"))]
    pub heading: Option<String>,
    /// Everything else.
    #[cfg_attr(feature = "openapi", schema(example = "system"))]
    pub body: Option<String>,
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
    /// Logo; null takes it away.
    #[serde(default, deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AssetId>))]
    pub logo_asset_id: Option<Option<AssetId>>,
    /// Icon in the browser tab; null takes it away.
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

    /// Changes the branding, given that its version is still the expected one, if any.
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
            apply_font("fonts.heading", &mut after.fonts.heading, fonts.heading, &mut violations);
            apply_font("fonts.body", &mut after.fonts.body, fonts.body, &mut violations);
        }
        apply_asset("logoAssetId", &mut after.logo_asset_id, input.logo_asset_id, &mut violations);
        apply_asset("faviconAssetId", &mut after.favicon_asset_id, input.favicon_asset_id, &mut violations);
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
        let event = Event::new(self.env, self.scope, "branding.updated", after.tenant.uuid());
        let event = event.in_tenant(after.tenant).before(&before).after(&after);
        self.repositories.events().append(event).await?;
        Ok(after)
    }
}

fn apply_colors(colors: &mut Colors, update: ColorsUpdate, violations: &mut Violations) {
    let contrast_matters = update.text.is_some() || update.background.is_some();
    let mut all_valid = true;
    for (field, color, wished) in [
        ("colors.primary", &mut colors.primary, update.primary),
        ("colors.secondary", &mut colors.secondary, update.secondary),
        ("colors.accent", &mut colors.accent, update.accent),
        ("colors.background", &mut colors.background, update.background),
        ("colors.text", &mut colors.text, update.text),
    ] {
        let Some(wished) = wished else { continue };
        let valid = channels(&wished).is_some();
        violations.check(valid, field, "invalid_color", "Write the colour as #rrggbb.");
        all_valid &= valid;
        *color = wished.to_ascii_lowercase();
    }
    if contrast_matters && all_valid {
        let enough = contrast(&colors.text, &colors.background).is_some_and(|ratio| ratio >= LEAST_CONTRAST);
        violations.check(
            enough,
            "colors.text",
            "low_contrast",
            "Text must stand out from the background by 4.5 to 1.",
        );
    }
}

fn apply_font(field: &str, font: &mut String, wished: Option<String>, violations: &mut Violations) {
    let Some(wished) = wished else { return };
    if font_stack(&wished).is_none() {
        let names = font_names().collect::<Vec<_>>().join(", ");
        violations.add(field, "unknown_font", format!("Choose one of: {names}."));
    }
    *font = wished;
}

/// Nothing can be uploaded yet, so the only asset that can be named is the one that is set.
fn apply_asset(
    field: &str,
    asset: &mut Option<AssetId>,
    wished: Option<Option<AssetId>>,
    violations: &mut Violations,
) {
    let Some(wished) = wished else { return };
    violations.check(wished.is_none() || wished == *asset, field, "unknown_asset", "There is no such asset.");
    *asset = wished;
}

/// Red, green and blue of `#rrggbb`, from 0 to 1.
fn channels(color: &str) -> Option<[f64; 3]> {
    let digits = color.strip_prefix('#')?;
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let bits = u32::from_str_radix(digits, 16).ok()?;
    Some([16, 8, 0].map(|shift| f64::from(bits >> shift & 0xff) / 255.0))
}

/// Relative luminance as WCAG 2.2 defines it, from 0 (black) to 1 (white).
fn luminance(color: &str) -> Option<f64> {
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    let [red, green, blue] = channels(color)?.map(linear);
    Some(0.2126 * red + 0.7152 * green + 0.0722 * blue)
}

/// Contrast ratio of two colours as WCAG 2.2 defines it, from 1 to 21; `None` when one is not `#rrggbb`.
pub fn contrast(one: &str, other: &str) -> Option<f64> {
    let (one, other) = (luminance(one)?, luminance(other)?);
    Some((one.max(other) + 0.05) / (one.min(other) + 0.05))
}

#[cfg(test)]
mod tests {
    use portico_kernel::Fault;

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
            ("logoAssetId", "unknown_asset"),
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
