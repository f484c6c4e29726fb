//! The dealer (reseller) of a tenant.

use portico_kernel::{Env, Event, Permission, Scope, StoreError, TenantId, Timestamp, Violations};
use serde::{Deserialize, Serialize};

use crate::{
    TenancyError,
    contact::{check_phone, email, trimmed},
    events,
    ports::TenancyRepositories,
};

/// The contact of a tenant's members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dealer {
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Name.
    pub name: String,
    /// Address.
    #[cfg_attr(feature = "openapi", schema(format = "email"))]
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Last change.
    #[serde(skip)]
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`; 0 before it is stored.
    #[serde(skip)]
    pub version: i64,
}

/// Sets or changes the dealer; what is absent stays, `null` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "Centro Digital", "email": "hola@example.com", "phone": "+502 2345 6789"})))]
pub struct DealerUpdate {
    /// Name, 1 to 200 characters. Required the first time.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 200))]
    pub name: Option<String>,
    /// Address.
    #[serde(default, deserialize_with = "portico_kernel::patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "email", max_length = 254))]
    pub email: Option<Option<String>>,
    /// Phone number.
    #[serde(default, deserialize_with = "portico_kernel::patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 32))]
    pub phone: Option<Option<String>>,
}

/// Use cases around the dealer of the active tenant: the operator sets the dealer, members see it.
pub struct Dealers<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Dealers<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The dealer, if there is one.
    pub async fn get(&mut self) -> Result<Option<Dealer>, TenancyError> {
        let tenant = self.scope.require(Permission::TenantRead)?;
        Ok(self.repositories.dealers().find(tenant).await?)
    }

    /// Sets or changes the dealer, given that the version is still the expected one, if any.
    pub async fn put(&mut self, input: DealerUpdate, expected: Option<i64>) -> Result<Dealer, TenancyError> {
        let tenant = self.scope.require(Permission::PlatformTenants)?;
        let before = self.repositories.dealers().find(tenant).await?;
        check(expected, before.as_ref())?;
        let mut violations = Violations::default();
        let name =
            input.name.or_else(|| before.as_ref().map(|dealer| dealer.name.clone())).unwrap_or_default();
        violations.name("name", &name, 1, 200);
        let kept = before.as_ref().and_then(|dealer| dealer.email.clone());
        let address = match input.email {
            None => kept,
            Some(wished) => trimmed(wished).and_then(|text| violations.take("email", email(&text))),
        };
        let kept = before.as_ref().and_then(|dealer| dealer.phone.clone());
        let phone = input.phone.map_or(kept, trimmed);
        if let Some(phone) = &phone {
            check_phone(&mut violations, "phone", phone);
        }
        violations.into_result()?;
        let version = before.as_ref().map_or(0, |dealer| dealer.version);
        let mut after = Dealer {
            tenant,
            name: name.trim().to_owned(),
            email: address,
            phone,
            updated_at: self.env.now(),
            version,
        };
        self.repositories.dealers().save(&after).await.map_err(|error| late(error, expected))?;
        after.version += 1;
        let event =
            Event::new(self.env, self.scope, &events::DEALER_UPDATED, tenant.uuid()).in_tenant(tenant);
        let event = match &before {
            Some(before) => event.before(before),
            None => event,
        };
        self.repositories.events().append(event.after(&after)).await?;
        Ok(after)
    }

    /// Removes the dealer, given that the version is still the expected one, if any. Without one nothing happens.
    pub async fn remove(&mut self, expected: Option<i64>) -> Result<(), TenancyError> {
        let tenant = self.scope.require(Permission::PlatformTenants)?;
        let before = self.repositories.dealers().find(tenant).await?;
        check(expected, before.as_ref())?;
        let Some(before) = before else { return Ok(()) };
        if self.repositories.dealers().remove(tenant).await? {
            let event = Event::new(self.env, self.scope, &events::DEALER_DELETED, tenant.uuid())
                .in_tenant(tenant)
                .before(&before);
            self.repositories.events().append(event).await?;
        }
        Ok(())
    }
}

fn check(expected: Option<i64>, stored: Option<&Dealer>) -> Result<(), TenancyError> {
    let version = stored.map_or(0, |dealer| dealer.version);
    if expected.is_some_and(|expected| expected != version) {
        return Err(TenancyError::PreconditionFailed);
    }
    Ok(())
}

fn late(error: StoreError, expected: Option<i64>) -> TenancyError {
    match error {
        StoreError::Stale if expected.is_some() => TenancyError::PreconditionFailed,
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::Fault;

    use super::*;
    use crate::{
        ports::MockDealerRepository,
        testing::{Repositories, env, owner_of, super_admin_in},
    };

    #[tokio::test]
    async fn only_the_operator_names_a_dealer() {
        let (env, tenant) = (env(), env().new_id());
        let (mut repositories, scope) = (Repositories::default(), owner_of(tenant));
        let error = Dealers::new(&mut repositories, &scope, &env).put(DealerUpdate::default(), None).await;
        assert_eq!(error.unwrap_err().code(), "forbidden");
        let error = Dealers::new(&mut repositories, &scope, &env).remove(None).await;
        assert_eq!(error.unwrap_err().code(), "forbidden");
    }

    #[tokio::test]
    async fn a_dealer_needs_a_name_and_every_wrong_field_is_named() {
        let (env, tenant) = (env(), env().new_id());
        let mut repositories = Repositories::default();
        let mut dealers = MockDealerRepository::new();
        dealers.expect_find().times(1).return_once(|_| Ok(None));
        repositories.dealers.push_back(dealers);
        let input = DealerUpdate {
            name: None,
            email: Some(Some("nowhere".into())),
            phone: Some(Some("call me".into())),
        };
        let scope = super_admin_in(tenant);
        let error = Dealers::new(&mut repositories, &scope, &env).put(input, None).await.unwrap_err();
        let fields: Vec<_> = error.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
        assert_eq!(fields, [("name", "required"), ("email", "invalid_email"), ("phone", "invalid_phone")]);
    }

    #[tokio::test]
    async fn what_is_absent_stays_and_null_clears() {
        let (env, tenant) = (env(), env().new_id());
        let stored = Dealer {
            tenant,
            name: "Centro".into(),
            email: Some("a@b.co".into()),
            phone: Some("12345".into()),
            updated_at: env.now(),
            version: 4,
        };
        let mut repositories = Repositories::default();
        let mut dealers = MockDealerRepository::new();
        dealers.expect_find().times(1).return_once(move |_| Ok(Some(stored)));
        repositories.dealers.push_back(dealers);
        let mut dealers = MockDealerRepository::new();
        dealers.expect_save().times(1).withf(|dealer| dealer.version == 4).return_once(|_| Ok(()));
        repositories.dealers.push_back(dealers);
        let input = DealerUpdate { name: None, email: Some(None), phone: None };
        let scope = super_admin_in(tenant);
        let after = Dealers::new(&mut repositories, &scope, &env).put(input, Some(4)).await.unwrap();
        assert_eq!((after.name.as_str(), after.email, after.version), ("Centro", None, 5));
        assert_eq!(after.phone.as_deref(), Some("12345"));
        assert_eq!(repositories.events()[0].kind, "dealer.updated");
    }
}
