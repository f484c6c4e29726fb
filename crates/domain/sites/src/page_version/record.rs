//! Writing versions: at the end of every transaction, for each page that it changed.

use std::collections::BTreeMap;

use portico_kernel::{
    Event, EventDeclaration, FieldError, PageId, PageVersionId, StoreError, TenantId, Timestamp,
    event::EventKind,
};
use serde::Deserialize;
use serde_json::Value;
use time::Duration;

use super::{KeptPage, MAX_BYTES, MAX_PAGE_BYTES, MAX_VERSIONS, PageContent, PageVersion, VersionAuthor};
use crate::{
    SitesError, events,
    ports::{LatestPageVersion, NewPageVersion, SiteRepositories},
};

/// Once there are too many versions, this many are left, so that not every change has to make room.
const LEFT: usize = MAX_VERSIONS - 10;

/// Changes of one person that follow each other this closely are one piece of work: where room is needed, its steps are deleted
/// first.
const ONE_PIECE: Duration = Duration::minutes(5);

/// What a transaction did to one page.
#[derive(Clone, Debug, PartialEq)]
pub struct PageChange {
    tenant: TenantId,
    page: PageId,
    /// The id of the version that it makes.
    id: PageVersionId,
    author: VersionAuthor,
    at: Timestamp,
    /// Kinds of its events.
    kinds: Vec<EventKind>,
    restored_from: Option<i64>,
    /// The page as it was made, where that is all that happened to it.
    made: Option<KeptPage>,
}

/// The pages that a transaction changed, by its events, in an order in which all transactions lock them alike.
pub fn changes(events: &[Event]) -> Vec<PageChange> {
    let mut changes: Vec<PageChange> = Vec::new();
    for event in events {
        let Some(page) = page_of(event) else { continue };
        if event.kind.is(&events::PAGE_DELETED) {
            changes.retain(|change| (change.tenant, change.page) != (event.tenant, page));
            continue;
        }
        let index = changes.iter().position(|change| (change.tenant, change.page) == (event.tenant, page));
        let change = match index {
            Some(index) => &mut changes[index],
            None => {
                changes.push(PageChange {
                    tenant: event.tenant,
                    page,
                    id: PageVersionId::from_uuid(event.id.uuid()),
                    author: VersionAuthor {
                        kind: event.actor_kind,
                        id: event.actor_id.map(|id| id.to_string()),
                        name: None,
                    },
                    at: event.at,
                    kinds: Vec::new(),
                    restored_from: None,
                    made: made(event),
                });
                let last = changes.len() - 1;
                &mut changes[last]
            }
        };
        if !event.kind.is(&events::PAGE_CREATED) && !event.kind.is(&events::PAGE_PUBLISHED) {
            change.made = None;
        }
        change.kinds.push(event.kind.clone());
        change.restored_from = change.restored_from.or_else(|| member(event, "restoredFrom")?.as_i64());
    }
    changes.sort_by_key(|change| (change.tenant, change.page));
    changes
}

/// Writes a version of each page that was changed. Changes that leave a page as it was leave no version. Called once, as the
/// last thing before the commit.
///
/// MUST run in the transaction that made the changes. It locks the pages, so that versions have the order of the changes.
/// Answers whether there are new versions.
///
/// # Errors
/// `Invalid` when a page would take more than [`MAX_PAGE_BYTES`], and more than before.
pub async fn record(
    repositories: &mut dyn SiteRepositories,
    mut changes: Vec<PageChange>,
) -> Result<bool, SitesError> {
    // No other transaction sees a page that is being made, and it has no version yet. Several at once can change each other.
    let made = match changes.as_mut_slice() {
        [change] if !repositories.may_have_written_content() => change.made.take(),
        _ => None,
    };
    let mut states = match (made, changes.first()) {
        (Some(page), Some(change)) => {
            let state = State { content: PageContent::new(page, Vec::new(), None), latest: None };
            BTreeMap::from([((change.tenant, change.page), state)])
        }
        _ => states(repositories, &changes).await?,
    };
    let mut recorded = false;
    for change in changes {
        let (tenant, id) = (change.tenant, change.page);
        let Some(State { content, latest }) = states.remove(&(tenant, id)) else { continue };
        let content =
            serde_json::to_value(&content).map_err(|error| StoreError::Internal(Box::new(error)))?;
        let text = content.to_string();
        let number = latest.as_ref().map_or(1, |latest| latest.number + 1);
        let size = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let digest = digest(&text);
        if change.restored_from.is_none() && latest.as_ref().is_some_and(|latest| latest.digest == digest) {
            continue;
        }
        if size > MAX_PAGE_BYTES && latest.as_ref().is_none_or(|latest| size > latest.size) {
            return Err(too_large());
        }
        let version = PageVersion {
            id: change.id,
            tenant,
            page_id: id,
            number,
            summary: summary(&change),
            author: change.author,
            restored_from: change.restored_from,
            created_at: change.at,
            size,
        };
        repositories.versions().insert(NewPageVersion { version, digest, content }).await?;
        recorded = true;
        let is_full = latest.is_some_and(|latest| {
            latest.count >= MAX_VERSIONS as i64 || latest.bytes.saturating_add(size) > MAX_BYTES
        });
        if is_full {
            make_room(repositories, tenant, id).await?;
        }
    }
    Ok(recorded)
}

/// A page as it is now, and its newest version.
struct State {
    content: PageContent,
    latest: Option<LatestPageVersion>,
}

/// The states of the pages that are there, which it locks. As many round trips for many pages as for one.
async fn states(
    repositories: &mut dyn SiteRepositories,
    changes: &[PageChange],
) -> Result<BTreeMap<(TenantId, PageId), State>, StoreError> {
    let mut states = BTreeMap::new();
    for changes in changes.chunk_by(|one, next| one.tenant == next.tenant) {
        let tenant = changes[0].tenant;
        let ids: Vec<PageId> = changes.iter().map(|change| change.page).collect();
        let pages = repositories.pages().lock_all(tenant, &ids).await?;
        let mut sections: BTreeMap<PageId, Vec<_>> = BTreeMap::new();
        for section in repositories.sections().of_pages(tenant, &ids).await? {
            sections.entry(section.page_id).or_default().push(section);
        }
        let seo = repositories.seo().of_pages(tenant, &ids).await?;
        let mut seo: BTreeMap<PageId, _> = seo.into_iter().map(|seo| (seo.page_id, seo)).collect();
        let latest = repositories.versions().latest(tenant, &ids).await?;
        let mut latest: BTreeMap<PageId, _> =
            latest.into_iter().map(|latest| (latest.page_id, latest)).collect();
        for page in pages {
            let sections = sections.remove(&page.id).unwrap_or_default();
            let content = PageContent::new(KeptPage::from(&page), sections, seo.remove(&page.id));
            states.insert((tenant, page.id), State { content, latest: latest.remove(&page.id) });
        }
    }
    Ok(states)
}

fn too_large() -> SitesError {
    let message = format!("A page takes at most {} KiB with all of its sections.", MAX_PAGE_BYTES >> 10);
    SitesError::Invalid(vec![FieldError::new("sections", "page_too_large", message)])
}

async fn make_room(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    page: PageId,
) -> Result<(), StoreError> {
    let kept = repositories.versions().list(tenant, page, None, 2 * MAX_VERSIONS as u64).await?;
    let surplus = surplus(kept);
    if surplus.is_empty() { Ok(()) } else { repositories.versions().delete(tenant, page, &surplus).await }
}

/// Which versions are to be deleted, of all versions of a page from the newest to the oldest: first steps of one piece of work,
/// from the oldest on, and then the oldest ones. Never the newest.
pub(super) fn surplus(mut versions: Vec<PageVersion>) -> Vec<PageVersionId> {
    let mut gone = Vec::new();
    let bytes = |versions: &[PageVersion]| versions.iter().skip(1).map(|version| version.size).sum::<i64>();
    while versions.len() > 1 && (versions.len() > LEFT || bytes(&versions) > MAX_BYTES) {
        let is_step = |pair: &[PageVersion]| {
            let (newer, older) = (&pair[0], &pair[1]);
            newer.author.kind == older.author.kind
                && newer.author.id == older.author.id
                && newer.restored_from.is_none()
                && newer.created_at - older.created_at <= ONE_PIECE
        };
        // The first version of all shows where a page came from; it is deleted last.
        let between = &versions[..versions.len() - 1];
        let step = between.windows(2).rposition(is_step).map(|index| index + 1);
        gone.push(versions.remove(step.unwrap_or(versions.len() - 1)).id);
    }
    gone
}

/// The page as an event says that it was made.
fn made(event: &Event) -> Option<KeptPage> {
    let page = event.after.as_ref().filter(|_| event.kind.is(&events::PAGE_CREATED))?;
    KeptPage::deserialize(page).ok()
}

/// The page that an event is about.
fn page_of(event: &Event) -> Option<PageId> {
    let named = || member(event, "pageId")?.as_str()?.parse().ok();
    match event.kind.split_once('.')?.0 {
        "page" => Some(PageId::from_uuid(event.resource.id)),
        "seo" => named().or(Some(PageId::from_uuid(event.resource.id))),
        "section" | "template" => named(),
        _ => None,
    }
}

/// A member of the resource of an event.
fn member<'e>(event: &'e Event, name: &str) -> Option<&'e Value> {
    [&event.after, &event.before].into_iter().flatten().find_map(|resource| resource.get(name))
}

/// What was done, in a few words.
fn summary(change: &PageChange) -> String {
    if let Some(number) = change.restored_from {
        return format!("Version {number} restored");
    }
    let count = |kind: &EventDeclaration| change.kinds.iter().filter(|other| other.is(kind)).count();
    let has = |kind: &EventDeclaration| count(kind) > 0;
    let mut words: Vec<String> = Vec::new();
    for (kind, text) in [
        (&events::PAGE_CREATED, "page created"),
        (&events::PAGE_RESET_TO_TEMPLATE, "reset to the template"),
        (&events::TEMPLATE_APPLIED, "template applied"),
        (&events::PAGE_PUBLISHED, "published"),
        (&events::PAGE_UNPUBLISHED, "taken off the site"),
    ] {
        if has(kind) {
            words.push(text.to_owned());
        }
    }
    if has(&events::PAGE_UPDATED) && words.is_empty() {
        words.push("page changed".to_owned());
    }
    for (kind, verb) in [
        (&events::SECTION_CREATED, "added"),
        (&events::SECTION_UPDATED, "changed"),
        (&events::SECTION_DELETED, "deleted"),
    ] {
        match count(kind) {
            0 => {}
            1 => words.push(format!("1 section {verb}")),
            many => words.push(format!("{many} sections {verb}")),
        }
    }
    if has(&events::PAGE_SECTIONS_REORDERED) {
        words.push("sections reordered".to_owned());
    }
    if has(&events::SEO_UPDATED) || has(&events::SEO_DELETED) {
        words.push("search engine texts changed".to_owned());
    }
    let text = if words.is_empty() { "page changed".to_owned() } else { words.join(", ") };
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A digest that distinguishes states.
fn digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let halves = Sha256::digest(text.as_bytes()).into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    // Without a string for each byte: every change of a page comes here.
    halves.filter_map(|half| char::from_digit(half.into(), 16)).collect()
}
