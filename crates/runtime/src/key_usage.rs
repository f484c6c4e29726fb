//! Usage counts of API keys: collected in memory while requests are answered, written in batches by a background task.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use portico_identity::{
    IdentityError,
    api_key::{
        KeyState, origin,
        usage::{Activity, Endpoint, KeyUsage, MAX_ADDRESSES, minute},
    },
};
use portico_kernel::{ApiKeyId, Env, Fault, Kind, Timestamp};

use crate::{logging::chain, store::Store};

/// Keys written in one transaction.
const BATCH: usize = 50;

/// Counts not yet written. A crash loses them: the requests of the last few seconds.
#[derive(Default)]
pub struct KeyUsageCounter {
    pending: Mutex<HashMap<ApiKeyId, Activity>>,
}

/// A request with a key, about to be answered.
pub struct KeyRequest<'r> {
    /// The key.
    pub key: &'r KeyState,
    /// Whether it was admitted.
    pub admitted: bool,
    /// Method.
    pub method: &'r str,
    /// Path with the names of its parameters; `None` for an unknown path.
    pub route: Option<&'r str>,
    /// Address of the client.
    pub address: IpAddr,
}

impl KeyUsageCounter {
    /// Counts a request that was answered with `status`.
    pub fn note(&self, request: &KeyRequest<'_>, status: u16, now: Timestamp) {
        // Clients may send arbitrary methods.
        let method = match request.method {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "OTHER",
        };
        let endpoint = Endpoint {
            day: now.into_inner().date(),
            method: method.to_owned(),
            path: request.route.unwrap_or("none").to_owned(),
            status,
        };
        let mut pending = self.pending();
        let key = request.key;
        let activity = pending.entry(key.id).or_insert_with(|| Activity::new(key.tenant, key.id));
        *activity.requests.entry(endpoint).or_default() += 1;
        if request.admitted {
            activity.last_used_at = activity.last_used_at.max(Some(now));
            let origin = origin(request.address);
            if (activity.addresses.len() as u64) < MAX_ADDRESSES || activity.addresses.contains_key(&origin) {
                activity.addresses.insert(origin, now);
            }
        }
        if matches!(status, 401 | 403) {
            *activity.refusals.entry(minute(now)).or_default() += 1;
        }
    }

    /// Writes all counts, for the last time.
    pub async fn flush(&self, store: &dyn Store, env: &Env) {
        if let Err(error) = self.try_flush(store, env).await {
            tracing::warn!(error = %chain(&error), "the use of keys could not be recorded");
        }
    }

    /// Writes all counts.
    ///
    /// # Errors
    /// When the database is unavailable, or a concurrent transaction conflicts: what was not written is kept.
    pub async fn try_flush(&self, store: &dyn Store, env: &Env) -> Result<(), IdentityError> {
        let mut activities: Vec<Activity> = std::mem::take(&mut *self.pending()).into_values().collect();
        // In a fixed order, so that two processes do not deadlock.
        activities.sort_by_key(|activity| (activity.tenant, activity.key));
        let mut rest = activities.into_iter().peekable();
        while rest.peek().is_some() {
            let batch: Vec<Activity> = rest.by_ref().take(BATCH).collect();
            if let Err(error) = record(store, env, &batch).await {
                if matches!(error.kind(), Kind::Unavailable | Kind::Conflict) {
                    self.keep(batch.into_iter().chain(rest));
                    return Err(error);
                }
                tracing::error!(error = %chain(&error), keys = batch.len(), "the use of keys is lost");
            }
        }
        Ok(())
    }

    fn keep(&self, batch: impl Iterator<Item = Activity>) {
        let mut pending = self.pending();
        for activity in batch {
            match pending.get_mut(&activity.key) {
                Some(newer) => newer.merge(activity),
                None => drop(pending.insert(activity.key, activity)),
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<ApiKeyId, Activity>> {
        // Counts are consistent after every line, so a panic leaves nothing half done.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn record(store: &dyn Store, env: &Env, batch: &[Activity]) -> Result<(), IdentityError> {
    let mut work = store.begin().await?;
    let mut usage = KeyUsage::new(&mut *work, env);
    for activity in batch {
        usage.record(activity).await?;
    }
    Ok(work.commit().await?)
}
