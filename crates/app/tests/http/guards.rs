//! Guards of sign-in: the throttle and whom it lets pass, devices, and how hard to guess a password must be.

use std::time::Duration;

use portico_feature_identity::throttle::PER_PAIR;
use portico_identity::{code_limit, token::TokenPurpose};
use portico_testkit::server::{Answer, Client, Database, PASSWORD, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::{
    factors::{App, mfa_token},
    fixture::{Person, link},
};

const LOGIN: &str = "/api/v1/auth/login";

/// Believes `X-Forwarded-For` of the test.
async fn behind_a_proxy(database: Database) -> TestServer {
    TestServer::start_with(database, |settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await
}

fn from(server: &TestServer, address: &str) -> Client {
    server.client().with("x-forwarded-for", address)
}

async fn guess(client: &Client, email: &str, password: &str) -> Answer {
    client.post(LOGIN, json!({"email": email, "password": password})).await
}

/// Guesses wrong until refused; returns the number of guesses and the refusal. A failure is recorded after the answer, so a guess
/// that follows at once may be checked before it counts.
async fn until_refused(client: &Client, email: &str) -> (usize, Answer) {
    for number in 0..100 {
        let answer = guess(client, email, "Wrong-Horse-7").await;
        if answer.status.as_u16() == 429 {
            return (number, answer);
        }
        assert_eq!(answer.expect(401)["code"], "invalid_credentials");
    }
    panic!("never refused");
}

/// Fails once from each of this many networks.
async fn attack_from_everywhere(server: &TestServer, email: &str, networks: usize) {
    // A few at a time: more than the queue of the password hashing would be refused there.
    for start in (0..networks).step_by(20) {
        let answers = at_once(20.min(networks - start), |number| {
            let number = start + number;
            let client = from(server, &format!("10.{}.{}.1", number / 250, number % 250));
            let email = email.to_owned();
            async move { guess(&client, &email, "Wrong-Horse-7").await.status.as_u16() }
        })
        .await;
        assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
    }
}

/// Waits until a guess from a network that never guessed before is refused.
async fn closed_to_strangers(server: &TestServer, email: &str) -> Answer {
    let mut networks = 0..250;
    let refused = eventually(Duration::from_secs(20), async || {
        let stranger = from(server, &format!("172.16.{}.1", networks.next()?));
        let answer = guess(&stranger, email, "Wrong-Horse-7").await;
        (answer.status.as_u16() == 429).then_some(answer)
    });
    refused.await.expect("the account is closed to strangers")
}

async fn events(client: &Client, kind: &str) -> Vec<Value> {
    let trail = client.get(&client.t("/audit?limit=100")).await.expect(200);
    trail["items"].as_array().unwrap().iter().filter(|entry| entry["type"] == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_guesses_wait_and_known_and_unknown_addresses_alike() {
    let database = Database::Postgres;
    let server = behind_a_proxy(database).await;
    let ada = server.customer("ada@example.com").await;
    let mut refusals = Vec::new();
    for (email, address) in [("ada@example.com", "192.0.2.1"), ("nobody@example.com", "192.0.2.2")] {
        let client = from(&server, address);
        let (guesses, refusal) = until_refused(&client, email).await;
        assert!((5..5 + PER_PAIR).contains(&guesses), "{email}: {guesses}");
        let wait: u64 = refusal.header("retry-after").parse().unwrap();
        assert!((1..=480).contains(&wait), "{email}: {wait}");
        assert_eq!(refusal.header("content-type"), "application/problem+json");
        let right = guess(&client, email, PASSWORD).await;
        assert_eq!(right.status.as_u16(), 429, "a right password does not tell either");
        let mut body = refusal.expect(429);
        assert!(body["detail"].as_str().unwrap().contains("link to set a new password"), "{body}");
        for differs in ["requestId", "detail"] {
            body[differs].take();
        }
        refusals.push(body);
    }
    assert_eq!(refusals[0], refusals[1]);
    assert_eq!(refusals[0]["code"], "too_many_attempts");
    guess(&from(&server, "192.0.2.3"), "ada@example.com", PASSWORD).await.expect(200);
    guess(&from(&server, "192.0.2.1"), "eve@example.com", "x").await.expect(401);

    let entries = events(&ada, "session.throttled").await;
    assert_eq!(entries.len(), 1, "once, and not for each guess");
    assert_eq!(entries[0]["after"], json!({"by": "account_and_network", "failures": 5}));
    assert!(events(&ada, "session.sign_in_failed").await.len() >= 5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.security.throttle.first_pause = Duration::from_millis(200);
        settings.security.throttle.per_pair = 2;
    })
    .await;
    server.customer("ada@example.com").await;
    until_refused(&server.client(), "ada@example.com").await;
    let in_again = eventually(Duration::from_secs(20), async || {
        let answer = guess(&server.client(), "ada@example.com", PASSWORD).await;
        answer.status.is_success().then_some(())
    });
    assert!(in_again.await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_from_everywhere_does_not_lock_the_owner_out() {
    let database = Database::Postgres;
    let server = behind_a_proxy(database).await;
    let email = "ada@example.com";
    server.customer(email).await;
    let home = from(&server, "198.51.100.1").with("user-agent", "Browser at home");
    let laptop = guess(&home, email, PASSWORD).await;
    let mark = laptop.header("x-device-id").to_owned();
    laptop.expect(200);
    for victim in [email, "nobody@example.com"] {
        attack_from_everywhere(&server, victim, 100).await;
    }
    let refusal = closed_to_strangers(&server, email).await;
    assert!(refusal.header("retry-after").parse::<u64>().unwrap() >= 3000);
    let unknown = closed_to_strangers(&server, "nobody@example.com").await;
    assert_eq!(unknown.json["code"], refusal.json["code"]);

    guess(&from(&server, "203.0.113.77"), email, PASSWORD).await.expect(429);

    // From a known network, and with a known device from anywhere.
    let browser = from(&server, "198.51.100.1").with("user-agent", "Another browser at home");
    guess(&browser, email, PASSWORD).await.expect(200);
    let travelling = from(&server, "198.51.100.200");
    guess(&travelling.with("x-device-id", &mark), email, PASSWORD).await.expect(200);
    let cookie = format!("portico_device={mark}");
    guess(&from(&server, "198.51.100.201").with("cookie", &cookie), email, PASSWORD).await.expect(200);
    // The mark of another account's device is of no use.
    server.customer("eve@example.com").await;
    let eve = guess(&from(&server, "203.0.113.5"), "eve@example.com", PASSWORD).await;
    let stolen = from(&server, "203.0.113.5").with("x-device-id", eve.header("x-device-id"));
    guess(&stolen, email, PASSWORD).await.expect(429);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_link_always_lets_the_owner_in() {
    let database = Database::Postgres;
    let server = behind_a_proxy(database).await;
    let person = Person::new(&server, "ada@example.com", |_| {}).await;
    attack_from_everywhere(&server, &person.email, 100).await;
    closed_to_strangers(&server, &person.email).await;
    let abroad = from(&server, "203.0.113.9");
    guess(&abroad, &person.email, PASSWORD).await.expect(429);
    let token = link(&server, &person, TokenPurpose::PasswordReset).await;
    let body = json!({"token": token, "password": "N3w-horse-battery"});
    abroad.post("/api/v1/auth/reset-password", body).await.expect(204);
    guess(&abroad, &person.email, "N3w-horse-battery").await.expect(200);

    // Also after wrong guesses by the owner themselves.
    until_refused(&abroad, &person.email).await;
    let token = link(&server, &person, TokenPurpose::PasswordReset).await;
    let body = json!({"token": token, "password": "Another-Horse-8"});
    abroad.post("/api/v1/auth/reset-password", body).await.expect(204);
    guess(&abroad, &person.email, "Another-Horse-8").await.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_guesses_at_once_few_are_made() {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = TestServer::start_with(database, |_| {}).await;
        server.customer("ada@example.com").await;
        for email in ["ada@example.com", "nobody@example.com"] {
            let answers = at_once(64, |_| {
                let client = server.client();
                async move { guess(&client, email, "Wrong-Horse-7").await.status.as_u16() }
            })
            .await;
            let made = answers.iter().filter(|status| **status == 401).count();
            assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
            // Five failures, the last of which may not be seen yet by guesses that are being checked.
            assert!((5..5 + PER_PAIR).contains(&made), "{email}: {made}");
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_right_passwords_at_once_all_get_in() {
    TestServer::on_each_database(async |server| {
        server.customer("ada@example.com").await;
        let answers = at_once(200, |_| {
            let client = server.client();
            async move { guess(&client, "ada@example.com", PASSWORD).await.status.as_u16() }
        })
        .await;
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_count_together() {
    let one = TestServer::start_with(Database::Postgres, |_| {}).await;
    let two = one.another_instance().await;
    one.customer("ada@example.com").await;
    let answers = at_once(64, |number| {
        let client = if number % 2 == 0 { one.client() } else { two.client() };
        async move { guess(&client, "ada@example.com", "Wrong-Horse-7").await.status.as_u16() }
    })
    .await;
    let made = answers.iter().filter(|status| **status == 401).count();
    assert!((5..5 + 2 * PER_PAIR).contains(&made), "{made}");
    for server in [&one, &two] {
        guess(&server.client(), "ada@example.com", PASSWORD).await.expect(429);
    }
    two.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_session_is_no_way_to_guess_the_password() {
    let server = TestServer::start().await;
    let client = server.customer("ada@example.com").await;
    let change = async || {
        let body = json!({"currentPassword": "Wrong-Horse-7", "newPassword": "Another-Horse-8"});
        client.post("/api/v1/auth/change-password", body).await.status.as_u16()
    };
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(change().await);
    }
    let wrong = answers.iter().filter(|status| **status == 422).count();
    assert!((5..5 + PER_PAIR).contains(&wrong) && answers.ends_with(&[429]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_device_is_told_of_once() {
    let database = Database::Postgres;
    let server = behind_a_proxy(database).await;
    let email = "ada@example.com";
    // A registration sends no notice of a new device.
    let ada = server.customer(email).await;
    let browser = from(&server, "198.51.100.1").with("user-agent", "Firefox/145.0 (X11; Linux)");
    let first = guess(&browser, email, PASSWORD).await;
    let mark = first.header("x-device-id").to_owned();
    let cookie = first.header("set-cookie").to_owned();
    assert!(cookie.starts_with(&format!("portico_device={mark}; ")), "{cookie}");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "the server is reached without encryption");
    first.expect(200);

    let known = browser.with("x-device-id", &mark);
    let again = guess(&known, email, PASSWORD).await;
    assert_eq!(again.header("x-device-id"), mark);
    let roaming = from(&server, "192.0.2.44").with("user-agent", "Firefox/146.0").with("x-device-id", &mark);
    guess(&roaming, email, PASSWORD).await.expect(200);
    guess(&browser, email, PASSWORD).await.expect(200);
    let entries = events(&ada, "user.new_device").await;
    assert_eq!(entries.len(), 1, "the browser, after the registration from elsewhere: {entries:?}");
    let after = json!({"userAgent": "Firefox/145.0 (X11; Linux)", "address": "198.51.100.1"});
    assert_eq!((&entries[0]["after"], &entries[0]["resource"]["type"]), (&after, &json!("user")));

    let forged = from(&server, "203.0.113.1").with("x-device-id", &mark[1..]).with("user-agent", "curl/8");
    guess(&forged, email, PASSWORD).await.expect(200);
    assert_eq!(events(&ada, "user.new_device").await.len(), 2);

    // A refresh makes no new mark.
    let tokens = guess(&known, email, PASSWORD).await.expect(200);
    let body = json!({"refresh_token": tokens["refresh_token"]});
    let refreshed = browser.post("/api/v1/auth/refresh", body.clone()).await;
    assert_eq!((refreshed.status.as_u16(), refreshed.header("set-cookie")), (200, ""));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_for_encrypted_connections_where_there_are_any() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.server.public_url = Some("https://portal.example.com".parse().unwrap());
    })
    .await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD, "fullName": "Ada"});
    let answer = server.client().post("/api/v1/auth/register", body).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-portico_device=") && cookie.contains("Secure"), "{answer:?}");
    answer.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessable_passwords_are_refused_wherever_one_is_set() {
    let server = TestServer::start().await;
    let person = Person::new(&server, "ada.lovelace@example.com", |user| {
        user.full_name = "Augusta Lovelace".to_owned();
    })
    .await;
    let reset = link(&server, &person, TokenPurpose::PasswordReset).await;
    for password in
        ["Password1!", "P@ssw0rd", "Qwerty123!", "Welcome2024!", "Summer2025!", "Admin@123", "Portico-2026!"]
    {
        let register = json!({"email": "new@example.com", "password": password, "fullName": "New Person"});
        let change = json!({"currentPassword": PASSWORD, "newPassword": password});
        for (client, path, body) in [
            (server.client(), "register", register),
            (person.client.clone(), "change-password", change),
            (server.client(), "reset-password", json!({"token": reset, "password": password})),
        ] {
            let problem = client.post(&format!("/api/v1/auth/{path}"), body).await.expect(422);
            let errors = problem["errors"].as_array().unwrap();
            assert_eq!((errors.len(), &errors[0]["code"]), (1, &json!("too_guessable")), "{path}: {problem}");
            assert!(
                errors[0]["message"].as_str().unwrap().starts_with("This is easy to guess. "),
                "{problem}"
            );
        }
    }
    // Words of the account, which are known only from the store here.
    let own = "Augusta-Lovelace-1";
    let change = json!({"currentPassword": PASSWORD, "newPassword": own});
    let problem = person.client.post("/api/v1/auth/change-password", change).await.expect(422);
    assert_eq!(problem["errors"][0]["code"], "too_guessable");
    let body = json!({"token": reset, "password": own});
    let problem = server.client().post("/api/v1/auth/reset-password", body).await.expect(422);
    assert_eq!(problem["errors"][0]["code"], "too_guessable");
    let body = json!({"token": reset, "password": "N3w-horse-battery"});
    server.client().post("/api/v1/auth/reset-password", body).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sets_the_password_rule() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.security.password_uppercase = false;
        settings.security.password_lowercase = false;
        settings.security.password_digit = false;
        settings.security.password_special = false;
        settings.security.password_min_score = 0;
        settings.security.password_min_length = 10;
    })
    .await;
    let register = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password, "fullName": "Ada"});
        server.client().post("/api/v1/auth/register", body).await
    };
    register("one@example.com", "aaaaaaaaaa").await.expect(201);
    register("two@example.com", "!!!!!!!!!!").await.expect(201);
    let short = register("three@example.com", "aaaaaaaaa").await.expect(422);
    assert_eq!(short["errors"][0]["code"], "too_short");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_of_signing_in_knows_devices_too() {
    let server = TestServer::start().await;
    server.customer("ada@example.com").await;
    for path in
        [LOGIN, "/api/v1/customer/login", "/customer/auth/login", "/api/auth/login", "/api/v1/auth/l%6fgin"]
    {
        let login = json!({"email": "ada@example.com", "password": PASSWORD});
        let first = server.client().post(path, login.clone()).await;
        let mark = first.header("x-device-id").to_owned();
        first.expect(200);
        assert!(!mark.is_empty(), "{path}");
        let again = server.client().with("x-device-id", &mark).post(path, login).await;
        assert_eq!(again.header("x-device-id"), mark, "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_second_factor_do_not_keep_the_owner_out() {
    let database = Database::Postgres;
    let server = behind_a_proxy(database).await;
    let email = "ada@example.com";
    let ada = Person::new(&server, email, |_| {}).await;
    let app = App::of(&ada.client.post_empty("/api/v1/auth/totp").await.expect(200));
    let code = json!({"code": app.code(&server, -1)});
    let confirmed = ada.client.post("/api/v1/auth/totp/confirm", code).await.expect(200);
    let verify = async |client: &Client, token: &str, code: &str| {
        client.post("/api/v1/auth/mfa/verify", json!({"mfaToken": token, "code": code})).await
    };
    let home = from(&server, "198.51.100.1");
    let signed_in = verify(&home, &mfa_token(&server, email).await, &app.code(&server, 0)).await;
    let mark = signed_in.header("x-device-id").to_owned();
    signed_in.expect(200);

    // An attacker who knows the password, from fifty networks, with five tries in each sign-in.
    let mut looked_at = 0;
    for network in 0..50 {
        let stranger = from(&server, &format!("10.0.{network}.1"));
        let token = mfa_token(&server, email).await;
        for _ in 0..5 {
            match verify(&stranger, &token, "000000").await {
                answer if answer.status.as_u16() == 401 => looked_at += 1,
                answer => assert_eq!(answer.expect(429)["code"], "too_many_attempts"),
            }
        }
    }
    assert_eq!(looked_at, code_limit::MOST);
    assert_eq!(events(&ada.client, "session.throttled").await.len(), 1);

    let elsewhere = from(&server, "203.0.113.9");
    let right = app.code(&server, 1);
    let refused = verify(&elsewhere, &mfa_token(&server, email).await, &right).await;
    assert_eq!(refused.status.as_u16(), 429, "a right code of a stranger: {}", refused.text);
    let laptop = from(&server, "203.0.113.10").with("x-device-id", &mark);
    verify(&laptop, &mfa_token(&server, email).await, &app.code(&server, 1)).await.expect(200);
    let recovery = confirmed["recoveryCodes"][0].as_str().unwrap();
    verify(&elsewhere, &mfa_token(&server, email).await, recovery).await.expect(200);
    server.stop().await;
}
