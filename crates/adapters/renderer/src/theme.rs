//! The stylesheet: custom properties from the colours and fonts of the theme, rules common to all sites, and one style.

use portico_sites::{
    look::Style,
    ports::{RenderedFile, Theme},
};
use sha2::{Digest, Sha256};

use crate::{
    color::{Color, READABLE},
    fonts::SiteFonts,
};

/// Rules common to all styles. The style follows and overrides.
const SHARED: &str = include_str!("../templates/site.css");
const FORMS: &str = include_str!("../templates/form.css");
const DEFAULT_FONTS: &str = "system-ui, -apple-system, \"Segoe UI\", Roboto, Arial, sans-serif";

/// The one stylesheet of a site.
pub struct Stylesheet {
    /// Path of the file. Changes with its content, so it can be cached forever.
    pub path: String,
    /// Content of the file.
    pub css: String,
    /// The fonts that it names.
    pub fonts: Vec<RenderedFile>,
}

impl Stylesheet {
    /// Builds the stylesheet. An invalid colour or font stack is replaced by a default: branding is validated before, and a
    /// site in default colours is better than one that cannot be published.
    pub fn new(theme: &Theme) -> Self {
        let fonts = SiteFonts::for_theme(theme);
        let css = format!("{}{}{SHARED}{FORMS}{}", fonts.css, properties(theme), rules(theme.style));
        let hash: String =
            Sha256::digest(css.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path: format!("assets/site.{hash}.css"), css, fonts: fonts.files }
    }
}

/// The rules of a style.
const fn rules(style: Style) -> &'static str {
    match style {
        Style::Classic => include_str!("../templates/styles/classic.css"),
        Style::Bold => include_str!("../templates/styles/bold.css"),
        Style::Minimal => include_str!("../templates/styles/minimal.css"),
        Style::Elegant => include_str!("../templates/styles/elegant.css"),
        Style::Playful => include_str!("../templates/styles/playful.css"),
        Style::Editorial => include_str!("../templates/styles/editorial.css"),
    }
}

fn properties(theme: &Theme) -> String {
    let color = |text: &str, default: u32| Color::parse(text).unwrap_or(Color::from_rgb(default));
    let primary = color(&theme.primary, 0x1f4b8f);
    let secondary = color(&theme.secondary, 0xf3f5f9);
    let accent = color(&theme.accent, 0xd98324);
    let background = color(&theme.background, 0xffffff);

    let text = color(&theme.text, 0x1c2430).readable_on(&[background]);
    let surface = quiet(secondary, background, text);
    let card = background.mix(Color::WHITE, 0.5).readable_or(background, text);
    let tint = |color: Color, share: f64| background.mix(color, share).readable_or(card, text);
    let (tint_primary, tint_accent) = (tint(primary, 0.11), tint(accent, 0.2));
    let tint_both = tint(primary.mix(accent, 0.5), 0.14);
    let paper = [background, surface, card, tint_primary, tint_accent, tint_both];
    let on_primary = primary.ink();
    // Away from the colour of its text, so that contrast increases.
    let away = if on_primary == Color::WHITE { Color::BLACK } else { Color::WHITE };
    let is_dark = background.luminance() < 0.2;
    let scheme = if is_dark { "dark" } else { "light" };
    // The footer is darker than the page, also on a dark page.
    let (footer, on_footer) = if is_dark {
        (background.mix(Color::BLACK, 0.45).readable_or(background, text), text)
    } else {
        (text.mix(primary, 0.12).readable_or(text, background), background)
    };

    let colors = [
        ("primary", primary),
        ("primary-strong", primary.mix(away, 0.16)),
        ("primary-deep", primary.mix(away, 0.3)),
        ("on-primary", on_primary),
        ("link", primary.readable_on(&paper)),
        ("accent", accent),
        ("on-accent", accent.ink()),
        ("background", background),
        ("surface", surface),
        ("card", card),
        ("text", text.readable_on(&paper)),
        ("muted", text.mix(background, 0.28).readable_on(&paper)),
        ("line", background.mix(text, 0.13)),
        ("tint-primary", tint_primary),
        ("tint-accent", tint_accent),
        ("tint-both", tint_both),
        ("footer", footer),
        ("on-footer", on_footer),
    ];
    let mut css = format!(":root {{\n  color-scheme: {scheme};\n");
    for (name, color) in colors {
        css.push_str(&format!("  --{name}: {color};\n"));
    }
    for (name, stack) in [("heading-font", &theme.heading_font), ("body-font", &theme.body_font)] {
        css.push_str(&format!("  --{name}: {};\n", font_stack(stack)));
    }
    css.push_str("}\n\n");
    css
}

/// A quiet background in the tone of a colour, on which text is still readable. A strong colour is diluted a lot, a light
/// one is used unchanged.
fn quiet(color: Color, background: Color, text: Color) -> Color {
    let first = if color.contrast(background) > 1.35 { 0.93 } else { 0.0 };
    [first, 0.95, 1.0]
        .into_iter()
        .map(|share| color.mix(background, share))
        .find(|surface| surface.contrast(text) >= READABLE)
        .unwrap_or(background)
}

impl Color {
    /// This colour if `text` is readable on it, otherwise `fallback`.
    fn readable_or(self, fallback: Self, text: Self) -> Self {
        if self.contrast(text) >= READABLE { self } else { fallback }
    }
}

/// The stack if it is a plain list of font names, otherwise the default.
fn font_stack(stack: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let is_name = |name: &str| {
        let name = name.trim();
        let inner = ['"', '\''].into_iter().find_map(|quote| name.strip_prefix(quote)?.strip_suffix(quote));
        let inner = inner.unwrap_or(name);
        !inner.is_empty() && inner.chars().all(plain)
    };
    if stack.len() <= 300 && stack.split(',').all(is_name) { stack } else { DEFAULT_FONTS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(color: &str, font: &str) -> Theme {
        let [primary, secondary, accent, background, text] = std::array::from_fn(|_| color.to_owned());
        let fonts = font.to_owned();
        Theme {
            primary,
            secondary,
            accent,
            background,
            text,
            heading_font: fonts.clone(),
            body_font: fonts,
            style: Default::default(),
            logo: None,
            favicon: None,
        }
    }

    fn value(css: &str, name: &str) -> Color {
        let start = css.find(&format!("--{name}: ")).unwrap() + name.len() + 4;
        Color::parse(&css[start..start + 7]).unwrap()
    }

    #[test]
    fn nothing_but_colors_and_fonts_gets_in() {
        let evil = "#fff}</style><script>alert(1)</script>";
        let sheet = Stylesheet::new(&theme(evil, "a;} body { background: url(https://evil.example) "));
        for trace in ["script", "</style", "evil", "url("] {
            assert!(!sheet.css.contains(trace), "{trace}");
        }
        assert!(sheet.css.contains("--primary: #1f4b8f;") && sheet.css.contains(DEFAULT_FONTS));
    }

    #[test]
    fn font_stacks_are_lists_of_names() {
        let good = "\"Iowan Old Style\", Palatino, 'Segoe UI', ui-serif, serif";
        assert_eq!(font_stack(good), good);
        for bad in ["", "a,,b", "\"a", "a\"b", "a; b", "a}", "expression(1)", "\"a\\22\"", "a/*"] {
            assert_eq!(font_stack(bad), DEFAULT_FONTS, "{bad}");
        }
    }

    #[test]
    fn every_text_is_readable_in_any_theme() {
        for (primary, secondary, background, text) in [
            ("#ffd400", "#000000", "#ffffff", "#222222"),
            ("#ffffff", "#ffffff", "#ffffff", "#ffffff"),
            ("#1d3a5f", "#f4ede1", "#fffdf9", "#2b2118"),
            ("#777777", "#777777", "#777777", "#777777"),
            ("#0f172a", "#38bdf8", "#0b1120", "#e2e8f0"),
        ] {
            let mut theme = theme("#c0ffee", "serif");
            theme.primary = primary.into();
            theme.secondary = secondary.into();
            theme.background = background.into();
            theme.text = text.into();
            let css = Stylesheet::new(&theme).css;
            for (front, back) in [
                ("text", "background"),
                ("text", "surface"),
                ("text", "card"),
                ("muted", "background"),
                ("muted", "surface"),
                ("muted", "card"),
                ("muted", "tint-primary"),
                ("muted", "tint-accent"),
                ("link", "tint-both"),
                ("link", "background"),
                ("link", "surface"),
                ("on-primary", "primary"),
                ("on-primary", "primary-strong"),
                ("on-primary", "primary-deep"),
                ("on-accent", "accent"),
                ("on-footer", "footer"),
            ] {
                let contrast = value(&css, front).contrast(value(&css, back));
                assert!(contrast >= READABLE, "{front} on {back} in {theme:?}: {contrast}");
            }
        }
    }

    #[test]
    fn the_name_changes_with_the_content() {
        let one = Stylesheet::new(&theme("#123456", "serif"));
        let two = Stylesheet::new(&theme("#123457", "serif"));
        assert_ne!(one.path, two.path);
        assert_eq!(one.path, Stylesheet::new(&theme("#123456", "serif")).path);
        assert_eq!(one.path.len(), "assets/site.".len() + 16 + ".css".len());
    }
}
