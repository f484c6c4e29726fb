use portico_kernel::{Fault, Kind, RequestInfo};
use time::Duration;

use super::*;
use crate::{
    license::Move,
    policy::LicenseTerms,
    testing::{Repositories, Signer, env, license, vault},
};

/// A shop with a license, and the text of its key.
fn shop(env: &Env) -> (Repositories, License, String) {
    let repositories = Repositories::seeded();
    let license = license(env);
    let key = vault().open(license.id, &license.key).unwrap().as_str().to_owned();
    repositories.rows().licenses.push(license.clone());
    (repositories, license, key)
}

fn product() -> Scope {
    let request = RequestInfo { address: Some("192.0.2.7".to_owned()), ..RequestInfo::default() };
    Scope::anonymous(request)
}

fn machine(key: &str, fingerprint: &str) -> NewActivation {
    NewActivation { key: key.to_owned(), fingerprint: fingerprint.to_owned(), ..NewActivation::default() }
}

fn of(key: &str, fingerprint: &str) -> LicensedMachine {
    LicensedMachine { key: key.to_owned(), fingerprint: fingerprint.to_owned() }
}

#[tokio::test]
async fn three_seats_are_taken_freed_and_taken_again() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, license, key) = shop(&env);
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    for fingerprint in ["f1", "f2", "f3"] {
        let (machine, is_new) = holders.activate(&machine(&key, fingerprint)).await.unwrap();
        assert_eq!((machine.fingerprint.as_str(), machine.ip.as_deref()), (fingerprint, Some("192.0.2.7")));
        assert!(is_new);
    }
    let again = NewActivation { name: Some("Caja".to_owned()), ..machine(&key.to_lowercase(), " f1 ") };
    let (known, is_new) = holders.activate(&again).await.unwrap();
    assert_eq!((known.name.as_deref(), is_new), (Some("Caja"), false));
    let refused = holders.activate(&machine(&key, "f4")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Conflict, "too_many_activations"));
    assert_eq!(refused.members(), [("limit", 3.into())]);
    for _ in 0..2 {
        holders.deactivate(&of(&key, "f2")).await.unwrap();
    }
    assert!(holders.activate(&machine(&key, "f4")).await.unwrap().1);
    let kinds = repositories.events();
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert_eq!((count("license.activated"), count("license.deactivated")), (4, 1));
    assert!(repositories.rows().events.iter().all(|event| event.tenant == license.tenant_id));
}

#[tokio::test]
async fn a_machine_is_found_by_its_seat_with_the_key_only() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, _, key) = shop(&env);
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    let (taken, _) = holders.activate(&machine(&key, "f1")).await.unwrap();
    assert_eq!(holders.machine_of(&key.to_lowercase(), taken.id).await.unwrap(), taken);
    let unknown = holders.machine_of(&key, env.new_id()).await;
    assert!(matches!(unknown, Err(LicensingError::NoActivation)));
    let nobodys = holders.machine_of("0000-0000-0000-0000", taken.id).await;
    assert!(matches!(nobodys, Err(LicensingError::NoLicense)));
    assert!(matches!(holders.machine_of("", taken.id).await, Err(LicensingError::Invalid(_))));
}

#[tokio::test]
async fn every_reason_has_its_code() {
    let (env, vault, scope) = (env(), vault(), product());
    let over = Some(env.now() - Duration::SECOND);
    let plain = LicenseCheck::default();
    let named =
        |fingerprint: &str| LicenseCheck { fingerprint: Some(fingerprint.to_owned()), ..plain.clone() };
    let other = LicenseCheck { product_type: Some("other".to_owned()), ..plain.clone() };
    let right = LicenseCheck { product_type: Some("base_product".to_owned()), ..named("f1") };
    let change = |by: Move| move |license: License| license.after(by);
    let same = |license: License| license;
    type Change<'a> = &'a dyn Fn(License) -> License;
    let expire = |license: License| License { expires_at: over, ..license };
    let cases: [(Change<'_>, &LicenseCheck, VerdictCode); 8] = [
        (&same, &plain, VerdictCode::Valid),
        (&same, &right, VerdictCode::Valid),
        (&same, &named("f2"), VerdictCode::NotActivated),
        (&same, &other, VerdictCode::ProductMismatch),
        (&change(Move::Suspend), &right, VerdictCode::Suspended),
        (&change(Move::Dispute), &named("f2"), VerdictCode::Suspended),
        (&expire, &right, VerdictCode::Expired),
        (&change(Move::Revoke), &plain, VerdictCode::Revoked),
    ];
    for (change, check, code) in cases {
        let (mut repositories, license, key) = shop(&env);
        let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
        holders.activate(&machine(&key, "f1")).await.unwrap();
        repositories.rows().licenses = vec![change(license)];
        let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
        let verdict = holders.validate(&LicenseCheck { key: key.clone(), ..check.clone() }).await.unwrap();
        assert_eq!((verdict.code, verdict.valid), (code, code == VerdictCode::Valid), "{check:?}");
        assert_eq!(verdict.license.activations, 1);
        assert_eq!(verdict.activation.is_some(), check.fingerprint.as_deref() == Some("f1"));
        let text = serde_json::to_string(&verdict).unwrap();
        assert!(!text.contains(&key) && !text.contains("purchaseId"), "{text}");
        let heard = holders.heartbeat(&of(&key, "f1")).await.unwrap();
        assert_eq!(
            heard.valid,
            matches!(code, VerdictCode::Valid | VerdictCode::NotActivated | VerdictCode::ProductMismatch)
        );
        // What is not valid takes no seat and gets no file.
        let request = FileRequest { key: key.clone(), fingerprint: "f1".to_owned(), ttl: None };
        let made = holders.file(&request, Some(&Signer)).await;
        assert_eq!(made.is_ok(), heard.valid, "{made:?}");
        let refused = holders.activate(&machine(&key, "f9")).await;
        assert_eq!(refused.is_ok(), heard.valid, "{refused:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_nobodys_is_not_told_from_what_is_no_key() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, ..) = shop(&env);
    for unknown in ["0000-0000-0000-0000", "x", "ÄÖÜ", "7K2M-9QXD-4T0B-HZ5R-7K2M", "' or 1 = 1 --"] {
        let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
        let check = LicenseCheck { key: unknown.to_owned(), ..LicenseCheck::default() };
        let file = FileRequest { key: unknown.to_owned(), fingerprint: "f".to_owned(), ttl: Some(1) };
        for refused in [
            holders.validate(&check).await.err(),
            holders.activate(&machine(unknown, "f1")).await.err(),
            holders.deactivate(&of(unknown, "f1")).await.err(),
            holders.heartbeat(&of(unknown, "f1")).await.err(),
            holders.file(&file, Some(&Signer)).await.err(),
        ] {
            assert!(matches!(refused, Some(LicensingError::NoLicense)), "{unknown}: {refused:?}");
        }
    }
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    for (check, field) in [
        (LicenseCheck::default(), "key"),
        (LicenseCheck { key: "k".repeat(201), ..LicenseCheck::default() }, "key"),
        (
            LicenseCheck { key: "k".to_owned(), fingerprint: Some(String::new()), ..LicenseCheck::default() },
            "fingerprint",
        ),
    ] {
        let refused = holders.validate(&check).await.unwrap_err();
        assert_eq!(refused.fields()[0].field, field, "{check:?}");
    }
    assert!(repositories.events().is_empty());
}

#[tokio::test]
async fn a_file_takes_a_seat_and_is_noted_and_not_every_license_has_one() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, license, key) = shop(&env);
    let request = |ttl| FileRequest { key: key.clone(), fingerprint: "f1".to_owned(), ttl };
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    let made = holders.file(&request(None), Some(&Signer)).await.unwrap();
    assert_eq!(made.expires_at, env.now() + Duration::days(30));
    holders.file(&request(Some(3600)), Some(&Signer)).await.unwrap();
    assert!(matches!(holders.file(&request(Some(1)), Some(&Signer)).await, Err(LicensingError::Invalid(_))));
    assert!(matches!(holders.file(&request(None), None).await, Err(LicensingError::FilesUnavailable)));
    let machines = repositories.rows().activations.clone();
    assert_eq!(
        (machines.len(), machines[0].offline_until),
        (1, Some(made.expires_at)),
        "the longer one counts"
    );
    assert_eq!(repositories.events(), ["license.activated", "license.file_issued", "license.file_issued"]);
    let terms = LicenseTerms { offline: false, ..license.terms.clone() };
    repositories.rows().licenses = vec![License { terms, ..license }];
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    assert!(matches!(
        holders.file(&request(None), Some(&Signer)).await,
        Err(LicensingError::OfflineNotAllowed)
    ));
}

#[tokio::test]
async fn a_machine_that_goes_on_with_a_file_is_freed_as_often_as_an_owner_frees_one() {
    let (env, vault, scope) = (env(), vault(), product());
    let (mut repositories, _, key) = shop(&env);
    for number in 0..7 {
        let fingerprint = format!("f{number}");
        let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
        let request = FileRequest { key: key.clone(), fingerprint: fingerprint.clone(), ttl: Some(3600) };
        holders.file(&request, Some(&Signer)).await.unwrap();
        let freed = holders.deactivate(&of(&key, &fingerprint)).await;
        match number < 5 {
            true => freed.unwrap(),
            false => assert!(matches!(freed, Err(LicensingError::TooManyReleases { limit: 5 })), "{freed:?}"),
        }
    }
    assert_eq!(repositories.rows().activations.len(), 2, "those keep their seats");
    assert_eq!(repositories.rows().licenses[0].releases.count, 5);
    // One whose file is over, and one that had none, are not counted.
    repositories.rows().activations[0].offline_until = Some(env.now());
    repositories.rows().activations[1].offline_until = None;
    let mut holders = KeyHolders::new(&mut repositories, &scope, &env, &vault);
    for fingerprint in ["f5", "f6"] {
        holders.deactivate(&of(&key, fingerprint)).await.unwrap();
    }
    assert!(repositories.rows().activations.is_empty());
    assert_eq!(repositories.rows().licenses[0].releases.count, 5);
}
