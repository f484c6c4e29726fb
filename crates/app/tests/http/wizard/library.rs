//! Every template of the library.

use portico_billing::plan::catalogue;
use portico_testkit::server::{TestServer, eventually};
use serde_json::{Value, json};

use super::{PATIENCE, ready};

#[tokio::test(flavor = "multi_thread")]
async fn every_template_of_the_library_becomes_a_site_without_a_dead_link() {
    let server = TestServer::start().await;
    let mut work = server.app.core.begin().await.unwrap();
    for mut plan in catalogue() {
        plan.limits.clear();
        plan.premium_templates = true;
        work.plans().upsert(&plan).await.unwrap();
    }
    work.commit().await.unwrap();
    let client = server.customer(server.email("library")).await;
    let templates = client.get("/api/v1/templates?limit=100").await.expect(200);
    let templates = templates["items"].as_array().unwrap();
    assert!(templates.len() >= 12, "{}", templates.len());
    for template in templates {
        let id = ready(&server, &client.tenant, "library").await;
        let path = format!("/api/v1/wizard/{id}");
        // The page that others link to most is left out in favour of an extra one.
        let pages = template["pages"].as_array().unwrap();
        let mut chosen: Vec<Value> = pages.iter().map(|page| json!({"key": page["key"]})).collect();
        chosen.pop();
        chosen.push(json!({"title": "Something else", "purpose": "Whatever there is to say"}));
        let parts = json!({
            "templateId": template["id"], "pages": chosen, "content": {"mode": "own"},
            "goals": {"goals": ["bookings"], "language": template["language"]},
            "businessInfo": {"name": "Casa Luz", "industry": template["industry"], "services": ["First", "Second"]},
        });
        client.put(&path, parts).await.expect(200);
        client.post_empty(&format!("{path}/generate-content")).await.expect(202);
        let done = eventually(PATIENCE, async || {
            let status = client.get(&format!("{path}/content-status")).await.expect(200);
            matches!(status["status"].as_str(), Some("done" | "failed")).then_some(status)
        });
        let done = done.await.unwrap();
        assert_eq!(
            (&done["status"], &done["error"]),
            (&json!("done"), &Value::Null),
            "{}: {done}",
            template["slug"]
        );
        let made = client.post_empty(&format!("{path}/complete")).await.expect(201);
        let site = made["siteId"].as_str().unwrap();
        let pages = client.get(&client.t(&format!("/pages?limit=100&siteId={site}"))).await.expect(200);
        let pages = pages["items"].as_array().unwrap();
        assert_eq!(pages.len(), chosen.len(), "{}", template["slug"]);
        for page in pages {
            let sections = client.t(&format!("/pages/{}/sections", page["id"].as_str().unwrap()));
            let sections = client.get(&sections).await.expect(200);
            assert!(!sections["items"].as_array().unwrap().is_empty(), "{}: {page}", template["slug"]);
            for link in links(&sections) {
                let slug =
                    link.trim_start_matches('/').split(['#', '?']).next().unwrap().trim_end_matches('/');
                let leads = slug.is_empty() || pages.iter().any(|page| page["slug"] == slug);
                assert!(leads, "{}: {link} leads nowhere", template["slug"]);
            }
            let text = sections.to_string();
            assert!(!text.contains("mailto:") || text.contains("mailto:hola@luz.example"), "{text}");
        }
    }
    server.stop().await;
}

/// The addresses on the same site that buttons and rich text lead to.
fn links(content: &Value) -> Vec<String> {
    match content {
        Value::Array(items) => items.iter().flat_map(links).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("ctaUrl" | "url", Some(address)) => vec![address.to_owned()],
                (_, Some(text)) => {
                    let hrefs = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
                    hrefs.map(str::to_owned).collect()
                }
                _ => links(value),
            })
            .filter(|address| address.starts_with('/') && !address.starts_with("/library/"))
            .collect(),
        _ => Vec::new(),
    }
}
