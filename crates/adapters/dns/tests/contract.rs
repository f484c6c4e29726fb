//! The contract of the port, against a scripted name server.
#![allow(clippy::unwrap_used, reason = "a test; the lint spares only functions marked #[test]")]

use std::time::{Duration, Instant};

use portico_dns::HickoryResolver;
use portico_sites::ports::{DomainResolver, Pointing, ResolveError};
use portico_testkit::dns::TestDns;

async fn pair() -> (TestDns, HickoryResolver) {
    let dns = TestDns::start().await;
    let resolver = HickoryResolver::new(vec![dns.address()], Duration::from_millis(300));
    (dns, resolver)
}

#[tokio::test]
async fn texts_are_found_with_their_parts_put_together() {
    let (dns, resolver) = pair().await;
    dns.txt("_challenge.example.com", &["one", "another=text with spaces"]);
    let mut texts = resolver.texts("_challenge.example.com").await.unwrap();
    texts.sort();
    assert_eq!(texts, ["another=text with spaces", "one"]);
    let long = "x".repeat(600);
    dns.txt("long.example.com", &[&long]);
    assert_eq!(resolver.texts("long.example.com").await.unwrap(), [long]);
    assert_eq!(resolver.texts("LONG.example.com").await.unwrap().len(), 1);
}

#[tokio::test]
async fn more_than_fits_into_a_packet_comes_too() {
    let (dns, resolver) = pair().await;
    let many: Vec<String> = (0..40).map(|number| format!("{number:03}-{}", "y".repeat(200))).collect();
    dns.txt("many.example.com", &many.iter().map(String::as_str).collect::<Vec<_>>());
    let mut texts = resolver.texts("many.example.com").await.unwrap();
    texts.sort();
    assert_eq!(texts, many);
}

#[tokio::test]
async fn what_is_not_there_is_nothing_and_no_error() {
    let (dns, resolver) = pair().await;
    dns.a("example.com", "192.0.2.1");
    assert_eq!(resolver.texts("nobody.example.com").await.unwrap(), Vec::<String>::new());
    assert_eq!(resolver.texts("example.com").await.unwrap(), Vec::<String>::new());
    assert_eq!(resolver.pointing("nobody.example.com").await.unwrap(), Pointing::default());
}

#[tokio::test]
async fn aliases_are_followed_and_told() {
    let (dns, resolver) = pair().await;
    dns.cname("www.example.com", "a.cdn.example");
    dns.cname("a.cdn.example", "Edge.Example");
    dns.a("edge.example", "192.0.2.7");
    dns.aaaa("edge.example", "2001:db8::7");
    let found = resolver.pointing("www.example.com").await.unwrap();
    assert_eq!(found.aliases, ["a.cdn.example", "edge.example"]);
    assert_eq!(
        found.addresses,
        ["192.0.2.7".parse::<std::net::IpAddr>().unwrap(), "2001:db8::7".parse().unwrap()]
    );
    dns.cname("_challenge.example.com", "proofs.example");
    dns.txt("proofs.example", &["here"]);
    assert_eq!(resolver.texts("_challenge.example.com").await.unwrap(), ["here"]);
    dns.cname("dangling.example.com", "nowhere.example");
    let dangling = resolver.pointing("dangling.example.com").await.unwrap();
    assert_eq!((dangling.aliases, dangling.addresses.len()), (vec!["nowhere.example".to_owned()], 0));
    // A loop of aliases is not followed forever.
    dns.cname("round.example", "about.example");
    dns.cname("about.example", "round.example");
    assert!(resolver.pointing("round.example").await.is_ok_and(|found| found.addresses.is_empty()));
}

#[tokio::test]
async fn only_an_address_of_the_sixth_version_will_do() {
    let (dns, resolver) = pair().await;
    dns.aaaa("six.example", "2001:db8::6");
    dns.cname("www.six.example", "six.example");
    let found = resolver.pointing("www.six.example").await.unwrap();
    assert_eq!(found.aliases, ["six.example"]);
    assert_eq!(found.addresses, ["2001:db8::6".parse::<std::net::IpAddr>().unwrap()]);
}

#[tokio::test]
async fn nothing_is_answered_from_a_cache() {
    let (dns, resolver) = pair().await;
    assert!(resolver.texts("late.example").await.unwrap().is_empty());
    dns.txt("late.example", &["first"]);
    assert_eq!(resolver.texts("late.example").await.unwrap(), ["first"]);
    dns.txt("late.example", &["second"]);
    assert_eq!(resolver.texts("late.example").await.unwrap(), ["second"]);
    dns.clear("late.example");
    assert!(resolver.texts("late.example").await.unwrap().is_empty());
}

#[tokio::test]
async fn silence_ends_in_time() {
    let (dns, resolver) = pair().await;
    dns.silence("silent.example");
    let started = Instant::now();
    assert_eq!(resolver.texts("silent.example").await, Err(ResolveError::TimedOut));
    assert_eq!(resolver.pointing("silent.example").await, Err(ResolveError::TimedOut));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn servers_that_fail_say_nothing_about_the_name() {
    let (dns, resolver) = pair().await;
    dns.fail("broken.example");
    for answer in [
        resolver.texts("broken.example").await.map(drop),
        resolver.pointing("broken.example").await.map(drop),
    ] {
        assert!(matches!(answer, Err(ResolveError::Failed(_))), "{answer:?}");
    }
}
