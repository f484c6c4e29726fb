//! Links to files: signed, for a time, and for those who may read them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn links_work_for_what_they_are_for_and_no_longer() {
    let server = TestServer::start().await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let bob = Person::new(&server, server.email("bob"), |_| {}).await;
    let one = uploaded(&ada.client, "a.png", &png(400, 400, 0)).await;
    let other = uploaded(&ada.client, "b.pdf", PDF).await;
    let (link, thumbnail) = (path(&server, &one["url"]), path(&server, &one["thumbnails"][0]["url"]));
    let anonymous = server.client();
    assert_eq!(anonymous.get(&link).await.header("content-type"), "image/png");
    let again = ada.client.get(&ada.client.t(&format!("/assets/{}", text(&one, "id")))).await.expect(200);
    assert_eq!(path(&server, &again["url"]), link, "a browser that has it keeps it");

    let (address, query) = link.split_once('?').unwrap();
    let expires: i64 = query.split('&').find_map(|p| p.strip_prefix("expires=")?.parse().ok()).unwrap();
    let thumbnail_query = thumbnail.split_once('?').unwrap().1;
    let tenant = &ada.client.tenant;
    let expired = Timestamp::from_unix_seconds(server.app.core.env.now().unix_seconds() - 1).unwrap();
    let payload = format!("{tenant}/{}/original", text(&one, "id"));
    let signed_late = server.app.api.signer.sign("asset", &payload, expired);
    let foreign =
        server.app.api.signer.sign("preview", &payload, Timestamp::from_unix_seconds(expires).unwrap());
    for wrong in [
        address.to_owned(),
        format!("{address}?expires={expires}"),
        format!("{address}?{query}x"),
        format!("{address}?{}", query.replace(&expires.to_string(), &(expires + 1).to_string())),
        format!("{address}?{thumbnail_query}"),
        format!("{address}?expires={}&signature={signed_late}", expired.unix_seconds()),
        format!("{address}?expires={expires}&signature={foreign}"),
        format!("{address}?expires={}&signature=AA", i64::MAX),
        link.replace("/original", "/320"),
        link.replace(&text(&one, "id"), &text(&other, "id")),
        link.replace(tenant, &bob.client.tenant),
        link.replace(tenant, "none"),
    ] {
        assert_eq!(anonymous.get(&wrong).await.status.as_u16(), 404, "{wrong}");
    }
    let climbing = link.replace("/original", "/..%2Foriginal");
    assert_eq!(anonymous.get(&climbing).await.expect(400)["code"], "invalid_path");
    assert_eq!(anonymous.get(&format!("{address}?expires=soon&signature=x")).await.status.as_u16(), 422);

    // Again, and in parts.
    let document = path(&server, &other["url"]);
    let tag = anonymous.get(&document).await.header("etag").to_owned();
    let kept = anonymous.with("if-none-match", &tag).get(&document).await;
    assert_eq!((kept.status.as_u16(), kept.text.as_str(), kept.header("etag")), (304, "", tag.as_str()));
    let length = PDF.len();
    for (range, status, content_range, content) in [
        ("bytes=0-4", 206, format!("bytes 0-4/{length}"), &PDF[..5]),
        ("bytes=-6", 206, format!("bytes {}-{}/{length}", length - 6, length - 1), &PDF[length - 6..]),
        ("bytes=9999-", 200, String::new(), PDF),
        ("bytes=0-1,3-4", 200, String::new(), PDF),
        ("lines=1-2", 200, String::new(), PDF),
    ] {
        let part = anonymous.with("range", range).with("accept-encoding", "gzip").get(&document).await;
        let found = (part.status.as_u16(), part.header("content-range"), part.text.as_bytes());
        assert_eq!(found, (status, content_range.as_str(), content), "{range}");
    }
    let stale = anonymous.with("range", "bytes=0-4").with("if-range", "\"other\"").get(&document).await;
    assert_eq!(stale.status.as_u16(), 200);

    // One that is sent in many pieces.
    let filler: String = (0..60_000).map(|number| format!("% {number}\n")).collect();
    let long = [&PDF[..9], filler.as_bytes(), &PDF[9..]].concat();
    let uploaded = uploaded(&ada.client, "long.pdf", &long).await;
    let document = path(&server, &uploaded["url"]);
    let whole = anonymous.get(&document).await;
    assert_eq!(whole.header("content-length"), long.len().to_string());
    assert!(whole.text.as_bytes() == long);
    let part = anonymous.with("range", "bytes=65530-300000").get(&document).await;
    assert_eq!((part.status.as_u16(), part.header("content-length")), (206, "234471"));
    assert!(part.text.as_bytes() == &long[65_530..=300_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_keys_do_what_their_permissions_say() {
    let server = TestServer::start().await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let one = uploaded(&ada.client, "a.pdf", PDF).await;
    let address = ada.client.t(&format!("/assets/{}", text(&one, "id")));
    let mut viewer = Person::new(&server, server.email("vera"), |_| {}).await;
    viewer.join(&server, &ada.client.tenant, TenantRole::Viewer).await;
    viewer.client.tenant = ada.client.tenant.clone();
    let key = json!({"name": "reader", "permissions": ["assets:read"]});
    let key = text(&ada.client.post(&ada.client.t("/api-keys"), key).await.expect(201), "key");
    let mut keyed = server.client().with("x-api-key", &key);
    keyed.tenant = ada.client.tenant.clone();
    for client in [&viewer.client, &keyed] {
        client.get(&address).await.expect(200);
        client.get(&client.t("/assets")).await.expect(200);
        assert_eq!(upload(client, &[("b.pdf", PDF)]).await.expect(403)["code"], "forbidden");
        client.put(&address, json!({"filename": "x.pdf"})).await.expect(403);
        client.delete(&address).await.expect(403);
        client.post_empty(&format!("{address}/restore")).await.expect(403);
    }
    let stranger = Person::new(&server, server.email("sam"), |_| {}).await;
    stranger.client.get(&address).await.expect(404);
    let mut theirs = stranger.client.clone();
    let own = theirs.t(&format!("/assets/{}", text(&one, "id")));
    theirs.get(&own).await.expect(404);
    theirs.delete(&own).await.expect(404);
    theirs.tenant = ada.client.tenant.clone();
    upload(&theirs, &[("b.pdf", PDF)]).await.expect(404);
    assert_eq!(used(&ada.client).await, size(&one));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_end_with_the_suspension_of_their_tenant_on_every_instance() {
    TestServer::on_each_database(async |one| {
        let other = one.another_instance().await;
        let client = one.customer("ada@example.com").await;
        let root = Person::new(one, "root@example.org", |user| user.role = PlatformRole::SuperAdmin).await;
        let picture = uploaded(&client, "a.png", &png(500, 300, 1)).await;
        let mut links = vec![path(one, &picture["url"])];
        links.extend(picture["thumbnails"].as_array().unwrap().iter().map(|copy| path(one, &copy["url"])));
        assert!(links.len() > 1, "{picture}");
        let answered = async |status: u16| {
            for server in [one, &other] {
                for link in &links {
                    let answer = server.client().get(link).await;
                    assert_eq!(answer.status.as_u16(), status, "{link}");
                    let tag = server.client().with("if-none-match", "*").get(link).await;
                    assert!(status == 200 || tag.status == 404, "{link}: {}", tag.status);
                }
            }
        };
        answered(200).await;
        root.client.post(&client.t("/suspend"), json!({"reason": "Unpaid"})).await.expect(200);
        answered(404).await;
        root.client.post_empty(&client.t("/reinstate")).await.expect(200);
        answered(200).await;
        client.delete(&client.t(&format!("/assets/{}", text(&picture, "id")))).await.expect(204);
        answered(404).await;
        other.stop().await;
    })
    .await;
}
