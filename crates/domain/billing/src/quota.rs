//! Quotas: enforced at the moment of use, also under concurrency.
