use portico_kernel::RequestInfo;
use time::Duration;

use super::*;
use crate::{
    license::LicenseStatus,
    testing::{Repositories, env, license, vault},
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
    assert_eq!(licenses.list(page).await.unwrap().items, [shown.clone()]);
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
