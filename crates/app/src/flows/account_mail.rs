//! Mail about accounts.
