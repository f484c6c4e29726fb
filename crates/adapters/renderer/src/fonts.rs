//! Fonts that a site brings along, so that it looks the same on every device and asks no other host for them.

use portico_sites::ports::{RenderedFile, Theme};
use sha2::{Digest, Sha256};

/// What the subset `latin` has: English, Spanish, French, German, Portuguese, Italian.
const LATIN: &str = "U+0000-00FF, U+0131, U+0152-0153, U+02BB-02BC, U+02C6, U+02DA, U+02DC, U+0304, U+0308, U+0329, \
    U+2000-206F, U+20AC, U+2122, U+2191, U+2193, U+2212, U+2215, U+FEFF, U+FFFD";
/// What the subset `latin-ext` has besides: the other languages with Latin letters.
const LATIN_EXT: &str = "U+0100-02BA, U+02BD-02C5, U+02C7-02CC, U+02CE-02D7, U+02DD-02FF, U+0304, U+0308, U+0329, \
    U+1D00-1DBF, U+1E00-1E9F, U+1EF2-1EFF, U+2020, U+20A0-20AB, U+20AD-20C0, U+2113, U+2C60-2C7F, U+A720-A7FF";

/// A variable font.
struct Font {
    /// Its name in a list of fonts.
    family: &'static str,
    /// Its lightest and its boldest weight.
    weights: &'static str,
    /// The files: their names, what they have, and their bytes.
    files: [(&'static str, &'static str, &'static [u8]); 2],
}

/// A font with the files of its name.
macro_rules! font {
    ($family:literal, $weights:literal, $file:literal) => {
        Font {
            family: $family,
            weights: $weights,
            files: [
                ($file, LATIN, include_bytes!(concat!("../fonts/", $file, "-latin.woff2"))),
                (
                    concat!($file, "-ext"),
                    LATIN_EXT,
                    include_bytes!(concat!("../fonts/", $file, "-latin-ext.woff2")),
                ),
            ],
        }
    };
}

static FONTS: [Font; 6] = [
    font!("Figtree", "300 900", "figtree"),
    font!("Fraunces", "100 900", "fraunces"),
    font!("Jost", "100 900", "jost"),
    font!("Lora", "400 700", "lora"),
    font!("Nunito", "200 1000", "nunito"),
    font!("Source Sans 3", "200 900", "source-sans-3"),
];

/// The fonts of a theme: their rules for the stylesheet, and their files.
#[derive(Default)]
pub struct SiteFonts {
    /// `@font-face` rules. Their addresses are relative to the stylesheet, which is in the same folder.
    pub css: String,
    /// The files, named by their content, so that they can be cached forever.
    pub files: Vec<RenderedFile>,
}

impl SiteFonts {
    /// Those that the lists of a theme begin with.
    pub fn for_theme(theme: &Theme) -> Self {
        let first = |stack: &str| {
            stack.split(',').next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
        };
        let named = [first(&theme.heading_font), first(&theme.body_font)];
        let mut fonts = Self::default();
        for font in FONTS.iter().filter(|font| named.iter().any(|name| name == font.family)) {
            for (name, range, bytes) in font.files {
                let hash: String =
                    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                let file = format!("{name}.{hash}.woff2");
                fonts.css.push_str(&format!(
                    "@font-face {{ font-family: \"{}\"; font-style: normal; font-weight: {}; font-display: swap; \
                     src: url(\"{file}\") format(\"woff2\"); unicode-range: {range}; }}\n",
                    font.family, font.weights
                ));
                fonts.files.push(RenderedFile { path: format!("assets/{file}"), bytes: bytes.to_vec() });
            }
        }
        fonts
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::look::{font_names, font_stack};

    use super::*;

    #[test]
    fn every_font_can_be_chosen_and_they_are_small() {
        let stacks: Vec<&str> = font_names().filter_map(font_stack).collect();
        for font in &FONTS {
            let named =
                stacks.iter().filter(|stack| stack.starts_with(&format!("'{}',", font.family))).count();
            let begins = stacks.iter().filter(|stack| stack.starts_with(font.family)).count();
            assert_eq!(named + begins, 1, "{}", font.family);
            assert!(font.files.iter().all(|(_, _, bytes)| bytes.starts_with(b"wOF2")), "{}", font.family);
        }
        let bytes: usize = FONTS.iter().flat_map(|font| font.files).map(|(_, _, bytes)| bytes.len()).sum();
        assert!(bytes <= 600_000, "{bytes} bytes in the binary");
    }
}
