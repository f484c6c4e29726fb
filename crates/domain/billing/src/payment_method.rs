//! What a tenant pays with: kept by the provider, looked after here.

use portico_kernel::{Env, Event, EventDeclaration, Scope, Violations};
use serde::{Deserialize, Serialize};

use crate::{
    BillingError,
    checkout::Checkouts,
    events,
    order::ReturnRule,
    paid::BillingAccount,
    payment::PaymentError,
    ports::BillingRepositories,
    subscription_provider::{PaymentMethod, ProviderPage},
};

/// Asks for the page where something is put on file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "successUrl": "http://127.0.0.1:7600/billing?card=1", "cancelUrl": "http://127.0.0.1:7600/billing"
})))]
pub struct SetupRequest {
    /// Where the customer comes to afterwards, at an origin that the operator allows.
    #[serde(alias = "success_url")]
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 2000))]
    pub success_url: String,
    /// Where the customer comes to without having put anything on file.
    #[serde(alias = "cancel_url")]
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 2000))]
    pub cancel_url: String,
}

/// Asks for a page of the provider's portal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"returnUrl": "http://127.0.0.1:7600/billing"})))]
pub struct PortalRequest {
    /// Where the customer comes back to, at an origin that the operator allows.
    #[serde(alias = "return_url")]
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 2000))]
    pub return_url: String,
}

/// A page where something is put on file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "sessionId": "cs_test_a1b2c3", "url": "https://checkout.stripe.com/c/pay/cs_test_a1b2c3"
})))]
pub struct SetupSession {
    /// The provider's id of it.
    pub session_id: String,
    /// The page to send the customer to.
    pub url: String,
}

impl From<ProviderPage> for SetupSession {
    fn from(page: ProviderPage) -> Self {
        Self { session_id: page.id, url: page.url }
    }
}

/// Names what the subscription is to be paid with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"paymentMethodId": "pm_1a2b3c"})))]
pub struct DefaultPaymentMethod {
    /// The provider's id of it.
    #[serde(alias = "payment_method_id")]
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 255))]
    pub payment_method_id: String,
}

/// Most characters of an id of the provider.
const ID_MAX: usize = 255;

/// Use cases around what a tenant pays with.
pub struct PaymentMethods<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> PaymentMethods<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The account of the active tenant, if it was ever at the provider.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::payer`].
    pub async fn account(&mut self) -> Result<Option<BillingAccount>, BillingError> {
        let (tenant, _) = Checkouts::payer(self.scope)?;
        let account = self.repositories.accounts().find(tenant).await?;
        Ok(account.filter(|account| account.customer_id.is_some()))
    }

    /// Notes what the subscription is paid with from now on.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::payer`].
    pub async fn made_default(&mut self, method: &PaymentMethod) -> Result<(), BillingError> {
        self.tell(&events::PAYMENT_METHOD_CHOSEN, method).await
    }

    /// Notes that something is not on file any more.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::payer`].
    pub async fn removed(&mut self, method: &PaymentMethod) -> Result<(), BillingError> {
        self.tell(&events::PAYMENT_METHOD_REMOVED, method).await
    }

    async fn tell(
        &mut self,
        declared: &'static EventDeclaration,
        method: &PaymentMethod,
    ) -> Result<(), BillingError> {
        let (tenant, _) = Checkouts::payer(self.scope)?;
        let event = Event::new(self.env, self.scope, declared, tenant.uuid()).in_tenant(tenant);
        Ok(self.repositories.events().append(event.after(method)).await?)
    }
}

impl SetupRequest {
    /// Checks where the customer is sent.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check(&self, rule: &ReturnRule) -> Result<(), BillingError> {
        let mut violations = Violations::default();
        rule.check("successUrl", &self.success_url, &mut violations);
        rule.check("cancelUrl", &self.cancel_url, &mut violations);
        violations.into_result().map_err(BillingError::Invalid)
    }
}

impl PortalRequest {
    /// Checks where the customer is sent.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check(&self, rule: &ReturnRule) -> Result<(), BillingError> {
        let mut violations = Violations::default();
        rule.check("returnUrl", &self.return_url, &mut violations);
        violations.into_result().map_err(BillingError::Invalid)
    }
}

impl DefaultPaymentMethod {
    /// Checks the id.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check(&self) -> Result<(), BillingError> {
        let mut violations = Violations::default();
        violations.line("paymentMethodId", &self.payment_method_id, 1, ID_MAX);
        violations.into_result().map_err(BillingError::Invalid)
    }
}

/// The one of this id among what a customer has on file.
///
/// # Errors
/// `Payment` (not found) where none is.
pub fn find<'m>(methods: &'m [PaymentMethod], id: &str) -> Result<&'m PaymentMethod, BillingError> {
    Ok(methods.iter().find(|method| method.id == id).ok_or(PaymentError::NotFound)?)
}

/// The one of this id, if it may be taken off the file: what a running subscription is paid with may be replaced only.
///
/// # Errors
/// `Payment` (not found); `PaymentMethodNeeded`.
pub fn removable<'m>(
    account: &BillingAccount,
    methods: &'m [PaymentMethod],
    id: &str,
) -> Result<&'m PaymentMethod, BillingError> {
    let method = find(methods, id)?;
    let in_use = account.running().is_some_and(|running| {
        running.payment_method_id.as_ref().map_or(method.is_default, |used| *used == method.id)
    });
    if in_use { Err(BillingError::PaymentMethodNeeded) } else { Ok(method) }
}

#[cfg(test)]
mod tests {
    use portico_kernel::Fault;

    use super::*;
    use crate::{
        checkout::CheckoutRule, payment::Provider, subscription::SubscriptionStatus,
        subscription_provider::ProviderSubscription, testing::env,
    };

    fn method(id: &str, is_default: bool) -> PaymentMethod {
        PaymentMethod {
            id: id.to_owned(),
            kind: "card".to_owned(),
            brand: Some("visa".to_owned()),
            last4: Some("4242".to_owned()),
            exp_month: Some(12),
            exp_year: Some(2030),
            is_default,
            created_at: env().now(),
        }
    }

    #[test]
    fn what_a_running_subscription_is_paid_with_is_replaced_and_not_removed() {
        let env = env();
        let rule = CheckoutRule {
            provider: Provider::Stripe,
            live: false,
            returns: ReturnRule::Anywhere,
            home: Default::default(),
        };
        let mut account = BillingAccount::new(env.new_id(), &rule, env.now());
        let methods = [method("pm_1", true), method("pm_2", false)];
        let code = |account: &BillingAccount, id: &str| {
            removable(account, &methods, id).map(|method| method.id.clone()).map_err(|error| error.code())
        };
        assert_eq!(code(&account, "pm_1"), Ok("pm_1".to_owned()), "nothing is paid with it");
        assert_eq!(code(&account, "pm_3"), Err("not_found"));
        account.subscription = Some(ProviderSubscription {
            id: "sub_1".to_owned(),
            status: SubscriptionStatus::Active,
            price: Some("starter-1-month".to_owned()),
            period_start: env.now(),
            period_end: env.now(),
            trial_ends_at: None,
            ends_at: None,
            scheduled: None,
            payment_method_id: None,
            discount: None,
            live: false,
        });
        assert_eq!(code(&account, "pm_1"), Err("payment_method_needed"), "the default of the customer");
        assert_eq!(code(&account, "pm_2"), Ok("pm_2".to_owned()));
        let ended = account.subscription.as_mut().unwrap();
        ended.status = SubscriptionStatus::Canceled;
        assert_eq!(code(&account, "pm_1"), Ok("pm_1".to_owned()));
    }

    #[test]
    fn customers_are_sent_to_known_origins_only() {
        let rule = ReturnRule::Origins(vec!["https://app.example.com".to_owned()]);
        let there = |url: &str| PortalRequest { return_url: url.to_owned() }.check(&rule);
        assert!(there("https://app.example.com/billing").is_ok());
        assert!(matches!(there("https://evil.org/"), Err(BillingError::Invalid(_))));
        assert!(matches!(there(""), Err(BillingError::Invalid(_))));
        let setup = SetupRequest { success_url: String::new(), cancel_url: "https://evil.org/".to_owned() };
        let Err(BillingError::Invalid(errors)) = setup.check(&rule) else { panic!("both are wrong") };
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["successUrl", "cancelUrl"]);
        assert!(DefaultPaymentMethod::default().check().is_err());
    }
}
