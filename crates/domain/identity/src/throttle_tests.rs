use portico_kernel::Device;

use super::*;
use crate::fixture::{Store, marks};

fn target(email: &str, address: &str) -> GuessTarget {
    let request = RequestInfo { address: Some(address.into()), ..RequestInfo::default() };
    GuessTarget::new(EmailAddress::parse(email).unwrap(), &request)
}

fn with_device(target: &GuessTarget, device: u128) -> GuessTarget {
    GuessTarget { device: Some(Uuid::from_u128(device)), ..target.clone() }
}

/// Seconds to wait; 0 for none.
async fn wait(store: &mut Store, target: &GuessTarget) -> u64 {
    let (env, rule) = (store.env(), ThrottleRule::default());
    match Throttle::new(store, &env, &rule, &marks()).check(target).await {
        Ok(()) => 0,
        Err(IdentityError::Throttled { seconds }) => seconds,
        Err(other) => panic!("{other}"),
    }
}

async fn fail(store: &mut Store, target: &GuessTarget, user: Option<UserId>, times: u32) {
    let (env, rule, scope) = (store.env(), ThrottleRule::default(), store.anonymous());
    for _ in 0..times {
        Throttle::new(store, &env, &rule, &marks()).failed(&scope, target, user).await.unwrap();
    }
}

/// Signs in, so that the network and the device are known.
async fn sign_in(store: &mut Store, user: UserId, target: &GuessTarget) {
    let device = target.device.map(|id| Device { id, shown: true });
    let request = RequestInfo { address: Some(target.network.clone()), device, ..RequestInfo::default() };
    let env = store.env();
    crate::device::meet(store, &env, &request, user).await.unwrap();
}

#[tokio::test]
async fn a_pair_waits_longer_and_longer() {
    let mut store = Store::default();
    let target = target("ada@example.com", "192.0.2.1");
    fail(&mut store, &target, None, 4).await;
    assert_eq!(wait(&mut store, &target).await, 0);
    for pause in [30, 60, 120, 240, 480, 900] {
        fail(&mut store, &target, None, 1).await;
        assert_eq!(wait(&mut store, &target).await, pause);
        store.pass(Duration::seconds(pause as i64) - Duration::milliseconds(1));
        assert_eq!(wait(&mut store, &target).await, 1);
        store.pass(Duration::milliseconds(1));
        assert_eq!(wait(&mut store, &target).await, 0, "after {pause} s");
    }
    store.pass(Duration::hours(1));
    fail(&mut store, &target, None, 1).await;
    assert_eq!(wait(&mut store, &target).await, 0, "all of it is forgotten after an hour");
}

#[tokio::test]
async fn others_do_not_wait() {
    let mut store = Store::default();
    fail(&mut store, &target("ada@example.com", "2001:db8::1"), None, 9).await;
    assert!(wait(&mut store, &target("ADA@example.com", "2001:db8::2")).await > 0, "the same network");
    assert_eq!(wait(&mut store, &target("ada@example.com", "2001:db8:0:1::1")).await, 0);
    assert_eq!(wait(&mut store, &target("eve@example.com", "2001:db8::1")).await, 0);
}

#[tokio::test]
async fn a_network_that_tries_many_accounts_waits() {
    let mut store = Store::default();
    for number in 0..49 {
        fail(&mut store, &target(&format!("u{number}@example.com"), "192.0.2.1"), None, 1).await;
        store.pass(Duration::seconds(6));
    }
    let fresh = target("fresh@example.com", "192.0.2.1");
    assert_eq!(wait(&mut store, &fresh).await, 0);
    fail(&mut store, &target("u49@example.com", "192.0.2.1"), None, 1).await;
    let pause = wait(&mut store, &fresh).await;
    assert!((3000..=3600).contains(&pause), "{pause}: until the first span is over");
    assert_eq!(wait(&mut store, &target("fresh@example.com", "192.0.2.2")).await, 0);
    store.pass(Duration::seconds(pause as i64));
    assert_eq!(wait(&mut store, &fresh).await, 0);
}

#[tokio::test]
async fn whoever_signed_in_from_a_network_is_not_kept_out_by_its_other_users() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true).id;
    let office = target("ada@example.com", "192.0.2.1");
    sign_in(&mut store, user, &office).await;
    for number in 0..60 {
        fail(&mut store, &target(&format!("u{number}@example.com"), "192.0.2.1"), None, 1).await;
    }
    assert!(wait(&mut store, &target("eve@example.com", "192.0.2.1")).await > 0);
    assert_eq!(wait(&mut store, &office).await, 0);
    fail(&mut store, &office, Some(user), 5).await;
    assert_eq!(wait(&mut store, &office).await, 30, "but the pair has its own limit");
}

#[tokio::test]
async fn an_attack_from_everywhere_does_not_lock_the_owner_out() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true).id;
    let home = target("ada@example.com", "198.51.100.1");
    let laptop = with_device(&target("ada@example.com", "198.51.100.2"), 1);
    sign_in(&mut store, user, &home).await;
    sign_in(&mut store, user, &laptop).await;
    for number in 0..100 {
        let network = format!("10.0.{number}.1");
        fail(&mut store, &target("ada@example.com", &network), Some(user), 1).await;
        fail(&mut store, &target("nobody@example.com", &network), None, 1).await;
    }
    let stranger = wait(&mut store, &target("ada@example.com", "203.0.113.1")).await;
    assert!(stranger > 0);
    let unknown = wait(&mut store, &target("nobody@example.com", "203.0.113.1")).await;
    assert_eq!(unknown, stranger, "an address that nobody has is treated alike");
    assert_eq!(wait(&mut store, &home).await, 0);
    assert_eq!(
        wait(&mut store, &with_device(&target("ada@example.com", "203.0.113.1"), 1)).await,
        0,
        "elsewhere"
    );
    assert!(wait(&mut store, &with_device(&target("ada@example.com", "203.0.113.1"), 2)).await > 0);

    store.pass(TRUSTED + Duration::seconds(1));
    for number in 0..100 {
        fail(&mut store, &target("ada@example.com", &format!("10.0.{number}.1")), Some(user), 1).await;
    }
    assert!(wait(&mut store, &home).await > 0, "known for 90 days");
}

#[tokio::test]
async fn an_account_that_proved_nothing_lends_nobody_its_networks() {
    let mut store = Store::default();
    store.user("ada@example.com", true);
    let squatter = store.user("ada@example.com", false).id;
    let attacker = with_device(&target("ada@example.com", "203.0.113.1"), 6);
    sign_in(&mut store, squatter, &attacker).await;
    for number in 0..100 {
        fail(&mut store, &target("ada@example.com", &format!("10.0.{number}.1")), None, 1).await;
    }
    assert!(wait(&mut store, &attacker).await > 0);
}

#[tokio::test]
async fn a_known_device_has_guesses_of_its_own_and_not_more() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true).id;
    let shared = target("ada@example.com", "192.0.2.1");
    let laptop = with_device(&shared, 1);
    sign_in(&mut store, user, &laptop).await;
    fail(&mut store, &shared, Some(user), 20).await;
    assert!(wait(&mut store, &shared).await > 0);
    assert_eq!(wait(&mut store, &laptop).await, 0, "somebody else in the same network used up its guesses");
    fail(&mut store, &laptop, Some(user), 5).await;
    assert_eq!(wait(&mut store, &laptop).await, 30);
}

#[tokio::test]
async fn a_link_from_the_mail_forgives() {
    let mut store = Store::default();
    let target = with_device(&target("ada@example.com", "192.0.2.1"), 1);
    fail(&mut store, &target, None, 8).await;
    assert!(wait(&mut store, &target).await > 0);
    let (env, rule) = (store.env(), ThrottleRule::default());
    Throttle::new(&mut store, &env, &rule, &marks()).clear_failures(&target).await.unwrap();
    assert_eq!(wait(&mut store, &target).await, 0);
}

#[tokio::test]
async fn the_moment_is_noted_once_and_without_addresses() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true).id;
    for number in 0..20 {
        fail(&mut store, &target("ada@example.com", &format!("10.0.{number}.1")), Some(user), 6).await;
    }
    let events: Vec<_> = store.events().iter().map(|e| (e.kind.as_ref(), e.after.clone().unwrap())).collect();
    assert!(
        events.iter().all(|(kind, after)| *kind == "session.throttled" && !after.to_string().contains('@'))
    );
    let by = |word: &str| events.iter().filter(|(_, after)| after["by"] == word).count();
    assert_eq!((by("account_and_network"), by("network"), by("account")), (20, 0, 1));
    fail(&mut store, &target("nobody@example.com", "10.0.0.1"), None, 5).await;
    let last = store.events().last().unwrap();
    assert_eq!(last.resource.id, TenantId::PLATFORM.uuid(), "about nobody");
}
