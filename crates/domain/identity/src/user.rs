//! A person who can sign in, and their profile.

use std::fmt;

use email_address::{EmailAddress as Syntax, Options};
use portico_kernel::{
    FieldError, Permissions, PlatformRole, RuleMessage, StaffAreas, Timestamp, UserId, Violations,
};
use serde::{Deserialize, Serialize};

/// Languages that we write in.
pub const LANGUAGES: [&str; 2] = ["en", "es"];

/// An email address in lower case: addresses that differ only in case are one address here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "email"))]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Checks the syntax (RFC 5321: at most 254 characters; no display name, no literal address) and lowers the case. A quoted local
    /// part (`"any text"@example.com`) is refused: it could be a sentence, and messages name addresses.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(FieldError::new("email", "required", "This field is required."));
        }
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        match Syntax::parse_with_options(text, options) {
            Ok(_) if text.len() <= 254 && text.is_ascii() && !text.contains(['"', '\\', ' ']) => {
                Ok(Self(text.to_ascii_lowercase()))
            }
            _ => Err(FieldError::new("email", "invalid_email", "This is not a valid email address.")),
        }
    }

    /// From the store, where only checked addresses are.
    pub fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address shortened to its first letter and its domain, `a…@example.com`: enough for its owner to recognise.
    pub fn masked(&self) -> String {
        match self.0.rsplit_once('@') {
            Some((local, domain)) => format!("{}…@{domain}", local.chars().next().unwrap_or_default()),
            None => "…".to_owned(),
        }
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum UserStatus {
    /// In use.
    #[default]
    Active,
    /// Locked by the operator.
    Suspended,
    /// Deleted; kept for the audit trail.
    Deleted,
}

impl UserStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleted].into_iter().find(|status| status.as_str() == text)
    }
}

/// A person who can sign in.
///
/// Several accounts may name one address as long as none has proven it: an address belongs to an account only once it is
/// verified. That keeps a stranger from discovering, or taking, the address of another person.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// UUIDv7.
    pub id: UserId,
    /// Address for signing in and for mail.
    pub email: EmailAddress,
    /// Whether the address is proven.
    pub email_verified: bool,
    /// Name as the person writes it.
    pub full_name: String,
    /// Phone number.
    pub phone: Option<String>,
    /// Mobile number.
    pub mobile: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Preferred language, BCP 47 (`en`, `es`).
    pub language: String,
    /// Postal address.
    pub address: Option<String>,
    /// Notes to oneself.
    pub notes: Option<String>,
    /// Picture.
    pub avatar_url: Option<String>,
    /// Platform-wide role.
    pub role: PlatformRole,
    /// Areas to which a member of staff is narrowed; absent for one who works in all of them, and for everybody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Vec<portico_kernel::StaffArea>))]
    pub staff_areas: Option<StaffAreas>,
    /// Whether the account can be used.
    pub status: UserStatus,
    /// Last sign-in.
    pub last_login_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

impl User {
    /// A new account: in use, a customer's, its address not proven, and with no data but name and language.
    pub fn new(id: UserId, email: EmailAddress, full_name: String, language: String, now: Timestamp) -> Self {
        Self {
            id,
            email,
            email_verified: false,
            full_name,
            phone: None,
            mobile: None,
            company: None,
            language,
            address: None,
            notes: None,
            avatar_url: None,
            role: PlatformRole::default(),
            staff_areas: None,
            status: UserStatus::default(),
            last_login_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// What the user may do outside of any tenant: by their role, and as staff in their areas.
    pub fn platform_permissions(&self) -> Permissions {
        self.role.permissions_in(self.staff_areas)
    }
}

/// Most characters of the name of a person.
pub(crate) const LONGEST_NAME: usize = 200;

/// A name appears in the headers of messages, and is read by others.
pub fn check_name(violations: &mut Violations, name: &str) {
    violations.person_name("fullName", name, 1, LONGEST_NAME);
}

/// The company of a person appears where their name does.
pub(crate) fn check_company(violations: &mut Violations, company: Option<&str>) {
    if let Some(company) = company {
        violations.name("company", company, 0, 200);
    }
}

/// A phone number as people write it: 5 to 15 digits (E.164 allows 15), a leading plus, and separators.
pub(crate) fn check_phone(violations: &mut Violations, field: &'static str, phone: Option<&str>) {
    let Some(phone) = phone else { return };
    let number = phone.strip_prefix('+').unwrap_or(phone);
    let digits = number.chars().filter(char::is_ascii_digit).count();
    let holds = (5..=15).contains(&digits)
        && phone.len() <= 32
        && number.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '(' | ')' | '.' | '/'));
    violations.check(holds, field, "invalid_phone", "Write a phone number, for instance +502 2345 6789.");
}

/// A language must be one that we write in.
pub(crate) fn check_language(violations: &mut Violations, language: &str) {
    violations.check(
        LANGUAGES.contains(&language),
        "language",
        "unknown_language",
        RuleMessage::new("Choose one of: en, es.").allowed(LANGUAGES),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_lower_case() {
        assert_eq!(EmailAddress::parse(" Ada@Example.COM ").unwrap().as_str(), "ada@example.com");
    }

    #[test]
    fn a_masked_address_shows_one_letter() {
        assert_eq!(EmailAddress::parse("ada@example.com").unwrap().masked(), "a…@example.com");
        assert_eq!(EmailAddress::trusted("odd".into()).masked(), "…");
    }

    #[test]
    fn odd_but_valid_addresses_pass() {
        for text in
            ["a@b.co", "first.last+tag@sub.example.com", "o'hara@example.ie", "x_y-z@xn--80ak6aa92e.com"]
        {
            assert!(EmailAddress::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let too_long = format!("{}@{}.com", "a".repeat(60), "b.".repeat(100));
        for text in [
            "plain",
            "@example.com",
            "a@",
            "a@localhost",
            "a b@example.com",
            "a@@example.com",
            "a@[127.0.0.1]",
            "Ada <ada@example.com>",
            "a@example.com\r\nBcc: b@example.com",
            "a@example..com",
            "\"a b\"@example.com",
            "\"https://evil.example/\"@example.com",
            ".a@example.com",
            "añ@example.com",
            "a@exämple.com",
            "a@example.com,b@example.com",
            &too_long,
        ] {
            assert_eq!(EmailAddress::parse(text).unwrap_err().code, "invalid_email", "{text}");
        }
        assert_eq!(EmailAddress::parse("  ").unwrap_err().code, "required");
    }
}
