use portico_kernel::{Actor, Fault, Permissions, PlatformRole};

use super::*;
use crate::{
    administration::LicenseAdministration,
    issuing::{Entitlement, Issuance, LicensedItem, LicensedPurchase},
    license::{LicenseStatus, SeatReleases},
    owned::Licenses,
    succession::LicensePlace,
    testing::{Repositories, activation, env, license, vault},
};

const BOB: &str = "bob@example.com";

/// A person in a tenant.
fn person(env: &Env, tenant: TenantId, email_verified: bool) -> Scope {
    let actor = Actor::User {
        id: env.new_id(),
        session: env.new_id(),
        email_verified,
        role: PlatformRole::Customer,
        impersonator: None,
    };
    let permissions = Permissions::from_list(&[Permission::LicensesRead, Permission::LicensesWrite]);
    Scope::user(actor, Some(tenant), permissions, RequestInfo::default())
}

fn accepting(token: &str) -> AcceptLicense {
    AcceptLicense { token: token.to_owned() }
}

/// A license with a machine, offered to Bob: the repositories, the license and the token.
async fn offered(env: &Env) -> (Repositories, License, String) {
    let mut repositories = Repositories::seeded();
    let license = license(env);
    repositories.rows().licenses.push(license.clone());
    repositories.rows().activations.push(activation(env, &license, "f1"));
    let scope = person(env, license.tenant_id, false);
    let vault = vault();
    let mut transfers = LicenseTransfers::new(&mut repositories, &scope, env, &vault);
    let made = transfers.offer(license.id, "Bob@Example.com").await.unwrap();
    assert_eq!(made.email, BOB);
    (repositories, license, made.token)
}

#[tokio::test]
async fn whoever_accepts_gets_a_new_license_and_the_old_one_ends() {
    let (env, vault) = (env(), vault());
    let (mut repositories, old, token) = offered(&env).await;
    let tenant = env.new_id();
    let scope = person(&env, tenant, true);
    let mut transfers = LicenseTransfers::new(&mut repositories, &scope, &env, &vault);
    let new = transfers.accept(&accepting(&token), BOB).await.unwrap();
    assert_eq!((new.license.tenant_id, new.license.status), (tenant, LicenseStatus::Active));
    assert!(new.license.id != old.id && new.license.key.digest != old.key.digest);
    assert_eq!(
        (new.license.activation_limit, new.license.supported_until, &new.license.terms),
        (old.activation_limit, old.supported_until, &old.terms)
    );
    assert_eq!(new.license.releases.count, 1, "all of its machines are gone");
    let again = transfers.accept(&accepting(&token), BOB).await;
    assert!(matches!(again, Err(LicensingError::NoTransfer)), "{again:?}");
    {
        let rows = repositories.rows();
        assert_eq!((rows.licenses[0].status, rows.activations.len()), (LicenseStatus::Revoked, 0));
        let told: Vec<_> = rows.events.iter().map(|event| (event.kind.to_string(), event.tenant)).collect();
        let expected = [
            ("license.transfer_offered", old.tenant_id),
            ("license.revoked", old.tenant_id),
            ("license.issued", tenant),
        ];
        assert_eq!(told, expected.map(|(kind, tenant)| (kind.to_owned(), tenant)));
        let text = rows.events.iter().map(|event| format!("{event:?}")).collect::<String>();
        assert!(!text.contains(&token) && !text.contains(BOB) && !text.contains(new.key.as_str()));
        assert_eq!(rows.events[1].actor_id, None);
    }
    let staff = Scope::system(None, RequestInfo::default());
    let mut administration = LicenseAdministration::new(&mut repositories, &staff, &env, &vault);
    let (given, heir) = (LicensePlace::of(&old), LicensePlace::of(&new.license));
    let ended = administration.get(given.tenant_id, given.license_id).await.unwrap();
    assert_eq!((ended.transferred_to, ended.transferred_from), (Some(heir), None));
    let follows = administration.get(heir.tenant_id, heir.license_id).await.unwrap();
    assert_eq!((follows.transferred_to, follows.transferred_from), (None, Some(given)));
    let owner = Scope::system(Some(old.tenant_id), RequestInfo::default());
    let mut licenses = Licenses::new(&mut repositories, &owner, &env, &vault);
    assert!(licenses.get(old.id).await.unwrap().transferred && !new.transferred);
}

#[tokio::test]
async fn a_token_is_of_no_use_to_anybody_else() {
    let (env, vault) = (env(), vault());
    let (mut repositories, old, token) = offered(&env).await;
    let tenant = env.new_id();
    let other = format!("{}_{}", old.id, env.secret());
    for (token, email) in [(token.as_str(), "eve@example.com"), (&other, BOB), ("x", BOB), ("x_y", BOB)] {
        let scope = person(&env, tenant, true);
        let mut transfers = LicenseTransfers::new(&mut repositories, &scope, &env, &vault);
        let refused = transfers.accept(&accepting(token), email).await;
        assert!(matches!(refused, Err(LicensingError::NoTransfer)), "{token} {email}");
    }
    let unproven = person(&env, tenant, false);
    let mut transfers = LicenseTransfers::new(&mut repositories, &unproven, &env, &vault);
    let refused = transfers.accept(&accepting(&token), BOB).await;
    assert!(matches!(refused, Err(LicensingError::Denied(_))));
    let own = person(&env, old.tenant_id, true);
    let mut transfers = LicenseTransfers::new(&mut repositories, &own, &env, &vault);
    let refused = transfers.accept(&accepting(&token), BOB).await.unwrap_err();
    assert_eq!(refused.fields()[0].code, "own_license");
    let refused = transfers.accept(&accepting(""), BOB).await.unwrap_err();
    assert_eq!(refused.fields()[0].field, "token");
    // A second offer ends the first one, and one that was taken back is none.
    let newest = transfers.offer(old.id, BOB).await.unwrap().token;
    for _ in 0..2 {
        transfers.withdraw(old.id).await.unwrap();
    }
    let scope = person(&env, tenant, true);
    let mut transfers = LicenseTransfers::new(&mut repositories, &scope, &env, &vault);
    for token in [&token, &newest] {
        let refused = transfers.accept(&accepting(token), BOB).await;
        assert!(matches!(refused, Err(LicensingError::NoTransfer)));
    }
    for refused in [transfers.offer(old.id, BOB).await.err(), transfers.withdraw(old.id).await.err()] {
        assert!(matches!(refused, Some(LicensingError::NoLicense)), "it is another tenant's");
    }
    let kinds = repositories.events();
    assert_eq!(kinds.iter().filter(|kind| *kind == "license.transfer_withdrawn").count(), 1);
    assert_eq!(repositories.rows().licenses[0].status, LicenseStatus::Active);
}

#[tokio::test]
async fn what_may_not_be_used_is_not_given_away_nor_more_often_than_seats_are_freed() {
    let (env, vault) = (env(), vault());
    let (mut repositories, old, token) = offered(&env).await;
    let scope = person(&env, env.new_id(), true);
    repositories.rows().licenses[0] = old.after(Move::Dispute);
    let mut transfers = LicenseTransfers::new(&mut repositories, &scope, &env, &vault);
    let refused = transfers.accept(&accepting(&token), BOB).await;
    assert!(matches!(refused, Err(LicensingError::Suspended)));
    let month = env.now().into_inner().date().replace_day(1).unwrap();
    let freed = SeatReleases { month: Some(month), count: old.terms.releases_per_month };
    repositories.rows().licenses[0] = License { releases: freed, ..old.clone() };
    let mut transfers = LicenseTransfers::new(&mut repositories, &scope, &env, &vault);
    let refused = transfers.accept(&accepting(&token), BOB).await;
    assert!(matches!(refused, Err(LicensingError::TooManyReleases { limit: 5 })));
    repositories.rows().licenses[0] = old.after(Move::Revoke);
    let giver = person(&env, old.tenant_id, true);
    let refused = LicenseTransfers::new(&mut repositories, &giver, &env, &vault).offer(old.id, BOB).await;
    assert!(matches!(refused, Err(LicensingError::Revoked)));
    // An offer that is over.
    repositories.rows().licenses[0] = old;
    repositories.rows().offers[0].expires_at = env.now();
    let mut transfers = LicenseTransfers::new(&mut repositories, &scope, &env, &vault);
    assert!(matches!(transfers.accept(&accepting(&token), BOB).await, Err(LicensingError::NoTransfer)));
}

#[tokio::test]
async fn a_license_that_was_given_away_twice_follows_its_purchase() {
    let (env, vault) = (env(), vault());
    let mut repositories = Repositories::seeded();
    let system = Scope::system(None, RequestInfo::default());
    let purchase = LicensedPurchase {
        tenant_id: env.new_id(),
        purchase_id: env.new_id(),
        entitlement: Entitlement::Granted,
        items: vec![LicensedItem { product_type: "base_product".to_owned(), quantity: 1 }],
    };
    Issuance::new(&mut repositories, &system, &env, &vault).follow(&purchase).await.unwrap();
    let mut giver = purchase.tenant_id;
    for _ in 0..2 {
        let license = repositories.rows().licenses.last().unwrap().clone();
        let scope = person(&env, giver, true);
        let mut transfers = LicenseTransfers::new(&mut repositories, &scope, &env, &vault);
        let token = transfers.offer(license.id, BOB).await.unwrap().token;
        giver = env.new_id();
        let scope = person(&env, giver, true);
        let mut transfers = LicenseTransfers::new(&mut repositories, &scope, &env, &vault);
        transfers.accept(&accepting(&token), BOB).await.unwrap();
    }
    use LicenseStatus::{Active, Revoked, Suspended};
    for (entitlement, last) in [
        (Entitlement::Granted, Active),
        (Entitlement::Withheld, Suspended),
        (Entitlement::Granted, Active),
        (Entitlement::Withdrawn, Revoked),
        (Entitlement::Granted, Revoked),
    ] {
        let purchase = LicensedPurchase { entitlement, ..purchase.clone() };
        for _ in 0..2 {
            Issuance::new(&mut repositories, &system, &env, &vault).follow(&purchase).await.unwrap();
        }
        let statuses: Vec<_> = repositories.rows().licenses.iter().map(|license| license.status).collect();
        assert_eq!(statuses, [Revoked, Revoked, last], "{entitlement:?}");
    }
    let last = repositories.rows().events.last().unwrap().clone();
    assert_eq!((last.kind.as_ref(), last.tenant), ("license.revoked", giver));
}
