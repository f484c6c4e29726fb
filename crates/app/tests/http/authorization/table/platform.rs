//! The platform itself: who may call which operation.

use super::*;

/// The operations.
pub const RULES: &[Row] = &[
    ("GET", "/api/health", Everybody),
    ("GET", "/api/health/live", Everybody),
    ("GET", "/api/health/ready", Everybody),
    ("GET", "/api/metrics", Everybody),
    ("GET", "/api/v1/config", Everybody),
    ("GET", "/api/v1/admin/jobs", STAFF),
    ("POST", "/api/v1/admin/jobs/{jobId}/replay", STAFF),
];
