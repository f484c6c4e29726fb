//! What happens to the tenants of a user whose account ends.

use portico_kernel::{Event, PageRequest, UserId};

use crate::{
    TenancyError,
    error::OwnedTenant,
    events,
    member::MemberFilter,
    tenant::{Tenant, TenantStatus, Tenants},
};

impl Tenants<'_> {
    /// Takes a user, whose account is deleted in the same unit of work before this, out of their tenants: tenants with other
    /// members lose a member, tenants without are deleted. Asks for no permission: it is a part of deleting the account. Answers
    /// the deleted ones. Errors: [`TenancyError::OnlyOwner`] with all tenants that have other members but no other owner; one
    /// that is about to be deleted needs none.
    pub async fn remove_user_from_tenants(&mut self, user: UserId) -> Result<Vec<Tenant>, TenancyError> {
        let mut theirs = self.repositories.memberships().of_user(user).await?;
        // Every transaction that locks several rows does so in the same order.
        theirs.sort_by_key(|tenant| tenant.id);
        let (mut held, mut deleted) = (Vec::new(), Vec::new());
        for place in theirs {
            self.repositories.tenants().lock(place.id).await?;
            let Some(before) = self.repositories.tenants().find(place.id).await? else { continue };
            if before.status == TenantStatus::Deleted {
                continue;
            }
            // Neither count includes a user whose account is deleted.
            let one = PageRequest { page: 1, limit: 1 };
            let others = self.repositories.memberships().list(place.id, MemberFilter::default(), one).await?;
            if others.total == 0 {
                let after = Tenant { status: TenantStatus::Deleted, ..before.clone() };
                deleted.push(self.store(&before, after, None, &events::TENANT_DELETED).await?);
                continue;
            }
            let owners = self.repositories.memberships().owners(place.id).await?;
            if owners == 0 && before.status != TenantStatus::Deleting {
                held.push(OwnedTenant { id: place.id, name: before.name });
                continue;
            }
            if self.repositories.memberships().remove(place.id, user).await? {
                let member = serde_json::json!({"userId": user, "role": place.role});
                let event = Event::new(self.env, self.scope, &events::MEMBER_DELETED, user.uuid());
                self.repositories.events().append(event.in_tenant(place.id).before(&member)).await?;
            }
        }
        if held.is_empty() { Ok(deleted) } else { Err(TenancyError::OnlyOwner(held)) }
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, List, TenantRole, name::Subdomain};

    use super::*;
    use crate::{
        member::{Member, TenantSummary},
        ports::{MockMembershipRepository, MockTenantRepository},
        testing::{Repositories, env, owner_of, user},
    };

    fn tenant(name: &str, status: TenantStatus) -> Tenant {
        let env = env();
        Tenant {
            id: env.new_id(),
            name: name.into(),
            subdomain: Subdomain::trusted(name.into()),
            status,
            plan: "free".into(),
            delete_at: None,
            suspension_reason: None,
            created_at: env.now(),
            updated_at: env.now(),
            version: 1,
        }
    }

    /// One tenant of the user, with so many other members and owners.
    fn place(tenant: &Tenant, others: u64, owners: u64) -> Repositories {
        let mut repositories = Repositories::default();
        let summary = TenantSummary {
            id: tenant.id,
            name: tenant.name.clone(),
            role: TenantRole::Owner,
            status: tenant.status,
            dealer: None,
        };
        let mut of_user = MockMembershipRepository::new();
        of_user.expect_of_user().return_once(move |_| Ok(vec![summary]));
        let mut lock = MockTenantRepository::new();
        lock.expect_lock().times(1).return_once(|_| Ok(()));
        let (mut find, found) = (MockTenantRepository::new(), tenant.clone());
        find.expect_find().return_once(move |_| Ok(Some(found)));
        let mut list = MockMembershipRepository::new();
        list.expect_list().return_once(move |_, _, page| Ok(List::<Member>::new(Vec::new(), page, others)));
        repositories.memberships.extend([of_user, list]);
        repositories.tenants.extend([lock, find]);
        if others == 0 {
            let mut update = MockTenantRepository::new();
            update.expect_update().times(1).return_once(|_| Ok(()));
            repositories.tenants.push_back(update);
        } else {
            let mut count = MockMembershipRepository::new();
            count.expect_owners().return_once(move |_| Ok(owners));
            repositories.memberships.push_back(count);
            let mut remove = MockMembershipRepository::new();
            remove.expect_remove().return_once(|_, _| Ok(true));
            repositories.memberships.push_back(remove);
        }
        repositories
    }

    async fn remove_user_from_tenants(
        tenant: &Tenant,
        repositories: &mut Repositories,
    ) -> Result<Vec<Tenant>, TenancyError> {
        let (env, scope) = (env(), owner_of(tenant.id));
        Tenants::new(repositories, &scope, &env).remove_user_from_tenants(user()).await
    }

    fn kinds(repositories: &Repositories) -> Vec<String> {
        repositories.events().iter().map(|event| event.kind.to_string()).collect()
    }

    #[tokio::test]
    async fn a_tenant_without_other_members_goes_along() {
        let acme = tenant("acme", TenantStatus::Active);
        let mut repositories = place(&acme, 0, 0);
        let deleted = remove_user_from_tenants(&acme, &mut repositories).await.unwrap();
        assert_eq!((deleted[0].id, deleted[0].status), (acme.id, TenantStatus::Deleted));
        assert_eq!(kinds(&repositories), ["tenant.deleted"]);
    }

    #[tokio::test]
    async fn a_tenant_with_another_owner_loses_a_member() {
        let acme = tenant("acme", TenantStatus::Active);
        let mut repositories = place(&acme, 2, 1);
        assert!(remove_user_from_tenants(&acme, &mut repositories).await.unwrap().is_empty());
        assert_eq!(kinds(&repositories), ["member.deleted"]);
        let about_to_go = tenant("gone", TenantStatus::Deleting);
        let mut repositories = place(&about_to_go, 2, 0);
        assert!(remove_user_from_tenants(&about_to_go, &mut repositories).await.is_ok());
    }

    #[tokio::test]
    async fn the_only_owner_of_others_stays_and_is_told_where() {
        let acme = tenant("acme", TenantStatus::Suspended);
        let error = remove_user_from_tenants(&acme, &mut place(&acme, 1, 0)).await.unwrap_err();
        assert_eq!(error.code(), "last_owner");
        assert_eq!(error.members()[0].1, serde_json::json!([{"id": acme.id, "name": "acme"}]));
    }
}
