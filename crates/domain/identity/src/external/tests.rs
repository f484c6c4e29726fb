use super::*;
use crate::{
    Sessions,
    fixture::{Store, tokens},
    session::SessionLifetimes,
    user::UserStatus,
};

const ISSUER: &str = "https://issuer.example";

fn profile(subject: &str, email: Option<&str>, email_verified: bool) -> ExternalProfile {
    ExternalProfile {
        issuer: ISSUER.into(),
        subject: subject.into(),
        email: email.map(str::to_owned),
        email_verified,
        name: Some(" Ada\u{7} Lovelace ".into()),
        locale: Some("es-GT".into()),
    }
}

/// As the flow does it, without the tenant.
async fn sign_in(store: &mut Store, profile: &ExternalProfile) -> Result<User, IdentityError> {
    let (scope, env) = (store.anonymous(), store.env());
    let mut identities = ExternalIdentities::new(store, &scope, &env);
    match identities.recognise("test", profile).await? {
        Recognised::Known(user) => Ok(user),
        Recognised::New(user) => identities.enroll(user, "test", profile).await,
    }
}

async fn begin(store: &mut Store, scope: &Scope, link: bool) -> Result<Begun, IdentityError> {
    let env = store.env();
    ExternalIdentities::new(store, scope, &env).begin("test", link, "browser", &tokens()).await
}

async fn resume(
    store: &mut Store,
    scope: &Scope,
    state: &str,
    provider: Option<&str>,
    browser: Browser,
) -> Result<SignInAttempt, IdentityError> {
    let env = store.env();
    ExternalIdentities::new(store, scope, &env).resume(state, provider, &browser, &tokens()).await
}

fn same_browser() -> Browser {
    Browser { secret: Some("browser".into()), sends_cookies: true }
}

#[tokio::test]
async fn an_attempt_is_good_once() {
    let mut store = Store::default();
    let scope = store.anonymous();
    let begun = begin(&mut store, &scope, false).await.unwrap();
    assert!(!format!("{:?}", store.external().attempts).contains(&begun.state), "only a digest is stored");
    let attempt = resume(&mut store, &scope, &begun.state, Some("test"), same_browser()).await.unwrap();
    assert_eq!((attempt.provider.as_str(), attempt.user), ("test", None));
    let again = resume(&mut store, &scope, &begun.state, None, same_browser()).await;
    assert!(matches!(again, Err(IdentityError::InvalidState)), "{again:?}");
}

#[tokio::test]
async fn an_attempt_expires() {
    let mut store = Store::default();
    let scope = store.anonymous();
    let begun = begin(&mut store, &scope, false).await.unwrap();
    store.pass(ATTEMPT_LIFETIME);
    let late = resume(&mut store, &scope, &begun.state, None, same_browser()).await;
    assert!(matches!(late, Err(IdentityError::InvalidState)), "{late:?}");
}

#[tokio::test]
async fn an_attempt_belongs_to_a_provider_and_a_browser() {
    let browser =
        |secret: Option<&str>, sends_cookies| Browser { secret: secret.map(str::to_owned), sends_cookies };
    for (provider, browser, good) in [
        (Some("test"), same_browser(), true),
        (Some("other"), same_browser(), false),
        (None, browser(Some("browser"), false), true),
        (None, browser(Some("another"), false), false),
        (None, browser(Some("another"), true), false),
        (None, browser(None, true), false),
        (None, browser(None, false), true),
    ] {
        let mut store = Store::default();
        let scope = store.anonymous();
        let begun = begin(&mut store, &scope, false).await.unwrap();
        let resumed = resume(&mut store, &scope, &begun.state, provider, browser.clone()).await;
        assert_eq!(resumed.is_ok(), good, "{provider:?} {browser:?}");
    }
}

#[tokio::test]
async fn an_attempt_to_link_belongs_to_a_person() {
    let mut store = Store::default();
    let (ada, eve) = (store.user("ada@example.com", true), store.user("eve@example.com", true));
    let (ada, eve, anonymous) = (store.signed_in(&ada), store.signed_in(&eve), store.anonymous());
    let begun = begin(&mut store, &ada, true).await.unwrap();
    let state = begun.state;
    assert!(matches!(begin(&mut store, &anonymous, true).await, Err(IdentityError::Denied(_))));
    // The store of these tests has no transactions: what fails uses the attempt up, too.
    let rows = store.external().attempts.clone();
    for (scope, good) in [(&eve, false), (&anonymous, false), (&ada, true)] {
        store.external().attempts = rows.clone();
        assert_eq!(resume(&mut store, scope, &state, None, same_browser()).await.is_ok(), good);
    }
}

#[tokio::test]
async fn linking_wants_a_fresh_proof() {
    let mut store = Store::default();
    let ada = store.user("ada@example.com", true);
    let scope = store.signed_in(&ada);
    store.pass(Duration::minutes(11));
    assert!(matches!(begin(&mut store, &scope, true).await, Err(IdentityError::ReauthenticationRequired)));
}

#[tokio::test]
async fn somebody_new_gets_an_account() {
    let mut store = Store::default();
    let user = sign_in(&mut store, &profile("1", Some("Ada@Example.com"), true)).await.unwrap();
    assert_eq!((user.email.as_str(), user.email_verified), ("ada@example.com", true));
    assert_eq!((user.full_name.as_str(), user.language.as_str()), ("Ada Lovelace", "es"));
    assert_eq!(store.credential(user.id).password, None);
    assert_eq!(store.event_kinds(), ["user.identity_linked", "user.email_verified"]);
    let again = sign_in(&mut store, &profile("1", Some("other@example.com"), true)).await.unwrap();
    assert_eq!(
        (again.id, again.email.as_str()),
        (user.id, "ada@example.com"),
        "the subject decides, not the address"
    );
    assert_eq!(store.external().identities[0].email.as_deref(), Some("other@example.com"));
}

#[tokio::test]
async fn issuer_and_subject_together_are_who_somebody_is() {
    let mut store = Store::default();
    let ada = sign_in(&mut store, &profile("1", Some("ada@example.com"), false)).await.unwrap();
    let elsewhere =
        ExternalProfile { issuer: "https://other.example".into(), ..profile("1", Some("a@b.co"), false) };
    let other = sign_in(&mut store, &elsewhere).await.unwrap();
    assert_ne!(ada.id, other.id);
}

#[tokio::test]
async fn a_verified_address_links_the_account_that_has_proven_it() {
    let mut store = Store::default();
    let ada = store.user("ada@example.com", true);
    let session = store.session(&ada);
    let user = sign_in(&mut store, &profile("1", Some("ADA@example.com"), true)).await.unwrap();
    assert_eq!(user.id, ada.id);
    assert!(
        store.is_running(session.id) && store.credential(ada.id).password.is_some(),
        "it was theirs before"
    );
    assert_eq!(store.event_kinds(), ["user.identity_linked"]);
    assert_eq!(store.events()[0].after.as_ref().unwrap()["provider"], "test");
}

#[tokio::test]
async fn an_unverified_address_links_nothing() {
    let mut store = Store::default();
    let ada = store.user("ada@example.com", true);
    let user = sign_in(&mut store, &profile("1", Some("ada@example.com"), false)).await.unwrap();
    assert!(user.id != ada.id && !user.email_verified);
    assert!(store.credential(ada.id).password.is_some());
}

/// An attacker registers with the address of another person, and waits for them.
#[tokio::test]
async fn an_account_that_only_names_the_address_is_not_taken_over_and_is_closed() {
    let mut store = Store::default();
    let strangers = [store.user("ada@example.com", false), store.user("ada@example.com", false)];
    let unrelated = store.user("eve@example.com", false);
    let sessions = strangers.each_ref().map(|stranger| store.session(stranger));
    let user = sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    assert!(user.email_verified);
    for (stranger, session) in strangers.iter().zip(sessions) {
        assert_ne!(stranger.id, user.id);
        assert!(!store.is_running(session.id) && store.credential(stranger.id).password.is_none());
    }
    assert!(store.credential(unrelated.id).password.is_some());
    let kinds = store.event_kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "user.password_revoked").count(), 2, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "session.ended").count(), 2, "{kinds:?}");
    let revoked = store.events().iter().find(|event| event.kind == "user.password_revoked").unwrap();
    assert_eq!((revoked.actor_id, &revoked.user_agent), (None, &None), "tells nothing about the owner");
}

#[tokio::test]
async fn an_address_that_the_provider_proves_later_is_proven_then() {
    let mut store = Store::default();
    let user = sign_in(&mut store, &profile("1", Some("ada@example.com"), false)).await.unwrap();
    assert!(!user.email_verified);
    assert!(
        !sign_in(&mut store, &profile("1", Some("other@example.com"), true)).await.unwrap().email_verified
    );
    assert!(sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap().email_verified);
    let mut store = Store::default();
    let user = sign_in(&mut store, &profile("1", Some("ada@example.com"), false)).await.unwrap();
    store.user("ada@example.com", true);
    let again = sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    assert!(again.id == user.id && !again.email_verified, "somebody else has proven it");
}

#[tokio::test]
async fn without_an_address_there_is_no_new_account() {
    for email in [None, Some("not an address"), Some("añ@example.com")] {
        let mut store = Store::default();
        let answer = sign_in(&mut store, &profile("1", email, true)).await;
        assert!(matches!(answer, Err(IdentityError::EmailRequired)), "{answer:?}");
    }
    let mut store = Store::default();
    let known = sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    assert_eq!(sign_in(&mut store, &profile("1", None, false)).await.unwrap().id, known.id);
}

#[tokio::test]
async fn a_name_is_made_fit() {
    for (sent, expected) in [
        (Some("  "), "ada"),
        (None, "ada"),
        (Some("A\r\nda"), "Ada"),
        (Some("\u{202e}Ada"), "Ada"),
        (Some("Win at evil.example/pay"), "ada"),
        (Some(&*"x".repeat(300)), &*"x".repeat(200)),
    ] {
        let mut store = Store::default();
        let name = sent.map(str::to_owned);
        let profile = ExternalProfile { name, ..profile("1", Some("ada@example.com"), true) };
        assert_eq!(sign_in(&mut store, &profile).await.unwrap().full_name, expected);
    }
}

#[tokio::test]
async fn a_suspended_account_stays_out() {
    let mut store = Store::default();
    let ada = sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    store.set_status(ada.id, UserStatus::Suspended);
    let user = sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    let (scope, env) = (store.anonymous(), store.env());
    let step =
        Sessions::new(&mut store, &scope, &env, SessionLifetimes::default()).after_first_factor(user).await;
    assert!(matches!(step, Err(IdentityError::AccountSuspended)), "{step:?}");
}

async fn link(store: &mut Store, scope: &Scope, profile: &ExternalProfile) -> Result<User, IdentityError> {
    let env = store.env();
    ExternalIdentities::new(store, scope, &env).link("test", profile).await.map(|signed_in| signed_in.user)
}

async fn unlink(store: &mut Store, scope: &Scope, issuers: &[&str]) -> Result<(), IdentityError> {
    let env = store.env();
    let id = store.external().identities[0].id;
    let issuers: Vec<String> = issuers.iter().map(|issuer| (*issuer).to_owned()).collect();
    ExternalIdentities::new(store, scope, &env).unlink(id, &issuers).await
}

#[tokio::test]
async fn linking_while_signed_in_does_not_ask_for_the_address() {
    let mut store = Store::default();
    let ada = store.user("ada@example.com", true);
    let scope = store.signed_in(&ada);
    let user = link(&mut store, &scope, &profile("1", Some("lovelace@example.com"), true)).await.unwrap();
    assert_eq!((user.id, user.email), (ada.id, ada.email));
    link(&mut store, &scope, &profile("1", None, false)).await.unwrap();
    assert_eq!(store.external().identities.len(), 1, "linking twice is one link");
}

/// Also by a provider that would call the very address verified: there is one way to verify it at a time.
#[tokio::test]
async fn an_account_with_an_unverified_address_links_nothing() {
    let mut store = Store::default();
    let eve = store.user("ada@example.com", false);
    let scope = store.signed_in(&eve);
    let unverified = |error| matches!(error, IdentityError::Denied(portico_kernel::Denied::EmailUnverified));
    assert!(unverified(begin(&mut store, &scope, true).await.unwrap_err()));
    assert!(unverified(
        link(&mut store, &scope, &profile("1", Some("ada@example.com"), true)).await.unwrap_err()
    ));
    assert!(store.external().identities.is_empty());
}

#[tokio::test]
async fn what_is_linked_to_one_cannot_be_linked_to_another() {
    let mut store = Store::default();
    sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    let eve = store.user("eve@example.com", true);
    let scope = store.signed_in(&eve);
    let answer = link(&mut store, &scope, &profile("1", None, false)).await;
    assert!(matches!(answer, Err(IdentityError::IdentityTaken)), "{answer:?}");
}

#[tokio::test]
async fn the_last_way_in_stays() {
    let mut store = Store::default();
    let ada = sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    let scope = store.signed_in(&ada);
    let last = unlink(&mut store, &scope, &[ISSUER]).await;
    assert!(matches!(last, Err(IdentityError::LastSignInMethod)), "{last:?}");
    let elsewhere = ExternalProfile { issuer: "https://other.example".into(), ..profile("1", None, false) };
    link(&mut store, &scope, &elsewhere).await.unwrap();
    let unusable = unlink(&mut store, &scope, &[ISSUER]).await;
    assert!(matches!(unusable, Err(IdentityError::LastSignInMethod)), "the other provider is switched off");
    unlink(&mut store, &scope, &[ISSUER, "https://other.example"]).await.unwrap();
    assert_eq!(store.event_kinds().last(), Some(&"user.identity_unlinked"));
}

#[tokio::test]
async fn with_a_password_every_link_can_go() {
    let mut store = Store::default();
    let ada = store.user("ada@example.com", true);
    let eve = store.user("eve@example.com", true);
    sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    let scope = store.signed_in(&eve);
    let foreign = unlink(&mut store, &scope, &[ISSUER]).await;
    assert!(matches!(foreign, Err(IdentityError::NotFound(_))), "{foreign:?}");
    let scope = store.signed_in(&ada);
    unlink(&mut store, &scope, &[ISSUER]).await.unwrap();
    assert!(store.external().identities.is_empty());
    let scope = store.signed_in(&ada);
    store.pass(Duration::minutes(11));
    sign_in(&mut store, &profile("1", Some("ada@example.com"), true)).await.unwrap();
    let stale = unlink(&mut store, &scope, &[ISSUER]).await;
    assert!(matches!(stale, Err(IdentityError::ReauthenticationRequired)), "{stale:?}");
}

#[tokio::test]
async fn name_and_language_follow_the_provider_until_they_are_changed_here() {
    let mut store = Store::default();
    let said = |name: &str, locale: &str| ExternalProfile {
        name: Some(name.into()),
        locale: Some(locale.into()),
        ..profile("1", Some("ada@example.com"), true)
    };
    let made = sign_in(&mut store, &said("Ada Byron", "es-GT")).await.unwrap();
    assert_eq!((made.full_name.as_str(), made.language.as_str()), ("Ada Byron", "es"));
    let married = sign_in(&mut store, &said("Ada Lovelace", "en")).await.unwrap();
    assert_eq!((married.full_name.as_str(), married.language.as_str()), ("Ada Lovelace", "en"));
    assert_eq!(store.event_kinds().last().copied(), Some("user.updated"));
    let events = store.event_kinds().len();
    sign_in(&mut store, &said("Ada Lovelace", "en")).await.unwrap();
    assert_eq!(store.event_kinds().len(), events, "nothing has changed");

    // What the provider says is no name here, then nothing at all.
    let kept = sign_in(&mut store, &said("https://evil.example", "tlh")).await.unwrap();
    assert_eq!((kept.full_name.as_str(), kept.language.as_str()), ("Ada Lovelace", "en"));
    let silent = ExternalProfile { name: None, locale: None, ..said("", "") };
    sign_in(&mut store, &silent).await.unwrap();
    let later = sign_in(&mut store, &said("Augusta Ada King", "es")).await.unwrap();
    assert_eq!((later.full_name.as_str(), later.language.as_str()), ("Augusta Ada King", "es"));

    // The person has chosen another name here, but not another language.
    let scope = store.signed_in(&later);
    let env = store.env();
    let change = serde_json::from_value(serde_json::json!({"fullName": "Countess"})).unwrap();
    Accounts::new(&mut store, &scope, &env).update_profile(change, None).await.unwrap();
    let own = sign_in(&mut store, &said("Ada King", "en")).await.unwrap();
    assert_eq!((own.full_name.as_str(), own.language.as_str()), ("Countess", "en"));
}
