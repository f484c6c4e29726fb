//! Erasing a person on request: what identifies them is removed, what they did stays.
//!
//! The account and everything around it is emptied at once. The event log, which may be long, is processed afterwards in the
//! background: entries stay, and what they say about the person is replaced by a placeholder.

use std::collections::BTreeSet;

use portico_kernel::{Actor, Denied, Event, EventId, Permission, PlatformRole, UserId, event::ActorKind};
use serde_json::Value;

use crate::{
    Accounts, IdentityError, events,
    session::EndReason,
    user::{EmailAddress, User, UserStatus},
};

/// Replaces a value about a person.
pub const ERASED: &str = "[erased]";

/// Name of an account that was erased.
pub const ERASED_NAME: &str = "Erased person";

/// Events processed in one transaction.
pub const BATCH: u32 = 200;

/// Fields that say something about a person in an event about an account or a session.
const PERSONAL_FIELDS: [&str; 14] = [
    "email",
    "fullName",
    "name",
    "phone",
    "mobile",
    "company",
    "address",
    "notes",
    "avatarUrl",
    "userAgent",
    "language",
    "lastLoginAt",
    "subject",
    "label",
];

/// The known data of a person, for finding it in events about other subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Addresses that the person has proven to be theirs.
    proven: BTreeSet<String>,
    /// Other addresses that the account named.
    claimed: BTreeSet<String>,
    /// Texts that identify the person also as a part of a longer text, in lower case.
    identifying: BTreeSet<String>,
    /// Texts that do so only as a whole, in lower case.
    alone: BTreeSet<String>,
}

impl Traits {
    /// Adds what an event says about the account.
    pub fn learn(&mut self, account: &Value) {
        let text = |field: &str| account.get(field).and_then(Value::as_str).filter(|text| *text != ERASED);
        if let Some(email) = text("email") {
            let proven = account.get("emailVerified") == Some(&Value::Bool(true));
            let addresses = if proven { &mut self.proven } else { &mut self.claimed };
            addresses.insert(email.to_lowercase());
            self.identifying.insert(email.to_lowercase());
        }
        if let Some(name) = text("fullName") {
            let name = name.trim().to_lowercase();
            // In the form of a subdomain.
            let slug: Vec<&str> =
                name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
            for form in [name.clone(), slug.join("-")] {
                // `Al` is a part of too many words.
                let texts = if form.chars().count() >= 5 { &mut self.identifying } else { &mut self.alone };
                texts.insert(form);
            }
        }
        for field in ["phone", "mobile", "address", "notes", "company", "avatarUrl"] {
            if let Some(text) = text(field).map(str::trim).filter(|text| !text.is_empty()) {
                let texts = if matches!(field, "phone" | "mobile" | "avatarUrl") {
                    &mut self.identifying
                } else {
                    &mut self.alone
                };
                texts.insert(text.to_lowercase());
            }
        }
    }

    /// Addresses that the person has proven to be theirs.
    pub fn proven(&self) -> Vec<EmailAddress> {
        self.proven.iter().cloned().map(EmailAddress::trusted).collect()
    }

    /// Addresses that the account named without proving them.
    pub fn claimed(&self) -> Vec<EmailAddress> {
        self.claimed.difference(&self.proven).cloned().map(EmailAddress::trusted).collect()
    }

    fn identifies(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.alone.contains(text.trim()) || self.identifying.iter().any(|part| text.contains(part.as_str()))
    }

    /// Replaces what identifies the person: texts with something known of them, and where `fields` is set all fields that are
    /// about a person.
    fn redact(&self, value: &mut Value, fields: bool) {
        match value {
            Value::String(text) if self.identifies(text) => *text = ERASED.to_owned(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact(item, fields)),
            Value::Object(members) => {
                for (name, member) in members {
                    if fields && PERSONAL_FIELDS.contains(&name.as_str()) && !member.is_null() {
                        *member = Value::String(ERASED.to_owned());
                    } else {
                        self.redact(member, fields);
                    }
                }
            }
            _ => {}
        }
    }

    /// The event without what it says about the person; `None` when there is nothing to erase.
    pub fn redacted(&self, user: UserId, event: &Event) -> Option<Event> {
        let id = Some(user.uuid());
        let about = is_about(user, event);
        let themselves = match event.impersonator_id {
            Some(_) => event.impersonator_id == id,
            // A failed sign-in has no user yet, but was likely the owner's.
            None => event.actor_id == id || about && event.actor_kind == ActorKind::Anonymous,
        };
        let mut redacted = event.clone();
        let fields = about || themselves && event.resource.kind == "session";
        for part in [&mut redacted.before, &mut redacted.after].into_iter().flatten() {
            self.redact(part, fields);
        }
        if themselves {
            for part in [&mut redacted.address, &mut redacted.user_agent].into_iter().flatten() {
                *part = ERASED.to_owned();
            }
        }
        (redacted != *event).then_some(redacted)
    }
}

/// Whether an event is about the account itself.
fn is_about(user: UserId, event: &Event) -> bool {
    event.resource.kind == "user" && event.resource.id == user.uuid()
}

impl EmailAddress {
    /// Replaces the address of an erased account. It can belong to no user (RFC 2606 section 2).
    pub fn of_erased(user: UserId) -> Self {
        Self::trusted(format!("{user}@erased.invalid"))
    }
}

impl User {
    /// Whether the person's data was erased.
    pub fn is_erased(&self) -> bool {
        self.status == UserStatus::Deleted && self.email == EmailAddress::of_erased(self.id)
    }
}

impl Accounts<'_> {
    /// Erases an account: the caller's own, freshly proven, or any by administrators of accounts. Deletes it, too, if that has
    /// not happened; tenancy handles its tenants before this. The event log is [`Accounts::redact_traces`]'s to empty, in the
    /// background. Answers `None` when it is erased already. Errors as in [`Accounts::delete`].
    pub async fn erase(&mut self, id: UserId) -> Result<Option<User>, IdentityError> {
        let before = self.about_to_end(id).await?;
        if before.is_erased() {
            return Ok(None);
        }
        self.revoke_begun(id, None, EndReason::AccountDeleted).await?;
        // What the account was stays in this event until the log is processed, which is how that finds the newest of it.
        let event = Event::new(self.env, self.scope, &events::USER_ERASED, id.uuid()).before(&before);
        self.append_about(id, event).await?;
        let mut user = User {
            email: EmailAddress::of_erased(id),
            email_verified: false,
            full_name: ERASED_NAME.to_owned(),
            phone: None,
            mobile: None,
            company: None,
            language: "en".to_owned(),
            address: None,
            notes: None,
            avatar_url: None,
            role: PlatformRole::Customer,
            status: UserStatus::Deleted,
            updated_at: self.env.now(),
            ..before
        };
        self.repositories.users().update(&user).await?;
        user.version += 1;
        self.repositories.users().set_password(id, None).await?;
        self.repositories.known_devices().forget_user(id).await?;
        self.repositories.personal_data().erase(id).await?;
        Ok(Some(user))
    }

    /// What the event log knows of a person. For the background job; called again after each attempt that failed, which is why
    /// events about the account itself are redacted last.
    pub async fn traits(&mut self, id: UserId) -> Result<Traits, IdentityError> {
        self.in_background()?;
        let mut traits = Traits::default();
        let mut after = None;
        loop {
            let events = self.repositories.personal_data().traces(id, &[], after, BATCH).await?;
            let Some(last) = events.last() else { return Ok(traits) };
            after = Some(last.id);
            for event in events.iter().filter(|event| is_about(id, event)) {
                [&event.before, &event.after].into_iter().flatten().for_each(|part| traits.learn(part));
            }
        }
    }

    /// Redacts the next events after `after`: those about the account when `about`, or all others. Answers the cursor to continue
    /// with; `None` at the end.
    pub async fn redact_traces(
        &mut self,
        id: UserId,
        traits: &Traits,
        about: bool,
        after: Option<EventId>,
    ) -> Result<Option<EventId>, IdentityError> {
        self.in_background()?;
        let addresses = traits.proven();
        let events = self.repositories.personal_data().traces(id, &addresses, after, BATCH).await?;
        for event in events.iter().filter(|event| is_about(id, event) == about) {
            if let Some(redacted) = traits.redacted(id, event) {
                self.repositories.personal_data().redact(&redacted).await?;
            }
        }
        Ok(events.last().map(|event| event.id))
    }

    /// Deletes the addresses where they are stored outside of the log.
    pub async fn forget_addresses(&mut self, traits: &Traits) -> Result<(), IdentityError> {
        self.in_background()?;
        for (addresses, proven) in [(traits.proven(), true), (traits.claimed(), false)] {
            for address in addresses {
                self.repositories.personal_data().forget_address(&address, proven).await?;
            }
        }
        Ok(())
    }

    fn in_background(&self) -> Result<(), IdentityError> {
        match self.scope.actor() {
            Actor::System => Ok(()),
            Actor::User { .. } | Actor::ApiKey { .. } | Actor::Anonymous => {
                Err(Denied::Forbidden(Permission::PlatformUsers).into())
            }
        }
    }
}

#[cfg(test)]
#[path = "erasure_tests.rs"]
mod tests;
