//! The contract of every file store, run against each store.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::{path::Path, sync::Arc};

use object_store::memory::InMemory;
use portico_kernel::files::{FileError, FileStore};
use portico_storage::{ObjectFileStore, OpenError, S3Options};
use portico_testkit::s3::S3Server;

/// The contract of [`FileStore`], run against an empty store.
pub async fn keeps_the_contract(store: Arc<dyn FileStore>) {
    store.ping().await.unwrap();
    assert_eq!(store.list("ping").await.unwrap(), Vec::<String>::new(), "it leaves nothing");
    reads_what_was_written(&*store).await;
    reads_parts(&*store).await;
    stores_piece_by_piece(&*store).await;
    refuses_keys_of_others(&*store).await;
    deletes_by_whole_parts(&*store).await;
    lists_and_deletes_single_files(&*store).await;
    reads_many_at_once(store.clone()).await;
    replaces_atomically(store).await;
}

async fn reads_what_was_written(store: &dyn FileStore) {
    assert_eq!(store.get("missing").await.unwrap(), None);
    assert_eq!(store.get("missing/deeper/still").await.unwrap(), None);
    let binary: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for (key, bytes) in [("plain.txt", b"one".to_vec()), ("a/b/c/empty", Vec::new()), ("a/b/binary", binary)]
    {
        store.put(key, bytes.clone()).await.unwrap();
        assert_eq!(store.get(key).await.unwrap(), Some(bytes), "{key}");
    }
    assert_eq!(store.get("plain.txt/below").await.unwrap(), None);
    assert_eq!(store.get("a/b").await.unwrap(), None);
    store.put("plain.txt", b"two".to_vec()).await.unwrap();
    assert_eq!(store.get("plain.txt").await.unwrap(), Some(b"two".to_vec()));
}

async fn reads_parts(store: &dyn FileStore) {
    let bytes: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
    store.put("parts/file", bytes.clone()).await.unwrap();
    for range in [0..1, 0..200_000, 70_000..131_072, 199_999..200_000, 5..5] {
        let part = store.get_range("parts/file", range.clone()).await.unwrap().unwrap();
        assert!(part == bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    for range in [199_999..200_001, 200_000..200_001, 1_000_000..1_000_001] {
        let beyond = store.get_range("parts/file", range.clone()).await;
        assert!(matches!(beyond, Err(FileError::Unavailable(_))), "{range:?}");
    }
    for range in [0..1, 0..0] {
        assert_eq!(store.get_range("parts/none", range.clone()).await.unwrap(), None);
        assert_eq!(store.get_range("parts", range.clone()).await.unwrap(), None);
        assert_eq!(store.get_range("parts/file/below", range).await.unwrap(), None);
    }
    assert!(matches!(store.get_range("../outside", 0..1).await, Err(FileError::InvalidKey)));
}

async fn stores_piece_by_piece(store: &dyn FileStore) {
    // More than two parts of the adapter, and no multiple of one.
    let bytes: Vec<u8> = (0..20_000_007u32).map(|number| (number % 251) as u8).collect();
    let mut upload = store.begin("pieces/file").await.unwrap();
    for piece in bytes.chunks(300_001) {
        upload.write(piece).await.unwrap();
    }
    assert_eq!(store.get("pieces/file").await.unwrap(), None, "nothing is seen before the end");
    upload.finish().await.unwrap();
    assert!(store.get("pieces/file").await.unwrap().unwrap() == bytes);
    let part = store.get_range("pieces/file", 8_388_600..8_388_700).await.unwrap().unwrap();
    assert_eq!(part, bytes[8_388_600..8_388_700]);

    let mut again = store.begin("pieces/file").await.unwrap();
    again.write(b"shorter").await.unwrap();
    again.finish().await.unwrap();
    assert_eq!(store.get("pieces/file").await.unwrap(), Some(b"shorter".to_vec()));

    let mut cut = store.begin("pieces/cut").await.unwrap();
    cut.write(&bytes).await.unwrap();
    drop(cut);
    let mut listed = store.list("pieces").await.unwrap();
    listed.sort();
    assert_eq!(listed, ["pieces/file"], "what is not finished is not there");
    assert!(matches!(store.begin("../outside").await.err(), Some(FileError::InvalidKey)));
}

async fn refuses_keys_of_others(store: &dyn FileStore) {
    for key in ["", "/etc/passwd", "../outside", "a/../../outside", "a//b", "a/", "a/./b", "a\\b", "a\0b"] {
        assert!(matches!(store.put(key, vec![1]).await, Err(FileError::InvalidKey)), "{key:?}");
        assert!(matches!(store.get(key).await, Err(FileError::InvalidKey)), "{key:?}");
        assert!(matches!(store.delete_prefix(key).await, Err(FileError::InvalidKey)), "{key:?}");
    }
}

async fn deletes_by_whole_parts(store: &dyn FileStore) {
    let gone = ["sites/1/index.html", "sites/1/about/index.html", "sites/1/about/team/index.html"];
    let kept = ["sites/10/index.html", "sites/1.html", "sites/2/index.html"];
    for key in gone.iter().chain(&kept) {
        store.put(key, key.as_bytes().to_vec()).await.unwrap();
    }
    store.delete_prefix("sites/1").await.unwrap();
    for key in gone {
        assert_eq!(store.get(key).await.unwrap(), None, "{key}");
    }
    for key in kept {
        assert_eq!(store.get(key).await.unwrap(), Some(key.as_bytes().to_vec()), "{key}");
    }
    // Nothing is under it, and a file whose name only begins with it stays.
    store.delete_prefix("sites/1").await.unwrap();
    store.delete_prefix("never/was").await.unwrap();
    store.delete_prefix("sites/1.html").await.unwrap();
    assert!(store.get("sites/1.html").await.unwrap().is_some());
}

async fn lists_and_deletes_single_files(store: &dyn FileStore) {
    let all = ["list/1/a", "list/1/b/c", "list/10/d", "list/1.txt"];
    for key in all {
        store.put(key, vec![1]).await.unwrap();
    }
    let mut listed = store.list("list/1").await.unwrap();
    listed.sort();
    assert_eq!(listed, ["list/1/a", "list/1/b/c"]);
    assert_eq!(store.list("list/none").await.unwrap(), Vec::<String>::new());
    store.delete("list/1/a").await.unwrap();
    store.delete("list/1/a").await.unwrap();
    assert_eq!(store.get("list/1/a").await.unwrap(), None);
    assert_eq!(store.list("list/1").await.unwrap(), ["list/1/b/c"]);
    for key in ["", "../a", "a/"] {
        assert!(matches!(store.delete(key).await, Err(FileError::InvalidKey)), "{key:?}");
        assert!(matches!(store.list(key).await, Err(FileError::InvalidKey)), "{key:?}");
    }
}

async fn reads_many_at_once(store: Arc<dyn FileStore>) {
    let bytes: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
    store.put("crowd", bytes.clone()).await.unwrap();
    let readers: Vec<_> = (0..100u64)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.get_range("crowd", number * 1_000..(number + 1) * 1_000).await })
        })
        .collect();
    // What some do not wait for does not keep the others.
    readers.iter().take(10).for_each(|reader| reader.abort());
    for (part, reader) in bytes.chunks(1_000).zip(readers).skip(10) {
        assert_eq!(reader.await.unwrap().unwrap().as_deref(), Some(part));
    }
}

async fn replaces_atomically(store: Arc<dyn FileStore>) {
    const SIZE: usize = 200_000;
    store.put("switch", vec![0; SIZE]).await.unwrap();
    let writers: Vec<_> = (1..=4u8)
        .map(|value| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    store.put("switch", vec![value; SIZE]).await.unwrap();
                }
            })
        })
        .collect();
    while !writers.iter().all(|writer| writer.is_finished()) {
        let seen = store.get("switch").await.unwrap().unwrap();
        assert!(
            seen.len() == SIZE && seen.iter().all(|byte| *byte == seen[0]),
            "a reader saw two files in one"
        );
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_files() {
    let directory = tempfile::tempdir().unwrap();
    keeps_the_contract(Arc::new(ObjectFileStore::directory(directory.path()).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    keeps_the_contract(Arc::new(ObjectFileStore::over(Arc::new(InMemory::new())))).await;
}

#[tokio::test]
async fn what_is_not_finished_leaves_no_part_in_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = ObjectFileStore::directory(directory.path()).unwrap();
    let mut cut = store.begin("a/b").await.unwrap();
    cut.write(&vec![7; 9 << 20]).await.unwrap();
    drop(cut);
    let left = || std::fs::read_dir(directory.path().join("a")).map_or(0, Iterator::count);
    for _ in 0..500 {
        if left() == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(left(), 0);
    let direct = store.direct_url("a/b", std::time::Duration::from_secs(60)).await.unwrap();
    assert_eq!(direct, None, "nobody gets files of a directory without us");
}

#[tokio::test]
async fn local_files_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("file://{}/new/files", directory.path().display());
    ObjectFileStore::open(&address).unwrap().put("a/b", vec![7]).await.unwrap();
    assert_eq!(ObjectFileStore::open(&address).unwrap().get("a/b").await.unwrap(), Some(vec![7]));
    assert!(directory.path().join("new/files/a/b").is_file());
}

#[tokio::test]
async fn deleting_leaves_no_directory_and_no_unfinished_upload() {
    let directory = tempfile::tempdir().unwrap();
    let store = ObjectFileStore::directory(directory.path()).unwrap();
    store.put("sites/1/about/index.html", vec![1]).await.unwrap();
    std::fs::write(directory.path().join("sites/1/about/crashed.html#1"), "half").unwrap();
    std::fs::create_dir_all(directory.path().join("sites/1/hollow")).unwrap();
    store.delete_prefix("sites/1").await.unwrap();
    assert!(!directory.path().join("sites/1").exists());

    store.put("sites/2/index.html", vec![1]).await.unwrap();
    store.delete_prefix("sites/2").await.unwrap();
    assert!(!Path::new(&directory.path().join("sites/2")).exists() && directory.path().exists());
}

#[test]
fn a_wrong_address_is_told_plainly() {
    let error = |address: &str| ObjectFileStore::open(address).err().unwrap().to_string();
    assert_eq!(error("ftp://host/path"), "no storage for addresses that begin with `ftp:`; use file: or s3:");
    assert!(error("nonsense").contains("`nonsense` is not an address"));
    assert!(error("file://host/path").contains("is not an address"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let result = ObjectFileStore::directory(file.path());
    assert!(matches!(result, Err(OpenError::Directory(..))));
}

/// Credentials of the tests for the server.
fn access(server: &S3Server) -> S3Options<'_> {
    S3Options {
        endpoint: Some(&server.url),
        access_key_id: Some("test"),
        secret_access_key: Some("secret"),
        allow_http: true,
        ..S3Options::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3() {
    let server = S3Server::get();
    server.make_bucket("contract");
    let store = ObjectFileStore::s3("s3://contract", access(server)).unwrap();
    keeps_the_contract(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_below_a_prefix() {
    let server = S3Server::get();
    server.make_bucket("shared");
    let open = |address: &str| ObjectFileStore::s3(address, access(server)).unwrap();
    keeps_the_contract(Arc::new(open("s3://shared/portico/files/"))).await;

    let (one, other, root) = (open("s3://shared/one"), open("s3://shared/other"), open("s3://shared"));
    one.put("a/b", vec![7]).await.unwrap();
    assert_eq!(other.get("a/b").await.unwrap(), None);
    assert_eq!(root.get("one/a/b").await.unwrap(), Some(vec![7]));
    assert_eq!(one.list("a").await.unwrap(), ["a/b"], "keys are told without the prefix");
    other.delete_prefix("a").await.unwrap();
    assert_eq!(one.get("a/b").await.unwrap(), Some(vec![7]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_gives_a_file_to_whoever_has_its_signed_address() {
    let server = S3Server::get();
    server.make_bucket("direct");
    let store = ObjectFileStore::s3("s3://direct/below", access(server)).unwrap();
    store.put("a/setup-1.0.exe", b"program".to_vec()).await.unwrap();
    let url = store.direct_url("a/setup-1.0.exe", std::time::Duration::from_secs(60)).await.unwrap().unwrap();
    let path = url.strip_prefix(&server.url).unwrap();
    assert!(path.starts_with("/direct/below/a/setup-1.0.exe?") && path.contains("X-Amz-Expires=60"), "{url}");
    let host = server.url.trim_start_matches("http://");
    let mut connection = std::net::TcpStream::connect(host).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut connection, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut connection, &mut answer).unwrap();
    assert!(answer.split_whitespace().nth(1) == Some("200") && answer.ends_with("program"), "{answer}");
    assert!(
        matches!(store.direct_url("../a", std::time::Duration::ZERO).await, Err(FileError::InvalidKey)),
        "no other key is signed"
    );
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_a_store_that_fails() {
    let store = ObjectFileStore::s3("s3://nobody-made-it", access(S3Server::get())).unwrap();
    assert!(matches!(store.put("a", vec![1]).await, Err(FileError::Unavailable(_))));
}

#[test]
fn a_wrong_bucket_or_endpoint_is_told_plainly() {
    let error = |address: &str, options| ObjectFileStore::s3(address, options).err().unwrap().to_string();
    for address in
        ["s3://", "s3://a", "s3://Bucket", "s3://bucket/../x", "s3:bucket", "s3://bucket/a b", "s3://b@d/x"]
    {
        assert!(error(address, S3Options::default()).contains("is not an address such as s3:"), "{address}");
    }
    for (endpoint, allow_http) in
        [("http://127.0.0.1:1", false), ("ftp://host", true), ("host:9000", true), ("https://", true)]
    {
        let options = S3Options { endpoint: Some(endpoint), allow_http, ..S3Options::default() };
        assert!(error("s3://bucket", options).contains("begins with https:"), "{endpoint}");
    }
}

#[tokio::test]
async fn a_directory_that_is_gone_does_not_answer_and_a_new_one_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("deep/files");
    let store = ObjectFileStore::directory(&files).unwrap();
    store.ping().await.unwrap();
    for made in ["deep", "deep/files"] {
        let mode = std::fs::metadata(folder.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
    std::fs::remove_dir_all(&files).unwrap();
    assert!(matches!(store.ping().await, Err(FileError::Unavailable(_))));
}
