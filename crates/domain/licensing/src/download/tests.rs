use portico_kernel::{Fault, Kind, Permissions, PlatformRole, RequestInfo};

use super::*;
use crate::{
    license::Move,
    policy::LicenseTerms,
    testing::{Repositories, env, license, release},
};

fn member(env: &Env, tenant: TenantId) -> Scope {
    let actor = Actor::User {
        id: env.new_id(),
        session: env.new_id(),
        email_verified: true,
        role: PlatformRole::Customer,
        impersonator: None,
    };
    let request = RequestInfo { address: Some("192.0.2.7".to_owned()), ..RequestInfo::default() };
    Scope::user(actor, Some(tenant), Permissions::from_list(&[Permission::LicensesRead]), request)
}

#[test]
fn a_license_covers_by_product_version_channel_and_time() {
    let env = env();
    let (license, release) = (license(&env), release(&env, "software_v2", "2.0.0"));
    assert!(covers(&license, &release));
    let major = LicenseTerms { max_major: Some(1), ..license.terms.clone() };
    assert!(!covers(&License { terms: major, ..license.clone() }, &release));
    assert!(!covers(&license, &Release { channel: Channel::Beta, ..release.clone() }));
    let both = LicenseTerms { channels: Channel::ALL.to_vec(), ..license.terms.clone() };
    assert!(covers(
        &License { terms: both, ..license.clone() },
        &Release { channel: Channel::Beta, ..release.clone() }
    ));
    assert!(!covers(&License { product_type: "mug".to_owned(), ..license.clone() }, &release));
    let until = |time| License { supported_until: time, ..license.clone() };
    assert!(covers(&until(Some(env.now())), &release), "to the last moment");
    assert!(!covers(&until(Some(env.now() - Duration::SECOND)), &release));
    assert!(covers(&until(None), &release));
}

#[test]
fn the_reason_is_the_one_that_helps_most() {
    let env = env();
    let (active, release) = (license(&env), release(&env, "software_v2", "2.0.0"));
    let now = env.now();
    let suspended = active.after(Move::Suspend);
    let expired = License { expires_at: Some(now), ..active.clone() };
    let revoked = active.after(Move::Revoke);
    let other = License { product_type: "mug".to_owned(), ..active.clone() };
    let old = License { supported_until: Some(now - Duration::DAY), ..active.clone() };
    let reason = |licenses: &[&License]| {
        let licenses: Vec<License> = licenses.iter().map(|license| (*license).clone()).collect();
        license_for(&licenses, &release, now).err()
    };
    assert_eq!(reason(&[&revoked, &expired, &suspended, &old, &active]), None);
    assert_eq!(reason(&[&revoked, &expired, &suspended, &old]), Some(Unavailable::NotCovered));
    assert_eq!(reason(&[&revoked, &expired, &suspended]), Some(Unavailable::LicenseSuspended));
    assert_eq!(reason(&[&revoked, &expired]), Some(Unavailable::LicenseExpired));
    assert_eq!(reason(&[&revoked, &other]), Some(Unavailable::LicenseRevoked));
    assert_eq!(reason(&[&other]), Some(Unavailable::NoLicense));
    let gone = release.withdrawn("Loses settings", now);
    assert_eq!(license_for(&[active], &gone, now).err(), Some(Unavailable::Withdrawn));
}

#[tokio::test]
async fn a_customer_sees_what_is_offered_and_why_it_is_not_for_them() {
    let env = env();
    let mut repositories = Repositories::seeded();
    let license = license(&env);
    let beta = Release { channel: Channel::Beta, ..release(&env, "software_v3", "3.0.0-beta.1") };
    let draft =
        Release { released_at: None, status: ReleaseStatus::Draft, ..release(&env, "draft", "4.0.0") };
    repositories.rows().releases = vec![release(&env, "software_v2", "2.0.0"), beta, draft];
    repositories.rows().licenses.push(license.clone());
    let scope = member(&env, license.tenant_id);
    let mut downloads = Downloads::new(&mut repositories, &scope, &env);
    let list = downloads.list(None, PageRequest::default()).await.unwrap();
    let seen: Vec<_> =
        list.items.iter().map(|item| (item.id.as_str(), item.available, item.reason)).collect();
    assert_eq!(seen, [("software_v2", true, None), ("software_v3", false, Some(Unavailable::NotCovered))]);
    assert!(matches!(downloads.get("draft").await, Err(LicensingError::NoRelease)));
    assert!(matches!(downloads.link("draft", Duration::HOUR).await, Err(LicensingError::NoRelease)));
    let refused = downloads.link("software_v3", Duration::HOUR).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.members()),
        ("license_required", vec![("reason", "not_covered".into())])
    );
    assert_eq!(downloads.get("software_v2").await.unwrap().size, 1000);
    let stranger = member(&env, env.new_id());
    let mut downloads = Downloads::new(&mut repositories, &stranger, &env);
    let seen = downloads.get("software_v2").await.unwrap();
    assert_eq!((seen.available, seen.reason), (false, Some(Unavailable::NoLicense)));
    assert!(matches!(
        downloads.of_license(license.id, PageRequest::default()).await,
        Err(LicensingError::NoLicense)
    ));
    let nobody = Scope::anonymous(RequestInfo::default());
    let mut downloads = Downloads::new(&mut repositories, &nobody, &env);
    assert!(matches!(downloads.get("software_v2").await, Err(LicensingError::Denied(_))));
}

#[tokio::test]
async fn a_link_is_for_a_license_and_dies_with_it() {
    let env = env();
    let mut repositories = Repositories::seeded();
    let license = license(&env);
    repositories.rows().releases.push(release(&env, "software_v2", "2.0.0"));
    repositories.rows().licenses.push(license.clone());
    let scope = member(&env, license.tenant_id);
    let link =
        Downloads::new(&mut repositories, &scope, &env).link("software_v2", Duration::minutes(15)).await;
    let link = link.unwrap();
    assert_eq!((link.license, link.file_name.as_str()), (license.id, "setup.exe"));
    assert!(link.user.is_some() && link.expires == env.now() + Duration::minutes(15));
    assert_eq!(repositories.events(), ["download.linked"]);

    let visitor =
        Scope::anonymous(RequestInfo { address: Some("192.0.2.8".to_owned()), ..RequestInfo::default() });
    let mut holders = LinkHolders::new(&mut repositories, &visitor, &env);
    let linked = holders.follow(&link).await.unwrap();
    holders.note(&link, &linked, 700).await.unwrap();
    let other = DownloadLink { file_name: "other.exe".to_owned(), ..link.clone() };
    assert!(matches!(holders.follow(&other).await, Err(LicensingError::InvalidLink)));
    let other = DownloadLink { license: env.new_id(), ..link.clone() };
    assert!(matches!(
        holders.follow(&other).await,
        Err(LicensingError::LicenseRequired(Unavailable::NoLicense))
    ));
    let mut downloads = Downloads::new(&mut repositories, &scope, &env);
    let noted = downloads.of_license(license.id, PageRequest::default()).await.unwrap();
    let noted = &noted.items[0];
    assert_eq!((noted.bytes, noted.address.as_deref(), noted.user_id), (700, Some("192.0.2.8"), link.user));

    for (by, reason) in
        [(Move::Suspend, Unavailable::LicenseSuspended), (Move::Refund, Unavailable::LicenseRevoked)]
    {
        repositories.rows().licenses[0] = license.after(by);
        let refused = LinkHolders::new(&mut repositories, &visitor, &env).follow(&link).await.unwrap_err();
        assert!(matches!(refused, LicensingError::LicenseRequired(why) if why == reason), "{refused:?}");
    }
    repositories.rows().licenses[0] = license;
    let gone = repositories.rows().releases[0].withdrawn("Loses settings", env.now());
    repositories.rows().releases[0] = gone;
    let refused = LinkHolders::new(&mut repositories, &visitor, &env).follow(&link).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Gone, "release_withdrawn"));
    let refused = Downloads::new(&mut repositories, &scope, &env).link("software_v2", Duration::HOUR).await;
    assert!(matches!(refused, Err(LicensingError::ReleaseWithdrawn)));
}
