//! The messages about what tenants use.

use portico_kernel::{
    Meter, Timestamp,
    mail::{Mail, MailClass, MailContent, MailValue},
};

use crate::{quota::Unit, thresholds::Threshold};

/// Says to the owners of a tenant that a meter has come to a threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageMail {
    /// Name of the tenant.
    pub tenant: String,
    /// What is used.
    pub meter: Meter,
    /// What is reached.
    pub threshold: Threshold,
    /// How much is used.
    pub used: u64,
    /// How much there is.
    pub limit: u64,
    /// When it begins at zero again, if it does.
    pub resets_at: Option<Timestamp>,
}

impl Mail for UsageMail {
    fn content(&self) -> MailContent {
        let key = match self.threshold {
            Threshold::Warning => "usage.warning",
            Threshold::Exhausted => "usage.exhausted",
        };
        let amount = |amount: u64| match Unit::of(self.meter) {
            Unit::Count => amount.to_string(),
            Unit::Bytes => format!("{} MB", amount >> 20),
        };
        MailContent::new(key, MailClass::Tenant)
            .written("tenant", &self.tenant)
            .with("meter", MailValue::Line(line_of(self.meter)))
            .with("used", amount(self.used).as_str())
            .with("limit", amount(self.limit).as_str())
            .with("resets_at", self.resets_at)
    }
}

/// Says to the owners of a tenant that it has more sites than its limit, and when the newest ones become read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverLimitMail {
    /// Name of the tenant.
    pub tenant: String,
    /// How many sites there are.
    pub used: u64,
    /// How many there may be.
    pub limit: u64,
    /// Until when all of them can be changed.
    pub read_only_at: Timestamp,
}

impl Mail for OverLimitMail {
    fn content(&self) -> MailContent {
        MailContent::new("usage.over_limit", MailClass::Tenant)
            .written("tenant", &self.tenant)
            .with("used", self.used)
            .with("limit", self.limit)
            .with("read_only_at", self.read_only_at)
    }
}

/// The line that names a meter, among those that all messages share.
const fn line_of(meter: Meter) -> &'static str {
    match meter {
        Meter::Sites => "Sites",
        Meter::Storage => "Storage",
        Meter::AiGenerations => "Ai-Generations",
        Meter::CustomDomains => "Custom-Domains",
        Meter::Bandwidth => "Bandwidth",
        Meter::Members => "Members",
        Meter::ApiKeys => "Api-Keys",
    }
}
