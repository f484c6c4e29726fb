use portico_billing::{
    mail::{OverLimitMail, UsageMail},
    purchase_mail::PurchaseMail,
    site_sale_mail::{SiteSaleMail, SoldSite},
    subscription_mail::{SubscriptionMail, SubscriptionNotice},
    thresholds::Threshold,
};
use portico_identity::{
    mail::{AccountMail, AccountNotice, FactorChange, KeyNotice},
    user::EmailAddress,
};
use portico_kernel::{
    Meter, TenantRole, Timestamp,
    mail::{Mail, MailClass, MailValue, MockMailTransport},
};
use portico_sites::mail::SiteMail;
use portico_support::{
    mail::{SupportMail, SupportNews},
    priority::TicketPriority,
};
use portico_tenancy::mail::{TenantMail, TenantNotice};

use super::*;

fn mailer() -> TemplateMailer {
    let page =
        |page: &'static str| (page, Url::parse("https://portal.example.com").unwrap().join(page).unwrap());
    let pages = [
        "",
        "verify-email",
        "reset-password",
        "confirm-email-change",
        "cancel-email-change",
        "accept-invitation",
        "claim-site",
    ];
    mailer_with(pages.map(page).into())
}

fn mailer_with(links: Links) -> TemplateMailer {
    let transport = Arc::new(MockMailTransport::new());
    TemplateMailer::new(transport, links).unwrap().with_product("Acme Portal")
}

fn recipient(language: &str) -> Recipient {
    named("Ada Lovelace", language)
}

fn named(name: &str, language: &str) -> Recipient {
    Recipient::verified(EmailAddress::parse("ada@example.com").unwrap(), name.into(), language.into())
}

fn stranger(language: &str) -> Recipient {
    Recipient::unverified(EmailAddress::parse("ada@example.com").unwrap(), language.into())
}

fn render(mailer: &TemplateMailer, to: &Recipient, mail: &MailContent, brand: &MailBrand) -> MailMessage {
    let id = "0190a5b0-c0d0-8e00-8f00-112233445566".parse().unwrap();
    let message = mailer.render(id, to, mail, brand).unwrap();
    assert_eq!(message.id, id);
    message
}

fn plain(to: &Recipient, mail: &dyn Mail) -> MailMessage {
    plain_content(to, &mail.content())
}

fn plain_content(to: &Recipient, mail: &MailContent) -> MailMessage {
    render(&mailer(), to, mail, &MailBrand::default())
}

fn brand() -> MailBrand {
    MailBrand {
        name: Some("Engines & Co".into()),
        subdomain: Some("engines".into()),
        primary: Some("#ffe94a".into()),
    }
}

fn at() -> Timestamp {
    // 2026-11-21T05:07:09Z
    Timestamp::from_unix_seconds(1_795_237_629).unwrap()
}

fn sold_site() -> SoldSite {
    SoldSite {
        number: "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d".into(),
        site: "panaderia-luz".into(),
        total: "1500.00 GTQ".into(),
        paid_at: at(),
    }
}

fn invitation() -> TenantMail {
    TenantMail::Invitation {
        tenant: "engines".into(),
        inviter: "charles@example.org".into(),
        role: TenantRole::Editor,
        token: "kY3-token_of_the_link".into(),
        expires_at: at(),
    }
}

/// Written by somebody who tries.
fn submission() -> SiteMail {
    SiteMail::Submission {
        site: "Panadería Luz".into(),
        page: "/contact/".into(),
        name: "Eve <script>alert(1)</script>".into(),
        email: "eve@example.org".into(),
        phone: Some("+502 5555 1234".into()),
        message: "Hello {{ site }}\n\n[Pay now](https://evil.example)\n<b onclick=\"x()\">bold</b> & co"
            .into(),
        consent: false,
    }
}

/// One of every message.
fn mails() -> Vec<MailContent> {
    let token = "kY3-token_of_the_link".to_owned();
    let tenant = || "Engines & Co".to_owned();
    let mut mails: Vec<Box<dyn Mail>> = vec![
        Box::new(AccountMail::Verification { token: token.clone() }),
        Box::new(AccountMail::AlreadyRegistered),
        Box::new(AccountMail::Welcome),
        Box::new(AccountMail::PasswordReset { token: token.clone() }),
        Box::new(AccountMail::PasswordChanged),
        Box::new(AccountMail::EmailChange { token: token.clone() }),
        Box::new(AccountMail::EmailChangeRequested {
            masked: "g…@example.org".into(), token: token.clone()
        }),
        Box::new(AccountMail::EmailChanged { masked: "g…@example.org".into() }),
        Box::new(AccountMail::NewDevice {
            device: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into()),
            address: Some("192.0.2.7".into()),
            at: at(),
        }),
        Box::new(AccountMail::IdentityLinked { provider: "Google".into() }),
        Box::new(invitation()),
        Box::new(TenantMail::WebhookDisabled {
            tenant: tenant(),
            url: "https://hooks.example.com/in?…".into(),
            gone: false,
        }),
        Box::new(submission()),
        Box::new(PurchaseMail::Confirmation {
            number: "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d".into(),
            receipt: Some("R-000012".into()),
            items: "2 × Base Software License".into(),
            total: "718.00 USD".into(),
            paid_at: at(),
        }),
        Box::new(OverLimitMail { tenant: tenant(), used: 5, limit: 1, read_only_at: at() }),
        Box::new(SiteMail::SubmissionWaiting { site: "panaderia-luz".into() }),
        Box::new(SiteSaleMail::Welcome { token: token.clone() }),
        Box::new(SiteSaleMail::Confirmation { sold: sold_site(), receipt: Some("R-000012".into()) }),
        Box::new(SiteSaleMail::Claim { sold: sold_site(), token: token.clone() }),
        Box::new(SiteSaleMail::Sold(sold_site())),
    ];
    for change in [
        FactorChange::TotpAdded,
        FactorChange::TotpRemoved,
        FactorChange::PasskeyAdded,
        FactorChange::PasskeyRemoved,
        FactorChange::RecoveryCodeUsed,
        FactorChange::RecoveryCodesRenewed,
        FactorChange::Reset,
    ] {
        mails.push(Box::new(AccountMail::SecondFactorChanged { change }));
    }
    for notice in [
        KeyNotice::Created,
        KeyNotice::NewAddress { address: "192.0.2.7".into() },
        KeyNotice::Refusals { count: 120 },
    ] {
        mails.push(Box::new(AccountMail::ApiKeyNotice { tenant: tenant(), key: "Shop <1>".into(), notice }));
    }
    for notice in [
        TenantNotice::Suspended,
        TenantNotice::Reinstated,
        TenantNotice::DeletionScheduled { at: at() },
        TenantNotice::OwnershipReceived,
    ] {
        mails.push(Box::new(TenantMail::Notice { tenant: tenant(), notice }));
    }
    for (meter, threshold, used, limit, resets_at) in [
        (Meter::Bandwidth, Threshold::Warning, 8 << 30, 10 << 30, Some(at())),
        (Meter::Sites, Threshold::Exhausted, 3, 3, None),
    ] {
        mails.push(Box::new(UsageMail { tenant: tenant(), meter, threshold, used, limit, resets_at }));
    }
    for news in [
        SupportNews::Opened,
        SupportNews::Answered { body: "Which version?\nYou find it under <Help>.".into() },
        SupportNews::Resolved,
        SupportNews::Ended,
        SupportNews::DeskOpened {
            customer: tenant(),
            priority: TicketPriority::Urgent,
            body: "Nothing works.".into(),
        },
        SupportNews::DeskAnswered { customer: tenant(), body: "It is 2.4.1.".into() },
        SupportNews::DeskBreached { customer: tenant(), priority: TicketPriority::High, due_at: Some(at()) },
    ] {
        let reply_to =
            (!matches!(news, SupportNews::Ended)).then(|| "0190a5b0c0d0@reply.example.com".to_owned());
        mails.push(Box::new(SupportMail {
            number: 12,
            subject: "It does not <start>".into(),
            reply_to,
            news,
        }));
    }
    for notice in [
        SubscriptionNotice::PaymentFailed { falls_at: at() },
        SubscriptionNotice::PaymentOverdue { days: 3, falls_at: at() },
        SubscriptionNotice::PaymentReceived,
        SubscriptionNotice::TrialPaid,
        SubscriptionNotice::TrialOver,
        SubscriptionNotice::Ended,
    ] {
        mails.push(Box::new(SubscriptionMail { tenant: tenant(), plan: "starter".into(), notice }));
    }
    for notice in [AccountNotice::Suspended, AccountNotice::Reinstated, AccountNotice::Deleted] {
        mails.push(Box::new(AccountMail::AccountNotice { notice }));
    }
    mails.iter().map(|mail| mail.content()).collect()
}

fn snapshot(name: &str, message: &MailMessage) {
    let form = format!("Subject: {}\n\n{}\n\n{}", message.subject, message.text, message.html);
    insta::assert_snapshot!(name.replace('.', "_"), form);
}

#[test]
fn every_message_in_every_language() {
    for language in LANGUAGES {
        for mail in mails() {
            let is_verified = recipient(language).class(&mail) != MailClass::Unsolicited;
            let to = match is_verified || mail.key == "already_registered" {
                true => recipient(language),
                false => stranger(language),
            };
            snapshot(&format!("{language}_{}", mail.key), &plain_content(&to, &mail));
        }
    }
}

#[test]
fn a_message_in_the_look_of_a_tenant() {
    for language in LANGUAGES {
        let message = render(&mailer(), &stranger(language), &invitation().content(), &brand());
        assert!(message.html.contains("bgcolor=\"#ffe94a\""), "{}", message.html);
        snapshot(&format!("{language}_invitation_branded"), &message);
    }
}

#[test]
fn there_is_a_message_for_all_words() {
    let words = Words::read().unwrap();
    let mut keys: Vec<_> = mails().iter().map(|mail| mail.key).chain(["common"]).collect();
    keys.sort_unstable();
    assert_eq!(words.keys("en"), keys);
}

#[test]
fn both_forms_say_the_same() {
    for language in LANGUAGES {
        for mail in mails() {
            let key = mail.key;
            let MailMessage { html, text, subject, .. } = plain_content(&recipient(language), &mail);
            let html = html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            let html = html.replace("&#x2f;", "/").replace("&amp;", "&");
            for line in text.lines().filter(|line| !line.is_empty() && *line != "-- ") {
                let words = line.strip_suffix(':').filter(|_| !html.contains(line)).unwrap_or(line);
                let words = words.strip_prefix('>').unwrap_or(words).trim();
                assert!(html.contains(words), "{language} {key}: {line:?} is not in {html}");
            }
            assert!(html.contains(&subject), "{language} {key}");
        }
    }
}

#[test]
fn without_a_start_page_there_is_no_button_to_it() {
    let mail = AccountMail::Welcome.content();
    let message = render(&mailer_with(Links::new()), &recipient("en"), &mail, &MailBrand::default());
    for part in [&message.html, &message.text] {
        assert!(!part.contains("Get started") && !part.contains("http"), "{part}");
        assert!(part.contains("your account is ready"), "{part}");
    }
}

#[test]
fn both_parts_carry_the_link() {
    let mail = AccountMail::PasswordReset { token: "a-b_c".into() };
    for (page, link) in [
        (
            "https://portal.example.com/reset-password",
            "https://portal.example.com/reset-password?token=a-b_c",
        ),
        ("https://example.com/#/reset", "https://example.com/?token=a-b_c#/reset"),
        ("https://example.com/app/reset?theme=dark", "https://example.com/app/reset?theme=dark&token=a-b_c"),
    ] {
        let mailer = mailer_with(Links::from([("reset-password", page.parse().unwrap())]));
        let message = render(&mailer, &recipient("en"), &mail.content(), &MailBrand::default());
        assert!(message.text.contains(link), "{}", message.text);
        assert!(message.html.contains(&format!("href=\"{link}\"")), "{}", message.html);
    }
}

#[test]
fn nothing_that_users_write_becomes_markup_or_structure() {
    let evil = "<img src=x onerror=alert(1)> & {{ 7 * 7 }}\n\n[Click]\r\nBcc: eve@example.com".to_owned();
    let to = named(&evil, "en");
    let mail = TenantMail::Notice { tenant: evil.clone(), notice: TenantNotice::OwnershipReceived };
    let look =
        MailBrand { name: Some(evil), primary: Some("red;}</style><script>".into()), ..MailBrand::default() };
    let message = render(&mailer(), &to, &mail.content(), &look);
    assert!(!message.html.contains("<img") && !message.html.contains("<script"), "{}", message.html);
    assert!(message.html.contains("&lt;img src=x onerror=alert(1)&gt; &amp; {{ 7 * 7 }}"));
    assert_eq!(message.html.matches("class=\"button\"").count(), 1);
    assert!(!message.subject.contains(['\r', '\n']), "{}", message.subject);
    assert!(message.text.contains("Hello <img src=x onerror=alert(1)> & {{ 7 * 7 }}"));
}

#[test]
fn what_a_visitor_wrote_is_quoted_and_answered_to_them() {
    let message = plain(&recipient("en"), &submission());
    assert_eq!(message.reply_to.as_deref(), Some("eve@example.org"));
    let quote =
        "> Hello {{ site }}\n> \n> [Pay now](https://evil.example)\n> <b onclick=\"x()\">bold</b> & co\n";
    assert!(message.text.contains(quote), "{}", message.text);
    assert!(!message.html.contains("<b ") && !message.html.contains("<script"), "{}", message.html);
    assert!(message.html.contains("&lt;b onclick=&quot;x()&quot;&gt;bold&lt;&#x2f;b&gt; &amp; co"));
    assert_eq!(message.html.matches("class=\"button\"").count(), 0);
    let evil = SiteMail::Submission {
        site: "S".into(),
        page: "/".into(),
        name: "Eve\r\nBcc: all@example.com".into(),
        email: "e@example.org".into(),
        phone: None,
        message: "m".into(),
        consent: true,
    };
    let message = plain(&recipient("es"), &evil);
    assert!(!message.subject.contains(['\r', '\n']), "{}", message.subject);
    assert!(!message.text.contains("Teléfono") && message.text.contains("Aceptó"), "{}", message.text);
    assert_eq!(plain(&recipient("en"), &AccountMail::Welcome).reply_to, None);
}

/// What answers a message has everything of ours below a line that is looked for.
#[test]
fn what_can_be_answered_begins_with_the_line_to_write_above() {
    for language in LANGUAGES {
        for news in [SupportNews::Opened, SupportNews::Answered { body: "Which version?".into() }] {
            let reply_to = Some("1@reply.example.com".to_owned());
            let mail = SupportMail { number: 12, subject: "It does not start".into(), reply_to, news };
            let message = plain(&recipient(language), &mail);
            assert_eq!(message.reply_to, mail.reply_to);
            assert!(message.text.starts_with(portico_support::quotation::MARK), "{}", message.text);
            let above = message.html.split(portico_support::quotation::MARK).next().unwrap();
            let body = above.split("<body").nth(1).unwrap();
            assert!(!body.contains("Acme") && !body.contains("Ada"), "{body}");
            let unanswerable = SupportMail { reply_to: None, ..mail };
            assert!(!plain(&recipient(language), &unanswerable).html.contains("##-"));
        }
    }
}

#[test]
fn a_signature_of_a_client_brings_no_words_along() {
    let device = Some("Call +1 900 now https://evil.example".into());
    let mail = AccountMail::NewDevice { device, address: None, at: at() };
    let message = plain(&recipient("en"), &mail);
    assert!(!message.text.contains("evil"), "{}", message.text);
    assert!(!message.text.contains("Address:"), "{}", message.text);
}

#[test]
fn somebody_without_a_name_is_greeted_without_one() {
    for to in [named(" ", "es"), stranger("es")] {
        let message = plain(&to, &AccountMail::PasswordReset { token: "t".into() });
        assert!(message.text.starts_with("Hola:\n"), "{}", message.text);
        assert_eq!(message.to_name, None);
    }
}

#[test]
fn times_are_written_in_the_language() {
    let notice = TenantNotice::DeletionScheduled { at: at() };
    let mail = TenantMail::Notice { tenant: "T".into(), notice };
    let text = |language| plain(&recipient(language), &mail).text;
    assert!(text("en").contains("on 21 November 2026, 05:07 UTC."), "{}", text("en"));
    assert!(text("es").contains("el 21 de noviembre de 2026, 05:07 UTC."), "{}", text("es"));
}

#[test]
fn an_unknown_language_is_english_and_a_region_does_not_matter() {
    let subject = |language: &str| plain(&recipient(language), &AccountMail::PasswordChanged).subject;
    assert_eq!(subject("es-GT"), subject("es"));
    assert_eq!(subject("ES"), subject("es"));
    assert_eq!(subject("pt"), subject("en"));
    assert_ne!(subject("es"), subject("en"));
}

/// Stands for any text chosen by users.
const WRITTEN: &str = "gr4ffiti";

/// Every message with that word in the place of each text that users chose, and in what a client says of itself.
fn written() -> Vec<MailContent> {
    let mut mails = mails();
    for value in mails.iter_mut().flat_map(|mail| mail.values.values_mut()) {
        match value {
            MailValue::Written(text) => *text = WRITTEN.to_owned(),
            MailValue::UserAgent(text) => *text = format!("{WRITTEN} {WRITTEN}"),
            _ => {}
        }
    }
    mails
}

/// Anyone can trigger mail to any address. Text of their own, including names, is not sent there.
#[test]
fn an_address_that_nobody_verified_gets_no_word_that_people_chose() {
    let look = MailBrand { name: Some(WRITTEN.into()), subdomain: Some("engines".into()), primary: None };
    let id = "0190a5b0-c0d0-8e00-8f00-112233445566".parse().unwrap();
    let mut sent = Vec::new();
    for language in LANGUAGES {
        for mail in written() {
            let key = mail.key;
            match mailer().render(id, &stranger(language), &mail, &look) {
                Ok(message) => {
                    let all = format!("{message:?}");
                    // The `User-Agent` of a program is its own choice; the message contains only letters and digits of it.
                    assert!(key == "new_device" || !all.contains(WRITTEN), "{language} {key}: {all}");
                    sent.push(key);
                }
                Err(TemplateError::Unverified) => assert!(mail.has_free_text(), "{language} {key}"),
                Err(error) => panic!("{language} {key}: {error}"),
            }
        }
    }
    for key in ["verification", "already_registered", "password_reset", "email_change", "invitation"] {
        assert!(sent.contains(&key), "{key} has to reach addresses that nobody has verified");
    }
    for key in ["submission", "api_key.created", "webhook.disabled", "tenant.ownership_received"] {
        assert!(!sent.contains(&key), "{key} holds what people wrote");
    }
}

#[test]
fn what_anybody_can_cause_has_no_free_text() {
    for mail in mails() {
        let key = mail.key;
        let is_for_anybody =
            |to: &Recipient| matches!(to.class(&mail), MailClass::Unsolicited | MailClass::Recovery);
        assert!(!is_for_anybody(&recipient("en")) || !mail.has_free_text(), "{key}");
        assert!(is_for_anybody(&stranger("en")), "{key}: nobody has verified the address");
    }
    let greeted = plain(&recipient("en"), &AccountMail::PasswordReset { token: "t".into() });
    assert!(greeted.text.starts_with("Hello Ada Lovelace,"), "{}", greeted.text);
}
