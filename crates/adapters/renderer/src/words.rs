//! Texts on a page that the customer did not write.

use serde::Serialize;

/// Texts in one language.
#[derive(Debug, Serialize)]
pub struct Words {
    skip: &'static str,
    menu: &'static str,
    main_navigation: &'static str,
    footer_navigation: &'static str,
    languages: &'static str,
    recommended: &'static str,
    phone: &'static str,
    email: &'static str,
    address: &'static str,
    hours: &'static str,
    new_tab: &'static str,
    not_found: &'static str,
    not_found_text: &'static str,
    to_home: &'static str,
    /// Label of the button in the header.
    pub contact: &'static str,
    map: &'static str,
    social: &'static str,
}

const ENGLISH: Words = Words {
    skip: "Skip to content",
    menu: "Menu",
    main_navigation: "Main",
    footer_navigation: "Footer",
    languages: "Languages",
    recommended: "Recommended",
    phone: "Phone",
    email: "Email",
    address: "Address",
    hours: "Opening hours",
    new_tab: "opens in a new tab",
    not_found: "Page not found",
    not_found_text: "This page does not exist, or it has moved. Perhaps the navigation helps, or start again from the home page.",
    to_home: "Go to the home page",
    contact: "Contact",
    map: "Show on a map",
    social: "Social networks",
};

const GERMAN: Words = Words {
    skip: "Zum Inhalt springen",
    menu: "Menü",
    main_navigation: "Hauptnavigation",
    footer_navigation: "Fußzeile",
    languages: "Sprachen",
    recommended: "Empfohlen",
    phone: "Telefon",
    email: "E-Mail",
    address: "Adresse",
    hours: "Öffnungszeiten",
    new_tab: "öffnet in neuem Tab",
    not_found: "Seite nicht gefunden",
    not_found_text: "Diese Seite gibt es nicht, oder sie ist umgezogen. Vielleicht hilft die Navigation weiter, oder die Startseite.",
    to_home: "Zur Startseite",
    contact: "Kontakt",
    map: "Auf der Karte zeigen",
    social: "Soziale Netzwerke",
};

const SPANISH: Words = Words {
    skip: "Saltar al contenido",
    menu: "Menú",
    main_navigation: "Principal",
    footer_navigation: "Pie de página",
    languages: "Idiomas",
    recommended: "Recomendado",
    phone: "Teléfono",
    email: "Correo electrónico",
    address: "Dirección",
    hours: "Horario",
    new_tab: "se abre en una pestaña nueva",
    not_found: "Página no encontrada",
    not_found_text: "Esta página no existe o se ha movido. Quizá ayude la navegación, o empezar de nuevo desde el inicio.",
    to_home: "Ir al inicio",
    contact: "Contacto",
    map: "Ver en el mapa",
    social: "Redes sociales",
};

const FRENCH: Words = Words {
    skip: "Aller au contenu",
    menu: "Menu",
    main_navigation: "Navigation principale",
    footer_navigation: "Pied de page",
    languages: "Langues",
    recommended: "Recommandé",
    phone: "Téléphone",
    email: "E-mail",
    address: "Adresse",
    hours: "Horaires d’ouverture",
    new_tab: "s’ouvre dans un nouvel onglet",
    not_found: "Page introuvable",
    not_found_text: "Cette page n’existe pas ou a été déplacée. La navigation vous aidera peut-être, ou la page d’accueil.",
    to_home: "Aller à l’accueil",
    contact: "Contact",
    map: "Voir sur la carte",
    social: "Réseaux sociaux",
};

impl Words {
    /// Texts in the language of a BCP 47 tag; English if it is not supported.
    pub fn in_language(tag: &str) -> &'static Self {
        match tag.split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "de" => &GERMAN,
            "es" => &SPANISH,
            "fr" => &FRENCH,
            _ => &ENGLISH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_does_not_matter_and_english_is_the_fallback() {
        assert_eq!(Words::in_language("es-GT").menu, "Menú");
        assert_eq!(Words::in_language("DE").menu, "Menü");
        assert_eq!(Words::in_language("x").menu, "Menu");
    }
}
