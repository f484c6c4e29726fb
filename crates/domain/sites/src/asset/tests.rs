use portico_kernel::{Env, Fault, JobType, Kind, Meter, PageRequest, RequestInfo, Scope, TenantRole};
use serde_json::json;
use time::Duration;

use super::{filename::clean, *};
use crate::{
    SitesError,
    page::{NewPage, Pages},
    section::{BulkChange, NewSection, SectionType, SectionUpdate, Sections},
    site::{NewSite, SiteStatus, Sites},
    testing::{Store, env, member, tenant, user},
};

fn file(id: AssetId, name: &str, content_type: AssetType) -> NewAsset {
    let pixels = (content_type.kind() == AssetKind::Image).then_some((640, 480));
    NewAsset {
        id,
        filename: name.to_owned(),
        content_type,
        size: 1000,
        pixels,
        hash: "00".repeat(32),
        variants: Vec::new(),
    }
}

async fn upload(store: &mut Store, env: &Env, name: &str, content_type: AssetType) -> Asset {
    let scope = member(TenantRole::Editor);
    let mut assets = Assets::new(store, &scope, env);
    let id = assets.announce(1).await.unwrap()[0];
    assets.create(vec![file(id, name, content_type)]).await.unwrap().remove(0)
}

#[test]
fn the_beginning_of_a_file_tells_its_format() {
    for (bytes, expected) in [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), Some(AssetType::Png)),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", Some(AssetType::Jpeg)),
        (b"RIFF\x24\0\0\0WEBPVP8 ", Some(AssetType::Webp)),
        (b"GIF89a\x01\0\x01\0", Some(AssetType::Gif)),
        (b"%PDF-1.7\n", Some(AssetType::Pdf)),
        (b"\n%PDF-1.7\n", None),
        (b"RIFF\x24\0\0\0WAVEfmt ", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
        (b"MZ\x90\0", None),
        (b"GIF8", None),
        (b"", None),
    ] {
        assert_eq!(AssetType::of_content(bytes), expected, "{bytes:?}");
    }
    for format in AssetType::ALL {
        assert_eq!(AssetType::parse(format.content_type()), Some(format));
        assert_eq!(serde_json::to_value(format).unwrap(), format.content_type());
    }
    for svg in [
        b"<svg/>".as_slice(),
        b"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- x -->\n<SVG onload='alert(1)'>",
        b"<\0?\0x\0m\0l\0?\0>\0<\0s\0v\0g\0>\0",
    ] {
        assert!(AssetType::is_svg(svg));
    }
    assert!(!AssetType::is_svg(b"text about <svg>") && !AssetType::is_svg(b"<html>"));
}

#[test]
fn names_lose_paths_and_tricks() {
    for (name, format, expected) in [
        ("photo.jpg", AssetType::Jpeg, "photo.jpg"),
        ("Photo.JPEG", AssetType::Jpeg, "Photo.JPEG"),
        ("../../etc/passwd", AssetType::Png, "passwd.png"),
        ("C:\\Users\\me\\cat.png", AssetType::Png, "cat.png"),
        ("..", AssetType::Pdf, "file.pdf"),
        ("", AssetType::Gif, "file.gif"),
        (".png", AssetType::Png, "png.png"),
        ("a\0b\r\nSet-Cookie: x\t.pdf", AssetType::Pdf, "abSet-Cookie x.pdf"),
        ("invoice\u{202e}fdp.exe", AssetType::Pdf, "invoicefdp.exe.pdf"),
        ("page.html", AssetType::Gif, "page.html.gif"),
        ("  two   words  .webp ", AssetType::Webp, "two words.webp"),
        ("\"><script>.png", AssetType::Png, "script.png"),
        ("ein Stück Größe 日本.png", AssetType::Png, "ein Stück Größe 日本.png"),
        ("zero\u{200b}width.png", AssetType::Png, "zerowidth.png"),
    ] {
        let cleaned = clean(name, format);
        assert_eq!(cleaned, expected, "{name:?}");
        assert_eq!(clean(&cleaned, format), cleaned, "cleaning once is enough");
    }
    let long = clean(&format!("{}.png", "ä".repeat(500)), AssetType::Png);
    assert_eq!(long.chars().count(), MAX_FILENAME);
    assert!(long.ends_with("ä.png"));
}

#[tokio::test]
async fn a_file_lives_from_upload_to_purge() {
    let (mut store, env) = (Store::default(), env());
    let asset = upload(&mut store, &env, "../logo.png", AssetType::Png).await;
    assert_eq!((asset.filename.as_str(), asset.width, asset.version), ("logo.png", Some(640), 1));
    // What was announced and never came is deleted by the same job.
    let announced = &store.jobs[0];
    assert_eq!((announced.kind, &announced.payload), (PurgeAssets::KIND, &json!({"assetIds": [asset.id]})));
    assert!(announced.run_at >= asset.created_at + Duration::minutes(59));

    let scope = member(TenantRole::Editor);
    let mut assets = Assets::new(&mut store, &scope, &env);
    assert!(!assets.purge(asset.id).await.unwrap(), "a file that is there stays");
    let update = AssetUpdate { filename: Some(" Our logo.png ".into()), alt_text: Some(Some("Us".into())) };
    let named = assets.update(asset.id, update, Some(1)).await.unwrap();
    assert_eq!(
        (named.filename.as_str(), named.alt_text.as_deref(), named.version),
        ("Our logo.png", Some("Us"), 2)
    );
    let late = assets.update(asset.id, AssetUpdate::default(), Some(1)).await;
    assert!(matches!(late, Err(SitesError::PreconditionFailed)));

    assets.delete(asset.id, None, Duration::DAY, false, false).await.unwrap();
    assert!(matches!(assets.get(asset.id).await, Err(SitesError::NotFound("asset"))));
    let again = assets.delete(asset.id, None, Duration::DAY, false, false).await;
    assert!(matches!(again, Err(SitesError::NotFound("asset"))));
    assert_eq!(assets.list(AssetFilter::default(), PageRequest::default()).await.unwrap().total, 0);
    assert!(!assets.purge(asset.id).await.unwrap(), "it can be restored");
    assets.restore(asset.id).await.unwrap();
    assert!(matches!(assets.restore(asset.id).await, Err(SitesError::AssetNotDeleted)), "it is restored");
    assert_eq!(assets.get(asset.id).await.unwrap().alt_text.as_deref(), Some("Us"));

    assets.delete(asset.id, None, Duration::ZERO, false, false).await.unwrap();
    assert!(matches!(assets.restore(asset.id).await, Err(SitesError::NotFound(_))), "its time is over");
    assert!(assets.purge(asset.id).await.unwrap());
    assert!(assets.purge(asset.id).await.unwrap(), "a job may run twice");
    let kinds = store.take_events();
    assert_eq!(kinds, ["asset.created", "asset.updated", "asset.deleted", "asset.restored", "asset.deleted"]);
}

#[tokio::test]
async fn who_may_do_what() {
    let (mut store, env, viewer) = (Store::default(), env(), member(TenantRole::Viewer));
    let asset = upload(&mut store, &env, "a.pdf", AssetType::Pdf).await;
    let mut assets = Assets::new(&mut store, &viewer, &env);
    assert!(assets.get(asset.id).await.is_ok());
    assert_eq!(assets.announce(1).await.unwrap_err().code(), "forbidden");
    assert_eq!(assets.create(Vec::new()).await.unwrap_err().code(), "forbidden");
    assert_eq!(assets.update(asset.id, AssetUpdate::default(), None).await.unwrap_err().code(), "forbidden");
    let deleted = assets.delete(asset.id, None, Duration::DAY, false, true).await;
    assert_eq!(deleted.unwrap_err().code(), "forbidden");
    assert_eq!(assets.restore(asset.id).await.unwrap_err().code(), "forbidden");

    let stranger = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut theirs = Assets::new(&mut store, &stranger, &env);
    assert_eq!(theirs.get(asset.id).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(
        theirs.update(asset.id, AssetUpdate::default(), None).await.unwrap_err().kind(),
        Kind::NotFound
    );
    assert_eq!(theirs.list(AssetFilter::default(), PageRequest::default()).await.unwrap().total, 0);
    assert!(
        Assets::new(&mut store, &Scope::anonymous(RequestInfo::default()), &env).get(asset.id).await.is_err()
    );
}

#[tokio::test]
async fn a_name_that_is_not_what_it_seems_is_refused() {
    let (mut store, env, scope) = (Store::default(), env(), member(TenantRole::Editor));
    let asset = upload(&mut store, &env, "a.pdf", AssetType::Pdf).await;
    for (name, code) in [
        ("", "required"),
        ("a/b.pdf", "invalid_filename"),
        ("a.exe", "invalid_filename"),
        ("a\u{202e}fdp.pdf", "invalid_filename"),
        ("a\u{7}.pdf", "invalid_characters"),
    ] {
        let update = AssetUpdate { filename: Some(name.into()), alt_text: None };
        let error = Assets::new(&mut store, &scope, &env).update(asset.id, update, None).await.unwrap_err();
        assert_eq!(
            (error.fields()[0].field.as_str(), error.fields()[0].code.as_ref()),
            ("filename", code),
            "{name}"
        );
    }
    let update = AssetUpdate { filename: None, alt_text: Some(Some("x".repeat(301))) };
    let error = Assets::new(&mut store, &scope, &env).update(asset.id, update, None).await.unwrap_err();
    assert_eq!(error.fields()[0].field, "altText");
}

#[tokio::test]
async fn sections_refer_to_pictures_of_the_tenant_only_and_hold_on_to_them() {
    let mut store = Store::default();
    let (env, scope) = (env(), member(TenantRole::Owner));
    let picture = upload(&mut store, &env, "a.png", AssetType::Png).await;
    let document = upload(&mut store, &env, "a.pdf", AssetType::Pdf).await;
    let site = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    Sites::new(&mut store, &scope, &env).create(site).await.unwrap();
    let page = NewPage { title: "Home".to_owned(), ..NewPage::default() };
    let page = Pages::new(&mut store, &scope, &env).create(None, page).await.unwrap().id;

    let gallery = |ids: [AssetId; 3]| {
        let images: Vec<_> = ids.iter().map(|id| json!({"imageAssetId": id})).collect();
        NewSection {
            kind: Some(SectionType::Gallery),
            content: json!({"images": images}),
            ..NewSection::default()
        }
    };
    let bad = gallery([picture.id, document.id, env.new_id()]);
    let mut sections = Sections::new(&mut store, &scope, &env);
    let error = sections.create(page, bad.clone()).await.unwrap_err();
    let expected = [("images[1]", "not_a_picture"), ("images[2]", "unknown_asset")];
    let assert_fields = |error: &SitesError, prefix: &str| {
        let fields: Vec<_> = error.fields().iter().map(|e| (e.field.clone(), e.code.to_string())).collect();
        let wanted = expected.map(|(at, code)| (format!("{prefix}{at}.imageAssetId"), code.to_owned()));
        assert_eq!(fields, wanted);
    };
    assert_fields(&error, "content.");
    let bulk = BulkChange { create: vec![bad.clone()], ..BulkChange::default() };
    assert_fields(&sections.bulk(page, bulk).await.unwrap_err(), "create[0].content.");
    let good = sections.create(page, gallery([picture.id; 3])).await.unwrap();
    let update = SectionUpdate { content: Some(bad.content), ..SectionUpdate::default() };
    assert_fields(&sections.update(page, good.id, update, None).await.unwrap_err(), "content.");

    let mut assets = Assets::new(&mut store, &scope, &env);
    let error = assets.delete(picture.id, None, Duration::DAY, false, false).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("asset_in_use", Kind::Conflict));
    assert_eq!(error.members(), [("pages", json!([page])), ("branding", json!(false))]);
    let error = assets.delete(document.id, None, Duration::DAY, true, false).await.unwrap_err();
    assert_eq!(error.members(), [("pages", json!([])), ("branding", json!(true))]);
    assets.delete(picture.id, None, Duration::DAY, true, true).await.unwrap();
}

#[tokio::test]
async fn what_a_frozen_site_shows_stays_as_it_is() {
    let (mut store, env, owner) = (Store::default(), env(), member(TenantRole::Owner));
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    Sites::new(&mut store, &owner, &env).create(input).await.unwrap();
    let page = NewPage { title: "Home".to_owned(), ..NewPage::default() };
    let page = Pages::new(&mut store, &owner, &env).create(None, page).await.unwrap();
    let shown = upload(&mut store, &env, "a.png", AssetType::Png).await;
    let other = upload(&mut store, &env, "b.png", AssetType::Png).await;
    let gone = upload(&mut store, &env, "c.png", AssetType::Png).await;
    for asset in [&shown, &gone] {
        let content = json!({"heading": "Bread", "imageAssetId": asset.id});
        let section = NewSection { kind: Some(SectionType::Hero), content, ..NewSection::default() };
        Sections::new(&mut store, &owner, &env).create(page.id, section).await.unwrap();
    }
    let mut assets = Assets::new(&mut store, &owner, &env);
    assets.delete(gone.id, None, Duration::days(1), false, true).await.unwrap();
    store.sites[0].status = SiteStatus::ForSale;
    let mut assets = Assets::new(&mut store, &owner, &env);
    let text = || AssetUpdate { alt_text: Some(Some("Mine".to_owned())), ..AssetUpdate::default() };
    for refused in [
        assets.update(shown.id, text(), None).await,
        assets.delete(shown.id, None, Duration::days(1), false, true).await,
        assets.restore(gone.id).await,
    ] {
        assert_eq!(refused.unwrap_err().code(), "site_for_sale");
    }
    assets.update(other.id, text(), None).await.unwrap();
    assets.delete(other.id, None, Duration::days(1), false, false).await.unwrap();
}

#[tokio::test]
async fn bytes_count_against_the_plan_until_the_file_is_deleted() {
    let (mut store, env, scope) = (Store::default(), env(), member(TenantRole::Editor));
    store.entitlements.limits.insert(Meter::Storage, 1500);
    let first = upload(&mut store, &env, "one.png", AssetType::Png).await;
    let id = env.new_id();
    let second =
        Assets::new(&mut store, &scope, &env).create(vec![file(id, "two.png", AssetType::Png)]).await;
    assert_eq!(second.unwrap_err().code(), "quota_exceeded");
    Assets::new(&mut store, &scope, &env).delete(first.id, None, Duration::DAY, false, false).await.unwrap();
    assert_eq!(store.entitlements.used(Meter::Storage), 0);
    Assets::new(&mut store, &scope, &env).restore(first.id).await.unwrap();
    assert_eq!(store.entitlements.used(Meter::Storage), 1000);
}

#[tokio::test]
async fn what_is_infected_is_deleted_for_good_whatever_shows_it() {
    let (mut store, env) = (Store::default(), env());
    let system = Scope::system(Some(tenant(1)), RequestInfo::default());
    let shown = upload(&mut store, &env, "one.pdf", AssetType::Pdf).await;
    let deleted = upload(&mut store, &env, "two.pdf", AssetType::Pdf).await;
    let mut assets = Assets::new(&mut store, &system, &env);
    assets.delete(deleted.id, None, Duration::DAY, false, false).await.unwrap();
    store.jobs.clear();
    let mut assets = Assets::new(&mut store, &system, &env);
    for id in [shown.id, deleted.id, env.new_id()] {
        assets.discard(id).await.unwrap();
    }
    for id in [shown.id, deleted.id] {
        assert!(matches!(assets.restore(id).await, Err(SitesError::NotFound(_))), "nobody brings it back");
        assert!(assets.purge(id).await.unwrap());
        assets.discard(id).await.unwrap();
    }
    assert_eq!(store.entitlements.used(Meter::Storage), 0, "each is given back once");
    let purged: Vec<PurgeAssets> =
        store.jobs.iter().map(|job| serde_json::from_value(job.payload.clone()).unwrap()).collect();
    let purged: Vec<AssetId> = purged.into_iter().flat_map(|job| job.asset_ids).collect();
    assert_eq!(purged, [shown.id, deleted.id]);
    assert_eq!(store.take_events(), ["asset.created", "asset.created", "asset.deleted", "asset.deleted"]);
}
