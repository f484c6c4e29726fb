//! Settings of receipts.

use documented::DocumentedFields;
use portico_billing::seller::{Seller, TAX_RATE_MAX};
use portico_runtime::settings::{Problems, sources::list};
use serde::{Deserialize, Serialize};

/// Most characters of a name, of a line of the address, and of a number.
const LINE_MAX: usize = 100;

/// Most lines of an address.
const ADDRESS_MAX: usize = 10;

/// What receipts say about who sells.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Billing {
    /// Name of the company, or of the person, that sells what is bought once. A receipt keeps it, like all that follows, as it was when it
    /// was paid.
    pub seller_name: String,
    /// Lines of its address, at most 10. Default: none.
    #[serde(deserialize_with = "list")]
    pub seller_address: Vec<String>,
    /// Number by which the tax office knows it. Default: none.
    pub seller_tax_id: Option<String>,
    /// What the tax in prices is called, for instance `IVA`. Default: none.
    pub tax_name: Option<String>,
    /// Tax in the prices of what is bought once, in hundredths of a percent: 1200 is 12 %. Prices include it.
    pub tax_rate: u32,
}

impl Default for Billing {
    fn default() -> Self {
        Self {
            seller_name: "Portico".to_owned(),
            seller_address: Vec::new(),
            seller_tax_id: None,
            tax_name: None,
            tax_rate: 0,
        }
    }
}

impl Billing {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let is_line = |text: &str| {
            let length = text.trim().chars().count();
            (1..=LINE_MAX).contains(&length) && !text.chars().any(char::is_control)
        };
        let optional = |text: &Option<String>| text.as_deref().is_none_or(is_line);
        for (name, fits) in [
            ("seller_name", is_line(&self.seller_name)),
            ("seller_address", self.seller_address.iter().all(|line| is_line(line))),
            ("seller_tax_id", optional(&self.seller_tax_id)),
            ("tax_name", optional(&self.tax_name)),
        ] {
            if !fits {
                problems.add(format!("billing.{name} must have 1 to {LINE_MAX} characters on a line"));
            }
        }
        if self.seller_address.len() > ADDRESS_MAX {
            problems.add(format!("billing.seller_address must have at most {ADDRESS_MAX} lines"));
        }
        if self.tax_rate > TAX_RATE_MAX {
            problems.add(format!("billing.tax_rate must be at most {TAX_RATE_MAX}, which is 100 %"));
        }
        problems.into_result()
    }

    /// Who sells.
    pub fn seller(&self) -> Seller {
        Seller {
            name: self.seller_name.clone(),
            address: self.seller_address.clone(),
            tax_id: self.seller_tax_id.clone(),
            tax_name: self.tax_name.clone(),
            tax_rate: self.tax_rate,
        }
    }
}
