//! The generated favicon of a site without its own: its first letter in its colours.

use portico_sites::ports::Theme;
use sha2::{Digest, Sha256};

use crate::color::Color;

/// A generated icon, as a file of the deployment.
pub struct Icon {
    /// Path of the file without a leading slash. Changes with its content, so it can be cached forever.
    pub path: String,
    /// Content of the file.
    pub svg: String,
}

impl Icon {
    /// Draws the icon of a site. A name without a letter or digit gets a dot.
    pub fn new(name: &str, theme: &Theme) -> Self {
        let ground = Color::parse(&theme.primary).unwrap_or(Color::from_rgb(0x1f4b8f));
        let ink = ground.ink();
        let sign = match name.chars().find(|c| c.is_alphanumeric()) {
            // A letter or digit needs no escaping in XML.
            Some(letter) => format!(
                "<text x=\"32\" y=\"45\" text-anchor=\"middle\" font-family=\"Georgia, serif\" font-size=\"38\" \
                 font-weight=\"700\" fill=\"{ink}\">{}</text>",
                letter.to_uppercase()
            ),
            None => format!("<circle cx=\"32\" cy=\"32\" r=\"12\" fill=\"{ink}\"/>"),
        };
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\"><rect width=\"64\" height=\"64\" rx=\"14\" \
             fill=\"{ground}\"/>{sign}</svg>\n"
        );
        let hash: String = Sha256::digest(&svg).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path: format!("assets/icon.{hash}.svg"), svg }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn icon(name: &str, primary: &str) -> Icon {
        let color = primary.to_owned();
        Icon::new(
            name,
            &Theme {
                primary: color.clone(),
                secondary: color.clone(),
                accent: color.clone(),
                background: color.clone(),
                text: color,
                heading_font: String::new(),
                body_font: String::new(),
                style: portico_sites::look::Style::default(),
                logo: None,
                favicon: None,
            },
        )
    }

    #[test]
    fn the_first_letter_stands_for_the_site() {
        for (name, sign) in
            [("olivo", ">O</text>"), ("«Ésta»", ">É</text>"), ("3 Bears", ">3</text>"), ("ß", ">SS</text>")]
        {
            let svg = icon(name, "#123456").svg;
            assert!(svg.contains(sign), "{svg}");
            assert!(roxmltree::Document::parse(&svg).is_ok());
        }
    }

    #[test]
    fn nothing_that_people_write_becomes_markup() {
        for name in ["", "<script>&\"'", "—", "\u{0}"] {
            let svg = icon(name, "#fff\"/><script>").svg;
            let document = roxmltree::Document::parse(&svg).unwrap();
            assert_eq!(document.descendants().filter(roxmltree::Node::is_element).count(), 3, "{svg}");
            assert!(svg.contains("#1f4b8f"), "{svg}");
        }
    }

    #[test]
    fn the_name_of_the_file_follows_its_content() {
        assert_eq!(icon("A", "#123456").path, icon("Anna", "#123456").path);
        assert_ne!(icon("A", "#123456").path, icon("A", "#123457").path);
        assert_ne!(icon("A", "#123456").path, icon("B", "#123456").path);
    }
}
