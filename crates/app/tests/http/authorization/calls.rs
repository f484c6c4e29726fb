//! One call of an operation, with all that it needs.

use portico_testkit::{
    payments::TestPayments,
    server::{Answer, Client, PASSWORD, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    callers::{Callers, Kind, act},
    table::{
        OTHER_PASSWORD, Outcome,
        Rule::{self, AnyMember, VerifiedMember},
        body, change_password, expected, wants_verified,
    },
};
use crate::{
    assets, downloads, factor_stage,
    fixture::{Fixture, PICTURE, Person, fill, invitation, linked, parameters},
    license_transfers, site_sales,
    support_mails::MAIL_PROVIDER,
};

/// Sends JSON, or nothing. A list stands for the bytes of a picture.
pub async fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let picture = body.and_then(|body| serde_json::from_value::<Vec<u8>>(body.clone()).ok());
    if let Some(bytes) = picture {
        if path.ends_with("/assets/upload") {
            return client.send(method, path, Some(assets::form_of("dot.gif", &bytes)), assets::FORM).await;
        }
        if path.starts_with("/api/v1/admin/releases/") && path.ends_with("/file") {
            let path = format!("{path}?fileName=dot.gif&sha256={}", downloads::sha256(PICTURE));
            return client.send(method, &path, Some(bytes), "image/gif").await;
        }
        return client.send(method, path, Some(bytes), "image/gif").await;
    }
    if path == "/api/v1/admin/licenses/import" {
        let table = body.and_then(Value::as_str).unwrap_or_default().as_bytes().to_vec();
        return client.send(method, path, Some(table), "text/csv").await;
    }
    let body = body.map(|body| body.to_string().into_bytes());
    if path == "/api/v1/webhooks/recurrente" {
        return site_sales::unrelated_event(client, path).await;
    }
    if path == "/api/v1/webhooks/stripe" {
        let signature = TestPayments::signature(portico_security::system_env().now());
        let client = client.with("stripe-signature", &signature);
        return client.send(method, path, body, "application/json").await;
    }
    if path == "/api/v1/webhooks/inbound-mail" {
        let client = client.with("authorization", MAIL_PROVIDER);
        return client.send(method, path, body, "application/json").await;
    }
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

/// The client with what marks the calls of another one, for tests that look for them afterwards. Where it is a trace, the session
/// has been used before, as most have.
pub async fn marked(mut client: Client, by: &Client) -> Client {
    if by.headers.contains_key("traceparent") {
        client.headers.remove("traceparent");
        client.get("/api/v1/profile").await;
    }
    for name in ["x-request-id", "traceparent"] {
        if let Some(value) = by.headers.get(name) {
            client.headers.insert(name.to_owned(), value.clone());
        }
    }
    client
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
        ("POST", Some(&"customerId")) if allowed => Some("customerId"),
        // A license that has ended cannot be resumed, and a key that was replaced finds nothing.
        ("POST", Some(&"licenseId")) if allowed => Some("licenseId"),
        // One refund is made at a time.
        ("POST", Some(&"saleId")) if allowed => Some("saleId"),
        // A draft is published once, and what was withdrawn stays so.
        ("POST", Some(&"releaseId")) if allowed => Some("releaseId"),
        // An upload is completed once.
        ("POST", Some(&"uploadId")) if allowed => Some("uploadId"),
        // A ticket ends once.
        ("POST", Some(&"ticketId")) if allowed && !template.ends_with("/messages") => Some("ticketId"),
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
        "/api/v1/offers/{siteSlug}" | "/api/v1/sites/{siteSlug}/purchase" => {
            Some(site_sales::offered(server, &callers.spare.client.tenant, true).await)
        }
        _ => None,
    };
    let mut path = fill(template, |name| match &fresh {
        _ if name == "siteId" && offered.is_some() => offered.as_ref().map(|site| site.id.to_string()),
        _ if name == "siteSlug" => offered.as_ref().map(|site| site.subdomain.to_string()),
        Some(id) if Some(name) == used_up => Some(id.clone()),
        _ if name == "passkeyId" && stage.passkey.is_some() => stage.passkey.clone(),
        _ => fixture.id(template, name),
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
        "/api/v1/site-purchases/claim" => {
            let token = site_sales::waiting(server, &callers.spare.client.tenant, &person.email).await;
            Some(json!({"token": token}))
        }
        "/api/v1/licenses/transfers/accept" => {
            let token =
                license_transfers::offered(server, &callers.spare.client.tenant, &person.email).await.1;
            Some(json!({"token": token}))
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
    let in_tenant = matches!(
        rule,
        AnyMember(_)
            | Rule::MemberInPerson(_)
            | Rule::MemberOrDeputy(_)
            | Rule::AuthorOrAdmin
            | Rule::VerifiedInPerson(_)
            | VerifiedMember(_)
    );
    if in_tenant && !template.contains("{tenantId}") {
        client = client.with("x-tenant-id", &fixture.ids["tenantId"]);
    }
    let client = marked(client, &person.client).await;
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
    // Staff look after customers, who may have bought a site, and after nothing else of a tenant.
    let of_customers =
        ["/api/v1/admin/customers", "/api/v1/admin/support/tickets", "/api/v1/admin/site-sales"];
    let looks_after = *kind == Kind::Staff && of_customers.iter().any(|start| template.starts_with(start));
    let outsider = !(insider || looks_after) || !kind.is_signed_in();
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
