use portico_kernel::PageRequest;

use super::*;
use crate::{
    check::{FileRequest, KeyHolders, LicenseCheck, LicensedMachine, NewActivation, VerdictCode},
    license::{License, Move},
    owned::Licenses,
    testing::{Repositories, Signer, env, license, vault},
};

/// A license with two floating seats, and the text of its key.
fn shop(env: &Env) -> (Repositories, License, String) {
    let repositories = Repositories::seeded();
    let mut license = License { activation_limit: Some(2), ..license(env) };
    license.terms.lease_seconds = Some(600);
    let key = vault().open(license.id, &license.key).unwrap().as_str().to_owned();
    repositories.rows().licenses.push(license.clone());
    (repositories, license, key)
}

fn product() -> Scope {
    Scope::anonymous(RequestInfo::default())
}

fn machine(key: &str, fingerprint: &str) -> NewActivation {
    NewActivation { key: key.to_owned(), fingerprint: fingerprint.to_owned(), ..NewActivation::default() }
}

fn of(key: &str, fingerprint: &str) -> LicensedMachine {
    LicensedMachine { key: key.to_owned(), fingerprint: fingerprint.to_owned() }
}

/// As if the machine had not been heard of since.
fn silence(repositories: &Repositories, env: &Env, fingerprint: &str) {
    let mut rows = repositories.rows();
    let silent = rows.activations.iter_mut().find(|machine| machine.fingerprint == fingerprint).unwrap();
    silent.lease_ends_at = Some(env.now());
}

async fn validated(holders: &mut KeyHolders<'_>, key: &str, fingerprint: &str) -> VerdictCode {
    let fingerprint = Some(fingerprint.to_owned());
    let check = LicenseCheck { key: key.to_owned(), fingerprint, ..LicenseCheck::default() };
    let verdict = holders.validate(&check).await.unwrap();
    assert_eq!(verdict.activation.is_some(), verdict.valid, "those that hold a seat are told");
    verdict.code
}

#[tokio::test]
async fn a_seat_is_free_when_its_lease_is_over_and_is_taken_again_by_the_same_machine() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, license, key) = shop(&env);
    let seen = repositories.clone();
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    let (first, _) = holders.activate(&machine(&key, "f1")).await.unwrap();
    assert_eq!(first.lease_ends_at, Some(env.now() + Duration::minutes(10)));
    holders.activate(&machine(&key, "f2")).await.unwrap();
    let refused = holders.activate(&machine(&key, "f3")).await;
    assert!(matches!(refused, Err(LicensingError::TooManyActivations { limit: 2 })), "{refused:?}");

    silence(&seen, &env, "f1");
    assert_eq!(validated(&mut holders, &key, "f1").await, VerdictCode::LeaseExpired);
    assert!(holders.activate(&machine(&key, "f3")).await.unwrap().1, "nobody had to free it");
    assert_eq!(validated(&mut holders, &key, "f1").await, VerdictCode::NoSeat);
    let heard = holders.heartbeat(&of(&key, "f1")).await.unwrap();
    assert_eq!((heard.code, heard.license.activations, heard.activation), (VerdictCode::NoSeat, 2, None));
    let refused = holders.activate(&machine(&key, "f1")).await;
    assert!(matches!(refused, Err(LicensingError::TooManyActivations { .. })), "{refused:?}");

    silence(&seen, &env, "f2");
    let heard = holders.heartbeat(&of(&key, "f1")).await.unwrap();
    let again = heard.activation.unwrap();
    assert_eq!((heard.code, again.id), (VerdictCode::Valid, first.id), "the same activation");
    assert_eq!(again.lease_ends_at, first.lease_ends_at);
    assert_eq!(validated(&mut holders, &key, "f2").await, VerdictCode::NoSeat);
    // What may not be used takes no seat.
    silence(&seen, &env, "f3");
    seen.rows().licenses = vec![license.after(Move::Suspend)];
    assert_eq!(holders.heartbeat(&of(&key, "f2")).await.unwrap().code, VerdictCode::Suspended);
    assert_eq!(seen.rows().activations.iter().filter(|machine| machine.holds_seat(env.now())).count(), 1);
}

#[tokio::test]
async fn the_end_of_a_lease_is_noted_once_and_the_next_seat_of_the_machine_too() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, license, key) = shop(&env);
    let seen = repositories.clone();
    for fingerprint in ["f1", "f2"] {
        let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
        holders.activate(&machine(&key, fingerprint)).await.unwrap();
    }
    silence(&seen, &env, "f1");
    for _ in 0..2 {
        assert!(LeaseEnds::new(&mut repositories, &env).note().await.unwrap());
    }
    assert_eq!(seen.events(), ["license.activated", "license.activated", "license.lease_ended"]);
    let event = seen.rows().events.remove(2);
    assert_eq!((event.tenant, &event.before.unwrap()["fingerprint"]), (license.tenant_id, &"f1".into()));
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    assert_eq!(validated(&mut holders, &key, "f1").await, VerdictCode::LeaseExpired, "as before");
    holders.heartbeat(&of(&key, "f1")).await.unwrap();
    holders.heartbeat(&of(&key, "f1")).await.unwrap();
    assert_eq!(seen.events(), ["license.activated"; 3], "it has taken a seat again");

    // One that does not come back for a week is forgotten.
    silence(&seen, &env, "f1");
    LeaseEnds::new(&mut repositories, &env).note().await.unwrap();
    assert_eq!(seen.rows().activations.len(), 2);
    seen.rows().activations[0].lease_ends_at = Some(env.now() - Duration::WEEK);
    LeaseEnds::new(&mut repositories, &env).note().await.unwrap();
    let names: Vec<String> = seen.rows().activations.iter().map(|one| one.fingerprint.clone()).collect();
    assert_eq!(names, ["f2"]);
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    assert_eq!(validated(&mut holders, &key, "f1").await, VerdictCode::NotActivated);
}

#[tokio::test]
async fn a_machine_with_a_file_holds_its_seat_until_the_file_ends() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, _, key) = shop(&env);
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    let request = FileRequest { key: key.clone(), fingerprint: "f1".to_owned(), ttl: Some(7200) };
    let made = holders.file(&request, Some(&Signer)).await.unwrap();
    let heard = holders.heartbeat(&of(&key, "f1")).await.unwrap();
    assert_eq!(heard.activation.unwrap().lease_ends_at, Some(made.expires_at), "no heartbeat shortens it");
}

#[tokio::test]
async fn ends_of_leases_are_not_among_the_seats_that_an_owner_frees() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, license, key) = shop(&env);
    let seen = repositories.clone();
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    let (over, _) = holders.activate(&machine(&key, "f1")).await.unwrap();
    let (held, _) = holders.activate(&machine(&key, "f2")).await.unwrap();
    silence(&seen, &env, "f1");
    let owner = Scope::system(Some(license.tenant_id), RequestInfo::default());
    let mut licenses = Licenses::new(&mut repositories, &owner, &env, &vault);
    let listed = licenses.activations(license.id, PageRequest::default()).await.unwrap();
    assert_eq!((listed.total, listed.items[0].id), (1, held.id));
    assert_eq!(licenses.get(license.id).await.unwrap().activations, 1);
    licenses.free_seat(license.id, over.id).await.unwrap();
    assert_eq!(seen.rows().licenses[0].releases.count, 0);
    licenses.free_seat(license.id, held.id).await.unwrap();
    assert_eq!(seen.rows().licenses[0].releases.count, 1);
}
