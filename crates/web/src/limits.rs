//! Rate limits: per address for anonymous requests, per user or key otherwise, and stricter on routes that allow guessing
//! secrets or send mail. Instances share them through Redis, if configured.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use portico_kernel::{
    ApiKeyId, UserId,
    limits::{Quota, RateLimiter, Verdict},
};

use crate::settings::RateLimit;

/// What decides how many requests a user or a key may send in a minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate<'a> {
    /// The limit of the key itself.
    pub own: Option<u32>,
    /// What the operator has agreed on with the tenant. It is the most that a key may have.
    pub agreed: Option<u32>,
    /// Id of the plan of the tenant.
    pub plan: Option<&'a str>,
}

/// The limits of requests.
pub struct Limits {
    limiter: Arc<dyn RateLimiter>,
    settings: RateLimit,
}

impl Limits {
    /// `None` if limits are disabled.
    pub fn new(settings: &RateLimit, limiter: Arc<dyn RateLimiter>) -> Option<Self> {
        settings.enabled.then(|| Self { limiter, settings: settings.clone() })
    }

    /// Counts a request without valid credentials. `strict` is the path, if it has the strict limit.
    pub async fn check(&self, strict: Option<&str>, address: IpAddr) -> Verdict {
        let network = network(address);
        match strict {
            Some(path) => self.count(&format!("path:{path}:{network}"), self.settings.sensitive).await,
            None => self.count(&format!("address:{network}"), self.settings.per_address).await,
        }
    }

    /// Counts a request that a service is to have signed, before its signature is checked.
    pub async fn check_signed(&self, address: IpAddr) -> Verdict {
        self.count(&format!("signed:{}", network(address)), self.settings.signed).await
    }

    /// Counts a request by a signed-in user who acts in a tenant with this rate. On the strict routes the limit of the address
    /// applies as well.
    pub async fn check_user(
        &self,
        strict: Option<&str>,
        user: UserId,
        rate: Rate<'_>,
        address: IpAddr,
    ) -> Verdict {
        if strict.is_some() {
            return self.check(strict, address).await;
        }
        // One count for all tenants: membership in several does not raise the limit.
        let limit = rate.agreed.unwrap_or_else(|| self.settings.for_user(rate.plan));
        self.count(&format!("user:{user}"), limit).await
    }

    /// Counts a request with a valid API key. On the strict routes the limit of the address applies as well.
    pub async fn check_key(
        &self,
        strict: Option<&str>,
        key: ApiKeyId,
        rate: Rate<'_>,
        address: IpAddr,
    ) -> Verdict {
        if strict.is_some() {
            return self.check(strict, address).await;
        }
        let limit = match (rate.own, rate.agreed) {
            (Some(own), Some(agreed)) => own.min(agreed),
            (Some(limit), None) | (None, Some(limit)) => limit,
            (None, None) => self.settings.for_key(rate.plan),
        };
        self.count(&format!("key:{key}"), limit).await
    }

    /// Counts a query for the rate of a tenant that a user names, before the request itself is counted. Limited to the rate
    /// of requests without one.
    pub async fn may_look_up(&self, user: UserId) -> bool {
        self.count(&format!("plan:{user}"), self.settings.per_user).await.allowed
    }

    /// Counts a purchase that a user begins to pay, besides the request itself. One count for all tenants.
    pub async fn check_checkout(&self, user: UserId) -> Verdict {
        self.count(&format!("checkout:{user}"), self.settings.checkouts).await
    }

    /// Removes counts that are back at their full limit. To be called periodically, so that memory stays bounded.
    pub fn forget_idle(&self) {
        self.limiter.forget_idle();
    }

    async fn count(&self, name: &str, per_minute: u32) -> Verdict {
        self.limiter.count(name, Quota::per_minute(per_minute)).await
    }
}

/// A customer usually has at least a /64 of IPv6 addresses, so that counts as one address.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use portico_cache::ProcessLimiter;

    use super::*;
    use crate::settings::PlanLimits;

    fn limits() -> Limits {
        let large = PlanLimits { per_user: Some(8), per_key: Some(9) };
        let settings = RateLimit {
            enabled: true,
            per_address: 3,
            per_user: 5,
            per_key: 4,
            sensitive: 2,
            checkouts: 2,
            signed: 7,
            plans: BTreeMap::from([("large".to_owned(), large)]),
        };
        Limits::new(&settings, Arc::new(ProcessLimiter::default())).unwrap()
    }

    fn user(number: u128) -> UserId {
        UserId::from_uuid(uuid::Uuid::from_u128(number))
    }

    async fn allowed(
        limits: &Limits,
        strict: Option<&str>,
        user: Option<UserId>,
        address: &str,
        tries: u32,
    ) -> u32 {
        let address = address.parse().unwrap();
        let mut count = 0;
        for _ in 0..tries {
            let verdict = match user {
                Some(user) => limits.check_user(strict, user, Rate::default(), address).await,
                None => limits.check(strict, address).await,
            };
            count += u32::from(verdict.allowed);
        }
        count
    }

    #[tokio::test]
    async fn each_key_has_its_own_limit() {
        let limits = limits();
        let user = user(1);
        assert_eq!(allowed(&limits, None, None, "192.0.2.1", 10).await, 3);
        assert_eq!(allowed(&limits, None, None, "192.0.2.2", 10).await, 3);
        assert_eq!(allowed(&limits, None, Some(user), "192.0.2.1", 10).await, 5);
        assert_eq!(allowed(&limits, Some("/api/v1/auth/login"), None, "192.0.2.1", 10).await, 2);
        assert_eq!(
            allowed(&limits, Some("/api/v1/auth/login"), Some(user), "192.0.2.1", 10).await,
            0,
            "a token does not help"
        );
    }

    #[tokio::test]
    async fn a_plan_decides_and_what_was_agreed_on_is_the_most() {
        let limits = limits();
        let address = "192.0.2.1".parse().unwrap();
        for (number, plan, agreed, limit) in [
            (1, Some("large"), None, 8),
            (2, Some("small"), None, 5),
            (3, None, None, 5),
            (4, Some("large"), Some(1), 1),
        ] {
            let rate = Rate { own: None, agreed, plan };
            let verdict = limits.check_user(None, user(number), rate, address).await;
            assert_eq!((verdict.limit, verdict.remaining), (limit, limit - 1), "{plan:?}");
        }
        for (number, plan, own, agreed, limit) in [
            (1, Some("large"), None, None, 9),
            (2, Some("small"), None, None, 4),
            (3, Some("large"), Some(2), None, 2),
            (4, Some("large"), None, Some(20), 20),
            (5, Some("large"), Some(2), Some(20), 2),
            (6, Some("large"), Some(30), Some(20), 20),
        ] {
            let rate = Rate { own, agreed, plan };
            let key = ApiKeyId::from_uuid(uuid::Uuid::from_u128(number));
            assert_eq!(limits.check_key(None, key, rate, address).await.limit, limit, "{plan:?} {own:?}");
            assert_eq!(limits.check_key(Some("/api/v1/auth/login"), key, rate, address).await.limit, 2);
        }
    }

    #[tokio::test]
    async fn a_whole_ipv6_network_is_one_address() {
        let limits = limits();
        assert_eq!(allowed(&limits, None, None, "2001:db8::1", 2).await, 2);
        assert_eq!(allowed(&limits, None, None, "2001:db8::2:1", 10).await, 1);
        assert_eq!(allowed(&limits, None, None, "::ffff:192.0.2.9", 2).await, 2);
        assert_eq!(
            allowed(&limits, None, None, "192.0.2.9", 10).await,
            1,
            "a mapped address is the IPv4 address"
        );
    }

    #[tokio::test]
    async fn what_services_sign_is_counted_apart() {
        let limits = limits();
        let address = "192.0.2.1".parse().unwrap();
        assert_eq!(allowed(&limits, None, None, "192.0.2.1", 10).await, 3);
        let mut taken = 0;
        for _ in 0..10 {
            taken += u32::from(limits.check_signed(address).await.allowed);
        }
        assert_eq!(taken, 7);
    }

    #[tokio::test]
    async fn a_refusal_says_when_to_come_back() {
        let limits = limits();
        let address = "192.0.2.1".parse().unwrap();
        let first = limits.check(None, address).await;
        assert_eq!((first.allowed, first.limit, first.remaining, first.reset), (true, 3, 2, 20));
        allowed(&limits, None, None, "192.0.2.1", 2).await;
        let refused = limits.check(None, address).await;
        assert!(
            !refused.allowed && refused.remaining == 0 && (1..=20).contains(&refused.reset),
            "{refused:?}"
        );
    }
}
