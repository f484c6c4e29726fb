//! Contact forms: on pages, and on the page for errors.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with the other tests")]
mod html;
#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
mod sample;

use std::collections::{BTreeMap, BTreeSet};

use html::{Document, Element};
use portico_kernel::FieldError;
use portico_renderer::HtmlRenderer;
use portico_sites::{
    ports::{FormRenderer, FormTrouble, SiteRenderer, SiteSnapshot},
    section::SectionType,
    submission::{
        DeployedForms, FormInput,
        form::{FORMS_FILE, TRAP},
    },
};
use serde_json::{Value, json};

const EVIL: &str = "\"><script>alert('1')</script>&amp;\u{0}</textarea>";

fn contact(content: Value) -> (SectionType, Value) {
    let mut contact = json!({"heading": "Write to us", "phone": "5555 1234"});
    contact.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    (SectionType::Contact, contact)
}

/// A site with two forms on a page, one without on another, and one in Spanish.
fn site() -> SiteSnapshot {
    let mut site = sample::site("Luz & Co", "en");
    let forms = [json!({"form": true}), json!({"form": true, "consentText": "Offers <b>?"}), json!({})];
    sample::add_page(&mut site, "Home", "home", forms[..2].iter().cloned().map(contact).collect());
    sample::add_page(&mut site, "Plain", "plain", vec![contact(forms[2].clone())]);
    sample::add_page(&mut site, "Contacto", "contacto", vec![contact(forms[0].clone())]);
    site.pages[2].page.language = Some("es".to_owned());
    site
}

fn render(site: &SiteSnapshot) -> BTreeMap<String, String> {
    let files = HtmlRenderer::new().unwrap().render(site).unwrap();
    files.into_iter().map(|file| (file.path, String::from_utf8(file.bytes).unwrap())).collect()
}

/// Asserts accessibility, and conformance to the content security policy, of a page with a form.
fn assert_accessible(page: &Document) {
    assert_eq!(page.errors, Vec::<String>::new());
    let ids: Vec<&str> = page.elements.iter().filter_map(|element| element.get("id")).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an id is there twice: {ids:?}");
    let labelled: BTreeSet<&str> = page.all("label").filter_map(|label| label.get("for")).collect();
    for field in page.elements.iter().filter(|e| matches!(e.name.as_str(), "input" | "textarea")) {
        // The label of the check box encloses it.
        let is_labelled =
            field.get("type") == Some("checkbox") || labelled.contains(field.get("id").unwrap());
        assert!(is_labelled, "{field:?} has no label");
        if let Some(described) = field.get("aria-describedby") {
            assert!(unique.contains(described) && field.get("aria-invalid") == Some("true"), "{field:?}");
        }
    }
    for element in &page.elements {
        let is_data = element.get("type") == Some("application/ld+json");
        assert!(is_data || !["script", "style", "iframe"].contains(&element.name.as_str()), "{element:?}");
        assert!(
            element.attributes.keys().all(|name| name != "style" && !name.starts_with("on")),
            "{element:?}"
        );
    }
}

fn field<'p>(page: &'p Document, name: &str) -> &'p Element {
    page.elements.iter().find(|element| element.get("name") == Some(name)).unwrap()
}

#[test]
fn pages_have_forms_where_the_customer_wants_them() {
    let site = site();
    let files = render(&site);
    let home = Document::read(&files["index.html"]);
    assert_accessible(&home);
    let forms: Vec<_> = home.all("form").collect();
    let sections: Vec<String> = site.pages[0].sections.iter().map(|s| format!("/_forms/{}", s.id)).collect();
    assert_eq!(forms.iter().map(|form| form.get("action").unwrap()).collect::<Vec<_>>(), sections);
    assert!(forms.iter().all(|form| form.get("method") == Some("post")));
    for (name, completion) in [("name", "name"), ("email", "email"), ("phone", "tel")] {
        assert_eq!(field(&home, name).get("autocomplete"), Some(completion));
    }
    assert!(
        field(&home, "message").get("required").is_some() && field(&home, "phone").get("required").is_none()
    );
    assert!(field(&home, "consent").get("checked").is_none(), "nobody agrees by doing nothing");
    assert_eq!(field(&home, TRAP).get("tabindex"), Some("-1"));
    assert!(files["index.html"].contains("Offers &lt;b&gt;?"));
    assert_eq!(Document::read(&files["plain/index.html"]).all("form").count(), 0);
    let spanish = &files["contacto/index.html"];
    assert!(spanish.contains("Enviar mensaje") && spanish.contains("Pueden enviarme novedades"), "{spanish}");
    assert_accessible(&Document::read(spanish));
}

#[test]
fn a_deployment_tells_of_its_forms_and_says_thanks_in_their_languages() {
    let site = site();
    let files = render(&site);
    let forms: DeployedForms = serde_json::from_str(&files[FORMS_FILE]).unwrap();
    assert_eq!((forms.site.as_str(), forms.forms.len()), ("Luz & Co", 3));
    assert!(files.contains_key(&forms.stylesheet));
    let of = |page: usize, section: usize| &forms.forms[&site.pages[page].sections[section].id];
    let metadata = |page, section| {
        let form = of(page, section);
        (form.page.as_str(), form.language.as_str(), form.thanks.as_str())
    };
    assert_eq!(metadata(0, 0), ("/", "en", "/_forms/thanks/"));
    assert_eq!(metadata(2, 0), ("/contacto/", "es", "/_forms/thanks/es/"));
    assert_eq!(of(0, 1).consent, "Offers <b>?");
    for (form, words) in [(of(0, 0), "Thank you"), (of(2, 0), "Gracias")] {
        let thanks = &files[&format!("{}index.html", form.thanks.trim_start_matches('/'))];
        assert!(thanks.contains(words) && thanks.contains("noindex"), "{thanks}");
        assert_eq!(Document::read(thanks).errors, Vec::<String>::new());
    }
    assert!(!files["sitemap.xml"].contains("_forms"));

    let none = render(&sample::bakery());
    assert!(none.keys().all(|path| !path.starts_with("_forms")));
}

#[test]
fn what_is_wrong_is_shown_next_to_its_field() {
    let files = render(&site());
    let forms: DeployedForms = serde_json::from_str(&files[FORMS_FILE]).unwrap();
    let (section, form) = forms.forms.iter().find(|(_, form)| form.language == "es").unwrap();
    let input = FormInput {
        name: EVIL.to_owned(),
        email: EVIL.to_owned(),
        phone: EVIL.to_owned(),
        message: format!("\n{EVIL}"),
        consent: true,
        ..FormInput::default()
    };
    let errors = [
        FieldError::new("name", "too_long", "x"),
        FieldError::new("email", "invalid_email", "x"),
        FieldError::new("phone", "invalid_phone", "x"),
        FieldError::new("message", "invalid_characters", "x"),
    ];
    let renderer = HtmlRenderer::new().unwrap();
    let action = format!("/_forms/{section}");
    let show = |trouble| renderer.form(&forms, form, &action, &input, trouble).unwrap();
    let text = show(FormTrouble::Fields(&errors));
    let page = Document::read(&text);
    assert_accessible(&page);
    assert_eq!(page.all("form").next().unwrap().get("action"), Some(action.as_str()));
    assert_eq!(page.elements.iter().filter(|e| e.get("aria-invalid").is_some()).count(), 4);
    assert_eq!(page.all("textarea").count(), 1, "nothing ends it early");
    let shown = EVIL.replace('\u{0}', "");
    assert_eq!(field(&page, "name").get("value"), Some(shown.as_str()), "what was written is kept");
    assert!(field(&page, "consent").get("checked").is_some());
    assert_eq!(field(&page, TRAP).get("value"), None);
    for there in
        ["lang=\"es\"", "Es demasiado largo", "no es una dirección", "role=\"alert\"", "href=\"#form-email\""]
    {
        assert!(text.contains(there), "{there} is in {text}");
    }
    for (trouble, words) in
        [(FormTrouble::TooMany, "Espere un rato"), (FormTrouble::Unavailable, "en un minuto")]
    {
        let text = show(trouble);
        assert!(text.contains(words) && !text.contains("aria-invalid"), "{text}");
        assert_accessible(&Document::read(&text));
    }
}
