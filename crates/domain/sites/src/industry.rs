//! Industries: one vocabulary for templates, the wizard, and structured data.

use serde::Serialize;

/// A line of business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Industry {
    /// Stable id, as templates and the wizard name it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "bakery"))]
    pub id: &'static str,
    /// Name in English.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "Bakery"))]
    pub name: &'static str,
    /// Name in Spanish.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "Panadería"))]
    pub name_es: &'static str,
    /// The type of such a business in the vocabulary of schema.org, for structured data.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "Bakery"))]
    pub schema_type: &'static str,
}

impl Industry {
    /// The industry of this id.
    pub fn find(id: &str) -> Option<&'static Self> {
        INDUSTRIES.iter().find(|industry| industry.id == id)
    }

    /// Its name in a language (BCP 47): Spanish where that is requested, else English.
    pub fn name_in(&self, language: &str) -> &'static str {
        let is_spanish = language.split('-').next().is_some_and(|primary| primary.eq_ignore_ascii_case("es"));
        if is_spanish { self.name_es } else { self.name }
    }
}

const fn industry(
    id: &'static str,
    name: &'static str,
    name_es: &'static str,
    schema_type: &'static str,
) -> Industry {
    Industry { id, name, name_es, schema_type }
}

/// Every industry, in the alphabetical order of their ids. `other` is for businesses that none of them fits.
///
/// The types are those of schema.org version 29; a business without a type of its own has the nearest one above it.
pub const INDUSTRIES: &[Industry] = &[
    industry("accounting", "Accounting", "Contabilidad", "AccountingService"),
    industry("agency", "Marketing agency", "Agencia de marketing", "ProfessionalService"),
    industry(
        "architecture",
        "Architecture and interiors",
        "Arquitectura e interiores",
        "ProfessionalService",
    ),
    industry("automotive", "Car repair and sales", "Taller y venta de autos", "AutomotiveBusiness"),
    industry("bakery", "Bakery", "Panadería", "Bakery"),
    industry("bar", "Bar", "Bar", "BarOrPub"),
    industry("cafe", "Café", "Cafetería", "CafeOrCoffeeShop"),
    industry("catering", "Catering", "Servicio de banquetes", "FoodEstablishment"),
    industry("cleaning", "Cleaning", "Limpieza", "HomeAndConstructionBusiness"),
    industry("clinic", "Medical practice", "Clínica", "MedicalClinic"),
    industry("construction", "Construction", "Construcción", "GeneralContractor"),
    industry("consulting", "Consulting", "Consultoría", "ProfessionalService"),
    industry("crafts", "Art and crafts", "Arte y artesanía", "Store"),
    industry("dental", "Dentist", "Odontología", "Dentist"),
    industry("education", "School", "Escuela", "EducationalOrganization"),
    industry("events", "Events and weddings", "Eventos y bodas", "ProfessionalService"),
    industry("fashion", "Fashion", "Moda", "ClothingStore"),
    industry("finance", "Finance and insurance", "Finanzas y seguros", "FinancialService"),
    industry("florist", "Florist", "Floristería", "Florist"),
    industry("gardening", "Gardening", "Jardinería", "HomeAndConstructionBusiness"),
    industry("gym", "Gym", "Gimnasio", "ExerciseGym"),
    industry("hair", "Hairdresser and barber", "Peluquería y barbería", "HairSalon"),
    industry(
        "home-services",
        "Electrician, plumber, repairs",
        "Electricidad, plomería y reparaciones",
        "HomeAndConstructionBusiness",
    ),
    industry("hotel", "Hotel and guest house", "Hotel y hospedaje", "LodgingBusiness"),
    industry("law", "Law firm", "Despacho de abogados", "LegalService"),
    industry("music", "Music and bands", "Música y bandas", "MusicGroup"),
    industry("non-profit", "Non-profit", "Organización sin fines de lucro", "NGO"),
    industry("optician", "Optician", "Óptica", "Optician"),
    industry("other", "Something else", "Otro", "LocalBusiness"),
    industry("pet-care", "Pets", "Mascotas", "LocalBusiness"),
    industry("pharmacy", "Pharmacy", "Farmacia", "Pharmacy"),
    industry("photography", "Photography", "Fotografía", "ProfessionalService"),
    industry("portfolio", "Personal portfolio", "Portafolio personal", "Person"),
    industry("real-estate", "Real estate", "Bienes raíces", "RealEstateAgent"),
    industry("restaurant", "Restaurant", "Restaurante", "Restaurant"),
    industry("retail", "Shop", "Tienda", "Store"),
    industry("salon", "Beauty salon", "Salón de belleza", "BeautySalon"),
    industry("software", "Software and technology", "Software y tecnología", "Organization"),
    industry("spa", "Spa and wellness", "Spa y bienestar", "DaySpa"),
    industry("therapy", "Therapy and coaching", "Terapia y coaching", "HealthAndBeautyBusiness"),
    industry("transport", "Transport and logistics", "Transporte y logística", "LocalBusiness"),
    industry("travel", "Travel agency", "Agencia de viajes", "TravelAgency"),
    industry("tutoring", "Tutoring and courses", "Clases y cursos", "EducationalOrganization"),
    industry("veterinary", "Veterinary practice", "Veterinaria", "VeterinaryCare"),
    industry("yoga", "Yoga studio", "Estudio de yoga", "SportsActivityLocation"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_industry_is_there_once_and_is_found_by_its_word() {
        assert!(INDUSTRIES.windows(2).all(|pair| pair[0].id < pair[1].id), "in alphabetical order");
        for industry in INDUSTRIES {
            assert_eq!(Industry::find(industry.id), Some(industry));
            assert!(industry.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", industry.id);
            let is_type = |text: &str| {
                text.starts_with(|c: char| c.is_ascii_uppercase())
                    && text.bytes().all(|b| b.is_ascii_alphabetic())
            };
            assert!(is_type(industry.schema_type), "{}", industry.schema_type);
            assert!(!industry.name.is_empty() && !industry.name_es.is_empty(), "{}", industry.id);
        }
        assert_eq!(Industry::find("witchcraft"), None);
    }

    #[test]
    fn names_are_in_the_language_that_is_asked_for() {
        let bakery = Industry::find("bakery").unwrap();
        assert_eq!(bakery.name_in("es-GT"), "Panadería");
        assert_eq!(bakery.name_in("ES"), "Panadería");
        assert_eq!(bakery.name_in("en"), "Bakery");
        assert_eq!(bakery.name_in("est"), "Bakery");
    }
}
