//! Selection of events by clients.

use std::collections::BTreeSet;

use portico_kernel::{
    Denied, FieldError, RuleMessage, Scope, UserId,
    catalogue::{EVERYTHING, Published},
};

use crate::events::catalogue;

/// Maximum number of names in a selection.
const MOST: usize = 100;

/// Names of published events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(BTreeSet<&'static str>);

impl Selection {
    /// Everything.
    pub fn all() -> Self {
        Self(catalogue().all().iter().map(|published| published.name).collect())
    }

    /// Parses names separated by commas; `page.*` selects all events of pages, `*` everything. `Err` lists each unknown
    /// name.
    pub fn read(text: &str) -> Result<Self, Vec<FieldError>> {
        let (mut names, mut errors) = (BTreeSet::new(), Vec::new());
        for (number, word) in text.split(',').map(str::trim).enumerate() {
            if number >= MOST {
                errors.push(FieldError::new(
                    "types",
                    "too_many",
                    RuleMessage::new(format!("Name {MOST} at most.")).max(MOST),
                ));
                break;
            }
            let before = names.len();
            let beginning = word.strip_suffix('*').filter(|rest| rest.ends_with('.'));
            let meant = |published: &&Published| match beginning {
                _ if word == EVERYTHING => true,
                Some(beginning) => published.name.starts_with(beginning),
                None => published.name == word,
            };
            let mut known = catalogue().all().iter().filter(meant).map(|published| published.name).peekable();
            let unknown = known.peek().is_none();
            names.extend(known);
            if unknown && names.len() == before {
                let message =
                    format!("{:?} is no type of event, see GET /api/v1/event-types.", shortened(word));
                errors.push(FieldError::new("types", "unknown_event_type", message));
            }
        }
        if errors.is_empty() { Ok(Self(names)) } else { Err(errors) }
    }

    /// Whether an event with this author is selected, and the scope permits to read it.
    pub fn lets(&self, published: &Published, author: Option<UserId>, scope: &Scope) -> bool {
        self.0.contains(published.name) && published.is_for(scope, author)
    }

    /// Requires that the caller may read at least one selected event.
    pub fn require(&self, scope: &Scope) -> Result<(), Denied> {
        let mut wanted = catalogue().all().iter().filter(|published| self.0.contains(published.name));
        if wanted.clone().any(|published| published.may_be_for(scope)) {
            return Ok(());
        }
        wanted.next().map_or(Ok(()), |published| Err(Denied::Forbidden(published.permission)))
    }
}

fn shortened(word: &str) -> String {
    word.chars().take(50).collect()
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Actor, ApiKeyId, Id, Permission, Permissions, PlatformRole, RequestInfo, TenantId};
    use uuid::Uuid;

    use super::*;

    fn named(names: &[&'static str]) -> Selection {
        Selection(names.iter().copied().collect())
    }

    fn scope(permissions: &[Permission]) -> Scope {
        let (key, tenant) =
            (ApiKeyId::from_uuid(Uuid::from_u128(1)), TenantId::from_uuid(Uuid::from_u128(2)));
        Scope::api_key(key, None, tenant, Permissions::from_list(permissions), RequestInfo::default())
    }

    #[test]
    fn names_and_beginnings_are_read() {
        assert_eq!(
            Selection::read("page.created, member.updated"),
            Ok(named(&["page.created", "member.updated"]))
        );
        assert_eq!(Selection::read("seo.*"), Ok(named(&["seo.deleted", "seo.updated"])));
        assert_eq!(Selection::read("seo.*,seo.updated"), Ok(named(&["seo.deleted", "seo.updated"])));
        assert_eq!(Selection::read("page.created,*"), Ok(Selection::all()));
        assert_eq!(Selection::read("user.created"), Ok(named(&["user.created"])));
    }

    #[test]
    fn words_that_stand_for_nothing_are_told_of() {
        for (text, count) in [
            ("", 1),
            ("page", 1),
            ("page*", 1),
            ("*.created", 1),
            ("session.started,pages.*,page.*", 2),
            (".*", 1),
        ] {
            let errors = Selection::read(text).unwrap_err();
            assert_eq!(errors.len(), count, "{text}: {errors:?}");
            assert!(errors.iter().all(|error| error.code == "unknown_event_type"));
        }
        let many = vec!["page.created"; 101].join(",");
        assert_eq!(Selection::read(&many).unwrap_err()[0].code, "too_many");
    }

    #[test]
    fn nobody_hears_of_what_they_may_not_read() {
        let pages = scope(&[Permission::PagesRead]);
        let published = |kind| catalogue().published(kind).unwrap();
        assert!(Selection::all().lets(&published("page.updated"), None, &pages));
        assert!(!Selection::all().lets(&published("member.created"), None, &pages));
        assert!(!named(&["page.created"]).lets(&published("page.updated"), None, &pages));
        assert_eq!(Selection::all().require(&pages), Ok(()));
        assert_eq!(named(&["member.created", "page.created"]).require(&pages), Ok(()));
        assert_eq!(
            named(&["member.created"]).require(&pages),
            Err(Denied::Forbidden(Permission::MembersRead))
        );
        assert!(Selection::all().require(&scope(&[])).is_err());
    }

    #[test]
    fn authors_hear_of_what_is_theirs() {
        let [ada, eve] = [1, 2].map(|number| UserId::from_uuid(Uuid::from_u128(number)));
        let person = |id: UserId, permissions: &[Permission]| {
            let session = Id::from_uuid(id.uuid());
            let role = PlatformRole::Customer;
            let actor = Actor::User { id, session, email_verified: true, role, impersonator: None };
            let tenant = Some(TenantId::from_uuid(Uuid::from_u128(3)));
            Scope::user(actor, tenant, Permissions::from_list(permissions), RequestInfo::default())
        };
        let answered = catalogue().published("support_ticket.answered").unwrap();
        let tickets = Selection::read("support_ticket.*").unwrap();
        let member = person(ada, &[Permission::SupportWrite]);
        assert!(tickets.lets(&answered, Some(ada), &member));
        assert!(!tickets.lets(&answered, Some(eve), &member) && !tickets.lets(&answered, None, &member));
        assert!(!named(&["page.created"]).lets(&answered, Some(ada), &member));
        assert!(!tickets.lets(&answered, Some(ada), &person(ada, &[Permission::PagesRead])));
        assert!(tickets.lets(&answered, Some(eve), &person(ada, &[Permission::SupportRead])));
        assert_eq!(tickets.require(&member), Ok(()));
        let program = scope(&[Permission::SupportWrite]);
        assert!(!tickets.lets(&answered, None, &program) && tickets.require(&program).is_err());
        let page = catalogue().published("page.updated").unwrap();
        assert!(!Selection::all().lets(&page, Some(ada), &member), "only where authors count");
    }
}
