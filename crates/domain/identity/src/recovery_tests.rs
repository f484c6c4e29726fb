use mockall::predicate::always;
use time::Duration;

use super::*;
use crate::{
    fixture::{Store, hash, tokens},
    ports::MockPasswordHasher,
};

async fn issue(store: &mut Store) -> Option<(Recipient, AccountMail)> {
    let (scope, env) = (store.system(), store.env());
    let email = EmailAddress::parse("ada@example.com").unwrap();
    Accounts::new(store, &scope, &env).issue_password_reset(&email, &tokens()).await.unwrap()
}

async fn secret(store: &mut Store) -> String {
    match issue(store).await {
        Some((_, AccountMail::PasswordReset { token })) => token,
        other => panic!("{other:?}"),
    }
}

async fn reset(store: &mut Store, token: &str, password: &str) -> Result<User, IdentityError> {
    let (scope, env) = (store.anonymous(), store.env());
    let valid = ValidReset { token: token.into(), password: password.into(), rule: PasswordRule::default() };
    let mut accounts = Accounts::new(store, &scope, &env);
    let user = accounts.account_of_reset(&valid, &tokens()).await?;
    valid.verify(&user).await?;
    accounts.reset_password(&valid, hash(password), &tokens()).await
}

#[tokio::test]
async fn a_reset_ends_every_session_and_works_once() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let sessions = [store.session(&user), store.session(&user)];
    let token = secret(&mut store).await;
    reset(&mut store, &token, "N3w-horse").await.unwrap();
    assert_eq!(store.credential(user.id).password, Some(hash("N3w-horse")));
    assert!(sessions.iter().all(|session| !store.is_running(session.id)));
    assert_eq!(
        store.event_kinds(),
        ["user.password_reset_requested", "session.ended", "session.ended", "user.password_reset"]
    );
    assert!(matches!(reset(&mut store, &token, "0ther-one").await, Err(IdentityError::InvalidToken)));
}

#[tokio::test]
async fn one_reset_makes_the_other_links_useless() {
    let mut store = Store::default();
    store.user("ada@example.com", true);
    let (first, second) = (secret(&mut store).await, secret(&mut store).await);
    reset(&mut store, &second, "N3w-horse").await.unwrap();
    assert!(matches!(reset(&mut store, &first, "0ther-one").await, Err(IdentityError::InvalidToken)));
}

#[tokio::test]
async fn a_link_is_good_for_an_hour() {
    let mut store = Store::default();
    store.user("ada@example.com", true);
    let token = secret(&mut store).await;
    store.pass(Duration::hours(1));
    assert!(matches!(reset(&mut store, &token, "N3w-horse").await, Err(IdentityError::InvalidToken)));
}

#[tokio::test]
async fn a_reset_proves_the_address() {
    let mut store = Store::default();
    store.user("ada@example.com", false);
    let token = secret(&mut store).await;
    assert!(reset(&mut store, &token, "N3w-horse").await.unwrap().email_verified);
    assert_eq!(store.event_kinds().last(), Some(&"user.email_verified"));
}

#[tokio::test]
async fn a_reset_takes_no_address_from_its_owner() {
    let mut store = Store::default();
    let late = store.user("ada@example.com", false);
    let token = secret(&mut store).await;
    store.user("ada@example.com", true);
    let user = reset(&mut store, &token, "N3w-horse").await.unwrap();
    assert!(user.id == late.id && !user.email_verified);
}

#[tokio::test]
async fn the_link_goes_to_the_owner_of_the_address() {
    let mut store = Store::default();
    let owner = store.user("ada@example.com", true);
    store.pass(Duration::days(1));
    store.user("ada@example.com", false);
    let token = secret(&mut store).await;
    assert_eq!(reset(&mut store, &token, "N3w-horse").await.unwrap().id, owner.id);
}

#[tokio::test]
async fn nobody_and_a_suspended_account_get_no_link() {
    let mut store = Store::default();
    assert_eq!(issue(&mut store).await, None);
    let user = store.user("ada@example.com", true);
    store.set_status(user.id, UserStatus::Suspended);
    assert_eq!(issue(&mut store).await, None);
    assert!(store.events().is_empty());
}

#[tokio::test]
async fn the_address_is_no_password() {
    let mut store = Store::default();
    store.user("ada@example.com", true);
    let token = secret(&mut store).await;
    let result = reset(&mut store, &token, "Ada@example.com").await;
    assert!(matches!(result, Err(IdentityError::Invalid(errors)) if errors[0].code == "same_as_email"));
    reset(&mut store, &token, "N3w-horse").await.expect("the link stays valid");
}

#[tokio::test]
async fn a_change_ends_the_other_sessions() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (own, other) = (store.session(&user), store.session(&user));
    let (scope, env) = (store.signed_in_with(&user, own.id), store.env());
    let verified = store.credential(user.id);
    Accounts::new(&mut store, &scope, &env).change_password(&verified, hash("new")).await.unwrap();
    assert!(store.is_running(own.id) && !store.is_running(other.id));
    assert_eq!(store.credential(user.id).password, Some(hash("new")));
    assert_eq!(store.event_kinds(), ["session.ended", "user.password_changed"]);
}

#[tokio::test]
async fn a_change_loses_against_a_reset_in_between() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (scope, env, verified) = (store.signed_in(&user), store.env(), store.credential(user.id));
    let token = secret(&mut store).await;
    reset(&mut store, &token, "N3w-horse").await.unwrap();
    let result = Accounts::new(&mut store, &scope, &env).change_password(&verified, hash("mine")).await;
    assert!(matches!(result, Err(IdentityError::InvalidCredentials)));
    assert_eq!(store.credential(user.id).password, Some(hash("N3w-horse")));
}

#[tokio::test]
async fn a_change_needs_the_current_password() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let credential = store.credential(user.id);
    let mut hasher = MockPasswordHasher::new();
    hasher.expect_verify().with(always(), always()).returning(|_, _| Ok(false));
    let change =
        ValidChange { current: "wrong".into(), new: "Ada@example.com".into(), rule: PasswordRule::default() };
    let Err(IdentityError::WrongPassword(errors)) = change.verify(&hasher, &credential).await else {
        panic!()
    };
    let codes: Vec<_> = errors.iter().map(|error| error.code.as_ref()).collect();
    assert_eq!(codes, ["wrong_password", "same_as_email"]);
}

#[tokio::test]
async fn inputs_name_every_broken_rule_and_both_spellings_are_read() {
    let Err(IdentityError::Invalid(errors)) =
        ResetPassword::default().validate(&PasswordRule::default()).await
    else {
        panic!()
    };
    assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["token", "password"]);
    let Err(IdentityError::Invalid(errors)) =
        ChangePassword::default().validate(&PasswordRule::default()).await
    else {
        panic!()
    };
    let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
    assert_eq!(fields, ["currentPassword", "newPassword"]);
    let json = r#"{"current_password":"Old-pass-1","new_password":"N3w-horse"}"#;
    let change: ChangePassword = serde_json::from_str(json).unwrap();
    assert_eq!(change.validate(&PasswordRule::default()).await.unwrap().new.expose_secret(), "N3w-horse");
    let same: ChangePassword =
        serde_json::from_str(r#"{"currentPassword":"N3w-horse","newPassword":"N3w-horse"}"#).unwrap();
    assert!(same.validate(&PasswordRule::default()).await.is_err());
}
