//! The templates that come with the program, and how they get into the database.

use portico_kernel::{Env, FieldError, TemplateId, Violations};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Template, TemplateUpdate, catalogue::blank};
use crate::{
    SitesError,
    ports::{SiteRepositories, TemplateRecord},
};

/// A template of the library, checked, with a fingerprint of its version.
#[derive(Clone, Debug, PartialEq)]
pub struct LibraryTemplate {
    /// The template.
    pub template: Template,
    /// SHA-256 over everything that an author writes, in hexadecimal digits.
    pub fingerprint: String,
}

/// The library, made ready once and seeded as often as needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Library {
    /// The templates that keep to the rules.
    pub templates: Vec<LibraryTemplate>,
    /// The slugs of those that do not, and what is wrong with them: bugs of the library.
    pub refused: Vec<(String, Vec<FieldError>)>,
}

/// The id of the template of the library with this slug: the same in every installation, so that a backup of one can be read
/// by another. A UUIDv8 (RFC 9562 section 5.8) of the SHA-256 of the slug.
pub fn library_id(slug: &str) -> TemplateId {
    let digest = Sha256::digest(format!("portico.template/{slug}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    TemplateId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

impl Library {
    /// Checks and cleans templates as if staff had sent them, and gives them their ids. Ids, times and popularity that they
    /// come with mean nothing.
    pub fn prepare(env: &Env, authored: &[Template]) -> Self {
        let mut library = Self::default();
        for author in authored {
            let mut template = blank(library_id(author.slug.as_str()), env.now());
            let mut violations = Violations::default();
            TemplateUpdate::from(author).apply(&mut template, &mut violations);
            let twice = library.templates.iter().any(|other| other.template.slug == template.slug);
            violations.check(!twice, "slug", "duplicate", "Another template of the library has this slug.");
            match violations.into_result() {
                Ok(()) => {
                    let fingerprint = fingerprint(&template);
                    library.templates.push(LibraryTemplate { template, fingerprint });
                }
                Err(errors) => library.refused.push((author.slug.to_string(), errors)),
            }
        }
        library
    }

    /// Brings the store up to date: writes what is new or newer than what is stored, leaves alone what staff edited or
    /// deleted, and what staff made under a slug of the library. Answers how many templates were written; on a second run
    /// none, for which one query is enough.
    ///
    /// Part of starting and no person's act, so it leaves no event; staff's own changes do.
    pub async fn seed(&self, repositories: &mut dyn SiteRepositories) -> Result<usize, SitesError> {
        let records = repositories.templates().records().await?;
        let wanted = self
            .templates
            .iter()
            .filter(|library| is_wanted(&records, library.template.slug.as_str(), &library.fingerprint));
        let wanted: Vec<LibraryTemplate> = wanted.cloned().collect();
        if !wanted.is_empty() {
            repositories.templates().put_library(&wanted).await?;
        }
        Ok(wanted.len())
    }
}

/// Whether [`Library::seed`] would write nothing for templates with these slugs and fingerprints, which is told without the templates.
///
/// # Errors
/// When the store fails.
pub async fn is_seeded(
    editions: &[(&str, &str)],
    repositories: &mut dyn SiteRepositories,
) -> Result<bool, SitesError> {
    let records = repositories.templates().records().await?;
    Ok(!editions.iter().any(|(slug, fingerprint)| is_wanted(&records, slug, fingerprint)))
}

/// Whether the template of the library with this slug and fingerprint is to be written.
fn is_wanted(records: &[TemplateRecord], slug: &str, fingerprint: &str) -> bool {
    let id = library_id(slug);
    match records.iter().find(|record| record.id == id) {
        Some(record) => {
            !record.is_staffs && !record.is_deleted && record.fingerprint.as_deref() != Some(fingerprint)
        }
        None => !records.iter().any(|record| !record.is_deleted && record.slug.as_str() == slug),
    }
}

/// Distinguishes versions of a template: everything but id, times, popularity and version.
fn fingerprint(template: &Template) -> String {
    let authored = json!([
        template.name,
        template.slug,
        template.category,
        template.industry,
        template.description,
        template.language,
        template.is_premium,
        template.is_featured,
        template.look,
        template.pages,
    ]);
    Sha256::digest(authored.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}
