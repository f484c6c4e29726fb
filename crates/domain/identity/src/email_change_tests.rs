use futures_util::future::LocalBoxFuture;
use portico_kernel::{Denied, PlatformRole, Scope};

use super::*;
use crate::{
    Sessions,
    administration::{SettableStatus, UserUpdate},
    fixture::{Store, hash, tokens},
    session::SessionLifetimes,
};

fn address(email: &str) -> EmailAddress {
    EmailAddress::parse(email).unwrap()
}

/// The id in the newest event, which the background job gets.
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

/// Requests the change and answers the token of the link.
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
    let user = store.user("ada@example.com", true);
    let (system, env) = (store.system(), store.env());
    let mut accounts = Accounts::new(&mut store, &system, &env);
    for purpose in TokenPurpose::ALL {
        accounts.issue_token(&user, purpose, &tokens()).await.unwrap();
    }
    assert_eq!(store.token_count(), TokenPurpose::ALL.len());
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
    assert_eq!(
        issue(&mut store, id).await,
        Some((Recipient::for_user(&owner), AccountMail::AlreadyRegistered))
    );
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

/// What a thief can request in a stolen session, and what ends it.
#[tokio::test]
async fn a_change_ends_with_the_session_that_asked_for_it() {
    type End = for<'s> fn(&'s mut Store, &'s User, &'s Scope, SessionId) -> LocalBoxFuture<'s, ()>;
    let ends: [(&str, End); 8] = [
        ("signing out", |store, _, thief, _| {
            Box::pin(async move {
                let env = store.env();
                let mut sessions = Sessions::new(store, thief, &env, SessionLifetimes::default());
                sessions.sign_out(None, &tokens()).await.unwrap();
            })
        }),
        ("ending it from another session", |store, user, _, session| {
            Box::pin(async move {
                let (owner, env) = (store.signed_in(user), store.env());
                let mut sessions = Sessions::new(store, &owner, &env, SessionLifetimes::default());
                sessions.end(session).await.unwrap();
            })
        }),
        ("a refresh token that was used twice", |store, _, _, session| {
            Box::pin(async move {
                let (anonymous, env) = (store.anonymous(), store.env());
                for (generation, pause) in [(1, 0), (2, 60), (1, 0)] {
                    store.pass(Duration::seconds(pause));
                    let mut sessions = Sessions::new(store, &anonymous, &env, SessionLifetimes::default());
                    sessions.refresh(&format!("{session}/{generation}"), &tokens()).await.unwrap();
                }
            })
        }),
        ("a change of the password in another session", |store, user, _, _| {
            Box::pin(async move {
                let (owner, env, verified) = (store.signed_in(user), store.env(), store.credential(user.id));
                Accounts::new(store, &owner, &env).change_password(&verified, hash("new")).await.unwrap();
            })
        }),
        ("a change of the password in that session", |store, user, thief, _| {
            Box::pin(async move {
                let (env, verified) = (store.env(), store.credential(user.id));
                Accounts::new(store, thief, &env).change_password(&verified, hash("new")).await.unwrap();
            })
        }),
        ("a password set by the operator", |store, user, _, _| {
            Box::pin(async move {
                let (operator, env) = (operator(store), store.env());
                Accounts::new(store, &operator, &env).set_password(user.id, hash("new")).await.unwrap();
            })
        }),
        ("a suspension", |store, user, _, _| {
            Box::pin(async move {
                let (operator, env) = (operator(store), store.env());
                for status in [SettableStatus::Suspended, SettableStatus::Active] {
                    let change = UserUpdate { status: Some(status), ..UserUpdate::default() };
                    Accounts::new(store, &operator, &env).update(user.id, change, None).await.unwrap();
                }
            })
        }),
        ("its expiry", |store, _, _, session| {
            Box::pin(async move {
                store.expire(session);
            })
        }),
    ];
    for (what, end) in ends {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true);
        let thief = store.signed_in(&user);
        let (_, session) = thief.require_user().unwrap();
        let token = link(&mut store, &thief, "eve@example.com").await;
        end(&mut store, &user, &thief, session).await;
        let result = confirm(&mut store, &token).await;
        assert!(matches!(result, Err(IdentityError::InvalidToken)), "{what}: {result:?}");
        assert_eq!(store.credential(user.id).user.email, user.email, "{what}");
    }
}

fn operator(store: &mut Store) -> Scope {
    let root = store.user_with_role("root@example.com", PlatformRole::SuperAdmin);
    store.looking_after(&root)
}

async fn notice(store: &mut Store) -> Option<(Recipient, AccountMail)> {
    let (id, scope, env) = (newest(store), store.system(), store.env());
    Accounts::new(store, &scope, &env).issue_email_change_notice(id, &tokens()).await.unwrap()
}

async fn cancel(store: &mut Store, token: &str) -> Result<(), IdentityError> {
    let (scope, env) = (store.anonymous(), store.env());
    Accounts::new(store, &scope, &env).cancel_email_change(token, &tokens()).await
}

#[tokio::test]
async fn the_address_so_far_hears_of_the_request_and_stops_it() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (owner, thief) = (store.session(&user).id, store.signed_in(&user));
    let confirmation = link(&mut store, &thief, "eve@example.org").await;
    let Some((to, AccountMail::EmailChangeRequested { masked, token })) = notice(&mut store).await else {
        panic!("no notice")
    };
    assert_eq!((to, masked.as_str()), (Recipient::for_user(&user), "e…@example.org"));
    assert!(matches!(cancel(&mut store, "made up").await, Err(IdentityError::InvalidToken)));
    // The thief requests another change: the first link cancels that, too.
    let again = link(&mut store, &thief, "mallory@example.org").await;
    cancel(&mut store, &token).await.unwrap();
    let (_, asked) = thief.require_user().unwrap();
    assert!(!store.is_running(owner) && !store.is_running(asked));
    for confirmation in [confirmation, again] {
        let result = confirm(&mut store, &confirmation).await;
        assert!(matches!(result, Err(IdentityError::InvalidToken)), "{result:?}");
    }
    let event = store.events().last().unwrap();
    assert_eq!((event.kind.as_ref(), event.actor_id), ("user.email_change_cancelled", Some(user.id.uuid())));
    assert!(matches!(cancel(&mut store, &token).await, Err(IdentityError::InvalidToken)), "once");
    assert_eq!(notice(&mut store).await, None, "nothing waits any more");
}

#[tokio::test]
async fn an_account_with_an_unverified_address_cannot_ask() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", false);
    let scope = store.signed_in(&user);
    store.pass(crate::account::FRESH + Duration::seconds(1));
    let result = request(&mut store, &scope, "k@example.com").await;
    assert!(matches!(result, Err(IdentityError::Denied(Denied::EmailUnverified))), "{result:?}");
}

#[test]
fn what_is_no_address_is_named() {
    for (new_email, code) in [("", "required"), ("nobody", "invalid_email")] {
        let result = ChangeEmail { new_email: new_email.into() }.validate();
        let Err(IdentityError::Invalid(errors)) = result else { panic!("{result:?}") };
        assert_eq!((errors.len(), errors[0].field.as_str(), errors[0].code.as_ref()), (1, "newEmail", code));
    }
}
