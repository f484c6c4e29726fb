//! The API as a client sees it: a running server, real databases.

mod conventions;
