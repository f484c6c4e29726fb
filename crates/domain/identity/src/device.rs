//! The devices that a user signs in with: recognising them, and detecting new ones.
//!
//! A browser keeps a mark (a cookie) that we gave it. A client that keeps none is recognised by its network together with the
//! family of its user agent. Neither proves anything: a known device is exempt from a throttle that others caused, and does not
//! cause a message. It never replaces a password.

use std::net::{IpAddr, Ipv6Addr};

use portico_kernel::{Env, RequestInfo, Timestamp, UserId};
use time::Duration;
use uuid::Uuid;

use crate::{IdentityError, ports::IdentityRepositories};

/// How long a device or network is remembered after it was last signed in from.
pub const REMEMBERED: Duration = Duration::days(365);

/// How long it counts as the owner's own while others attack the account.
pub const TRUSTED: Duration = Duration::days(90);

/// Most rows of one account; the one that was not seen for longest is deleted.
const MOST: usize = 50;

/// A device and a network with which a user signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// The user.
    pub user: UserId,
    /// The device that we gave a mark; nil for one that takes none.
    pub device: Uuid,
    /// The network, see [`network_of`].
    pub network: String,
    /// The family of user agents, see [`agent_family`].
    pub agent: String,
    /// Whether it has sent its mark: until then it may be a client that does not keep one.
    pub returned: bool,
    /// First sign-in.
    pub first_seen: Timestamp,
    /// Last sign-in.
    pub last_seen: Timestamp,
}

/// Whether an account was signed in to before from where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recognized {
    /// With the device.
    pub device: bool,
    /// From the network.
    pub network: bool,
}

/// The network of a client: its IPv4 address, or its IPv6 /64, of which one customer has at least one.
pub fn network_of(address: Option<&str>) -> String {
    match address.and_then(|address| address.parse::<IpAddr>().ok()).map(|address| address.to_canonical()) {
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        Some(IpAddr::V4(v4)) => v4.to_string(),
        None => "unknown".to_owned(),
    }
}

/// The family of a user agent, without versions, which change all the time: `Firefox on Linux`, `curl`.
pub fn agent_family(user_agent: Option<&str>) -> String {
    /// The more specific first: most user agents also name other products.
    const BROWSERS: [(&str, &str); 9] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("MSIE", "Internet Explorer"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("Macintosh", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let Some(text) = user_agent.map(str::trim).filter(|text| !text.is_empty()) else {
        return "unknown".to_owned();
    };
    let named = |table: &[(&'static str, &'static str)]| {
        table.iter().find(|(word, _)| text.contains(word)).map(|(_, name)| *name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => {
            let product = text.split(['/', ' ', '(']).next().unwrap_or(text);
            product.chars().filter(|c| !c.is_control()).take(64).collect()
        }
    }
}

/// Records that a user signs in from the device and network of the request. Answers whether these are new for a user who has
/// signed in from others before. The user's row is locked, so that sign-ins of one user run one after the other.
pub(crate) async fn meet(
    repositories: &mut dyn IdentityRepositories,
    env: &Env,
    request: &RequestInfo,
    user: UserId,
) -> Result<bool, IdentityError> {
    let now = env.now();
    let known = repositories.known_devices().list(user).await?;
    let (id, shown) = request.device.map_or((Uuid::nil(), false), |device| (device.id, device.shown));
    let (network, agent) =
        (network_of(request.address.as_deref()), agent_family(request.user_agent.as_deref()));
    let alike = |device: &KnownDevice| device.network == network && device.agent == agent;
    let is_known = known.iter().any(|device| (shown && device.device == id) || alike(device));

    // A client that keeps no mark has one row, not one for each sign-in.
    let superseded = known.iter().filter(|device| !shown && !device.returned && alike(device));
    let crowded_out = known.iter().skip(MOST - 1);
    for device in superseded.chain(crowded_out) {
        repositories.known_devices().remove(user, device.device, &device.network).await?;
    }
    let met =
        KnownDevice { user, device: id, network, agent, returned: shown, first_seen: now, last_seen: now };
    repositories.known_devices().save(&met).await?;
    Ok(!known.is_empty() && !is_known)
}

#[cfg(test)]
mod tests {
    use portico_kernel::Device;

    use super::*;
    use crate::fixture::Store;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

    #[test]
    fn an_ipv6_network_counts_as_one() {
        for (address, network) in [
            (Some("192.0.2.1"), "192.0.2.1"),
            (Some("::ffff:192.0.2.1"), "192.0.2.1"),
            (Some("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64"),
            (Some("nowhere"), "unknown"),
            (None, "unknown"),
        ] {
            assert_eq!(network_of(address), network);
        }
    }

    #[test]
    fn user_agents_have_families() {
        let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36";
        let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 Version/19.0 Mobile Safari/604.1";
        for (agent, family) in [
            (Some(FIREFOX), "Firefox on Linux"),
            (Some(chrome), "Chrome on Windows"),
            (Some(&format!("{chrome} Edg/142.0")[..]), "Edge on Windows"),
            (Some(safari), "Safari on iOS"),
            (Some("curl/8.5.0"), "curl"),
            (Some("My App (1.0)"), "My"),
            (Some(" "), "unknown"),
            (None, "unknown"),
        ] {
            assert_eq!(agent_family(agent), family);
        }
        assert_eq!(agent_family(Some(&"x".repeat(1000))).len(), 64);
    }

    fn request(address: &str, agent: &str, device: Option<(u128, bool)>) -> RequestInfo {
        let device = device.map(|(id, shown)| Device { id: Uuid::from_u128(id), shown });
        RequestInfo {
            address: Some(address.into()),
            user_agent: Some(agent.into()),
            device,
            ..RequestInfo::default()
        }
    }

    async fn is_news(store: &mut Store, user: UserId, request: &RequestInfo) -> bool {
        let env = store.env();
        store.pass(Duration::seconds(1));
        meet(store, &env, request, user).await.unwrap()
    }

    #[tokio::test]
    async fn a_device_is_news_when_neither_it_nor_its_surroundings_are_known() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true).id;
        let home = request("192.0.2.1", FIREFOX, Some((1, false)));
        assert!(!is_news(&mut store, user, &home).await, "there is nothing to compare it with");
        let roaming = request("198.51.100.9", FIREFOX, Some((1, true)));
        assert!(!is_news(&mut store, user, &roaming).await, "the same device elsewhere");
        let cleared = request("192.0.2.1", FIREFOX, Some((2, false)));
        assert!(!is_news(&mut store, user, &cleared).await, "no mark, but known surroundings");
        let stranger = request("203.0.113.5", "curl/8.5.0", Some((3, false)));
        assert!(is_news(&mut store, user, &stranger).await);
        assert!(!is_news(&mut store, user, &stranger).await, "told once");
        let forged = request("203.0.113.7", FIREFOX, Some((1, false)));
        assert!(is_news(&mut store, user, &forged).await, "the id alone is not the mark");
        let other = store.user("eve@example.com", true).id;
        assert!(!is_news(&mut store, other, &stranger).await, "each account on its own");
    }

    #[tokio::test]
    async fn a_client_without_a_mark_takes_one_row() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true).id;
        let laptop = request("192.0.2.1", FIREFOX, Some((1, false)));
        is_news(&mut store, user, &laptop).await;
        is_news(&mut store, user, &request("192.0.2.1", FIREFOX, Some((1, true)))).await;
        for number in 2..40 {
            is_news(&mut store, user, &request("192.0.2.1", FIREFOX, Some((number, false)))).await;
        }
        let devices: Vec<_> = store.devices(user).iter().map(|device| device.device.as_u128()).collect();
        assert_eq!(devices, [39, 1], "the laptop has come back, so it stays");
    }

    #[tokio::test]
    async fn rows_are_bounded() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true).id;
        for number in 0..120 {
            let address = format!("192.0.2.{number}");
            is_news(&mut store, user, &request(&address, FIREFOX, Some((7, true)))).await;
        }
        assert_eq!(store.devices(user).len(), MOST);
        assert_eq!(store.devices(user)[0].network, "192.0.2.119");
    }
}
