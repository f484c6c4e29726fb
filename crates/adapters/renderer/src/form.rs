//! Contact forms: on pages, on the page for errors, and the metadata of a deployment's forms.
//!
//! Pages are static, so a form contains nothing specific to a visitor. It needs no script.

use std::collections::{BTreeMap, HashMap};

use minijinja::value::{Serde, Value};
use portico_kernel::{FieldError, PageId};
use portico_sites::{
    ports::{FormRenderer, FormTrouble, RenderError, SiteSnapshot},
    section::{
        Section, SectionType,
        content::{ContactContent, SectionContent},
    },
    submission::{
        DeployedForm, DeployedForms, FormInput,
        form::{FORMS_PATH, MAX_EMAIL, MAX_MESSAGE, MAX_NAME, MAX_PHONE, TRAP},
    },
};
use serde::Serialize;

use crate::{HtmlRenderer, bug, form_words::FormWords, words::Words};

/// A form, ready for its template.
#[derive(Debug, Serialize)]
pub struct FormView {
    /// Path that it is posted to.
    action: String,
    /// Prefix of the ids of its fields.
    id: String,
    /// Consent text.
    consent: String,
    /// Name of the hidden spam trap field.
    trap: &'static str,
    limits: Limits,
    /// Values of the fields.
    values: Values,
    /// Error messages, by field.
    errors: BTreeMap<String, String>,
    words: &'static FormWords,
}

/// Maximum lengths of the fields, in characters.
#[derive(Debug, Serialize)]
struct Limits {
    name: usize,
    email: usize,
    phone: usize,
    message: usize,
}

const LIMITS: Limits = Limits { name: MAX_NAME, email: MAX_EMAIL, phone: MAX_PHONE, message: MAX_MESSAGE };

#[derive(Debug, Default, Serialize)]
struct Values {
    name: String,
    email: String,
    phone: String,
    message: String,
    consent: bool,
}

/// The page that shows errors.
#[derive(Serialize)]
struct TroubleView<'a> {
    site: &'a str,
    stylesheet: &'a str,
    language: &'a str,
    title: &'static str,
    text: &'static str,
    /// Each invalid field: its id, its label, its error.
    summary: Vec<(String, &'static str, String)>,
    form: FormView,
    skip: &'a Words,
}

/// The page after a successful submission.
#[derive(Serialize)]
pub struct ThanksView {
    path: &'static str,
    translations: [(); 0],
    words: &'static FormWords,
}

impl ThanksView {
    /// In this language.
    pub fn new(language: &str) -> Self {
        Self { path: "", translations: [], words: FormWords::in_language(language) }
    }
}

impl FormView {
    /// An empty form, as on pages.
    pub fn empty(section: &Section, contact: &ContactContent, language: &str) -> Self {
        let words = FormWords::in_language(language);
        Self {
            action: action(section),
            id: format!("form-{}", section.id),
            consent: consent(contact, words),
            trap: TRAP,
            limits: LIMITS,
            values: Values::default(),
            errors: BTreeMap::new(),
            words,
        }
    }
}

fn action(section: &Section) -> String {
    format!("{FORMS_PATH}{}", section.id)
}

fn consent(contact: &ContactContent, words: &FormWords) -> String {
    contact.consent_text.clone().unwrap_or_else(|| words.consent.to_owned())
}

/// Path of the thank-you page, in the language of a page.
fn thanks(language: &str, site_language: &str) -> String {
    match language == site_language {
        true => format!("{FORMS_PATH}thanks/"),
        false => format!("{FORMS_PATH}thanks/{language}/"),
    }
}

/// Metadata of the forms on the pages of a site.
pub fn deployed(snapshot: &SiteSnapshot, paths: &HashMap<PageId, String>, stylesheet: &str) -> DeployedForms {
    let mut forms = BTreeMap::new();
    for page in &snapshot.pages {
        let language = page.page.language.as_deref().unwrap_or(&snapshot.language);
        for section in &page.sections {
            let Some(contact) = contact_with_form(section) else { continue };
            let form = DeployedForm {
                page: paths.get(&page.page.id).cloned().unwrap_or_else(|| "/".to_owned()),
                language: language.to_owned(),
                consent: consent(&contact, FormWords::in_language(language)),
                thanks: thanks(language, &snapshot.language),
            };
            forms.insert(section.id, form);
        }
    }
    DeployedForms { site: snapshot.site.name.clone(), stylesheet: stylesheet.to_owned(), forms }
}

fn contact_with_form(section: &Section) -> Option<ContactContent> {
    if section.kind != SectionType::Contact || !section.visible {
        return None;
    }
    match SectionContent::from_stored(section.kind, &section.content) {
        Ok(SectionContent::Contact(contact)) if contact.form => Some(contact),
        _ => None,
    }
}

impl FormRenderer for HtmlRenderer {
    fn form<'a>(
        &self,
        forms: &'a DeployedForms,
        form: &'a DeployedForm,
        action: &'a str,
        input: &'a FormInput,
        trouble: FormTrouble<'a>,
    ) -> Result<String, RenderError> {
        let words = FormWords::in_language(&form.language);
        let wrong: &[FieldError] = match trouble {
            FormTrouble::Fields(errors) => errors,
            FormTrouble::TooMany | FormTrouble::Unavailable => &[],
        };
        let (title, text) = match trouble {
            FormTrouble::Fields(_) => (words.wrong_title, words.wrong_text),
            FormTrouble::TooMany => (words.many_title, words.many_text),
            FormTrouble::Unavailable => (words.down_title, words.down_text),
        };
        let id = "form".to_owned();
        let said = |error: &FieldError| words.error(&error.code).to_owned();
        let summary = wrong
            .iter()
            .map(|error| (format!("{id}-{}", error.field), words.label(&error.field), said(error)));
        let view = TroubleView {
            site: &forms.site,
            stylesheet: &forms.stylesheet,
            language: &form.language,
            title,
            text,
            summary: summary.collect(),
            form: FormView {
                action: action.to_owned(),
                id: id.clone(),
                consent: form.consent.clone(),
                trap: TRAP,
                limits: LIMITS,
                values: Values {
                    name: printable(&input.name),
                    email: printable(&input.email),
                    phone: printable(&input.phone),
                    message: printable(&input.message),
                    consent: input.consent,
                },
                errors: wrong.iter().map(|error| (error.field.clone(), said(error))).collect(),
                words,
            },
            skip: Words::in_language(&form.language),
        };
        let template = self.templates.get_template("form-page.html").map_err(bug)?;
        template.render(Value::from(Serde(view))).map_err(bug)
    }
}

/// The text without characters that HTML forbids (HTML, section 13.1.2.1 Text: no noncharacters, no control characters).
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
