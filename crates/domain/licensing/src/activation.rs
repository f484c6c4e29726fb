//! Machines on which a license is used.

use portico_kernel::{ActivationId, LicenseId, TenantId, Timestamp, Violations};
use serde::Serialize;

/// Most characters of a fingerprint.
const FINGERPRINT_MAX: usize = 200;

/// Most characters of the name of a machine, and of its platform.
const NAME_MAX: usize = 100;

/// A machine on which a license is used: a seat that is taken, until the end of its lease where seats are floating.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Activation {
    /// UUIDv7.
    pub id: ActivationId,
    /// The tenant that it belongs to.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// The license.
    #[serde(skip)]
    pub license_id: LicenseId,
    /// What the product knows the machine by. Each once for a license.
    #[cfg_attr(feature = "openapi", schema(example = "b6f1d6f0c0a84f5f9d1d3c1e8a7e4f02"))]
    pub fingerprint: String,
    /// What people call the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "Reception"))]
    pub name: Option<String>,
    /// What the machine runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "windows-x64"))]
    pub platform: Option<String>,
    /// Address from which it was activated, or seen last; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "192.0.2.7"))]
    pub ip: Option<String>,
    /// When the seat was taken.
    pub activated_at: Timestamp,
    /// When the product asked about it last.
    pub last_seen_at: Timestamp,
    /// Until when the last license file for it is good; absent where there is none. Such a file cannot be called back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Timestamp))]
    pub offline_until: Option<Timestamp>,
    /// Until when it holds its seat unless it is heard of again; absent where it holds it until it is freed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Timestamp))]
    pub lease_ends_at: Option<Timestamp>,
    /// Whether there is an event of the end of its lease. None follows until it has taken a seat again.
    #[serde(skip)]
    pub lapsed: bool,
}

impl Activation {
    /// Whether it holds a seat: one whose lease is over does not, whether or not that was noted.
    pub fn holds_seat(&self, now: Timestamp) -> bool {
        self.lease_ends_at.is_none_or(|end| end > now)
    }
}

/// A machine as it is named in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// What the product knows it by.
    pub fingerprint: String,
    /// What people call it.
    pub name: Option<String>,
    /// What it runs on.
    pub platform: Option<String>,
}

impl Machine {
    /// The machine without white space around its texts; what is wrong with them is recorded.
    pub(crate) fn read(
        fingerprint: &str,
        name: Option<&str>,
        platform: Option<&str>,
        violations: &mut Violations,
    ) -> Self {
        check_fingerprint(fingerprint, violations);
        for (field, text) in [("name", name), ("platform", platform)] {
            if let Some(text) = text {
                violations.line(field, text, 0, NAME_MAX);
            }
        }
        let some =
            |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        Self { fingerprint: fingerprint.trim().to_owned(), name: some(name), platform: some(platform) }
    }
}

/// Records what is wrong with a fingerprint.
pub(crate) fn check_fingerprint(fingerprint: &str, violations: &mut Violations) {
    violations.line("fingerprint", fingerprint, 1, FINGERPRINT_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(fingerprint: &str, name: Option<&str>, platform: Option<&str>) -> Vec<(String, String)> {
        let mut violations = Violations::default();
        Machine::read(fingerprint, name, platform, &mut violations);
        let errors = violations.into_result().err().unwrap_or_default();
        errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect()
    }

    #[test]
    fn a_machine_is_named_in_one_line() {
        let mut violations = Violations::default();
        let machine = Machine::read(" f1 ", Some(" Caja 1 "), Some(" "), &mut violations);
        assert!(violations.is_empty());
        let name = Some("Caja 1".to_owned());
        assert_eq!(machine, Machine { fingerprint: "f1".to_owned(), name, platform: None });
        let error = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        assert_eq!(codes("", None, None), error("fingerprint", "required"));
        assert_eq!(codes(&"f".repeat(201), None, None), error("fingerprint", "too_long"));
        assert_eq!(codes("f\n1", None, None), error("fingerprint", "invalid_characters"));
        assert_eq!(codes("f", Some(&"n".repeat(101)), None), error("name", "too_long"));
        assert_eq!(codes("f", None, Some("a\u{0}b")), error("platform", "invalid_characters"));
    }
}
