//! Prints the API document as the routes say it: `docs/openapi.json`.

use std::io::Write as _;

fn main() -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", portico::document::published()?)?)
}
