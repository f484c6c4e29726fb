//! A customer with webhooks, who makes pages.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::sink::Inbox;
use crate::customer::{Api, text};

/// The tenant of a person who has just registered, with a site.
#[derive(Clone)]
pub struct Tenant {
    /// Access token.
    token: String,
    /// Id of the tenant.
    pub id: String,
    site: String,
}

impl Tenant {
    /// Registers over the server at this address. `name` is used once in a run.
    pub async fn come_to(server: &str, name: &str) -> anyhow::Result<Self> {
        let mut api = Api::new(server)?;
        let (token, id) = api.register(&format!("{name}@example.com")).await?;
        let site = json!({"name": name, "subdomain": format!("bench-{name}")});
        let site = text(&api.call(Method::POST, "/sites", Some(site)).await?, "id")?;
        Ok(Self { token, id, site })
    }

    /// Calls the API as this customer.
    pub async fn call(
        &self,
        server: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut api = Api::new(server)?;
        api.token = Some(self.token.clone());
        api.call(method, &format!("/tenants/{}{path}", self.id), body).await
    }

    /// Makes a webhook for new pages. Returns its secret.
    pub async fn webhook(&self, server: &str, url: &str) -> anyhow::Result<String> {
        let webhook = json!({"url": url, "events": ["page.created"]});
        text(&self.call(server, Method::POST, "/webhooks", Some(webhook)).await?, "secret")
    }

    /// Makes a webhook that delivers to `inbox`, which checks the signatures.
    pub async fn deliver_to(&self, server: &str, inbox: &Inbox) -> anyhow::Result<()> {
        inbox.check_with(&self.webhook(server, &inbox.url).await?)
    }

    /// Makes pages, `at_once` at a time, each acknowledged with 201. Returns their ids.
    pub async fn make_pages(
        &self,
        server: &str,
        name: &str,
        number: usize,
        at_once: usize,
    ) -> anyhow::Result<Vec<String>> {
        let http = Client::builder().no_proxy().pool_max_idle_per_host(at_once).build()?;
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..at_once {
            let (tenant, server, name) = (self.clone(), server.to_owned(), name.to_owned());
            let (http, next) = (http.clone(), next.clone());
            tasks.spawn(async move {
                let mut made = Vec::new();
                loop {
                    let page = next.fetch_add(1, Ordering::Relaxed);
                    if page >= number {
                        return anyhow::Ok(made);
                    }
                    made.push(tenant.make_page(&http, &server, &format!("{name}-{page}")).await?);
                }
            });
        }
        let mut made = Vec::with_capacity(number);
        while let Some(ended) = tasks.join_next().await {
            made.extend(ended??);
        }
        Ok(made)
    }

    /// Makes a page. Returns its id.
    pub async fn make_page(&self, http: &Client, server: &str, slug: &str) -> anyhow::Result<String> {
        let answer = http
            .post(format!("{server}/api/v1/tenants/{}/pages?siteId={}", self.id, self.site))
            .bearer_auth(&self.token)
            .json(&json!({"title": "A page that a webhook tells of", "slug": slug}))
            .send()
            .await?;
        let status = answer.status();
        let page = answer.text().await?;
        ensure!(status == 201, "a page was answered with {status}: {page}");
        text(&serde_json::from_str(&page).context("the page")?, "id")
    }
}
