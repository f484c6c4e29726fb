//! Licenses of an older system, as staff bring them in a table: all of them, or none.

use std::collections::BTreeMap;

use portico_kernel::{Env, FieldError, Permission, RuleMessage, Scope, TenantId, Timestamp};

use crate::{
    LicensingError,
    administration::SEATS_MAX,
    issuing,
    key::{KeyVault, LicenseKey},
    license::License,
    policy::LicensePolicy,
    ports::LicensingRepositories,
};

/// Most lines of a table.
pub const LINES_MAX: usize = 5000;

/// What the audit trail says about a license that was imported.
const REASON: &str = "Imported";

/// The customer that a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedCustomer {
    /// This one.
    Known(TenantId),
    /// None.
    Unknown,
    /// Several: the person owns more than one tenant.
    Ambiguous,
}

/// A line of the table. Texts are empty where nothing was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportLine {
    /// Its number in the file, from 1; the header has the first one.
    pub number: u64,
    /// The customer.
    pub customer: NamedCustomer,
    /// Id of the product, which has a policy.
    pub product_type: String,
    /// The key that the customer has already; a new one where it is empty.
    pub key: String,
    /// When the license ends, RFC 3339 and in the future; what the policy says where it is empty.
    pub expires_at: String,
    /// On how many machines it may be used; what the policy says where it is empty.
    pub seats: String,
}

/// What was looked up and read so far.
#[derive(Default)]
struct Seen {
    policies: BTreeMap<String, Option<LicensePolicy>>,
    /// Hashes of keys, and the number of the line.
    keys: BTreeMap<[u8; 32], u64>,
}

/// Use cases of imports.
pub struct LicenseImports<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
    vault: &'a KeyVault,
}

impl<'a> LicenseImports<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(
        repositories: &'a mut dyn LicensingRepositories,
        scope: &'a Scope,
        env: &'a Env,
        vault: &'a KeyVault,
    ) -> Self {
        Self { repositories, scope, env, vault }
    }

    /// Checks the permission and the number of lines: the caller of [`LicenseImports::import`] looks up their customers after this only.
    ///
    /// # Errors
    /// `Denied` without `platform:licenses`; `Invalid` for no line, and for too many.
    pub fn check(&self, lines: usize) -> Result<(), LicensingError> {
        self.scope.require_platform(Permission::PlatformLicenses)?;
        if lines == 0 {
            let error = FieldError::new("lines", "required", "There is no line below the header.");
            return Err(LicensingError::Invalid(vec![error]));
        }
        if lines > LINES_MAX {
            let message = RuleMessage::new(format!("Use at most {LINES_MAX} lines.")).max(LINES_MAX);
            return Err(LicensingError::Invalid(vec![FieldError::new("lines", "too_many", message)]));
        }
        Ok(())
    }

    /// Issues a license for each line by the policy of its product. All lines are checked first: where one is wrong, nothing is issued, and
    /// the error names every wrong line with the first thing that is wrong with it. Answers how many were issued.
    ///
    /// # Errors
    /// `Denied` without `platform:licenses`; `Invalid`, with fields such as `lines[7].key`; `Conflict` of the store where another unit of
    /// work takes a key meanwhile.
    pub async fn import(&mut self, lines: &[ImportLine]) -> Result<usize, LicensingError> {
        self.check(lines.len())?;
        let (mut seen, mut licenses, mut errors) = (Seen::default(), Vec::new(), Vec::new());
        for line in lines {
            match self.read(line, &mut seen).await? {
                Ok(license) => licenses.push(license),
                Err(error) => errors.push(error.within(&format!("lines[{}]", line.number))),
            }
        }
        if !errors.is_empty() {
            return Err(LicensingError::Invalid(errors));
        }
        for license in &licenses {
            issuing::store(self.repositories, self.scope, self.env, license, Some(REASON)).await?;
        }
        Ok(licenses.len())
    }

    /// The license of a line, or the first thing that is wrong with it.
    async fn read(
        &mut self,
        line: &ImportLine,
        seen: &mut Seen,
    ) -> Result<Result<License, FieldError>, LicensingError> {
        let tenant = match line.customer {
            NamedCustomer::Known(tenant) => tenant,
            NamedCustomer::Unknown => {
                let message = "There is no such customer.";
                return Ok(Err(FieldError::new("customer", "unknown_customer", message)));
            }
            NamedCustomer::Ambiguous => {
                let message = "This person owns several tenants. Use the id of one.";
                return Ok(Err(FieldError::new("customer", "ambiguous_customer", message)));
            }
        };
        let Some(policy) = self.policy(&line.product_type, seen).await? else {
            let message = "There are no licenses of such a product.";
            return Ok(Err(FieldError::new("productType", "unknown_product", message)));
        };
        let expires_at = match self.end_of(&line.expires_at) {
            Ok(end) => end,
            Err(error) => return Ok(Err(error)),
        };
        let seats = match seats_of(&line.seats) {
            Ok(seats) => seats,
            Err(error) => return Ok(Err(error)),
        };
        let license = issuing::make(self.env, self.vault, tenant, &policy)?;
        let license = License {
            expires_at: expires_at.or(license.expires_at),
            activation_limit: seats.or(license.activation_limit),
            ..license
        };
        if line.key.is_empty() {
            return Ok(Ok(license));
        }
        let Some(key) = LicenseKey::parse(&line.key) else {
            let message = "Use 16 letters and digits of Crockford's base 32, as in 7K2M-9QXD-4T0B-HZ5R.";
            return Ok(Err(FieldError::new("key", "invalid_key", message)));
        };
        let key = self.vault.keep(&key, license.id)?;
        if let Some(earlier) = seen.keys.insert(key.digest, line.number) {
            let message = format!("Line {earlier} has the same key.");
            return Ok(Err(FieldError::new("key", "duplicate", message)));
        }
        let digests = self.vault.digests_of(&line.key);
        if self.repositories.licenses().owner_of(&digests).await?.is_some() {
            return Ok(Err(FieldError::new("key", "taken", "Another license has this key.")));
        }
        Ok(Ok(License { key, ..license }))
    }

    /// The policy of a product, asked for once.
    async fn policy(
        &mut self,
        product: &str,
        seen: &mut Seen,
    ) -> Result<Option<LicensePolicy>, LicensingError> {
        if let Some(known) = seen.policies.get(product) {
            return Ok(known.clone());
        }
        // Not every text can be sent to a store.
        let found = match product.contains('\0') {
            true => None,
            false => self.repositories.license_policies().find(product).await?,
        };
        seen.policies.insert(product.to_owned(), found.clone());
        Ok(found)
    }

    fn end_of(&self, text: &str) -> Result<Option<Timestamp>, FieldError> {
        if text.is_empty() {
            return Ok(None);
        }
        let end = Timestamp::parse(text).ok_or_else(|| {
            let message = "Use a time of RFC 3339, as in 2027-11-23T10:03:12Z.";
            FieldError::new("expiresAt", "invalid_time", message)
        })?;
        match end > self.env.now() {
            true => Ok(Some(end)),
            false => Err(FieldError::new("expiresAt", "in_the_past", "Use a time in the future.")),
        }
    }
}

fn seats_of(text: &str) -> Result<Option<u32>, FieldError> {
    if text.is_empty() {
        return Ok(None);
    }
    let seats = text.parse::<i64>().ok().filter(|seats| (1..=SEATS_MAX).contains(seats));
    let seats = seats.and_then(|seats| u32::try_from(seats).ok());
    seats.map(Some).ok_or_else(|| FieldError::new("seats", "out_of_range", RuleMessage::number(1, SEATS_MAX)))
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, RequestInfo};

    use super::*;
    use crate::testing::{Repositories, env, license, vault};

    const KEY: &str = "7K2M-9QXD-4T0B-HZ5R";

    fn line(number: u64, customer: TenantId) -> ImportLine {
        ImportLine {
            number,
            customer: NamedCustomer::Known(customer),
            product_type: "base_product".to_owned(),
            key: String::new(),
            expires_at: String::new(),
            seats: String::new(),
        }
    }

    #[tokio::test]
    async fn each_line_has_a_license_with_its_own_key_or_a_new_one() {
        let (env, vault) = (env(), vault());
        let scope = Scope::system(None, RequestInfo::default());
        let mut repositories = Repositories::seeded();
        let (one, other) = (env.new_id(), env.new_id());
        let lines = [
            line(2, one),
            ImportLine {
                key: "7k2m9qxd4tobhz5r".to_owned(),
                expires_at: "2099-01-02T03:04:05Z".to_owned(),
                seats: "9".to_owned(),
                ..line(3, other)
            },
        ];
        let mut imports = LicenseImports::new(&mut repositories, &scope, &env, &vault);
        assert_eq!(imports.import(&lines).await.unwrap(), 2);
        let licenses = repositories.rows().licenses.clone();
        assert_eq!((licenses[0].tenant_id, licenses[0].activation_limit), (one, Some(3)));
        assert_eq!((licenses[1].tenant_id, licenses[1].activation_limit), (other, Some(9)));
        assert_eq!(licenses[1].expires_at.unwrap().to_string(), "2099-01-02T03:04:05Z");
        assert_eq!(vault.open(licenses[1].id, &licenses[1].key).unwrap().as_str(), KEY);
        assert_eq!(repositories.events(), ["license.issued"; 2]);
        assert_eq!(repositories.rows().events[1].after.as_ref().unwrap()["reason"], "Imported");
    }

    #[tokio::test]
    async fn every_wrong_line_is_named_and_nothing_is_issued() {
        let (env, vault) = (env(), vault());
        let scope = Scope::system(None, RequestInfo::default());
        let mut repositories = Repositories::seeded();
        let taken = license(&env);
        let taken_key = vault.open(taken.id, &taken.key).unwrap().as_str().to_owned();
        repositories.rows().licenses.push(taken);
        let tenant = env.new_id();
        let plain = |number| line(number, tenant);
        let lines = [
            plain(2),
            ImportLine { customer: NamedCustomer::Unknown, ..plain(3) },
            ImportLine { customer: NamedCustomer::Ambiguous, ..plain(4) },
            ImportLine { product_type: "mug".to_owned(), ..plain(5) },
            ImportLine { product_type: "a\0b".to_owned(), ..plain(6) },
            ImportLine { expires_at: "tomorrow".to_owned(), ..plain(7) },
            ImportLine { expires_at: "2020-01-01T00:00:00Z".to_owned(), ..plain(8) },
            ImportLine { seats: "0".to_owned(), ..plain(9) },
            ImportLine { seats: "many".to_owned(), ..plain(10) },
            ImportLine { key: "1234".to_owned(), ..plain(11) },
            ImportLine { key: KEY.to_owned(), ..plain(12) },
            ImportLine { key: KEY.to_lowercase(), ..plain(13) },
            ImportLine { key: taken_key, ..plain(14) },
            // After the year 9999 in UTC.
            ImportLine { expires_at: "9999-12-31T23:59:59-00:01".to_owned(), ..plain(15) },
        ];
        let mut imports = LicenseImports::new(&mut repositories, &scope, &env, &vault);
        let refused = imports.import(&lines).await.unwrap_err();
        let found: Vec<_> =
            refused.fields().iter().map(|error| (error.field.as_str(), error.code.as_ref())).collect();
        let expected = [
            ("lines[3].customer", "unknown_customer"),
            ("lines[4].customer", "ambiguous_customer"),
            ("lines[5].productType", "unknown_product"),
            ("lines[6].productType", "unknown_product"),
            ("lines[7].expiresAt", "invalid_time"),
            ("lines[8].expiresAt", "in_the_past"),
            ("lines[9].seats", "out_of_range"),
            ("lines[10].seats", "out_of_range"),
            ("lines[11].key", "invalid_key"),
            ("lines[13].key", "duplicate"),
            ("lines[14].key", "taken"),
            ("lines[15].expiresAt", "invalid_time"),
        ];
        assert_eq!(found, expected);
        assert_eq!(repositories.rows().licenses.len(), 1);
        assert!(repositories.events().is_empty());

        let mut imports = LicenseImports::new(&mut repositories, &scope, &env, &vault);
        for (lines, code) in [(vec![], "required"), (vec![plain(2); LINES_MAX + 1], "too_many")] {
            for refused in
                [imports.check(lines.len()).unwrap_err(), imports.import(&lines).await.unwrap_err()]
            {
                let error = &refused.fields()[0];
                assert_eq!((error.field.as_str(), error.code.as_ref()), ("lines", code));
            }
        }
        assert!(imports.check(LINES_MAX).is_ok());
        let anonymous = Scope::anonymous(RequestInfo::default());
        let mut imports = LicenseImports::new(&mut repositories, &anonymous, &env, &vault);
        assert!(matches!(imports.check(1), Err(LicensingError::Denied(_))));
        assert!(matches!(imports.import(&[plain(2)]).await, Err(LicensingError::Denied(_))));
    }
}
