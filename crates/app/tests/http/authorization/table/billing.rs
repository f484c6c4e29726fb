//! Plans: who may call which operation.

use super::*;

/// The operations.
pub const RULES: &[Row] =
    &[("GET", "/api/v1/billing/plans", Everybody), ("GET", "/api/v1/billing/usage", VIEWER)];
