//! Distinguishing absent fields from `null` in an update.

use serde::{Deserialize, Deserializer};

/// Reads a present field, `null` included, as `Some`. Together with `#[serde(default)]` an absent field is `None`:
/// unchanged; `null` is `Some(None)`: cleared.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Change {
///     #[serde(default, deserialize_with = "portico_kernel::patch::double_option")]
///     phone: Option<Option<String>>,
/// }
/// let unchanged: Change = serde_json::from_str("{}").unwrap();
/// let cleared: Change = serde_json::from_str(r#"{"phone":null}"#).unwrap();
/// assert_eq!((unchanged.phone, cleared.phone), (None, Some(None)));
/// ```
pub fn double_option<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
