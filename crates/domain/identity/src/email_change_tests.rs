use portico_kernel::Scope;

use super::*;
use crate::fixture::{Store, tokens};

fn address(email: &str) -> EmailAddress {
    EmailAddress::parse(email).unwrap()
}

/// The id in the newest event, which the background job is given.
fn newest(store: &Store) -> EmailChangeId {
    let event =
        store.events().iter().rev().find(|event| event.kind == "user.email_change_requested").unwrap();
    serde_json::from_value(event.after.as_ref().unwrap()["changeId"].clone()).unwrap()
}

async fn request(store: &mut Store, scope: &Scope, email: &str) -> Result<(), IdentityError> {
    let env = store.env();
    Accounts::new(store, scope, &env).request_email_change(address(email)).await
}

async fn issue(store: &mut Store, id: EmailChangeId) -> Option<(Recipient, AccountMail)> {
    let (scope, env) = (store.system(), store.env());
    Accounts::new(store, &scope, &env).issue_email_change(id, &tokens()).await.unwrap()
}

/// Asks for the change and answers the token of the link.
async fn link(store: &mut Store, scope: &Scope, email: &str) -> String {
    request(store, scope, email).await.unwrap();
    let id = newest(store);
    match issue(store, id).await {
        Some((to, AccountMail::EmailChange { token })) if to.email == address(email) => token,
        other => panic!("{other:?}"),
    }
}

async fn confirm_as(store: &mut Store, scope: &Scope, token: &str) -> Result<User, IdentityError> {
    let env = store.env();
    Accounts::new(store, scope, &env).confirm_email_change(token, &tokens()).await
}

async fn confirm(store: &mut Store, token: &str) -> Result<User, IdentityError> {
    let scope = store.anonymous();
    confirm_as(store, &scope, token).await
}

#[tokio::test]
async fn a_confirmed_address_takes_the_place_of_the_old_one() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    let (_, asking) = scope.require_user().unwrap();
    let elsewhere = store.session(&user).id;
    let token = link(&mut store, &scope, "king@example.com").await;
    assert_eq!(store.credential(user.id).user.email, user.email, "nothing has changed yet");

    let changed = confirm(&mut store, &token).await.unwrap();
    assert_eq!(
        (changed.email.as_str(), changed.email_verified, changed.version),
        ("king@example.com", true, 2)
    );
    assert!(store.is_running(asking) && !store.is_running(elsewhere));
    let event = store.events().last().unwrap();
    assert_eq!((event.kind.as_ref(), event.actor_id), ("user.email_changed", Some(user.id.uuid())));
    assert_eq!(event.before.as_ref().unwrap()["email"], "ada@example.com");
    assert_eq!(event.after.as_ref().unwrap()["email"], "king@example.com");
    assert!(matches!(confirm(&mut store, &token).await, Err(IdentityError::InvalidToken)), "once");
}

#[tokio::test]
async fn links_to_the_old_address_are_not_good_any_more() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", false);
    let (system, env) = (store.system(), store.env());
    let mut accounts = Accounts::new(&mut store, &system, &env);
    accounts.issue_password_reset(&user.email, &tokens()).await.unwrap();
    accounts.issue_verification(&user.email, &tokens()).await.unwrap();
    assert_eq!(store.token_count(), 2);
    let scope = store.signed_in(&user);
    let token = link(&mut store, &scope, "king@example.com").await;
    confirm(&mut store, &token).await.unwrap();
    assert_eq!(store.token_count(), 0);
}

#[tokio::test]
async fn a_link_expires_and_a_newer_one_replaces_it() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    let first = link(&mut store, &scope, "king@example.com").await;
    let first_id = newest(&store);
    let second = link(&mut store, &scope, "byron@example.com").await;
    assert_eq!(issue(&mut store, first_id).await, None, "no mail is sent for it any more");
    assert!(matches!(confirm(&mut store, &first).await, Err(IdentityError::InvalidToken)));
    store.pass(LIFETIME);
    assert!(matches!(confirm(&mut store, &second).await, Err(IdentityError::InvalidToken)));
    let second_id = newest(&store);
    assert_eq!(issue(&mut store, second_id).await, None);
}

#[tokio::test]
async fn a_repeated_job_sends_the_same_link() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    link(&mut store, &scope, "king@example.com").await;
    let id = newest(&store);
    assert_eq!(issue(&mut store, id).await, issue(&mut store, id).await);
}

#[tokio::test]
async fn an_owner_hears_of_it_and_nobody_gets_a_link() {
    let mut store = Store::default();
    let owner = store.user("king@example.com", true);
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    request(&mut store, &scope, "king@example.com").await.unwrap();
    let id = newest(&store);
    assert_eq!(issue(&mut store, id).await, Some((Recipient::of(&owner), AccountMail::AlreadyRegistered)));
}

#[tokio::test]
async fn an_address_that_somebody_proves_first_is_theirs() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    let token = link(&mut store, &scope, "king@example.com").await;
    store.user("king@example.com", true);
    for scope in [store.anonymous(), scope] {
        let result = confirm_as(&mut store, &scope, &token).await;
        assert!(matches!(result, Err(IdentityError::InvalidToken)), "{result:?}");
    }
}

#[tokio::test]
async fn a_contested_address_needs_a_session_of_the_account() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let stranger = store.user("king@example.com", false);
    let scope = store.signed_in(&user);
    for wrong in [store.anonymous(), store.signed_in(&stranger)] {
        let token = link(&mut store, &scope, "king@example.com").await;
        let result = confirm_as(&mut store, &wrong, &token).await;
        assert!(matches!(result, Err(IdentityError::InvalidToken)), "{result:?}");
    }
    let token = link(&mut store, &scope, "king@example.com").await;
    assert_eq!(confirm_as(&mut store, &scope, &token).await.unwrap().email, stranger.email);
}

#[tokio::test]
async fn only_the_person_themselves_asks_and_only_shortly_after_signing_in() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let anonymous = store.anonymous();
    assert!(matches!(request(&mut store, &anonymous, "k@example.com").await, Err(IdentityError::Denied(_))));
    let scope = store.signed_in(&user);
    let result = request(&mut store, &scope, "ada@example.com").await;
    let Err(IdentityError::Invalid(errors)) = result else { panic!("{result:?}") };
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_ref()), ("newEmail", "unchanged"));
    store.pass(crate::account::FRESH + Duration::seconds(1));
    let result = request(&mut store, &scope, "k@example.com").await;
    assert!(matches!(result, Err(IdentityError::ReauthenticationRequired)), "{result:?}");
    assert!(store.events().is_empty());
}

#[test]
fn what_is_no_address_is_named() {
    for (new_email, code) in [("", "required"), ("nobody", "invalid_email")] {
        let result = ChangeEmail { new_email: new_email.into() }.validate();
        let Err(IdentityError::Invalid(errors)) = result else { panic!("{result:?}") };
        assert_eq!((errors.len(), errors[0].field.as_str(), errors[0].code.as_ref()), (1, "newEmail", code));
    }
}
