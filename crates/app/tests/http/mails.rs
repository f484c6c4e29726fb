//! Which events lead to which mail, to whom, and in which language.

use std::time::Duration;

use portico_kernel::{Event, JobState, NewJob, PageRequest, RequestInfo, Scope, TenantRole};
use portico_testkit::server::{TestServer, eventually};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{Person, change_user, text};

/// Appends an event as if it had happened.
async fn happens(server: &TestServer, kind: &'static str, tenant: &str, resource: Uuid, what: [Value; 2]) {
    let scope = Scope::system(None, RequestInfo { id: "test".into(), ..RequestInfo::default() });
    let [before, after] = what;
    let event = Event::new(
        &server.app.core.env,
        &scope,
        portico_runtime::events::catalogue().find(kind).unwrap(),
        resource,
    )
    .in_tenant(tenant.parse().unwrap())
    .before(&before)
    .after(&after);
    let mut work = server.app.core.begin().await.unwrap();
    work.events().append(event).await.unwrap();
    work.commit().await.unwrap();
}

/// Waits for a mail with a subject.
async fn subject(server: &TestServer, to: &str, subject: &str) -> Value {
    let client = server.client().with("accept", "application/json");
    let mut seen = Vec::new();
    let found = eventually(Duration::from_secs(20), async || {
        let items = client.get(&format!("/dev/mailbox?to={to}")).await.json["items"].as_array()?.clone();
        items.into_iter().find(|mail| mail["subject"] == subject)
    })
    .await;
    if found.is_none() {
        let all = client.get(&format!("/dev/mailbox?to={to}")).await.json;
        seen.extend(all["items"].as_array().into_iter().flatten().map(|mail| text(mail, "subject")));
    }
    found.unwrap_or_else(|| panic!("no mail to {to} with {subject:?}, only {seen:?}"))
}

async fn count(server: &TestServer, to: &str) -> usize {
    let client = server.client().with("accept", "application/json");
    client.get(&format!("/dev/mailbox?to={to}")).await.json["items"].as_array().map_or(0, Vec::len)
}

fn account(person: &Person, verified: bool) -> Value {
    json!({
        "email": person.email, "emailVerified": verified, "fullName": "Ada", "language": "es", "status": "active"
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_an_account_is_told_to_its_owner_in_their_language() {
    TestServer::shared(async |server| {
        let spanish = Person::new(server, server.email("ada"), |user| user.language = "es".into()).await;
        let english = Person::new(server, server.email("bob"), |_| {}).await;
        let user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        for (kind, after, in_spanish, in_english) in [
            (
                "user.new_device",
                json!({"userAgent": user_agent, "address": "192.0.2.7"}),
                "Nuevo inicio de sesión en tu cuenta",
                "New sign-in to your account",
            ),
            (
                "user.totp_added",
                json!(null),
                "Se ha añadido una aplicación de autenticación",
                "An authenticator app was added",
            ),
            (
                "user.totp_removed",
                json!(null),
                "Se ha quitado la aplicación de autenticación",
                "The authenticator app was removed",
            ),
            ("user.passkey_added", json!(null), "Se ha añadido una llave de acceso", "A passkey was added"),
            (
                "user.passkey_removed",
                json!(null),
                "Se ha quitado una llave de acceso",
                "A passkey was removed",
            ),
            (
                "user.recovery_code_used",
                json!(null),
                "Se ha usado un código de recuperación",
                "A recovery code was used",
            ),
            (
                "user.recovery_codes_renewed",
                json!(null),
                "Se han generado códigos de recuperación nuevos",
                "New recovery codes were made",
            ),
            (
                "user.second_factor_reset",
                json!(null),
                "Se han quitado tus segundos factores",
                "Your second factors were removed",
            ),
            (
                "user.identity_linked",
                json!({"provider": "Google"}),
                "Ya se puede entrar en tu cuenta con Google",
                "Google can sign in to your account",
            ),
            ("user.suspended", json!(null), "Tu cuenta está suspendida", "Your account is suspended"),
            (
                "user.reinstated",
                json!(null),
                "Tu cuenta vuelve a estar en uso",
                "Your account is in use again",
            ),
            ("user.deleted", json!(null), "Tu cuenta se ha eliminado", "Your account was deleted"),
            ("user.password_changed", json!(null), "Tu contraseña ha cambiado", "Your password was changed"),
        ] {
            for (person, expected) in [(&spanish, in_spanish), (&english, in_english)] {
                let mut before = account(person, true);
                before["language"] = json!(if expected == in_spanish { "es" } else { "en" });
                let (tenant, id) = (&person.client.tenant, person.claims.user.uuid());
                happens(server, kind, tenant, id, [before, after.clone()]).await;
                let mail = subject(server, &person.email, expected).await;
                if kind == "user.new_device" {
                    for part in ["Firefox, Linux", "192.0.2.7", "UTC"] {
                        assert!(
                            text(&mail, "text").contains(part) && text(&mail, "html").contains(part),
                            "{mail}"
                        );
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_proven_hears_nothing_of_what_others_do() {
    TestServer::shared(async |server| {
        let person = Person::new(server, server.email("ada"), |user| user.email_verified = false).await;
        let witness = Person::new(server, server.email("bob"), |_| {}).await;
        settled(server, &witness).await;
        let before = count(server, &person.email).await;
        for kind in ["user.totp_added", "user.suspended", "user.deleted", "user.new_device"] {
            let (tenant, id) = (&person.client.tenant, person.claims.user.uuid());
            happens(server, kind, tenant, id, [account(&person, false), json!(null)]).await;
        }
        let (tenant, id) = (&person.client.tenant, server.app.core.env.random_uuid());
        happens(server, "api_key.created", tenant, id, [json!(null), json!({"name": "Shop"})]).await;
        happens(server, "user.totp_added", tenant, witness.claims.user.uuid(), [json!(null), json!(null)])
            .await;
        subject(server, &witness.email, "An authenticator app was added").await;
        idle(server).await;
        assert_eq!(count(server, &person.email).await, before);
    })
    .await;
}

/// Waits until all that has happened so far has led to its mails. Events are read in their order, so those before one
/// whose mail is there have been read.
pub async fn settled(server: &TestServer, witness: &Person) {
    let id = witness.claims.user.uuid();
    happens(server, "user.passkey_removed", &witness.client.tenant, id, [json!(null), json!(null)]).await;
    subject(server, &witness.email, "A passkey was removed").await;
    idle(server).await;
}

/// Waits until no job is queued or running.
async fn idle(server: &TestServer) {
    let idle = eventually(Duration::from_secs(20), async || {
        let figures = server.app.core.jobs.figures(server.app.core.env.now()).await.unwrap();
        (figures.queued + figures.running == 0).then_some(())
    });
    idle.await.expect("the work ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_tenant_is_told_to_every_owner_and_nobody_else() {
    TestServer::shared(async |server| {
        let first = Person::new(server, server.email("ada"), |user| user.language = "es".into()).await;
        let second = Person::new(server, server.email("bob"), |_| {}).await;
        let admin = Person::new(server, server.email("eve"), |_| {}).await;
        let gone = Person::new(server, server.email("zoe"), |_| {}).await;
        let tenant = first.client.tenant.clone();
        first.client.put(&first.client.t(""), json!({"name": "Engines & Co"})).await.expect(200);
        first
            .client
            .put(&first.client.t("/branding"), json!({"colors": {"primary": "#aa0033"}}))
            .await
            .expect(200);
        second.join(server, &tenant, TenantRole::Owner).await;
        admin.join(server, &tenant, TenantRole::Admin).await;
        gone.join(server, &tenant, TenantRole::Owner).await;
        change_user(server, &gone.claims, |user| user.status = portico_identity::user::UserStatus::Suspended)
            .await;
        settled(server, &second).await;
        let before = (count(server, &admin.email).await, count(server, &gone.email).await);
        let key = server.app.core.env.random_uuid();
        let id: Uuid = tenant.parse().unwrap();
        for (kind, resource, after, in_spanish, in_english) in [
            (
                "api_key.created",
                key,
                json!({"name": "Shop"}),
                "Una clave de API nueva para Engines & Co",
                "A new API key for Engines & Co",
            ),
            (
                "api_key.new_address",
                key,
                json!({"name": "Shop", "address": "192.0.2.7"}),
                "Una clave de API de Engines & Co se ha usado desde una dirección nueva",
                "An API key of Engines & Co was used from a new address",
            ),
            (
                "api_key.refusals",
                key,
                json!({"name": "Shop", "count": 120}),
                "Se han rechazado muchas llamadas con una clave de API de Engines & Co",
                "Many calls with an API key of Engines & Co were refused",
            ),
            (
                "tenant.suspended",
                id,
                json!(null),
                "Engines & Co está en suspenso",
                "Engines & Co is suspended",
            ),
            (
                "tenant.reinstated",
                id,
                json!(null),
                "Engines & Co vuelve a estar en uso",
                "Engines & Co is in use again",
            ),
            (
                "tenant.deletion_scheduled",
                id,
                json!({"deleteAt": "2026-12-24T18:05:00Z"}),
                "Engines & Co se va a eliminar",
                "Engines & Co will be deleted",
            ),
            (
                "usage.warning",
                id,
                json!({
                    "tenantId": id, "meter": "ai_generations", "used": 8, "limit": 10, "unit": "count",
                    "periodStart": "2026-11-24T18:05:00Z", "periodEnd": "2026-12-24T18:05:00Z",
                    "resetsAt": "2026-12-24T18:05:00Z",
                }),
                "Engines & Co ha usado casi todo su límite: textos de IA",
                "Engines & Co has used most of its limit: AI generations",
            ),
            (
                "usage.exhausted",
                id,
                json!({
                    "tenantId": id, "meter": "sites", "used": 3, "limit": 3, "unit": "count",
                    "periodStart": "2026-11-24T18:05:00Z", "periodEnd": "2026-12-24T18:05:00Z", "resetsAt": null,
                }),
                "Engines & Co ha llegado a su límite: sitios",
                "Engines & Co has reached its limit: sites",
            ),
            (
                "usage.over_limit",
                id,
                json!({
                    "tenantId": id, "meter": "sites", "used": 3, "limit": 1, "readOnlyAt": "2026-12-24T18:05:00Z",
                }),
                "Engines & Co tiene más sitios de los que incluye su plan",
                "Engines & Co has more sites than its plan includes",
            ),
        ] {
            happens(server, kind, &tenant, resource, [json!(null), after]).await;
            let spanish = subject(server, &first.email, in_spanish).await;
            let english = subject(server, &second.email, in_english).await;
            // Mails of a tenant have its branding; those about what the operator does to it have the operator's.
            let branded = kind.starts_with("api_key.");
            for mail in [&spanish, &english] {
                assert_eq!(text(mail, "html").contains("#aa0033"), branded, "{kind}");
            }
            if kind == "tenant.deletion_scheduled" {
                assert!(
                    text(&spanish, "text").contains("el 24 de diciembre de 2026, 18:05 UTC"),
                    "{spanish}"
                );
                assert!(text(&english, "text").contains("on 24 December 2026, 18:05 UTC"), "{english}");
            }
        }
        idle(server).await;
        assert_eq!((count(server, &admin.email).await, count(server, &gone.email).await), before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_becomes_an_owner_is_told() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let heir = Person::new(server, server.email("bob"), |_| {}).await;
        ada.client.put(&ada.client.t(""), json!({"name": "Engines"})).await.expect(200);
        let role = |role: &str| json!({"userId": heir.claims.user, "role": role});
        let (tenant, id) = (&ada.client.tenant, heir.claims.user.uuid());
        happens(server, "member.updated", tenant, id, [role("viewer"), role("owner")]).await;
        let mail = subject(server, &heir.email, "You are an owner of Engines now").await;
        assert!(text(&mail, "html").contains("on behalf of Engines"), "{mail}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_twice_sends_one_message() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        settled(server, &ada).await;
        let before = count(server, &ada.email).await;
        // The same job again, as after a worker that died between sending the mail and completing the job.
        let job = NewJob {
            id: server.app.core.env.new_id(),
            kind: "email.notice_to_owners",
            payload: json!({"notice": {"tenant": {"what": "key_created", "key": "Shop"}}}),
            tenant: ada.client.tenant.parse().unwrap(),
            run_at: server.app.core.env.now(),
            max_attempts: 3,
            request_id: "test".to_owned(),
        };
        for _ in 0..3 {
            let mut work = server.app.core.begin().await.unwrap();
            work.jobs().enqueue(job.clone()).await.unwrap();
            work.commit().await.unwrap();
            server.app.core.signals.jobs.notify_one();
            idle(server).await;
        }
        assert_eq!(count(server, &ada.email).await, before + 1);
        let page = PageRequest { page: 1, limit: 100 };
        let dead = server.app.core.jobs.list(Some(JobState::Dead), page).await.unwrap();
        assert_eq!(dead.total, 0, "{dead:?}");
    })
    .await;
}
