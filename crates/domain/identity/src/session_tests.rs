use super::*;
use crate::fixture::{Store, hash, tokens};

fn lifetimes() -> SessionLifetimes {
    SessionLifetimes::default()
}

async fn refresh(store: &mut Store, token: &str) -> Result<Refreshed, IdentityError> {
    let (scope, env) = (store.anonymous(), store.env());
    Sessions::new(store, &scope, &env, lifetimes()).refresh(token, &tokens()).await
}

fn generation(refreshed: Result<Refreshed, IdentityError>) -> i32 {
    match refreshed {
        Ok(Refreshed::Continued(signed_in)) => signed_in.session.generation,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn signing_in_starts_a_session_in_the_default_tenant() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (scope, env, verified) = (store.anonymous(), store.env(), store.credential(user.id));
    let step = Sessions::new(&mut store, &scope, &env, lifetimes()).sign_in(&verified).await.unwrap();
    let SignInStep::Complete(signed_in) = step else { panic!("{step:?}") };
    let SignedIn { session, user: signed_in } = *signed_in;
    assert_eq!(session.active_tenant, Some(store.tenant()));
    assert_eq!(session.user_agent.as_deref(), Some("Browser"));
    assert_eq!(signed_in.last_login_at, Some(env.now()));
    assert_eq!(store.event_kinds(), ["session.started"]);
    assert_eq!(store.events()[0].actor_id, Some(user.id.uuid()));
}

#[tokio::test]
async fn signing_in_fails_when_password_or_status_changed_after_the_verification() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (scope, env, verified) = (store.anonymous(), store.env(), store.credential(user.id));

    let stale = Credential { password: Some(hash("replaced since")), ..verified.clone() };
    let result = Sessions::new(&mut store, &scope, &env, lifetimes()).sign_in(&stale).await;
    assert!(matches!(result, Err(IdentityError::InvalidCredentials)));

    store.set_status(user.id, UserStatus::Suspended);
    let result = Sessions::new(&mut store, &scope, &env, lifetimes()).sign_in(&verified).await;
    assert!(matches!(result, Err(IdentityError::AccountSuspended)));
    assert!(store.events().is_empty());
}

#[tokio::test]
async fn each_refresh_moves_the_session_on() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let session = store.session(&user);
    store.pass(Duration::days(6));
    assert_eq!(generation(refresh(&mut store, &format!("{}/1", session.id)).await), 2);
    store.pass(Duration::days(6));
    assert_eq!(generation(refresh(&mut store, &format!("{}/2", session.id)).await), 3);
    assert!(store.events().is_empty());
}

#[tokio::test]
async fn an_idle_session_expires() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let session = store.session(&user);
    store.pass(Duration::days(7));
    let result = refresh(&mut store, &format!("{}/1", session.id)).await;
    assert!(matches!(result, Err(IdentityError::InvalidRefreshToken)));
}

#[tokio::test]
async fn a_session_ends_however_much_it_is_used() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let session = store.session(&user);
    let mut generation_so_far = 1;
    let mut days = 0;
    loop {
        store.pass(Duration::days(6));
        days += 6;
        let token = format!("{}/{generation_so_far}", session.id);
        match refresh(&mut store, &token).await {
            Ok(_) => generation_so_far += 1,
            Err(IdentityError::InvalidRefreshToken) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(days, 90);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_within_the_grace_window() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let token = format!("{}/1", store.session(&user).id);
    assert_eq!(generation(refresh(&mut store, &token).await), 2);
    store.pass(Duration::seconds(30));
    assert_eq!(generation(refresh(&mut store, &token).await), 2);
    assert!(store.events().is_empty());
}

#[tokio::test]
async fn a_token_used_after_the_grace_window_ends_the_session() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let session = store.session(&user);
    let token = format!("{}/1", session.id);
    assert_eq!(generation(refresh(&mut store, &token).await), 2);
    store.pass(Duration::seconds(30) + Duration::microseconds(1));
    assert!(matches!(refresh(&mut store, &token).await, Ok(Refreshed::ReuseDetected)));
    assert!(!store.is_running(session.id));
    assert_eq!(store.event_kinds(), ["session.reuse_detected", "session.ended"]);
    let current = refresh(&mut store, &format!("{}/2", session.id)).await;
    assert!(matches!(current, Err(IdentityError::InvalidRefreshToken)));
}

#[tokio::test]
async fn a_token_two_generations_old_ends_the_session_at_once() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let session = store.session(&user);
    for number in [1, 2] {
        generation(refresh(&mut store, &format!("{}/{number}", session.id)).await);
    }
    let result = refresh(&mut store, &format!("{}/1", session.id)).await;
    assert!(matches!(result, Ok(Refreshed::ReuseDetected)));
    assert!(!store.is_running(session.id));
}

#[tokio::test]
async fn of_two_refreshes_at_once_both_get_the_same_token() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let token = format!("{}/1", store.session(&user).id);
    store.lose_next_rotation();
    assert_eq!(generation(refresh(&mut store, &token).await), 2);
}

#[tokio::test]
async fn tokens_of_nobody_and_of_the_future_have_no_effect() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let session = store.session(&user);
    let stranger: SessionId = store.env().new_id();
    for token in [format!("{}/2", session.id), format!("{stranger}/1"), "rubbish".into()] {
        assert!(matches!(refresh(&mut store, &token).await, Err(IdentityError::InvalidRefreshToken)));
    }
    assert!(store.is_running(session.id));
}

#[tokio::test]
async fn a_suspended_user_cannot_refresh() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let session = store.session(&user);
    store.set_status(user.id, UserStatus::Suspended);
    let result = refresh(&mut store, &format!("{}/1", session.id)).await;
    assert!(matches!(result, Err(IdentityError::InvalidRefreshToken)));
}

#[tokio::test]
async fn signing_out_works_by_token_by_caller_and_twice() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (by_token, by_caller) = (store.session(&user), store.session(&user));
    let (anonymous, env) = (store.anonymous(), store.env());
    let token = format!("{}/1", by_token.id);
    for _ in 0..2 {
        Sessions::new(&mut store, &anonymous, &env, lifetimes())
            .sign_out(Some(&token), &tokens())
            .await
            .unwrap();
    }
    let scope = store.signed_in_with(&user, by_caller.id);
    Sessions::new(&mut store, &scope, &env, lifetimes()).sign_out(None, &tokens()).await.unwrap();
    assert!(!store.is_running(by_token.id) && !store.is_running(by_caller.id));
    assert_eq!(store.event_kinds(), ["session.ended", "session.ended"]);
    assert_eq!(store.events()[0].after.as_ref().unwrap()["reason"], "signed_out");

    let mut sessions = Sessions::new(&mut store, &anonymous, &env, lifetimes());
    let result = sessions.sign_out(None, &tokens()).await;
    assert!(matches!(result, Err(IdentityError::Denied(portico_kernel::Denied::Unauthenticated))));
    let result = sessions.sign_out(Some("forged"), &tokens()).await;
    assert!(matches!(result, Err(IdentityError::InvalidRefreshToken)));
}

#[tokio::test]
async fn a_user_sees_and_ends_their_own_sessions_only() {
    let mut store = Store::default();
    let (ada, eve) = (store.user("ada@example.com", true), store.user("eve@example.com", true));
    let (first, second, other) = (store.session(&ada), store.session(&ada), store.session(&eve));
    let (scope, env) = (store.signed_in_with(&ada, second.id), store.env());
    let mut sessions = Sessions::new(&mut store, &scope, &env, lifetimes());
    let listed = sessions.list().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|view| (view.id, view.current)).collect();
    assert_eq!(listed, [(second.id, true), (first.id, false)]);
    assert!(matches!(sessions.end(other.id).await, Err(IdentityError::NotFound("session"))));
    sessions.end(first.id).await.unwrap();
    assert!(store.is_running(other.id) && !store.is_running(first.id));
}

#[test]
fn an_access_token_does_not_outlive_its_session() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let mut session = store.session(&user);
    let now = store.env().now();
    let issue = |session: &Session| {
        let signed_in = SignedIn { session: session.clone(), user: user.clone() };
        Tokens::issue(&tokens(), signed_in, lifetimes(), now).unwrap()
    };
    assert_eq!(issue(&session).expires_in, 900);
    session.expires_at = now + Duration::seconds(60);
    assert_eq!(issue(&session).expires_in, 60);
    assert!(!format!("{:?}", issue(&session)).contains(&issue(&session).refresh_token.unwrap()));
}
