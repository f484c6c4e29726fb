//! What makes a password acceptable.
