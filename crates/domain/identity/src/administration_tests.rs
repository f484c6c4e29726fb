//! Administration of accounts, on repositories in memory.

use portico_kernel::{Fault, Scope};

use super::*;
use crate::fixture::{Store, hash};

struct Cast {
    store: Store,
    root: User,
    ada: User,
    scope: Scope,
}

/// A super admin who acts, and a customer.
fn cast() -> Cast {
    let mut store = Store::default();
    let root = store.user_with_role("root@example.com", PlatformRole::SuperAdmin);
    let ada = store.user("ada@example.com", true);
    let scope = store.looking_after(&root);
    Cast { store, root, ada, scope }
}

async fn update(cast: &mut Cast, id: UserId, json: &str) -> Result<User, IdentityError> {
    let env = cast.store.env();
    let change = serde_json::from_str(json).unwrap();
    Accounts::new(&mut cast.store, &cast.scope, &env).update(id, change, None).await
}

#[tokio::test]
async fn a_suspension_ends_sessions_and_is_an_event_of_its_own() {
    let mut cast = cast();
    let (id, session) = (cast.ada.id, cast.store.session(&cast.ada).id);
    let user = update(&mut cast, id, r#"{"status":"suspended","company":"Engines"}"#).await.unwrap();
    assert_eq!((user.status, user.version), (UserStatus::Suspended, 2));
    assert!(!cast.store.is_running(session));
    assert_eq!(cast.store.event_kinds(), ["user.updated", "user.suspended", "session.ended"]);
    let suspended = &cast.store.events()[1];
    assert_eq!(suspended.before.as_ref().unwrap()["status"], "active");
    assert_eq!(suspended.after.as_ref().unwrap()["status"], "suspended");
    update(&mut cast, id, r#"{"status":"active"}"#).await.unwrap();
    assert_eq!(cast.store.event_kinds()[3..], ["user.reinstated"]);
    update(&mut cast, id, r#"{"status":"active"}"#).await.unwrap();
    assert_eq!(cast.store.events().len(), 4, "nothing changed");
}

#[tokio::test]
async fn nobody_changes_their_own_rank_and_one_super_admin_remains() {
    let mut cast = cast();
    let root = cast.root.id;
    for json in [r#"{"role":"customer"}"#, r#"{"status":"suspended"}"#] {
        assert_eq!(update(&mut cast, root, json).await.unwrap_err().code(), "own_account");
    }
    update(&mut cast, root, r#"{"role":"super_admin","company":"Portico"}"#).await.unwrap();
    let (env, scope) = (cast.store.env(), cast.scope.clone());
    let error = Accounts::new(&mut cast.store, &scope, &env).delete(root).await.unwrap_err();
    assert_eq!(error.code(), "last_super_admin");
    let other = cast.store.user_with_role("other@example.com", PlatformRole::SuperAdmin);
    update(&mut cast, other.id, r#"{"role":"staff"}"#).await.unwrap();
}

#[tokio::test]
async fn a_super_admin_who_has_just_been_demoted_demotes_nobody() {
    let mut cast = cast();
    let other = cast.store.user_with_role("other@example.com", PlatformRole::SuperAdmin);
    update(&mut cast, other.id, r#"{"role":"customer"}"#).await.unwrap();
    cast.scope = cast.store.looking_after(&other);
    let root = cast.root.id;
    assert_eq!(update(&mut cast, root, r#"{"role":"customer"}"#).await.unwrap_err().code(), "forbidden");
}

#[tokio::test]
async fn others_see_only_themselves() {
    let mut cast = cast();
    let eve = cast.store.user("eve@example.com", true);
    cast.scope = cast.store.signed_in(&eve);
    let (env, scope, ada) = (cast.store.env(), cast.scope.clone(), cast.ada.id);
    let mut accounts = Accounts::new(&mut cast.store, &scope, &env);
    assert_eq!(accounts.read(eve.id).await.unwrap().id, eve.id);
    for error in [
        accounts.read(ada).await.unwrap_err(),
        accounts.delete(ada).await.unwrap_err(),
        accounts.update(ada, UserUpdate::default(), None).await.unwrap_err(),
        accounts.erase(ada).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "not_found");
    }
    assert_eq!(accounts.set_password(ada, hash("x")).await.unwrap_err().code(), "forbidden");
    let list = accounts.list(UserFilter::default(), UserOrder::default(), PageRequest::default()).await;
    assert_eq!(list.unwrap_err().code(), "forbidden");
    for json in [r#"{"role":"customer"}"#, r#"{"status":"active"}"#] {
        assert_eq!(update(&mut cast, eve.id, json).await.unwrap_err().code(), "forbidden");
    }
    update(&mut cast, eve.id, r#"{"company":"Eve's"}"#).await.unwrap();
}

#[tokio::test]
async fn deleting_oneself_wants_a_fresh_proof() {
    let mut cast = cast();
    cast.scope = cast.store.signed_in(&cast.ada);
    cast.store.pass(time::Duration::minutes(11));
    let (env, scope, ada) = (cast.store.env(), cast.scope.clone(), cast.ada.id);
    let error = Accounts::new(&mut cast.store, &scope, &env).delete(ada).await.unwrap_err();
    assert_eq!(error.code(), "reauthentication_required");
    cast.scope = cast.store.signed_in(&cast.ada);
    let scope = cast.scope.clone();
    let user = Accounts::new(&mut cast.store, &scope, &env).delete(ada).await.unwrap();
    assert_eq!(user.status, UserStatus::Deleted);
    let error = Accounts::new(&mut cast.store, &scope, &env).delete(ada).await.unwrap_err();
    assert!(matches!(error.code(), "not_found" | "unauthenticated"), "{error}");
}

#[tokio::test]
async fn a_password_set_by_the_operator_signs_out_everywhere() {
    let mut cast = cast();
    let session = cast.store.session(&cast.ada).id;
    let (env, scope, ada, root) = (cast.store.env(), cast.scope.clone(), cast.ada.id, cast.root.id);
    let mut accounts = Accounts::new(&mut cast.store, &scope, &env);
    accounts.set_password(ada, hash("new")).await.unwrap();
    assert_eq!(accounts.set_password(root, hash("new")).await.unwrap_err().code(), "own_account");
    assert_eq!(cast.store.credential(ada).password, Some(hash("new")));
    assert!(!cast.store.is_running(session));
    assert_eq!(cast.store.event_kinds(), ["session.ended", "user.password_changed"]);
}

#[tokio::test]
async fn an_account_is_made_unless_its_address_is_proven() {
    let mut cast = cast();
    let (env, scope) = (cast.store.env(), cast.scope.clone());
    let new = |email: &str| NewUser { email: email.into(), full_name: " New ".into(), ..NewUser::default() };
    let valid = async |email: &str| new(email).validate(&PasswordRule::default()).await.unwrap();
    let mut accounts = Accounts::new(&mut cast.store, &scope, &env);
    let error = accounts.make(valid("ada@example.com").await, None).await.unwrap_err();
    assert_eq!(error.code(), "email_taken");
    let user = accounts.make(valid("new@example.com").await, None).await.unwrap();
    assert_eq!((user.email_verified, user.full_name.as_str()), (false, "New"));
    let bad = NewUser { phone: Some("x".into()), password: Some("short".into()), ..NewUser::default() };
    let Err(IdentityError::Invalid(errors)) = bad.validate(&PasswordRule::default()).await else { panic!() };
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields[..3], ["email", "fullName", "phone"]);
    assert!(fields[3..].iter().all(|field| *field == "password") && fields.len() > 3);
}

#[tokio::test]
async fn losing_a_role_ends_what_was_done_in_the_name_of_others() {
    let mut cast = cast();
    let staff = cast.store.user_with_role("staff@example.com", PlatformRole::Staff);
    let scope = cast.store.looking_after(&staff);
    let env = cast.store.env();
    let ada = cast.ada.id;
    let acting = Accounts::new(&mut cast.store, &scope, &env).impersonate(ada, "Ticket 4711").await.unwrap();
    assert!(cast.store.is_running(acting.session.id));
    update(&mut cast, staff.id, r#"{"role":"customer"}"#).await.unwrap();
    assert!(!cast.store.is_running(acting.session.id));
    let ended = cast.store.events().last().unwrap();
    assert_eq!(ended.after.as_ref().unwrap()["userId"], ada.to_string());
    assert_eq!(ended.after.as_ref().unwrap()["reason"], "impersonator_left");
}
