//! What the ports of `portico-sites` ask of a store, on SQLite and on Postgres.

#![expect(clippy::expect_used, reason = "what cannot be set up fails the test, with the reason")]

mod assets;
mod deployments;
mod domains;
mod fixture;
mod hand_over;
mod navigation;
mod pages;
mod sections;
mod seo;
mod sites;
mod stored_texts;
mod submissions;
mod templates;
mod versions;
mod visits;
mod wizards;
