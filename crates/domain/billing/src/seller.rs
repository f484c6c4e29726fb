//! Who sells what is bought once.

use serde::{Deserialize, Serialize};

/// The highest rate of tax: 100 %.
pub const TAX_RATE_MAX: u32 = 10_000;

/// Who sells, as receipts name them. An invoice keeps it as it was when it was paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seller {
    /// Name of the company, or of the person.
    pub name: String,
    /// Lines of the address.
    pub address: Vec<String>,
    /// Number by which the tax office knows them.
    pub tax_id: Option<String>,
    /// What the tax is called, for instance `IVA`.
    pub tax_name: Option<String>,
    /// Tax in all prices, in hundredths of a percent: 1200 is 12 %. 0 is none.
    pub tax_rate: u32,
}

impl Seller {
    /// The tax in a price of at least 0, in minor units like the price itself, rounded half up. Prices include it: at 12 %, 112 has 12 in
    /// it.
    pub fn tax_in(&self, price: i64) -> i64 {
        let (price, rate) = (i128::from(price.max(0)), i128::from(self.tax_rate.min(TAX_RATE_MAX)));
        let whole = i128::from(TAX_RATE_MAX) + rate;
        i64::try_from((2 * price * rate + whole) / (2 * whole)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taxed(tax_rate: u32) -> Seller {
        Seller { tax_rate, ..Seller::default() }
    }

    #[test]
    fn prices_include_the_tax() {
        for (rate, price, tax) in
            [(0, 35900, 0), (1200, 112, 12), (1200, 35900, 3846), (1000, 5, 0), (1000, 6, 1), (10_000, 1, 1)]
        {
            assert_eq!(taxed(rate).tax_in(price), tax, "{rate} {price}");
        }
        assert_eq!(taxed(1200).tax_in(-112), 0);
    }

    proptest! {
        #[test]
        fn the_tax_is_a_part_of_the_price(rate in 0..=TAX_RATE_MAX, price in 0..=i64::MAX) {
            let tax = taxed(rate).tax_in(price);
            prop_assert!(tax >= 0 && tax <= price);
            // Half up: what is left, taxed, is the price again, but for the rounding.
            let left = i128::from(price - tax);
            let again = left * i128::from(TAX_RATE_MAX + rate) - i128::from(price) * i128::from(TAX_RATE_MAX);
            prop_assert!(again.abs() * 2 <= i128::from(TAX_RATE_MAX + rate));
        }
    }
}
