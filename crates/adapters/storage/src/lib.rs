//! Object storage: local files.
