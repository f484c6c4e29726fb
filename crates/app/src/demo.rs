//! Sample data for development: a customer with people of every role, a published site, and something of each kind that a tenant
//! has. Made through the use cases, as requests would; what exists already is left as it is.

mod site;

use std::net::SocketAddr;

use anyhow::{anyhow, bail};
use portico_billing::{
    limits::{Agreements, LimitsUpdate},
    subscription::{PlanGrant, Subscriptions},
};
use portico_feature_identity::flows::registration;
use portico_feature_tenancy::flows::invitations;
use portico_identity::{
    account::Registration,
    api_key::{ApiKeys, Mode, NewApiKey},
    user::User,
};
use portico_kernel::{Actor, Meter, PageRequest, PlatformRole, RequestInfo, Scope, TenantId, TenantRole};
use portico_runtime::events::catalogue;
use portico_sites::{
    ports::WizardFilter,
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
    settings::{Profile, Settings},
    startup::build,
    state::App,
};

/// Name of the customer.
const CUSTOMER: &str = "Millstone Demo Bakery";

/// The people: address, name, role in the tenant of the customer, role of the platform.
const PEOPLE: [(&str, &str, Option<TenantRole>, PlatformRole); 5] = [
    ("owner@demo.example", "Olivia Owner", Some(TenantRole::Owner), PlatformRole::Customer),
    ("admin@demo.example", "Adam Admin", Some(TenantRole::Admin), PlatformRole::Customer),
    ("editor@demo.example", "Edith Editor", Some(TenantRole::Editor), PlatformRole::Customer),
    ("viewer@demo.example", "Victor Viewer", Some(TenantRole::Viewer), PlatformRole::Customer),
    ("staff@demo.example", "Stella Staff", None, PlatformRole::Staff),
];

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
