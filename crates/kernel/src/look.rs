//! How something looks: colours and fonts, and the rules that keep them readable. Tenants have them, and sites may.

use serde::{Deserialize, Serialize};

use crate::{RuleMessage, Violations};

/// Least contrast of text on background: WCAG 2.2, success criterion 1.4.3, level AA.
pub const LEAST_CONTRAST: f64 = 4.5;

/// Fonts by name, each a CSS `font-family` list. Six begin with a font that published sites bring along (`crates/adapters/renderer/fonts`);
/// the others, and what follows in each list, are fonts that devices have.
const FONT_STACKS: [(&str, &str); 10] = [
    ("system", "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"),
    (
        "grotesque",
        "Figtree, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'Nimbus Sans', sans-serif",
    ),
    ("humanist", "'Source Sans 3', Optima, Candara, 'Gill Sans', 'Noto Sans', 'Trebuchet MS', sans-serif"),
    (
        "geometric",
        "Jost, 'Avenir Next', Avenir, Futura, 'Century Gothic', 'URW Gothic', Montserrat, sans-serif",
    ),
    (
        "rounded",
        "Nunito, ui-rounded, 'SF Pro Rounded', Quicksand, 'Arial Rounded MT Bold', Verdana, sans-serif",
    ),
    (
        "condensed",
        "'Avenir Next Condensed', Bahnschrift, 'Roboto Condensed', 'Arial Narrow', 'Liberation Sans Narrow', sans-serif",
    ),
    ("transitional", "Lora, Charter, 'Bitstream Charter', Cambria, Georgia, 'DejaVu Serif', serif"),
    (
        "old-style",
        "Fraunces, 'Iowan Old Style', Palatino, 'Palatino Linotype', 'Book Antiqua', 'URW Palladio L', P052, serif",
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

/// Names of fonts.
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

/// A change of colours; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// Changes colours; errors are recorded, with fields that begin with `colors.`.
pub fn apply_colors(colors: &mut Colors, update: ColorsUpdate, violations: &mut Violations) {
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

/// Changes fonts; errors are recorded, with fields that begin with `fonts.`.
pub fn apply_fonts(fonts: &mut Fonts, update: FontsUpdate, violations: &mut Violations) {
    apply_font("fonts.heading", &mut fonts.heading, update.heading, violations);
    apply_font("fonts.body", &mut fonts.body, update.body, violations);
}

fn apply_font(field: &str, font: &mut String, wished: Option<String>, violations: &mut Violations) {
    let Some(wished) = wished else { return };
    if font_stack(&wished).is_none() {
        let names = font_names().collect::<Vec<_>>();
        let message = RuleMessage::new(format!("Choose one of: {}.", names.join(", "))).allowed(names);
        violations.add(field, "unknown_font", message);
    }
    *font = wished;
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
