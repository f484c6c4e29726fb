//! Wrong settings, and the commands besides serving.

use std::net::TcpListener;

use reqwest::Method;
use serde_json::{Value, json};

use crate::process::{Person, Server, run, text};

#[test]
fn a_wrong_setting_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let nowhere = format!("sqlite://{}/no/such/folder/x.db", folder.path().display());
    let cases: [(&[(&str, &str)], &str); 13] = [
        (&[("PORTICO__SERVER__PORT", "http")], "port"),
        (&[("PORTICO__SERVER__PROT", "1")], "prot"),
        (&[("PORTICO__COLOUR", "red")], "colour"),
        (&[("PORTICO__DATABASE__URL", "mysql://localhost/x")], "database.url"),
        (&[("PORTICO__DATABASE__URL", "postgres://portico:hush-hush@127.0.0.1:1/x")], "database.url"),
        (&[("PORTICO__DATABASE__URL", &nowhere)], "database.url"),
        (&[("PORTICO__STORAGE__URL", "ftp://example.com")], "storage.url"),
        (&[("PORTICO__EMAIL__SMTP_URL", "carrier://pigeon")], "email"),
        (&[("PORTICO__SECURITY__JWT_SECRET", "short")], "jwt_secret"),
        (&[("PORTICO__SECURITY__JWT_SECRET_FILE", "/no/such/file")], "JWT_SECRET_FILE"),
        (&[("PORTICO__WORKER__LEASE", "soon")], "soon"),
        (&[("PORTICO_PROFILE", "production")], "database.url"),
        (&[("PORTICO__SERVER__PORT", &port)], "server.port"),
    ];
    for (settings, named) in cases {
        // A free port, should it start after all; later settings win.
        let settings =
            [&[("PORTICO__SERVER__PORT", "0"), ("PORTICO__SERVER__SHUTDOWN_TIMEOUT", "1s")], settings]
                .concat();
        let output = run(folder.path(), &settings, &[]);
        let (printed, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {printed}{error}");
        assert_eq!(printed, "", "{settings:?}");
        assert_eq!(error.lines().count(), 1, "{settings:?}: {error}");
        assert!(error.starts_with("portico: ") && error.contains(named), "{settings:?}: {error}");
        assert!(!error.contains("hush-hush"), "no secrets: {error}");
    }
}

#[test]
fn a_settings_file_is_read_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portico.toml");
    std::fs::write(&file, "[server]\nport = 8123\n").unwrap();
    let output = run(folder.path(), &[], &["config", "check"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "The settings are valid.\n"));
    assert!(!folder.path().join("data").exists(), "looking changes nothing");
    std::fs::write(&file, "[server]\nport = \"http\n").unwrap();
    let output = run(folder.path(), &[], &["config", "check"]);
    assert_eq!(
        (output.status.code(), text(&output.stderr).lines().count()),
        (Some(2), 1),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn seeding_twice_is_seeding_once() {
    let folder = tempfile::tempdir().unwrap();
    let seed = || {
        let output = run(folder.path(), &[], &["seed"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let first = seed();
    let numbers: Vec<u32> = first.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(matches!(numbers[..], [plans, templates] if plans >= 4 && templates >= 12), "{first}");
    assert_eq!(seed(), "0 plans and 0 templates written.\n");
}

#[test]
fn migrations_go_up_and_down() {
    let folder = tempfile::tempdir().unwrap();
    let migrate = |arguments: &[&str]| {
        let output = run(folder.path(), &[], &[&["migrate"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        let lines = text(&output.stdout);
        lines.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let fresh = migrate(&["status"]);
    assert!(fresh.len() >= 5 && fresh.iter().all(|state| state == "pending"), "{fresh:?}");
    let up = migrate(&["up"]);
    assert!(up.len() == fresh.len() && up.iter().all(|state| state == "applied"), "{up:?}");
    assert_eq!(migrate(&["up"]), up, "twice is once");
    let down = migrate(&["down"]);
    let (last, others) = down.split_last().unwrap();
    assert!(last == "pending" && others.iter().all(|state| state == "applied"), "{down:?}");
    assert_eq!(migrate(&["down", "--steps", "100"]), fresh);
    assert_eq!(migrate(&["up"]), up);
    assert_eq!(migrate(&["status"]), up);
    let output = run(folder.path(), &[], &["seed"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn the_api_document_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    // `openapi` reads no settings.
    let output = run(folder.path(), &[("PORTICO__SERVER__PORT", "http")], &["openapi"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        document["openapi"]
    );
    assert!(document["paths"]["/api/v1/sites/{siteId}/deploy"]["post"].is_object());
}

#[test]
fn unknown_commands_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[], &["fly"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
    assert!(text(&output.stderr).contains("fly"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_makes_the_first_super_admin() {
    let folder = tempfile::tempdir().unwrap();
    let create = |password: &str| {
        let settings = [("PORTICO_ADMIN_PASSWORD", password)];
        run(folder.path(), &settings, &["admin", "create", "--email", "root@example.com"])
    };
    let refused = create("short");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stdout));
    assert!(text(&refused.stderr).contains("at least 8 characters"), "{}", text(&refused.stderr));
    let created = create("Correct-Horse-7");
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    assert!(!text(&created.stdout).contains("Correct-Horse-7"), "a given password is not printed");
    assert_eq!(create("Other-Horse-8").status.code(), Some(0), "again keeps the account and its password");

    let server = Server::start(folder.path(), &[]).await;
    let visitor = Person::visitor(&server);
    let sign_in = json!({"email": "root@example.com", "password": "Correct-Horse-7"});
    let (status, tokens) = visitor.call(Method::POST, "/api/v1/auth/login", Some(sign_in)).await.unwrap();
    assert_eq!((status, &tokens["user"]["role"]), (200, &json!("super_admin")), "{tokens}");
    assert_eq!(tokens["user"]["emailVerified"], true);
}
