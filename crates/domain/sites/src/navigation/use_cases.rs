//! The use cases of navigation.

use portico_kernel::{
    Env, Event, EventDeclaration, NavItemId, PageId, Permission, RuleMessage, Scope, SiteId, StoreError,
    TenantId, Violations, patch::double_option,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    MAX_ITEMS, NavItem,
    tree::{misfit, parents, settle, subtree},
};
use crate::{SitesError, events, link::link_target, ports::SiteRepositories, site, version};

/// The most characters of a label.
const MAX_LABEL: usize = 80;

/// Input of a new navigation item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewNavItem {
    /// Its text, 1 to 80 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 80))]
    pub label: String,
    /// The page it leads to; excludes `url`.
    #[serde(alias = "page_id")]
    pub page_id: Option<PageId>,
    /// The address it leads to; excludes `pageId`.
    #[cfg_attr(feature = "openapi", schema(max_length = 2048))]
    pub url: Option<String>,
    /// The item it is under.
    #[serde(alias = "parent_id")]
    pub parent_id: Option<NavItemId>,
    /// Order under the parent, from 0; at the end when absent.
    pub position: Option<u32>,
    /// Whether it opens a new tab.
    #[serde(alias = "opens_new_tab")]
    pub opens_new_tab: Option<bool>,
}

/// What to change about a navigation item. Absent fields stay as they are; `null` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NavItemUpdate {
    /// Its text, 1 to 80 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 80))]
    pub label: Option<String>,
    /// The page it leads to. Setting it clears `url`.
    #[serde(alias = "page_id", deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PageId>))]
    pub page_id: Option<Option<PageId>>,
    /// The address it leads to. Setting it clears `pageId`.
    #[serde(deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2048))]
    pub url: Option<Option<String>>,
    /// The item it is under; `null` for none.
    #[serde(alias = "parent_id", deserialize_with = "double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<NavItemId>))]
    pub parent_id: Option<Option<NavItemId>>,
    /// Order under the parent, from 0.
    pub position: Option<u32>,
    /// Whether it opens a new tab.
    #[serde(alias = "opens_new_tab")]
    pub opens_new_tab: Option<bool>,
}

/// New position of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NavPosition {
    /// The item.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = NavItemId))]
    pub id: Option<NavItemId>,
    /// The item it is under; absent or `null` for none.
    #[serde(alias = "parent_id")]
    pub parent_id: Option<NavItemId>,
    /// Order under the parent.
    pub position: u32,
}

/// A new shape of a site's navigation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NavigationOrder {
    /// Every item of the site once.
    #[cfg_attr(feature = "openapi", schema(max_items = 100, required = true))]
    pub items: Vec<NavPosition>,
}

/// The use cases of navigation, inside one unit of work.
///
/// Each that changes something locks the site's navigation first, so that its shape stays sound under concurrency.
pub struct Navigation<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Navigation<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// All items of the given site, or of the tenant's primary one, by parent and position.
    ///
    /// # Errors
    /// `NotFound` (site); `NoSite`.
    pub async fn list(&mut self, site: Option<SiteId>) -> Result<Vec<NavItem>, SitesError> {
        let tenant = self.scope.require(Permission::NavigationRead)?;
        let site_id = site::resolve(self.repositories, tenant, site).await?;
        let items = self.repositories.navigation().list(tenant, site_id, false).await?;
        if items.is_empty() {
            site::find(self.repositories, tenant, site_id).await?;
        }
        Ok(items)
    }

    /// The item.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, id: NavItemId) -> Result<NavItem, SitesError> {
        let tenant = self.scope.require(Permission::NavigationRead)?;
        self.find(tenant, id).await
    }

    /// Makes an item of the given site, or of the tenant's primary one.
    ///
    /// # Errors
    /// `Invalid`, also for a page or parent that is not of the site; `NotFound` (site); `NoSite`.
    pub async fn create(&mut self, site: Option<SiteId>, input: NewNavItem) -> Result<NavItem, SitesError> {
        let tenant = self.scope.require(Permission::NavigationWrite)?;
        let site_id = site::resolve(self.repositories, tenant, site).await?;
        let before = self.repositories.navigation().list(tenant, site_id, true).await?;
        if before.is_empty() {
            site::find(self.repositories, tenant, site_id).await?;
        }
        let now = self.env.now();
        let mut item = NavItem {
            id: self.env.new_id(),
            tenant,
            site_id,
            label: input.label.trim().to_owned(),
            page_id: input.page_id,
            url: input.url,
            parent_id: input.parent_id,
            position: i32::MAX,
            opens_new_tab: input.opens_new_tab.unwrap_or_default(),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let mut violations = Violations::default();
        violations.check(
            before.len() < MAX_ITEMS,
            "items",
            "too_many",
            RuleMessage::new(format!("A site has at most {MAX_ITEMS} navigation items.")).max(MAX_ITEMS),
        );
        self.check(&mut item, &input.label, true, &mut violations).await?;
        let mut after = before.clone();
        after.push(item.clone());
        check_shape(&after, item.id, &mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;

        settle(&mut after, item.parent_id, Some((item.id, input.position)));
        item.position = after.iter().find(|other| other.id == item.id).map_or(0, |other| other.position);
        self.store_shifted(&before, &after, item.id).await?;
        self.repositories.navigation().insert(&item).await.map_err(missing)?;
        self.append(self.event(&events::NAVIGATION_CREATED, &item).after(&item)).await?;
        Ok(item)
    }

    /// Changes an item. `expected` is the version that the client saw, if it says.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `PreconditionFailed`.
    pub async fn update(
        &mut self,
        id: NavItemId,
        input: NavItemUpdate,
        expected: Option<i64>,
    ) -> Result<NavItem, SitesError> {
        let tenant = self.scope.require(Permission::NavigationWrite)?;
        let site_id = self.find(tenant, id).await?.site_id;
        let all = self.repositories.navigation().list(tenant, site_id, true).await?;
        let before = all.iter().find(|item| item.id == id).ok_or(SitesError::NotFound("navigation item"))?;
        version::check(before.version, expected)?;

        let mut item = before.clone();
        let label = input.label.unwrap_or_else(|| before.label.clone());
        item.label = label.trim().to_owned();
        item.opens_new_tab = input.opens_new_tab.unwrap_or(before.opens_new_tab);
        item.parent_id = input.parent_id.unwrap_or(before.parent_id);
        match (input.page_id, input.url) {
            (Some(Some(page)), None) => (item.page_id, item.url) = (Some(page), None),
            (None, Some(Some(url))) => (item.page_id, item.url) = (None, Some(url)),
            (page, url) => {
                item.page_id = page.unwrap_or(before.page_id);
                item.url = url.unwrap_or_else(|| before.url.clone());
            }
        }
        item.updated_at = self.env.now();
        let mut violations = Violations::default();
        let new_page = item.page_id != before.page_id;
        self.check(&mut item, &label, new_page, &mut violations).await?;
        let mut after = all.clone();
        for other in after.iter_mut().filter(|other| other.id == id) {
            other.parent_id = item.parent_id;
        }
        check_shape(&after, id, &mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;

        let moved = item.parent_id != before.parent_id;
        if moved || input.position.is_some() {
            settle(&mut after, item.parent_id, Some((id, input.position)));
        }
        if moved {
            settle(&mut after, before.parent_id, None);
        }
        item.position = after.iter().find(|other| other.id == id).map_or(0, |other| other.position);
        self.repositories
            .navigation()
            .update(&item)
            .await
            .map_err(|error| version::refused(error, expected))?;
        item.version += 1;
        self.store_shifted(&all, &after, id).await?;
        self.append(self.event(&events::NAVIGATION_UPDATED, &item).before(before).after(&item)).await?;
        Ok(item)
    }

    /// Deletes an item and everything under it; its later siblings move up.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`.
    pub async fn delete(&mut self, id: NavItemId, expected: Option<i64>) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::NavigationWrite)?;
        let site_id = self.find(tenant, id).await?.site_id;
        let all = self.repositories.navigation().list(tenant, site_id, true).await?;
        let before = all.iter().find(|item| item.id == id).ok_or(SitesError::NotFound("navigation item"))?;
        version::check(before.version, expected)?;
        self.remove(&all, before).await
    }

    /// Deletes the items that lead to a page. A part of deleting the page, so it asks for no permission of its own.
    pub(crate) async fn forget(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageId,
    ) -> Result<(), SitesError> {
        loop {
            // Read anew each time: one deletion moves others, or takes them with it.
            let all = self.repositories.navigation().list(tenant, site, true).await?;
            let Some(item) = all.iter().find(|item| item.page_id == Some(page)) else { return Ok(()) };
            self.remove(&all, item).await?;
        }
    }

    /// Deletes one of all items of the site and everything under it.
    async fn remove(&mut self, all: &[NavItem], item: &NavItem) -> Result<(), SitesError> {
        let gone = subtree(all, item.id);
        self.repositories.navigation().delete(item.tenant, item.id).await?;
        let mut after: Vec<NavItem> = all.iter().filter(|other| !gone.contains(&other.id)).cloned().collect();
        settle(&mut after, item.parent_id, None);
        self.store_shifted(all, &after, item.id).await?;
        for item in all.iter().filter(|other| gone.contains(&other.id)) {
            self.append(self.event(&events::NAVIGATION_DELETED, item).before(item)).await?;
        }
        Ok(())
    }

    /// Gives the navigation of a site a new shape and answers it.
    ///
    /// # Errors
    /// `Invalid` unless each item of the site is named once and the shape has no cycle and at most 3 levels; `NotFound`
    /// (site); `NoSite`.
    pub async fn reorder(
        &mut self,
        site: Option<SiteId>,
        input: NavigationOrder,
    ) -> Result<Vec<NavItem>, SitesError> {
        let tenant = self.scope.require(Permission::NavigationWrite)?;
        let site_id = site::resolve(self.repositories, tenant, site).await?;
        let before = self.repositories.navigation().list(tenant, site_id, true).await?;
        if before.is_empty() {
            site::find(self.repositories, tenant, site_id).await?;
        }
        check_order(&before, &input.items)?;
        let mut after = before.clone();
        // Equal positions keep the order in which the request names them.
        let mut wishes: Vec<&NavPosition> = input.items.iter().collect();
        wishes.sort_by_key(|wish| wish.position);
        for (position, wish) in (0..).zip(wishes) {
            for item in after.iter_mut().filter(|item| Some(item.id) == wish.id) {
                (item.parent_id, item.position) = (wish.parent_id, position);
            }
        }
        let mut groups: Vec<Option<NavItemId>> = after.iter().map(|item| item.parent_id).collect();
        groups.sort();
        groups.dedup();
        for parent in &groups {
            settle(&mut after, *parent, None);
        }
        let now = self.env.now();
        for (item, old) in after.iter_mut().zip(&before) {
            if (item.parent_id, item.position) != (old.parent_id, old.position) {
                item.updated_at = now;
                self.repositories.navigation().update(item).await?;
                item.version += 1;
            }
        }
        let event = Event::new(self.env, self.scope, &events::NAVIGATION_REORDERED, site_id.uuid())
            .before(&shape(&before))
            .after(&shape(&after));
        self.append(event).await?;
        after.sort_by_key(|item| (item.parent_id, item.position));
        Ok(after)
    }

    /// Checks the text of an item and where it leads; puts its address into normal form. `label` is as the client wrote it.
    async fn check(
        &mut self,
        item: &mut NavItem,
        label: &str,
        new_page: bool,
        violations: &mut Violations,
    ) -> Result<(), SitesError> {
        violations.text("label", label, 1, MAX_LABEL);
        if item.page_id.is_some() && item.url.is_some() {
            violations.add("url", "exclusive", "An item leads to a page or to an address, not to both.");
        }
        if let Some(url) = &item.url {
            item.url = violations.take("url", link_target(url));
        }
        if let Some(page_id) = item.page_id.filter(|_| new_page) {
            let page = self.repositories.pages().find(item.tenant, page_id).await?;
            let of_the_site = page.is_some_and(|page| page.site_id == item.site_id);
            violations.check(of_the_site, "pageId", "not_found", "The site has no such page.");
        }
        Ok(())
    }

    /// Stores the items, besides `except`, whose position is not what it was.
    async fn store_shifted(
        &mut self,
        before: &[NavItem],
        after: &[NavItem],
        except: NavItemId,
    ) -> Result<(), SitesError> {
        for item in after.iter().filter(|item| item.id != except) {
            let moved = before.iter().any(|old| old.id == item.id && old.position != item.position);
            if moved {
                self.repositories.navigation().update(item).await?;
            }
        }
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: NavItemId) -> Result<NavItem, SitesError> {
        let item = self.repositories.navigation().find(tenant, id).await?;
        item.ok_or(SitesError::NotFound("navigation item"))
    }

    fn event(&self, kind: &'static EventDeclaration, item: &NavItem) -> Event {
        Event::new(self.env, self.scope, kind, item.id.uuid())
    }

    async fn append(&mut self, event: Event) -> Result<(), SitesError> {
        Ok(self.repositories.events().append(event).await?)
    }
}

/// Checks that the item, and everything under it, is at an allowed position.
fn check_shape(items: &[NavItem], id: NavItemId, violations: &mut Violations) {
    let parents = parents(items);
    let moved = std::iter::once(id).chain(subtree(items, id));
    if let Some(misfit) = moved.into_iter().find_map(|id| misfit(id, &parents)) {
        violations.add("parentId", misfit.code(), misfit.message());
    }
}

/// Checks that each item of the site is named once, and the shape is sound.
fn check_order(items: &[NavItem], order: &[NavPosition]) -> Result<(), SitesError> {
    let mut violations = Violations::default();
    if order.len() > items.len().max(MAX_ITEMS) {
        violations.add("items", "too_many", "There are more items here than the site has.");
        return violations.into_result().map_err(SitesError::Invalid);
    }
    for (index, position) in order.iter().enumerate() {
        let field = format!("items[{index}].id");
        match position.id {
            None => violations.add(field, "required", "This field is required."),
            Some(id) if !items.iter().any(|item| item.id == id) => {
                violations.add(field, "not_found", "The site has no such navigation item.");
            }
            Some(_) if order[..index].iter().any(|other| other.id == position.id) => {
                violations.add(field, "duplicate", "This item is named twice.");
            }
            Some(_) => {}
        }
    }
    if violations.is_empty() && order.len() < items.len() {
        violations.add("items", "incomplete", "Name every navigation item of the site.");
    }
    if violations.is_empty() {
        let parents: Vec<_> =
            order.iter().filter_map(|wish| wish.id.map(|id| (id, wish.parent_id))).collect();
        for (index, (id, _)) in parents.iter().enumerate() {
            if let Some(misfit) = misfit(*id, &parents) {
                violations.add(format!("items[{index}].parentId"), misfit.code(), misfit.message());
            }
        }
    }
    violations.into_result().map_err(SitesError::Invalid)
}

/// The shape of a navigation, for the event log.
fn shape(items: &[NavItem]) -> Value {
    let place =
        |item: &NavItem| json!({"id": item.id, "parentId": item.parent_id, "position": item.position});
    items.iter().map(place).collect()
}

fn missing(error: StoreError) -> SitesError {
    match error {
        StoreError::MissingReference(_) => SitesError::NotFound("site"),
        error => SitesError::Store(error),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
