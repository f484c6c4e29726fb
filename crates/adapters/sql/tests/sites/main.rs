//! What the ports of `portico-sites` ask of a store, on SQLite and on Postgres.

mod deployments;
mod fixture;
mod navigation;
mod pages;
mod sections;
mod sites;
