//! Addresses of other people: what answers tell about them, and who gets what belongs to them.

use std::time::Duration;

use portico_testkit::server::{Answer, PASSWORD, TestServer, at_once};
use serde_json::{Value, json};

use super::{NEW_PASSWORD, another_token, login, mails_about, register, reset_token, signed_in};
use crate::profile_and_sessions::ends_within;

/// An answer with everything taken out that must differ from one to the next: ids, times, tokens, the address.
fn shape(answer: &Answer, email: &str) -> (u16, Vec<(String, String)>, String) {
    let (mut text, user) = (answer.text.replace(email, "{email}"), &answer.json["user"]);
    for (name, value) in [
        ("{access}", &answer.json["access_token"]),
        ("{refresh}", &answer.json["refresh_token"]),
        ("{id}", &user["id"]),
        ("{time}", &user["createdAt"]),
        ("{time}", &user["updatedAt"]),
        ("{time}", &user["lastLoginAt"]),
    ] {
        if let Some(value) = value.as_str() {
            text = text.replace(value, name);
        }
    }
    let compared = |name: &str| !matches!(name, "date" | "content-length");
    let headers = answer.headers.iter().filter(|(name, _)| compared(name.as_str())).map(|(name, value)| {
        // Each worker lists the headers that a browser may read in an order of its own.
        let mut words: Vec<_> = value.to_str().unwrap_or_default().split(", ").collect();
        words.sort_unstable();
        // The mark of a device is another one each time.
        let mark = answer.header("x-device-id");
        let text = words.join(", ");
        (name.to_string(), if mark.is_empty() { text } else { text.replace(mark, "{mark}") })
    });
    let mut headers: Vec<_> = headers.collect();
    headers.sort();
    (answer.status.as_u16(), headers, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_tells_whether_an_address_is_known() {
    TestServer::shared(async |server| {
        server.customer(server.email("known.1")).await;
        server.unverified(server.email("known.2")).await;
        let client = server.client().with("x-request-id", "the-same");
        // Registering comes last, because it makes an address known.
        for route in ["login", "forgot-password", "resend-verification", "register"] {
            let ask = async |email: &str| {
                let body = match route {
                    "login" => json!({"email": email, "password": "Wrong-Horse-7"}),
                    "register" => json!({"email": email, "password": NEW_PASSWORD, "fullName": "Some Body"}),
                    _ => json!({"email": email}),
                };
                shape(&client.post(&format!("/api/v1/auth/{route}"), body).await, email)
            };
            let unknown = ask(server.email("unknown")).await;
            assert_eq!(
                unknown.0,
                match route {
                    "login" => 401,
                    "register" => 201,
                    _ => 202,
                }
            );
            for known in [server.email("known.1"), server.email("known.2")] {
                assert_eq!(ask(known).await, unknown, "{route}: {known}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_registers_a_proven_address_again_gets_nowhere() {
    TestServer::shared(async |server| {
        let (email, anonymous) = (server.email("ada"), server.client());
        let owner = server.customer(email).await.get("/api/v1/profile").await.expect(200);
        let impostor = register(&anonymous, email, NEW_PASSWORD).await.expect(201);
        assert_ne!(impostor["user"]["id"], owner["id"]);
        mails_about(server, email, "You already have an account", 1).await;

        let client = signed_in(server, &impostor);
        let profile = client.get("/api/v1/profile").await.expect(200);
        assert_ne!(profile["activeTenantId"], owner["activeTenantId"]);
        client.post_empty("/api/v1/auth/resend-verification").await.expect(202);
        mails_about(server, email, "You already have an account", 2).await;
        assert_eq!(
            mails_about(server, email, "Confirm your email address", 1).await.len(),
            1,
            "no link was sent"
        );

        // Each password opens its own account.
        for (password, id, verified) in
            [(PASSWORD, &owner["id"], true), (NEW_PASSWORD, &impostor["user"]["id"], false)]
        {
            let user = login(&anonymous, email, password).await.expect(200)["user"].clone();
            assert_eq!((&user["id"], &user["emailVerified"]), (id, &json!(verified)));
        }
        // The way through a forgotten password leads to the owner's account as well.
        let body = json!({"token": reset_token(server, email).await, "password": "Owner-Again-5"});
        anonymous.post("/api/v1/auth/reset-password", body).await.expect(204);
        assert_eq!(login(&anonymous, email, "Owner-Again-5").await.expect(200)["user"]["id"], owner["id"]);
        assert_eq!(login(&anonymous, email, NEW_PASSWORD).await.expect(200)["user"]["emailVerified"], false);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_accounts_with_one_address_only_one_can_prove_it() {
    TestServer::on_each_database(async |server| {
        let (email, anonymous) = (server.email("ada"), server.client());
        let older = register(&anonymous, email, PASSWORD).await.expect(201);
        let first = server.mail_token(email, "verify-email").await;
        let newer = register(&anonymous, email, NEW_PASSWORD).await.expect(201);
        let second = another_token(server, email, "verify-email", &first).await;
        // Each follows the link where they are signed in to the account that they made.
        let answers = at_once(2, |number| {
            let client = signed_in(server, [&older, &newer][number]);
            let token = [&first, &second][number].clone();
            async move { client.post("/api/v1/auth/verify-email", json!({"token": token})).await }
        })
        .await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422], "{answers:?}");
        assert!(answers.iter().all(|answer| answer.json["passwordRequired"] != true), "{answers:?}");
        let verified = async |tokens: &Value| {
            let profile = signed_in(server, tokens).get("/api/v1/profile").await.expect(200);
            profile["emailVerified"] == true
        };
        assert_eq!(usize::from(verified(&older).await) + usize::from(verified(&newer).await), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gains_nothing_when_the_owner_follows_the_link_of_their_account() {
    TestServer::shared(async |server| {
        let (email, anonymous) = (server.email("ada"), server.client());
        register(&anonymous, email, PASSWORD).await.expect(201);
        let own = server.mail_token(email, "verify-email").await;
        let stranger = register(&anonymous, email, NEW_PASSWORD).await.expect(201);
        let link = another_token(server, email, "verify-email", &own).await;

        let answer = anonymous.post("/api/v1/auth/verify-email", json!({"token": link})).await.expect(200);
        assert_eq!((&answer["emailVerified"], &answer["passwordRequired"]), (&json!(true), &json!(true)));
        ends_within(Duration::from_secs(1), &signed_in(server, &stranger)).await;
        login(&anonymous, email, NEW_PASSWORD).await.expect(401);

        // The owner sets a password with the link that came by itself, and has the address.
        let reset = server.mail_token(email, "reset-password").await;
        let password = "Third-Horse-9";
        let set = anonymous
            .post("/api/v1/auth/reset-password", json!({"token": reset, "password": password}))
            .await;
        set.expect(204);
        assert_eq!(login(&anonymous, email, password).await.expect(200)["user"]["emailVerified"], true);
    })
    .await;
}
