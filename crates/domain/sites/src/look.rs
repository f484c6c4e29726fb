//! How one site looks, where it differs from the tenant's branding.

use portico_kernel::{
    Violations,
    look::{Colors, ColorsUpdate, Fonts, FontsUpdate, apply_colors, apply_fonts},
};
use serde::{Deserialize, Serialize};

/// The manner of a site: layout, shapes and sizes, whatever its colours are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Style {
    /// Calm and balanced; suits anything.
    #[default]
    Classic,
    /// Large type and full bands of colour.
    Bold,
    /// Much white space, few lines.
    Minimal,
    /// Fine lines, centred, spaced letters.
    Elegant,
    /// Round and friendly.
    Playful,
    /// Columns like a magazine.
    Editorial,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 6] =
        [Self::Classic, Self::Bold, Self::Minimal, Self::Elegant, Self::Playful, Self::Editorial];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Bold => "bold",
            Self::Minimal => "minimal",
            Self::Elegant => "elegant",
            Self::Playful => "playful",
            Self::Editorial => "editorial",
        }
    }
}

/// How one site looks. What it does not set is as the tenant's branding has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Look {
    /// Layout, shapes and sizes.
    #[serde(default)]
    pub style: Style,
    /// Colours of its own.
    pub colors: Option<Colors>,
    /// Fonts of its own.
    pub fonts: Option<Fonts>,
}

/// Input of a look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LookInput {
    /// Layout, shapes and sizes; `classic` when absent.
    pub style: Option<Style>,
    /// Colours of its own; the default ones for those that are absent. Without it, those of the branding.
    pub colors: Option<ColorsUpdate>,
    /// Fonts of its own. Without it, those of the branding.
    pub fonts: Option<FontsUpdate>,
}

impl LookInput {
    /// The look. Errors are recorded; `field` is the path of the look in the request.
    pub fn read(self, field: &str, violations: &mut Violations) -> Look {
        let mut found = Violations::default();
        let colors = self.colors.map(|update| {
            let mut colors = Colors::default();
            apply_colors(&mut colors, update, &mut found);
            colors
        });
        let fonts = self.fonts.map(|update| {
            let mut fonts = Fonts::default();
            apply_fonts(&mut fonts, update, &mut found);
            fonts
        });
        let found = found.into_result().err().unwrap_or_default();
        violations.extend(found.into_iter().map(|error| error.within(field)));
        Look { style: self.style.unwrap_or_default(), colors, fonts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_checked_like_a_branding() {
        let mut violations = Violations::default();
        let look = LookInput { style: Some(Style::Bold), ..LookInput::default() };
        assert_eq!(look.read("look", &mut violations).style, Style::Bold);
        let pale = ColorsUpdate { text: Some("#eeeeee".to_owned()), ..ColorsUpdate::default() };
        let fonts = FontsUpdate { heading: Some("comic".to_owned()), body: None };
        LookInput { colors: Some(pale), fonts: Some(fonts), style: None }.read("look", &mut violations);
        let fields: Vec<_> =
            violations.into_result().unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["look.colors.text", "look.fonts.heading"]);
    }
}
