//! Every storage port, on SeaORM: Postgres in production, SQLite embedded.
