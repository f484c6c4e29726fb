use portico_kernel::RequestInfo;
use time::Duration;

use super::*;
use crate::{
    license::LicenseStatus,
    testing::{Repositories, Signer, activation, env, license, vault},
};

fn of(license: &License) -> Scope {
    Scope::system(Some(license.tenant_id), RequestInfo::default())
}

#[tokio::test]
async fn an_owner_sees_the_key_and_nobody_else_sees_the_license() {
    let (env, vault) = (env(), vault());
    let mut repositories = Repositories::seeded();
    let stored = License { expires_at: Some(env.now() - Duration::SECOND), ..license(&env) };
    repositories.rows().licenses.push(stored.clone());
    let owner = of(&stored);
    let mut licenses = Licenses::new(&mut repositories, &owner, &env, &vault);
    let shown = licenses.get(stored.id).await.unwrap();
    assert_eq!(shown.key, vault.open(stored.id, &stored.key).unwrap());
    assert_eq!(shown.license.status, LicenseStatus::Expired, "by the clock, before it is stored");
    let page = PageRequest::default();
    assert_eq!(licenses.list(page).await.unwrap().items, std::slice::from_ref(&shown));
    assert_eq!(licenses.activations(stored.id, page).await.unwrap().total, 0);
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(
        (&json["id"], json["key"].as_str()),
        (&serde_json::to_value(stored.id).unwrap(), Some(shown.key.as_str()))
    );

    let stranger = of(&license(&env));
    let mut licenses = Licenses::new(&mut repositories, &stranger, &env, &vault);
    assert!(matches!(licenses.get(stored.id).await, Err(LicensingError::NoLicense)));
    assert!(matches!(licenses.activations(stored.id, page).await, Err(LicensingError::NoLicense)));
    assert_eq!(licenses.list(page).await.unwrap().total, 0);
    let anonymous = Scope::anonymous(RequestInfo::default());
    let mut licenses = Licenses::new(&mut repositories, &anonymous, &env, &vault);
    assert!(matches!(licenses.list(page).await, Err(LicensingError::Denied(_))));
}

#[tokio::test]
async fn seats_are_freed_as_often_in_a_month_as_the_license_allows() {
    let (env, vault) = (env(), vault());
    let mut repositories = Repositories::seeded();
    let mut stored = license(&env);
    stored.terms.releases_per_month = 2;
    repositories.rows().licenses.push(stored.clone());
    let machines: Vec<_> = ["f1", "f2", "f3"].map(|name| activation(&env, &stored, name)).into();
    repositories.rows().activations = machines.clone();
    let owner = of(&stored);
    let mut licenses = Licenses::new(&mut repositories, &owner, &env, &vault);
    licenses.free_seat(stored.id, machines[0].id).await.unwrap();
    let again = licenses.free_seat(stored.id, machines[0].id).await;
    assert!(matches!(again, Err(LicensingError::NoActivation)), "and it does not count");
    licenses.free_seat(stored.id, machines[1].id).await.unwrap();
    let refused = licenses.free_seat(stored.id, machines[2].id).await;
    assert!(matches!(refused, Err(LicensingError::TooManyReleases { limit: 2 })), "{refused:?}");
    assert_eq!(repositories.events(), ["license.deactivated"; 2]);
    let stranger = of(&license(&env));
    let mut licenses = Licenses::new(&mut repositories, &stranger, &env, &vault);
    let foreign = licenses.free_seat(stored.id, machines[2].id).await;
    assert!(matches!(foreign, Err(LicensingError::NoLicense)));
}

#[tokio::test]
async fn a_new_key_finds_the_license_and_the_old_one_nothing() {
    let (env, vault) = (env(), vault());
    let mut repositories = Repositories::seeded();
    let stored = license(&env);
    repositories.rows().licenses.push(stored.clone());
    repositories.rows().activations.push(activation(&env, &stored, "f1"));
    let owner = of(&stored);
    let mut licenses = Licenses::new(&mut repositories, &owner, &env, &vault);
    let before = licenses.get(stored.id).await.unwrap().key;
    let rotated = licenses.rotate_key(stored.id).await.unwrap();
    assert_ne!(rotated.key, before);
    assert_eq!((rotated.activations, licenses.get(stored.id).await.unwrap().key), (1, rotated.key.clone()));
    let mut found = repositories.clone();
    let mut owner_of = async |key: &LicenseKey| {
        use crate::ports::LicenseRepository;
        found.owner_of(&vault.digests_of(key.as_str())).await.unwrap()
    };
    assert_eq!(owner_of(&rotated.key).await, Some((stored.tenant_id, stored.id)));
    assert_eq!(owner_of(&before).await, None);
    assert_eq!(repositories.events(), ["license.key_rotated"]);
    let event = repositories.rows().events.remove(0);
    let text = event.after.unwrap().to_string();
    assert!(!text.contains(rotated.key.as_str()) && !text.contains(before.as_str()));
    repositories.rows().licenses[0].status = LicenseStatus::Revoked;
    let mut licenses = Licenses::new(&mut repositories, &owner, &env, &vault);
    assert!(matches!(licenses.rotate_key(stored.id).await, Err(LicensingError::Revoked)));
}

#[tokio::test]
async fn an_owner_gets_a_file_for_a_machine_without_a_connection() {
    let (env, vault) = (env(), vault());
    let mut repositories = Repositories::seeded();
    let stored = license(&env);
    repositories.rows().licenses.push(stored.clone());
    let owner = of(&stored);
    let mut licenses = Licenses::new(&mut repositories, &owner, &env, &vault);
    let wanted =
        OfflineMachine { fingerprint: "f1".to_owned(), name: Some("Press 4".to_owned()), ttl: Some(7200) };
    let made = licenses.file(stored.id, &wanted, Some(&Signer)).await.unwrap();
    assert_eq!(made.expires_at, env.now() + Duration::hours(2));
    let wrong = OfflineMachine { ttl: Some(1), ..OfflineMachine::default() };
    let refused = licenses.file(stored.id, &wrong, Some(&Signer)).await.unwrap_err();
    let LicensingError::Invalid(errors) = refused else { panic!("{refused:?}") };
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["fingerprint", "ttl"]);
    assert_eq!(repositories.rows().activations[0].name.as_deref(), Some("Press 4"));
    let anonymous = Scope::anonymous(RequestInfo::default());
    let mut licenses = Licenses::new(&mut repositories, &anonymous, &env, &vault);
    assert!(matches!(licenses.file(stored.id, &wanted, Some(&Signer)).await, Err(LicensingError::Denied(_))));
}
