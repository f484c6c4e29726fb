//! Sites and all that is on them: who may call which operation, and a valid body for each that takes one.

use super::*;

/// The operations.
pub const RULES: &[Row] = &[
    ("GET", "/api/tls/ask", Everybody),
    ("GET", "/api/v1/tenants/{tenantId}/branding", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/branding", ADMIN),
    ("DELETE", "/api/v1/tenants/{tenantId}/branding", ADMIN),
    ("GET", "/files/{tenantId}/{assetId}/{variant}", Everybody),
    ("POST", "/api/v1/tenants/{tenantId}/assets/upload", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/assets", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/assets/{assetId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/assets/{assetId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/assets/{assetId}", EDITOR),
    ("POST", "/api/v1/tenants/{tenantId}/assets/{assetId}/restore", EDITOR),
    ("GET", "/api/v1/sites", VIEWER),
    ("POST", "/api/v1/sites", EDITOR),
    ("GET", "/api/v1/sites/{siteId}", VIEWER),
    ("PUT", "/api/v1/sites/{siteId}", EDITOR),
    ("DELETE", "/api/v1/sites/{siteId}", ADMIN),
    ("GET", "/api/v1/sites/{siteId}/domains", VIEWER),
    ("POST", "/api/v1/sites/{siteId}/domains", VERIFIED_ADMIN),
    ("GET", "/api/v1/sites/{siteId}/domains/{domainId}", VIEWER),
    ("PUT", "/api/v1/sites/{siteId}/domains/{domainId}", VERIFIED_ADMIN),
    ("DELETE", "/api/v1/sites/{siteId}/domains/{domainId}", ADMIN),
    ("POST", "/api/v1/sites/{siteId}/domains/{domainId}/verify", VERIFIED_ADMIN),
    ("GET", "/api/v1/offers", Everybody),
    ("GET", "/api/v1/offers/{siteSlug}", Everybody),
    ("PUT", "/api/v1/admin/sites/{siteId}/offer", STAFF),
    ("DELETE", "/api/v1/admin/sites/{siteId}/offer", STAFF),
    ("POST", "/api/v1/sites/{siteId}/deploy", VERIFIED_EDITOR),
    ("GET", "/api/v1/sites/{siteId}/status", VIEWER),
    ("GET", "/api/v1/sites/{siteId}/analytics", VIEWER),
    ("GET", "/api/v1/sites/{siteId}/submissions", EDITOR),
    ("GET", "/api/v1/sites/{siteId}/submissions/export", EDITOR),
    ("GET", "/api/v1/sites/{siteId}/submissions/{submissionId}", EDITOR),
    ("PUT", "/api/v1/sites/{siteId}/submissions/{submissionId}", EDITOR),
    ("DELETE", "/api/v1/sites/{siteId}/submissions/{submissionId}", EDITOR),
    ("GET", "/api/v1/sites/{siteId}/deployments", VIEWER),
    ("GET", "/api/v1/sites/{siteId}/deployments/{deploymentId}", VIEWER),
    ("POST", "/api/v1/sites/{siteId}/deployments/{deploymentId}/rollback", VERIFIED_EDITOR),
    ("GET", "/api/v1/templates", Everybody),
    ("POST", "/api/v1/templates", STAFF),
    ("GET", "/api/v1/templates/categories", Everybody),
    ("GET", "/api/v1/templates/featured", Everybody),
    ("GET", "/api/v1/templates/popular", Everybody),
    ("GET", "/api/v1/templates/industry/{industry}", Everybody),
    ("GET", "/api/v1/industries", Everybody),
    ("GET", "/api/v1/templates/{templateId}", Everybody),
    ("PUT", "/api/v1/templates/{templateId}", STAFF),
    ("DELETE", "/api/v1/templates/{templateId}", STAFF),
    ("GET", "/api/v1/templates/{templateId}/preview", Everybody),
    ("POST", "/api/v1/templates/{templateId}/apply", EDITOR),
    ("POST", "/api/v1/wizard/start", EDITOR),
    ("GET", "/api/v1/wizard", VIEWER),
    ("GET", "/api/v1/wizard/{wizardId}", VIEWER),
    ("PUT", "/api/v1/wizard/{wizardId}", EDITOR),
    ("DELETE", "/api/v1/wizard/{wizardId}", EDITOR),
    ("POST", "/api/v1/wizard/{wizardId}/business-info", EDITOR),
    ("POST", "/api/v1/wizard/{wizardId}/template-selection", EDITOR),
    ("POST", "/api/v1/wizard/{wizardId}/design-preferences", EDITOR),
    ("POST", "/api/v1/wizard/{wizardId}/generate-content", VERIFIED_EDITOR),
    ("GET", "/api/v1/wizard/{wizardId}/content-status", VIEWER),
    ("POST", "/api/v1/wizard/{wizardId}/complete", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/slug/{slug}", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/pages/{pageId}", EDITOR),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/duplicate", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/template", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/reset", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/versions", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/versions/compare", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/versions/{versionId}", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/versions/{versionId}/restore", EDITOR),
    ("POST", "/api/v1/sites/{siteId}/preview", VERIFIED_EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/seo", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/seo", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/pages/{pageId}/seo", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections", EDITOR),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/reorder", EDITOR),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/bulk", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", EDITOR),
    ("POST", "/api/v1/ai/content-optimize", VERIFIED_EDITOR),
    ("POST", "/api/v1/ai/seo-optimize", VERIFIED_EDITOR),
    ("POST", "/api/v1/ai/generate-page", VERIFIED_EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/navigation", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/navigation", EDITOR),
    ("PUT", "/api/v1/tenants/{tenantId}/navigation/reorder", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/navigation/{navItemId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/navigation/{navItemId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/navigation/{navItemId}", EDITOR),
    ("GET", "/api/v1/templates/{templateId}/preview/{previewFile}", Everybody),
];

/// A valid body, where the operation takes one. `relative` is its path below the version and the tenant.
pub(super) async fn body(call: &Call<'_>, method: &str, relative: &str) -> Option<Value> {
    let Call { server, fixture, number, .. } = *call;
    let name = format!("{} {number}", fixture.marker);
    Some(match (method, relative) {
        // Read as bytes, see `call`.
        ("POST", "/assets/upload") => json!(PICTURE),
        ("PUT", "/assets/{assetId}") => json!({"altText": name}),
        ("POST", "/sites") | ("PUT", "/sites/{siteId}") => json!({"name": name}),
        // Templates are for everybody, so nothing in them is of the tenant.
        ("POST", "/templates") => json!({
            "name": format!("Template {number}"), "category": "business", "industry": "other",
            "description": "For the matrix.",
            "pages": [{"key": "home", "title": "Home", "sections": [
                {"key": "hero", "type": "hero", "content": {"heading": "Hello"}},
            ]}],
        }),
        ("PUT", "/templates/{templateId}") => json!({"isFeatured": number.is_multiple_of(2)}),
        ("POST", "/templates/{templateId}/apply") => json!({"siteName": name}),
        ("POST", "/pages/{pageId}/reset") => json!({}),
        ("POST", "/sites/{siteId}/preview") => json!({"expiresIn": 60 + number % 60}),
        ("POST", "/wizard/start") | ("PUT", "/wizard/{wizardId}") => {
            json!({"goals": {"goals": [name]}})
        }
        ("POST", "/wizard/{wizardId}/business-info") => json!({"name": name, "industry": "bakery"}),
        ("POST", "/wizard/{wizardId}/template-selection") => {
            json!({"templateId": wizard::template(server, false).await.id})
        }
        ("POST", "/wizard/{wizardId}/design-preferences") => json!({"style": "bold"}),
        ("PUT", "/sites/{siteId}/submissions/{submissionId}") => {
            json!({"status": if number.is_multiple_of(2) { "read" } else { "new" }})
        }
        ("POST", "/sites/{siteId}/domains") => {
            json!({"name": format!("n{number}.{}.example", fixture.marker)})
        }
        ("PUT", "/sites/{siteId}/domains/{domainId}") => json!({"mode": "alias"}),
        ("PUT", "/admin/sites/{siteId}/offer") => json!({"amount": 100 + number, "currency": "usd"}),
        ("PUT", "/branding") => json!({"colors": {"primary": format!("#{number:06x}")}}),
        ("POST", "/ai/content-optimize") => json!({"type": "hero", "business": {"name": name}}),
        ("POST", "/ai/seo-optimize") => json!({"pageId": fixture.ids["pageId"]}),
        ("POST", "/ai/generate-page") => json!({"title": name, "purpose": name, "sections": ["hero"]}),
        ("POST", "/pages") | ("PUT", "/pages/{pageId}") => json!({"title": name}),
        ("PUT", "/pages/{pageId}/seo") => json!({"title": name}),
        ("POST", "/pages/{pageId}/sections") => section(&name),
        ("POST", "/pages/{pageId}/sections/bulk") => json!({"create": [section(&name)]}),
        ("PUT", "/pages/{pageId}/sections/{sectionId}") => json!({"content": section(&name)["content"]}),
        ("PUT", "/pages/{pageId}/sections/reorder") => {
            let path = fixture.path("/api/v1/tenants/{tenantId}/pages/{pageId}/sections");
            let sections = fixture.owner.client.get(&path).await.expect(200);
            let mut ids: Vec<_> =
                sections["items"].as_array().unwrap().iter().map(|s| s["id"].clone()).collect();
            ids.reverse();
            json!({"ids": ids})
        }
        ("POST", "/navigation") => json!({"label": name, "url": "https://example.com/"}),
        ("PUT", "/navigation/{navItemId}") => json!({"label": name}),
        ("PUT", "/navigation/reorder") => {
            let items = fixture
                .owner
                .client
                .get(&fixture.path("/api/v1/tenants/{tenantId}/navigation"))
                .await
                .expect(200);
            let items = items["items"].as_array().unwrap().iter().enumerate();
            json!({"items": items.map(|(at, item)| json!({"id": item["id"], "position": at})).collect::<Vec<_>>()})
        }
        _ => return None,
    })
}

fn section(text: &str) -> Value {
    json!({"type": "text", "content": {"html": format!("<p>{text}</p>")}})
}
