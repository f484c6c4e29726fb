use portico_kernel::{Fault, RequestInfo};

use super::*;
use crate::{
    release::ReleaseStatus,
    testing::{Repositories, env, release},
};

fn input(size: u64) -> NewUpload {
    NewUpload { file_name: "setup.exe".to_owned(), content_type: None, size, sha256: "AB".repeat(32) }
}

fn draft(env: &Env, repositories: &Repositories) -> ReleaseId {
    let draft = Release {
        status: ReleaseStatus::Draft,
        released_at: None,
        file: None,
        ..release(env, "v2", "2.0.0")
    };
    repositories.rows().releases.push(draft.clone());
    draft.id
}

#[tokio::test]
async fn a_file_has_parts_of_one_size_and_the_rest() {
    let (env, staff) = (env(), Scope::system(None, RequestInfo::default()));
    let mut repositories = Repositories::seeded();
    let id = draft(&env, &repositories);
    for (size, count, last) in [
        (1, 1, 1),
        (PART_SIZE - 1, 1, PART_SIZE - 1),
        (PART_SIZE, 1, PART_SIZE),
        (PART_SIZE + 1, 2, 1),
        (5 << 30, 320, PART_SIZE),
    ] {
        let mut uploads = ReleaseUploads::new(&mut repositories, &staff, &env);
        let upload = uploads.begin(id, &input(size), u64::MAX).await.unwrap();
        assert_eq!((upload.part_count(), upload.size_of(count)), (count, Some(last)));
        assert_eq!((upload.size_of(0), upload.size_of(count + 1)), (None, None));
        assert_eq!((1..=count).filter_map(|part| upload.size_of(part)).sum::<u64>(), size);
        assert_eq!(
            (upload.sha256, upload.content_type.as_str()),
            ("ab".repeat(32), "application/octet-stream")
        );
    }
    let mut uploads = ReleaseUploads::new(&mut repositories, &staff, &env);
    let upload = uploads.begin(id, &input(3 * PART_SIZE), u64::MAX).await.unwrap();
    let refused = upload.require_parts(&BTreeSet::from([2])).unwrap_err();
    assert_eq!(
        (refused.code(), refused.members()),
        ("upload_incomplete", vec![("missing", serde_json::json!([1, 3]))])
    );
    assert!(upload.require_parts(&BTreeSet::from([1, 2, 3])).is_ok());
}

#[tokio::test]
async fn what_breaks_the_rules_does_not_begin() {
    let (env, staff) = (env(), Scope::system(None, RequestInfo::default()));
    let mut repositories = Repositories::seeded();
    let id = draft(&env, &repositories);
    for (wrong, fields) in [
        (input(0), vec!["size"]),
        (input(101), vec!["size"]),
        (NewUpload { file_name: "../x".to_owned(), size: 0, ..input(1) }, vec!["size", "fileName"]),
        (NewUpload { sha256: "abcd".to_owned(), ..input(1) }, vec!["sha256"]),
    ] {
        let mut uploads = ReleaseUploads::new(&mut repositories, &staff, &env);
        let refused = uploads.begin(id, &wrong, 100).await.unwrap_err();
        assert_eq!(refused.fields().iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), fields);
    }
    let mut uploads = ReleaseUploads::new(&mut repositories, &staff, &env);
    assert!(matches!(uploads.begin(env.new_id(), &input(1), 100).await, Err(LicensingError::NoRelease)));
    assert!(repositories.rows().uploads.is_empty() && repositories.events().is_empty());
}

#[tokio::test]
async fn an_upload_is_completed_once_and_is_over_when_it_was_given_up() {
    let (env, staff) = (env(), Scope::system(None, RequestInfo::default()));
    let mut repositories = Repositories::seeded();
    let id = draft(&env, &repositories);
    let mut uploads = ReleaseUploads::new(&mut repositories, &staff, &env);
    let upload = uploads.begin(id, &input(7), 100).await.unwrap();
    let other = uploads.begin(id, &input(7), 100).await.unwrap();
    assert_eq!(uploads.get(id, upload.id).await.unwrap(), upload);
    assert!(matches!(uploads.get(env.new_id(), upload.id).await, Err(LicensingError::NoUpload)));
    assert!(uploads.completed(id, upload.id).await.unwrap().is_none());
    for _ in 0..2 {
        let release = uploads.complete(&upload, ScanStatus::NotScanned).await.unwrap();
        assert_eq!(release.file, Some(upload.file(ScanStatus::NotScanned)));
    }
    assert!(uploads.completed(id, upload.id).await.unwrap().is_some());
    assert!(matches!(uploads.get(id, upload.id).await, Err(LicensingError::NoUpload)));
    uploads.abort(id, other.id).await.unwrap();
    assert!(matches!(uploads.abort(id, other.id).await, Err(LicensingError::NoUpload)));
    assert!(matches!(uploads.complete(&other, ScanStatus::Clean).await, Err(LicensingError::NoUpload)));
    let begun = "release.upload_begun";
    assert_eq!(repositories.events(), [begun, begun, "release.file_stored", "release.upload_aborted"]);
    let later = env.now() + UPLOAD_TIME + Duration::HOUR;
    let times: Vec<_> = repositories.rows().jobs.iter().map(|job| job.run_at).collect();
    assert_eq!(times, [later, later, env.now() + Duration::SECOND, env.now()], "what is left is deleted");
}

#[tokio::test]
async fn an_upload_ends_after_a_day_and_with_the_draft() {
    let (env, staff) = (env(), Scope::system(None, RequestInfo::default()));
    let mut repositories = Repositories::seeded();
    let id = draft(&env, &repositories);
    let upload =
        ReleaseUploads::new(&mut repositories, &staff, &env).begin(id, &input(7), 100).await.unwrap();
    repositories.rows().uploads[0].expires_at = env.now();
    let late = ReleaseUploads::new(&mut repositories, &staff, &env).get(id, upload.id).await;
    assert!(matches!(late, Err(LicensingError::NoUpload)));
    repositories.rows().uploads[0].expires_at = upload.expires_at;
    repositories.rows().releases[0].status = ReleaseStatus::Published;
    let late = ReleaseUploads::new(&mut repositories, &staff, &env).get(id, upload.id).await;
    assert_eq!(late.unwrap_err().code(), "release_status");
}

#[tokio::test]
async fn customers_do_none_of_it() {
    let (env, nobody) = (env(), Scope::anonymous(RequestInfo::default()));
    let mut repositories = Repositories::seeded();
    let (id, file) = (env.new_id(), env.new_id());
    let mut uploads = ReleaseUploads::new(&mut repositories, &nobody, &env);
    for refused in [
        uploads.begin(id, &input(1), 100).await.err(),
        uploads.get(id, file).await.err(),
        uploads.completed(id, file).await.err(),
        uploads.abort(id, file).await.err(),
    ] {
        assert!(matches!(refused, Some(LicensingError::Denied(_))), "{refused:?}");
    }
}
