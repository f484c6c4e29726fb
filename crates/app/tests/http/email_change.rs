//! Changing the own address: requested, confirmed from the new mailbox, and announced to the old one.

use std::time::Duration;

use portico_identity::email_change::EmailChange;
use portico_kernel::{Id, PlatformRole, Timestamp};
use portico_testkit::server::{Client, PASSWORD, TestServer, at_once, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fixture::{Person, email_change, text};

const CHANGE: &str = "/api/v1/auth/change-email";
const CONFIRM: &str = "/api/v1/auth/confirm-email-change";
const CANCEL: &str = "/api/v1/auth/cancel-email-change";

async fn login(server: &TestServer, email: &str) -> u16 {
    let body = json!({"email": email, "password": PASSWORD});
    server.client().post("/api/v1/auth/login", body).await.status.as_u16()
}

async fn mails(server: &TestServer, to: &str) -> Vec<Value> {
    let client = server.client().with("accept", "application/json");
    client.get(&format!("/dev/mailbox?to={to}")).await.expect(200)["items"].as_array().unwrap().clone()
}

async fn email(client: &Client) -> Value {
    let profile = client.get("/api/v1/profile").await.expect(200);
    json!([profile["email"], profile["emailVerified"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_address_replaces_the_old_one_which_is_told() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |user| user.language = "es".into()).await;
        let mut elsewhere = ada.clone();
        elsewhere.sign_in(server).await;
        let king = format!(" {} ", server.email("King").replace("example", "Example"));
        let body = json!({ "newEmail": king });
        let answer = ada.client.post(CHANGE, body).await.expect(202);
        assert!(answer["message"].as_str().is_some_and(|message| !message.contains('@')));
        let token = server.mail_token(server.email("king"), "confirm-email-change").await;
        assert_eq!(email(&ada.client).await, json!([server.email("ada"), true]), "nothing has changed yet");
        assert_eq!(login(server, server.email("king")).await, 401);

        // The mail may be read on another device, where the user is not signed in.
        let changed = server.client().post(CONFIRM, json!({ "token": token })).await.expect(200);
        assert_eq!(changed, json!({"email": server.email("king"), "emailVerified": true}));
        assert_eq!(
            email(&ada.client).await,
            json!([server.email("king"), true]),
            "the session that asked goes on"
        );
        let ended = elsewhere.client.get("/api/v1/profile").await;
        assert_eq!(ended.status.as_u16(), 401, "the very next request of another session");
        assert_eq!(
            (login(server, server.email("king")).await, login(server, server.email("ada")).await),
            (200, 401)
        );
        let notice = server.mail(server.email("ada"), "Tu cuenta tiene ahora otra dirección").await;
        assert!(notice.contains(&format!("k…@{}", server.domain())), "{notice}");
        assert!(!notice.contains("king@"), "the old mailbox does not learn the new address");

        let again = server.client().post(CONFIRM, json!({ "token": token })).await.expect(422);
        assert_eq!(again["code"], "invalid_token");
        let trail = ada.client.get(&ada.client.t("/audit?resourceType=user")).await.expect(200);
        let entry =
            trail["items"].as_array().unwrap().iter().find(|entry| entry["type"] == "user.email_changed");
        let entry = entry.expect("it is in the audit trail");
        assert_eq!(
            json!([entry["before"]["email"], entry["after"]["email"], entry["actor"]["id"]]),
            json!([server.email("ada"), server.email("king"), ada.claims.user])
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_to_the_old_address_end_with_it() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let forgot = json!({"email": server.email("ada")});
        server.client().post("/api/v1/auth/forgot-password", forgot).await.expect(202);
        let reset = server.mail_token(server.email("ada"), "reset-password").await;
        ada.client.post(CHANGE, json!({"new_email": server.email("king")})).await.expect(202);
        let token = server.mail_token(server.email("king"), "confirm-email-change").await;
        ada.client.post(CONFIRM, json!({ "token": token })).await.expect(200);
        let body = json!({"token": reset, "password": "Another-Horse-8"});
        let answer = server.client().post("/api/v1/auth/reset-password", body).await.expect(422);
        assert_eq!(answer["code"], "invalid_token");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_somebody_else_is_answered_like_any_other() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        Person::new(server, server.email("owner"), |_| {}).await;
        let known = ada.client.post(CHANGE, json!({"newEmail": server.email("owner")})).await;
        let notice = server.mail(server.email("owner"), "for a new account").await;
        assert!(!notice.contains("token="), "{notice}");
        let unknown = ada.client.post(CHANGE, json!({"newEmail": server.email("nobody")})).await;
        assert_eq!((known.status, &known.json), (unknown.status, &unknown.json));
        assert_eq!(known.status, StatusCode::ACCEPTED);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_proven_meanwhile_stays_with_whoever_proved_it() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        ada.client.post(CHANGE, json!({"newEmail": server.email("king")})).await.expect(202);
        let token = server.mail_token(server.email("king"), "confirm-email-change").await;
        Person::new(server, server.email("king"), |_| {}).await;
        for client in [server.client(), ada.client.clone()] {
            let answer = client.post(CONFIRM, json!({ "token": token })).await.expect(422);
            assert_eq!(answer["code"], "invalid_token");
        }
        assert_eq!(email(&ada.client).await, json!([server.email("ada"), true]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contested_address_needs_a_session_of_the_account() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        server.unverified(server.email("king")).await;
        let stranger = Person::new(server, server.email("stranger"), |_| {}).await;
        ada.client.post(CHANGE, json!({"newEmail": server.email("king")})).await.expect(202);
        let token = server.mail_token(server.email("king"), "confirm-email-change").await;
        for client in [server.client(), stranger.client] {
            client.post(CONFIRM, json!({ "token": token })).await.expect(422);
        }
        ada.client.post(CONFIRM, json!({ "token": token })).await.expect(200);
        assert_eq!(email(&ada.client).await, json!([server.email("king"), true]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_works_once_until_it_expires_and_as_long_as_there_is_no_newer_one() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        ada.client.post(CHANGE, json!({"newEmail": server.email("first")})).await.expect(202);
        let first = server.mail_token(server.email("first"), "confirm-email-change").await;
        ada.client.post(CHANGE, json!({"newEmail": server.email("second")})).await.expect(202);
        let second = server.mail_token(server.email("second"), "confirm-email-change").await;
        let anonymous = server.client();
        let invalid = async |token: &str| {
            let answer = anonymous.post(CONFIRM, json!({ "token": token })).await.expect(422);
            assert_eq!(answer["code"], "invalid_token", "{token}");
        };
        invalid(&first).await;
        let refresh = text(&ada.tokens, "refresh_token");
        let flipped = if second.starts_with('A') { "B" } else { "A" };
        for made_up in ["x", &format!("{flipped}{}", &second[1..]), &format!("{second}AA"), &refresh] {
            invalid(made_up).await;
        }
        // All at once: one of them changes the address.
        let answers = at_once(20, |_| {
            let (client, token) = (anonymous.clone(), second.clone());
            async move { client.post(CONFIRM, json!({ "token": token })).await.status.as_u16() }
        })
        .await;
        let count = |status| answers.iter().filter(|answer| **answer == status).count();
        assert_eq!((count(200), count(422)), (1, 19), "{answers:?}");
        assert_eq!(email(&ada.client).await, json!([server.email("second"), true]));

        let token = expired(server, &ada).await;
        invalid(&token).await;
        let missing = anonymous.post(CONFIRM, json!({})).await;
        assert_eq!((missing.status.as_u16(), missing.fields()), (422, vec!["token".to_owned()]));
    })
    .await;
}

/// The token of a change that waited for too long.
async fn expired(server: &TestServer, person: &Person) -> String {
    let token = email_change(server, person).await;
    let id: Id<EmailChange> = server.app.identity.tokens.read_email_change_token(&token).unwrap();
    let mut work = server.app.core.begin().await.unwrap();
    let mut change = work.email_changes().find(id).await.unwrap().unwrap();
    change.expires_at = Timestamp::from_unix_seconds(server.app.core.env.now().unix_seconds()).unwrap();
    work.email_changes().put(&change).await.unwrap();
    work.commit().await.unwrap();
    token
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_that_want_one_address_get_it_once() {
    TestServer::on_each_database(async |server| {
        let mut clients = Vec::new();
        for name in ["ada", "bob"] {
            let person = Person::new(server, server.email(name), |_| {}).await;
            person.client.post(CHANGE, json!({"newEmail": server.email("king")})).await.expect(202);
            clients.push(person);
        }
        let found = eventually(Duration::from_secs(20), async || {
            let mails = mails(server, server.email("king")).await;
            let tokens: Vec<String> = mails
                .iter()
                .filter_map(|mail| {
                    let rest = mail["text"].as_str()?.split_once("confirm-email-change?token=")?.1;
                    Some(rest.lines().next()?.to_owned())
                })
                .collect();
            (tokens.len() == 2).then_some(tokens)
        });
        let tokens = found.await.expect("a link each");
        let answers = at_once(2, |number| {
            let (client, token) = (server.client(), tokens[number].clone());
            async move { client.post(CONFIRM, json!({ "token": token })).await.status.as_u16() }
        })
        .await;
        assert!(answers.contains(&200) && answers.contains(&422), "{answers:?}");
        let mut emails = Vec::new();
        for person in &clients {
            emails.push(email(&person.client).await[0].clone());
        }
        assert_eq!(emails.iter().filter(|email| **email == server.email("king")).count(), 1, "{emails:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_person_themselves_with_a_fresh_proof_asks() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let body = json!({"newEmail": server.email("king")});
        server.client().post(CHANGE, body.clone()).await.expect(401);
        for (wrong, field) in [
            (json!({}), "newEmail"),
            (json!({"newEmail": "nobody"}), "newEmail"),
            (json!({"newEmail": server.email("ada")}), "newEmail"),
            (json!({"newEmail": server.email("k"), "password": "x"}), "password"),
        ] {
            let answer = ada.client.post(CHANGE, wrong.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{wrong}");
        }
        let mut session =
            server.app.core.reader().sessions().find(ada.claims.session).await.unwrap().unwrap();
        session.id = server.app.core.env.new_id();
        session.authenticated_at = session.authenticated_at - time::Duration::minutes(11);
        let mut work = server.app.core.begin().await.unwrap();
        work.sessions().insert(&session).await.unwrap();
        work.commit().await.unwrap();
        let claims = portico_identity::ports::AccessClaims { session: session.id, ..ada.claims.clone() };
        let token = server.app.identity.tokens.access_token(&claims, server.app.core.env.now()).unwrap();
        let stale = ada.client.with("authorization", &format!("Bearer {token}"));
        assert_eq!(stale.post(CHANGE, body).await.expect(403)["code"], "reauthentication_required");
        let profile = json!({"email": server.email("king")});
        assert_eq!(ada.client.put("/api/v1/profile", profile).await.fields(), ["email"], "no way around it");
        assert!(mails(server, server.email("king")).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_address_is_not_changed_and_told_nothing() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("typo")).await;
        let refused = client.post(CHANGE, json!({"newEmail": server.email("right")})).await.expect(403);
        assert_eq!(refused["code"], "email_unverified");
        // Mail about the next event arrives; by then, that about the request would have.
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        ada.client.post(CHANGE, json!({"newEmail": server.email("king")})).await.expect(202);
        server.mail(server.email("ada"), &format!("k…@{}", server.domain())).await;
        assert!(mails(server, server.email("right")).await.is_empty());
        let texts: Vec<String> =
            mails(server, server.email("typo")).await.iter().map(|mail| text(mail, "text")).collect();
        assert!(texts.iter().all(|text| text.contains("verify-email")), "{texts:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_leads_to_a_page() {
    let server = TestServer::start().await;
    for (path, action) in [("/confirm-email-change", CONFIRM), ("/cancel-email-change", CANCEL)] {
        let page = server.client().get(&format!("{path}?token=x")).await;
        assert_eq!(page.status.as_u16(), 200);
        assert!(page.text.contains(action) && page.header("referrer-policy") == "no-referrer");
    }
}

/// A thief in a session of Ada's asks for an address of their own. Returns the thief and the token of their link.
async fn stolen(server: &TestServer, ada: &Person) -> (Person, String) {
    let mut thief = ada.clone();
    thief.sign_in(server).await;
    let address = format!("thief-of-{}", ada.email);
    thief.client.post(CHANGE, json!({"newEmail": address})).await.expect(202);
    let token = server.mail_token(&address, "confirm-email-change").await;
    (thief, token)
}

async fn reset_token(server: &TestServer, email: &str) -> String {
    server.client().post("/api/v1/auth/forgot-password", json!({"email": email})).await.expect(202);
    server.mail_token(email, "reset-password").await
}

async fn reset(client: &Client, token: &str) -> u16 {
    let body = json!({"token": token, "password": PASSWORD});
    client.post("/api/v1/auth/reset-password", body).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_thief_asked_for_dies_with_the_session_however_that_ends() {
    TestServer::shared(async |server| {
        let root =
            Person::new(server, server.email("root"), |user| user.role = PlatformRole::SuperAdmin).await;
        for end in ["reset", "password", "session", "logout", "operator", "suspension"] {
            let email = server.email(end);
            let ada = Person::new(server, email, |_| {}).await;
            let (thief, token) = stolen(server, &ada).await;
            let user = format!("/api/v1/users/{}", ada.claims.user);
            match end {
                "reset" => {
                    let link = reset_token(server, email).await;
                    assert_eq!(reset(&server.client(), &link).await, 204);
                }
                "password" => {
                    let body = json!({"currentPassword": PASSWORD, "newPassword": "Another-Horse-8"});
                    ada.client.post("/api/v1/auth/change-password", body).await.expect(204);
                }
                "session" => {
                    let path = format!("/api/v1/auth/sessions/{}", thief.claims.session);
                    ada.client.delete(&path).await.expect(204);
                }
                "logout" => {
                    thief.client.post_empty("/api/v1/auth/logout").await.expect(204);
                }
                "operator" => {
                    let body = json!({"newPassword": "Another-Horse-8"});
                    root.client.put(&format!("{user}/password"), body).await.expect(204);
                }
                _ => {
                    for status in ["suspended", "active"] {
                        root.client.put(&user, json!({ "status": status })).await.expect(200);
                    }
                }
            }
            let answer = server.client().post(CONFIRM, json!({ "token": token })).await.expect(422);
            assert_eq!(answer["code"], "invalid_token", "{end}");
            let account = root.client.get(&user).await.expect(200);
            assert_eq!(account["email"], email, "{end}");
        }
    })
    .await;
}

/// Whichever commits first, the other one is too late; and they do not deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_and_a_reset_at_once_do_not_both_happen() {
    TestServer::on_each_database(async |server| {
        for round in 0..4 {
            let email = server.email(&format!("ada{round}"));
            let ada = Person::new(server, email, |_| {}).await;
            let change = json!({"newEmail": server.email(&format!("thief{round}"))});
            ada.client.post(CHANGE, change).await.expect(202);
            let to = server.email(&format!("thief{round}"));
            let token = server.mail_token(to, "confirm-email-change").await;
            let link = reset_token(server, email).await;
            let answers = at_once(2, |number| {
                let (client, token, link) = (server.client(), token.clone(), link.clone());
                async move {
                    match number {
                        0 => client.post(CONFIRM, json!({ "token": token })).await.status.as_u16(),
                        _ => reset(&client, &link).await,
                    }
                }
            })
            .await;
            assert!(answers == [200, 422] || answers == [422, 204], "{answers:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_present_address_hears_of_the_request_and_stops_it_without_signing_in() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |user| user.language = "es".into()).await;
        let (thief, confirmation) = stolen(server, &ada).await;
        let notice = server.mail(server.email("ada"), &format!("t…@{}", server.domain())).await;
        assert!(notice.contains("Todavía no ha cambiado nada") && !notice.contains("thief-of-"), "{notice}");
        let token = server.mail_token(server.email("ada"), "cancel-email-change").await;
        let browser = server.client();
        let wrong = browser.post(CANCEL, json!({"token": "x"})).await.expect(422);
        assert_eq!(wrong["code"], "invalid_token");
        assert_eq!(browser.post(CANCEL, json!({})).await.fields(), ["token"]);
        let crossed = browser.post(CONFIRM, json!({ "token": token })).await.expect(422);
        assert_eq!(crossed["code"], "invalid_token", "the two links are not each other's");
        browser.get(&format!("/cancel-email-change?token={token}")).await.expect(200);
        ada.client.get("/api/v1/profile").await.expect(200);

        browser.post(CANCEL, json!({ "token": token })).await.expect(204);
        for client in [&ada.client, &thief.client] {
            assert_eq!(client.get("/api/v1/profile").await.status.as_u16(), 401, "the very next request");
        }
        browser.post(CONFIRM, json!({ "token": confirmation })).await.expect(422);
        browser.post(CANCEL, json!({ "token": token })).await.expect(422);
        assert_eq!(login(server, server.email("ada")).await, 200);
    })
    .await;
}
