//! Parameters that many operations have.

use std::collections::BTreeMap;

use utoipa::openapi::{
    Components, ObjectBuilder, OpenApi, Ref, RefOr, Required,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    schema::{Schema, SchemaType, Type},
};

use crate::openapi;

pub(super) fn tenant_header() -> Parameter {
    ParameterBuilder::new()
        .name("X-Tenant-Id")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The tenant to act in, if that is not the active one of the access token. 404 where the caller does not belong to \
             it. An API key acts in its own tenant only.",
        ))
        .schema(Some(RefOr::Ref(Ref::from_schema_name("TenantId"))))
        .build()
}

/// Operations that act in a tenant which their path does not name take `X-Tenant-Id`.
pub(super) fn name_tenant(path: &str, operation: &mut Operation) {
    if openapi::is_secured(operation) && !path.contains("{tenantId}") {
        let reference = RefOr::Ref(Ref::new("#/components/parameters/X-Tenant-Id"));
        operation.parameters.get_or_insert_default().push(reference);
    }
}

/// Moves parameters that many operations have to the components.
pub(super) fn share_parameters(document: &mut OpenApi, components: &mut Components) {
    let key = |parameter: &Parameter| serde_json::to_string(parameter).unwrap_or_default();
    let mut uses: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for item in document.paths.paths.values_mut() {
        for (_, operation) in openapi::operations_mut(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    tidy(parameter);
                    uses.entry(key(parameter)).or_insert((0, parameter.name.clone())).0 += 1;
                }
            }
        }
    }
    // Of parameters that have one name and differ, the one with the most uses is shared.
    let mut best: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (key, (uses, name)) in uses.iter().filter(|(_, (uses, _))| *uses > 2) {
        let entry = best.entry(name).or_insert((*uses, key));
        if *uses > entry.0 {
            *entry = (*uses, key);
        }
    }
    for item in document.paths.paths.values_mut() {
        for (_, operation) in openapi::operations_mut(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                let RefOr::T(inline) = &*parameter else { continue };
                if best.get(inline.name.as_str()).is_some_and(|(_, shared)| *shared == key(inline)) {
                    let name = inline.name.clone();
                    let reference = RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
                    components.parameters.insert(name, std::mem::replace(parameter, reference));
                }
            }
        }
    }
}

/// What utoipa says of headers and ids in paths is completed.
fn tidy(parameter: &mut Parameter) {
    if parameter.name == "If-Match" {
        parameter.schema = Some(RefOr::T(ObjectBuilder::new().schema_type(Type::String).into()));
        parameter.description.get_or_insert_with(|| {
            "The `ETag` that was read: 412 when it was changed since. Without it, the last change wins."
                .to_owned()
        });
    }
    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        && let SchemaType::Array(kinds) = &object.schema_type
        && let [kind, Type::Null] = &kinds[..]
    {
        // A parameter is absent, not null.
        object.schema_type = SchemaType::Type(kind.clone());
    }
}
