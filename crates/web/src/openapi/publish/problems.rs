//! The schema of errors.

use utoipa::openapi::{
    Components, ObjectBuilder, Ref, RefOr,
    schema::{ArrayBuilder, Schema, SchemaType, Type},
};

use super::{PROBLEM, count};
use crate::openapi::codes::CODES;

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn words(description: &str, words: &[&str]) -> ObjectBuilder {
    text(description).enum_values(Some(words.iter().copied()))
}

/// Adds the codes to the schema of problems, and the members that some of them have.
pub(super) fn describe_problems(components: &mut Components) {
    let codes = words("What went wrong, for programs. New versions add codes.", &CODES);
    components.schemas.insert("ProblemCode".to_owned(), codes.into());
    let tenant = ObjectBuilder::new()
        .property("id", RefOr::Ref(Ref::from_schema_name("TenantId")))
        .property("name", text("Name of the tenant."))
        .required("id")
        .required("name");
    let list = |description: &str, items: RefOr<Schema>| {
        ArrayBuilder::new().items(items).description(Some(description))
    };
    let methods = words("A way to go on.", &["totp", "recovery_code", "passkey"]);
    let Some(RefOr::T(Schema::Object(problem))) = components.schemas.get_mut(PROBLEM) else { return };
    problem.properties.insert("code".to_owned(), RefOr::Ref(Ref::from_schema_name("ProblemCode")));
    let plan = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "`quota_exceeded`, `plan_required`: the cheapest plan that would do; null when there is none.",
        ));
    problem.properties.extend([
        (
            "meter".to_owned(),
            words(
                "`quota_exceeded`: what is used up.",
                &["sites", "storage", "ai_generations", "custom_domains", "members", "api_keys"],
            )
            .into(),
        ),
        ("limit".to_owned(), count("`quota_exceeded`: how much the plan includes.").into()),
        ("used".to_owned(), count("`quota_exceeded`: how much is used.").into()),
        ("feature".to_owned(), text("`plan_required`: the feature that the plan lacks.").into()),
        ("plan".to_owned(), plan.into()),
        (
            "mfaToken".to_owned(),
            text("`second_factor_required`: to be sent with the second factor, within five minutes.").into(),
        ),
        ("methods".to_owned(), list("`second_factor_required`: how to go on.", methods.into()).into()),
        (
            "tenants".to_owned(),
            list("`last_owner`: the tenants whose only owner it is.", tenant.into()).into(),
        ),
        (
            "pages".to_owned(),
            list("`asset_in_use`: the pages that show it.", RefOr::Ref(Ref::from_schema_name("PageId")))
                .into(),
        ),
        (
            "reason".to_owned(),
            words(
                "`license_required`: why no license covers the release.",
                &["not_covered", "license_suspended", "license_expired", "license_revoked", "no_license"],
            )
            .into(),
        ),
        (
            "releaseStatus".to_owned(),
            words("`release_status`: what the release is.", &["draft", "published", "withdrawn"]).into(),
        ),
        (
            "branding".to_owned(),
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .description(Some("`asset_in_use`: whether the branding shows it."))
                .into(),
        ),
    ]);
}
