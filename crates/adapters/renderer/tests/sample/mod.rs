//! A bakery's site, as a customer would make it: four pages with every type of section. Its content is validated by the
//! sites domain, so it cannot diverge from its rules.

use std::collections::BTreeMap;

use portico_kernel::{
    Id, NavItemId, PageId, SiteId, TenantId, Timestamp,
    name::{Slug, Subdomain},
};
use portico_sites::{
    look::Style,
    navigation::NavItem,
    page::{Page, PageStatus},
    ports::{PageSnapshot, SiteSnapshot, Theme},
    section::{Section, SectionType, content::SectionContent},
    site::{Site, SiteStatus},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Files that the pages refer to and that a customer would have uploaded.
pub const PICTURES: [(&str, &str); 4] = [
    ("media/hero.svg", include_str!("hero.svg")),
    ("media/sourdough.svg", include_str!("sourdough.svg")),
    ("media/croissants.svg", include_str!("croissants.svg")),
    ("media/cake.svg", include_str!("cake.svg")),
];

/// An id with a number in it, the same in every run.
pub fn id<T>(number: u128) -> Id<T> {
    Id::from_uuid(Uuid::from_u128(number))
}

fn time() -> Timestamp {
    Timestamp::from_unix_seconds(1_790_000_000).unwrap()
}

/// A site without pages.
pub fn site(name: &str, language: &str) -> SiteSnapshot {
    SiteSnapshot {
        site: Site {
            id: id(1),
            tenant_id: id(2),
            name: name.to_owned(),
            subdomain: Subdomain::trusted("sample".to_owned()),
            custom_domain: None,
            status: SiteStatus::Published,
            live_deployment_id: None,
            language: language.to_owned(),
            industry: None,
            look: None,
            price: None,
            over_limit: false,
            created_at: time(),
            updated_at: time(),
            version: 1,
        },
        base_url: "https://sample.example".to_owned(),
        language: language.to_owned(),
        theme: Theme {
            primary: "#8a3f1d".to_owned(),
            secondary: "#f7efe2".to_owned(),
            accent: "#e0a33e".to_owned(),
            background: "#fffdf9".to_owned(),
            text: "#2a1d14".to_owned(),
            heading_font: "\"Iowan Old Style\", \"Palatino Linotype\", Cambria, Georgia, serif".to_owned(),
            body_font: "Inter, system-ui, -apple-system, \"Segoe UI\", Roboto, sans-serif".to_owned(),
            style: Style::Classic,
            logo: None,
            favicon: None,
        },
        pages: Vec::new(),
        navigation: Vec::new(),
        assets: BTreeMap::new(),
    }
}

/// Adds a page. Panics on content that the domain would refuse.
pub fn add_page(
    site: &mut SiteSnapshot,
    title: &str,
    slug: &str,
    sections: Vec<(SectionType, Value)>,
) -> PageId {
    let sections = sections.into_iter().map(|(kind, content)| {
        let content =
            SectionContent::read(kind, content, "content").unwrap_or_else(|errors| panic!("{errors:?}"));
        (kind, content.into_json())
    });
    add_page_unchecked(site, title, slug, sections.collect())
}

/// Adds a page with content that the domain has not validated.
pub fn add_page_unchecked(
    site: &mut SiteSnapshot,
    title: &str,
    slug: &str,
    sections: Vec<(SectionType, Value)>,
) -> PageId {
    let page_number = (site.pages.len() as u128 + 1) << 32;
    let page: PageId = id(page_number);
    let tenant: TenantId = site.site.tenant_id;
    let site_id: SiteId = site.site.id;
    let is_home = site.pages.is_empty();
    let page_entity = Page {
        id: page,
        tenant,
        site_id,
        title: title.to_owned(),
        slug: Slug::trusted(slug.to_owned()),
        status: PageStatus::Published,
        is_home,
        template_id: None,
        language: None,
        translation_of: None,
        publish_at: None,
        published_at: Some(time()),
        created_at: time(),
        updated_at: time(),
        version: 1,
    };
    let sections = sections.into_iter().enumerate().map(|(index, (kind, content))| Section {
        id: id(page_number + index as u128 + 1),
        tenant,
        page_id: page,
        kind,
        content,
        position: index as i32,
        visible: true,
        provenance: portico_sites::section::Provenance::Own,
        created_at: time(),
        updated_at: time(),
        version: 1,
    });
    site.pages.push(PageSnapshot { page: page_entity, sections: sections.collect(), seo: None });
    page
}

/// Adds a navigation item under another.
pub fn add_item(
    site: &mut SiteSnapshot,
    label: &str,
    page: Option<PageId>,
    url: Option<&str>,
    parent: Option<NavItemId>,
) -> NavItemId {
    let number = site.navigation.len();
    let id = id(0x1000 + number as u128);
    site.navigation.push(NavItem {
        id,
        tenant: site.site.tenant_id,
        site_id: site.site.id,
        label: label.to_owned(),
        page_id: page,
        url: url.map(str::to_owned),
        parent_id: parent,
        position: number as i32,
        opens_new_tab: url.is_some_and(|url| url.starts_with("https://")),
        created_at: time(),
        updated_at: time(),
        version: 1,
    });
    id
}

/// The bakery.
pub fn bakery() -> SiteSnapshot {
    let mut site = site("Brook & Barley", "en-GB");
    let home = add_page(&mut site, "Home", "home", home_sections());
    let bread = add_page(&mut site, "Bread and cakes", "bread-and-cakes", bread_sections());
    let catering = add_page(&mut site, "Catering", "catering", catering_sections());
    let about = add_page(&mut site, "About us", "about", about_sections());

    add_item(&mut site, "Home", Some(home), None, None);
    let shop = add_item(&mut site, "From the oven", None, None, None);
    let breads = add_item(&mut site, "Bread and cakes", Some(bread), None, Some(shop));
    add_item(&mut site, "Gallery", None, Some("/bread-and-cakes#gallery"), Some(breads));
    add_item(&mut site, "Questions", None, Some("/bread-and-cakes#faq"), Some(breads));
    add_item(&mut site, "Weekly bread bag", None, Some("/catering#pricing"), Some(shop));
    add_item(&mut site, "Catering", Some(catering), None, None);
    add_item(&mut site, "About us", Some(about), None, None);
    add_item(&mut site, "Map", None, Some("https://www.openstreetmap.org/"), None);
    site
}

fn home_sections() -> Vec<(SectionType, Value)> {
    vec![
        (
            SectionType::Hero,
            json!({
                "heading": "Bread that takes its time",
                "subheading": "We mix in the evening, let the dough rest all night, and bake before sunrise. Four ingredients, no shortcuts, warm on the shelf from half past six.",
                "imageUrl": "/media/hero.svg",
                "imageAlt": "Three fresh loaves on a wooden board",
                "ctaLabel": "See what we bake",
                "ctaUrl": "/bread-and-cakes",
            }),
        ),
        (
            SectionType::Features,
            json!({
                "heading": "What makes it good",
                "intro": "There is no secret. There is only flour from people we know, and patience.",
                "items": [
                    {"title": "Local grain", "text": "Wheat, rye and spelt from three farms within twenty miles, milled on stone.", "icon": "wheat"},
                    {"title": "Sixteen hours", "text": "A long, cool rest gives flavour, and makes bread that is easy to digest.", "icon": "clock"},
                    {"title": "Baked on site", "text": "Everything is shaped by hand and baked in the oven behind the counter.", "icon": "home"},
                ],
            }),
        ),
        (
            SectionType::Testimonials,
            json!({
                "heading": "What our neighbours say",
                "items": [
                    {"quote": "The rye keeps for a week, and tastes better every day. We have stopped buying bread anywhere else.", "author": "Martha Lindqvist", "role": "Customer since 2011"},
                    {"quote": "They baked our wedding cake and forty small loaves for the tables. Our guests still talk about it.", "author": "Jon and Amira", "role": "Married in June"},
                    {"quote": "Delivered at six every morning for four years, and not late once.", "author": "Café Morel", "role": "Trade customer"},
                ],
            }),
        ),
        (
            SectionType::Contact,
            json!({
                "heading": "Come by",
                "text": "The shop is on the corner by the old mill. You will smell it before you see it.",
                "email": "hello@brookandbarley.example",
                "phone": "+44 (1632) 960-143",
                "address": "14 Mill Lane\nAlderbrook AB3 7QT",
                "hours": "Tuesday to Friday: 6:30 – 17:00\nSaturday: 6:30 – 14:00\nSunday and Monday: closed",
            }),
        ),
        (
            SectionType::Cta,
            json!({
                "heading": "Planning something to celebrate?",
                "text": "From breakfast for twelve to a cake for two hundred: tell us the date, we do the rest.",
                "label": "See our catering",
                "url": "/catering/",
            }),
        ),
    ]
}

fn bread_sections() -> Vec<(SectionType, Value)> {
    vec![
        (
            SectionType::Text,
            json!({"html": "<p>Six loaves every day, three more at the weekend, and cakes by the season. What is sold out is sold out: we bake what we can bake well.</p>\
                <h2>Every day</h2><ul><li><strong>Mill loaf</strong>, wheat and a little rye, sixteen hours</li><li><strong>Dark rye</strong> with caraway, for the patient</li><li><strong>Spelt tin</strong>, soft, for children and toast</li></ul>\
                <h2>At the weekend</h2><p>Plaited milk bread, <em>croissants</em> with Alderbrook butter, and one cake that the baker chooses.</p>\
                <h3>Allergies</h3><p>All our bread contains gluten. Ask us about nuts, milk and eggs, or <a href=\"/about#contact\">write to us</a>.</p>"}),
        ),
        (
            SectionType::Gallery,
            json!({
                "heading": "Fresh this week",
                "images": [
                    {"url": "/media/sourdough.svg", "alt": "A round sourdough loaf between ears of wheat", "caption": "Mill loaf, £4.20"},
                    {"url": "/media/croissants.svg", "alt": "Three croissants", "caption": "Butter croissants, £2.10"},
                    {"url": "/media/cake.svg", "alt": "A layered chocolate cake with cherries", "caption": "Cherry and chocolate cake, £38"},
                ],
            }),
        ),
        (
            SectionType::Faq,
            json!({
                "heading": "Good to know",
                "items": [
                    {"question": "Can I reserve a loaf?", "answer": "<p>Yes. Call before noon, and it waits for you the next day until five.</p>"},
                    {"question": "How do I keep bread fresh?", "answer": "<p>Cut side down on a wooden board for two days, then in a <strong>cotton bag</strong>. Never in the fridge.</p>"},
                    {"question": "Do you bake without gluten?", "answer": "<p>No. There is flour in the air here from two in the morning, and we will not promise what we cannot keep.</p>"},
                    {"question": "Do you deliver?", "answer": "<p>To cafés and shops every day. To homes with the weekly bread bag: see <a href=\"/catering\">catering</a>.</p>"},
                ],
            }),
        ),
    ]
}

fn catering_sections() -> Vec<(SectionType, Value)> {
    vec![
        (
            SectionType::Hero,
            json!({
                "heading": "Catering and celebrations",
                "subheading": "Breakfast tables, buffets, wedding cakes. Baked the same night, delivered warm.",
                "ctaLabel": "Compare prices",
                "ctaUrl": "#pricing",
            }),
        ),
        (
            SectionType::Pricing,
            json!({
                "heading": "Simple prices",
                "intro": "Delivery within ten miles is included.",
                "plans": [
                    {"name": "Bread bag", "price": "£14", "period": "a week", "features": ["Two loaves of your choice", "Six rolls on Saturday", "Pause whenever you like"], "ctaLabel": "Start a bag", "ctaUrl": "mailto:hello@brookandbarley.example"},
                    {"name": "Breakfast table", "price": "£11", "period": "a person", "features": ["Bread, rolls and croissants", "Butter, jam and three cheeses", "Fruit and granola", "Crockery, collected again"], "ctaLabel": "Book a breakfast", "ctaUrl": "#contact", "highlighted": true},
                    {"name": "Celebration", "price": "from £180", "features": ["Tasting for two", "Cake for forty or more", "Small loaves for every table"], "ctaLabel": "Tell us the date", "ctaUrl": "#contact"},
                ],
            }),
        ),
        (
            SectionType::Html,
            json!({"html": "<h2>How much bread is enough?</h2><table><thead><tr><th>Guests</th><th>Loaves</th><th>Rolls</th></tr></thead><tbody><tr><td>10</td><td>2</td><td>15</td></tr><tr><td>25</td><td>5</td><td>35</td></tr><tr><td>60</td><td>11</td><td>80</td></tr></tbody></table>"}),
        ),
        (
            SectionType::Contact,
            json!({"heading": "Ask for an offer", "text": "Two weeks ahead is comfortable. Two days ahead is sometimes possible.", "email": "events@brookandbarley.example", "phone": "+44 1632 960143"}),
        ),
    ]
}

fn about_sections() -> Vec<(SectionType, Value)> {
    vec![
        (
            SectionType::Hero,
            json!({
                "heading": "Three generations, one oven",
                "subheading": "Edith Brook lit it in 1958. It has not been cold since.",
                "imageUrl": "/media/sourdough.svg",
                "imageAlt": "",
            }),
        ),
        (
            SectionType::Text,
            json!({"heading": "Our story", "html": "<p>Edith Brook came to Alderbrook with a sourdough culture in a jar and borrowed money. The culture is still alive; the money was paid back in bread.</p><blockquote>If it does not need time, it is not worth eating.</blockquote><p>Today her granddaughter Ruth bakes, and nine people work with her.</p>"}),
        ),
        (
            SectionType::Features,
            json!({"items": [
                {"title": "Ruth", "text": "Bakes, and decides about the cake.", "icon": "🥖"},
                {"title": "Samir", "text": "Runs the shop and knows your name.", "icon": "☕"},
                {"title": "Ines", "text": "Drives the van. Never late.", "icon": "🚚"},
                {"title": "You?", "text": "We are looking for an apprentice.", "icon": "✦"},
            ]}),
        ),
        (SectionType::Contact, json!({"heading": "Write to us", "email": "hello@brookandbarley.example"})),
    ]
}
