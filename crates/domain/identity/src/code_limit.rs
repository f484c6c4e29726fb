//! Limits wrong codes of an authenticator app.
//!
//! An attacker who knows the password can begin any number of sign-ins. They must not guess the six digits, and must not lock the
//! owner out by using up tries. So wrong codes are counted for an account and the origin that they come from:
//!
//! - a device that the account was signed in to with before, which sends its mark ([`crate::device`]), by itself;
//! - else a network that it was signed in to from before, by itself;
//! - all other origins together.
//!
//! Of each, [`MOST`] may be wrong within any [`WINDOW`]; after that even a right code is refused from there. A code is one of a
//! million, and three are valid at a time (the present time step and the ones beside it), so a guess is right with a probability
//! of 3·10⁻⁶ at most. From outside of the owner's own devices and networks an attacker gets 20 guesses a day, which is 6·10⁻⁵,
//! and 2.2 % for a whole year of days; from each origin of the owner's that they share, as many again.
//!
//! Recovery codes (80 random bits) and passkeys cannot be guessed. They are not counted here, so that they work when all
//! codes are refused; what bounds tries with them is the sign-in itself ([`crate::pending_sign_in::TRIES`]).

use portico_kernel::{Event, RequestInfo, Resource, Timestamp, UserId};
use time::Duration;

use crate::{
    IdentityError, Sessions,
    device::{TRUSTED, network_of},
    events,
    pending_sign_in::FactorMethod,
    ports::{FactorSecrets, FailureKey, IdentityRepositories},
    recovery_code::{digests, typed_recovery_code},
    session::audit_tenant,
    throttle::{FailureCount, seconds},
    totp::typed_code,
};

/// Wrong codes from one origin within [`WINDOW`].
pub const MOST: u32 = 20;

/// A wrong code counts for at least this long.
pub const WINDOW: Duration = Duration::hours(24);

/// Wrong codes are counted in spans of this length. One is forgotten when its span began longer ago than [`WINDOW`] and this.
const SPAN: Duration = Duration::hours(1);

/// The purpose of the keys under which they are counted.
const PURPOSE: &str = "wrong codes";

/// The origin of a code, as the account knows it.
async fn place(
    repositories: &mut dyn IdentityRepositories,
    request: &RequestInfo,
    user: UserId,
    now: Timestamp,
) -> Result<String, IdentityError> {
    let known = repositories.known_devices().list(user).await?;
    let known = || known.iter().filter(|place| place.last_seen > now - TRUSTED);
    let network = network_of(request.address.as_deref());
    if let Some(device) = request.device.filter(|device| device.shown)
        && known().any(|place| place.device == device.id)
    {
        return Ok(format!("device {}", device.id));
    }
    if known().any(|place| place.network == network) {
        return Ok(format!("network {network}"));
    }
    Ok("elsewhere".to_owned())
}

/// How long codes are refused because of these failures.
fn wait(mut counts: Vec<FailureCount>, now: Timestamp) -> Option<Duration> {
    counts.sort_by_key(|count| count.since);
    let mut left: u32 = counts.iter().map(|count| count.failures).sum();
    let mut until = None;
    for count in counts {
        if left < MOST {
            break;
        }
        left -= count.failures;
        until = Some(count.since + WINDOW + SPAN);
    }
    until.map(|until| until - now)
}

impl Sessions<'_> {
    /// Whether a code proves the second factor, which uses it up: a code of the app, or a recovery code. A wrong code of the
    /// app is counted. Call it with the user's row locked, which makes all tries of one account wait for each other, and
    /// commit whatever it answers. Errors: [`IdentityError::Throttled`], see the module.
    pub(crate) async fn use_code(
        &mut self,
        user: UserId,
        code: &str,
        secrets: &dyn FactorSecrets,
    ) -> Result<Option<FactorMethod>, IdentityError> {
        if let Some(code) = typed_code(code) {
            let key = self.may_guess(user, secrets).await?;
            if self.use_totp(user, &code, secrets).await? {
                return Ok(Some(FactorMethod::Totp));
            }
            self.count_wrong_code(user, key).await?;
            return Ok(None);
        }
        let Some(code) = typed_recovery_code(code) else { return Ok(None) };
        for digest in digests(secrets, user, &code) {
            if self.repositories.second_factors().use_recovery_code(user, digest).await? {
                return Ok(Some(FactorMethod::RecoveryCode));
            }
        }
        Ok(None)
    }

    async fn use_totp(
        &mut self,
        user: UserId,
        code: &str,
        secrets: &dyn FactorSecrets,
    ) -> Result<bool, IdentityError> {
        let totp = self.repositories.second_factors().totp(user).await?;
        let Some(totp) = totp.filter(|totp| totp.confirmed_at.is_some()) else { return Ok(false) };
        let step = secrets.matching_step(user, &totp.sealed, code, self.env.now())?;
        match step {
            Some(step) => Ok(self.repositories.second_factors().use_totp_step(user, step).await?),
            None => Ok(false),
        }
    }

    /// Checks that not too many codes from this origin were wrong. Answers the key to count it under.
    async fn may_guess(
        &mut self,
        user: UserId,
        secrets: &dyn FactorSecrets,
    ) -> Result<FailureKey, IdentityError> {
        let now = self.env.now();
        let place = place(self.repositories, &self.scope.request, user, now).await?;
        let key = secrets.digest(PURPOSE, format!("{user} {place}").as_bytes());
        let counts = self.repositories.sign_in_failures().counts(&[key], now - WINDOW - SPAN).await?;
        match wait(counts, now) {
            Some(wait) => Err(IdentityError::Throttled { seconds: seconds(wait) }),
            None => Ok(key),
        }
    }

    /// Counts a wrong code, and appends `session.throttled` when it was the last one allowed.
    async fn count_wrong_code(&mut self, user: UserId, key: FailureKey) -> Result<(), IdentityError> {
        let now = self.env.now();
        let span = SPAN.whole_microseconds() as i64;
        let since = Timestamp::from_unix_micros(now.unix_micros().div_euclid(span) * span).unwrap_or(now);
        self.repositories.sign_in_failures().add(&[key], since, now, now + WINDOW * 2).await?;
        let counts = self.repositories.sign_in_failures().counts(&[key], now - WINDOW - SPAN).await?;
        if counts.iter().map(|count| count.failures).sum::<u32>() != MOST {
            return Ok(());
        }
        let tenant = audit_tenant(self.repositories, user).await?;
        let after = serde_json::json!({"by": "second_factor", "failures": MOST});
        let mut event = Event::new(self.env, self.scope, &events::SESSION_THROTTLED, user.uuid());
        event.resource = Resource { kind: "user".into(), id: user.uuid() };
        Ok(self.repositories.events().append(event.in_tenant(tenant).after(&after)).await?)
    }
}
