//! The schema of Portico, for Postgres and SQLite.
