//! Which sites only staff change, and why: `portico_sites::site::Site::frozen` in the words of a query over `sites`.

use portico_sites::site::Frozen;

use crate::columns::words;

words!(Frozen);

/// Whether only staff change a site.
pub(crate) const IS_FROZEN: &str = "(status not in ('draft', 'published') or over_limit)";

/// Why, of a site that only staff change.
pub(crate) const REASON: &str =
    "case when status in ('draft', 'published') then 'over_limit' else status end";
