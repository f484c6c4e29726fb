use portico_kernel::{Fault, Kind};

use super::*;
use crate::{
    ports::{MockCustomerRepository, MockTenantRepository},
    testing::{Repositories, env, owner_of, staff_in, super_admin_in},
};

fn suspended(id: TenantId) -> Tenant {
    let env = env();
    Tenant {
        id,
        name: "Acme".into(),
        subdomain: Subdomain::trusted("acme".into()),
        status: TenantStatus::Suspended,
        plan: "free".into(),
        delete_at: None,
        suspension_reason: Some("Unpaid".into()),
        created_at: env.now(),
        updated_at: env.now(),
        version: 3,
    }
}

/// Answers whether there is such a customer, for a caller who sees all of them or not.
fn asked(there: bool, all: bool) -> Repositories {
    let mut customers = MockCustomerRepository::new();
    customers
        .expect_exists()
        .times(1)
        .withf(move |_, asked| *asked == all)
        .return_once(move |_, _| Ok(there));
    let mut repositories = Repositories::default();
    repositories.customers.push_back(customers);
    repositories
}

fn paid() -> ReactivateCustomer {
    ReactivateCustomer { reason: " Paid ".into() }
}

#[tokio::test]
async fn staff_brings_a_customer_back_and_says_why() {
    let (env, own) = (env(), env().new_id());
    let tenant = suspended(env.new_id());
    let mut repositories = asked(true, false);
    let (mut lock, mut find, mut update) =
        (MockTenantRepository::new(), MockTenantRepository::new(), MockTenantRepository::new());
    lock.expect_lock().times(1).return_once(|_| Ok(()));
    let found = tenant.clone();
    find.expect_find().times(1).return_once(move |_| Ok(Some(found)));
    update.expect_update().times(1).return_once(|_| Ok(()));
    repositories.tenants.extend([lock, find, update]);
    let scope = staff_in(own);
    let after = Customers::new(&mut repositories, &scope, &env).reactivate(tenant.id, paid()).await.unwrap();
    assert_eq!((after.status, &after.suspension_reason), (TenantStatus::Active, &None));
    let events = repositories.events();
    assert_eq!((events[0].kind.as_ref(), events[0].tenant), ("tenant.reinstated", tenant.id));
    assert_eq!(events[0].after.as_ref().unwrap()["reason"], "Paid");
}

#[tokio::test]
async fn who_is_no_customer_does_not_exist_for_staff() {
    let (env, own, other) = (env(), env().new_id(), env().new_id());
    for (scope, all) in [(staff_in(own), false), (super_admin_in(own), true)] {
        let mut repositories = asked(false, all);
        let input = SuspendTenant { reason: "Unpaid".into() };
        let refused =
            Customers::new(&mut repositories, &scope, &env).suspend(other, input).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound);
        let mut repositories = asked(true, all);
        let input = ReactivateCustomer::default();
        let refused =
            Customers::new(&mut repositories, &scope, &env).reactivate(other, input).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid, "a reason is required");
    }
}

#[tokio::test]
async fn who_was_a_customer_is_known_and_who_never_was_is_not() {
    let (env, own, other) = (env(), env().new_id(), env().new_id());
    for there in [true, false] {
        let mut customers = MockCustomerRepository::new();
        customers
            .expect_existed()
            .times(1)
            .withf(move |id, all| (*id, *all) == (other, false))
            .return_once(move |_, _| Ok(there));
        let mut repositories = Repositories::default();
        repositories.customers.push_back(customers);
        let scope = staff_in(own);
        let checked = Customers::new(&mut repositories, &scope, &env)
            .check_former(other, Permission::PlatformLicenses)
            .await;
        assert_eq!(checked.is_ok(), there);
        assert!(checked.is_ok() || checked.is_err_and(|error| error.kind() == Kind::NotFound));
    }
    let scope = owner_of(own);
    let mut repositories = Repositories::default();
    let refused = Customers::new(&mut repositories, &scope, &env)
        .check_former(other, Permission::PlatformLicenses)
        .await;
    assert!(matches!(refused, Err(TenancyError::Denied(_))));
}

#[tokio::test]
async fn customers_are_not_for_customers() {
    let (env, own) = (env(), env().new_id());
    let scope = owner_of(own);
    let mut repositories = Repositories::default();
    let mut customers = Customers::new(&mut repositories, &scope, &env);
    let page = PageRequest { page: 1, limit: 20 };
    let refused = [
        customers.list(TenantFilter::default(), page).await.map(drop),
        customers.get(own).await.map(drop),
        customers.check(own, Permission::PlatformPlans).await,
        customers.suspend(own, SuspendTenant::default()).await.map(drop),
        customers.reactivate(own, paid()).await.map(drop),
    ];
    assert!(refused.iter().all(|result| matches!(result, Err(TenancyError::Denied(_)))), "{refused:?}");
}
