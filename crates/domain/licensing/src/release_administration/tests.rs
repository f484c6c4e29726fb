use portico_kernel::{Fault, RequestInfo};

use super::*;
use crate::{
    release::ReleaseStatus,
    release_job::PurgeReleaseFile,
    testing::{Repositories, env, file},
};

fn staff() -> Scope {
    Scope::system(None, RequestInfo::default())
}

fn input(slug: &str) -> NewRelease {
    NewRelease {
        slug: slug.to_owned(),
        product_type: "base_product".to_owned(),
        name: "Software 2.0".to_owned(),
        version: "2.0.0".to_owned(),
        ..NewRelease::default()
    }
}

fn announced() -> AnnouncedFile {
    AnnouncedFile { name: "setup.exe".to_owned(), content_type: String::new(), sha256: "ab".repeat(32) }
}

#[tokio::test]
async fn a_release_is_made_filled_published_and_withdrawn() {
    let (env, scope) = (env(), staff());
    let mut repositories = Repositories::seeded();
    let mut releases = Releases::new(&mut repositories, &scope, &env);
    let id = releases.create(&input("software_v2")).await.unwrap().id;
    assert!(matches!(releases.create(&input("software_v2")).await, Err(LicensingError::SlugTaken)));
    let unknown = NewRelease { product_type: "mug".to_owned(), ..input("mug_v1") };
    assert_eq!(releases.create(&unknown).await.unwrap_err().fields()[0].code, "unknown_product");
    assert!(matches!(releases.publish(id, false).await, Err(LicensingError::NoReleaseFile)));

    let (first, _) = releases.begin_file(id, &announced()).await.unwrap();
    releases.store_file(id, ReleaseFile { id: first, ..file(&env) }).await.unwrap();
    let (second, _) = releases.begin_file(id, &announced()).await.unwrap();
    for _ in 0..2 {
        releases.store_file(id, ReleaseFile { id: second, ..file(&env) }).await.unwrap();
    }
    let named = ReleaseUpdate { name: Some(" Software 2 ".to_owned()), notes: None };
    assert_eq!(releases.update(id, &named).await.unwrap().name, "Software 2");
    for _ in 0..2 {
        assert_eq!(releases.publish(id, false).await.unwrap().status, ReleaseStatus::Published);
    }
    let late = releases.begin_file(id, &announced()).await.unwrap_err();
    assert_eq!(late.code(), "release_status");
    assert!(matches!(
        releases.store_file(id, file(&env)).await,
        Err(LicensingError::ReleaseStatus { status: "published" })
    ));
    let why = Withdrawal { reason: " Loses settings ".to_owned() };
    assert_eq!(releases.withdraw(id, &Withdrawal::default()).await.unwrap_err().fields()[0].field, "reason");
    for _ in 0..2 {
        let gone = releases.withdraw(id, &why).await.unwrap();
        assert_eq!(gone.withdrawal_reason.as_deref(), Some("Loses settings"));
    }
    let found = releases.list(ReleaseFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!((found.total, found.items[0].file.as_ref().map(|file| file.id)), (1, Some(second)));
    assert!(matches!(releases.get(env.new_id()).await, Err(LicensingError::NoRelease)));

    let stored = "release.file_stored";
    assert_eq!(
        repositories.events(),
        ["release.created", stored, stored, "release.updated", "release.published", "release.withdrawn"]
    );
    assert!(repositories.rows().events.iter().all(|event| event.tenant == TenantId::PLATFORM));
    let later = env.now() + UPLOAD_TIME + Duration::HOUR;
    let jobs: Vec<_> = repositories
        .rows()
        .jobs
        .iter()
        .map(|job| {
            (serde_json::from_value::<PurgeReleaseFile>(job.payload.clone()).unwrap().file_id, job.run_at)
        })
        .collect();
    assert_eq!(jobs, [(first, later), (second, later), (first, env.now())], "what was replaced goes at once");
}

#[tokio::test]
async fn customers_do_none_of_it() {
    let env = env();
    let mut repositories = Repositories::seeded();
    let nobody = Scope::anonymous(RequestInfo::default());
    let mut releases = Releases::new(&mut repositories, &nobody, &env);
    let id = env.new_id();
    let why = Withdrawal { reason: "x".to_owned() };
    for refused in [
        releases.list(ReleaseFilter::default(), PageRequest::default()).await.err(),
        releases.get(id).await.err(),
        releases.create(&input("software_v2")).await.err(),
        releases.update(id, &ReleaseUpdate::default()).await.err(),
        releases.begin_file(id, &announced()).await.err(),
        releases.store_file(id, file(&env)).await.err(),
        releases.publish(id, false).await.err(),
        releases.withdraw(id, &why).await.err(),
        releases.downloads(id, PageRequest::default()).await.err(),
    ] {
        assert!(matches!(refused, Some(LicensingError::Denied(_))), "{refused:?}");
    }
    assert!(repositories.events().is_empty());
}
