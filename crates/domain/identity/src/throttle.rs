//! Throttling of guesses at credentials, made so that no attacker can lock an owner out of their account.
//!
//! Failures are counted for an account together with the network they come from, for the network alone, and for the account
//! alone. The account alone is closed only to networks and devices that it was never signed in to from. Every count is by the
//! text of the address, whether or not there is such an account, so refusals reveal nothing.

use portico_kernel::{Env, Event, RequestInfo, Resource, Scope, TenantId, Timestamp, UserId};
use time::Duration;
use uuid::Uuid;

use crate::{
    IdentityError,
    device::{TRUSTED, network_of},
    events,
    ports::{FailureKey, IdentityRepositories, Marks},
    session::audit_tenant,
    user::EmailAddress,
};

/// The window is divided into so many spans; a failure is forgotten with the span it fell into.
const SPANS: i64 = 12;

/// How many failures are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleRule {
    /// How long a failure counts.
    pub window: Duration,
    /// Failures with one account from one network (or one known device) without a pause.
    pub per_pair: u32,
    /// Failures from one network, with any accounts.
    pub per_network: u32,
    /// Failures with one account, from anywhere.
    pub per_account: u32,
    /// The pause after `per_pair` failures. Each further failure doubles it.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for ThrottleRule {
    fn default() -> Self {
        Self {
            window: Duration::hours(1),
            per_pair: 5,
            per_network: 50,
            per_account: 100,
            first_pause: Duration::seconds(30),
            longest_pause: Duration::minutes(15),
        }
    }
}

/// Failures of one key in one span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCount {
    /// What is counted.
    pub key: FailureKey,
    /// When the span began.
    pub since: Timestamp,
    /// How many.
    pub failures: u32,
    /// The last one.
    pub last_at: Timestamp,
}

/// What a guess is aimed at, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuessTarget {
    /// Address of the account, if there is one.
    pub email: EmailAddress,
    /// See [`network_of`].
    pub network: String,
    /// The device that has shown its mark.
    pub device: Option<Uuid>,
}

impl GuessTarget {
    /// At the account of an address, from where the request comes from.
    pub fn new(email: EmailAddress, request: &RequestInfo) -> Self {
        let device = request.device.filter(|device| device.shown).map(|device| device.id);
        Self { email, network: network_of(request.address.as_deref()), device }
    }

    /// The key by which guesses wait for each other: those from one network at one account.
    pub fn pair(&self) -> String {
        format!("{} {}", self.email, self.network)
    }
}

/// What failures are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    Pair,
    Device,
    Network,
    Account,
}

impl Counter {
    fn word(self) -> &'static str {
        match self {
            Self::Pair => "account_and_network",
            Self::Device => "account_and_device",
            Self::Network => "network",
            Self::Account => "account",
        }
    }
}

impl ThrottleRule {
    fn limit(&self, counter: Counter) -> u32 {
        match counter {
            Counter::Pair | Counter::Device => self.per_pair,
            Counter::Network => self.per_network,
            Counter::Account => self.per_account,
        }
    }

    /// How long to wait because of these failures.
    fn wait(&self, counter: Counter, mut counts: Vec<&FailureCount>, now: Timestamp) -> Option<Duration> {
        let limit = self.limit(counter);
        let total = total(&counts);
        let over = total.checked_sub(limit)?;
        let until = match counter {
            Counter::Pair | Counter::Device => {
                let last = counts.iter().map(|count| count.last_at).max()?;
                // Thirty doublings of a second are more than any window.
                let pause = self.first_pause * 2_i32.pow(over.min(30));
                last + pause.min(self.longest_pause)
            }
            Counter::Network | Counter::Account => {
                counts.sort_by_key(|count| count.since);
                let mut left = total;
                let enough = counts.iter().find(|count| {
                    left = left.saturating_sub(count.failures);
                    left < limit
                });
                enough?.since + self.window
            }
        };
        (until > now).then(|| until - now)
    }

    /// Length of a span.
    fn span(&self) -> i64 {
        (self.window.whole_microseconds() as i64 / SPANS).max(1)
    }
}

fn total(counts: &[&FailureCount]) -> u32 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(count.failures))
}

/// The use cases of throttling, over one unit of work, or a reader for [`Throttle::check`].
pub struct Throttle<'a> {
    repositories: &'a mut dyn IdentityRepositories,
    env: &'a Env,
    rule: &'a ThrottleRule,
    marks: &'a dyn Marks,
}

impl<'a> Throttle<'a> {
    /// With these numbers.
    pub fn new(
        repositories: &'a mut dyn IdentityRepositories,
        env: &'a Env,
        rule: &'a ThrottleRule,
        marks: &'a dyn Marks,
    ) -> Self {
        Self { repositories, env, rule, marks }
    }

    fn keys(&self, target: &GuessTarget) -> Vec<(Counter, FailureKey)> {
        let digest = |text: String| self.marks.digest(&text);
        let mut keys = vec![
            (Counter::Pair, digest(format!("pair {}", target.pair()))),
            (Counter::Network, digest(format!("network {}", target.network))),
            (Counter::Account, digest(format!("account {}", target.email))),
        ];
        if let Some(device) = target.device {
            keys.push((Counter::Device, digest(format!("device {} {device}", target.email))));
        }
        keys
    }

    async fn counts(&mut self, keys: &[(Counter, FailureKey)]) -> Result<Vec<FailureCount>, IdentityError> {
        let after = self.env.now() - self.rule.window;
        let keys: Vec<_> = keys.iter().map(|(_, key)| *key).collect();
        Ok(self.repositories.sign_in_failures().counts(&keys, after).await?)
    }

    /// Checks that a guess may be made now. One query, unless a limit is near; the same queries for an address without an
    /// account. Errors: [`IdentityError::Throttled`].
    ///
    /// A device that the account was signed in to with is judged by its own failures alone, and a network by those of the account
    /// and it: attacks from elsewhere lock no owner out. A thief of the device's mark gains as many guesses as a fresh network
    /// has.
    pub async fn check(&mut self, target: &GuessTarget) -> Result<(), IdentityError> {
        let now = self.env.now();
        let keys = self.keys(target);
        let counts = self.counts(&keys).await?;
        let wait = |counter: Counter| {
            let (_, key) = keys.iter().find(|(other, _)| *other == counter)?;
            self.rule.wait(counter, counts.iter().filter(|count| count.key == *key).collect(), now)
        };
        let strangers =
            [Counter::Pair, Counter::Network, Counter::Account].map(wait).into_iter().flatten().max();
        if strangers.is_none() {
            return Ok(());
        }
        let (pair, device) = (wait(Counter::Pair), wait(Counter::Device));
        let since = now - TRUSTED;
        let mut devices = self.repositories.known_devices();
        let known = devices.recognize(&target.email, target.device, &target.network, since).await?;
        let wait = match (known.device, known.network) {
            (true, _) => device,
            (false, true) => pair,
            (false, false) => strangers,
        };
        match wait {
            Some(wait) => Err(IdentityError::Throttled { seconds: seconds(wait) }),
            None => Ok(()),
        }
    }

    /// Counts a guess that was wrong, and appends `session.throttled` when it was one too many. `user` is whom it was aimed at;
    /// `None` for an address without an account.
    pub async fn failed(
        &mut self,
        scope: &Scope,
        target: &GuessTarget,
        user: Option<UserId>,
    ) -> Result<(), IdentityError> {
        let now = self.env.now();
        let keys = self.keys(target);
        let span = self.rule.span();
        let since = Timestamp::from_unix_micros(now.unix_micros().div_euclid(span) * span).unwrap_or(now);
        let digests: Vec<_> = keys.iter().map(|(_, key)| *key).collect();
        let expires_at = now + self.rule.window * 2;
        self.repositories.sign_in_failures().add(&digests, since, now, expires_at).await?;
        let counts = self.counts(&keys).await?;
        for (counter, key) in keys {
            let of_key: Vec<_> = counts.iter().filter(|count| count.key == key).collect();
            if total(&of_key) == self.rule.limit(counter) {
                let about = user.filter(|_| counter != Counter::Network);
                self.note(scope, counter, about).await?;
            }
        }
        Ok(())
    }

    async fn note(
        &mut self,
        scope: &Scope,
        counter: Counter,
        user: Option<UserId>,
    ) -> Result<(), IdentityError> {
        let no_user = UserId::from_uuid(TenantId::PLATFORM.uuid());
        let user = user.unwrap_or(no_user);
        let tenant = audit_tenant(self.repositories, user).await?;
        let after = serde_json::json!({"by": counter.word(), "failures": self.rule.limit(counter)});
        let mut event = Event::new(self.env, scope, &events::SESSION_THROTTLED, user.uuid())
            .in_tenant(tenant)
            .after(&after);
        event.resource = Resource { kind: "user".into(), id: user.uuid() };
        Ok(self.repositories.events().append(event).await?)
    }

    /// Deletes the failures of the account from where the request comes from: for a client that has just proven with a link that
    /// the account is theirs.
    pub async fn clear_failures(&mut self, target: &GuessTarget) -> Result<(), IdentityError> {
        let keys = self.keys(target);
        let own = keys.iter().filter(|(counter, _)| matches!(counter, Counter::Pair | Counter::Device));
        let own: Vec<_> = own.map(|(_, key)| *key).collect();
        Ok(self.repositories.sign_in_failures().clear(&own).await?)
    }
}

/// Rounded up, and at least one.
pub(crate) fn seconds(wait: Duration) -> u64 {
    let whole = u64::try_from(wait.whole_seconds()).unwrap_or(0);
    (whole + u64::from(wait.subsec_nanoseconds() > 0)).max(1)
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
