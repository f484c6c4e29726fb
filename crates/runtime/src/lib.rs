//! The runtime without HTTP: units of work, jobs, readers of the event log, schedules, caches and their invalidation,
//! webhooks, live updates.

pub mod access;
pub mod backoff;
pub mod bounded_cache;
pub mod broadcasts;
pub mod clock;
pub mod context;
pub mod core;
pub mod epoch_cache;
pub mod events;
pub mod failures;
pub mod key_cache;
pub mod key_usage;
pub mod keyed_lock;
pub mod live;
pub mod loading_cache;
pub mod logging;
pub mod mailing;
pub mod report;
pub mod scanning;
pub mod session_cache;
pub mod settings;
pub mod signals;
pub mod store;
pub mod telemetry;
pub mod token_cache;
pub mod traces;
pub mod unread;
pub mod usage;
pub mod waiting;
pub mod wakes;
pub mod webhooks;
pub mod worker;
