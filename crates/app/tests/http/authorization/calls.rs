//! One call of an operation, with all that it needs.

use portico_identity::token::TokenPurpose;
use portico_testkit::server::{Answer, Client, PASSWORD, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    callers::{Callers, Kind, act},
    table::{
        Outcome,
        Rule::{self, AnyMember, VerifiedMember},
        expected, wants_verified,
    },
};
use crate::{
    assets, factor_stage,
    fixture::{Fixture, PICTURE, Person, email_change, fill, invitation, link, linked, parameters},
    provider::FakeProvider,
    site_sales, wizard,
};

/// A valid body for an operation, where it takes one.
pub async fn body(
    server: &TestServer,
    fixture: &Fixture,
    spare: &Person,
    operation: (&str, &str),
    number: usize,
) -> Option<Value> {
    let name = format!("{} {number}", fixture.marker);
    let (method, template) = operation;
    let relative = template.trim_start_matches("/api/v1").trim_start_matches("/tenants/{tenantId}");
    if let Some(body) = factor_stage::idle_body(method, relative) {
        return Some(body);
    }
    Some(match (method, relative) {
        ("POST", "/auth/register") => {
            json!({"email": format!("new{number}@example.net"), "password": PASSWORD, "fullName": "New Person"})
        }
        ("POST", "/auth/login") => json!({"email": spare.email, "password": PASSWORD}),
        ("POST", "/auth/callback") => {
            let begun = server.client().get("/api/v1/auth/oidc/fake").await;
            match begun.json["authorizationUrl"].as_str() {
                Some(url) => {
                    let claims = json!({"email": "elsewhere@example.net", "email_verified": true});
                    FakeProvider::approve(url, &claims).body()
                }
                // A server without the provider.
                None => json!({"code": "code", "state": "state"}),
            }
        }
        ("POST", "/auth/refresh") => {
            let mut again = spare.clone();
            again.sign_in(server).await;
            json!({"refresh_token": again.tokens["refresh_token"]})
        }
        ("POST", "/auth/verify-email") => {
            json!({"token": link(server, spare, TokenPurpose::EmailVerification).await})
        }
        ("POST", "/auth/reset-password") => {
            json!({"token": link(server, spare, TokenPurpose::PasswordReset).await, "password": PASSWORD})
        }
        ("POST", "/auth/resend-verification" | "/auth/forgot-password") => {
            json!({"email": "nobody@example.net"})
        }
        ("POST", "/auth/change-email") => json!({"newEmail": format!("changed{number}@example.net")}),
        ("POST", "/auth/confirm-email-change") => json!({"token": email_change(server, spare).await}),
        ("POST", "/auth/cancel-email-change") => {
            json!({"token": link(server, spare, TokenPurpose::EmailChangeCancellation).await})
        }
        // Read as bytes, see `call`.
        ("PUT", "/profile/avatar") | ("POST", "/assets/upload") => json!(PICTURE),
        ("PUT", "/assets/{assetId}") => json!({"altText": name}),
        ("POST", "/auth/change-password") => change_password(PASSWORD, OTHER_PASSWORD),
        ("POST", "/users") => {
            json!({"email": format!("made{number}@example.net"), "fullName": "Made Person"})
        }
        ("PUT", "/users/{userId}/password") => json!({"newPassword": OTHER_PASSWORD}),
        ("POST", "/users/{userId}/impersonate") => json!({"reason": format!("Ticket {number}")}),
        ("PUT", "/profile" | "/users/{userId}") => json!({"notes": format!("Note {number}")}),
        // Every user may create one, so it belongs to another user.
        ("POST", "/tenants") => json!({"name": format!("Somebody's {number}")}),
        ("PUT", "/sites/{siteId}" | "") | ("POST", "/sites") => json!({"name": name}),
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
        ("POST", "/suspend") => json!({"reason": name}),
        ("PUT", "/settings") => json!({"auditRetentionDays": 30 + number}),
        ("PUT", "/dealer") => json!({"name": name}),
        ("PUT", "/members/{userId}") => json!({"role": "editor"}),
        ("POST", "/transfer-ownership") => json!({"userId": fixture.owner.claims.user}),
        ("POST", "/invitations") => {
            json!({"email": format!("invited{number}@example.net"), "role": "viewer"})
        }
        ("POST", "/invitations/lookup" | "/invitations/decline" | "/invitations/accept") => {
            json!({"token": invitation(server, spare, &spare.email).await.1})
        }
        ("POST", "/auth/switch-tenant") => json!({"tenantId": spare.client.tenant}),
        ("POST", "/api-keys") => json!({"name": name, "permissions": ["pages:read"]}),
        ("PUT", "/api-keys/{keyId}") => json!({"name": name}),
        ("POST", "/webhooks") => {
            json!({"url": format!("https://localhost/hooks/{number}"), "events": ["page.published"]})
        }
        ("PUT", "/webhooks/{webhookId}") => json!({"description": name}),
        ("POST", "/webhooks/{webhookId}/rotate-secret") => json!({"overlapHours": 1}),
        ("POST", "/webhooks/{webhookId}/resend") => json!({"since": "2026-01-01T00:00:00Z"}),
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
        ("PUT", "/navigation/{navId}") => json!({"label": name}),
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

const OTHER_PASSWORD: &str = "Another-Horse-8";

fn change_password(from: &str, to: &str) -> Value {
    json!({"currentPassword": from, "newPassword": to})
}

fn section(text: &str) -> Value {
    json!({"type": "text", "content": {"html": format!("<p>{text}</p>")}})
}

/// Sends JSON, or nothing. A list stands for the bytes of a picture.
pub async fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let picture = body.and_then(|body| serde_json::from_value::<Vec<u8>>(body.clone()).ok());
    if let Some(bytes) = picture {
        if path.ends_with("/assets/upload") {
            return client.send(method, path, Some(assets::form_of("dot.gif", &bytes)), assets::FORM).await;
        }
        return client.send(method, path, Some(bytes), "image/gif").await;
    }
    let body = body.map(|body| body.to_string().into_bytes());
    client.send(method, path, body, "application/json").await
}

/// What an answer says, less the path that the caller sent.
pub fn said(answer: &Answer) -> String {
    match answer.json.as_object() {
        Some(object) if object.contains_key("instance") => {
            let mut object = object.clone();
            object.remove("instance");
            Value::Object(object).to_string().to_lowercase()
        }
        _ => answer.text.to_lowercase(),
    }
}

/// Makes one call of the matrix; `Err` says what is wrong about the answer.
pub async fn check(
    server: &TestServer,
    fixture: &Fixture,
    callers: &mut Callers,
    (method, template, rule): (&str, &str, Rule),
    position: usize,
    number: usize,
) -> Result<Answer, String> {
    let (kind, person) = &mut callers.all[position];
    let wanted = expected(rule, *kind);
    let allowed = wanted == Outcome::Allowed;
    let stage = match allowed {
        true => factor_stage::set(server, person, (method, template), number).await,
        false => None,
    };
    let stage = stage.unwrap_or_default();
    if allowed && template == "/api/v1/users/{userId}/second-factors" {
        factor_stage::enrol(server, fixture.ids["userId"].parse().unwrap()).await;
    }
    // What one call uses up must not be missing in the next one.
    let used_up = match (method, parameters(template).last()) {
        ("DELETE", Some(last)) if allowed && template.ends_with('}') => Some(*last),
        ("POST", Some(&"jobId")) if allowed => Some("jobId"),
        // A wizard is completed once, and writes its texts once at a time.
        ("POST", Some(&"wizardId")) if allowed => Some("wizardId"),
        ("POST", Some(&"tenantId"))
            if allowed
                && ["/suspend", "/reinstate", "/restore", "/transfer-ownership"]
                    .iter()
                    .any(|end| template.ends_with(end)) =>
        {
            Some("tenantId")
        }
        ("POST", Some(&"invitationId")) if template.starts_with("/api/v1/invitations/") => {
            Some("invitationId")
        }
        ("POST", Some(&"userId")) if allowed && template.ends_with("/erase") => Some("userId"),
        _ => None,
    };
    let fresh = match used_up {
        Some("passkeyId") => stage.passkey.clone(),
        Some("sessionId") => {
            let mut again = person.clone();
            again.sign_in(server).await;
            Some(again.claims.session.to_string())
        }
        Some("identityId") => {
            person.sign_in(server).await;
            Some(linked(server, person).await)
        }
        Some("invitationId") if template.starts_with("/api/v1/invitations/") => {
            Some(invitation(server, &callers.spare, &person.email).await.0)
        }
        Some(parameter) => {
            let id = fixture.fresh(server, parameter).await;
            if let ("tenantId", Some(role)) = (parameter, kind.role()) {
                person.join(server, &id, role).await;
            }
            Some(id)
        }
        None => None,
    };
    // Sites are offered by people of their tenant, and shown to everybody.
    let offered = match template {
        "/api/v1/admin/sites/{siteId}/offer" if allowed => {
            Some(site_sales::offered(server, &person.client.tenant, method == "DELETE").await)
        }
        "/api/v1/sites/for-sale/{siteSlug}" => {
            Some(site_sales::offered(server, &callers.spare.client.tenant, true).await)
        }
        _ => None,
    };
    let mut path = fill(template, |name| match &fresh {
        _ if name == "siteId" && offered.is_some() => offered.as_ref().map(|site| site.id.to_string()),
        _ if name == "siteSlug" => offered.as_ref().map(|site| site.subdomain.clone()),
        Some(id) if Some(name) == used_up => Some(id.clone()),
        _ if name == "passkeyId" && stage.passkey.is_some() => stage.passkey.clone(),
        _ => fixture.ids.get(name).cloned(),
    });
    if template == "/api/tls/ask" {
        path = format!("{path}?domain={}", fixture.ids["siteHost"]);
    }
    let body = match template {
        // The operation acts on the caller.
        "/api/v1/auth/switch-tenant" => Some(json!({"tenantId": person.client.tenant})),
        "/api/v1/invitations/accept" => {
            Some(json!({"token": invitation(server, &callers.spare, &person.email).await.1}))
        }
        _ if stage.body.is_some() => stage.body.clone(),
        _ => body(server, fixture, &callers.spare, (method, template), number).await,
    };
    // Another account in their place for what cannot be undone; a new session for what asks for a fresh proof.
    let mut substitute = None;
    if allowed && template == "/api/v1/profile/erase" {
        let email = format!("erased{number}@example.org");
        let other = Person::new(server, &email, |user| user.role = kind.platform_role()).await;
        if let Some(role) = kind.role() {
            other.join(server, &fixture.ids["tenantId"], role).await;
        }
        substitute = Some(other.client);
    }
    if allowed && template.ends_with("/impersonate") {
        person.sign_in(server).await;
    }
    let mut client = substitute.unwrap_or_else(|| person.client.clone());
    if matches!(rule, AnyMember(_) | Rule::MemberInPerson(_) | Rule::MemberOrDeputy(_) | VerifiedMember(_))
        && !template.contains("{tenantId}")
    {
        client = client.with("x-tenant-id", &fixture.ids["tenantId"]);
    }
    let answer = call(&client, method, &path, body.as_ref()).await;
    if allowed && factor_stage::is_about_factors(template) {
        factor_stage::clear(server, person.claims.user).await;
    }
    match template.rsplit('/').next() {
        Some("logout") if allowed && *kind == Kind::Impersonator => {
            act(server, &mut callers.colleague, person).await;
        }
        Some("logout") if allowed => person.sign_in(server).await,
        Some("change-password") if allowed => {
            client.post(&path, change_password(OTHER_PASSWORD, PASSWORD)).await.expect(204);
        }
        _ => {}
    }
    let answered = format!("{method} {template} by {kind:?}: {} {}", answer.status, answer.text);
    if Outcome::of(&answer) != wanted {
        return Err(format!("{answered}\n    expected: {wanted:?}"));
    }
    let only_unverified = match kind {
        Kind::UnverifiedOwner => wants_verified(rule),
        Kind::KeyOfUnverified => matches!(rule, VerifiedMember(_)),
        _ => false,
    };
    if only_unverified && answer.json["code"] != "email_unverified" {
        return Err(format!("{answered}\n    is no word about the address"));
    }
    let insider = kind.role().is_some() || kind.is_key() || *kind == Kind::SuperAdmin;
    let outsider = !insider || !kind.is_signed_in();
    if (outsider || !allowed) && said(&answer).contains(&fixture.marker) {
        return Err(format!("{answered}\n    tells something of the tenant"));
    }
    if !allowed && answer.header("content-type") != "application/problem+json" {
        return Err(format!("{answered}\n    is no problem document"));
    }
    if answer.status.as_u16() == 401 && !answer.header("www-authenticate").starts_with("Bearer") {
        return Err(format!("{answered}\n    has no WWW-Authenticate"));
    }
    Ok(answer)
}
