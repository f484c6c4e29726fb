//! How many requests wait for their turn, so that background work of the process lets them go first.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The number of requests that wait for a permit. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct WaitingRequests(Arc<AtomicUsize>);

impl WaitingRequests {
    /// Counts one more, until the result is dropped.
    pub fn join(&self) -> WaitingRequest {
        self.0.fetch_add(1, Ordering::Relaxed);
        WaitingRequest(self.0.clone())
    }

    /// Whether any request waits.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// A request that waits.
#[derive(Debug)]
#[must_use = "it waits until this is dropped"]
pub struct WaitingRequest(Arc<AtomicUsize>);

impl Drop for WaitingRequest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_wait_until_the_last_one_has_its_turn() {
        let (here, there) = (WaitingRequests::default(), WaitingRequests::default());
        let shared = here.clone();
        let (one, other) = (here.join(), shared.join());
        assert!(here.any() && shared.any() && !there.any());
        drop(one);
        assert!(here.any());
        drop(other);
        assert!(!here.any() && !shared.any());
    }
}
