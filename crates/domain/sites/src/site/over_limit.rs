//! Sites beyond the limit of the plan: the newest ones are read-only. Nothing of them is deleted, and what is published stays up.

use portico_kernel::{Event, Permission};

use super::{Site, Sites};
use crate::{SitesError, events};

impl Sites<'_> {
    /// Keeps the `keep` oldest sites of the tenant writable and makes all others read-only, so that each is as the plan in force has it;
    /// `None` keeps all of them. By Portico itself, once the tenant had time to choose. What is right already stays as it is.
    ///
    /// # Errors
    /// `Denied`.
    pub async fn keep_writable(&mut self, keep: Option<u64>) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        let changed = self.repositories.sites().set_over_limit(tenant, keep).await?;
        for site in changed {
            let kind = if site.over_limit { &events::SITE_OVER_LIMIT } else { &events::SITE_WITHIN_LIMIT };
            let before = Site { over_limit: !site.over_limit, ..site.clone() };
            let event = Event::new(self.env, self.scope, kind, site.id.uuid()).before(&before).after(&site);
            self.repositories.events().append(event).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Env, RequestInfo, Scope, SiteId, TenantRole};

    use super::*;
    use crate::{
        ports::SiteRepositories,
        site::{NewSite, SiteStatus, SiteUpdate},
        testing::{Store, env, member, tenant, user},
    };

    /// Four sites of tenant 1, the oldest first, and one of tenant 2.
    async fn five(env: &Env) -> (Store, Vec<SiteId>) {
        let (mut store, mut ids) = (Store::default(), Vec::new());
        let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
        let mut owners = vec![member(TenantRole::Owner); 4];
        owners.insert(1, other);
        for (number, scope) in owners.iter().enumerate() {
            let input = NewSite { name: format!("Site {number}"), ..NewSite::default() };
            ids.push(Sites::new(&mut store, scope, env).create(input).await.unwrap().id);
        }
        ids.remove(1);
        store.events.clear();
        (store, ids)
    }

    async fn keep(store: &mut Store, env: &Env, keep: Option<u64>) -> Vec<String> {
        let portico = Scope::system(Some(tenant(1)), RequestInfo::default());
        Sites::new(store, &portico, env).keep_writable(keep).await.unwrap();
        store.take_events()
    }

    fn read_only(store: &Store) -> Vec<SiteId> {
        store.sites.iter().filter(|site| site.over_limit).map(|site| site.id).collect()
    }

    #[tokio::test]
    async fn the_newest_are_read_only_and_are_freed_again() {
        let env = env();
        let (mut store, ids) = five(&env).await;
        assert_eq!(keep(&mut store, &env, Some(4)).await, [""; 0], "so many may there be");
        assert_eq!(keep(&mut store, &env, Some(2)).await, ["site.over_limit"; 2]);
        assert_eq!(read_only(&store), ids[2..]);
        assert!(store.sites().over_limit_differs(tenant(1), Some(3)).await.unwrap());
        assert!(!store.sites().over_limit_differs(tenant(1), Some(2)).await.unwrap());
        assert_eq!(keep(&mut store, &env, Some(2)).await, [""; 0], "once");
        assert_eq!(keep(&mut store, &env, Some(3)).await, ["site.within_limit"]);
        assert_eq!(read_only(&store), ids[3..]);
        // One of the older ones goes, so the newest one has its place.
        Sites::new(&mut store, &member(TenantRole::Owner), &env).delete(ids[0], None).await.unwrap();
        store.events.clear();
        assert_eq!(keep(&mut store, &env, Some(3)).await, ["site.within_limit"]);
        assert_eq!(keep(&mut store, &env, Some(0)).await, ["site.over_limit"; 3]);
        assert_eq!(keep(&mut store, &env, None).await, ["site.within_limit"; 3]);
        assert_eq!(read_only(&store), [], "also of the other tenant");
    }

    #[tokio::test]
    async fn an_event_has_the_site_before_and_after() {
        let env = env();
        let (mut store, ids) = five(&env).await;
        let portico = Scope::system(Some(tenant(1)), RequestInfo::default());
        Sites::new(&mut store, &portico, &env).keep_writable(Some(3)).await.unwrap();
        let event = &store.events[0];
        assert_eq!((event.tenant, event.resource.id), (tenant(1), ids[3].uuid()));
        let said = |site: &Option<serde_json::Value>| site.as_ref().unwrap()["overLimit"].as_bool();
        assert_eq!((said(&event.before), said(&event.after)), (Some(false), Some(true)));
    }

    #[tokio::test]
    async fn a_read_only_site_is_deleted_and_not_changed() {
        let env = env();
        let (mut store, ids) = five(&env).await;
        keep(&mut store, &env, Some(3)).await;
        let (owner, last) = (member(TenantRole::Owner), ids[3]);
        let rename = || SiteUpdate { name: Some("Other".to_owned()), ..SiteUpdate::default() };
        let refused = Sites::new(&mut store, &owner, &env).update(last, rename(), None).await;
        assert!(matches!(refused, Err(SitesError::OverLimit)), "{refused:?}");
        Sites::new(&mut store, &owner, &env).update(ids[2], rename(), None).await.unwrap();
        // What its status forbids stays forbidden.
        for status in [SiteStatus::ForSale, SiteStatus::Sold, SiteStatus::Suspended] {
            store.sites.last_mut().unwrap().status = status;
            let refused = Sites::new(&mut store, &owner, &env).delete(last, None).await;
            assert!(!matches!(refused, Ok(_) | Err(SitesError::OverLimit)), "{refused:?}");
        }
        store.sites.last_mut().unwrap().status = SiteStatus::Published;
        Sites::new(&mut store, &owner, &env).delete(last, None).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_may_not_change_sites_keeps_none() {
        let (mut store, env) = (Store::default(), env());
        let refused = Sites::new(&mut store, &member(TenantRole::Viewer), &env).keep_writable(None).await;
        assert!(matches!(refused, Err(SitesError::Denied(_))), "{refused:?}");
        assert_eq!(store.calls, 0);
    }
}
