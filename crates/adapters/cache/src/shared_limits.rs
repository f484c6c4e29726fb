//! A rate limiter in Redis or Valkey, shared by instances.
//!
//! Under `portico:limit:{name}` is the theoretical arrival time of the generic cell rate algorithm, in microseconds since
//! 1970 by the clock of Redis: the moment at which the whole quota is available again. It expires at that moment.

use std::time::Duration;

use async_trait::async_trait;
use portico_kernel::limits::{Quota, RateLimiter, Verdict};
use redis::Script;

use crate::{
    limits::ProcessLimiter,
    link::{NoAnswer, Redis},
};

/// Counts one request. Returns whether it is allowed, and the microseconds until the whole quota (or, when refused, one
/// request) is available.
///
/// An impossible arrival time (a clock that was set back, a quota that became smaller, another value under this name) is
/// clamped to a possible one. The order of arguments matters: it is how values that are not numbers are discarded.
const COUNT: &str = "\
    local time = redis.call('time')\n\
    local now = tonumber(time[1]) * 1000000 + tonumber(time[2])\n\
    local interval, full = tonumber(ARGV[1]), tonumber(ARGV[2])\n\
    local arrival = tonumber(redis.call('get', KEYS[1]) or now) or now\n\
    arrival = math.min(now + full, math.max(now, arrival))\n\
    local next = arrival + interval\n\
    if next > now + full then\n\
        return {0, next - now - full}\n\
    end\n\
    redis.call('set', KEYS[1], string.format('%.0f', next), 'px', math.ceil((next - now) / 1000))\n\
    return {1, next - now}";

/// Counts in Redis. While Redis is unavailable, counts in the process, which always records what it allowed itself: so a
/// failure of Redis gives no client a new quota.
pub struct SharedLimiter {
    redis: Redis,
    count: Script,
    own: ProcessLimiter,
}

impl SharedLimiter {
    /// Over this connection.
    pub fn new(redis: Redis) -> Self {
        Self { redis, count: Script::new(COUNT), own: ProcessLimiter::default() }
    }

    async fn count_there(&self, name: &str, quota: Quota) -> Result<Verdict, NoAnswer> {
        let mut link = self.redis.link().await?;
        let interval = quota.interval();
        let full = interval * quota.most().get();
        let mut call = self.count.key(format!("portico:limit:{name}"));
        let call = call.arg(micros(interval)).arg(micros(full));
        let answer = call.invoke_async::<(bool, u64)>(&mut link.connection);
        let (allowed, time) = self.redis.within(link.number, answer).await?;
        let time = Duration::from_micros(time);
        Ok(if allowed { Verdict::allowed(quota, time) } else { Verdict::refused(quota, time) })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[async_trait]
impl RateLimiter for SharedLimiter {
    async fn count(&self, name: &str, quota: Quota) -> Verdict {
        match self.count_there(name, quota).await {
            Ok(verdict) => {
                if verdict.allowed {
                    // So that the process has the count if Redis is unavailable for the next request.
                    self.own.count_here(name, quota);
                }
                verdict
            }
            Err(error) => {
                tracing::debug!(%error, "counting in the process");
                metrics::counter!("portico_rate_limit_fallbacks_total").increment(1);
                self.own.count_here(name, quota)
            }
        }
    }

    fn forget_idle(&self) {
        self.own.forget_idle();
    }
}
