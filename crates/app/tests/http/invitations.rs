//! Invitations, from the message to the membership.

use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::{Answer, Client, TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    members::impersonated,
    tenancy::member,
};

const ACCEPT: &str = "/api/v1/invitations/accept";
const DECLINE: &str = "/api/v1/invitations/decline";
const LOOKUP: &str = "/api/v1/invitations/lookup";

async fn invite(client: &Client, email: &str, role: &str) -> Answer {
    client.post(&client.t("/invitations"), json!({"email": email, "role": role})).await
}

/// Invites, and returns the id and the token of the link.
async fn invited(server: &TestServer, client: &Client, email: &str, role: &str) -> (String, String) {
    let made = invite(client, email, role).await.expect(201);
    (text(&made, "id"), server.mail_token(email, "accept-invitation").await)
}

/// Lets the time of an invitation be over.
async fn expire(server: &TestServer, tenant: &str, id: &str) {
    let (tenant, id, now) = (tenant.parse().unwrap(), id.parse().unwrap(), server.app.core.env.now());
    let mut work = server.app.core.begin().await.unwrap();
    let mut found = work.invitations().find(tenant, id, now).await.unwrap().unwrap();
    let hash = server.app.identity.tokens.digest(&server.app.core.env.secret());
    found.expires_at = now - time::Duration::seconds(1);
    assert!(work.invitations().renew(&found).await.unwrap());
    assert!(!work.invitations().set_token(tenant, id, hash, now).await.unwrap());
    work.commit().await.unwrap();
}

async fn events(client: &Client, kind: &str) -> Vec<Value> {
    let trail = client.get(&client.t(&format!("/audit?type={kind}"))).await.expect(200);
    trail["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_new_is_invited_registers_and_joins_with_the_link() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        ada.put("/api/v1/profile", json!({"fullName": "Ada Lovelace", "language": "es"})).await.expect(200);
        ada.put(&ada.t(""), json!({"name": "Acme Bakery"})).await.expect(200);
        let answer = invite(&ada, &server.email("Grace").replace("example", "Example"), "editor").await;
        let location = answer.header("location").to_owned();
        let made = answer.expect(201);
        assert_eq!(location, ada.t(&format!("/invitations/{}", text(&made, "id"))));
        assert_eq!((&made["email"], &made["role"]), (&json!(server.email("grace")), &json!("editor")));
        assert_eq!(
            (&made["status"], &made["language"]),
            (&json!("pending"), &json!("es")),
            "that of the inviter"
        );
        assert_eq!(ada.get(&location).await.expect(200), made);
        let mail = server.mail(server.email("grace"), "accept-invitation?token=").await;
        // The recipient has not chosen to get mail from them, so their names are not in it.
        let subdomain = ada.get(&ada.t("")).await.expect(200)["subdomain"].as_str().unwrap().to_owned();
        assert!(mail.contains(server.email("ada")) && mail.contains(&subdomain), "{mail}");
        assert!(!mail.contains("Lovelace") && !mail.contains("Bakery"), "{mail}");
        let token = server.mail_token(server.email("grace"), "accept-invitation").await;
        assert!(
            !made.to_string().contains(&token)
                && !ada.get(&ada.t("/audit?limit=100")).await.text.contains(&token)
        );

        // Before there is an account.
        let preview = server.client().post(LOOKUP, json!({"token": token})).await.expect(200);
        assert_eq!(preview["tenantName"], "Acme Bakery");
        assert_eq!(
            (&preview["inviter"], &preview["email"]),
            (&json!("Ada Lovelace"), &json!(format!("g…@{}", server.domain())))
        );
        assert_eq!((&preview["role"], &preview["expiresAt"]), (&json!("editor"), &made["expiresAt"]));
        server.client().post(ACCEPT, json!({"token": token})).await.expect(401);

        let grace = server.unverified(server.email("grace")).await;
        let joined = grace.post(ACCEPT, json!({"token": token})).await.expect(200);
        assert_eq!((&joined["tenantId"], &joined["role"]), (&json!(ada.tenant), &json!("editor")));
        let profile = grace.get("/api/v1/profile").await.expect(200);
        assert_eq!(profile["emailVerified"], true, "who read the message reads the mail of the address");
        assert_eq!(profile["tenants"][1]["name"], "Acme Bakery");
        grace.get(&ada.t("/settings")).await.expect(200);
        assert_eq!(ada.get(&location).await.expect(200)["status"], "accepted");
        assert_eq!(grace.post(ACCEPT, json!({"token": token})).await.expect(422)["code"], "invalid_token");
        server.client().post(LOOKUP, json!({"token": token})).await.expect(422);
        assert_eq!(ada.delete(&location).await.expect(409)["code"], "invitation_closed");
        assert_eq!(
            ada.post_empty(&format!("{location}/resend")).await.expect(409)["code"],
            "invitation_closed"
        );

        let accepted = &events(&ada, "invitation.accepted").await[0];
        assert_eq!(
            accepted["after"]["email"],
            format!("g…@{}", server.domain()),
            "the trail cannot forget, so it does not know"
        );
        assert_eq!(accepted["resource"]["id"], made["id"]);
        assert_eq!(events(&ada, "member.created").await.len(), 2);
        assert_eq!(events(&ada, "invitation.created").await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_for_its_address_only() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (_, token) = invited(server, &ada, server.email("grace"), "viewer").await;
        let eve = server.customer(server.email("eve")).await;
        let wrong = eve.post(ACCEPT, json!({"token": token})).await.expect(403);
        assert_eq!(wrong["code"], "wrong_account");
        eve.get(&ada.t("")).await.expect(404);
        // A user who claims the address, while another account has verified it.
        let claimant = server.unverified(server.email("grace")).await;
        let grace = Person::new(server, server.email("grace"), |_| {}).await;
        assert_eq!(claimant.post(ACCEPT, json!({"token": token})).await.expect(403)["code"], "wrong_account");
        assert_eq!(claimant.get("/api/v1/invitations").await.expect(200)["total"], 0, "nothing is proven");
        claimant.get(&ada.t("")).await.expect(404);

        let staff = Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await;
        let acting = impersonated(server, &grace, &staff).await;
        assert_eq!(acting.post(ACCEPT, json!({"token": token})).await.expect(403)["code"], "impersonated");
        for (path, body) in
            [(ACCEPT, json!({})), (LOOKUP, json!({"token": ""})), (DECLINE, json!({"token": 7}))]
        {
            assert_eq!(grace.client.post(path, body).await.fields(), ["token"], "{path}");
        }
        for path in [ACCEPT, LOOKUP, DECLINE] {
            let unknown = grace.client.post(path, json!({"token": "never-was-one"})).await.expect(422);
            assert_eq!(unknown["code"], "invalid_token", "{path}");
        }
        grace.client.post(ACCEPT, json!({"token": token})).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_invitations_are_listed_accepted_and_declined_without_the_link() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let bob = server.customer(server.email("bob")).await;
        let grace = server.customer(server.email("grace")).await;
        let first = text(&invite(&ada, server.email("grace"), "viewer").await.expect(201), "id");
        let second = text(&invite(&bob, server.email("grace"), "admin").await.expect(201), "id");
        let others = text(&invite(&bob, server.email("henry"), "admin").await.expect(201), "id");
        let list = grace.get("/api/v1/invitations").await.expect(200);
        assert_eq!(list["total"], 2);
        assert_eq!(
            (&list["items"][0]["id"], &list["items"][0]["tenantId"]),
            (&json!(second), &json!(bob.tenant))
        );
        assert_eq!(list["items"][1]["inviter"], "Test Person");
        assert_eq!(
            grace.get("/api/v1/invitations?limit=1&page=2").await.expect(200)["items"][0]["id"],
            first
        );
        let act = async |client: &Client, id: &str, what: &str| {
            client.post_empty(&format!("/api/v1/invitations/{id}/{what}")).await
        };
        act(&grace, &others, "accept").await.expect(404);
        act(&grace, &others, "decline").await.expect(404);
        let unverified = server.unverified(server.email("henry")).await;
        assert_eq!(act(&unverified, &others, "accept").await.expect(403)["code"], "email_unverified");
        act(&grace, &first, "accept").await.expect(200);
        act(&grace, &second, "decline").await.expect(204);
        act(&grace, &second, "accept").await.expect(404);
        grace.get(&ada.t("")).await.expect(200);
        grace.get(&bob.t("")).await.expect(404);
        assert_eq!(grace.get("/api/v1/invitations").await.expect(200)["total"], 0);
        let declined = bob.get(&bob.t("/invitations?status=declined")).await.expect(200);
        assert_eq!((&declined["total"], &declined["items"][0]["id"]), (&json!(1), &json!(second)));
        assert_eq!(events(&bob, "invitation.declined").await.len(), 1);
        // A declined address can be asked again; one of a member cannot.
        invite(&bob, server.email("grace"), "viewer").await.expect(201);
        assert_eq!(invite(&ada, server.email("grace"), "viewer").await.expect(409)["code"], "already_member");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_dies_when_it_is_sent_again_revoked_declined_or_old() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let dead = async |token: &str| {
            let answer = server.client().post(LOOKUP, json!({"token": token})).await;
            assert_eq!(answer.expect(422)["code"], "invalid_token");
        };
        let (id, first) = invited(server, &ada, server.email("grace"), "viewer").await;
        let path = ada.t(&format!("/invitations/{id}"));
        let sent = ada.post_empty(&format!("{path}/resend")).await.expect(200);
        assert_eq!((&sent["id"], &sent["status"]), (&json!(id), &json!("pending")));
        dead(&first).await;
        let second = fresh_token(server, server.email("grace"), &first).await;
        server.client().post(LOOKUP, json!({"token": second})).await.expect(200);
        expire(server, &ada.tenant, &id).await;
        dead(&second).await;
        assert_eq!(ada.get(&path).await.expect(200)["status"], "expired");
        assert_eq!(ada.get(&ada.t("/invitations?status=expired")).await.expect(200)["total"], 1);
        assert_eq!(ada.get(&ada.t("/invitations?status=pending")).await.expect(200)["total"], 0);
        ada.delete(&path).await.expect(204);
        assert_eq!(ada.get(&path).await.expect(200)["status"], "expired", "nothing to revoke");
        ada.post_empty(&format!("{path}/resend")).await.expect(200);
        assert_eq!(ada.get(&path).await.expect(200)["status"], "pending", "an expired one can be sent again");
        ada.delete(&path).await.expect(204);
        assert_eq!(ada.get(&path).await.expect(200)["status"], "revoked");
        assert_eq!(ada.post_empty(&format!("{path}/resend")).await.expect(409)["code"], "invitation_closed");

        let (_, token) = invited(server, &ada, server.email("henry"), "viewer").await;
        server.client().post(DECLINE, json!({"token": token})).await.expect(204);
        dead(&token).await;
        server.client().post(DECLINE, json!({"token": token})).await.expect(422);
        for (kind, count) in [("invitation.resent", 2), ("invitation.revoked", 1), ("invitation.declined", 1)]
        {
            assert_eq!(events(&ada, kind).await.len(), count, "{kind}");
        }
    })
    .await;
}

/// The token of a message that came after the one with `old`.
async fn fresh_token(server: &TestServer, email: &str, old: &str) -> String {
    let found = portico_testkit::server::eventually(std::time::Duration::from_secs(20), async || {
        let token = server.mail_token(email, "accept-invitation").await;
        (token != old).then_some(token)
    })
    .await;
    found.expect("another message")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_invitation_is_made_and_accepted_once() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let grace = server.email("grace");
        let answers = at_once(8, |_| {
            let ada = ada.clone();
            async move { invite(&ada, grace, "viewer").await }
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        let refused = answers.iter().filter(|answer| answer.json["code"] == "already_invited").count();
        assert_eq!((made, refused), (1, 7), "{answers:?}");
        let token = server.mail_token(server.email("grace"), "accept-invitation").await;
        let grace = server.unverified(server.email("grace")).await;
        let answers = at_once(8, |_| {
            let (grace, token) = (grace.clone(), token.clone());
            async move { grace.post(ACCEPT, json!({"token": token})).await }
        })
        .await;
        let joined = answers.iter().filter(|answer| answer.status.as_u16() == 200).count();
        assert_eq!(joined, 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.status.as_u16() != 200) {
            assert!(matches!(answer.status.as_u16(), 409 | 422), "{answer:?}");
        }
        assert_eq!(ada.get(&ada.t("/members")).await.expect(200)["total"], 2);
        assert_eq!(events(&ada, "member.created").await.len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_invites_is_verified_may_go_as_far_and_is_bounded() {
    TestServer::on_each_database(async |server| {
        let ada = server.unverified(server.email("ada")).await;
        assert_eq!(invite(&ada, server.email("x"), "viewer").await.expect(403)["code"], "email_unverified");
        let owner = Person::new(server, server.email("owner"), |_| {}).await.client;
        let admin = member(server, server.email("admin"), &owner.tenant, TenantRole::Admin).await;
        let editor = member(server, server.email("editor"), &owner.tenant, TenantRole::Editor).await;
        let there = |client: &Client| {
            let mut client = client.clone();
            client.tenant = owner.tenant.clone();
            client
        };
        assert_eq!(
            invite(&there(&editor), server.email("x"), "viewer").await.expect(403)["code"],
            "forbidden"
        );
        editor.get(&owner.t("/invitations")).await.expect(403);
        assert_eq!(invite(&there(&admin), server.email("x"), "owner").await.expect(403)["code"], "forbidden");
        let id = text(&invite(&owner, server.email("x"), "owner").await.expect(201), "id");
        let resend = owner.t(&format!("/invitations/{id}/resend"));
        assert_eq!(admin.post_empty(&resend).await.expect(403)["code"], "forbidden");
        let wrong = owner.post(&owner.t("/invitations"), json!({"email": "no", "language": "tlh"})).await;
        assert_eq!(
            (wrong.status.as_u16(), wrong.fields()),
            (422, ["email", "language", "role"].map(str::to_owned).to_vec())
        );
        // Whether an address has an account makes no difference.
        server.customer(server.email("known")).await;
        let known = invite(&owner, server.email("known"), "viewer").await.expect(201);
        let unknown = invite(&owner, server.email("unknown"), "viewer").await.expect(201);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&known), keys(&unknown));

        // Another tenant's invitations are not there.
        let other = server.customer(server.email("eve")).await;
        for path in ["", "/resend"] {
            let path = other.t(&format!("/invitations/{id}{path}"));
            let answer =
                if path.ends_with("resend") { other.post_empty(&path).await } else { other.get(&path).await };
            assert_eq!(answer.status.as_u16(), 404, "{path}");
        }
        other.delete(&other.t(&format!("/invitations/{id}"))).await.expect(404);

        let answers = at_once(60, |number| {
            let (owner, email) = (owner.clone(), server.email(&format!("crowd{number}")));
            async move { invite(&owner, email, "viewer").await }
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        assert_eq!(made, 47, "three were open already, and fifty may be");
        assert!(answers.iter().all(|a| a.status.as_u16() == 201 || a.json["code"] == "too_many_invitations"));
        // Fifty were sent; so fifty more may be today.
        let mut resent = 0;
        while owner.post_empty(&resend).await.status.as_u16() == 200 {
            resent += 1;
            assert!(resent <= 50, "no end to it");
        }
        assert_eq!(resent, 50);
        let last = owner.post_empty(&resend).await.expect(409);
        assert_eq!(last["code"], "too_many_invitations");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_leaves_no_open_invitation_behind() {
    TestServer::shared(async |server| {
        let owner = Person::new(server, server.email("owner"), |_| {}).await.client;
        let admin = Person::new(server, server.email("admin"), |_| {}).await;
        admin.join(server, &owner.tenant, TenantRole::Admin).await;
        let mut inviter = admin.client.clone();
        inviter.tenant = owner.tenant.clone();
        let (id, token) = invited(server, &inviter, server.email("accomplice"), "admin").await;
        owner.delete(&owner.t(&format!("/members/{}", admin.claims.user))).await.expect(204);
        let path = owner.t(&format!("/invitations/{id}"));
        assert_eq!(owner.get(&path).await.expect(200)["status"], "revoked");
        let accomplice = server.unverified(server.email("accomplice")).await;
        accomplice.post(ACCEPT, json!({"token": token})).await.expect(422);
        assert_eq!(events(&owner, "invitation.revoked").await.len(), 1);
    })
    .await;
}
