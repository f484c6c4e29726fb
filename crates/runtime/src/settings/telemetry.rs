//! Settings of traces.

use anyhow::{Context, bail};
use documented::DocumentedFields;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Problems, sources::masked};

/// Traces. Logs and metrics need no setting.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// OpenTelemetry collector that takes OTLP over HTTP, for instance `http://127.0.0.1:4318`. Default: none, nothing is
    /// recorded.
    pub otlp_endpoint: Option<Url>,
    /// Headers of every call to it: `name=value,name=value`.
    #[serde(serialize_with = "masked")]
    pub otlp_headers: Option<SecretString>,
    /// Fraction of the traces that is recorded: 0.0 to 1.0.
    pub sample_ratio: f64,
    /// Name of the service in traces.
    pub service_name: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_headers: None,
            sample_ratio: 1.0,
            service_name: "portico".to_owned(),
        }
    }
}

impl Telemetry {
    /// The headers, as names and values.
    ///
    /// # Errors
    /// Without the value, which may be a secret.
    pub fn headers(&self) -> anyhow::Result<Vec<(String, SecretString)>> {
        let text = self.otlp_headers.as_ref().map_or("", |headers| headers.expose_secret());
        let pair = |(number, pair): (usize, &str)| {
            let of = || format!("telemetry.otlp_headers: part {} is not name=value", number + 1);
            let (name, value) = pair.split_once('=').with_context(of)?;
            let (name, value) = (name.trim(), value.trim());
            let is_name =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            let is_value = value.bytes().all(|b| (0x20..0x7f).contains(&b));
            if !is_name || !is_value {
                bail!(of());
            }
            Ok((name.to_owned(), value.to_owned().into()))
        };
        text.split(',').filter(|pair| !pair.trim().is_empty()).enumerate().map(pair).collect()
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// With the setting that is invalid.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if let Some(url) = &self.otlp_endpoint
            && (!matches!(url.scheme(), "http" | "https") || url.host().is_none())
        {
            problems.add("telemetry.otlp_endpoint must begin with http:// or https://");
        }
        if let Some(url) = &self.otlp_endpoint
            && (!url.username().is_empty() || url.password().is_some())
        {
            problems.add("telemetry.otlp_endpoint: credentials go into telemetry.otlp_headers");
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            problems.add("telemetry.sample_ratio must be between 0.0 and 1.0");
        }
        if self.service_name.trim().is_empty() {
            problems.add("telemetry.service_name must not be empty");
        }
        problems.note(self.headers());
        problems.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_pairs() {
        let headers = |text: &str| {
            let settings = Telemetry { otlp_headers: Some(text.to_owned().into()), ..Telemetry::default() };
            settings.headers().map(|headers| {
                let shown = |(name, value): (String, SecretString)| (name, value.expose_secret().to_owned());
                headers.into_iter().map(shown).collect::<Vec<_>>()
            })
        };
        assert!(headers("").unwrap().is_empty());
        let two = headers("authorization=Bearer a=b, x-scope = one ,").unwrap();
        assert_eq!(
            two,
            [("authorization".into(), "Bearer a=b".into()), ("x-scope".into(), "one".to_owned())]
        );
        for wrong in ["secret", "=secret", "a b=secret", "name=sec\nret"] {
            let error = headers(wrong).unwrap_err().to_string();
            assert!(error.contains("otlp_headers") && !error.contains("sec"), "{error}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let fine = || Telemetry::default();
        assert!(fine().check().is_ok());
        let endpoint = |url: &str| Telemetry { otlp_endpoint: Some(url.parse().unwrap()), ..fine() };
        assert!(endpoint("http://127.0.0.1:4318").check().is_ok());
        for wrong in [
            endpoint("ftp://collector"),
            endpoint("https://user:secret@collector"),
            Telemetry { sample_ratio: 1.5, ..fine() },
            Telemetry { sample_ratio: f64::NAN, ..fine() },
            Telemetry { service_name: " ".into(), ..fine() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
