//! Colours: parsing, mixing, and contrast by WCAG 2.2.

use std::fmt;

/// Minimum contrast of body text with its background (WCAG 2.2, success criterion 1.4.3).
pub const READABLE: f64 = 4.5;

/// An opaque sRGB colour. Printed as `#rrggbb`, so nothing else can be injected into a stylesheet through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color([u8; 3]);

impl Color {
    /// Black.
    pub const BLACK: Self = Self([0, 0, 0]);
    /// White.
    pub const WHITE: Self = Self([255, 255, 255]);

    /// Parses `0xrrggbb`.
    pub const fn from_rgb(rgb: u32) -> Self {
        let [_, red, green, blue] = rgb.to_be_bytes();
        Self([red, green, blue])
    }

    /// Parses exactly `#rrggbb`; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u32::from_str_radix(digits, 16).ok().map(Self::from_rgb)
    }

    /// Relative luminance, from 0 (black) to 1 (white).
    pub fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Contrast ratio, from 1 to 21.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// Black or white, whichever has more contrast on this colour.
    pub fn ink(self) -> Self {
        if self.contrast(Self::WHITE) >= self.contrast(Self::BLACK) { Self::WHITE } else { Self::BLACK }
    }

    /// This colour with `share` (0 to 1) of the other mixed in.
    pub fn mix(self, other: Self, share: f64) -> Self {
        let mut mixed = [0; 3];
        for (result, (mine, theirs)) in mixed.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            let value = f64::from(mine) * (1.0 - share) + f64::from(theirs) * share;
            *result = value.round().clamp(0.0, 255.0) as u8;
        }
        Self(mixed)
    }

    /// The nearest colour towards black or white that is readable on every one of the backgrounds.
    pub fn readable_on(self, backgrounds: &[Self]) -> Self {
        let towards = backgrounds.first().map_or(Self::BLACK, |background| background.ink());
        let readable = |color: &Self| backgrounds.iter().all(|other| color.contrast(*other) >= READABLE);
        (0..20).map(|step| self.mix(towards, f64::from(step) / 20.0)).find(readable).unwrap_or(towards)
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_hexadecimal_digits_are_a_color() {
        assert_eq!(Color::parse("#B4532A").map(|color| color.to_string()), Some("#b4532a".to_owned()));
        for bad in ["", "#fff", "red", "#12345g", "#1234567", "#+12345", "#123456;}</style>", "é#12345"] {
            assert_eq!(Color::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((Color::BLACK.contrast(Color::WHITE) - 21.0).abs() < 1e-9);
        // Known as the lightest grey that passes on white.
        assert!((Color::from_rgb(0x767676).contrast(Color::WHITE) - 4.54).abs() < 0.01);
        assert_eq!(Color::from_rgb(0xffd400).ink(), Color::BLACK);
        assert_eq!(Color::from_rgb(0x1d3a5f).ink(), Color::WHITE);
    }

    #[test]
    fn any_color_can_be_made_readable() {
        for rgb in (0..0x0100_0000).step_by(0x0005_1f3b) {
            let background = Color::from_rgb(rgb);
            assert!(background.contrast(background.ink()) >= READABLE);
            let text = Color::from_rgb(0xffd400).readable_on(&[background]);
            assert!(text.contrast(background) >= READABLE, "{text} on {background}");
        }
    }
}
