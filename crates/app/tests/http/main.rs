//! The API as a client sees it: a running server, real databases.

mod content;
mod conventions;
mod identity;
mod publishing;
mod sites;
