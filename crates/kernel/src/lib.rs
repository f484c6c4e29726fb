//! Types and ports that all parts of Portico share. No I/O, no framework.
//!
//! A domain crate depends on this crate and on no other crate of ours; adapters translate these types to rows, messages and HTTP.

pub mod broadcast;
pub mod cache;
pub mod catalogue;
pub mod entitlement;
pub mod env;
pub mod error;
pub mod event;
pub mod feed;
pub mod files;
pub mod http;
pub mod id;
pub mod idempotency;
pub mod images;
pub mod job;
pub mod limits;
pub mod list;
pub mod look;
pub mod mail;
pub mod malware;
pub mod message;
pub mod money;
pub mod month;
pub mod name;
pub mod name_text;

pub mod patch;
pub mod permission;
pub mod public_suffix;
pub mod schedule;
pub mod scope;
pub mod sealing;
pub mod signing;
pub mod staff_area;
#[cfg(feature = "mock")]
pub mod testing;
pub mod time;
pub mod trace;
pub mod validate;

pub use entitlement::{EntitlementError, Entitlements, Feature, Headroom, Meter};
pub use env::{Clock, Env, Random};
pub use error::{Fault, FieldError, Kind, RuleMessage, RuleParams, StoreError};
pub use event::{
    AnnouncementListener, CommitListener, Event, EventDeclaration, EventHead, EventLog, EventReaders, Outbox,
    Resource, TakenEvents,
};
pub use id::*;
pub use job::{DeadLetters, Job, JobQueue, JobState, JobType, NewJob, WorkQueue};
pub use list::{CursorPage, CursorRequest, List, PageRequest};
pub use money::Money;
pub use month::Month;
pub use permission::{Permission, Permissions, PlatformRole, TenantRole};
pub use scope::{Actor, Denied, Device, KeyMaker, RequestInfo, Scope};
pub use staff_area::{StaffArea, StaffAreas};
pub use time::Timestamp;
pub use trace::TraceParent;
pub use validate::Violations;
