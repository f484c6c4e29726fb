use super::*;

fn environment(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_environment_goes_before_the_file() {
    let settings = Settings::from_sources(
        "[server]\nport = 8000\n[worker]\nlease = \"5s\"",
        environment(&[
            ("PORTICO__SERVER__PORT", "9000"),
            ("PORTICO__CORS__ORIGINS", "https://a.example, https://b.example"),
        ]),
    )
    .unwrap();
    assert_eq!(settings.server.port, 9000);
    assert_eq!(settings.worker.lease, Duration::from_secs(5));
    assert_eq!(settings.cors.origins, ["https://a.example", "https://b.example"]);
}

#[test]
fn a_secret_of_digits_stays_as_written() {
    let secret = "00012345678901234567890123456789";
    let settings =
        Settings::from_sources("", environment(&[("PORTICO__SECURITY__JWT_SECRET", secret)])).unwrap();
    assert_eq!(settings.security.jwt_secret.unwrap().expose_secret(), secret);
}

#[test]
fn wrong_settings_are_refused() {
    for (key, value) in [
        ("PORTICO__SERVER__PORT", "http"),
        ("PORTICO__SERVER__PROT", "1"),
        ("PORTICO__DATABASE__URL", "mysql://x"),
        ("PORTICO__SECURITY__JWT_SECRET", "short"),
        ("PORTICO__SECURITY__ACCESS_TOKEN_TTL", "soon"),
        ("PORTICO__SERVER__TRUSTED_PROXIES", "nowhere"),
        ("PORTICO_PROFILE", "staging"),
        ("PORTICO__SECURITY__PASSWORD_MIN_SCORE", "5"),
        ("PORTICO__SECURITY__PASSWORD_SPECIAL", "perhaps"),
        ("PORTICO__SECURITY__THROTTLE__PER_PAIR", "0"),
        ("PORTICO__SECURITY__THROTTLE__WINDOW", "2d"),
        ("PORTICO__SECURITY__THROTTLE__LONGEST_PAUSE", "2h"),
        ("PORTICO__SECURITY__THROTTLE__ENABLED", "false"),
        ("PORTICO__SITES__COUNTRY_HEADER", "CF IPCountry"),
        ("PORTICO__SERVER__DRAIN_DELAY", "a while"),
        ("PORTICO__WORKER__PORT", "70000"),
        ("PORTICO__SITES__FORM_PER_ADDRESS", "0"),
        ("PORTICO__SITES__ANALYTICS_RETENTION", "always"),
        ("PORTICO__SECURITY__SEALING_SECRET", "short"),
        ("PORTICO__SECURITY__JWT_SECRET_PREVIOUS", "0123456789abcdef0123456789abcdef,short"),
        ("PORTICO__DNS__TIMEOUT", "0s"),
        ("PORTICO__SERVER__WORKERS", "0"),
        ("PORTICO__SUPPORT__DESK_EMAIL", "nobody"),
        ("PORTICO__SUPPORT__INBOUND_PASSWORD", "short"),
        // Without a password nobody would read the answers.
        ("PORTICO__SUPPORT__REPLY_DOMAIN", "reply.example.com"),
        ("PORTICO__SUPPORT__TARGET_LOW", "soon"),
        ("PORTICO__DOWNLOADS__LINK_SECONDS", "0"),
        ("PORTICO__DOWNLOADS__MAX_FILE_BYTES", "many"),
    ] {
        assert!(Settings::from_sources("", environment(&[(key, value)])).is_err(), "{key}={value}");
    }
}

#[test]
fn production_drains_unless_told_otherwise() {
    let drains = |pairs: &[(&str, &str)]| {
        let accepted = [(
            "PORTICO__ALLOW_IN_PRODUCTION",
            "sqlite,generated_secret,sandbox_mail,sandbox_payments,plain_http",
        )];
        Settings::from_sources("", environment(&[&accepted, pairs].concat())).unwrap().drain_delay()
    };
    assert_eq!(drains(&[]), Duration::ZERO);
    assert_eq!(drains(&[("PORTICO_PROFILE", "production")]), Duration::from_secs(5));
    let short = [("PORTICO_PROFILE", "production"), ("PORTICO__SERVER__DRAIN_DELAY", "1500ms")];
    assert_eq!(drains(&short), Duration::from_millis(1500));
}

#[test]
fn production_sells_everything_for_real_money_or_nothing() {
    let starts = |stripe: &str, recurrente: &str, more: &[(&str, &str)]| {
        let (secret, public) = (format!("sk_{recurrente}_secret"), format!("pk_{recurrente}_public"));
        let pairs = [
            ("PORTICO_PROFILE", "production"),
            ("PORTICO__STRIPE__SECRET_KEY", stripe),
            ("PORTICO__STRIPE__WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("PORTICO__RECURRENTE__PUBLIC_KEY", public.as_str()),
            ("PORTICO__RECURRENTE__SECRET_KEY", secret.as_str()),
            ("PORTICO__RECURRENTE__WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("PORTICO__RECURRENTE__RETURN_URL", "https://app.example.com/bought"),
        ];
        let why = Settings::from_sources("", environment(&[&pairs, more].concat()));
        why.map(drop).map_err(|error| error.to_string())
    };
    let accepted = |names| [("PORTICO__ALLOW_IN_PRODUCTION", names)];
    let (base, all) = (
        accepted("sqlite,generated_secret,sandbox_mail,plain_http"),
        accepted("sqlite,generated_secret,sandbox_mail,sandbox_payments,plain_http"),
    );
    for (stripe, recurrente) in [("sk_live_1", "test"), ("rk_test_1", "live")] {
        let why = starts(stripe, recurrente, &base).unwrap_err();
        assert!(why.contains("of the same mode"), "{why}");
        assert_eq!(starts(stripe, recurrente, &all), Ok(()));
    }
    for (stripe, recurrente) in [("sk_live_1", "live"), ("sk_test_1", "test")] {
        assert_eq!(starts(stripe, recurrente, &base), Ok(()));
    }
}

#[test]
fn providers_come_from_the_environment() {
    let provider = |more: &[(&str, &str)]| {
        let mut pairs = vec![
            ("PORTICO__OIDC__GOOGLE__ISSUER", "https://accounts.google.com"),
            ("PORTICO__OIDC__GOOGLE__CLIENT_ID", "123"),
            ("PORTICO__OIDC__GOOGLE__CLIENT_SECRET", "0456"),
        ];
        pairs.extend(more);
        Settings::from_sources("", environment(&pairs))
    };
    let settings = provider(&[
        ("PORTICO__OIDC__GOOGLE__SCOPES", "email"),
        ("PORTICO__OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8, fd00::/8"),
        ("PORTICO__OIDC__GOOGLE__ALLOW_NETWORKS", "10.0.0.0/8"),
        ("PORTICO__OIDC__GOOGLE__EMAIL_VERIFIED_AS_TEXT", "true"),
    ])
    .unwrap();
    let google = &settings.oidc["google"];
    assert_eq!((google.issuer.as_str(), google.client_id.as_str()), ("https://accounts.google.com", "123"));
    assert_eq!((google.client_secret.expose_secret(), &google.scopes), ("0456", &vec!["email".to_owned()]));
    assert_eq!((settings.outbound.allow_networks.len(), google.allow_networks.len()), (2, 1));
    assert!(google.email_verified_as_text && !provider(&[]).unwrap().oidc["google"].email_verified_as_text);
    assert!(!format!("{settings:?}").contains("0456"));
    assert_eq!(provider(&[]).unwrap().oidc["google"].scopes, ["email", "profile"]);
    for wrong in [
        ("PORTICO__OIDC__GOOGLE__ISSUER", "accounts.google.com"),
        ("PORTICO__OIDC__GOOGLE__ISSUER", "ftp://accounts.google.com"),
        ("PORTICO__OIDC__GOOGLE__ISSUER", "https://accounts.google.com?x=1"),
        ("PORTICO__OIDC__GOOGLE__REDIRECT_URI", "javascript:alert(1)"),
        ("PORTICO__OIDC__GOOGLE__SECRET", "x"),
        ("PORTICO__OIDC__GOO_GLE__ISSUER", "https://accounts.google.com"),
        ("PORTICO__OUTBOUND__ALLOW_NETWORKS", "everywhere"),
    ] {
        assert!(provider(&[wrong]).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_writer_of_texts_is_checked() {
    let settings = |pairs: &[(&str, &str)]| Settings::from_sources("", environment(pairs));
    let server = ("PORTICO__AI__BASE_URL", "https://api.openai.com/v1");
    let model = ("PORTICO__AI__MODEL", "gpt-x");
    let key = ("PORTICO__AI__API_KEY", "00123");
    let good = settings(&[server, model, key]).unwrap();
    assert_eq!(good.ai.api_key.as_ref().unwrap().expose_secret(), "00123");
    assert!(!format!("{good:?}").contains("00123"));
    assert_eq!(good.ai.monthly_token_limit, None);
    let bounded = settings(&[server, model, ("PORTICO__AI__MONTHLY_TOKEN_LIMIT", "1000000")]).unwrap();
    assert_eq!(bounded.ai.monthly_token_limit, Some(1_000_000));
    assert!(bounded.ai.most_tokens() > 2 * u64::from(bounded.ai.max_output_tokens));
    for wrong in [
        &[server][..],
        &[model],
        &[key],
        &[("PORTICO__AI__BASE_URL", "ftp://api.example"), model],
        &[("PORTICO__AI__BASE_URL", "https://user:secret@api.example"), model],
        &[("PORTICO__AI__BASE_URL", "https://api.example/?x=1"), model],
        &[server, model, ("PORTICO__AI__TIMEOUT", "1h")],
        &[server, model, ("PORTICO__AI__MAX_OUTPUT_TOKENS", "5")],
        &[server, model, ("PORTICO__AI__MAX_ATTEMPTS", "0")],
        &[server, model, ("PORTICO__AI__TEMPERATURE", "1")],
    ] {
        assert!(settings(wrong).is_err(), "{wrong:?}");
    }
    let file = std::env::temp_dir().join(format!("portico-key-{}", std::process::id()));
    std::fs::write(&file, "sk-from-a-file\n").unwrap();
    let from_file =
        settings(&[server, model, ("PORTICO__AI__API_KEY_FILE", file.to_str().unwrap())]).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(from_file.ai.api_key.unwrap().expose_secret(), "sk-from-a-file");
}

#[test]
fn the_keys_of_recurrente_are_checked() {
    let settings = |pairs: &[(&str, &str)]| Settings::from_sources("", environment(pairs));
    let public = ("PORTICO__RECURRENTE__PUBLIC_KEY", "pk_test_1");
    let secret = ("PORTICO__RECURRENTE__SECRET_KEY", "sk_test_2");
    let webhooks = (
        "PORTICO__RECURRENTE__WEBHOOK_SECRETS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    );
    let good = settings(&[public, secret, webhooks, ("PORTICO__RECURRENTE__HEADERS", "bearer")]).unwrap();
    assert_eq!(good.recurrente.webhook_secrets.len(), 2);
    assert_eq!(good.recurrente.headers, portico_recurrente::HeaderStyle::Bearer);
    let shown = format!("{good:?}");
    assert!(!shown.contains("sk_test_2") && !shown.contains("MfKQ9r8"), "{shown}");
    assert!(settings(&[]).is_ok());
    for wrong in [
        &[public][..],
        &[secret, webhooks],
        &[public, secret],
        &[public, ("PORTICO__RECURRENTE__SECRET_KEY", "sk_live_2"), webhooks],
        &[("PORTICO__RECURRENTE__PUBLIC_KEY", "1"), ("PORTICO__RECURRENTE__SECRET_KEY", "2"), webhooks],
        &[public, secret, ("PORTICO__RECURRENTE__WEBHOOK_SECRETS", "secret")],
        &[public, secret, ("PORTICO__RECURRENTE__WEBHOOK_SECRETS", "whsec_")],
        &[("PORTICO__RECURRENTE__BASE_URL", "ftp://app.example")],
        &[("PORTICO__RECURRENTE__HEADERS", "basic")],
        &[("PORTICO__RECURRENTE__RETURN_URL", "javascript:alert(1)")],
    ] {
        assert!(settings(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn production_names_what_is_missing() {
    let refused =
        |pairs: &[(&str, &str)]| Settings::from_sources("", environment(pairs)).unwrap_err().to_string();
    let production = ("PORTICO_PROFILE", "production");
    let database = ("PORTICO__DATABASE__URL", "postgres://db/portico");
    let secret = ("PORTICO__SECURITY__JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let all = refused(&[production]);
    for missing in
        ["database.url", "security.jwt_secret", "email.smtp_url", "stripe.secret_key", "server.public_url"]
    {
        assert!(all.lines().any(|line| line.contains(missing)), "{missing}: {all}");
    }
    let mail = ("PORTICO__EMAIL__SMTP_URL", "smtp://mail.example");
    let plain = ("PORTICO__SERVER__PUBLIC_URL", "http://portal.example");
    let stripe = ("PORTICO__STRIPE__SECRET_KEY", "sk_live_1");
    let signed = ("PORTICO__STRIPE__WEBHOOK_SECRETS", "whsec_1");
    let only = refused(&[production, database, secret, mail, stripe, signed, plain]);
    assert!(
        only.contains("server.public_url must begin with https://") && only.lines().count() == 1,
        "{only}"
    );
    let tls = ("PORTICO__SERVER__PUBLIC_URL", "https://portal.example");
    let complete = [production, database, secret, mail, stripe, signed, tls];
    assert!(Settings::from_sources("", environment(&complete)).is_ok());
    let sells_nothing = ("PORTICO__PAYMENTS__ENABLED", "false");
    let without = [production, database, secret, mail, sells_nothing, tls];
    assert!(Settings::from_sources("", environment(&without)).is_ok());
    let allowed =
        ("PORTICO__ALLOW_IN_PRODUCTION", "sqlite,generated_secret,sandbox_mail,sandbox_payments,plain_http");
    assert!(Settings::from_sources("", environment(&[production, allowed])).is_ok());
}

fn limits(pairs: &[(&str, &str)]) -> anyhow::Result<RateLimit> {
    let environment = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Settings::from_sources("", environment).map(|settings| settings.rate_limit)
}

#[test]
fn a_plan_may_have_limits_of_its_own() {
    let limits = limits(&[
        ("PORTICO__RATE_LIMIT__PLANS__PROFESSIONAL__PER_USER", "1000"),
        ("PORTICO__RATE_LIMIT__PLANS__ENTERPRISE__PER_KEY", "9000"),
    ])
    .unwrap();
    assert_eq!((limits.for_user(Some("professional")), limits.for_key(Some("professional"))), (1000, 600));
    assert_eq!((limits.for_user(Some("enterprise")), limits.for_key(Some("enterprise"))), (300, 9000));
    for plan in [None, Some("free"), Some("")] {
        assert_eq!((limits.for_user(plan), limits.for_key(plan)), (300, 600));
    }
}

#[test]
fn wrong_limits_are_refused() {
    for wrong in [
        ("PORTICO__RATE_LIMIT__PER_USER", "0"),
        ("PORTICO__RATE_LIMIT__PLANS__FREE__PER_KEY", "0"),
        ("PORTICO__RATE_LIMIT__PLANS__FREE__PER_KEY", "-1"),
        ("PORTICO__RATE_LIMIT__PLANS__FREE__PER_HOUR", "10"),
    ] {
        assert!(limits(&[wrong]).is_err(), "{wrong:?}");
    }
}

#[test]
fn an_account_at_stripe_has_a_key_and_secrets_of_its_webhooks() {
    let key = ("PORTICO__STRIPE__SECRET_KEY", "sk_test_1");
    let secrets = ("PORTICO__STRIPE__WEBHOOK_SECRETS", "whsec_1, whsec_2");
    let base = |url| ("PORTICO__STRIPE__BASE_URL", url);
    let read = |pairs: &[(&str, &str)]| Settings::from_sources("", environment(pairs));
    let set = read(&[key, secrets, base("http://127.0.0.1:12111")]).unwrap().stripe;
    let found: Vec<&str> = set.webhook_secrets.iter().map(|secret| secret.expose_secret()).collect();
    assert_eq!(found, ["whsec_1", "whsec_2"]);
    assert_eq!(set.base_url.unwrap().as_str(), "http://127.0.0.1:12111/");
    assert!(!format!("{:?}", read(&[key, secrets]).unwrap()).contains("sk_test_1"));
    for wrong in [
        &[key][..],
        &[("PORTICO__STRIPE__SECRET_KEY", "pk_live_1"), secrets],
        &[key, ("PORTICO__STRIPE__WEBHOOK_SECRETS", "")],
        &[key, ("PORTICO__STRIPE__WEBHOOK_SECRETS", "whsec_1,hush")],
        &[base("https://api.stripe.com")],
        &[key, secrets, base("ftp://api.stripe.com")],
        &[key, secrets, base("https://sk_test_1@api.stripe.com")],
        &[key, secrets, base("https://api.stripe.com?x=1")],
        &[("PORTICO__PAYMENTS__STRIPE_SECRET_KEY", "sk_test_1")],
    ] {
        assert!(read(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn receipts_name_a_seller_on_lines() {
    let read = |pairs: &[(&str, &str)]| Settings::from_sources("", environment(pairs));
    let seller = read(&[]).unwrap().billing.seller();
    assert_eq!((seller.name.as_str(), seller.tax_rate), ("Portico", 0));
    let named = read(&[
        ("PORTICO__BILLING__SELLER_NAME", "Example Ltd"),
        ("PORTICO__BILLING__SELLER_ADDRESS", "1 High Street, London"),
        ("PORTICO__BILLING__SELLER_TAX_ID", "GB123"),
        ("PORTICO__BILLING__TAX_NAME", "VAT"),
        ("PORTICO__BILLING__TAX_RATE", "2000"),
    ]);
    let seller = named.unwrap().billing.seller();
    assert_eq!(
        (seller.address, seller.tax_rate),
        (vec!["1 High Street".to_owned(), "London".to_owned()], 2000)
    );
    for (name, wrong) in [
        ("PORTICO__BILLING__SELLER_NAME", "two\nlines"),
        ("PORTICO__BILLING__SELLER_ADDRESS", "1,2,3,4,5,6,7,8,9,10,11"),
        ("PORTICO__BILLING__TAX_RATE", "10001"),
    ] {
        let refused = read(&[(name, wrong)]).unwrap_err().to_string();
        assert!(refused.contains("billing."), "{name}: {refused}");
    }
}
