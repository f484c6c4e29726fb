//! Startup: builds all components from the settings, and connects them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use anyhow::Context;
use portico_billing::{plan::Plans, product::Products};
use portico_cache::{MemoryCache, ProcessLimiter, Redis, RedisBroadcast, RedisCache, SharedLimiter};
use portico_dns::HickoryResolver;
use portico_documents::PdfReceipts;
use portico_email::{SmtpTransport, TemplateMailer};
use portico_feature_billing::state::App as Billing;
use portico_feature_identity::{flows::registration, state::App as Identity, throttle::Throttling};
use portico_feature_licensing::state::App as Licensing;
use portico_feature_sites::{
    addresses::SiteAddresses,
    flows::templates,
    hosting::{Forms, Hosting, LiveSites},
    settings::BandwidthLimit,
    state::App as Sites,
};
use portico_feature_support::state::App as Support;
use portico_feature_tenancy::state::App as Tenancy;
use portico_identity::{
    account::Registration,
    password::{PasswordMeter, PasswordRule},
    ports::OpenIdProvider,
    session::SessionLifetimes,
    throttle::ThrottleRule,
};
use portico_images::BoundedImages;
use portico_kernel::{
    Env, cache::Cache, files::FileStore, images::ImageProcessor, limits::RateLimiter, mail::MailTransport,
};
use portico_licensing::{key::KeyVault, policy::LicensePolicies, ports::LicenseSigner};
use portico_otlp::{Collector, Tracer};
use portico_renderer::HtmlRenderer;
use portico_runtime::{
    access::Access, broadcasts::Broadcasts, clock::SharedClock, core::Core, key_cache::ApiKeyCache,
    live::Live, mailing::Mailing, session_cache::SessionCache, signals::Signals, store::Store,
    telemetry::Telemetry, traces,
};
use portico_sandbox::Mailbox;
use portico_security::{
    AesSealer, Argon2Hasher, FactorKeys, JwtIssuer, MacKeyDigests, MacLinkSigner, MacMarks, OidcProvider,
    ProviderConfig, Secrets, SystemClock, SystemRandom,
};
use portico_sql::{MigrationState, SqlStore, StoreOptions};
use portico_web::{
    admission::{Admission, UPLOADS},
    api::Api,
    limits::Limits,
    openapi::Document,
    response_cache::ResponseCache,
};
use secrecy::ExposeSecret;
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    keys::{Keys, license_signer, make_private},
    outbound,
    parts::{ScannerProbe, StorageProbe},
    payments::{self, Providers},
    recurrente, server,
    settings::{self, Security, Settings, Telemetry as TraceSettings},
    state::App,
    writer,
};

/// Default maximum of connections to Postgres.
const POSTGRES_CONNECTIONS: u32 = 20;

/// How long a request waits for a connection: short enough that it is answered with 503 within a second.
const PATIENCE: Duration = Duration::from_millis(900);

/// Opens the database that the settings name.
pub async fn connect(settings: &Settings) -> anyhow::Result<SqlStore> {
    if !settings.is_postgres() {
        make_private(&settings.data_dir)?;
    }
    let mut options = StoreOptions::new(settings.database_url().expose_secret());
    options.acquire_timeout = PATIENCE;
    options.statement_timeout = settings.database.statement_timeout;
    if let Some(max) = settings.database.max_connections {
        options.max_connections = max;
    }
    SqlStore::connect(&options).await.context("database.url: the database cannot be opened")
}

/// The migrations and which of them the database has, without making one that is not there.
pub async fn migration_status(settings: &Settings) -> anyhow::Result<Vec<MigrationState>> {
    let url = settings.database_url();
    if portico_sql::names_missing_file(url.expose_secret()) {
        return Ok(SqlStore::pending_migrations());
    }
    let store = connect(settings).await?;
    let status = store.migration_status().await?;
    store.close().await;
    Ok(status)
}

/// Writes the plans, products and their licensing that are not there and the library of templates. Returns how many plans and templates were written: none
/// on a second run. Through the trait: a concrete unit of work here compiles all repositories once more.
pub async fn seed(store: &dyn Store, env: &Env) -> anyhow::Result<(usize, usize)> {
    let mut work = store.begin().await?;
    let plans = Plans::new(&mut *work).seed().await?;
    Products::new(&mut *work).seed(env.now()).await?;
    LicensePolicies::new(&mut *work).seed(env.now()).await?;
    let templates =
        templates::seed(env, &mut *work).await.context("the library of templates cannot be written")?;
    work.commit().await?;
    Ok((plans, templates))
}

/// Migrates, seeds, and builds every component. `address` is where the server listens.
pub async fn build(settings: Settings, address: SocketAddr) -> anyhow::Result<App> {
    // A second installation in one process (tests) keeps the first provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    make_private(&settings.data_dir)?;
    // The clock of the metrics measures the processor's counter, which takes up to 200 ms. The database is opened meanwhile.
    let telemetry = tokio::task::spawn_blocking(Telemetry::install);
    let clock = Arc::new(SharedClock::new(Arc::new(SystemClock)));
    let env =
        Env::new(clock.clone(), Arc::new(SystemRandom)).reserving(settings.sites.reserved.iter().cloned());
    let redis = match &settings.redis.url {
        Some(url) => {
            Some(Redis::open(url.expose_secret(), settings.redis.timeout).await.context("redis.url")?)
        }
        None => None,
    };
    let broadcasts = redis.clone().map(|redis| {
        let way = Arc::new(RedisBroadcast::new(redis));
        Broadcasts::new(way, env.random_uuid())
    });
    let signals = Arc::new(Signals::new(broadcasts, Some(clock)));
    let tracer = tracer(&settings.telemetry, &env).context("telemetry")?;
    let store = connect(&settings).await?.with_listener(signals.clone());
    store.migrate().await.context("the database cannot be migrated")?;
    seed(&store, &env).await?;
    let telemetry = telemetry.await??;
    // Not before the recorder is there: its histogram would count nothing.
    let watch =
        Arc::new(traces::Watch::new(settings.is_postgres(), settings.database.slow_query, tracer.clone()));
    let store = store.with_observer(watch);

    let public_url = settings.public_url(address);
    let parsed: url::Url = public_url.parse().context("server.public_url")?;
    let site_port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();

    let mut mailbox = None;
    let transport: Arc<dyn MailTransport> = match &settings.email.smtp_url {
        Some(url) => {
            Arc::new(SmtpTransport::new(url.expose_secret(), &settings.email.from).context("email")?)
        }
        None => {
            let sandbox = Arc::new(Mailbox::open(settings.data_dir.join("mailbox"), env.clone())?);
            mailbox = Some(sandbox.clone());
            sandbox
        }
    };
    let cache: Arc<dyn Cache> = match &redis {
        Some(redis) => Arc::new(RedisCache::new(redis.clone())),
        None => Arc::new(MemoryCache::default()),
    };
    let limiter: Arc<dyn RateLimiter> = match redis.clone() {
        Some(redis) => Arc::new(SharedLimiter::new(redis)),
        None => Arc::new(ProcessLimiter::default()),
    };
    let security = &settings.security;
    let Keys { signing, sealing } = Keys::load(&settings, &env)?;
    let store = Arc::new(store);
    let background = Arc::new(store.for_background());
    let openid = openid_providers(&settings, &public_url, &signing, &env)?;
    let renderer = Arc::new(HtmlRenderer::new()?);
    let core = Core {
        settings: Arc::new(settings.of_runtime()),
        sealer: Arc::new(AesSealer::new(&sealing)),
        access: Access {
            store: store.clone(),
            tokens: Arc::new(JwtIssuer::new(&signing)),
            verified: Arc::default(),
            marks: Arc::new(MacMarks::new(&signing)),
            sessions: Arc::new(SessionCache::new(store.clone(), env.clone(), signals.clone())),
            api_keys: Arc::new(ApiKeyCache::new(store.clone(), signals.clone())),
            env: env.clone(),
        },
        key_usage: Arc::default(),
        live: Arc::new(Live::new(store.clone(), signals.clone(), &settings.live)),
        jobs: background.clone(),
        deliveries: background.clone(),
        idempotency: store.clone(),
        schedules: background,
        store,
        signals: signals.clone(),
        telemetry,
        tracer,
        env: env.clone(),
    };
    let limits = Limits::new(&settings.rate_limit, limiter.clone()).map(Arc::new);
    let connections =
        settings.is_postgres().then(|| settings.database.max_connections.unwrap_or(POSTGRES_CONNECTIONS));
    let api = Api {
        core: core.clone(),
        settings: Arc::new(settings.server.clone()),
        public_url: public_url.as_str().into(),
        host: parsed.host_str().unwrap_or_default().into(),
        signer: Arc::new(MacLinkSigner::new(&signing)),
        limits: limits.clone(),
        admission: Arc::new(Admission::new(&settings.admission, connections, signals.waiting.clone())),
        bodies: Arc::default(),
        connections: Arc::default(),
        responses: Arc::new(ResponseCache::new(cache, signals.clone())),
        document: document()?,
        ready: Arc::new(AtomicBool::new(false)),
    };
    let files: Arc<dyn FileStore> = Arc::new(settings.open_files()?);
    let images: Arc<dyn ImageProcessor> = Arc::new(BoundedImages::default());
    let mailer = Arc::new(TemplateMailer::new(transport, settings.links.pages(&parsed)?)?);
    let mail = Mailing { core: core.clone(), mailer, rule: settings.email.rule() };
    let front_ends = [Some(&parsed), settings.links.app_url.as_ref()].into_iter().flatten();
    let hasher = Argon2Hasher::new(security.argon2_memory_kib, security.argon2_passes)?;
    let meter = Arc::new(hasher.meter(security.password_min_score));
    let identity = Identity {
        core: core.clone(),
        api: api.clone(),
        own_origins: front_ends.map(|url| url.origin().ascii_serialization()).collect(),
        mail: mail.clone(),
        hasher: Arc::new(hasher),
        password_rule: password_rule(security, meter),
        lifetimes: session_lifetimes(security),
        tokens: core.access.tokens.clone(),
        marks: core.access.marks.clone(),
        throttling: Arc::new(Throttling::new(throttle_rule(&security.throttle), core.access.marks.clone())),
        openid: Arc::new(openid),
        factors: Arc::new(FactorKeys::new(&sealing, &signing)?),
        passkeys: Arc::new(settings.ceremonies(&parsed)?),
        files: files.clone(),
        images: images.clone(),
    };
    let tenancy = Tenancy {
        core: core.clone(),
        api: api.clone(),
        settings: Arc::new(settings.tenancy.clone()),
        mail: mail.clone(),
        tokens: core.access.tokens.clone(),
        webhook_client: outbound::for_webhooks(&settings),
    };
    let (providers, payments_sandbox) = match payments::at_stripe(&settings)? {
        _ if !settings.payments.enabled => (Providers::none(), None),
        Some(stripe) => (stripe, None),
        None => {
            let sandbox = payments::open_sandbox(&settings.data_dir, &public_url, &env)?;
            (payments::at_sandbox(&sandbox), Some(sandbox))
        }
    };
    let vault = KeyVault::new(core.sealer.clone(), Arc::new(MacKeyDigests::new(&sealing)));
    let signer = license_signer(&settings, &env)?.map(|signer| Arc::new(signer) as Arc<dyn LicenseSigner>);
    let addresses = Arc::new(SiteAddresses {
        domain: settings.sites.domain.clone(),
        port: site_port,
        is_https: api.is_https(),
        api_host: api.host.clone(),
        target: settings.sites.target()?,
    });
    let site_payments = recurrente::from_settings(&settings, &public_url, &env).context("recurrente")?;
    let billing = Billing {
        core: core.clone(),
        api: api.clone(),
        mail: mail.clone(),
        provider: providers.payments,
        subscriptions: providers.subscriptions,
        checkout_rule: payments::checkout_rule(&settings, &parsed),
        seller: Arc::new(settings.billing.seller()),
        receipts: Arc::new(PdfReceipts),
        vault: vault.clone(),
        recurrente: site_payments.provider,
        sale_settings: recurrente::sale_settings(
            &settings,
            site_payments.live,
            addresses.site_url("{subdomain}"),
        ),
        files: files.clone(),
    };
    let licensing = Licensing {
        core: core.clone(),
        api: api.clone(),
        vault,
        signer,
        files: files.clone(),
        scanner: settings.clamav.scanner(),
        downloads: Arc::new(settings.downloads.rule(settings.clamav.publish_too_large)),
    };
    let support = Support {
        core: core.clone(),
        api: api.clone(),
        mail: mail.clone(),
        rule: Arc::new(settings.support.rule(api.signer.clone())),
        files: files.clone(),
        scanner: licensing.scanner.clone(),
        serve_unscannable: settings.clamav.publish_too_large,
    };
    let hosting = Hosting {
        core: core.clone(),
        api: api.clone(),
        addresses,
        files: files.clone(),
        live: Arc::new(LiveSites::new(signals, settings.sites.serve_stale)),
        forms: Arc::new(Forms::new(&settings.sites, limits.map(|_| limiter), renderer.clone())),
        visits: Arc::default(),
        bandwidth_is_hard: settings.sites.bandwidth_limit == BandwidthLimit::Hard,
        country_header: settings.sites.country_header.as_deref().map(Into::into),
    };
    let sites = Sites {
        settings: Arc::new(settings.of_sites()),
        hosting,
        mail,
        files,
        images,
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        generator: writer::from_settings(&settings, &env)?,
        resolver: Arc::new(HickoryResolver::new(settings.dns.servers.clone(), settings.dns.timeout)),
        renderer,
        pools: Arc::default(),
        previews: Arc::default(),
        completions: Arc::default(),
        core: core.clone(),
        api: api.clone(),
    };
    let storage = Arc::new(StorageProbe::new(sites.files.clone()));
    let scanner = Arc::new(ScannerProbe::new(licensing.scanner.clone()));
    Ok(App {
        core,
        settings: Arc::new(settings),
        api,
        identity,
        tenancy,
        billing,
        licensing,
        sites,
        support,
        redis,
        storage,
        scanner,
        mailbox,
        payments_sandbox,
        recurrente: site_payments.stand_in,
    })
}

/// Lifetimes of sessions and their tokens.
fn session_lifetimes(security: &Security) -> SessionLifetimes {
    let default = SessionLifetimes::default();
    SessionLifetimes {
        access_token: security.access_token_ttl.try_into().unwrap_or(default.access_token),
        refresh_token: security.refresh_token_ttl.try_into().unwrap_or(default.refresh_token),
        session: security.session_max_age.try_into().unwrap_or(default.session),
        grace: default.grace,
    }
}

/// The tracer of the settings.
fn tracer(settings: &TraceSettings, env: &Env) -> anyhow::Result<Tracer> {
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(Tracer::off()) };
    let collector = Collector {
        endpoint: endpoint.to_string(),
        headers: settings.headers()?,
        sample_ratio: settings.sample_ratio,
        service: settings.service_name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        instance: env.random_uuid().to_string(),
    };
    Ok(Tracer::sending(collector, outbound::for_telemetry(), Handle::current())?)
}

/// The API document, prepared once: every server of a process has the same.
fn document() -> anyhow::Result<Arc<Document>> {
    static DOCUMENT: OnceLock<Arc<Document>> = OnceLock::new();
    if let Some(document) = DOCUMENT.get() {
        return Ok(document.clone());
    }
    let made = Arc::new(Document::new(&server::operations())?);
    Ok(DOCUMENT.get_or_init(|| made).clone())
}

/// Requirements of the settings on passwords.
fn password_rule(security: &Security, meter: Arc<dyn PasswordMeter>) -> PasswordRule {
    PasswordRule {
        min_length: security.password_min_length,
        uppercase: security.password_uppercase,
        lowercase: security.password_lowercase,
        digit: security.password_digit,
        special: security.password_special,
        meter,
        ..PasswordRule::default()
    }
}

/// The throttling limits of the settings. They are validated to be a day at most.
fn throttle_rule(settings: &settings::Throttle) -> ThrottleRule {
    let default = ThrottleRule::default();
    ThrottleRule {
        window: settings.window.try_into().unwrap_or(default.window),
        per_pair: settings.per_pair,
        per_network: settings.per_network,
        per_account: settings.per_account,
        first_pause: settings.first_pause.try_into().unwrap_or(default.first_pause),
        longest_pause: settings.longest_pause.try_into().unwrap_or(default.longest_pause),
    }
}

/// The providers of the settings. No request is made to them yet.
fn openid_providers(
    settings: &Settings,
    public_url: &str,
    secrets: &Secrets,
    env: &Env,
) -> anyhow::Result<BTreeMap<String, Arc<dyn OpenIdProvider>>> {
    let mut providers: BTreeMap<String, Arc<dyn OpenIdProvider>> = BTreeMap::new();
    for (name, provider) in &settings.oidc {
        let config = ProviderConfig {
            name: name.clone(),
            display_name: provider.display_name.clone().unwrap_or_else(|| name.clone()),
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            client_secret: provider.client_secret.clone(),
            scopes: provider.scopes.clone(),
            redirect_uri: match &provider.redirect_uri {
                Some(uri) => uri.to_string(),
                None => format!("{public_url}/auth/callback"),
            },
            email_verified_as_text: provider.email_verified_as_text,
        };
        let client = outbound::for_provider(settings, provider);
        let provider = OidcProvider::new(config, secrets, client, env.clone())
            .with_context(|| format!("oidc.{name}"))?;
        providers.insert(name.clone(), Arc::new(provider));
    }
    Ok(providers)
}

/// Creates a super admin, and prints the result.
pub async fn create_admin(
    settings: Settings,
    email: String,
    full_name: String,
    password: Option<String>,
) -> anyhow::Result<String> {
    let app = build(settings, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let chosen = password.is_some();
    // The suffix satisfies the password rules apart from length.
    let password = password.unwrap_or_else(|| app.core.env.secret() + "-Aa1");
    let registration =
        Registration { email, full_name, password: password.clone().into(), ..Registration::default() };
    let (user, is_new) = registration::create_super_admin(&app.identity, registration)
        .await
        .map_err(|problem| anyhow::anyhow!("{problem}"))?;
    app.core.store.close().await;
    Ok(match (is_new, chosen) {
        (false, _) => format!("{} is a super admin now and keeps the password.", user.email),
        (true, true) => format!("{} is a super admin with the given password.", user.email),
        (true, false) => format!("{} is a super admin with the password {password}", user.email),
    })
}
