//! Templates: found, shown, applied within the plan, compared, and gone back to.

use std::collections::BTreeSet;

use portico_billing::plan::catalogue;
use portico_feature_sites::flows::templates as library;
use portico_kernel::{Meter, PlatformRole};
use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    sites::{allow_sites, column, events, site},
    wizard,
};

/// What staff would send.
fn input(name: &str) -> Value {
    json!({
        "name": name, "category": "food-and-drink", "industry": "bakery", "description": "For bakeries.",
        "look": {"style": "playful"},
        "pages": [
            {"key": "home", "title": "Welcome", "seoTitle": "Bread", "sections": [
                {"key": "hero", "type": "hero", "content": {"heading": "Warm bread"}},
                {"key": "why", "type": "features", "content": {"items": [{"title": "One"}, {"title": "Two"}]}},
            ]},
            {"key": "about", "title": "About us", "sections": [
                {"key": "story", "type": "text", "content": {"html": "<p>Since 1958.</p>"}},
            ]},
        ],
    })
}

pub async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

/// Lets the free plan have premium templates and so many sites.
async fn allow_premium(server: &TestServer, sites: u64) {
    let mut plan = catalogue().swap_remove(0);
    plan.premium_templates = true;
    plan.limits.insert(Meter::Sites, sites);
    let mut work = server.app.core.begin().await.unwrap();
    work.plans().upsert(&plan).await.unwrap();
    work.commit().await.unwrap();
}

async fn popularity(client: &Client, template: &str) -> i64 {
    let template = client.get(&format!("/api/v1/templates/{template}")).await.expect(200);
    template["popularity"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_for_everybody() {
    TestServer::on_each_database(async |server| {
        let anonymous = server.client();
        let list = async |query: &str| anonymous.get(&format!("/api/v1/templates{query}")).await.expect(200);
        let all = list("?limit=100").await;
        let total = all["total"].as_u64().unwrap();
        assert!(total >= 12, "{total} templates");
        let industries: BTreeSet<String> = column(&all, "industry").into_iter().collect();
        assert!(industries.len() >= 6, "{industries:?}");
        assert!(all["items"].as_array().unwrap().iter().all(|item| item["pages"][0]["sections"].is_null()));
        let mut by_name = column(&all, "name");
        by_name.sort_by_key(|name| name.to_lowercase());
        assert_eq!(column(&all, "name"), by_name, "by name where nothing else is asked for");

        for query in ["?industry=bakery", "/industry/bakery", "?premium=false&industry=bakery"] {
            let found = list(query).await;
            let all_bakeries = column(&found, "industry").iter().all(|industry| industry == "bakery");
            assert!(found["total"].as_u64() > Some(0) && all_bakeries, "{query}: {found}");
        }
        let featured = list("/featured").await;
        assert!(featured["total"].as_u64() > Some(0), "{featured}");
        assert!(column(&featured, "isFeatured").iter().all(|featured| featured == "true"));
        assert_eq!(list("?featured=true").await["total"], featured["total"]);
        assert_eq!(
            list("?premium=true").await["total"].as_u64().unwrap()
                + list("?premium=false").await["total"].as_u64().unwrap(),
            total
        );
        let categories = list("/categories").await;
        let counted: u64 =
            categories["items"].as_array().unwrap().iter().map(|c| c["templates"].as_u64().unwrap()).sum();
        assert_eq!(counted, total);
        let first = text(&categories["items"][0], "category");
        assert_eq!(list(&format!("?category={first}")).await["total"], categories["items"][0]["templates"]);
        let industries = anonymous.get("/api/v1/industries").await.expect(200);
        let bakery = industries["items"].as_array().unwrap().iter().find(|i| i["id"] == "bakery").unwrap();
        assert_eq!((&bakery["nameEs"], &bakery["schemaType"]), (&json!("Panadería"), &json!("Bakery")));
        assert_eq!(bakery["templates"], list("?industry=bakery").await["total"]);
        let page = list("?limit=5&page=2&sort=-createdAt").await;
        assert_eq!((page["items"].as_array().unwrap().len(), &page["page"]), (5, &json!(2)));

        let slug = text(&all["items"][0], "slug");
        let answer = anonymous.get(&format!("/api/v1/templates/{slug}")).await;
        let tag = answer.header("etag").to_owned();
        let template = answer.expect(200);
        assert_eq!(template["id"], all["items"][0]["id"]);
        assert!(template["pages"][0]["sections"][0]["content"].is_object());
        let path = format!("/api/v1/templates/{}", text(&template, "id"));
        assert_eq!(anonymous.with("if-none-match", &tag).get(&path).await.status.as_u16(), 304);
        for (path, same) in [
            (format!("/customer/templates/{slug}"), &template),
            (format!("/api/templates/{slug}"), &template),
            ("/customer/templates/categories".to_owned(), &categories),
            ("/api/industries".to_owned(), &industries),
        ] {
            assert_eq!(&anonymous.get(&path).await.expect(200), same, "{path}");
        }
        for (path, status, field) in [
            ("?colour=red", 422, "colour"),
            ("?sort=color", 422, "sort"),
            ("?industry=witchcraft", 422, "industry"),
            ("?featured=maybe&limit=0", 422, "featured"),
            ("/popular?sort=name", 422, "sort"),
            ("/industry/witchcraft", 404, ""),
            ("/no-such-template", 404, ""),
            ("/00000000-0000-7000-8000-000000000000", 404, ""),
        ] {
            let answer = anonymous.get(&format!("/api/v1/templates{path}")).await;
            assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
            assert_eq!(
                answer.fields(),
                if field.is_empty() { vec![] } else { vec![field.to_owned()] },
                "{path}"
            );
        }
    })
    .await;
}

/// The values of an attribute in a page.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let marker = format!(" {name}=\"");
    html.split(&marker).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_template_is_shown_as_a_rendered_site_of_its_own() {
    TestServer::shared(async |server| {
        let anonymous = server.client();
        let all = anonymous.get("/api/v1/templates?limit=100").await.expect(200);
        let mut looks = BTreeSet::new();
        for template in all["items"].as_array().unwrap() {
            let base = format!("/api/v1/templates/{}/preview", text(template, "id"));
            let mut addresses = BTreeSet::new();
            for page in template["pages"].as_array().unwrap() {
                let path = format!("{base}?page={}", text(page, "key"));
                let answer = anonymous.get(&path).await;
                assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text);
                assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
                assert!(
                    answer
                        .header("content-security-policy")
                        .starts_with("default-src 'none'; style-src 'self'")
                );
                assert_eq!(
                    (answer.header("x-robots-tag"), answer.header("cache-control")),
                    ("noindex", "public, no-cache")
                );
                let tag = answer.header("etag").to_owned();
                assert_eq!(anonymous.with("if-none-match", &tag).get(&path).await.status.as_u16(), 304);
                for name in ["href", "src"] {
                    addresses.extend(attributes(&answer.text, name));
                }
                let links = attributes(&answer.text, "href");
                looks.extend(links.into_iter().filter(|link| link.contains("/preview/assets/")));
            }
            for address in addresses.iter().filter(|address| address.starts_with('/')) {
                let path = address.split('#').next().unwrap();
                assert!(path.starts_with(&base), "{base} leads away to {address}");
                let answer = anonymous.get(path).await;
                assert_eq!(answer.status.as_u16(), 200, "{path} of {base}: {}", answer.text);
            }
            let elsewhere: Vec<_> = addresses
                .iter()
                .filter(|a| a.contains("//") && !a.starts_with(&server.url) && !a.contains(".example"))
                // A link to a map loads nothing.
                .filter(|a| !a.starts_with("https://www.openstreetmap.org/search?query="))
                .collect();
            assert!(elsewhere.is_empty(), "{base} asks other hosts: {elsewhere:?}");
        }
        assert!(looks.len() >= all["items"].as_array().unwrap().len(), "each has a style sheet of its own");
        let first = format!("/api/v1/templates/{}/preview", text(&all["items"][0], "slug"));
        anonymous.get(&first).await.expect(200);
        let unknown = anonymous.get(&format!("{first}?page=nowhere")).await;
        assert_eq!((unknown.status.as_u16(), unknown.fields()), (422, vec!["page".to_owned()]));
        anonymous.get(&format!("{first}/assets/nothing.css")).await.expect(404);
        anonymous.get(&format!("{first}/index.html")).await.expect(404);
        anonymous.get("/api/v1/templates/nothing/preview").await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_look_after_templates() {
    TestServer::alone(async |server| {
        let (staff, customer) = (staff(server).await, server.unverified(server.email("mia")).await);
        customer.post("/api/v1/templates", input("Mine")).await.expect(403);
        server.client().post("/api/v1/templates", input("Mine")).await.expect(401);
        let answer = staff.post("/api/v1/templates", input("Corner Bakery")).await;
        let (location, tag) = (answer.header("location").to_owned(), answer.header("etag").to_owned());
        let made = answer.expect(201);
        assert_eq!((&made["slug"], &made["pages"][0]["isHome"]), (&json!("corner-bakery"), &json!(true)));
        assert_eq!(customer.get(&location).await.expect(200), made);
        assert_eq!(
            staff.post("/api/v1/templates", input("Corner Bakery")).await.expect(409)["code"],
            "slug_taken"
        );

        let mut wrong = input("Wrong");
        wrong["pages"][0]["sections"][1]["content"] = json!({"items": [{"text": "no title"}], "colour": 1});
        wrong["pages"][1]["sections"][0]["type"] = json!("poem");
        let answer = staff.post("/api/v1/templates", wrong).await;
        assert_eq!(
            (answer.status.as_u16(), answer.fields()),
            (422, vec!["pages[1].sections[0].type".to_owned()])
        );
        let mut wrong = input("Wrong");
        wrong["pages"][0]["sections"][1]["content"] = json!({"items": [{"text": "no title"}], "colour": 1});
        wrong["industry"] = json!("witchcraft");
        let answer = staff.post("/api/v1/templates", wrong).await;
        let named = [
            "industry",
            "pages[0].sections[1].content.colour",
            "pages[0].sections[1].content.items[0].title",
        ];
        let mut fields = answer.fields();
        fields.sort();
        assert_eq!((answer.status.as_u16(), fields), (422, named.map(str::to_owned).to_vec()));

        // A use in between is no change that an editor would have to look at.
        customer.post(&format!("{location}/apply"), json!({"siteName": "Luz"})).await.expect(201);
        let change = json!({"isFeatured": true, "name": "Corner"});
        let changed = staff.with("if-match", &tag).put(&location, change.clone()).await.expect(200);
        assert_eq!((&changed["name"], &changed["popularity"]), (&json!("Corner"), &json!(1)));
        assert_eq!(changed["pages"], made["pages"]);
        staff.with("if-match", &tag).put(&location, change.clone()).await.expect(412);
        staff.with("if-match", "\"other\"").put(&location, change.clone()).await.expect(412);
        staff.with("if-match", "*").put(&location, change.clone()).await.expect(200);
        customer.put(&location, change).await.expect(403);
        customer.delete(&location).await.expect(403);
        staff.with("if-match", &tag).delete(&location).await.expect(412);
        staff.delete(&location).await.expect(204);
        customer.get(&location).await.expect(404);
        customer.post(&format!("{location}/apply"), json!({"siteName": "Sol"})).await.expect(404);
        assert_eq!(
            staff.post("/api/v1/templates", input("Corner Bakery")).await.expect(201)["slug"],
            "corner-bakery"
        );

        let root =
            Person::new(server, server.email("root"), |user| user.role = PlatformRole::SuperAdmin).await;
        for (kind, count) in [("template.created", 2), ("template.updated", 2), ("template.deleted", 1)] {
            let trail = root.client.get(&format!("/api/v1/audit?type={kind}&limit=100")).await.expect(200);
            assert_eq!(trail["items"].as_array().unwrap().len(), count, "{kind}");
            assert_eq!(
                events(&staff, kind).await,
                0,
                "{kind} is not in the trail of the tenant of who did it"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_site_is_made_within_the_plan_or_not_at_all() {
    TestServer::on_each_database(async |server| {
        let client = server.customer(server.email("luz")).await;
        let template = wizard::template(server, false).await;
        let path = format!("/api/v1/templates/{}/apply", template.slug);
        let wish = json!({"siteName": "Panadería Luz", "subdomain": "luz", "status": "published"});
        let answer = client.post(&path, wish).await;
        let location = answer.header("location").to_owned();
        let made = answer.expect(201);
        let site_id = text(&made["site"], "id");
        assert_eq!(location, format!("/api/v1/sites/{site_id}"));
        assert_eq!((&made["templateId"], &made["siteId"]), (&json!(template.id), &json!(site_id)));
        assert_eq!(made["pages"].as_array().unwrap().len(), template.pages.len());
        let stored = client.get(&location).await.expect(200);
        assert_eq!(stored, made["site"]);
        assert_eq!((&stored["look"]["style"], &stored["industry"]), (&json!("bold"), &json!("bakery")));
        let pages = client.get(&client.t("/pages?sort=createdAt")).await.expect(200);
        let homes = column(&pages, "isHome");
        assert_eq!(homes.iter().filter(|home| *home == "true").count(), 1, "{homes:?}");
        let navigation = client.get(&client.t("/navigation")).await.expect(200);
        assert_eq!(column(&navigation, "label"), ["About", "Contact"]);
        let home = text(&made["pages"][0], "id");
        let seo = client.get(&client.t(&format!("/pages/{home}/seo"))).await.expect(200);
        assert_eq!(seo["description"], Value::Null, "that of the template is about its example");
        assert_eq!(popularity(&client, &template.slug).await, 1);

        // The plan includes one site: no second one is left behind, and it does not count as a use.
        let full = client.post(&path, json!({"siteName": "Second"})).await.expect(402);
        assert_eq!(
            (&full["code"], &full["meter"], &full["plan"]),
            (&json!("quota_exceeded"), &json!("sites"), &json!("starter"))
        );
        assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 1);
        assert_eq!(client.get(&client.t("/pages")).await.expect(200)["total"], template.pages.len());
        assert_eq!(popularity(&client, &template.slug).await, 1);
        let taken = server.unverified(server.email("other")).await;
        let taken = taken.post(&path, json!({"siteName": "Luz", "subdomain": "luz"})).await.expect(409);
        assert_eq!(taken["code"], "subdomain_taken");
        for (kind, count) in
            [("site.created", 1), ("page.created", 3), ("page.published", 3), ("template.applied", 1)]
        {
            assert_eq!(events(&client, kind).await, count, "{kind}");
        }
        // All of it is the template's example.
        let refused = client.post_empty(&format!("{location}/deploy")).await.expect(409);
        assert_eq!(
            (&refused["code"], &refused["sampleContent"]),
            (&json!("sample_content"), &made["sampleContent"])
        );
        client.post(&format!("{location}/deploy"), json!({"confirmSampleContent": true})).await.expect(202);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn premium_templates_are_for_plans_that_have_them() {
    TestServer::alone(async |server| {
        let client = server.unverified(server.email("ada")).await;
        let template = wizard::template(server, true).await;
        let path = format!("/api/v1/templates/{}/apply", template.id);
        let own = site(&client, "Own").await;
        let page = client.post(&client.t("/pages"), json!({"title": "Home"})).await.expect(201);
        let wishes =
            [json!({"siteName": "New"}), json!({"siteId": own["id"]}), json!({"pageId": page["id"]})];
        for wish in &wishes {
            let refused = client.post(&path, wish.clone()).await.expect(402);
            let reported = (&refused["code"], &refused["feature"], &refused["plan"]);
            assert_eq!(
                reported,
                (&json!("plan_required"), &json!("premium_templates"), &json!("professional"))
            );
        }
        assert_eq!(popularity(&client, &template.slug).await, 0);
        // Every visitor may see the preview.
        server.client().get(&format!("/api/v1/templates/{}/preview", template.id)).await.expect(200);
        let viewer = Person::new(server, server.email("viewer"), |_| {}).await;
        viewer.join(server, &client.tenant, portico_kernel::TenantRole::Viewer).await;
        let viewer = viewer.client.with("x-tenant-id", &client.tenant);
        viewer.post(&path, wishes[0].clone()).await.expect(403);
        allow_premium(server, 10).await;
        for (wish, status) in wishes.into_iter().zip([201, 201, 200]) {
            client.post(&path, wish).await.expect(status);
        }
        viewer.post(&path, json!({"pageId": page["id"]})).await.expect(403);
        assert_eq!(popularity(&client, &template.slug).await, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_cannot_be_are_refused() {
    TestServer::shared(async |server| {
        let (client, other) =
            (server.unverified(server.email("a")).await, server.unverified(server.email("b")).await);
        let template = wizard::template(server, false).await;
        let path = format!("/api/v1/templates/{}/apply", template.id);
        let (own, foreign) = (site(&client, "Own").await, site(&other, "Foreign").await);
        let page = other.post(&other.t("/pages"), json!({"title": "Foreign"})).await.expect(201);
        for (wish, fields) in [
            (json!({}), vec!["siteName"]),
            (json!({"siteId": own["id"], "siteName": "x"}), vec!["siteId", "siteName"]),
            (json!({"siteName": " ", "subdomain": "admin"}), vec!["name", "subdomain"]),
            (json!({"siteId": own["id"], "templatePage": "nowhere"}), vec!["templatePage"]),
            (json!({"pageId": 7, "colour": "red"}), vec!["colour", "pageId"]),
        ] {
            let answer = client.post(&path, wish.clone()).await;
            let mut found = answer.fields();
            found.sort();
            assert_eq!(
                (answer.status.as_u16(), found),
                (422, fields.into_iter().map(str::to_owned).collect()),
                "{wish}"
            );
        }
        // Of another tenant, or not existing: the same answer.
        for wish in [
            json!({"pageId": page["id"]}),
            json!({"siteId": foreign["id"]}),
            json!({"pageId": server.app.core.env.random_uuid()}),
            json!({"siteId": server.app.core.env.random_uuid()}),
        ] {
            assert_eq!(client.post(&path, wish).await.expect(404)["code"], "not_found");
        }
        let theirs = text(&page, "id");
        client.get(&client.t(&format!("/pages/{theirs}/template"))).await.expect(404);
        client.post(&client.t(&format!("/pages/{theirs}/reset")), json!({})).await.expect(404);
        let named = json!({"title": "Named", "templateId": server.app.core.env.random_uuid()});
        let answer = client.post(&client.t("/pages"), named).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["templateId".to_owned()]));
        let named = json!({"title": "Named", "templateId": template.id});
        assert_eq!(
            client.post(&client.t("/pages"), named).await.expect(201)["templateId"],
            json!(template.id)
        );
        assert_eq!(other.get(&other.t(&format!("/pages/{theirs}"))).await.expect(200), page);
        assert_eq!(popularity(&client, &template.slug).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_uses_at_once_are_counted_as_fifty() {
    TestServer::on_each_database(async |server| {
        allow_sites(server, 100).await;
        let client = server.unverified(server.email("many")).await;
        let template = wizard::template(server, false).await;
        let own = site(&client, "Own").await;
        let path = format!("/api/v1/templates/{}/apply", template.id);
        let answers = at_once(50, |number| {
            let (client, path, own) = (client.clone(), path.clone(), own["id"].clone());
            async move {
                let wish = match number % 2 {
                    0 => json!({"siteName": format!("Site {number}")}),
                    _ => json!({"siteId": own}),
                };
                // Too many at once are answered with 503, which leaves nothing behind, and clients ask again.
                loop {
                    let answer = client.post(&path, wish.clone()).await;
                    if answer.status.as_u16() != 503 {
                        return answer;
                    }
                }
            }
        })
        .await;
        for answer in &answers {
            assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
        }
        assert_eq!(popularity(&client, &template.slug).await, 50);
        assert_eq!(events(&client, "template.applied").await, 50);
        let popular = client.get("/api/v1/templates/popular?limit=1").await.expect(200);
        assert_eq!(popular["items"][0]["id"], json!(template.id));
        let id = text(&own, "id");
        let pages = client.get(&client.t(&format!("/pages?siteId={id}&limit=100"))).await.expect(200);
        let slugs: BTreeSet<String> = column(&pages, "slug").into_iter().collect();
        assert_eq!(
            (pages["total"].as_u64(), slugs.len()),
            (Some(75), 75),
            "25 times three pages, each at its own slug"
        );
        let items = client.get(&client.t(&format!("/navigation?siteId={id}"))).await.expect(200);
        let positions: Vec<u64> =
            items["items"].as_array().unwrap().iter().map(|i| i["position"].as_u64().unwrap()).collect();
        assert_eq!(positions, (0..positions.len() as u64).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_is_seeded_once_and_an_edit_by_staff_survives() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let seed = async || {
            let mut work = server.app.core.begin().await.unwrap();
            let written = library::seed(&server.app.core.env, &mut *work).await.unwrap();
            work.commit().await.unwrap();
            written
        };
        let before = staff.get("/api/v1/templates?limit=100").await.expect(200);
        assert_eq!(seed().await, 0, "starting has seeded it");
        assert_eq!(staff.get("/api/v1/templates?limit=100").await.expect(200), before);
        let ids = column(&before, "id");
        let path = |id: &str| format!("/api/v1/templates/{id}");
        staff.put(&path(&ids[0]), json!({"description": "Edited by staff."})).await.expect(200);
        staff.delete(&path(&ids[1])).await.expect(204);
        assert_eq!(seed().await, 0);
        assert_eq!(staff.get(&path(&ids[0])).await.expect(200)["description"], "Edited by staff.");
        staff.get(&path(&ids[1])).await.expect(404);
        // Another process starts on the same database.
        let elsewhere = server.another_instance().await;
        let after = elsewhere.client().get("/api/v1/templates?limit=100").await.expect(200);
        assert_eq!(after["total"].as_u64().unwrap() + 1, before["total"].as_u64().unwrap());
        elsewhere.stop().await;
    })
    .await;
}
