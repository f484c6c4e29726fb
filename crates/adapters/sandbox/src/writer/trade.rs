//! Detection of the kind of business from the owner's words.

/// Businesses that address their customers in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Food,
    Beauty,
    Health,
    Fitness,
    Advice,
    Trades,
    Shop,
    Technology,
    Learning,
    Property,
    Travel,
    Creative,
    Community,
    General,
}

/// A kind of business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trade {
    pub group: Group,
    /// Name in English; empty if the matched word is no more specific than the group.
    pub english: &'static str,
    /// The same in Spanish.
    pub spanish: &'static str,
}

/// Prefixes of words, and the kind they indicate. The first matching row counts, so more specific ones come first.
const TRADES: &[(&[&str], Group, &str, &str)] = &[
    (&["baker", "panader", "pasteler", "pastry", "reposter"], Group::Food, "bakery", "panadería"),
    (&["cafe", "coffee", "cafeter"], Group::Food, "café", "cafetería"),
    (&["pizz"], Group::Food, "pizzeria", "pizzería"),
    (&["cater", "banquet"], Group::Food, "catering service", "servicio de banquetes"),
    (&["brewer", "cervecer", "bar", "bares", "pub"], Group::Food, "bar", "bar"),
    (&["restaurant", "comedor", "taquer", "bistro"], Group::Food, "restaurant", "restaurante"),
    (&["food", "comida", "gastro", "cocina", "beverage", "culinar", "alimento"], Group::Food, "", ""),
    (&["barber"], Group::Beauty, "barber shop", "barbería"),
    (&["hair", "peluquer"], Group::Beauty, "hair salon", "peluquería"),
    (&["nail", "unas", "manicur"], Group::Beauty, "nail studio", "estudio de uñas"),
    (&["spa", "spas", "massage", "masaj"], Group::Beauty, "spa", "spa"),
    (&["beauty", "belleza", "estetic", "cosmet", "salon"], Group::Beauty, "beauty salon", "salón de belleza"),
    (&["dent", "odonto", "orthodon", "ortodon"], Group::Health, "dental practice", "clínica dental"),
    (&["veterin"], Group::Health, "veterinary clinic", "clínica veterinaria"),
    (&["physio", "fisio"], Group::Health, "physiotherapy practice", "clínica de fisioterapia"),
    (&["psycho", "psico"], Group::Health, "psychology practice", "consultorio de psicología"),
    (&["optic", "optom"], Group::Health, "optician's", "óptica"),
    (&["pharmac", "farmac"], Group::Health, "pharmacy", "farmacia"),
    (&["clinic", "doctor", "medic", "health", "salud", "nutri", "therap", "terap"], Group::Health, "", ""),
    (&["yoga"], Group::Fitness, "yoga studio", "estudio de yoga"),
    (&["pilates"], Group::Fitness, "Pilates studio", "estudio de pilates"),
    (&["gym", "gimnas", "crossfit"], Group::Fitness, "gym", "gimnasio"),
    (&["danc", "danza", "baile"], Group::Fitness, "dance school", "escuela de baile"),
    (&["fitness", "sport", "deport", "trainer", "entrenad"], Group::Fitness, "", ""),
    (
        &["law", "lawyer", "lawyers", "legal", "attorney", "abogad", "notar", "bufete"],
        Group::Advice,
        "law firm",
        "bufete",
    ),
    (
        &["account", "contab", "contador", "tax", "impuest", "bookkeep"],
        Group::Advice,
        "accounting firm",
        "despacho contable",
    ),
    (&["insur", "seguros"], Group::Advice, "insurance agency", "agencia de seguros"),
    (&["consult", "asesor", "advis", "financ", "coach", "professional"], Group::Advice, "", ""),
    (&["plumb", "plomer", "fontaner"], Group::Trades, "plumbing service", "servicio de plomería"),
    (&["electric"], Group::Trades, "electrical service", "servicio eléctrico"),
    (&["carpent", "woodwork", "ebanist"], Group::Trades, "carpentry workshop", "carpintería"),
    (&["landscap", "garden", "jardin"], Group::Trades, "gardening service", "servicio de jardinería"),
    (&["clean", "limpieza"], Group::Trades, "cleaning service", "servicio de limpieza"),
    (
        &["mechanic", "mecanic", "taller", "auto", "autos", "automot", "cars", "repair"],
        Group::Trades,
        "workshop",
        "taller",
    ),
    (
        &[
            "construc",
            "home",
            "hogar",
            "builder",
            "building",
            "remodel",
            "renovat",
            "roof",
            "techos",
            "paint",
            "pintur",
            "contractor",
        ],
        Group::Trades,
        "",
        "",
    ),
    (&["florist", "flower", "flores", "floris"], Group::Shop, "flower shop", "floristería"),
    (&["jewel", "joyer"], Group::Shop, "jewellery shop", "joyería"),
    (&["bookshop", "bookstore", "librer"], Group::Shop, "bookshop", "librería"),
    (&["boutique", "fashion", "clothing", "ropa", "moda"], Group::Shop, "boutique", "boutique"),
    (
        &["shop", "store", "tienda", "retail", "ecommerce", "commerce", "comercio", "pet", "pets", "mascota"],
        Group::Shop,
        "shop",
        "tienda",
    ),
    (&["software", "saas", "app", "apps"], Group::Technology, "software company", "empresa de software"),
    (
        &["tech", "tecno", "digital", "internet", "cloud", "comput", "web", "startup"],
        Group::Technology,
        "",
        "",
    ),
    (&["academ"], Group::Learning, "academy", "academia"),
    (&["school", "escuela", "colegio"], Group::Learning, "school", "escuela"),
    (
        &[
            "educa", "tutor", "course", "curso", "language", "idioma", "learn", "kinder", "nursery",
            "training",
        ],
        Group::Learning,
        "",
        "",
    ),
    (
        &["inmobil", "realtor", "realty", "estate", "raices"],
        Group::Property,
        "real estate agency",
        "inmobiliaria",
    ),
    (&["propert", "propiedad", "housing", "vivienda"], Group::Property, "", ""),
    (&["hostel", "hostal"], Group::Travel, "hostel", "hostal"),
    (&["hotel", "inn", "lodge", "posada", "hosped"], Group::Travel, "hotel", "hotel"),
    (&["travel", "viaj", "tour", "turis"], Group::Travel, "travel agency", "agencia de viajes"),
    (&["photo", "foto"], Group::Creative, "photography studio", "estudio de fotografía"),
    (&["architect", "arquitect"], Group::Creative, "architecture studio", "estudio de arquitectura"),
    (&["design", "disen"], Group::Creative, "design studio", "estudio de diseño"),
    (&["event", "wedding", "boda"], Group::Creative, "event agency", "agencia de eventos"),
    (
        &[
            "creativ",
            "agency",
            "agencia",
            "market",
            "publicid",
            "advert",
            "music",
            "film",
            "video",
            "art",
            "arts",
            "arte",
            "artist",
            "portfolio",
        ],
        Group::Creative,
        "",
        "",
    ),
    (&["church", "iglesia"], Group::Community, "church", "iglesia"),
    (&["fundacion", "foundation"], Group::Community, "foundation", "fundación"),
    (&["asociacion", "association"], Group::Community, "association", "asociación"),
    (
        &["ngo", "ong", "nonprofit", "charit", "communit", "comunidad", "club", "volunt", "social"],
        Group::Community,
        "",
        "",
    ),
];

const UNKNOWN: Trade = Trade { group: Group::General, english: "", spanish: "" };

impl Trade {
    /// From the industry, or else from the description. From a description only the group is taken: a shop for coffee
    /// machines is not a café.
    pub fn find(industry: Option<&str>, description: Option<&str>) -> Self {
        if let Some(trade) = industry.and_then(look_up) {
            return trade;
        }
        let group = description.and_then(look_up).map(|trade| trade.group);
        Self { group: group.unwrap_or(Group::General), ..UNKNOWN }
    }
}

fn look_up(text: &str) -> Option<Trade> {
    let words = words(text);
    TRADES.iter().find_map(|(beginnings, group, english, spanish)| {
        let says = |word: &String| beginnings.iter().any(|beginning| fits(word, beginning));
        words.iter().any(says).then_some(Trade { group: *group, english, spanish })
    })
}

/// Short prefixes match whole words only: `bar` is not the beginning of `bargain`.
fn fits(word: &str, beginning: &str) -> bool {
    if beginning.len() <= 4
        && !["pizz", "dent", "tech", "gym", "nail", "hair", "yoga", "tour", "boda", "viaj", "foto"]
            .contains(&beginning)
    {
        word == beginning
    } else {
        word.starts_with(beginning)
    }
}

/// Words in lower case, without accents.
pub(super) fn words(text: &str) -> Vec<String> {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'á' | 'à' | 'ä' | 'â' => 'a',
            'é' | 'è' | 'ë' | 'ê' => 'e',
            'í' | 'ì' | 'ï' | 'î' => 'i',
            'ó' | 'ò' | 'ö' | 'ô' => 'o',
            'ú' | 'ù' | 'ü' | 'û' => 'u',
            'ñ' => 'n',
            c => c,
        })
        .collect();
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(industry: &str) -> Group {
        Trade::find(Some(industry), None).group
    }

    #[test]
    fn industries_are_recognised_in_both_languages() {
        for (industry, expected) in [
            ("Bakery", Group::Food),
            ("Panadería", Group::Food),
            ("food_beverage", Group::Food),
            ("Bar", Group::Food),
            ("Barbería", Group::Beauty),
            ("Clínica dental", Group::Health),
            ("Gimnasio", Group::Fitness),
            ("Law firm", Group::Advice),
            ("Servicios de plomería", Group::Trades),
            ("Car repair", Group::Trades),
            ("Tienda de ropa", Group::Shop),
            ("SaaS", Group::Technology),
            ("Escuela de idiomas", Group::Learning),
            ("Real estate", Group::Property),
            ("Bienes raíces", Group::Property),
            ("Hotel", Group::Travel),
            ("Diseño gráfico", Group::Creative),
            ("ONG", Group::Community),
            ("Bargain hunting", Group::General),
            ("", Group::General),
            ("🦀", Group::General),
        ] {
            assert_eq!(group(industry), expected, "{industry}");
        }
        assert_eq!(Trade::find(Some("Panadería"), None).english, "bakery");
    }

    #[test]
    fn a_description_tells_the_group_and_not_the_name_of_the_trade() {
        let trade = Trade::find(None, Some("We repair coffee machines"));
        assert_eq!((trade.group, trade.english), (Group::Food, ""));
        assert_eq!(
            Trade::find(Some("Repair"), Some("coffee")).group,
            Group::Trades,
            "the industry counts first"
        );
    }
}
