//! Email templates, and SMTP through lettre.
