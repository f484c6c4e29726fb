//! What licenses of a product allow, as staff set it. Licenses that were issued keep what was in force.

use portico_kernel::{Env, Event, Permission, RuleMessage, Scope, TenantId, Violations, event::id_of_word};
use serde::Deserialize;

use crate::{
    LicensingError,
    administration::SEATS_MAX,
    events,
    policy::{Channel, LicensePolicy, LicenseTerms},
    ports::LicensingRepositories,
};

/// Most characters of the name of a product.
const NAME_MAX: usize = 100;

/// Most days of a term, of support, and of going on without this server: about a hundred years.
const DAYS_MAX: i64 = 36_500;

/// Most days of a license file, which cannot be called back.
const FILE_DAYS_MAX: i64 = 3660;

/// The highest major version.
const MAJOR_MAX: i64 = 1_000_000;

/// The shortest lease of a seat, in seconds, and the longest: a day.
const LEASE: (i64, i64) = (60, 86_400);

/// Most seats that may be freed in a month.
const RELEASES_MAX: i64 = 1_000_000;

/// What licenses of a product allow that are issued from now on, as a whole: what is absent has no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "productName": "Base Software License", "seats": 3, "supportDays": 365, "channels": ["stable"], "graceDays": 14, "offline": true,
    "fileDays": 30, "releasesPerMonth": 5
})))]
pub struct LicensePolicyInput {
    /// Name of the product on its licenses, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 100))]
    pub product_name: String,
    /// On how many machines a license may be used at once, 1 to 1,000,000; any number where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000))]
    pub seats: Option<i64>,
    /// For how many days a license is good, 1 to 36,500; for ever where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 1, maximum = 36_500))]
    pub term_days: Option<i64>,
    /// For how many days releases that appear are covered, 0 to 36,500; for ever where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 0, maximum = 36_500))]
    pub support_days: Option<i64>,
    /// The highest major version that is covered, 0 to 1,000,000; every one where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000))]
    pub max_major: Option<i64>,
    /// The channels whose releases are covered, one or more.
    #[cfg_attr(feature = "openapi", schema(required = true, min_items = 1, max_items = 2))]
    pub channels: Vec<Channel>,
    /// For how many days the product goes on when it cannot reach this server, 0 to 36,500.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = i64, minimum = 0, maximum = 36_500))]
    pub grace_days: Option<i64>,
    /// Whether there are license files.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = bool))]
    pub offline: Option<bool>,
    /// For how many days a license file is good at most, 1 to 3,660; also where there are none for now.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = i64, minimum = 1, maximum = 3660))]
    pub file_days: Option<i64>,
    /// How many seats an owner may free in a calendar month (UTC), 0 to 1,000,000.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = i64, minimum = 0, maximum = 1_000_000))]
    pub releases_per_month: Option<i64>,
    /// Floating seats: for how many seconds a machine holds its seat after it was heard of last, 60 to 86,400; until it is freed where
    /// absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 60, maximum = 86_400))]
    pub lease_seconds: Option<i64>,
}

impl LicensePolicyInput {
    /// The policy of a product. Broken rules are recorded by their fields.
    fn read(&self, product_type: &str, violations: &mut Violations) -> LicensePolicy {
        violations.line("productName", &self.product_name, 1, NAME_MAX);
        let mut number = |field: &str, value: Option<i64>, (min, max): (i64, i64)| {
            let fits = value.is_none_or(|value| (min..=max).contains(&value));
            violations.check(fits, field, "out_of_range", RuleMessage::number(min, max));
            value.and_then(|value| u32::try_from(value).ok())
        };
        let seats = number("seats", self.seats, (1, SEATS_MAX));
        let term_days = number("termDays", self.term_days, (1, DAYS_MAX));
        let support_days = number("supportDays", self.support_days, (0, DAYS_MAX));
        let max_major = number("maxMajor", self.max_major, (0, MAJOR_MAX));
        let grace_days = number("graceDays", self.grace_days, (0, DAYS_MAX));
        let file_days = number("fileDays", self.file_days, (1, FILE_DAYS_MAX));
        let releases = number("releasesPerMonth", self.releases_per_month, (0, RELEASES_MAX));
        let lease_seconds = number("leaseSeconds", self.lease_seconds, LEASE);
        let mut channels = self.channels.clone();
        channels.sort_unstable();
        channels.dedup();
        for (field, is_there) in [
            ("channels", !channels.is_empty()),
            ("graceDays", self.grace_days.is_some()),
            ("offline", self.offline.is_some()),
            ("fileDays", self.file_days.is_some()),
            ("releasesPerMonth", self.releases_per_month.is_some()),
        ] {
            violations.check(is_there, field, "required", "This field is required.");
        }
        LicensePolicy {
            product_type: product_type.to_owned(),
            product_name: self.product_name.trim().to_owned(),
            seats,
            term_days,
            support_days,
            terms: LicenseTerms {
                max_major,
                channels,
                grace_days: grace_days.unwrap_or_default(),
                offline: self.offline.unwrap_or_default(),
                file_days: file_days.unwrap_or_default(),
                releases_per_month: releases.unwrap_or_default(),
                lease_seconds,
            },
        }
    }
}

/// Use cases around policies, for staff. Whoever calls them checks that there is such a product.
pub struct PolicyAdministration<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> PolicyAdministration<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn LicensingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The policy of a product.
    ///
    /// # Errors
    /// `Denied` without `platform:products`; `NoPolicy` where there are no licenses of the product.
    pub async fn get(&mut self, product_type: &str) -> Result<LicensePolicy, LicensingError> {
        self.scope.require_platform(Permission::PlatformProducts)?;
        self.repositories.license_policies().find(product_type).await?.ok_or(LicensingError::NoPolicy)
    }

    /// Sets the policy of a product, from then on with licenses for what is bought. Licenses that were issued stay as they are. The same as
    /// before changes nothing.
    ///
    /// # Errors
    /// `Denied` without `platform:products`; `Invalid`.
    pub async fn set(
        &mut self,
        product_type: &str,
        input: &LicensePolicyInput,
    ) -> Result<LicensePolicy, LicensingError> {
        self.scope.require_platform(Permission::PlatformProducts)?;
        let mut violations = Violations::default();
        let policy = input.read(product_type, &mut violations);
        violations.into_result().map_err(LicensingError::Invalid)?;
        let resource = id_of_word("license_policy", product_type);
        let added = self.repositories.license_policies().insert_missing(&policy, self.env.now()).await?;
        if added {
            let event = Event::new(self.env, self.scope, &events::LICENSE_POLICY_CREATED, resource);
            self.repositories.events().append(event.in_tenant(TenantId::PLATFORM).after(&policy)).await?;
            return Ok(policy);
        }
        let before = self.repositories.license_policies().lock(product_type).await?;
        let before = before.ok_or(LicensingError::NoPolicy)?;
        if before != policy {
            self.repositories.license_policies().update(&policy).await?;
            let event = Event::new(self.env, self.scope, &events::LICENSE_POLICY_UPDATED, resource);
            let event = event.in_tenant(TenantId::PLATFORM).before(&before).after(&policy);
            self.repositories.events().append(event).await?;
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, RequestInfo};

    use super::*;
    use crate::{
        policy::catalogue,
        testing::{Repositories, env},
    };

    fn staff() -> Scope {
        Scope::system(None, RequestInfo::default())
    }

    fn input() -> LicensePolicyInput {
        LicensePolicyInput {
            product_name: " Report Pack ".to_owned(),
            seats: Some(2),
            channels: vec![Channel::Beta, Channel::Stable, Channel::Beta],
            grace_days: Some(0),
            offline: Some(false),
            file_days: Some(1),
            releases_per_month: Some(0),
            ..LicensePolicyInput::default()
        }
    }

    #[tokio::test]
    async fn a_policy_is_made_and_replaced_as_a_whole() {
        let (env, scope) = (env(), staff());
        let mut repositories = Repositories::seeded();
        let mut administration = PolicyAdministration::new(&mut repositories, &scope, &env);
        assert!(matches!(administration.get("report_pack").await, Err(LicensingError::NoPolicy)));
        let made = administration.set("report_pack", &input()).await.unwrap();
        assert_eq!((made.product_name.as_str(), made.seats, made.term_days), ("Report Pack", Some(2), None));
        assert_eq!(made.terms.channels, [Channel::Stable, Channel::Beta]);
        assert_eq!(administration.get("report_pack").await.unwrap(), made);
        administration.set("report_pack", &input()).await.unwrap();
        let replaced = administration.set("base_product", &input()).await.unwrap();
        assert_eq!((replaced.support_days, replaced.terms.offline), (None, false), "absent is no limit");
        assert_eq!(administration.get("base_product").await.unwrap(), replaced);
        assert_eq!(repositories.events(), ["license_policy.created", "license_policy.updated"]);
        let event = repositories.rows().events.remove(1);
        assert_eq!(event.tenant, TenantId::PLATFORM);
        assert_eq!(event.before.unwrap()["supportDays"], 365);
    }

    #[tokio::test]
    async fn each_rule() {
        let (env, scope) = (env(), staff());
        let mut repositories = Repositories::seeded();
        let mut administration = PolicyAdministration::new(&mut repositories, &scope, &env);
        let nothing = administration.set("base_product", &LicensePolicyInput::default()).await.unwrap_err();
        let fields: Vec<_> = nothing.fields().iter().map(|error| error.field.as_str()).collect();
        let required = ["productName", "channels", "graceDays", "offline", "fileDays", "releasesPerMonth"];
        assert_eq!(fields, required);
        for (wrong, field) in [
            (LicensePolicyInput { seats: Some(0), ..input() }, "seats"),
            (LicensePolicyInput { term_days: Some(0), ..input() }, "termDays"),
            (LicensePolicyInput { term_days: Some(DAYS_MAX + 1), ..input() }, "termDays"),
            (LicensePolicyInput { support_days: Some(-1), ..input() }, "supportDays"),
            (LicensePolicyInput { max_major: Some(-1), ..input() }, "maxMajor"),
            (LicensePolicyInput { grace_days: Some(-1), ..input() }, "graceDays"),
            (LicensePolicyInput { file_days: Some(0), ..input() }, "fileDays"),
            (LicensePolicyInput { releases_per_month: Some(-1), ..input() }, "releasesPerMonth"),
            (LicensePolicyInput { lease_seconds: Some(59), ..input() }, "leaseSeconds"),
            (LicensePolicyInput { lease_seconds: Some(86_401), ..input() }, "leaseSeconds"),
        ] {
            let refused = administration.set("base_product", &wrong).await.unwrap_err();
            assert_eq!(refused.fields()[0].field, field, "{wrong:?}");
            assert_eq!(refused.fields()[0].code, "out_of_range");
        }
        assert_eq!(administration.get("base_product").await.unwrap(), catalogue().remove(0));
        let anonymous = Scope::anonymous(RequestInfo::default());
        let mut administration = PolicyAdministration::new(&mut repositories, &anonymous, &env);
        assert!(matches!(administration.get("base_product").await, Err(LicensingError::Denied(_))));
        let refused = administration.set("base_product", &input()).await;
        assert!(matches!(refused, Err(LicensingError::Denied(_))));
        assert!(repositories.events().is_empty());
    }
}
