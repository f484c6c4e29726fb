use portico_kernel::Device;

use super::*;
use crate::fixture::{Store, marks};

fn aim(email: &str, address: &str) -> Aim {
    let request = RequestInfo { address: Some(address.into()), ..RequestInfo::default() };
    Aim::new(EmailAddress::parse(email).unwrap(), &request)
}

fn with_device(aim: &Aim, device: u128) -> Aim {
    Aim { device: Some(Uuid::from_u128(device)), ..aim.clone() }
}

/// Seconds to wait; 0 for none.
async fn wait(store: &mut Store, aim: &Aim) -> u64 {
    let (env, rule) = (store.env(), ThrottleRule::default());
    match Throttle::new(store, &env, &rule, &marks()).check(aim).await {
        Ok(()) => 0,
        Err(IdentityError::Throttled { seconds }) => seconds,
        Err(other) => panic!("{other}"),
    }
}

async fn fail(store: &mut Store, aim: &Aim, user: Option<UserId>, times: u32) {
    let (env, rule, scope) = (store.env(), ThrottleRule::default(), store.anonymous());
    for _ in 0..times {
        Throttle::new(store, &env, &rule, &marks()).failed(&scope, aim, user).await.unwrap();
    }
}

/// Signs in, so that the network and the device are known.
async fn sign_in(store: &mut Store, user: UserId, aim: &Aim) {
    let device = aim.device.map(|id| Device { id, shown: true });
    let request = RequestInfo { address: Some(aim.network.clone()), device, ..RequestInfo::default() };
    let env = store.env();
    crate::device::meet(store, &env, &request, user).await.unwrap();
}

#[tokio::test]
async fn a_pair_waits_longer_and_longer() {
    let mut store = Store::default();
    let aim = aim("ada@example.com", "192.0.2.1");
    fail(&mut store, &aim, None, 4).await;
    assert_eq!(wait(&mut store, &aim).await, 0);
    for pause in [30, 60, 120, 240, 480, 900] {
        fail(&mut store, &aim, None, 1).await;
        assert_eq!(wait(&mut store, &aim).await, pause);
        store.pass(Duration::seconds(pause as i64) - Duration::milliseconds(1));
        assert_eq!(wait(&mut store, &aim).await, 1);
        store.pass(Duration::milliseconds(1));
        assert_eq!(wait(&mut store, &aim).await, 0, "after {pause} s");
    }
    store.pass(Duration::hours(1));
    fail(&mut store, &aim, None, 1).await;
    assert_eq!(wait(&mut store, &aim).await, 0, "all of it is forgotten after an hour");
}

#[tokio::test]
async fn others_do_not_wait() {
    let mut store = Store::default();
    fail(&mut store, &aim("ada@example.com", "2001:db8::1"), None, 9).await;
    assert!(wait(&mut store, &aim("ADA@example.com", "2001:db8::2")).await > 0, "the same network");
    assert_eq!(wait(&mut store, &aim("ada@example.com", "2001:db8:0:1::1")).await, 0);
    assert_eq!(wait(&mut store, &aim("eve@example.com", "2001:db8::1")).await, 0);
}

#[tokio::test]
async fn a_network_that_tries_many_accounts_waits() {
    let mut store = Store::default();
    for number in 0..49 {
        fail(&mut store, &aim(&format!("u{number}@example.com"), "192.0.2.1"), None, 1).await;
        store.pass(Duration::seconds(6));
    }
    let fresh = aim("fresh@example.com", "192.0.2.1");
    assert_eq!(wait(&mut store, &fresh).await, 0);
    fail(&mut store, &aim("u49@example.com", "192.0.2.1"), None, 1).await;
    let pause = wait(&mut store, &fresh).await;
    assert!((3000..=3600).contains(&pause), "{pause}: until the first span is over");
    assert_eq!(wait(&mut store, &aim("fresh@example.com", "192.0.2.2")).await, 0);
    store.pass(Duration::seconds(pause as i64));
    assert_eq!(wait(&mut store, &fresh).await, 0);
}

#[tokio::test]
async fn whoever_signed_in_from_a_network_is_not_kept_out_by_its_other_users() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true).id;
    let office = aim("ada@example.com", "192.0.2.1");
    sign_in(&mut store, user, &office).await;
    for number in 0..60 {
        fail(&mut store, &aim(&format!("u{number}@example.com"), "192.0.2.1"), None, 1).await;
    }
    assert!(wait(&mut store, &aim("eve@example.com", "192.0.2.1")).await > 0);
    assert_eq!(wait(&mut store, &office).await, 0);
    fail(&mut store, &office, Some(user), 5).await;
    assert_eq!(wait(&mut store, &office).await, 30, "but the pair has its own limit");
}

#[tokio::test]
async fn an_attack_from_everywhere_does_not_lock_the_owner_out() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true).id;
    let home = aim("ada@example.com", "198.51.100.1");
    let laptop = with_device(&aim("ada@example.com", "198.51.100.2"), 1);
    sign_in(&mut store, user, &home).await;
    sign_in(&mut store, user, &laptop).await;
    for number in 0..100 {
        let network = format!("10.0.{number}.1");
        fail(&mut store, &aim("ada@example.com", &network), Some(user), 1).await;
        fail(&mut store, &aim("nobody@example.com", &network), None, 1).await;
    }
    let stranger = wait(&mut store, &aim("ada@example.com", "203.0.113.1")).await;
    assert!(stranger > 0);
    let unknown = wait(&mut store, &aim("nobody@example.com", "203.0.113.1")).await;
    assert_eq!(unknown, stranger, "an address that nobody has is treated alike");
    assert_eq!(wait(&mut store, &home).await, 0);
    assert_eq!(
        wait(&mut store, &with_device(&aim("ada@example.com", "203.0.113.1"), 1)).await,
        0,
        "elsewhere"
    );
    assert!(wait(&mut store, &with_device(&aim("ada@example.com", "203.0.113.1"), 2)).await > 0);

    store.pass(TRUSTED + Duration::seconds(1));
    for number in 0..100 {
        fail(&mut store, &aim("ada@example.com", &format!("10.0.{number}.1")), Some(user), 1).await;
    }
    assert!(wait(&mut store, &home).await > 0, "known for 90 days");
}

#[tokio::test]
async fn an_account_that_proved_nothing_lends_nobody_its_networks() {
    let mut store = Store::default();
    store.user("ada@example.com", true);
    let squatter = store.user("ada@example.com", false).id;
    let attacker = with_device(&aim("ada@example.com", "203.0.113.1"), 6);
    sign_in(&mut store, squatter, &attacker).await;
    for number in 0..100 {
        fail(&mut store, &aim("ada@example.com", &format!("10.0.{number}.1")), None, 1).await;
    }
    assert!(wait(&mut store, &attacker).await > 0);
}

#[tokio::test]
async fn a_known_device_has_guesses_of_its_own_and_not_more() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true).id;
    let shared = aim("ada@example.com", "192.0.2.1");
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
    let aim = with_device(&aim("ada@example.com", "192.0.2.1"), 1);
    fail(&mut store, &aim, None, 8).await;
    assert!(wait(&mut store, &aim).await > 0);
    let (env, rule) = (store.env(), ThrottleRule::default());
    Throttle::new(&mut store, &env, &rule, &marks()).clear_failures(&aim).await.unwrap();
    assert_eq!(wait(&mut store, &aim).await, 0);
}

#[tokio::test]
async fn the_moment_is_noted_once_and_without_addresses() {
    let mut store = Store::default();
    let user = store.user("ada@example.com", true).id;
    for number in 0..20 {
        fail(&mut store, &aim("ada@example.com", &format!("10.0.{number}.1")), Some(user), 6).await;
    }
    let events: Vec<_> = store.events().iter().map(|e| (e.kind.as_ref(), e.after.clone().unwrap())).collect();
    assert!(
        events.iter().all(|(kind, after)| *kind == "session.throttled" && !after.to_string().contains('@'))
    );
    let by = |word: &str| events.iter().filter(|(_, after)| after["by"] == word).count();
    assert_eq!((by("account_and_network"), by("network"), by("account")), (20, 0, 1));
    fail(&mut store, &aim("nobody@example.com", "10.0.0.1"), None, 5).await;
    let last = store.events().last().unwrap();
    assert_eq!(last.resource.id, TenantId::PLATFORM.uuid(), "about nobody");
}
