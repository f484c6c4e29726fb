//! Turns a site into static files.
