//! Licenses, releases and downloads: who may call which operation.

use super::*;

/// The operations.
pub const RULES: &[Row] = &[
    ("GET", "/api/v1/licenses", VIEWER),
    ("GET", "/api/v1/licenses/keys", Everybody),
    ("POST", "/api/v1/licenses/validate", Everybody),
    ("POST", "/api/v1/licenses/activate", Everybody),
    ("POST", "/api/v1/licenses/deactivate", Everybody),
    ("POST", "/api/v1/licenses/heartbeat", Everybody),
    ("POST", "/api/v1/licenses/file", Everybody),
    ("GET", "/api/v1/licenses/{licenseId}", VIEWER),
    ("GET", "/api/v1/licenses/{licenseId}/activations", VIEWER),
    ("DELETE", "/api/v1/licenses/{licenseId}/activations/{activationId}", ADMIN_IN_PERSON),
    ("POST", "/api/v1/licenses/{licenseId}/rotate-key", ADMIN_IN_PERSON),
    ("POST", "/api/v1/licenses/{licenseId}/file", ADMIN_IN_PERSON),
    ("POST", "/api/v1/licenses/{licenseId}/transfer", ADMIN_IN_PERSON),
    ("DELETE", "/api/v1/licenses/{licenseId}/transfer", ADMIN_IN_PERSON),
    ("POST", "/api/v1/licenses/transfers/accept", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/admin/licenses", STAFF),
    ("POST", "/api/v1/admin/licenses", STAFF),
    ("POST", "/api/v1/admin/licenses/import", STAFF),
    ("GET", "/api/v1/admin/licenses/{licenseId}", STAFF),
    ("POST", "/api/v1/admin/licenses/{licenseId}/suspend", STAFF),
    ("POST", "/api/v1/admin/licenses/{licenseId}/resume", STAFF),
    ("POST", "/api/v1/admin/licenses/{licenseId}/revoke", STAFF),
    ("GET", "/api/v1/downloads", VIEWER),
    ("GET", "/api/v1/downloads/{downloadId}", VIEWER),
    ("GET", "/api/v1/downloads/{downloadId}/url", VIEWER),
    ("GET", "/api/v1/downloads/{downloadId}/files/{fileName}", Everybody),
    ("GET", "/api/v1/licenses/{licenseId}/downloads", VIEWER),
    ("GET", "/api/v1/updates/{productType}", Everybody),
    ("GET", "/api/v1/admin/releases", STAFF),
    ("POST", "/api/v1/admin/releases", STAFF),
    ("GET", "/api/v1/admin/releases/{releaseId}", STAFF),
    ("PUT", "/api/v1/admin/releases/{releaseId}", STAFF),
    ("PUT", "/api/v1/admin/releases/{releaseId}/file", STAFF),
    ("POST", "/api/v1/admin/releases/{releaseId}/publish", STAFF),
    ("POST", "/api/v1/admin/releases/{releaseId}/withdraw", STAFF),
    ("GET", "/api/v1/admin/releases/{releaseId}/downloads", STAFF),
    ("POST", "/api/v1/admin/releases/{releaseId}/uploads", STAFF),
    ("GET", "/api/v1/admin/releases/{releaseId}/uploads/{uploadId}", STAFF),
    ("PUT", "/api/v1/admin/releases/{releaseId}/uploads/{uploadId}/parts/{part}", STAFF),
    ("POST", "/api/v1/admin/releases/{releaseId}/uploads/{uploadId}/complete", STAFF),
    ("DELETE", "/api/v1/admin/releases/{releaseId}/uploads/{uploadId}", STAFF),
];

const ADMIN_IN_PERSON: Rule = Rule::MemberInPerson(TenantRole::Admin);

/// A body that is accepted.
pub fn body(call: &Call<'_>, method: &str, path: &str) -> Option<Value> {
    let id = |name: &str| &call.fixture.ids[name];
    // Another machine each time, so that each call takes a seat.
    let machine = format!("machine-{}", call.server.app.core.env.random_uuid().simple());
    Some(match (method, path) {
        ("POST", "/licenses/validate") => json!({"key": id("licenseKey")}),
        (
            "POST",
            "/licenses/activate" | "/licenses/file" | "/licenses/deactivate" | "/licenses/heartbeat",
        ) => {
            json!({"key": id("licenseKey"), "fingerprint": machine})
        }
        ("POST", "/licenses/{licenseId}/file") => json!({"fingerprint": machine}),
        ("POST", "/licenses/{licenseId}/transfer") => json!({"email": "bob@example.com"}),
        // Another one for whoever calls, see `call`.
        ("POST", "/licenses/transfers/accept") => json!({"token": "none"}),
        ("POST", "/admin/licenses") => {
            json!({"customerId": id("customerId"), "productType": "base_product", "reason": "Replaces a boxed copy"})
        }
        ("POST", "/admin/releases") => {
            let slug = format!("r{}", call.server.app.core.env.random_uuid().simple());
            json!({"slug": slug, "productType": "base_product", "name": "Software 9", "version": "9.0.0"})
        }
        ("PUT", "/admin/releases/{releaseId}") => json!({"notes": format!("Change {}", call.number)}),
        ("PUT", "/admin/releases/{releaseId}/file") => json!(PICTURE),
        ("POST", "/admin/releases/{releaseId}/uploads") => release_uploads::announced(PICTURE),
        ("PUT", "/admin/releases/{releaseId}/uploads/{uploadId}/parts/{part}") => json!(PICTURE),
        ("POST", "/admin/releases/{releaseId}/withdraw") => json!({"reason": "Loses settings"}),
        // A table, which `call` sends as such.
        ("POST", "/admin/licenses/import") => {
            json!(format!("customer,productType\n{},base_product\n", id("customerId")))
        }
        ("POST", path) if path.starts_with("/admin/licenses/{licenseId}/") => {
            json!({"reason": "The key was published"})
        }
        _ => return None,
    })
}
