//! The design of a message: a name and a few colours with readable contrast.

use portico_identity::mail::MailBrand;

/// The product's primary colour.
const PRIMARY: &str = "#2456d6";
/// Text on a button: the one with more contrast is used.
const LIGHT: &str = "#ffffff";
const DARK: &str = "#111827";
/// Least contrast of text on its background: WCAG 2.2, success criterion 1.4.3, level AA.
const LEAST_CONTRAST: f64 = 4.5;

/// Values for the layout of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Look {
    /// Name of the sender's brand.
    pub name: String,
    /// Background of the button, `#rrggbb`.
    pub primary: String,
    /// Text on the button.
    pub on_primary: &'static str,
    /// Name and links on a light background: the primary colour if it is readable there.
    pub ink: String,
}

impl Look {
    /// The design of a brand, with the product's values where it has none.
    pub fn new(brand: &MailBrand, product: &str) -> Self {
        let own = (PRIMARY, [0x24, 0x56, 0xd6]);
        let (primary, rgb) =
            brand.primary.as_deref().and_then(|color| Some((color, parse(color)?))).unwrap_or(own);
        let lightness = luminance(rgb);
        let (on_light, on_dark) =
            (contrast(lightness, 1.0), contrast(lightness, luminance([0x11, 0x18, 0x27])));
        Self {
            name: brand.name.clone().unwrap_or_else(|| product.to_owned()),
            primary: primary.to_owned(),
            on_primary: if on_light >= on_dark { LIGHT } else { DARK },
            // The name is on light grey, on which contrast is a little lower than on white.
            ink: if on_light >= LEAST_CONTRAST * 1.15 { primary } else { DARK }.to_owned(),
        }
    }
}

/// The channels of `#rrggbb`.
fn parse(color: &str) -> Option<[u8; 3]> {
    let digits = color.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let channel = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    Some([channel(0)?, channel(2)?, channel(4)?])
}

/// Relative luminance as WCAG 2.2 defines it.
fn luminance([red, green, blue]: [u8; 3]) -> f64 {
    let linear = |channel: u8| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

/// Contrast ratio as WCAG 2.2 defines it.
fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(primary: &str) -> Look {
        Look::new(&MailBrand { primary: Some(primary.into()), ..MailBrand::default() }, "Portico")
    }

    #[test]
    fn text_can_be_read_on_every_colour() {
        for step in 0..=16u8 {
            let grey = (u16::from(step) * 255 / 16) as u8;
            for rgb in
                [[grey; 3], [grey, 0, 0], [0, grey, 0], [255, grey, 0], [grey, 255, grey], [0, 0, grey]]
            {
                let color = format!("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
                let look = look(&color);
                let on = luminance(parse(look.on_primary).unwrap());
                assert!(contrast(luminance(rgb), on) >= 4.2, "{color}: the button");
                let ink = luminance(parse(&look.ink).unwrap());
                assert!(contrast(ink, luminance([0xf2, 0xf4, 0xf7])) >= LEAST_CONTRAST, "{color}: the name");
            }
        }
    }

    #[test]
    fn a_light_colour_gets_dark_text_and_a_dark_one_light_text() {
        let yellow = look("#FFE94A");
        assert_eq!((yellow.on_primary, yellow.ink.as_str()), (DARK, DARK));
        let green = look("#1f5f54");
        assert_eq!((green.on_primary, green.ink.as_str()), (LIGHT, "#1f5f54"));
    }

    #[test]
    fn what_is_no_colour_is_not_used() {
        for odd in ["red", "#12345", "#1234567", "#12345g", "#ffffff;}", "#+1+2+3", "#é1234", ""] {
            assert_eq!(look(odd), Look::new(&MailBrand::default(), "Portico"), "{odd}");
        }
    }
}
