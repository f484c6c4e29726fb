//! That taking access to an account away reaches every table by which somebody gets in: `portico_identity::credentials`.

use std::collections::BTreeSet;

use portico_identity::{
    Accounts, ExternalIdentities,
    administration::{SettableStatus, UserUpdate},
    device::KnownDevice,
    email_change::EmailChange,
    external::{ExternalIdentity, ExternalProfile, Recognised, SignInAttempt},
    passkey::Passkey,
    pending_sign_in::PendingSignIn,
    ports::IdentityRepositories,
    token::{OneTimeToken, TokenPurpose},
    totp::Totp,
    user::{EmailAddress, User},
};
use portico_kernel::{Env, RequestInfo, Scope, UserId};
use portico_sql::{SqlStore, personal_columns};
use portico_testkit::{TestDatabase, env, on_each_database};
use time::Duration;

use crate::{
    api_keys::stored_key,
    fixtures::{session, stored_user},
};

/// What is taken away when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Also by a suspension, a new password, the end of every session: it was begun in a session, or with a credential.
    WithSessions,
    /// Only with everything else, from an account that a stranger may have made.
    WithEverything,
}
use Taken::{WithEverything, WithSessions};

/// Every column with a user whose row lets somebody in, when it does, and what takes that away. A new one needs a row in
/// [`equip`], and a line in `portico_identity::credentials::revoke`.
const CREDENTIALS: &[(&str, &str, &str, Taken)] = &[
    ("sessions", "user_id", "ended_at is null", WithSessions),
    ("sessions", "impersonator_id", "ended_at is null", WithSessions),
    ("pending_sign_ins", "user_id", "true", WithSessions),
    ("oidc_attempts", "user_id", "true", WithSessions),
    ("email_changes", "user_id", "true", WithSessions),
    ("one_time_tokens", "user_id", "purpose <> 'email_verification'", WithSessions),
    ("one_time_tokens", "user_id", "true", WithEverything),
    ("users", "id", "password_hash is not null", WithEverything),
    ("passkeys", "user_id", "true", WithEverything),
    ("external_identities", "user_id", "true", WithEverything),
    ("authenticator_apps", "user_id", "true", WithEverything),
    ("recovery_codes", "user_id", "true", WithEverything),
    ("known_devices", "user_id", "true", WithEverything),
    ("api_keys", "made_by", "revoked_at is null", WithEverything),
    ("api_keys", "previous_made_by", "revoked_at is null", WithEverything),
];

/// Every other column with a user, and why its row lets nobody in.
const OTHERS: &[(&str, &str, &str)] = &[
    ("customer_notes", "author_id", "says who wrote a note"),
    ("downloads", "user_id", "says who got a link to download something"),
    ("memberships", "user_id", "says what somebody may do who is in"),
    (
        "invitations",
        "invited_by",
        "lets in whom it names, and that into a tenant; its admins see and take it back",
    ),
    ("idempotency_keys", "caller_id", "answers only the caller, who has to show a credential first"),
    ("page_versions", "author_id", "says who wrote something"),
    ("purchases", "user_id", "says who bought something"),
    ("support_messages", "author_id", "says who wrote something"),
    ("support_tickets", "assignee_id", "says who looks after something"),
    ("support_tickets", "author_id", "says who asked something"),
    ("site_sales", "buyer_user_id", "says who bought a site"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_column_with_a_user_is_known_to_let_somebody_in_or_not_to() {
    on_each_database(async |database| {
        let mut named: BTreeSet<_> = database.references_to("users").await.into_iter().collect();
        named.extend(personal_columns().into_iter().map(|(t, c)| (t.to_owned(), c.to_owned())));
        let credentials = CREDENTIALS.iter().map(|(table, column, ..)| (*table, *column));
        let others: BTreeSet<_> = OTHERS.iter().map(|(table, column, _)| (*table, *column)).collect();
        let known: BTreeSet<_> = credentials.chain(others.iter().copied()).collect();
        let unknown: Vec<_> =
            named.iter().filter(|(table, column)| !known.contains(&(&**table, &**column))).collect();
        assert!(unknown.is_empty(), "say here whether a row of {unknown:?} lets somebody in");
        let both = CREDENTIALS.iter().find(|(table, column, ..)| others.contains(&(*table, *column)));
        assert_eq!(both, None, "in both lists");
    })
    .await;
}

/// Gives somebody one of everything, past every rule.
async fn equip(store: &SqlStore, env: &Env, user: UserId, other: UserId) {
    let now = env.now();
    let soon = now + Duration::minutes(5);
    let asking = session(env, user, None);
    let mut acting = session(env, other, None);
    acting.impersonator = Some(user);
    let mut work = store.begin().await.unwrap();
    work.sessions().insert(&asking).await.unwrap();
    work.sessions().insert(&acting).await.unwrap();
    let pending = PendingSignIn { id: env.new_id(), user, tries: 0, created_at: now, expires_at: soon };
    work.pending_sign_ins().insert(&pending).await.unwrap();
    let attempt = SignInAttempt {
        state: [1; 32],
        provider: "test".to_owned(),
        browser: [2; 32],
        user: Some(user),
        created_at: now,
        expires_at: soon,
    };
    work.sign_in_attempts().insert(&attempt).await.unwrap();
    let change = EmailChange {
        id: env.new_id(),
        user,
        session: asking.id,
        email: EmailAddress::trusted("other@example.org".to_owned()),
        created_at: now,
        expires_at: soon,
    };
    work.email_changes().put(&change).await.unwrap();
    for (number, purpose) in (0..).zip(TokenPurpose::ALL) {
        let token = OneTimeToken { hash: [number; 32], user, purpose, expires_at: soon, created_at: now };
        work.one_time_tokens().insert(&token).await.unwrap();
    }
    let passkey = Passkey {
        id: env.new_id(),
        user,
        name: "Laptop".to_owned(),
        credential_id: vec![1],
        data: "{}".to_owned(),
        created_at: now,
        last_used_at: None,
    };
    work.passkeys().insert(&passkey).await.unwrap();
    let identity = ExternalIdentity {
        id: env.new_id(),
        user,
        provider: "test".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        subject: "stranger".to_owned(),
        email: None,
        name: None,
        language: None,
        linked_at: now,
        last_used_at: None,
    };
    work.external_identities().insert(&identity).await.unwrap();
    let totp = Totp { user, sealed: vec![1], confirmed_at: None, created_at: now };
    assert!(work.second_factors().put_totp(&totp).await.unwrap());
    assert!(work.second_factors().confirm_totp(user, &[1], 1, now).await.unwrap());
    work.second_factors().replace_recovery_codes(user, &[[1; 32]], now).await.unwrap();
    let device = KnownDevice {
        user,
        device: env.random_uuid(),
        network: "192.0.2.1".to_owned(),
        agent: "Firefox".to_owned(),
        first_seen: now,
        last_seen: now,
        returned: false,
    };
    work.known_devices().save(&device).await.unwrap();
    work.commit().await.unwrap();
    let key = stored_key(store, env, "shop").await;
    let mut work = store.begin().await.unwrap();
    for _ in 0..2 {
        work.api_keys().replace_secret(key.tenant, key.id, [1; 32], user).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// How many rows of each kind let the user in. Writes nothing: each row is set to what it is.
async fn ways_in(database: &TestDatabase, user: UserId) -> Vec<(&'static str, &'static str, Taken, u64)> {
    let mut found = Vec::new();
    for (table, column, good, taken) in CREDENTIALS.iter().copied() {
        let sql = format!("update {table} set {column} = {column} where {column} = $1 and {good}");
        found.push((table, column, taken, database.tamper(&sql, &[user.uuid()]).await));
    }
    found
}

async fn equipped(database: &TestDatabase, env: &Env) -> User {
    let store = database.store();
    let user = stored_user(store, env, "ada@example.com").await;
    let other = stored_user(store, env, "other@example.com").await;
    equip(store, env, user.id, other.id).await;
    let missing: Vec<_> =
        ways_in(database, user.id).await.into_iter().filter(|(.., rows)| *rows == 0).collect();
    assert!(missing.is_empty(), "give the user a row of {missing:?}");
    user
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_a_stranger_may_have_made_keeps_nothing_that_one_gets_in_by() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let user = equipped(database, &env).await;
        // The owner of the address comes with a provider that vouches for it.
        let profile = ExternalProfile {
            issuer: "https://issuer.example".to_owned(),
            subject: "owner".to_owned(),
            email: Some("ada@example.com".to_owned()),
            email_verified: true,
            ..ExternalProfile::default()
        };
        let scope = Scope::anonymous(RequestInfo::default());
        let mut work = store.begin().await.unwrap();
        let mut identities = ExternalIdentities::new(&mut work, &scope, &env);
        let Recognised::New(owner) = identities.recognise("test", &profile).await.unwrap() else {
            panic!("the account of the stranger was taken over")
        };
        identities.enroll(owner, "test", &profile).await.unwrap();
        work.commit().await.unwrap();
        let left: Vec<_> =
            ways_in(database, user.id).await.into_iter().filter(|(.., rows)| *rows > 0).collect();
        assert!(left.is_empty(), "{left:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_takes_what_was_begun_and_keeps_what_proves_who_somebody_is() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let user = equipped(database, &env).await;
        let scope = Scope::system(None, RequestInfo::default());
        let change = UserUpdate { status: Some(SettableStatus::Suspended), ..UserUpdate::default() };
        let mut work = store.begin().await.unwrap();
        Accounts::new(&mut work, &scope, &env).update(user.id, change, None).await.unwrap();
        work.commit().await.unwrap();
        for (table, column, taken, rows) in ways_in(database, user.id).await {
            assert_eq!(rows == 0, taken == WithSessions, "{table}.{column}: {rows}");
        }
    })
    .await;
}
