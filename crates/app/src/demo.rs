//! Sample data for development: a customer with people of every role, a published site, and something of each kind that a tenant
//! has. Made through the use cases, as requests would; what exists already is left as it is.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use portico_billing::{
    limits::{Agreements, LimitsUpdate},
    subscription::{PlanGrant, Subscriptions},
};
use portico_feature_identity::flows::registration;
use portico_feature_sites::flows::templates;
use portico_feature_tenancy::flows::invitations;
use portico_identity::{
    account::Registration,
    api_key::{ApiKeys, Mode, NewApiKey},
    user::User,
};
use portico_kernel::{
    Actor, CursorRequest, Meter, PageId, PageRequest, PlatformRole, RequestInfo, Scope, SectionId, SiteId,
    TenantId, TenantRole,
};
use portico_runtime::events::catalogue;
use portico_sites::{
    analytics::Seen,
    deployment::{DeploymentStatus, Deployments},
    page::{NewPage, PageStatus, Pages},
    ports::{PageFilter, SiteFilter, WizardFilter},
    section::{SectionType, Sections},
    site::Sites,
    submission::{
        SubmissionFilter, Submissions,
        form::{DeployedForm, FormInput},
    },
    template::TemplateApplication,
    wizard::{BusinessDetails, WizardUpdate, Wizards},
};
use portico_tenancy::{
    invitation::{Invitations, NewInvitation},
    member::Members,
    tenant::{NewTenant, Tenants},
    webhook::{NewWebhook, WebhookRules, Webhooks},
};
use portico_web::problem::Problem;
use secrecy::ExposeSecret;

use crate::{
    background,
    settings::{Profile, Settings},
    startup::build,
    state::App,
};

/// Name of the customer.
const CUSTOMER: &str = "Millstone Demo Bakery";

/// The template of its site.
const TEMPLATE: &str = "millstone-bakery";

/// The people: address, name, role in the tenant of the customer, role of the platform.
const PEOPLE: [(&str, &str, Option<TenantRole>, PlatformRole); 5] = [
    ("owner@demo.example", "Olivia Owner", Some(TenantRole::Owner), PlatformRole::Customer),
    ("admin@demo.example", "Adam Admin", Some(TenantRole::Admin), PlatformRole::Customer),
    ("editor@demo.example", "Edith Editor", Some(TenantRole::Editor), PlatformRole::Customer),
    ("viewer@demo.example", "Victor Viewer", Some(TenantRole::Viewer), PlatformRole::Customer),
    ("staff@demo.example", "Stella Staff", None, PlatformRole::Staff),
];

/// How long the build of the site may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Days with visits.
const DAYS: i64 = 14;

/// Makes the sample data, and returns what is to be printed. `password` is that of new accounts; generated where absent.
///
/// # Errors
/// In production, and where mail is really sent.
pub async fn seed(settings: Settings, password: Option<String>) -> anyhow::Result<String> {
    if settings.profile == Profile::Production {
        bail!("sample data is for development: the profile is production");
    }
    if settings.email.smtp_url.is_some() {
        bail!(
            "sample data is for development: with email.smtp_url set, messages would be sent to its people"
        );
    }
    let address = SocketAddr::new(settings.server.host, settings.server.port);
    let app = build(settings, address).await?;
    let seeded = Demo { app: &app, lines: Vec::new() }.run(password).await;
    app.sites.hosting.visits.flush(&app.core).await;
    app.core.store.close().await;
    seeded
}

struct Demo<'a> {
    app: &'a App,
    lines: Vec<String>,
}

/// A person, and the scope in which they act.
struct Person {
    user: User,
    role: Option<TenantRole>,
}

impl Person {
    fn scope(&self, app: &App, tenant: TenantId) -> Scope {
        let actor = Actor::User {
            id: self.user.id,
            session: app.core.env.new_id(),
            email_verified: true,
            role: self.user.role,
            impersonator: None,
        };
        let permissions = self.role.map(TenantRole::permissions).unwrap_or_default();
        Scope::user(actor, Some(tenant), permissions, request())
    }
}

fn request() -> RequestInfo {
    RequestInfo { id: "command-line".to_owned(), ..RequestInfo::default() }
}

fn failed(problem: Problem) -> anyhow::Error {
    anyhow!("{problem}")
}

fn one() -> PageRequest {
    PageRequest { page: 1, limit: 1 }
}

impl Demo<'_> {
    async fn run(mut self, password: Option<String>) -> anyhow::Result<String> {
        let people = self.people(password).await?;
        let Some((owner, others)) = people.split_first() else { bail!("there are no people") };
        let tenant = self.tenant(owner).await?;
        self.agreements(tenant).await?;
        for person in others.iter().filter(|person| person.role.is_some()) {
            self.join(owner, person, tenant).await?;
        }
        let scope = owner.scope(self.app, tenant);
        self.invite(&scope).await?;
        let site = self.site(&scope).await?;
        self.draft(&scope, site).await?;
        self.messages(&scope, tenant, site).await?;
        self.visits(&scope, tenant, site).await?;
        self.key(&scope).await?;
        self.webhook(&scope).await?;
        self.wizard(&scope).await?;
        Ok(self.lines.join("\n"))
    }

    fn say(&mut self, kind: &str, what: impl std::fmt::Display) {
        self.lines.push(format!("{kind:<14}{what}"));
    }

    async fn people(&mut self, given: Option<String>) -> anyhow::Result<Vec<Person>> {
        let chosen = given.is_some();
        // The suffix satisfies the password rules apart from length.
        let password = given.unwrap_or_else(|| self.app.core.env.secret() + "-Aa1");
        let mut people = Vec::new();
        for (email, name, role, platform) in PEOPLE {
            let registration = Registration {
                email: email.to_owned(),
                full_name: name.to_owned(),
                password: password.clone().into(),
                ..Registration::default()
            };
            let (user, is_new) = registration::create_proven(&self.app.identity, registration, platform)
                .await
                .map_err(failed)?;
            let role_name = role.map_or(platform.as_str(), TenantRole::as_str);
            let secret = match (is_new, chosen) {
                (true, false) => format!("password {password}"),
                (true, true) => "the given password".to_owned(),
                (false, _) => "exists, and keeps its password".to_owned(),
            };
            self.say("account", format!("{email:<20} {role_name:<8} {secret}"));
            people.push(Person { user, role });
        }
        Ok(people)
    }

    async fn tenant(&mut self, owner: &Person) -> anyhow::Result<TenantId> {
        let env = &self.app.core.env;
        let scope = owner.scope(self.app, TenantId::PLATFORM);
        let mine = Members::new(&mut *self.app.core.reader(), &scope, env).mine().await?;
        if let Some(found) = mine.iter().find(|tenant| tenant.name == CUSTOMER) {
            let id = found.id;
            self.say("customer", format!("{CUSTOMER} exists ({id})"));
            return Ok(id);
        }
        let mut work = self.app.core.begin().await?;
        let new = NewTenant { name: CUSTOMER.to_owned(), subdomain: None };
        let most = self.app.tenancy.settings.max_owned_tenants;
        let tenant = Tenants::new(&mut *work, &scope, env).create(new, owner.user.id, most).await?;
        Subscriptions::new(&mut *work, &scope, env).start_free(tenant.id, owner.user.id).await?;
        let staff = Scope::system(Some(tenant.id), request());
        let grant = PlanGrant { plan: "professional".to_owned(), reason: "Sample data".to_owned() };
        Subscriptions::new(&mut *work, &staff, env).grant(tenant.id, grant).await?;
        // Their sign-ins begin there, and not in their personal tenant.
        work.users().remember_tenant(owner.user.id, tenant.id).await?;
        work.commit().await?;
        self.say("customer", format!("{CUSTOMER} ({}), on the plan professional", tenant.id));
        Ok(tenant.id)
    }

    /// Another limit than that of the plan.
    async fn agreements(&mut self, tenant: TenantId) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let staff = Scope::system(Some(tenant), request());
        let mut work = self.app.core.begin().await?;
        let mut agreements = Agreements::new(&mut *work, &staff, env);
        if agreements.get(tenant).await?.set_at.is_some() {
            return Ok(());
        }
        let limits = LimitsUpdate {
            limits: [(Meter::Sites, Some(12))].into(),
            reason: "Sample data".to_owned(),
            ..LimitsUpdate::default()
        };
        agreements.set(tenant, limits).await?;
        work.commit().await?;
        self.say("limits", "12 sites instead of the 10 of the plan");
        Ok(())
    }

    /// Invites a person, who accepts.
    async fn join(&mut self, owner: &Person, person: &Person, tenant: TenantId) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let known = self.app.core.reader().memberships().role(tenant, person.user.id).await?;
        if known.is_some() {
            return Ok(());
        }
        let mut work = self.app.core.begin().await?;
        let input = NewInvitation {
            email: person.user.email.as_str().to_owned(),
            role: person.role,
            language: Some("en".to_owned()),
        };
        let inviting = owner.scope(self.app, tenant);
        let invitation = Invitations::new(&mut *work, &inviting, env).create(input, "en").await?;
        let invited = person.scope(self.app, tenant);
        invitations::accept(&mut *work, env, &invited, invitation.id).await.map_err(failed)?;
        work.users().remember_tenant(person.user.id, tenant).await?;
        work.commit().await?;
        Ok(())
    }

    async fn invite(&mut self, scope: &Scope) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let mut work = self.app.core.begin().await?;
        let mut invitations = Invitations::new(&mut *work, scope, env);
        let email = "newcomer@demo.example".to_owned();
        let known = invitations.list(None, PageRequest::default()).await?;
        if known.items.iter().any(|invitation| invitation.email == email) {
            return Ok(());
        }
        let input = NewInvitation { email, role: Some(TenantRole::Editor), language: Some("en".to_owned()) };
        let invitation = invitations.create(input, "en").await?;
        work.commit().await?;
        self.say("invitation", format!("{} as editor, open", invitation.email));
        Ok(())
    }

    /// The site, live. Its content is the example of the template, which the owner confirms.
    async fn site(&mut self, scope: &Scope) -> anyhow::Result<SiteId> {
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
    async fn draft(&mut self, scope: &Scope, site: SiteId) -> anyhow::Result<()> {
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
    async fn messages(&mut self, scope: &Scope, tenant: TenantId, site: SiteId) -> anyhow::Result<()> {
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
    async fn visits(&mut self, scope: &Scope, tenant: TenantId, site: SiteId) -> anyhow::Result<()> {
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

    async fn key(&mut self, scope: &Scope) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let mut work = self.app.core.begin().await?;
        let mut keys = ApiKeys::new(&mut *work, scope, env);
        if keys.list(one()).await?.total > 0 {
            return Ok(());
        }
        let new = NewApiKey {
            name: "Demo integration".to_owned(),
            permissions: ["sites:read", "pages:read", "submissions:read"].map(str::to_owned).to_vec(),
            mode: Some(Mode::Test),
            ..NewApiKey::default()
        };
        let (_, text) = keys.create(new, &*self.app.identity.tokens).await?;
        work.commit().await?;
        self.say("API key", text.expose_secret().to_owned());
        Ok(())
    }

    /// Paused: its address does not exist.
    async fn webhook(&mut self, scope: &Scope) -> anyhow::Result<()> {
        let core = &self.app.core;
        let mut work = core.begin().await?;
        let mut webhooks = Webhooks::new(&mut *work, scope, &core.env);
        if webhooks.list(one()).await?.total > 0 {
            return Ok(());
        }
        let new = NewWebhook {
            url: "https://hooks.demo.example/portico".to_owned(),
            events: ["page.published", "submission.received"].map(str::to_owned).to_vec(),
            description: Some("Sample data".to_owned()),
            active: Some(false),
            ..NewWebhook::default()
        };
        let rules = WebhookRules {
            most: core.settings.webhooks.max_per_tenant,
            events: catalogue(),
            http: &*self.app.tenancy.webhook_client,
            sealer: &*core.sealer,
        };
        let (webhook, _) = webhooks.create(new, rules).await?;
        work.commit().await?;
        self.say("webhook", format!("{}, paused", webhook.url));
        Ok(())
    }

    async fn wizard(&mut self, scope: &Scope) -> anyhow::Result<()> {
        let env = &self.app.core.env;
        let mut work = self.app.core.begin().await?;
        let mut wizards = Wizards::new(&mut *work, scope, env);
        if wizards.list(WizardFilter::default(), one()).await?.total > 0 {
            return Ok(());
        }
        let business = BusinessDetails {
            name: "Millstone Coffee Corner".to_owned(),
            industry: "cafe".to_owned(),
            ..BusinessDetails::default()
        };
        wizards.start(WizardUpdate { business_info: Some(business), ..WizardUpdate::default() }).await?;
        work.commit().await?;
        self.say("wizard", "at its second step");
        Ok(())
    }
}

const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                     Version/18.0 Mobile/15E148 Safari/604.1";
