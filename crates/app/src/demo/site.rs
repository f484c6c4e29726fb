//! The site of the customer: live, with a draft, messages and visits.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, bail};
use portico_feature_sites::flows::templates;
use portico_kernel::{CursorRequest, PageId, PageRequest, Scope, SectionId, SiteId, TenantId};
use portico_sites::{
    analytics::Seen,
    deployment::{DeploymentStatus, Deployments},
    page::{NewPage, PageStatus, Pages},
    ports::{PageFilter, SiteFilter},
    section::{SectionType, Sections},
    site::Sites,
    submission::{
        SubmissionFilter, Submissions,
        form::{DeployedForm, FormInput},
    },
    template::TemplateApplication,
};

use super::{Demo, failed, one, request};
use crate::background;

/// The template of its site.
const TEMPLATE: &str = "millstone-bakery";

/// How long the build of the site may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Days with visits.
const DAYS: i64 = 14;

impl Demo<'_> {
    /// The site, live. Its content is the example of the template, which the owner confirms.
    pub(super) async fn site(&mut self, scope: &Scope) -> anyhow::Result<SiteId> {
        let env = &self.app.core.env;
        let found =
            Sites::new(&mut *self.app.core.reader(), scope, env).list(SiteFilter::default(), one()).await?;
        let (site, is_new) = match found.items.into_iter().next() {
            Some(site) => (site, false),
            None => {
                let mut work = self.app.core.begin().await?;
                let application = TemplateApplication {
                    site_name: Some("Millstone Bakery".to_owned()),
                    status: Some(PageStatus::Published),
                    ..TemplateApplication::default()
                };
                let (_, applied) =
                    templates::apply(&mut *work, env, scope, TEMPLATE, application).await.map_err(failed)?;
                work.commit().await?;
                (applied.new_site.context("the template makes a site")?, true)
            }
        };
        if site.live_deployment_id.is_none() {
            self.deploy(scope, site.id).await?;
        }
        let url = self.app.sites.hosting.addresses.site_address(&site);
        self.say("site", if is_new { format!("{url}, live") } else { format!("{url} exists") });
        Ok(site.id)
    }

    /// Requests a deployment, and does the background work until it is live.
    async fn deploy(&self, scope: &Scope, site: SiteId) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let mut work = self.app.core.begin().await?;
        let deployment = Deployments::new(&mut *work, scope, env).request(site, true).await?;
        work.commit().await?;
        let workers = background::start_working(self.app);
        let live = async {
            loop {
                let mut reader = self.app.core.reader();
                let now = Deployments::new(&mut *reader, scope, env).get(site, deployment.id).await?;
                match now.status {
                    DeploymentStatus::Live => return Ok(()),
                    DeploymentStatus::Failed => {
                        bail!("the site could not be built: {}", now.error.unwrap_or_default())
                    }
                    _ => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let built = tokio::time::timeout(PATIENCE, live).await;
        workers.stop(Duration::from_secs(10)).await;
        built.context("the site was not built in time")?
    }

    /// A page that is not published.
    pub(super) async fn draft(&mut self, scope: &Scope, site: SiteId) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let mut work = self.app.core.begin().await?;
        let mut pages = Pages::new(&mut *work, scope, env);
        let drafts = PageFilter { status: Some(PageStatus::Draft), ..PageFilter::default() };
        if pages.list(Some(site), drafts, one()).await?.total > 0 {
            return Ok(());
        }
        let page = NewPage { title: "Autumn specials".to_owned(), ..NewPage::default() };
        let page = pages.create(Some(site), page).await?;
        work.commit().await?;
        self.say("page", format!("{}, a draft", page.title));
        Ok(())
    }

    /// What visitors sent through the contact form.
    pub(super) async fn messages(
        &mut self,
        scope: &Scope,
        tenant: TenantId,
        site: SiteId,
    ) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let mut reader = self.app.core.reader();
        let filter = SubmissionFilter::default();
        let piece = CursorRequest { cursor: None, limit: 1 };
        if !Submissions::new(&mut *reader, scope, env).list(site, filter, piece).await?.items.is_empty() {
            return Ok(());
        }
        let Some((path, section)) = self.form(scope, site).await? else { return Ok(()) };
        let form = DeployedForm {
            page: path,
            language: "en".to_owned(),
            consent: "You may send me news and offers. I can take this back at any time.".to_owned(),
            thanks: "/".to_owned(),
        };
        let written = [
            ("Ana Pérez", "ana@visitor.example", "Do you bake gluten-free bread?", true),
            (
                "Tom Baker",
                "tom@visitor.example",
                "We would like forty rolls for Saturday, is that possible?",
                false,
            ),
            ("Mei Lin", "mei@visitor.example", "Your rye is the best in town. Thank you!", true),
        ];
        let visitor = Scope::anonymous(request());
        let mut work = self.app.core.begin().await?;
        for (name, email, message, consent) in written {
            let input = FormInput {
                name: name.to_owned(),
                email: email.to_owned(),
                message: message.to_owned(),
                consent,
                ..FormInput::default()
            };
            Submissions::new(&mut *work, &visitor, env)
                .receive((tenant, site, section), &form, &input)
                .await?;
        }
        work.commit().await?;
        self.say("messages", format!("{} through the contact form", written.len()));
        Ok(())
    }

    /// A section with a contact form, and the path of its page.
    async fn form(&self, scope: &Scope, site: SiteId) -> anyhow::Result<Option<(String, SectionId)>> {
        let env = &self.app.core.env;
        let mut reader = self.app.core.reader();
        let pages = Pages::new(&mut *reader, scope, env)
            .list(Some(site), PageFilter::default(), PageRequest::default())
            .await?;
        for page in pages.items {
            let id: PageId = page.id;
            let sections = Sections::new(&mut *reader, scope, env).list(id).await?;
            if let Some(section) = sections.iter().find(|section| section.kind == SectionType::Contact) {
                let path = if page.is_home { "/".to_owned() } else { format!("/{}/", page.slug) };
                return Ok(Some((path, section.id)));
            }
        }
        Ok(None)
    }

    /// Visits on the last days, counted as the server counts them.
    pub(super) async fn visits(
        &mut self,
        scope: &Scope,
        tenant: TenantId,
        site: SiteId,
    ) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let now = env.now();
        let today = now.into_inner().date();
        let from = (now - time::Duration::days(DAYS)).into_inner().date();
        if !self.app.core.reader().visits().days(tenant, site, from, today).await?.is_empty() {
            return Ok(());
        }
        let mut reader = self.app.core.reader();
        let pages = Pages::new(&mut *reader, scope, env)
            .list(Some(site), PageFilter::default(), PageRequest::default())
            .await?;
        let paths: Vec<String> = pages
            .items
            .iter()
            .filter(|page| page.status == PageStatus::Published)
            .map(|page| if page.is_home { "/".to_owned() } else { format!("/{}/", page.slug) })
            .collect();
        let referrers = [None, Some("https://www.search.example/"), Some("https://social.example/post/1")];
        let counter = &self.app.sites.hosting.visits;
        let mut visits = 0;
        for day in 0..DAYS {
            let at = now - time::Duration::days(day);
            for visitor in 0..(5 + (day * 7) % 11) {
                let number = visitor as usize;
                let phone = visitor % 3 == 0;
                counter.note(Seen {
                    tenant,
                    site,
                    at,
                    path: paths.get(number % paths.len().max(1)).cloned().unwrap_or_else(|| "/".to_owned()),
                    query: String::new(),
                    host: "demo.example".to_owned(),
                    referrer: referrers.get(number % referrers.len()).copied().flatten().map(str::to_owned),
                    user_agent: if phone { PHONE } else { DESKTOP }.to_owned(),
                    mobile: Some(phone),
                    country: Some(if visitor % 4 == 0 { "MX" } else { "GT" }.to_owned()),
                    address: IpAddr::from([192, 0, 2, visitor as u8]),
                    private: false,
                });
                counter.sent(tenant, at.into_inner().date(), 48_000);
                visits += 1;
            }
        }
        counter.try_flush(&self.app.core).await?;
        self.say("visits", format!("{visits} on {DAYS} days"));
        Ok(())
    }
}

const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                     Version/18.0 Mobile/15E148 Safari/604.1";
