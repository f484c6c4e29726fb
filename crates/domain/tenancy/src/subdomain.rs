//! Names that tenants and sites answer at.
