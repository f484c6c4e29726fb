//! Erasing, on repositories in memory.

use portico_kernel::{RequestInfo, Resource};
use serde_json::json;

use super::*;
use crate::fixture::Store;

fn traits() -> Traits {
    let mut traits = Traits::default();
    traits.learn(&json!({
        "email": "Ada@example.com", "emailVerified": true, "fullName": "Ada Lovelace", "phone": "+44 20 7946 0018",
        "company": "Engines", "address": "1 Main Street", "notes": null,
    }));
    traits.learn(&json!({"email": "old@example.com", "emailVerified": false, "fullName": "Al"}));
    traits.learn(&json!({"email": ERASED, "fullName": ERASED}));
    traits
}

#[test]
fn finds_a_person_by_what_is_known_of_them() {
    let traits = traits();
    for text in [
        "ADA@example.com",
        "mail to ada@example.com!",
        "Ada Lovelace's shop",
        "ada-lovelace-x7k2m1",
        "call +44 20 7946 0018",
        "1 main street",
        "al",
        "engines",
    ] {
        assert!(traits.identifies(text), "{text}");
    }
    for text in ["Alabama", "Engines of war", "nada@example.org", "", ERASED] {
        assert!(!traits.identifies(text), "{text}");
    }
    assert_eq!(traits.proven(), [EmailAddress::trusted("ada@example.com".into())]);
    assert_eq!(traits.claimed(), [EmailAddress::trusted("old@example.com".into())]);
}

#[test]
fn an_entry_stays_without_what_it_says_about_the_person() {
    let (store, traits) = (Store::default(), traits());
    let env = store.env();
    let (user, other): (UserId, UserId) = (env.new_id(), env.new_id());
    let request = RequestInfo {
        id: "r".into(),
        address: Some("192.0.2.1".into()),
        user_agent: Some("Browser".into()),
        ..RequestInfo::default()
    };
    let scope = portico_kernel::Scope::anonymous(request);
    let about = |kind: &'static str, id| {
        let mut event = Event::new(&env, &scope, portico_kernel::EventDeclaration::named(kind), id);
        event.actor_kind = ActorKind::User;
        event
    };

    // By an admin, about the person: the admin's address stays.
    let mut event =
        about("user.updated", user.uuid()).after(&json!({"id": user, "language": "es", "phone": null}));
    event.actor_id = Some(other.uuid());
    let redacted = traits.redacted(user, &event).unwrap();
    assert_eq!(redacted.after, Some(json!({"id": user, "language": ERASED, "phone": null})));
    assert_eq!(redacted.address, event.address);
    assert_eq!(traits.redacted(user, &redacted), None, "once is enough");

    // By the person, about something else.
    let mut event =
        about("tenant.created", other.uuid()).after(&json!({"name": "Ada Lovelace", "plan": "free"}));
    event.actor_id = Some(user.uuid());
    let redacted = traits.redacted(user, &event).unwrap();
    assert_eq!(redacted.after, Some(json!({"name": ERASED, "plan": "free"})));
    assert_eq!((redacted.address.as_deref(), redacted.user_agent.as_deref()), (Some(ERASED), Some(ERASED)));
    assert_eq!((redacted.id, redacted.actor_id, redacted.at), (event.id, event.actor_id, event.at));

    // By an impersonator as the person: the device is that of staff.
    event.impersonator_id = Some(other.uuid());
    event.after = None;
    assert_eq!(traits.redacted(user, &event), None);
    assert_eq!(traits.redacted(other, &event).unwrap().address.as_deref(), Some(ERASED));

    // A failed sign-in, and one's own session.
    let mut event = about("session.sign_in_failed", user.uuid());
    event.resource = Resource { kind: "user".into(), id: user.uuid() };
    event.actor_kind = ActorKind::Anonymous;
    assert_eq!(traits.redacted(user, &event).unwrap().address.as_deref(), Some(ERASED));
    let mut event =
        about("session.started", other.uuid()).after(&json!({"userAgent": "Browser", "current": false}));
    event.actor_id = Some(user.uuid());
    let redacted = traits.redacted(user, &event).unwrap();
    assert_eq!(redacted.after, Some(json!({"userAgent": ERASED, "current": false})));
}

#[tokio::test]
async fn an_erased_account_is_empty_and_its_log_too() {
    let mut store = Store::default();
    let ada = store.user("ada@example.com", true);
    let scope = store.signed_in(&ada);
    let env = store.env();
    let erased = Accounts::new(&mut store, &scope, &env).erase(ada.id).await.unwrap().unwrap();
    assert!(erased.is_erased());
    assert_eq!((erased.full_name.as_str(), erased.status), (ERASED_NAME, UserStatus::Deleted));
    assert_eq!(store.credential(ada.id).password, None);

    let system = store.system();
    let mut accounts = Accounts::new(&mut store, &system, &env);
    let traits = accounts.traits(ada.id).await.unwrap();
    for about in [false, true] {
        let mut after = None;
        while let Some(last) = accounts.redact_traces(ada.id, &traits, about, after).await.unwrap() {
            after = Some(last);
        }
    }
    accounts.forget_addresses(&traits).await.unwrap();
    assert_eq!(store.forgotten(), [(ada.email.clone(), true)]);
    let log = format!("{:?}", store.events());
    assert!(!log.contains("ada@example.com") && !log.contains("Ada Lovelace"), "{log}");
    assert_eq!(store.event_kinds(), ["session.ended", "user.erased"]);
}

#[tokio::test]
async fn only_portico_itself_goes_through_the_log() {
    let mut store = Store::default();
    let ada = store.user("ada@example.com", true);
    let (scope, env) = (store.signed_in(&ada), store.env());
    let mut accounts = Accounts::new(&mut store, &scope, &env);
    assert!(accounts.traits(ada.id).await.is_err());
    assert!(accounts.redact_traces(ada.id, &Traits::default(), true, None).await.is_err());
    assert!(accounts.forget_addresses(&traits()).await.is_err());
}
