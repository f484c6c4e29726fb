//! The program itself, as a process: killed, terminated, set up wrongly, and its commands.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod command_line;
mod idempotency;
mod kill;
mod live;
mod look_ups;
mod payments;
mod process;
mod stripe;
mod terminate;
mod tour;
mod webhooks;
mod workers;
