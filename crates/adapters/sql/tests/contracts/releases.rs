//! `portico_licensing::ports`: releases, the licenses that stand for those of a tenant, and the log of downloads.

use portico_kernel::{PageRequest, ReleaseId, StoreError, TenantId};
use portico_licensing::{
    download::DownloadUse,
    license::{License, LicenseStatus},
    policy::{Channel, LicenseTerms},
    ports::{LicensingRepositories, ReleaseFilter, UpdateFilter},
    release::{Release, ReleaseFile, ReleaseStatus},
    release_upload::ReleaseUpload,
    release_version::ReleaseVersion,
    scan_status::ScanStatus,
};
use portico_sql::SqlStore;
use portico_testkit::{TestEnv, env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{at_once, stored_tenant, stored_user},
    licenses::{insert, license},
};

/// A release that is published, of a product, made later than the one before.
pub fn release(env: &TestEnv, product: &str, slug: &str, version: &str) -> Release {
    env.clock.advance(Duration::MILLISECOND);
    Release {
        id: env.new_id(),
        slug: slug.to_owned(),
        product_type: product.to_owned(),
        name: "Programa ñ".to_owned(),
        version: ReleaseVersion::parse(version).unwrap(),
        channel: Channel::Stable,
        platform: None,
        notes: "Line 1\nLine 2".to_owned(),
        status: ReleaseStatus::Published,
        withdrawal_reason: None,
        released_at: Some(env.now()),
        file: Some(ReleaseFile {
            id: env.new_id(),
            name: "setup.exe".to_owned(),
            content_type: "application/octet-stream".to_owned(),
            size: 5 << 30,
            sha256: "ab".repeat(32),
            scan: ScanStatus::Clean,
            signature: None,
            deleted_at: None,
        }),
        created_at: env.now(),
        updated_at: env.now(),
    }
}

/// Stores and commits them.
pub async fn store(store: &SqlStore, releases: &[Release]) {
    let mut work = store.begin().await.unwrap();
    for release in releases {
        work.releases().insert(release).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// A use of a link by the tenant of a license, later than the one before.
pub fn used(env: &TestEnv, license: &License, release: ReleaseId) -> DownloadUse {
    env.clock.advance(Duration::MILLISECOND);
    DownloadUse {
        id: env.new_id(),
        tenant_id: license.tenant_id,
        license_id: license.id,
        release_id: release,
        user_id: None,
        address: Some("192.0.2.7".to_owned()),
        bytes: 5 << 30,
        downloaded_at: env.now(),
    }
}

/// Stores and commits it.
pub async fn note(store: &SqlStore, used: &DownloadUse) -> Result<(), StoreError> {
    let mut work = store.begin().await.unwrap();
    work.downloads().insert(used).await?;
    work.commit().await
}

fn slugs(releases: &[Release]) -> Vec<&str> {
    releases.iter().map(|release| release.slug.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_stored_found_and_listed() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let published = release(&env, "base_product", "software_v2", "2.0.0-rc.1");
        let draft = Release {
            platform: Some("linux-x64".to_owned()),
            channel: Channel::Beta,
            status: ReleaseStatus::Draft,
            released_at: None,
            file: None,
            ..release(&env, "base_product", "software_v3", "3.0.0")
        };
        let mug = Release {
            released_at: Some(env.now() + Duration::HOUR),
            ..release(&env, "mug", "mug_v1", "1.0.0")
        };
        store(sql, &[published.clone(), draft.clone(), mug.clone()]).await;
        let mut reader = sql.reader();
        for release in [&published, &draft, &mug] {
            assert_eq!(reader.releases().find(release.id).await.unwrap().as_ref(), Some(release));
            assert_eq!(reader.releases().of_slug(&release.slug).await.unwrap().as_ref(), Some(release));
        }
        assert_eq!(reader.releases().find(env.new_id()).await.unwrap(), None);
        assert_eq!(reader.releases().of_slug("software").await.unwrap(), None);
        let page = PageRequest { page: 1, limit: 2 };
        let all = reader.releases().list(&ReleaseFilter::default(), page).await.unwrap();
        assert_eq!((slugs(&all.items), all.total), (vec!["mug_v1", "software_v3"], 3));
        let of_mugs = Some("mug".to_owned());
        let drafts = Some(ReleaseStatus::Draft);
        for (product_type, status, expected) in [
            (of_mugs.clone(), None, vec!["mug_v1"]),
            (None, drafts, vec!["software_v3"]),
            (of_mugs, drafts, Vec::new()),
        ] {
            let filter = ReleaseFilter { product_type, status };
            assert_eq!(slugs(&reader.releases().list(&filter, page).await.unwrap().items), expected);
        }
        let offered = reader.releases().offered(None, page).await.unwrap();
        assert_eq!((slugs(&offered.items), offered.total), (vec!["mug_v1", "software_v2"], 2));
        let of_product = reader.releases().offered(Some("base_product".to_owned()), page).await.unwrap();
        assert_eq!(slugs(&of_product.items), ["software_v2"]);

        let mut work = sql.begin().await.unwrap();
        let locked = work.releases().lock(draft.id).await.unwrap().unwrap();
        let changed = Release {
            name: "Other".to_owned(),
            notes: String::new(),
            file: published.file.clone().map(|file| ReleaseFile {
                scan: ScanStatus::Infected,
                signature: Some("Eicar-Test-Signature".to_owned()),
                deleted_at: Some(env.now()),
                ..file
            }),
            updated_at: env.now() + Duration::HOUR,
            ..locked.withdrawn("Loses settings", env.now())
        };
        work.releases().update(&changed).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(reader.releases().find(draft.id).await.unwrap(), Some(changed));
        assert_eq!(reader.releases().find(mug.id).await.unwrap(), Some(mug));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_8_releases_that_want_a_slug_at_once_one_has_it() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let releases: Vec<Release> =
            (0..8).map(|_| release(&env, "base_product", "software_v2", "2.0.0")).collect();
        let stored = at_once(sql, 8, move |store, number| {
            let release = releases[number].clone();
            async move {
                let mut work = store.begin().await.unwrap();
                work.releases().insert(&release).await?;
                work.commit().await
            }
        })
        .await;
        assert_eq!(stored.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(stored.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Conflict(_)))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_is_found_by_the_order_of_versions() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let named = |slug: &str, version: &str| release(&env, "base_product", slug, version);
        let on =
            |platform: &str, release: Release| Release { platform: Some(platform.to_owned()), ..release };
        let beta = |release: Release| Release { channel: Channel::Beta, ..release };
        let releases = [
            named("nine", "2.9.0"),
            named("ten", "2.10.0"),
            named("candidate", "2.11.0-rc.1"),
            on("linux", named("linux", "2.12.0")),
            on("windows", named("windows", "2.13.0")),
            beta(named("beta2", "3.0.0-beta.2")),
            beta(named("beta10", "3.0.0-beta.10")),
            named("gone", "9.0.0").withdrawn("Loses settings", env.now()),
            release(&env, "mug", "mug", "8.0.0"),
        ];
        store(sql, &releases).await;
        let mut reader = sql.reader();
        for (above, platform, channels, expected) in [
            (None, None, vec![Channel::Stable], Some("candidate")),
            (Some("2.10.0"), None, vec![Channel::Stable], Some("candidate")),
            (Some("2.11.0-rc.1"), None, vec![Channel::Stable], None),
            (Some("2.11.0"), None, vec![Channel::Stable], None),
            (Some("2.11.0"), Some("linux"), vec![Channel::Stable], Some("linux")),
            (Some("2.12.0"), Some("linux"), vec![Channel::Stable], None),
            (Some("2.0.0"), Some("linux"), Channel::ALL.to_vec(), Some("beta10")),
            (Some("3.0.0-beta.9"), None, Channel::ALL.to_vec(), Some("beta10")),
            (Some("3.0.0"), None, Channel::ALL.to_vec(), None),
        ] {
            let filter = UpdateFilter {
                product_type: "base_product".to_owned(),
                above: above.map(|text| ReleaseVersion::parse(text).unwrap()),
                platform: platform.map(str::to_owned),
                channels,
            };
            let found = reader.releases().newest(&filter).await.unwrap().map(|release| release.slug);
            assert_eq!(found.as_deref(), expected, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_license_stands_for_all_that_are_alike() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let ours = stored_tenant(sql, &env, "one").await.id;
        let theirs = stored_tenant(sql, &env, "two").await.id;
        let now = env.now();
        let of = |tenant: TenantId| {
            env.clock.advance(Duration::MILLISECOND);
            license(&env, tenant, None, 0)
        };
        let until = |days| Some(now + Duration::days(days));
        let short = License { supported_until: until(1), ..of(ours) };
        let long = License { supported_until: until(9), ..of(ours) };
        let trial = License { supported_until: until(99), expires_at: until(30), ..of(ours) };
        let over = License { expires_at: Some(now), ..of(ours) };
        let revoked = License { status: LicenseStatus::Revoked, supported_until: None, ..of(ours) };
        let terms = LicenseTerms { channels: Channel::ALL.to_vec(), ..short.terms.clone() };
        let beta = License { terms: terms.clone(), supported_until: until(1), ..of(ours) };
        let endless = License { terms, supported_until: None, ..of(ours) };
        let mug = License { product_type: "mug".to_owned(), ..of(ours) };
        let foreign = License { supported_until: None, ..of(theirs) };
        for license in [&short, &long, &trial, &over, &revoked, &beta, &endless, &mug, &foreign] {
            insert(sql, license).await.unwrap();
        }
        let mut reader = sql.reader();
        let products = ["base_product".to_owned()];
        let found = reader.licenses().representatives(ours, &products, now).await.unwrap();
        let ids: Vec<_> = found.iter().map(|license| license.id).collect();
        assert_eq!(ids, [endless.id, revoked.id, over.id, trial.id], "the last made first");
        assert_eq!(found[0], endless);
        let both = ["base_product".to_owned(), "mug".to_owned()];
        assert_eq!(reader.licenses().representatives(ours, &both, now).await.unwrap().len(), 5);
        let others = reader.licenses().representatives(theirs, &both, now).await.unwrap();
        assert_eq!(others, [foreign]);
        assert_eq!(reader.licenses().representatives(ours, &[], now).await.unwrap(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_belong_to_the_tenant_of_the_license_and_are_forgotten() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let ours = stored_tenant(sql, &env, "one").await.id;
        let theirs = stored_tenant(sql, &env, "two").await.id;
        let ada = stored_user(sql, &env, "ada@example.com").await.id;
        let (one, other) = (license(&env, ours, None, 0), license(&env, theirs, None, 0));
        insert(sql, &one).await.unwrap();
        insert(sql, &other).await.unwrap();
        let released = release(&env, "base_product", "software_v2", "2.0.0");
        store(sql, std::slice::from_ref(&released)).await;
        let long_ago = env.now() - Duration::days(400);
        let old = DownloadUse { downloaded_at: long_ago, ..used(&env, &one, released.id) };
        let by_ada = DownloadUse { user_id: Some(ada), ..used(&env, &one, released.id) };
        for used in [&old, &by_ada, &used(&env, &other, released.id)] {
            note(sql, used).await.unwrap();
        }
        let foreign = DownloadUse { tenant_id: theirs, ..used(&env, &one, released.id) };
        assert!(matches!(note(sql, &foreign).await, Err(StoreError::MissingReference(_))));
        let unknown = used(&env, &one, env.new_id());
        assert!(matches!(note(sql, &unknown).await, Err(StoreError::MissingReference(_))));

        let mut reader = sql.reader();
        let page = PageRequest { page: 1, limit: 1 };
        let mine = reader.downloads().of_license(ours, one.id, page).await.unwrap();
        assert_eq!(mine.total, 2);
        let last = &mine.items[0];
        assert_eq!((last.id, last.user_id, last.bytes), (by_ada.id, Some(ada), 5 << 30));
        assert_eq!((last.download_id.as_str(), &last.version), ("software_v2", &released.version));
        assert_eq!(last.address.as_deref(), Some("192.0.2.7"));
        assert_eq!(reader.downloads().of_license(theirs, one.id, page).await.unwrap().total, 0);
        let all = reader.downloads().of_release(true, released.id, page).await.unwrap();
        assert_eq!((all.total, all.items[0].customer_id), (3, theirs));
        assert_eq!(reader.downloads().of_release(true, env.new_id(), page).await.unwrap().total, 0);

        let mut work = sql.begin().await.unwrap();
        let before = env.now() - Duration::days(365);
        assert_eq!(work.downloads().forget(before, 10).await.unwrap(), 1);
        assert_eq!(work.downloads().forget(before, 10).await.unwrap(), 0);
        work.commit().await.unwrap();
        let left = reader.downloads().of_license(ours, one.id, page).await.unwrap();
        assert_eq!((left.total, left.items[0].id), (1, by_ada.id));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_that_were_withdrawn_long_ago_are_found_while_they_have_a_file() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let made = |slug: &str| release(&env, "base_product", slug, "1.0.0");
        let past = |days: i64| env.now() - Duration::days(days);
        let first = made("first").withdrawn("Loses settings", past(9));
        let second = made("second").withdrawn("Loses settings", past(8));
        let late = made("late").withdrawn("Loses settings", past(1));
        let empty = Release { file: None, ..made("empty") }.withdrawn("Not needed", past(9));
        let mut deleted = made("deleted").withdrawn("Loses settings", past(9));
        deleted.file.as_mut().unwrap().deleted_at = Some(past(2));
        let offered = Release { updated_at: past(9), ..made("offered") };
        store(sql, &[second.clone(), first.clone(), late, empty, deleted, offered]).await;
        let mut reader = sql.reader();
        let found = reader.releases().withdrawn(past(7), 10).await.unwrap();
        assert_eq!(found, [first.id, second.id]);
        assert_eq!(reader.releases().withdrawn(past(7), 1).await.unwrap(), [first.id]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_found_by_its_release_and_goes_once() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let (one, other) =
            (release(&env, "base_product", "one", "1.0.0"), release(&env, "base_product", "other", "2.0.0"));
        store(sql, &[one.clone(), other.clone()]).await;
        let upload = ReleaseUpload {
            id: env.new_id(),
            release_id: one.id,
            file_name: "setup.exe".to_owned(),
            content_type: "application/octet-stream".to_owned(),
            size: 5 << 30,
            sha256: "ab".repeat(32),
            part_size: 16 << 20,
            created_at: env.now(),
            expires_at: env.now() + Duration::DAY,
        };
        let mut work = sql.begin().await.unwrap();
        work.release_uploads().insert(&upload).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = sql.reader();
        let found = reader.release_uploads().find(one.id, upload.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&upload));
        assert_eq!(reader.release_uploads().find(other.id, upload.id).await.unwrap(), None);
        assert_eq!(reader.release_uploads().find(one.id, env.new_id()).await.unwrap(), None);

        let deleted = at_once(sql, 8, move |store, number| {
            let (of, id) = (if number == 0 { other.id } else { one.id }, upload.id);
            async move {
                let mut work = store.begin().await.unwrap();
                let deleted = work.release_uploads().delete(of, id).await?;
                work.commit().await?;
                Ok::<_, StoreError>(deleted.map(|upload| (upload.release_id, upload.size)))
            }
        })
        .await;
        let deleted: Vec<_> = deleted.into_iter().filter_map(|result| result.unwrap()).collect();
        assert_eq!(deleted, [(one.id, 5 << 30)]);
    })
    .await;
}
