//! Application of templates, and import of the template library into the database.

use std::sync::OnceLock;

use portico_kernel::{Env, Permission, Scope, TemplateId};
use portico_runtime::store::UnitOfWork;
use portico_sites::{
    SitesError,
    ports::SiteRepositories,
    template::{Applied, Library, TemplateApplication, Templates, is_seeded},
};
use portico_web::problem::Problem;

/// Applies the template of this id or slug.
pub async fn apply(
    work: &mut dyn UnitOfWork,
    env: &Env,
    scope: &Scope,
    id_or_slug: &str,
    input: TemplateApplication,
) -> Result<(TemplateId, Applied), Problem> {
    // Before the template is looked for, so that a caller without the permission always gets the same answer.
    scope.require(Permission::PagesWrite)?;
    let template = Templates::new(&mut *work, scope, env).get(id_or_slug).await?;
    let applied = Templates::new(&mut *work, scope, env).apply(&template, input).await?;
    Ok((template.id, applied))
}

/// Updates the library's templates in the database. Returns how many were written.
pub async fn seed(env: &Env, repositories: &mut dyn SiteRepositories) -> Result<usize, SitesError> {
    if is_seeded(&portico_library::EDITIONS, repositories).await? {
        return Ok(0);
    }
    library(env).seed(repositories).await
}

/// The library, parsed and checked once per process.
fn library(env: &Env) -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Library::prepare(env, &portico_library::library());
        for (slug, errors) in &library.refused {
            tracing::error!(%slug, ?errors, "a template of the library breaks rules and is left out");
        }
        library
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_of_the_library_keeps_to_the_rules() {
        let library = library(&portico_security::system_env());
        assert_eq!(library.refused, []);
        assert!(library.templates.len() >= 12, "{} templates", library.templates.len());
    }
}
