use portico_kernel::{RequestInfo, Scope};
use time::Duration;

use super::*;
use crate::{
    fixture::{Store, hash},
    passkey::{Assertion, Ceremony, Passkey, PasskeyRefusal, PasskeySignIn},
    ports::{Credential, IdentityRepositories, MockFactorSecrets, MockPasskeyCeremonies},
    reauthentication::Reauthenticated,
    session::{SessionLifetimes, SignInStep},
    totp::TotpEnrolment,
};

/// Secrets that can be read: the code of a step is the step itself, in six digits.
fn secrets() -> MockFactorSecrets {
    let mut secrets = MockFactorSecrets::new();
    secrets
        .expect_enrolment()
        .returning(|_, _| Ok(TotpEnrolment { secret: "s".into(), otpauth_uri: "otpauth://s".into() }));
    secrets.expect_seal().returning(|_, secret, _| Ok(secret.to_vec()));
    secrets.expect_matching_step().returning(|_, _, code, now| {
        let (step, present): (i64, i64) = (code.parse().unwrap(), now.unix_seconds() / 30 % 1_000_000);
        Ok(((step - present).abs() <= 1).then_some(step))
    });
    let digest = |purpose: &str, value: &[u8]| {
        let mut digest = [0_u8; 32];
        let bytes = purpose.bytes().chain(value.iter().copied()).enumerate();
        bytes.for_each(|(i, byte)| digest[i % 32] = digest[i % 32].rotate_left(3) ^ byte);
        digest
    };
    secrets.expect_digest().returning(digest);
    secrets.expect_digests().returning(move |purpose, value| vec![digest(purpose, value)]);
    secrets.expect_pending_token().returning(|id| id.to_string());
    secrets.expect_read_pending_token().returning(|token| token.parse().ok());
    secrets
}

fn code(store: &Store, offset: i64) -> String {
    format!("{:06}", store.env().now().unix_seconds() / 30 % 1_000_000 + offset)
}

fn lifetimes() -> SessionLifetimes {
    SessionLifetimes::default()
}

/// Enrols an authenticator app, and answers the recovery codes.
async fn enrol(store: &mut Store, scope: &Scope) -> Vec<String> {
    let (env, secrets, code) = (store.env(), secrets(), code(store, 0));
    let mut accounts = Accounts::new(store, scope, &env);
    accounts.begin_totp(&secrets).await.unwrap();
    let codes = accounts.confirm_totp(&code, &secrets).await.unwrap().unwrap().recovery_codes;
    store.pass(Duration::seconds(90));
    codes
}

/// The token of a sign-in whose password was right.
async fn first_step(store: &mut Store, verified: &Credential) -> String {
    let (scope, env) = (store.anonymous(), store.env());
    let step = Sessions::new(store, &scope, &env, lifetimes()).sign_in(verified).await.unwrap();
    let SignInStep::SecondFactor(needed) = step else { panic!("{step:?}") };
    needed.pending.to_string()
}

async fn second_step(store: &mut Store, token: &str, code: &str) -> Result<FactorOutcome, IdentityError> {
    let scope = store.anonymous();
    second_step_from(store, &scope, token, code).await
}

async fn second_step_from(
    store: &mut Store,
    scope: &Scope,
    token: &str,
    code: &str,
) -> Result<FactorOutcome, IdentityError> {
    let env = store.env();
    let step = VerifyCode { mfa_token: token.into(), code: code.into(), ..VerifyCode::default() };
    Sessions::new(store, scope, &env, lifetimes()).verify_code(&step, &secrets()).await
}

fn is_complete(outcome: Result<FactorOutcome, IdentityError>) -> bool {
    match outcome {
        Ok(FactorOutcome::Complete(_)) => true,
        Ok(FactorOutcome::Refused(IdentityError::InvalidCode)) => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_it_is_confirmed() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (scope, env) = (store.signed_in(&user), store.env());
    let verified = store.credential(user.id);
    Accounts::new(&mut store, &scope, &env).begin_totp(&secrets()).await.unwrap();
    let anonymous = store.anonymous();
    let step = Sessions::new(&mut store, &anonymous, &env, lifetimes()).sign_in(&verified).await.unwrap();
    assert!(matches!(step, SignInStep::Complete(_)), "not confirmed yet");

    let codes = enrol(&mut store, &scope).await;
    assert_eq!(codes.len(), 10);
    let token = first_step(&mut store, &verified).await;
    let right = code(&store, 0);
    assert!(is_complete(second_step(&mut store, &token, &right).await));
    assert!(matches!(second_step(&mut store, &token, &right).await, Err(IdentityError::InvalidMfaToken)));
    assert!(store.event_kinds().contains(&"user.totp_added"));
    assert!(store.events().iter().all(|event| !format!("{event:?}").contains(&codes[0])));
}

#[tokio::test]
async fn a_code_works_once_and_an_older_one_never_after_it() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    enrol(&mut store, &scope).await;
    let verified = store.credential(user.id);
    let (earlier, now, later, far) = (code(&store, -1), code(&store, 0), code(&store, 1), code(&store, 2));
    for (code, works) in [(&far, false), (&now, true), (&now, false), (&earlier, false), (&later, true)] {
        let token = first_step(&mut store, &verified).await;
        assert_eq!(is_complete(second_step(&mut store, &token, code).await), works, "{code}");
    }
}

#[tokio::test]
async fn a_recovery_code_works_once_and_is_told_of() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    let codes = enrol(&mut store, &scope).await;
    let verified = store.credential(user.id);
    for (code, works) in [(&codes[3], true), (&codes[3], false), (&codes[4].to_lowercase(), true)] {
        let token = first_step(&mut store, &verified).await;
        assert_eq!(is_complete(second_step(&mut store, &token, code).await), works);
    }
    let used = store.event_kinds().into_iter().filter(|kind| *kind == "user.recovery_code_used").count();
    assert_eq!((used, store.second_factors().recovery_codes_left(user.id).await.unwrap()), (2, 8));
}

#[tokio::test]
async fn a_sign_in_waits_five_minutes_and_has_five_tries() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    enrol(&mut store, &scope).await;
    let verified = store.credential(user.id);
    let token = first_step(&mut store, &verified).await;
    for _ in 0..TRIES {
        assert!(!is_complete(second_step(&mut store, &token, "999999").await));
    }
    let right = code(&store, 0);
    assert!(matches!(second_step(&mut store, &token, &right).await, Err(IdentityError::InvalidMfaToken)));
    let failed = store.event_kinds().into_iter().filter(|kind| *kind == "session.second_factor_failed");
    assert_eq!(failed.count(), 5);

    let token = first_step(&mut store, &verified).await;
    store.pass(PENDING);
    let right = code(&store, 0);
    assert!(matches!(second_step(&mut store, &token, &right).await, Err(IdentityError::InvalidMfaToken)));
}

/// A client at an address, with a device that sends its mark if it has a number.
fn at(address: &str, device: Option<u128>) -> Scope {
    let device = device.map(|id| portico_kernel::Device { id: uuid::Uuid::from_u128(id), shown: true });
    Scope::anonymous(RequestInfo { address: Some(address.into()), device, ..RequestInfo::default() })
}

/// Makes an attacker who has the password try so many wrong codes from a network, in as many sign-ins as that takes. Answers how
/// many were checked.
async fn guess(store: &mut Store, verified: &Credential, scope: &Scope, times: u32) -> u32 {
    let (mut looked_at, mut token) = (0, String::new());
    for number in 0..times {
        if number % TRIES as u32 == 0 {
            token = first_step(store, verified).await;
        }
        match second_step_from(store, scope, &token, "999999").await {
            Ok(FactorOutcome::Refused(IdentityError::InvalidCode)) => looked_at += 1,
            Err(IdentityError::Throttled { seconds }) => assert!(seconds > 0),
            other => panic!("{other:?}"),
        }
    }
    looked_at
}

/// Twenty guesses a day, three of a million codes being valid at a time: the bound in [`crate::code_limit`].
#[tokio::test]
async fn an_attacker_with_the_password_gets_twenty_guesses_in_any_day() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    enrol(&mut store, &scope).await;
    let verified = store.credential(user.id);
    // Every ten minutes for three days, each time from another network; and all at once as soon as the limit allows one.
    let mut guesses = Vec::new();
    for round in 0..3 * 24 * 6 {
        let stranger = at(&format!("10.{}.{}.1", round / 256, round % 256), None);
        guesses.push(guess(&mut store, &verified, &stranger, if round % 7 == 0 { 30 } else { 1 }).await);
        store.pass(Duration::minutes(10));
    }
    let most = guesses.windows(24 * 6).map(|day| day.iter().sum::<u32>()).max();
    assert_eq!(most, Some(20));
    assert!(guesses.iter().sum::<u32>() <= 3 * 20, "{guesses:?}");
    let throttled = store.event_kinds().into_iter().filter(|kind| *kind == "session.throttled").count();
    assert!((2..=3).contains(&throttled), "told once each time: {throttled}");
}

#[tokio::test]
async fn guesses_of_others_do_not_keep_the_owner_out() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    let codes = enrol(&mut store, &scope).await;
    let passkey = passkey(&store, &user, 1);
    store.passkeys().insert(&passkey).await.unwrap();
    let verified = store.credential(user.id);
    let (laptop, home) = (at("198.51.100.2", Some(1)), at("192.0.2.1", None));
    for place in [&laptop, &home] {
        let (token, right) = (first_step(&mut store, &verified).await, code(&store, 0));
        assert!(is_complete(second_step_from(&mut store, place, &token, &right).await));
        store.pass(Duration::minutes(2));
    }
    for number in 0..50 {
        guess(&mut store, &verified, &at(&format!("10.0.{number}.1"), None), TRIES as u32).await;
    }
    let elsewhere = at("203.0.113.9", Some(2));
    let mut is_in = async |place: &Scope, given: Option<&str>| {
        store.pass(Duration::minutes(2));
        let right = code(&store, 0);
        let token = first_step(&mut store, &verified).await;
        second_step_from(&mut store, place, &token, given.unwrap_or(&right)).await.is_ok_and(|outcome| {
            assert!(matches!(outcome, FactorOutcome::Complete(_)), "{outcome:?}");
            true
        })
    };
    assert!(!is_in(&at("203.0.113.8", None), None).await, "a right code of a stranger");
    assert!(is_in(&home, None).await, "the network");
    assert!(is_in(&at("203.0.113.7", Some(1)), None).await, "the device, in another network");
    assert!(!is_in(&elsewhere, None).await, "a device of somebody else's");
    assert!(is_in(&elsewhere, Some(&codes[0])).await, "a recovery code, from anywhere");
    assert!(is_in(&elsewhere, None).await, "where the owner has signed in since");
    let outcome = with_passkey(&mut store, serde_json::json!([1, user.id])).await.unwrap();
    assert!(matches!(outcome, FactorOutcome::Complete(_)));

    // A neighbour in the same network: the device has tries of its own.
    let neighbour = at("192.0.2.1", Some(3));
    assert_eq!(guess(&mut store, &verified, &neighbour, 40).await, crate::code_limit::MOST);
    store.pass(Duration::minutes(2));
    let (token, right) = (first_step(&mut store, &verified).await, code(&store, 0));
    assert!(is_complete(second_step_from(&mut store, &at("192.0.2.1", Some(1)), &token, &right).await));
}

#[tokio::test]
async fn proving_oneself_again_is_no_way_to_more_guesses() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    enrol(&mut store, &scope).await;
    let verified = store.credential(user.id);
    let (env, secrets) = (store.env(), secrets());
    let mut guess = async || {
        let mut sessions = Sessions::new(&mut store, &scope, &env, lifetimes());
        sessions.reauthenticate_by_password(Some(&verified), Some("999999"), &secrets).await
    };
    for _ in 0..crate::code_limit::MOST {
        assert!(matches!(guess().await, Ok(Reauthenticated::Refused(_))));
    }
    assert!(matches!(guess().await, Err(IdentityError::Throttled { .. })));
}

#[tokio::test]
async fn a_suspended_account_does_not_get_past_the_second_step() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    enrol(&mut store, &scope).await;
    let verified = store.credential(user.id);
    let token = first_step(&mut store, &verified).await;
    store.set_status(user.id, UserStatus::Suspended);
    let right = code(&store, 0);
    assert!(matches!(second_step(&mut store, &token, &right).await, Err(IdentityError::InvalidMfaToken)));
}

#[tokio::test]
async fn enrolling_and_removing_want_a_fresh_session() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    enrol(&mut store, &scope).await;
    let (env, secrets) = (store.env(), secrets());
    let again = Accounts::new(&mut store, &scope, &env).begin_totp(&secrets).await;
    assert!(matches!(again, Err(IdentityError::TotpEnabled)));
    store.pass(Duration::minutes(10));
    let mut accounts = Accounts::new(&mut store, &scope, &env);
    for result in [
        accounts.begin_totp(&secrets).await.err(),
        accounts.remove_totp().await.err(),
        accounts.renew_recovery_codes(&secrets).await.err(),
        accounts.begin_passkey(&secrets, &MockPasskeyCeremonies::new()).await.err(),
        accounts.remove_passkey(env.new_id(), &[]).await.err(),
    ] {
        assert!(matches!(result, Some(IdentityError::ReauthenticationRequired)), "{result:?}");
    }
}

#[tokio::test]
async fn with_the_last_factor_its_recovery_codes_go() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    enrol(&mut store, &scope).await;
    let env = store.env();
    Accounts::new(&mut store, &scope, &env).remove_totp().await.unwrap();
    let view = Accounts::new(&mut store, &scope, &env).second_factors().await.unwrap();
    assert_eq!(view, SecondFactorsView { totp: None, passkeys: vec![], recovery_codes_left: 0 });
    let renewed = Accounts::new(&mut store, &scope, &env).renew_recovery_codes(&secrets()).await;
    assert!(matches!(renewed, Err(IdentityError::NoSecondFactor)));
}

#[tokio::test]
async fn an_enrolment_waits_a_quarter_of_an_hour() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (scope, env) = (store.signed_in(&user), store.env());
    Accounts::new(&mut store, &scope, &env).begin_totp(&secrets()).await.unwrap();
    store.pass(Duration::minutes(15) + Duration::seconds(1));
    let right = code(&store, 0);
    let late = Accounts::new(&mut store, &scope, &env).confirm_totp(&right, &secrets()).await;
    assert!(matches!(late, Err(IdentityError::TotpNotPending)));
}

#[tokio::test]
async fn only_the_operator_resets_second_factors() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    enrol(&mut store, &scope).await;
    let (env, system) = (store.env(), store.system());
    let own = Accounts::new(&mut store, &scope, &env).reset_second_factors(user.id).await;
    assert!(matches!(own, Err(IdentityError::Denied(_))));
    Accounts::new(&mut store, &system, &env).reset_second_factors(user.id).await.unwrap();
    assert_eq!(store.event_kinds().last(), Some(&"user.second_factor_reset"));
    let verified = store.credential(user.id);
    let step = Sessions::new(&mut store, &system, &env, lifetimes()).sign_in(&verified).await.unwrap();
    assert!(matches!(step, SignInStep::Complete(_)));
}

fn passkey(store: &Store, user: &User, credential_id: u8) -> Passkey {
    let env = store.env();
    Passkey {
        id: env.new_id(),
        user: user.id,
        name: "Laptop".into(),
        credential_id: vec![credential_id],
        data: "counter 1".into(),
        created_at: env.now(),
        last_used_at: None,
    }
}

/// Ceremonies in which the credential is `[id, user or null]`, and passkey 7 was cloned.
fn ceremonies() -> MockPasskeyCeremonies {
    let mut ceremonies = MockPasskeyCeremonies::new();
    ceremonies
        .expect_begin_assertion()
        .returning(|_| Ok(Ceremony { options: serde_json::json!({}), state: "state".into() }));
    ceremonies.expect_read_assertion().returning(|credential| {
        let credential_id = vec![credential[0].as_u64()? as u8];
        Some(Assertion { credential_id, user: credential[1].as_str().and_then(|id| id.parse().ok()) })
    });
    ceremonies.expect_finish_assertion().returning(|_, credential, _| match credential[0].as_u64() {
        Some(7) => Err(PasskeyRefusal::Cloned),
        Some(8) => Err(PasskeyRefusal::Wrong),
        _ => Ok("counter 2".into()),
    });
    ceremonies
}

async fn with_passkey(
    store: &mut Store,
    credential: serde_json::Value,
) -> Result<FactorOutcome, IdentityError> {
    let (scope, env) = (store.anonymous(), store.env());
    let mut sessions = Sessions::new(store, &scope, &env, lifetimes());
    let (token, _) = sessions.passkey_sign_in_options(&secrets(), &ceremonies()).await.unwrap();
    let step = PasskeySignIn { challenge_token: token, credential, ..PasskeySignIn::default() };
    let first = sessions.passkey_sign_in(&step, &secrets(), &ceremonies()).await;
    let again = sessions.passkey_sign_in(&step, &secrets(), &ceremonies()).await;
    assert!(
        matches!(again, Ok(FactorOutcome::Refused(IdentityError::InvalidPasskey))),
        "a challenge works once"
    );
    first
}

#[tokio::test]
async fn a_passkey_signs_in_alone_and_counts_as_both_factors() {
    let mut store = Store::default();
    let (ada, bob) = (store.user("ada@example.com", true), store.user("bob@example.com", true));
    for id in [1, 7, 8] {
        let passkey = passkey(&store, &ada, id);
        store.passkeys().insert(&passkey).await.unwrap();
    }
    let outcome = with_passkey(&mut store, serde_json::json!([1, ada.id])).await.unwrap();
    assert!(matches!(outcome, FactorOutcome::Complete(signed_in) if signed_in.user.id == ada.id));
    assert_eq!(store.passkeys().by_credential(&[1]).await.unwrap().unwrap().data, "counter 2");
    for credential in [
        serde_json::json!([2, ada.id]),
        serde_json::json!([1, bob.id]),
        serde_json::json!([1, null]),
        serde_json::json!([8, ada.id]),
        serde_json::json!([7, ada.id]),
        serde_json::json!(null),
    ] {
        let outcome = with_passkey(&mut store, credential.clone()).await;
        assert!(matches!(outcome, Ok(FactorOutcome::Refused(IdentityError::InvalidPasskey))), "{credential}");
    }
    assert!(store.event_kinds().contains(&"session.passkey_cloned"));

    store.set_status(ada.id, UserStatus::Suspended);
    let outcome = with_passkey_once(&mut store, serde_json::json!([1, ada.id])).await;
    assert!(matches!(outcome, Err(IdentityError::AccountSuspended)));
}

async fn with_passkey_once(
    store: &mut Store,
    credential: serde_json::Value,
) -> Result<FactorOutcome, IdentityError> {
    let (scope, env) = (store.anonymous(), store.env());
    let mut sessions = Sessions::new(store, &scope, &env, lifetimes());
    let (token, _) = sessions.passkey_sign_in_options(&secrets(), &ceremonies()).await.unwrap();
    let step = PasskeySignIn { challenge_token: token, credential, ..PasskeySignIn::default() };
    sessions.passkey_sign_in(&step, &secrets(), &ceremonies()).await
}

#[tokio::test]
async fn the_last_way_to_sign_in_stays() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let (first, second) = (passkey(&store, &user, 1), passkey(&store, &user, 2));
    for passkey in [&first, &second] {
        store.passkeys().insert(passkey).await.unwrap();
    }
    store.users().set_password(user.id, None).await.unwrap();
    let (scope, env) = (store.signed_in(&user), store.env());
    Accounts::new(&mut store, &scope, &env).remove_passkey(first.id, &[]).await.unwrap();
    let last = Accounts::new(&mut store, &scope, &env).remove_passkey(second.id, &[]).await;
    assert!(matches!(last, Err(IdentityError::LastSignInMethod)));
    store.users().set_password(user.id, Some(hash("new"))).await.unwrap();
    Accounts::new(&mut store, &scope, &env).remove_passkey(second.id, &[]).await.unwrap();
    let again = Accounts::new(&mut store, &scope, &env).remove_passkey(second.id, &[]).await;
    assert!(matches!(again, Err(IdentityError::NotFound("passkey"))));
}

#[tokio::test]
async fn a_session_is_made_fresh_by_every_factor_that_there_is() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true);
    let scope = store.signed_in(&user);
    let verified = store.credential(user.id);
    enrol(&mut store, &scope).await;
    store.pass(Duration::hours(1));
    let (env, secrets, right) = (store.env(), secrets(), code(&store, 0));
    let mut sessions = Sessions::new(&mut store, &scope, &env, lifetimes());
    let wrong = sessions.reauthenticate_by_password(None, Some(&right), &secrets).await;
    assert!(matches!(wrong, Ok(Reauthenticated::Refused(_))));
    let missing = sessions.reauthenticate_by_password(Some(&verified), None, &secrets).await;
    assert!(matches!(missing, Err(IdentityError::Invalid(_))));
    let wrong = sessions.reauthenticate_by_password(Some(&verified), Some("999999"), &secrets).await;
    assert!(matches!(wrong, Ok(Reauthenticated::Refused(_))));
    let stale = Accounts::new(&mut store, &scope, &env).require_fresh().await;
    assert!(matches!(stale, Err(IdentityError::ReauthenticationRequired)));

    let mut sessions = Sessions::new(&mut store, &scope, &env, lifetimes());
    let fresh = sessions.reauthenticate_by_password(Some(&verified), Some(&right), &secrets).await;
    assert!(
        matches!(fresh, Ok(Reauthenticated::Fresh)),
        "the code was not used up by a wrong password: {fresh:?}"
    );
    Accounts::new(&mut store, &scope, &env).require_fresh().await.unwrap();
}
