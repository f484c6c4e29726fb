//! Credentials that are none, or of another kind.

use portico_identity::token::TokenPurpose;
use portico_testkit::server::PASSWORD;
use serde_json::json;

use crate::{
    bad_input::{Failures, fixture},
    fixture::{link, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_none_are_refused() {
    let (server, fixture) = fixture().await;
    let good = text(&fixture.owner.tokens, "access_token");
    let refresh = text(&fixture.owner.tokens, "refresh_token");
    let parts: Vec<&str> = good.split('.').collect();
    let values = [
        "Basic dXNlcjpwYXNzd29yZA==".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer \t".to_owned(),
        good.clone(),
        format!("Token {good}"),
        format!("Bearer {good}x"),
        format!("Bearer {good}, Bearer {good}"),
        format!("Bearer {}", &good[1..]),
        format!("Bearer {}.{}.", parts[0], parts[1]),
        format!("Bearer {}.{}.{}", parts[0], parts[0], parts[2]),
        format!("Bearer {}", "a".repeat(10_000)),
        format!("Bearer {}.{}.{}", "a".repeat(3_000), "b".repeat(3_000), "c".repeat(3_000)),
        "Bearer ..".to_owned(),
        "Bearer null".to_owned(),
        format!("Bearer {refresh}"),
        format!("Bearer {}", link(&server, &fixture.owner, TokenPurpose::EmailVerification).await),
    ];
    let mut failures = Failures::default();
    for value in &values {
        let answer = server.client().with("authorization", value).get("/api/v1/profile").await;
        failures.check(value, &answer, 401);
        if !answer.header("www-authenticate").starts_with("Bearer") {
            failures.note(value, &answer);
        }
    }
    for tenant in ["", "0", "not-a-uuid", "null", &"a".repeat(5000)] {
        let answer = fixture.owner.client.with("x-tenant-id", tenant).get("/api/v1/sites").await;
        failures.check(format!("X-Tenant-Id: {tenant}"), &answer, 404);
    }
    failures.none();
    // The scheme is not case-sensitive (RFC 9110 section 11.1).
    server.client().with("authorization", &format!("bEARER {good}")).get("/api/v1/profile").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_kind_is_refused() {
    let (server, fixture) = fixture().await;
    let client = server.client();
    let access = text(&fixture.owner.tokens, "access_token");
    let refresh = text(&fixture.owner.tokens, "refresh_token");
    let reset = link(&server, &fixture.owner, TokenPurpose::PasswordReset).await;
    let verification = link(&server, &fixture.owner, TokenPurpose::EmailVerification).await;
    let mut failures = Failures::default();
    for token in
        [&access, &reset, &verification, "", "a", &"a".repeat(10_000), &format!("{refresh}a"), &refresh[1..]]
    {
        let answer = client.post("/api/v1/auth/refresh", json!({"refresh_token": token})).await;
        if !matches!(answer.status.as_u16(), 401 | 422) {
            failures.note(format!("refresh with {token}"), &answer);
        }
    }
    for token in [&access, &refresh, &reset] {
        let answer = client.post("/api/v1/auth/verify-email", json!({"token": token})).await;
        failures.check(format!("verify-email with {token}"), &answer, 422);
    }
    for token in [&access, &refresh, &verification] {
        let reset = json!({"token": token, "password": PASSWORD});
        let answer = client.post("/api/v1/auth/reset-password", reset).await;
        failures.check(format!("reset-password with {token}"), &answer, 422);
    }
    failures.none();
    client.post("/api/v1/auth/refresh", json!({"refresh_token": refresh})).await.expect(200);
}
