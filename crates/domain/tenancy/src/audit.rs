//! The audit trail: the event log as the members of a tenant read it.

use portico_kernel::{
    CursorPage, CursorRequest, EventId, Permission, Resource, Scope, Timestamp, Violations, event::ActorKind,
};
use serde::Serialize;
use serde_json::Value;

use crate::{TenancyError, ports::TenancyRepositories};

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditActor {
    /// Person, key, or Portico itself.
    pub kind: ActorKind,
    /// Id of the person or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the person or key, where still known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The member of staff who acted as that person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Impersonator {
    /// Id of the person.
    pub id: String,
    /// Name of the person, where still known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Id of the event.
    pub id: EventId,
    /// What happened, for instance `page.updated`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who did it.
    pub actor: AuditActor,
    /// The member of staff who acted as that person (impersonation), if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonator: Option<Impersonator>,
    /// What it happened to.
    pub resource: Resource,
    /// The resource before; absent when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The resource after; absent when it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Request that caused it.
    pub request_id: String,
    /// Address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `User-Agent` of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Method of the request; absent for what Portico does by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path of the request, as the client sent it, without the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// Which entries to list. Every field that is set narrows the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Type of the resource, for instance `page`.
    pub resource_type: Option<String>,
    /// Id of the resource.
    pub resource_id: Option<String>,
    /// What happened, for instance `page.updated`.
    pub kind: Option<String>,
    /// Id of the person or key that did it.
    pub actor_id: Option<String>,
    /// Person, key, or Portico itself.
    pub actor_kind: Option<ActorKind>,
    /// Id of the request that caused it.
    pub request_id: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    /// Checks the filter and the cursor, and writes ids the way the store does.
    fn checked(mut self, request: &CursorRequest) -> Result<Self, TenancyError> {
        let mut violations = Violations::default();
        let cursor = request.cursor.as_ref().is_none_or(|text| text.parse::<EventId>().is_ok());
        violations.check(cursor, "cursor", "invalid_cursor", "Use the nextCursor of the piece before.");
        for (field, value) in [("resourceType", &self.resource_type), ("type", &self.kind)] {
            let word = |text: &String| {
                text.len() <= 100 && text.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b))
            };
            violations.check(
                value.as_ref().is_none_or(word),
                field,
                "invalid_word",
                "Use lower-case letters, like page.updated.",
            );
        }
        for (field, value) in [("resourceId", &mut self.resource_id), ("actorId", &mut self.actor_id)] {
            let Some(text) = value else { continue };
            match text.parse::<EventId>() {
                Ok(id) => *text = id.to_string(),
                Err(_) => violations.add(field, "invalid_id", "Use an id as the API gives it out."),
            }
        }
        violations.optional_text("requestId", self.request_id.as_deref(), 200);
        if let (Some(from), Some(to)) = (self.from, self.to) {
            violations.check(from <= to, "to", "before_from", "The end must not be before the beginning.");
        }
        violations.into_result()?;
        Ok(self)
    }
}

/// Use cases around the audit trail.
pub struct Audit<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
}

impl<'a> Audit<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope) -> Self {
        Self { repositories, scope }
    }

    /// What happened in the active tenant, newest first. A deleted tenant keeps its trail.
    pub async fn list(
        &mut self,
        filter: AuditFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<AuditEntry>, TenancyError> {
        let tenant = self.scope.require(Permission::AuditRead)?;
        let filter = filter.checked(&request)?;
        // Membership proves that the tenant exists; a caller who crosses tenants may name any id.
        if self.scope.crosses_tenants() && self.repositories.tenants().find(tenant).await?.is_none() {
            return Err(TenancyError::NotFound("tenant"));
        }
        Ok(self.repositories.audit().list(Some(tenant), filter, request).await?)
    }

    /// What happened anywhere, newest first.
    pub async fn list_all(
        &mut self,
        filter: AuditFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<AuditEntry>, TenancyError> {
        self.scope.require_platform(Permission::PlatformAudit)?;
        let filter = filter.checked(&request)?;
        Ok(self.repositories.audit().list(None, filter, request).await?)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, TenantId};

    use super::*;
    use crate::{
        ports::{MockAuditTrail, MockTenantRepository},
        testing::{Repositories, env, owner_of, super_admin_in, viewer_of},
    };

    fn answering(tenant: Option<TenantId>, filter: AuditFilter) -> Repositories {
        let mut audit = MockAuditTrail::new();
        audit
            .expect_list()
            .times(1)
            .withf(move |asked, by, _| *asked == tenant && *by == filter)
            .return_once(|_, _, _| Ok(CursorPage { items: Vec::new(), next_cursor: None }));
        let mut repositories = Repositories::default();
        repositories.audit.push_back(audit);
        repositories
    }

    #[tokio::test]
    async fn a_tenant_reads_its_own_trail_and_ids_are_normalised() {
        let tenant = env().new_id();
        let asked = AuditFilter {
            resource_id: Some("0190A5B0C0D07E008F00112233445566".into()),
            kind: Some("page.updated".into()),
            ..AuditFilter::default()
        };
        let normal =
            AuditFilter { resource_id: Some("0190a5b0-c0d0-7e00-8f00-112233445566".into()), ..asked.clone() };
        let mut repositories = answering(Some(tenant), normal);
        let scope = owner_of(tenant);
        let page = Audit::new(&mut repositories, &scope).list(asked, CursorRequest::default()).await.unwrap();
        assert!(page.items.is_empty());
    }

    #[tokio::test]
    async fn wrong_filters_are_all_named() {
        let scope = owner_of(env().new_id());
        let filter = AuditFilter {
            resource_type: Some("Page'".into()),
            resource_id: Some("7".into()),
            actor_id: Some("me".into()),
            from: Timestamp::from_unix_seconds(10),
            to: Timestamp::from_unix_seconds(5),
            ..AuditFilter::default()
        };
        let mut repositories = Repositories::default();
        let request = CursorRequest { cursor: Some("2".into()), limit: 20 };
        let error = Audit::new(&mut repositories, &scope).list(filter, request).await.unwrap_err();
        let fields: Vec<_> = error.fields().iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["cursor", "resourceType", "resourceId", "actorId", "to"]);
    }

    #[tokio::test]
    async fn the_whole_trail_is_for_the_platform_and_a_trail_for_admins() {
        let tenant = env().new_id();
        let none = AuditFilter::default;
        let mut repositories = Repositories::default();
        let (viewer, owner, admin) = (viewer_of(tenant), owner_of(tenant), super_admin_in(tenant));
        let error =
            Audit::new(&mut repositories, &viewer).list(none(), CursorRequest::default()).await.unwrap_err();
        assert_eq!(error.code(), "forbidden");
        let error = Audit::new(&mut repositories, &owner)
            .list_all(none(), CursorRequest::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "forbidden");
        let mut repositories = answering(None, none());
        assert!(
            Audit::new(&mut repositories, &admin).list_all(none(), CursorRequest::default()).await.is_ok()
        );
    }

    #[tokio::test]
    async fn a_super_admin_who_names_no_tenant_of_ours_gets_not_found() {
        let scope = super_admin_in(env().new_id());
        let mut tenants = MockTenantRepository::new();
        tenants.expect_find().times(1).return_once(|_| Ok(None));
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(tenants);
        let result = Audit::new(&mut repositories, &scope)
            .list(AuditFilter::default(), CursorRequest::default())
            .await;
        assert_eq!(result.unwrap_err().code(), "not_found");
    }
}
