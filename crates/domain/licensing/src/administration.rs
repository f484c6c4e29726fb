//! Licenses as staff issue, suspend and end them.

use portico_kernel::{
    Env, FieldError, LicenseId, List, PRODUCT_ID_MAX, PageRequest, Permission, RuleMessage, Scope, TenantId,
    Timestamp, Violations,
};
use serde::{Deserialize, Serialize};

use crate::{
    LicensingError, issuing,
    key::KeyVault,
    license::{License, LicenseStatus, Move},
    policy::LicensePolicy,
    ports::{CountedLicense, FoundLicense, LicenseFilter, LicensingRepositories},
    succession::LicensePlace,
    transition,
};

/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// Most characters of a key as it is typed.
const KEY_MAX: usize = 100;

/// Most licenses of one call.
const QUANTITY_MAX: i64 = 100;

/// Most seats of a license.
pub(crate) const SEATS_MAX: i64 = 1_000_000;

/// A license as staff see it: with the end of its key only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ManagedLicense {
    /// The license.
    #[serde(flatten)]
    pub license: License,
    /// The customer that it belongs to.
    pub customer_id: TenantId,
    /// The last four characters of its key.
    #[cfg_attr(feature = "openapi", schema(example = "HZ5R"))]
    pub key_ending: String,
    /// On how many machines it is used.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub activations: u64,
    /// The license that follows it; absent unless it was given away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = LicensePlace))]
    pub transferred_to: Option<LicensePlace>,
    /// The license that it follows; absent unless it was issued to somebody to whom one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = LicensePlace))]
    pub transferred_from: Option<LicensePlace>,
}

/// Which licenses staff want to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicenseQuery {
    /// Those of this customer.
    pub customer: Option<TenantId>,
    /// Those with this status.
    pub status: Option<LicenseStatus>,
    /// Those of this product.
    pub product_type: Option<String>,
    /// The one with this key, as somebody told it.
    pub key: Option<String>,
}

/// Licenses to be issued without a purchase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "customerId": "0199d2a4-5c1e-7a51-8f3b-0d6c2f9b4e11", "productType": "base_product", "quantity": 1, "activationLimit": 5,
    "reason": "Replaces a boxed copy"
})))]
pub struct NewLicenses {
    /// The customer.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = TenantId))]
    pub customer_id: Option<TenantId>,
    /// Id of the product, which has a policy.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 50))]
    pub product_type: String,
    /// How many, 1 to 100; 1 where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 1, maximum = 100))]
    pub quantity: Option<i64>,
    /// On how many machines each may be used, 1 to 1,000,000; what the policy says where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000))]
    pub activation_limit: Option<i64>,
    /// When they end, in the future; what the policy says where absent.
    pub expires_at: Option<Timestamp>,
    /// Why, for the audit trail; 1 to 500 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 500))]
    pub reason: String,
}

/// Why staff change a license.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"reason": "The key was published in a forum"})))]
pub struct LicenseReason {
    /// For the audit trail; 1 to 500 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 500))]
    pub reason: String,
}

/// Use cases of staff.
pub struct LicenseAdministration<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
    vault: &'a KeyVault,
}

impl<'a> LicenseAdministration<'a> {
    /// Over repositories, for a caller.
    pub fn new(
        repositories: &'a mut dyn LicensingRepositories,
        scope: &'a Scope,
        env: &'a Env,
        vault: &'a KeyVault,
    ) -> Self {
        Self { repositories, scope, env, vault }
    }

    /// The licenses of all customers, newest first. Tenants of the operator's own people are none, except to super admins.
    ///
    /// # Errors
    /// `Denied` without `platform:licenses`; `Invalid`.
    pub async fn list(
        &mut self,
        query: LicenseQuery,
        page: PageRequest,
    ) -> Result<List<ManagedLicense>, LicensingError> {
        self.scope.require_platform(Permission::PlatformLicenses)?;
        let mut violations = Violations::default();
        violations.optional_text("productType", query.product_type.as_deref(), PRODUCT_ID_MAX);
        violations.optional_text("key", query.key.as_deref(), KEY_MAX);
        violations.into_result().map_err(LicensingError::Invalid)?;
        let filter = LicenseFilter {
            tenant: query.customer,
            status: query.status,
            product_type: query.product_type,
            digests: query.key.as_deref().map(|key| self.vault.digests_of(key)),
        };
        let all = self.scope.crosses_tenants();
        let found = self.repositories.licenses().managed(all, &filter, self.env.now(), page).await?;
        let items = found.items.into_iter().map(|found| self.shown(found));
        Ok(List::new(items.collect::<Result<_, _>>()?, page, found.total))
    }

    /// Whose a license is. What staff do to it is done in this tenant.
    ///
    /// # Errors
    /// `Denied` without `platform:licenses`; `NoLicense`.
    pub async fn customer_of(&mut self, id: LicenseId) -> Result<TenantId, LicensingError> {
        self.scope.require_platform(Permission::PlatformLicenses)?;
        self.repositories.licenses().tenant_of(id).await?.ok_or(LicensingError::NoLicense)
    }

    /// A license of a customer.
    ///
    /// # Errors
    /// `Denied` without `platform:licenses`; `NoLicense`.
    pub async fn get(&mut self, customer: TenantId, id: LicenseId) -> Result<ManagedLicense, LicensingError> {
        self.scope.require_platform(Permission::PlatformLicenses)?;
        let found = self.repositories.licenses().find_managed(customer, id, self.env.now()).await?;
        self.shown(found.ok_or(LicensingError::NoLicense)?)
    }

    /// The customer to whom licenses are to be issued, whom the caller of [`LicenseAdministration::issue`] has to look up.
    ///
    /// # Errors
    /// `Denied` without `platform:licenses`; `Invalid`.
    pub fn check(&self, input: &NewLicenses) -> Result<TenantId, LicensingError> {
        self.scope.require_platform(Permission::PlatformLicenses)?;
        let mut violations = Violations::default();
        violations.check(input.customer_id.is_some(), "customerId", "required", "This field is required.");
        violations.line("productType", &input.product_type, 1, PRODUCT_ID_MAX);
        let message = RuleMessage::number(1, QUANTITY_MAX);
        let fits = (1..=QUANTITY_MAX).contains(&input.quantity.unwrap_or(1));
        violations.check(fits, "quantity", "out_of_range", message);
        let message = RuleMessage::number(1, SEATS_MAX);
        let fits = input.activation_limit.is_none_or(|seats| (1..=SEATS_MAX).contains(&seats));
        violations.check(fits, "activationLimit", "out_of_range", message);
        let lasts = input.expires_at.is_none_or(|end| end > self.env.now());
        violations.check(lasts, "expiresAt", "in_the_past", "Use a time in the future.");
        violations.line("reason", &input.reason, 1, REASON_MAX);
        violations.into_result().map_err(LicensingError::Invalid)?;
        // Without an error there is one.
        input.customer_id.ok_or(LicensingError::NoTenant)
    }

    /// Issues licenses to a customer without a purchase.
    ///
    /// # Errors
    /// Those of [`LicenseAdministration::check`]; `Invalid` for a product without a policy.
    pub async fn issue(&mut self, input: &NewLicenses) -> Result<Vec<ManagedLicense>, LicensingError> {
        let customer = self.check(input)?;
        let product = input.product_type.trim();
        let policy = self.repositories.license_policies().find(product).await?.ok_or_else(|| {
            let message = "There are no licenses of such a product.";
            LicensingError::Invalid(vec![FieldError::new("productType", "unknown_product", message)])
        })?;
        let seats = input.activation_limit.and_then(|seats| u32::try_from(seats).ok());
        let policy = LicensePolicy { seats: seats.or(policy.seats), ..policy };
        let mut issued = Vec::new();
        for _ in 0..input.quantity.unwrap_or(1) {
            let license = issuing::make(self.env, self.vault, customer, &policy)?;
            let expires_at = input.expires_at.or(license.expires_at);
            let license = License { expires_at, ..license };
            let reason = Some(input.reason.trim());
            issuing::store(self.repositories, self.scope, self.env, &license, reason).await?;
            let counted = CountedLicense { license, activations: 0, heir: None };
            issued.push(self.shown(FoundLicense { counted, follows: None })?);
        }
        Ok(issued)
    }

    /// Suspends a license, lets it be used again, or ends it for good. One that is so already stays as it is.
    ///
    /// # Errors
    /// `Denied` without `platform:licenses`; `Invalid`; `NoLicense`; `Revoked` for what a revoked one can no longer be.
    pub async fn change(
        &mut self,
        customer: TenantId,
        id: LicenseId,
        by: StaffMove,
        why: &LicenseReason,
    ) -> Result<ManagedLicense, LicensingError> {
        self.scope.require_platform(Permission::PlatformLicenses)?;
        let mut violations = Violations::default();
        violations.line("reason", &why.reason, 1, REASON_MAX);
        violations.into_result().map_err(LicensingError::Invalid)?;
        let license = self.repositories.licenses().lock(customer, id).await?;
        let license = license.ok_or(LicensingError::NoLicense)?;
        if license.status == LicenseStatus::Revoked && by != StaffMove::Revoke {
            return Err(LicensingError::Revoked);
        }
        let reason = Some(why.reason.trim());
        transition::apply(self.repositories, self.scope, self.env, license, by.into(), reason).await?;
        self.get(customer, id).await
    }

    fn shown(&self, found: FoundLicense) -> Result<ManagedLicense, LicensingError> {
        let CountedLicense { license, activations, heir } = found.counted;
        let key_ending = self.vault.open(license.id, &license.key)?.ending().to_owned();
        Ok(ManagedLicense {
            customer_id: license.tenant_id,
            license: license.at(self.env.now()),
            key_ending,
            activations,
            transferred_to: heir,
            transferred_from: found.follows,
        })
    }
}

/// What staff may do to a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaffMove {
    /// It may not be used for now.
    Suspend,
    /// It may be used again.
    Resume,
    /// It ends for good.
    Revoke,
}

impl From<StaffMove> for Move {
    fn from(by: StaffMove) -> Self {
        match by {
            StaffMove::Suspend => Self::Suspend,
            StaffMove::Resume => Self::Resume,
            StaffMove::Revoke => Self::Revoke,
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, RequestInfo};
    use time::Duration;

    use super::*;
    use crate::testing::{Repositories, activation, env, vault};

    fn staff() -> Scope {
        Scope::system(None, RequestInfo::default())
    }

    fn wanted(customer: TenantId) -> NewLicenses {
        NewLicenses {
            customer_id: Some(customer),
            product_type: "base_product".to_owned(),
            reason: " Replaces a boxed copy ".to_owned(),
            ..NewLicenses::default()
        }
    }

    fn why() -> LicenseReason {
        LicenseReason { reason: "Stolen".to_owned() }
    }

    #[tokio::test]
    async fn licenses_are_issued_by_the_policy_or_as_staff_say() {
        let (env, vault, scope) = (env(), vault(), staff());
        let mut repositories = Repositories::seeded();
        let customer = env.new_id();
        let mut administration = LicenseAdministration::new(&mut repositories, &scope, &env, &vault);
        let two = NewLicenses { quantity: Some(2), ..wanted(customer) };
        let issued = administration.issue(&two).await.unwrap();
        assert_eq!(issued.len(), 2);
        assert!(
            issued.iter().all(|one| one.license.activation_limit == Some(3) && one.key_ending.len() == 4)
        );
        let end = env.now() + Duration::DAY;
        let special = NewLicenses { activation_limit: Some(9), expires_at: Some(end), ..wanted(customer) };
        let issued = administration.issue(&special).await.unwrap().remove(0);
        assert_eq!((issued.license.activation_limit, issued.license.expires_at), (Some(9), Some(end)));
        let text = serde_json::to_string(&issued).unwrap();
        let key = vault.open(issued.license.id, &issued.license.key).unwrap();
        assert!(!text.contains(key.as_str()), "staff do not see keys");
        assert_eq!(repositories.events(), ["license.issued"; 3]);
        let event = repositories.rows().events.remove(0);
        assert_eq!(
            (event.tenant, &event.after.unwrap()["reason"]),
            (customer, &"Replaces a boxed copy".into())
        );
    }

    #[tokio::test]
    async fn each_rule_about_what_is_issued() {
        let (env, vault, scope) = (env(), vault(), staff());
        let mut repositories = Repositories::seeded();
        let base = wanted(env.new_id());
        let past = Some(env.now());
        for (input, field, code) in [
            (NewLicenses { customer_id: None, ..base.clone() }, "customerId", "required"),
            (NewLicenses { product_type: String::new(), ..base.clone() }, "productType", "required"),
            (
                NewLicenses { product_type: "mug".to_owned(), ..base.clone() },
                "productType",
                "unknown_product",
            ),
            (NewLicenses { quantity: Some(0), ..base.clone() }, "quantity", "out_of_range"),
            (NewLicenses { quantity: Some(101), ..base.clone() }, "quantity", "out_of_range"),
            (NewLicenses { activation_limit: Some(0), ..base.clone() }, "activationLimit", "out_of_range"),
            (NewLicenses { expires_at: past, ..base.clone() }, "expiresAt", "in_the_past"),
            (NewLicenses { reason: " ".to_owned(), ..base.clone() }, "reason", "required"),
        ] {
            let mut administration = LicenseAdministration::new(&mut repositories, &scope, &env, &vault);
            let refused = administration.issue(&input).await.unwrap_err();
            let error = &refused.fields()[0];
            assert_eq!((error.field.as_str(), error.code.as_ref()), (field, code), "{input:?}");
        }
        let anonymous = Scope::anonymous(RequestInfo::default());
        let mut administration = LicenseAdministration::new(&mut repositories, &anonymous, &env, &vault);
        let (customer, id) = (env.new_id(), env.new_id());
        assert!(matches!(administration.issue(&base).await, Err(LicensingError::Denied(_))));
        assert!(matches!(administration.customer_of(id).await, Err(LicensingError::Denied(_))));
        let changed = administration.change(customer, id, StaffMove::Revoke, &why()).await;
        assert!(matches!(changed, Err(LicensingError::Denied(_))));
        assert!(repositories.rows().licenses.is_empty());
    }

    #[tokio::test]
    async fn staff_suspend_resume_and_end() {
        let (env, vault, scope) = (env(), vault(), staff());
        let mut repositories = Repositories::seeded();
        let customer = env.new_id();
        let mut administration = LicenseAdministration::new(&mut repositories, &scope, &env, &vault);
        let license = administration.issue(&wanted(customer)).await.unwrap().remove(0).license;
        repositories.rows().activations.push(activation(&env, &license, "f1"));
        let mut administration = LicenseAdministration::new(&mut repositories, &scope, &env, &vault);
        assert_eq!(administration.customer_of(license.id).await.unwrap(), customer);
        for (by, status, seats) in [
            (StaffMove::Resume, LicenseStatus::Active, 1),
            (StaffMove::Suspend, LicenseStatus::Suspended, 1),
            (StaffMove::Suspend, LicenseStatus::Suspended, 1),
            (StaffMove::Resume, LicenseStatus::Active, 1),
            (StaffMove::Revoke, LicenseStatus::Revoked, 0),
            (StaffMove::Revoke, LicenseStatus::Revoked, 0),
        ] {
            let changed = administration.change(customer, license.id, by, &why()).await.unwrap();
            assert_eq!((changed.license.status, changed.activations), (status, seats), "{by:?}");
        }
        let late = administration.change(customer, license.id, StaffMove::Resume, &why()).await;
        assert!(matches!(late, Err(LicensingError::Revoked)));
        let missing = administration.change(env.new_id(), license.id, StaffMove::Revoke, &why()).await;
        assert!(matches!(missing, Err(LicensingError::NoLicense)));
        let kinds = repositories.events();
        assert_eq!(kinds, ["license.issued", "license.suspended", "license.resumed", "license.revoked"]);
    }
}
