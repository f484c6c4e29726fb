//! The API as a client sees it: a running server, real databases.

mod content;
mod authorization;
mod conventions;
mod jobs;
mod fixture;
mod identity;
mod publishing;
mod sites;
mod profile_and_sessions;
