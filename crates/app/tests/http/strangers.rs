//! Mail to addresses that any visitor can enter: how much is sent, and what it may contain.

use portico::settings::Settings;
use portico_testkit::server::{Client, Database, PASSWORD, TestServer};
use serde_json::{Value, json};

use crate::{fixture::Person, mails::settled};

/// The name that a stranger chose.
const NAME: &str = "Claim your prize";

async fn mails(server: &TestServer, to: &str) -> Vec<Value> {
    let client = server.client().with("accept", "application/json");
    let answer = client.get(&format!("/dev/mailbox?to={to}")).await;
    answer.json["items"].as_array().cloned().unwrap_or_default()
}

async fn register(client: &Client, email: &str, name: &str) {
    let body = json!({"email": email, "password": PASSWORD, "fullName": name});
    client.post("/api/v1/auth/register", body).await.expect(201);
}

fn few(settings: &mut Settings) {
    settings.email.per_recipient_per_hour = 4;
}

async fn on_each(test: impl AsyncFn(&TestServer)) {
    let database = Database::Postgres;
    let server = TestServer::start_with(database, few).await;
    test(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_not_flooded_whoever_causes_the_mail() {
    on_each(async |server| {
        let anonymous = server.client();
        let inviter = server.customer(server.email("inviter")).await;
        let victim = server.email("victim");
        for number in 0..6 {
            // Spellings of one mailbox's address, none of which needs an account.
            let email =
                [server.email("victim"), server.email("vic.tim"), server.email("Victim+x")][number % 3];
            register(&anonymous, email, NAME).await;
            anonymous.post("/api/v1/auth/resend-verification", json!({"email": email})).await.expect(202);
        }
        let invitation = json!({"email": victim, "role": "viewer"});
        inviter.post(&inviter.t("/invitations"), invitation).await.expect(201);
        settled(server, &Person::new(server, server.email("witness"), |_| {}).await).await;
        let mut got = Vec::new();
        for to in [victim, server.email("vic.tim"), server.email("victim%2Bx")] {
            got.extend(mails(server, to).await);
        }
        assert_eq!(got.len(), 4, "{got:?}");

        // A link for a new password has a budget of its own, and so has every other address.
        anonymous.post("/api/v1/auth/forgot-password", json!({"email": victim})).await.expect(202);
        server.mail_token(victim, "reset-password").await;
        register(&anonymous, server.email("other"), NAME).await;
        server.mail_token(server.email("other"), "verify-email").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_keeps_no_notice_from_the_owner_of_an_address() {
    on_each(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let anonymous = server.client();
        for _ in 0..8 {
            register(&anonymous, server.email("owner"), NAME).await;
            anonymous
                .post("/api/v1/auth/forgot-password", json!({"email": server.email("owner")}))
                .await
                .expect(202);
        }
        settled(server, &Person::new(server, server.email("witness"), |_| {}).await).await;
        let before = mails(server, server.email("owner")).await.len();
        let change = json!({"currentPassword": PASSWORD, "newPassword": "An0ther-horse-battery"});
        owner.post("/api/v1/auth/change-password", change).await.expect(204);
        server.mail(server.email("owner"), "password of your account has just been changed").await;
        assert!(before <= 10, "{before}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_verified_hears_no_name() {
    on_each(async |server| {
        let victim = server.email("victim");
        let inviter = server.customer(server.email("inviter")).await;
        inviter.put("/api/v1/profile", json!({"fullName": NAME})).await.expect(200);
        let tenant = inviter.put(&inviter.t(""), json!({"name": NAME})).await.expect(200);
        register(&server.client(), victim, NAME).await;
        server.client().post("/api/v1/auth/forgot-password", json!({"email": victim})).await.expect(202);
        let body = json!({"email": victim, "role": "viewer"});
        inviter.post(&inviter.t("/invitations"), body).await.expect(201);
        let invitation = server.mail(victim, "accept-invitation?token=").await;
        let subdomain = tenant["subdomain"].as_str().unwrap();
        assert!(
            invitation.contains(server.email("inviter")) && invitation.contains(subdomain),
            "{invitation}"
        );
        server.mail_token(victim, "verify-email").await;
        server.mail_token(victim, "reset-password").await;
        for mail in mails(server, victim).await {
            assert!(!mail.to_string().contains("prize"), "{mail}");
        }

        // The owner of a verified address is addressed by the name that they gave.
        server
            .client()
            .post("/api/v1/auth/forgot-password", json!({"email": server.email("inviter")}))
            .await
            .expect(202);
        let reset = server.mail(server.email("inviter"), "reset-password?token=").await;
        assert!(reset.contains(NAME), "{reset}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_hold_no_address_and_nothing_unseen() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        for (name, code) in [
            ("Win at https://evil.example", "web_address"),
            ("www.evil.example", "web_address"),
            ("evil.example/pay now", "web_address"),
            ("write to me@evil.com", "web_address"),
            ("one\u{2028}two", "invalid_characters"),
            ("one\u{85}two", "invalid_characters"),
            ("one\ntwo", "invalid_characters"),
            ("gpj.\u{202e}exe", "invalid_characters"),
            ("on\u{200b}e", "invalid_characters"),
            ("\u{2066}one", "invalid_characters"),
        ] {
            let registration = json!({"email": server.email("new"), "password": PASSWORD, "fullName": name});
            let site = json!({"name": name});
            for (field, answer) in [
                ("fullName", server.client().post("/api/v1/auth/register", registration).await),
                ("fullName", owner.put("/api/v1/profile", json!({"fullName": name})).await),
                ("company", owner.put("/api/v1/profile", json!({"company": name})).await),
                ("name", owner.post("/api/v1/tenants", json!({"name": name})).await),
                ("name", owner.put(&owner.t(""), json!({"name": name})).await),
                ("name", owner.post("/api/v1/sites", site).await),
                (
                    "name",
                    owner
                        .post(&owner.t("/api-keys"), json!({"name": name, "permissions": ["pages:read"]}))
                        .await,
                ),
            ] {
                let problem = answer.expect(422);
                let errors = problem["errors"].as_array().unwrap();
                let is_told = errors.iter().any(|error| error["field"] == field && error["code"] == code);
                assert!(is_told, "{field} {name:?}: {problem}");
            }
        }
        // A company may be called like its domain; a person is not.
        owner.put(&owner.t(""), json!({"name": "Booking.com"})).await.expect(200);
        assert_eq!(
            owner.put("/api/v1/profile", json!({"fullName": "Booking.com"})).await.fields(),
            ["fullName"]
        );
        for name in ["J. R. Smith", "O'Brien", "Nguyễn Văn", "Dr.Ana", "علی\u{200c}رضا"] {
            owner.put("/api/v1/profile", json!({"fullName": name})).await.expect(200);
        }
    })
    .await;
}
