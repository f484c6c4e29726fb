//! A customer who registers and publishes a site over the API, as any client can.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use url::Url;

/// How often to look whether something in the background is done, and how many times.
const PAUSE: Duration = Duration::from_millis(100);
const LOOKS: u32 = 300;

/// What the customer has.
pub struct Customer {
    /// Access token.
    pub token: String,
    /// Id of the account.
    pub user: String,
    /// The tenant that the registration made.
    pub tenant: String,
    /// The site.
    pub site: String,
    /// The published page.
    pub page: String,
    /// Host name of the published site, with the port.
    pub host: String,
    /// The published page as a browser gets it.
    pub published: Vec<u8>,
}

impl Customer {
    /// Registers, verifies the address, makes a site with a page, and waits until it is live.
    pub async fn come_to(server: &str) -> anyhow::Result<Self> {
        let mut api = Api::new(server)?;
        let (token, tenant) = api.register("bench@example.com").await?;
        let user = text(&api.call(Method::GET, "/profile", None).await?, "id")?;

        let site = json!({"name": "Harbour Bakery", "subdomain": "harbour-bakery"});
        let site = text(&api.call(Method::POST, "/sites", Some(site)).await?, "id")?;
        let page = json!({"title": "Home", "slug": "home", "status": "published", "isHome": true});
        let pages = format!("/tenants/{tenant}/pages?siteId={site}");
        let page = text(&api.call(Method::POST, &pages, Some(page)).await?, "id")?;
        for section in sections() {
            let path = format!("/tenants/{tenant}/pages/{page}/sections");
            api.call(Method::POST, &path, Some(section)).await?;
        }
        api.call(Method::POST, &format!("/sites/{site}/deploy"), None).await?;
        api.wait_until_live(&site).await?;

        let address: Url =
            text(&api.call(Method::GET, &format!("/sites/{site}"), None).await?, "url")?.parse()?;
        let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", address.host_str().context("the site has no host name")?);
        let answer = api.http.get(format!("{server}/")).header("host", &host).send().await?;
        let published = answer.error_for_status()?.bytes().await?.to_vec();
        if !String::from_utf8_lossy(&published).contains("Bread worth getting up for") {
            bail!("the published page does not show its heading");
        }
        Ok(Self { token, user, tenant, site, page, host, published })
    }
}

/// Calls the API of a server.
pub struct Api<'a> {
    http: Client,
    server: &'a str,
    /// Access token of the caller.
    pub token: Option<String>,
}

impl<'a> Api<'a> {
    /// A client that is not signed in yet.
    pub fn new(server: &'a str) -> anyhow::Result<Self> {
        Ok(Self { http: Client::builder().no_proxy().build()?, server, token: None })
    }

    /// Registers, verifies the address and stays signed in. Returns the access token and the tenant.
    pub async fn register(&mut self, email: &str) -> anyhow::Result<(String, String)> {
        let account = json!({"email": email, "password": "Fresh-Bread-1950", "fullName": "Ana Baker"});
        let tokens = self.call(Method::POST, "/auth/register", Some(account)).await?;
        let token = text(&tokens, "access_token")?;
        self.token = Some(token.clone());
        let verification = self.verification_token(email).await?;
        self.call(Method::POST, "/auth/verify-email", Some(json!({"token": verification}))).await?;
        let tenant = text(&self.call(Method::GET, "/profile", None).await?, "activeTenantId")?;
        Ok((token, tenant))
    }

    /// Sends a request. Returns the body; errors with it unless the status is one of success.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}/api/v1{path}", self.server));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer: Response = request.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            bail!("{method} {path} answered {status}: {body}");
        }
        Ok(if body.is_empty() { Value::Null } else { serde_json::from_str(&body)? })
    }

    /// The token of the verification mail, which is sent in the background.
    async fn verification_token(&self, email: &str) -> anyhow::Result<String> {
        const LINK: &str = "/verify-email?token=";
        let url = format!("{}/dev/mailbox?to={email}", self.server);
        for _ in 0..LOOKS {
            let answer = self.http.get(&url).header("accept", "application/json").send().await?;
            let mails: Value = answer.error_for_status()?.json().await?;
            let texts =
                mails["items"].as_array().into_iter().flatten().filter_map(|mail| mail["text"].as_str());
            if let Some((_, rest)) = texts.filter_map(|text| text.split_once(LINK)).next() {
                let in_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                return Ok(rest.chars().take_while(|c| in_token(*c)).collect());
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("no verification mail arrived")
    }

    async fn wait_until_live(&self, site: &str) -> anyhow::Result<()> {
        for _ in 0..LOOKS {
            let deployment = self.call(Method::GET, &format!("/sites/{site}/status"), None).await?;
            match deployment["status"].as_str() {
                Some("live") => return Ok(()),
                Some("failed") => bail!("the deployment failed: {deployment}"),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        bail!("the deployment took too long")
    }
}

/// A field that is a text.
pub fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    Ok(value[field].as_str().with_context(|| format!("no {field} in {value}"))?.to_owned())
}

/// The content of a page.
pub fn sections() -> [Value; 3] {
    [
        json!({"type": "hero", "content": {
            "heading": "Bread worth getting up for",
            "subheading": "Sourdough, rye and butter croissants, baked by the harbour every night."
        }}),
        json!({"type": "features", "content": {
            "heading": "From our oven",
            "items": [
                {"icon": "🍞", "title": "Slow sourdough", "text": "Two days from flour to crust."},
                {"icon": "🥐", "title": "Croissants", "text": "Folded by hand. Gone by ten."},
                {"icon": "🎂", "title": "Cakes to order", "text": "Tell us by Thursday what you wish for."}
            ]
        }}),
        json!({"type": "contact", "content": {
            "heading": "Find us",
            "text": "Next to the old crane, where it smells best.",
            "email": "hello@example.com", "phone": "+502 5555 1234",
            "address": "12 Harbour Street", "hours": "Tuesday to Saturday, 6 to 14"
        }}),
    ]
}
