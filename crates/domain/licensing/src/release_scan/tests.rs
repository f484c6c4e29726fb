use portico_kernel::Fault;
use time::Duration;

use super::*;
use crate::{
    release::ReleaseStatus,
    release_administration::Releases,
    release_job::PurgeReleaseFile,
    testing::{Repositories, env, file, release},
};

fn found() -> Verdict {
    Verdict::Infected("Eicar-Test-Signature".to_owned())
}

/// A draft whose file waits for the scanner, and the job that was enqueued for it.
async fn waiting(env: &Env, repositories: &mut Repositories) -> ScanReleaseFile {
    let draft = Release {
        status: ReleaseStatus::Draft,
        released_at: None,
        file: None,
        ..release(env, "v2", "2.0.0")
    };
    repositories.rows().releases.push(draft.clone());
    let staff = Scope::system(None, RequestInfo::default());
    let stored = ReleaseFile { scan: ScanStatus::Scanning, ..file(env) };
    Releases::new(repositories, &staff, env).store_file(draft.id, stored).await.unwrap();
    let job = repositories.rows().jobs.pop().unwrap();
    serde_json::from_value(job.payload).unwrap()
}

#[tokio::test]
async fn a_file_is_published_once_the_scanner_has_passed_it() {
    use ScanStatus::{Clean, Failed, Infected, Scanning, TooLargeToScan};
    let (env, staff) = (env(), Scope::system(None, RequestInfo::default()));
    for (verdicts, status, strict, lenient) in [
        (vec![], Scanning, false, false),
        (vec![None], Failed, false, false),
        (vec![None, None, Some(Verdict::Clean)], Clean, true, true),
        (vec![Some(Verdict::Clean), Some(found())], Clean, true, true),
        (vec![Some(Verdict::TooLarge)], TooLargeToScan, false, true),
        (vec![Some(found()), Some(Verdict::Clean), None], Infected, false, false),
    ] {
        for (unscannable, expected) in [(false, strict), (true, lenient)] {
            let mut repositories = Repositories::seeded();
            let scan = waiting(&env, &mut repositories).await;
            for verdict in verdicts.clone() {
                ReleaseScans::new(&mut repositories, &env).note(&scan, verdict).await.unwrap();
            }
            let mut releases = Releases::new(&mut repositories, &staff, &env);
            assert_eq!(releases.get(scan.release_id).await.unwrap().file.unwrap().scan, status);
            match releases.publish(scan.release_id, unscannable).await {
                Ok(published) => {
                    assert!(expected && published.status == ReleaseStatus::Published, "{status:?}")
                }
                Err(refused) => {
                    assert!(!expected, "{status:?}");
                    assert_eq!(
                        (refused.code(), refused.members()),
                        ("release_file_scan", vec![("scan", status.as_str().into())])
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_infected_is_named_and_deleted_and_another_file_is_taken() {
    let (env, staff) = (env(), Scope::system(None, RequestInfo::default()));
    let mut repositories = Repositories::seeded();
    let scan = waiting(&env, &mut repositories).await;
    assert!(ReleaseScans::new(&mut repositories, &env).waiting(&scan).await.unwrap().is_some());
    for _ in 0..2 {
        ReleaseScans::new(&mut repositories, &env).note(&scan, Some(found())).await.unwrap();
    }
    assert!(ReleaseScans::new(&mut repositories, &env).waiting(&scan).await.unwrap().is_none());
    let stored = repositories.rows().releases[0].file.clone().unwrap();
    assert_eq!(stored.signature.as_deref(), Some("Eicar-Test-Signature"));
    assert_eq!(stored.deleted_at, Some(env.now()));
    let purges: Vec<PurgeReleaseFile> = repositories
        .rows()
        .jobs
        .iter()
        .map(|job| serde_json::from_value(job.payload.clone()).unwrap())
        .collect();
    assert_eq!(purges.iter().map(|purge| purge.file_id).collect::<Vec<_>>(), [scan.file_id]);
    assert_eq!(repositories.events(), ["release.file_stored", "release.file_infected"]);

    let other = file(&env);
    let id = other.id;
    Releases::new(&mut repositories, &staff, &env).store_file(scan.release_id, other).await.unwrap();
    // The verdict on the file before comes late.
    ReleaseScans::new(&mut repositories, &env).note(&scan, Some(found())).await.unwrap();
    let stored = repositories.rows().releases[0].file.clone().unwrap();
    assert_eq!((stored.id, stored.scan, stored.deleted_at), (id, ScanStatus::NotScanned, None));
}

#[tokio::test]
async fn a_release_that_is_gone_needs_no_verdict() {
    let env = env();
    let mut repositories = Repositories::seeded();
    let scan = ScanReleaseFile { release_id: env.new_id(), file_id: env.new_id() };
    let mut scans = ReleaseScans::new(&mut repositories, &env);
    assert!(scans.waiting(&scan).await.unwrap().is_none());
    scans.note(&scan, Some(Verdict::Clean)).await.unwrap();
    assert!(repositories.events().is_empty());
}

#[test]
fn words_are_read_back_and_only_what_is_not_offered_loses_its_bytes() {
    for status in ScanStatus::ALL {
        assert_eq!(ScanStatus::parse(status.as_str()), Some(status));
    }
    assert_eq!(ScanStatus::parse("dirty"), None);
    let env = env();
    let (offered, later) = (release(&env, "v2", "2.0.0"), env.now() + Duration::HOUR);
    assert_eq!(offered.without_bytes(later), offered);
    let gone = offered.withdrawn("Loses settings", env.now()).without_bytes(later);
    assert_eq!(gone.file.as_ref().unwrap().deleted_at, Some(later));
    assert_eq!(gone.without_bytes(later + Duration::HOUR), gone);
}
