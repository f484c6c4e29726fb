//! Currencies in which plans are priced, and amounts for people.

/// The most minor units that a price, a coupon or a whole order has: what payment providers charge at once.
pub(crate) const AMOUNT_MAX: i64 = 99_999_999;

/// A currency in which something can be priced here, of ISO 4217. The list is short on purpose: what is not on it cannot be
/// charged, and whoever needs another one adds it with its decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    code: &'static str,
    minor_digits: u32,
    step: i64,
}

/// Two decimals.
const HUNDREDTHS: [&str; 35] = [
    "aed", "aud", "bob", "brl", "cad", "chf", "cny", "cop", "crc", "czk", "dkk", "dop", "eur", "gbp", "gtq",
    "hkd", "hnl", "ils", "inr", "mxn", "nio", "nok", "nzd", "pab", "pen", "php", "pln", "ron", "sar", "sek",
    "sgd", "thb", "try", "usd", "zar",
];

/// No decimals: the amount is in the currency itself.
const WHOLE: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];

/// Without decimals since a reform, and still counted in hundredths by payment providers: amounts end in 00.
const WHOLE_IN_HUNDREDTHS: [&str; 2] = ["isk", "ugx"];

/// Three decimals, of which payment providers take two: amounts end in 0.
const THOUSANDTHS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

impl Currency {
    /// The currency of this code: three lower-case letters. `None` for one that is not on the list.
    pub fn parse(code: &str) -> Option<Self> {
        let lists: [(&[&'static str], u32, i64); 4] =
            [(&HUNDREDTHS, 2, 1), (&WHOLE, 0, 1), (&WHOLE_IN_HUNDREDTHS, 2, 100), (&THOUSANDTHS, 3, 10)];
        lists.into_iter().find_map(|(codes, minor_digits, step)| {
            let code = *codes.iter().find(|known| **known == code)?;
            Some(Self { code, minor_digits, step })
        })
    }

    /// Its code, lower-case.
    pub const fn as_str(self) -> &'static str {
        self.code
    }

    /// Decimals of an amount in minor units: 0, 2 or 3. 1999 is 1999 yen, 19.99 dollars, 1.999 dinars.
    pub const fn minor_digits(self) -> u32 {
        self.minor_digits
    }

    /// What every amount that can be charged is a multiple of, in minor units.
    pub const fn step(self) -> i64 {
        self.step
    }
}

/// An amount in minor units with the decimals of its currency: `359.00 USD`. A currency that is not on the list is taken for one with two.
pub fn in_words(amount: i64, currency: &str) -> String {
    let digits = Currency::parse(currency).map_or(2, Currency::minor_digits);
    let code = currency.to_uppercase();
    if digits == 0 {
        return format!("{amount} {code}");
    }
    let unit = 10_u64.pow(digits);
    let width = digits as usize;
    let sign = if amount < 0 { "-" } else { "" };
    let (whole, rest) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
    format!("{sign}{whole}.{rest:0width$} {code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        for (amount, currency, words) in [
            (35900, "usd", "359.00 USD"),
            (5, "gtq", "0.05 GTQ"),
            (1999, "jpy", "1999 JPY"),
            (0, "jpy", "0 JPY"),
            (12340, "kwd", "12.340 KWD"),
            (-150, "eur", "-1.50 EUR"),
            (100, "xxx", "1.00 XXX"),
            (i64::MIN, "usd", "-92233720368547758.08 USD"),
        ] {
            assert_eq!(in_words(amount, currency), words);
        }
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (code, digits, step) in
            [("usd", 2, 1), ("gtq", 2, 1), ("jpy", 0, 1), ("clp", 0, 1), ("isk", 2, 100), ("kwd", 3, 10)]
        {
            let currency = Currency::parse(code).unwrap();
            assert_eq!((currency.as_str(), currency.minor_digits(), currency.step()), (code, digits, step));
        }
        for unknown in ["", "us", "USD", "Usd", "usdt", "xxx", " usd"] {
            assert_eq!(Currency::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn each_currency_is_listed_once() {
        let mut codes = [&HUNDREDTHS[..], &WHOLE, &WHOLE_IN_HUNDREDTHS, &THOUSANDTHS].concat();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert!(codes.iter().all(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_lowercase())));
    }
}
