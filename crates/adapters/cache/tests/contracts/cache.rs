//! The contract of every cache, and behaviour while Redis is unavailable.

use std::time::{Duration, Instant};

use portico_cache::{MemoryCache, Redis, RedisCache};
use portico_kernel::cache::{Cache, Lookup};
use portico_testkit::redis::{TestRedis, free_port};

use crate::{PATIENT, eventually, redis};

const MINUTE: Duration = Duration::from_secs(60);

async fn open(address: &str) -> RedisCache {
    RedisCache::new(redis(address, PATIENT).await)
}

async fn value(cache: &dyn Cache, group: u16, key: &str) -> Option<Vec<u8>> {
    cache.get(group, key).await.unwrap().value
}

async fn put(cache: &dyn Cache, group: u16, key: &str, text: &str) {
    let Lookup { generation, .. } = cache.get(group, key).await.unwrap();
    cache.put(group, generation, key, text.as_bytes().to_vec(), MINUTE).await.unwrap();
}

async fn keeps_its_promises(cache: &dyn Cache) {
    assert_eq!(value(cache, 1, "a").await, None);
    put(cache, 1, "a", "one").await;
    put(cache, 1, "b", "").await;
    put(cache, 2, "a", "two").await;
    assert_eq!(value(cache, 1, "a").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(value(cache, 1, "b").await.as_deref(), Some(&b""[..]));
    assert_eq!(value(cache, 2, "a").await.as_deref(), Some(&b"two"[..]));

    // A value made from data read before the group was invalidated is not stored.
    let before = cache.get(1, "c").await.unwrap().generation;
    cache.forget(1).await.unwrap();
    cache.put(1, before, "c", b"stale".to_vec(), MINUTE).await.unwrap();
    for key in ["a", "b", "c"] {
        assert_eq!(value(cache, 1, key).await, None, "{key}");
    }
    assert_eq!(value(cache, 2, "a").await.as_deref(), Some(&b"two"[..]));
    put(cache, 1, "a", "again").await;
    assert_eq!(value(cache, 1, "a").await.as_deref(), Some(&b"again"[..]));

    let generation = cache.get(3, "short").await.unwrap().generation;
    cache.put(3, generation, "short", b"x".to_vec(), Duration::from_millis(50)).await.unwrap();
    let expired = async || value(cache, 3, "short").await.is_none().then_some(());
    eventually(Duration::from_secs(5), expired).await.expect("it expires");
}

#[tokio::test]
async fn in_the_process() {
    let cache = MemoryCache::default();
    keeps_its_promises(&cache).await;
    // Larger than the answer about any page, and as many as fit into one part at least.
    let large = "x".repeat(1 << 20);
    for key in ["a", "b", "c"] {
        put(&cache, 4, key, &large).await;
    }
    for key in ["a", "b", "c"] {
        assert_eq!(value(&cache, 4, key).await.map(|value| value.len()), Some(large.len()), "{key}");
    }
}

#[tokio::test]
async fn in_redis_for_everybody() {
    let server = TestRedis::start().await;
    let address = server.url();
    let one = open(&address).await;
    keeps_its_promises(&one).await;
    let other = open(&address).await;
    put(&one, 7, "shared", "value").await;
    assert_eq!(value(&other, 7, "shared").await.as_deref(), Some(&b"value"[..]));
    other.forget(7).await.unwrap();
    assert_eq!(value(&one, 7, "shared").await, None);
}

#[tokio::test]
async fn redis_that_is_away_is_an_error_at_once_and_comes_back_by_itself() {
    let port = free_port();
    let cache = open(&format!("redis://127.0.0.1:{port}/")).await;
    let started = Instant::now();
    for _ in 0..20 {
        assert!(cache.get(1, "a").await.is_err());
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let server = TestRedis::start_at(port).await;
    let back = async |cache: &RedisCache| {
        let found = async || cache.get(1, "a").await.ok();
        eventually(Duration::from_secs(10), found).await.expect("it comes back");
    };
    back(&cache).await;
    put(&cache, 1, "a", "one").await;
    drop(server);
    let gone = async || cache.get(1, "a").await.err();
    eventually(Duration::from_secs(10), gone).await.expect("the server goes");
    let _server = TestRedis::start_at(port).await;
    back(&cache).await;
    assert_eq!(value(&cache, 1, "a").await, None);
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_not_repeated() {
    let error = Redis::open("http://:hunter2@cache", PATIENT).await.map(|_| ()).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}
