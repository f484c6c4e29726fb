//! Plans, and what each includes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is counted against a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Meter {
    /// Sites that exist.
    Sites,
    /// Bytes in assets.
    Storage,
    /// Texts generated in a billing period.
    AiGenerations,
    /// Domains connected to sites.
    CustomDomains,
}

impl Meter {
    /// Every meter.
    pub const ALL: [Self; 4] = [Self::Sites, Self::Storage, Self::AiGenerations, Self::CustomDomains];

    /// The word for it in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sites => "sites",
            Self::Storage => "storage",
            Self::AiGenerations => "ai_generations",
            Self::CustomDomains => "custom_domains",
        }
    }
}

/// A plan that a tenant can subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// Stable word, for instance `free`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Price of a month in minor units.
    pub amount: i64,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// Limit of each meter; a meter that is not listed has none.
    pub limits: BTreeMap<Meter, u64>,
    /// Whether premium templates may be used.
    pub premium_templates: bool,
    /// Order in lists, cheapest first.
    pub position: i32,
}
