use portico_kernel::{Denied, Permission, Scope};
use secrecy::SecretString;
use time::Duration;

use super::*;
use crate::{
    Accounts, ApiKeys, ExternalIdentities,
    api_key::NewApiKey,
    external::{ExternalIdentity, SignInAttempt},
    fixture::{Store, hash, tokens},
    mail::AccountMail,
    passkey::{AddPasskey, Passkey},
    password::PasswordRule,
    pending_sign_in::PendingSignIn,
    ports::{MockFactorSecrets, MockPasskeyCeremonies},
    recovery::ValidReset,
    token::OneTimeToken,
    totp::Totp,
    user::User,
};

/// One credential of each kind, past every rule: as an account had it that was made before the rules.
async fn equip(store: &mut Store, user: &User) {
    let (env, now) = (store.env(), store.env().now());
    let (repositories, user): (&mut dyn IdentityRepositories, _) = (store, user.id);
    let passkey = Passkey {
        id: env.new_id(),
        user,
        name: "Laptop".into(),
        credential_id: user.uuid().as_bytes().to_vec(),
        data: "{}".into(),
        created_at: now,
        last_used_at: None,
    };
    repositories.passkeys().insert(&passkey).await.unwrap();
    let identity = ExternalIdentity {
        id: env.new_id(),
        user,
        provider: "test".into(),
        issuer: "https://issuer.example".into(),
        subject: user.to_string(),
        email: None,
        name: None,
        language: None,
        linked_at: now,
        last_used_at: None,
    };
    repositories.external_identities().insert(&identity).await.unwrap();
    let totp = Totp { user, sealed: vec![1], confirmed_at: None, created_at: now };
    repositories.second_factors().put_totp(&totp).await.unwrap();
    repositories.second_factors().confirm_totp(user, &[1], 1, now).await.unwrap();
    repositories.second_factors().replace_recovery_codes(user, &[[1; 32]], now).await.unwrap();
    let expires_at = now + Duration::minutes(5);
    let pending = PendingSignIn { id: env.new_id(), user, tries: 0, created_at: now, expires_at };
    repositories.pending_sign_ins().insert(&pending).await.unwrap();
    let attempt = SignInAttempt {
        state: [1; 32],
        provider: "test".into(),
        browser: [2; 32],
        user: Some(user),
        created_at: now,
        expires_at,
    };
    repositories.sign_in_attempts().insert(&attempt).await.unwrap();
}

/// What is left of what [`equip`] made: passkeys, links, an app, recovery codes; and of what was begun.
async fn left(store: &mut Store, user: &User) -> ([usize; 4], usize) {
    let attempts = store.external().attempts.len();
    let (repositories, user): (&mut dyn IdentityRepositories, _) = (store, user.id);
    let passkeys = repositories.passkeys().list(user).await.unwrap().len();
    let identities = repositories.external_identities().list(user).await.unwrap().len();
    let totp = usize::from(repositories.second_factors().totp(user).await.unwrap().is_some());
    let codes = repositories.second_factors().recovery_codes_left(user).await.unwrap() as usize;
    ([passkeys, identities, totp, codes], attempts)
}

/// The secret of a link that was sent to the user.
async fn link(store: &mut Store, user: &User, purpose: TokenPurpose) -> String {
    let (env, secret) = (store.env(), store.env().secret());
    let (hash, now) = (crate::ports::TokenIssuer::digest(&tokens(), &secret), env.now());
    let expires_at = now + purpose.lifetime();
    let token = OneTimeToken { hash, user: user.id, purpose, expires_at, created_at: now };
    IdentityRepositories::one_time_tokens(store).insert(&token).await.unwrap();
    secret
}

async fn reset(store: &mut Store, user: &User) -> User {
    let (scope, env) = (store.anonymous(), store.env());
    let token = link(store, user, TokenPurpose::PasswordReset).await;
    let password: SecretString = "N3w-horse".into();
    let valid = ValidReset { token, password, rule: PasswordRule::default() };
    Accounts::new(store, &scope, &env).reset_password(&valid, hash("N3w-horse"), &tokens()).await.unwrap()
}

#[tokio::test]
async fn the_reset_of_an_unverified_account_takes_everything_that_a_stranger_may_have_left() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", false);
    let session = store.session(&user);
    equip(&mut store, &user).await;
    assert!(reset(&mut store, &user).await.email_verified);
    assert_eq!(left(&mut store, &user).await, ([0; 4], 0));
    assert!(!store.is_running(session.id));
    assert_eq!(store.credential(user.id).password, Some(hash("N3w-horse")));
    let revoked = store.events().iter().find(|event| event.kind == "user.credentials_revoked").unwrap();
    let expected = serde_json::json!({"passkeys": 1, "identities": 1, "totp": true, "recoveryCodes": 1});
    assert_eq!(revoked.before, Some(expected));
}

#[tokio::test]
async fn the_reset_of_a_verified_account_keeps_what_a_mailbox_must_not_get_past() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let session = store.session(&user);
    equip(&mut store, &user).await;
    reset(&mut store, &user).await;
    assert_eq!(left(&mut store, &user).await, ([1; 4], 0));
    assert!(!store.is_running(session.id));
    assert!(!store.event_kinds().contains(&"user.credentials_revoked"));
}

async fn verify(store: &mut Store, scope: &Scope, user: &User) -> bool {
    let env = store.env();
    let token = link(store, user, TokenPurpose::EmailVerification).await;
    let verified = Accounts::new(store, scope, &env).verify_email(&token, &tokens()).await.unwrap();
    assert!(verified.user.email_verified);
    verified.password_taken
}

#[tokio::test]
async fn a_contested_address_takes_everything_unless_its_reader_is_signed_in() {
    for signed_in in [false, true] {
        let mut store = Store::default();
        let user = store.user("ada@example.com", false);
        store.user("ada@example.com", false);
        let scope = if signed_in { store.signed_in(&user) } else { store.anonymous() };
        let session = store.session(&user);
        equip(&mut store, &user).await;
        assert_eq!(verify(&mut store, &scope, &user).await, !signed_in);
        let (factors, _) = left(&mut store, &user).await;
        assert_eq!(factors, if signed_in { [1; 4] } else { [0; 4] });
        assert_eq!(store.is_running(session.id), signed_in);
        assert_eq!(store.credential(user.id).password.is_some(), signed_in);
    }
}

#[tokio::test]
async fn an_uncontested_link_on_another_device_changes_nothing_else() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", false);
    let (session, elsewhere) = (store.session(&user), store.anonymous());
    assert!(!verify(&mut store, &elsewhere, &user).await);
    assert!(store.is_running(session.id) && store.credential(user.id).password.is_some());
}

/// Also where the last proof of identity is too long ago: what is missing first is reported first.
#[tokio::test]
async fn an_unverified_account_adds_nothing_that_one_gets_in_by() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", false);
    let scope = store.signed_in(&user);
    let scope = Scope::user(
        scope.actor().clone(),
        scope.active_tenant(),
        portico_kernel::Permissions::from_list(&Permission::ALL),
        scope.request.clone(),
    );
    store.pass(Duration::hours(1));
    let (env, secrets, ceremonies) = (store.env(), MockFactorSecrets::new(), MockPasskeyCeremonies::new());
    let mut accounts = Accounts::new(&mut store, &scope, &env);
    let step = AddPasskey { name: "Laptop".into(), credential: serde_json::Value::Null };
    let mut refused = vec![
        accounts.begin_passkey(&secrets, &ceremonies).await.map(drop),
        accounts.add_passkey(&step, &secrets, &ceremonies).await.map(drop),
        accounts.begin_totp(&secrets).await.map(drop),
        accounts.confirm_totp("123456", &secrets).await.map(drop),
        accounts.renew_recovery_codes(&secrets).await.map(drop),
    ];
    let attempt = ExternalIdentities::new(&mut store, &scope, &env).begin("test", true, "b", &tokens()).await;
    refused.push(attempt.map(drop));
    let key = NewApiKey { name: "Shop".into(), permissions: vec!["pages:read".into()], ..Default::default() };
    refused.push(ApiKeys::new(&mut store, &scope, &env).create(key, &tokens()).await.map(drop));
    for (number, result) in refused.iter().enumerate() {
        let unverified = matches!(result, Err(IdentityError::Denied(Denied::EmailUnverified)));
        assert!(unverified, "{number}: {result:?}");
    }
    assert!(store.events().is_empty());
}

/// What a thief began in a session that has ended since cannot be completed.
#[tokio::test]
async fn a_session_that_has_ended_adds_nothing() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    reset(&mut store, &user).await;
    let (env, secrets, ceremonies) = (store.env(), MockFactorSecrets::new(), MockPasskeyCeremonies::new());
    let mut accounts = Accounts::new(&mut store, &scope, &env);
    let step = AddPasskey { name: "Laptop".into(), credential: serde_json::Value::Null };
    for result in [
        accounts.add_passkey(&step, &secrets, &ceremonies).await.map(drop),
        accounts.confirm_totp("123456", &secrets).await.map(drop),
        accounts.renew_recovery_codes(&secrets).await.map(drop),
    ] {
        assert!(matches!(result, Err(IdentityError::Denied(Denied::Unauthenticated))), "{result:?}");
    }
}

/// A user whose provider does not vouch for the address has one credential, and loses it to whom reads the mail.
#[tokio::test]
async fn a_linked_account_is_the_only_way_into_an_unverified_account_and_goes_with_a_reset() {
    let mut store = Store::default();
    let (scope, env) = (store.anonymous(), store.env());
    let profile = crate::external::ExternalProfile {
        issuer: "https://issuer.example".into(),
        subject: "eve".into(),
        email: Some("ada@example.com".into()),
        ..Default::default()
    };
    let mut identities = ExternalIdentities::new(&mut store, &scope, &env);
    let Ok(crate::external::Recognised::New(user)) = identities.recognise("test", &profile).await else {
        panic!("known")
    };
    let user = identities.enroll(user, "test", &profile).await.unwrap();
    let email = user.email.clone();
    let mail = Accounts::new(&mut store, &scope, &env).issue_password_reset(&email, &tokens()).await.unwrap();
    assert!(matches!(mail, Some((_, AccountMail::PasswordReset { .. }))));
    reset(&mut store, &user).await;
    assert!(store.external().identities.is_empty());
    let again = ExternalIdentities::new(&mut store, &scope, &env).recognise("test", &profile).await;
    assert!(matches!(again, Ok(crate::external::Recognised::New(_))), "it leads to another account");
}
