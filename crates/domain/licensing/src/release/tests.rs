use portico_kernel::Fault;
use time::Duration;

use super::*;
use crate::testing::{env, file, release};

fn input() -> NewRelease {
    NewRelease {
        slug: "software_v2".to_owned(),
        product_type: "base_product".to_owned(),
        name: " Software 2.0 ".to_owned(),
        version: "2.0.0".to_owned(),
        ..NewRelease::default()
    }
}

#[test]
fn a_draft_is_what_staff_say() {
    let env = env();
    let draft = input().draft(env.new_id(), env.now()).unwrap();
    assert_eq!(
        (draft.name.as_str(), draft.channel, draft.status),
        ("Software 2.0", Channel::Stable, ReleaseStatus::Draft)
    );
    assert_eq!((draft.file, draft.released_at, draft.platform), (None, None, None));
    for (wrong, field, code) in [
        (NewRelease { slug: "v".to_owned(), ..input() }, "slug", "invalid_slug"),
        (NewRelease { slug: "Software".to_owned(), ..input() }, "slug", "invalid_slug"),
        (NewRelease { slug: "_software".to_owned(), ..input() }, "slug", "invalid_slug"),
        (NewRelease { slug: "soft/ware".to_owned(), ..input() }, "slug", "invalid_slug"),
        (NewRelease { slug: "s".repeat(65), ..input() }, "slug", "invalid_slug"),
        (NewRelease { product_type: String::new(), ..input() }, "productType", "required"),
        (NewRelease { name: " ".to_owned(), ..input() }, "name", "required"),
        (NewRelease { version: "2".to_owned(), ..input() }, "version", "invalid_version"),
        (NewRelease { platform: Some("Windows 11".to_owned()), ..input() }, "platform", "invalid_platform"),
        (NewRelease { notes: Some("n".repeat(10_001)), ..input() }, "notes", "too_long"),
    ] {
        let refused = wrong.draft(env.new_id(), env.now()).unwrap_err();
        let errors: Vec<_> = refused.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
        assert_eq!(errors, [(field, code)]);
    }
}

#[test]
fn each_status_leads_where_it_may() {
    let env = env();
    let later = env.now() + Duration::HOUR;
    let published = release(&env, "software_v2", "2.0.0");
    let empty = Release { status: ReleaseStatus::Draft, released_at: None, file: None, ..published.clone() };
    assert!(matches!(empty.published(false, later), Err(LicensingError::NoReleaseFile)));
    let draft = empty.with_file(file(&env), later).unwrap();
    let offered = draft.published(false, later).unwrap();
    assert_eq!((offered.status, offered.released_at), (ReleaseStatus::Published, Some(later)));
    assert_eq!(offered.published(false, later + Duration::HOUR).unwrap(), offered, "twice is once");

    let gone = offered.withdrawn("Loses settings", later);
    assert_eq!((gone.status, gone.released_at), (ReleaseStatus::Withdrawn, Some(later)));
    assert_eq!(gone.withdrawn("Another reason", later + Duration::HOUR), gone);
    let discarded = draft.withdrawn("Not needed", later);
    assert_eq!((discarded.status, discarded.released_at), (ReleaseStatus::Withdrawn, None));
    for ended in [&gone, &discarded] {
        assert!(matches!(
            ended.published(true, later),
            Err(LicensingError::ReleaseStatus { status: "withdrawn" })
        ));
    }
    for (fixed, status) in [(&offered, "published"), (&gone, "withdrawn")] {
        let refused = fixed.with_file(file(&env), later).unwrap_err();
        assert_eq!(
            (refused.code(), refused.members()),
            ("release_status", vec![("releaseStatus", status.into())])
        );
    }
    for status in ReleaseStatus::ALL {
        assert_eq!(ReleaseStatus::parse(status.as_str()), Some(status));
    }
}

#[test]
fn a_file_is_announced_with_a_name_for_every_system() {
    let announced = AnnouncedFile {
        name: "setup-2.0_x64.exe".to_owned(),
        content_type: "Application/X-MSDownload".to_owned(),
        sha256: "AB".repeat(32),
    };
    let checked = announced.checked().unwrap();
    assert_eq!(
        (checked.content_type.as_str(), checked.sha256),
        ("application/x-msdownload", "ab".repeat(32))
    );
    for odd in ["", "text", "text/html; charset=utf-8", "a/b\r\nX: y", "/"] {
        let odd = AnnouncedFile { content_type: odd.to_owned(), ..announced.clone() };
        assert_eq!(odd.checked().unwrap().content_type, "application/octet-stream");
    }
    for name in ["", ".htaccess", "a/b", "a b", "ñ.exe", "..", &"a".repeat(201)] {
        let wrong = AnnouncedFile { name: name.to_owned(), ..announced.clone() };
        assert_eq!(wrong.checked().unwrap_err().fields()[0].code, "invalid_file_name", "{name}");
    }
    for sha256 in ["", "abcd", &"g".repeat(64), &"a".repeat(65)] {
        let wrong = AnnouncedFile { sha256: sha256.to_owned(), ..announced.clone() };
        assert_eq!(wrong.checked().unwrap_err().fields()[0].code, "invalid_sha256", "{sha256}");
    }
}

#[test]
fn events_have_what_was_published() {
    let json = serde_json::to_value(release(&env(), "software_v2", "2.0.0")).unwrap();
    assert_eq!((&json["version"], &json["file"]["size"]), (&"2.0.0".into(), &1000.into()));
    assert_eq!(json["file"]["scan"], "not_scanned");
    assert!(json["file"].get("signature").is_none() && json["file"].get("deletedAt").is_none());
    assert!(json["file"].get("id").is_none() && json.get("withdrawalReason").is_none());
}
