//! Amounts in minor units ("Supported currencies" in Stripe's documentation).

use crate::errors::ApiError;

const TWO_DECIMALS: &str = "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah usd uyu uzs wst xcd yer zar zmw";
const NO_DECIMALS: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
/// Written with two decimals that must be zero.
const WHOLE: &str = "isk ugx";
/// Three decimals, the last one zero.
const THREE_DECIMALS: &str = "bhd jod kwd omr tnd";

/// How many decimals a currency has.
pub(crate) fn decimals(currency: &str) -> u32 {
    match () {
        () if is_in(NO_DECIMALS, currency) => 0,
        () if is_in(THREE_DECIMALS, currency) => 3,
        () => 2,
    }
}

fn is_in(list: &str, currency: &str) -> bool {
    list.split(' ').any(|known| known == currency)
}

/// The currency in lower case, if there is such a one.
pub(crate) fn currency(given: &str, param: &str) -> Result<String, ApiError> {
    let lower = given.to_lowercase();
    if [TWO_DECIMALS, NO_DECIMALS, WHOLE, THREE_DECIMALS].iter().any(|list| is_in(list, &lower)) {
        return Ok(lower);
    }
    let message = format!("Invalid currency: {}.", crate::errors::clean(&lower));
    Err(ApiError::param(param, message))
}

/// An amount that can be charged: not below about half a dollar, at most eight digits.
pub(crate) fn chargeable(amount: i64, currency: &str, param: &str) -> Result<(), ApiError> {
    priced(amount, currency, param)?;
    let least = if decimals(currency) == 3 { 500 } else { 50 };
    if amount < least {
        let message = format!("Amount must be at least {}", text(least, currency));
        return Err(ApiError::param(param, message).code("amount_too_small"));
    }
    Ok(())
}

/// An amount that a price may have.
pub(crate) fn priced(amount: i64, currency: &str, param: &str) -> Result<(), ApiError> {
    if amount < 0 {
        let message = "Invalid non-negative integer";
        return Err(ApiError::param(param, message).code("parameter_invalid_integer"));
    }
    if amount > 99_999_999 {
        let message = format!("Amount must be no more than {}", text(99_999_999, currency));
        return Err(ApiError::param(param, message).code("amount_too_large"));
    }
    let step = if is_in(WHOLE, currency) {
        100
    } else if is_in(THREE_DECIMALS, currency) {
        10
    } else {
        1
    };
    if amount % step != 0 {
        let message = format!("Invalid amount: amounts in {currency} must be divisible by {step}.");
        return Err(ApiError::param(param, message));
    }
    Ok(())
}

/// An amount for people: `12.50 USD`.
pub(crate) fn text(amount: i64, currency: &str) -> String {
    let places = decimals(currency);
    let unit = 10_u64.pow(places);
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    let code = currency.to_uppercase();
    match places {
        0 => format!("{sign}{amount} {code}"),
        _ => format!("{sign}{}.{:0width$} {code}", amount / unit, amount % unit, width = places as usize),
    }
}

/// `amount × part ÷ whole`, rounded half away from zero; zero for an empty whole.
pub(crate) fn share(amount: i64, part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    let product = i128::from(amount) * i128::from(part);
    let whole = i128::from(whole);
    let rounded = (product.abs() * 2 + whole) / (whole * 2);
    i64::try_from(rounded * product.signum()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_have_their_decimals() {
        assert_eq!(text(1250, "usd"), "12.50 USD");
        assert_eq!(text(-1250, "jpy"), "-1250 JPY");
        assert_eq!(text(12_340, "kwd"), "12.340 KWD");
        assert!(priced(1250, "ugx", "amount").is_err() && priced(1200, "ugx", "amount").is_ok());
        assert!(priced(1255, "kwd", "amount").is_err());
        assert!(currency("GTQ", "currency").is_ok() && currency("xyz", "currency").is_err());
    }

    #[test]
    fn shares_are_rounded_half_away_from_zero() {
        assert_eq!(share(1000, 1, 3), 333);
        assert_eq!(share(5, 1, 2), 3);
        assert_eq!(share(-5, 1, 2), -3);
        assert_eq!(share(5, 1, 0), 0);
    }
}
