//! Answers that staff keep ready.

use portico_kernel::{
    CannedReplyId, Env, Event, EventDeclaration, List, PageRequest, Permission, Scope, TenantId, Timestamp,
    Violations,
};
use serde::{Deserialize, Serialize};

use crate::{SupportError, events, message::TEXT_MAX, ports::SupportRepositories, tickets::SEARCH_MAX};

/// Most characters of a title.
const TITLE_MAX: usize = 100;

/// An answer that is kept ready. It belongs to the installation, and no customer sees it before somebody sends its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CannedReply {
    /// UUIDv7.
    pub id: CannedReplyId,
    /// What staff call it.
    #[cfg_attr(feature = "openapi", schema(example = "Ask for the version"))]
    pub title: String,
    /// Plain text.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "Which version do you use? You find it under Help, About.")
    )]
    pub body: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// An answer to be kept ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "title": "Ask for the version", "body": "Which version do you use? You find it under Help, About.",
})))]
pub struct NewCannedReply {
    /// What staff call it, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 100))]
    pub title: String,
    /// 1 to 10,000 characters of plain text.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 10_000))]
    pub body: String,
}

/// Changes an answer that is kept ready; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"title": "Ask for version and system"})))]
pub struct CannedReplyUpdate {
    /// What staff call it, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub title: Option<String>,
    /// 1 to 10,000 characters of plain text.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 10_000))]
    pub body: Option<String>,
}

/// Use cases around answers that are kept ready.
pub struct CannedReplies<'a> {
    repositories: &'a mut dyn SupportRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> CannedReplies<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn SupportRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// All of them by title, or those that have a part in title or text.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `Invalid`.
    pub async fn list(
        &mut self,
        part: Option<String>,
        page: PageRequest,
    ) -> Result<List<CannedReply>, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        let mut violations = Violations::default();
        violations.optional_text("q", part.as_deref(), SEARCH_MAX);
        violations.into_result()?;
        Ok(self.repositories.canned_replies().list(part, page).await?)
    }

    /// One of them.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`.
    pub async fn get(&mut self, id: CannedReplyId) -> Result<CannedReply, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        self.repositories.canned_replies().find(id).await?.ok_or(SupportError::NotFound("canned reply"))
    }

    /// Keeps an answer ready.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `Invalid`.
    pub async fn create(&mut self, input: NewCannedReply) -> Result<CannedReply, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        let now = self.env.now();
        let (id, title, body) = (self.env.new_id(), input.title, input.body);
        let reply = checked(CannedReply { id, title, body, created_at: now, updated_at: now })?;
        self.repositories.canned_replies().insert(&reply).await?;
        let event = self.event(&events::CANNED_REPLY_CREATED, reply.id).after(&reply);
        self.repositories.events().append(event).await?;
        Ok(reply)
    }

    /// Changes one.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`; `Invalid`.
    pub async fn update(
        &mut self,
        id: CannedReplyId,
        input: CannedReplyUpdate,
    ) -> Result<CannedReply, SupportError> {
        let before = self.get(id).await?;
        let after = checked(CannedReply {
            title: input.title.unwrap_or_else(|| before.title.clone()),
            body: input.body.unwrap_or_else(|| before.body.clone()),
            updated_at: self.env.now(),
            ..before.clone()
        })?;
        self.repositories.canned_replies().update(&after).await?;
        let event = self.event(&events::CANNED_REPLY_UPDATED, id).before(&before).after(&after);
        self.repositories.events().append(event).await?;
        Ok(after)
    }

    /// Deletes one. What was sent of it stays.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`.
    pub async fn delete(&mut self, id: CannedReplyId) -> Result<(), SupportError> {
        let before = self.get(id).await?;
        self.repositories.canned_replies().delete(id).await?;
        let event = self.event(&events::CANNED_REPLY_DELETED, id).before(&before);
        Ok(self.repositories.events().append(event).await?)
    }

    fn event(&self, declared: &'static EventDeclaration, id: CannedReplyId) -> Event {
        Event::new(self.env, self.scope, declared, id.uuid()).in_tenant(TenantId::PLATFORM)
    }
}

fn checked(reply: CannedReply) -> Result<CannedReply, SupportError> {
    let mut violations = Violations::default();
    violations.line("title", &reply.title, 1, TITLE_MAX);
    violations.text("body", &reply.body, 1, TEXT_MAX);
    violations.into_result()?;
    Ok(CannedReply { title: reply.title.trim().to_owned(), body: reply.body.trim().to_owned(), ..reply })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Repositories, customer, env, staff};

    fn new(title: &str, body: &str) -> NewCannedReply {
        NewCannedReply { title: title.to_owned(), body: body.to_owned() }
    }

    #[tokio::test]
    async fn answers_are_kept_for_staff_and_outside_of_every_tenant() {
        let (env, mut repositories) = (env(), Repositories::default());
        let scope = staff(env.new_id());
        let mut replies = CannedReplies::new(&mut repositories, &scope, &env);
        let made = replies.create(new(" Version? ", " Which one? ")).await.unwrap();
        assert_eq!((made.title.as_str(), made.body.as_str()), ("Version?", "Which one?"));
        let change = CannedReplyUpdate { body: Some("Which version?".to_owned()), title: None };
        let changed = replies.update(made.id, change).await.unwrap();
        assert_eq!((changed.title.as_str(), changed.body.as_str()), ("Version?", "Which version?"));
        assert_eq!(replies.list(None, PageRequest::default()).await.unwrap().total, 1);
        replies.delete(made.id).await.unwrap();
        assert!(matches!(replies.delete(made.id).await, Err(SupportError::NotFound(_))));
        let events = repositories.events();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["canned_reply.created", "canned_reply.updated", "canned_reply.deleted"]);
        assert!(events.iter().all(|event| event.tenant == TenantId::PLATFORM));
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_and_customers_are_refused() {
        let (env, mut repositories) = (env(), Repositories::default());
        let scope = staff(env.new_id());
        let wrong = CannedReplies::new(&mut repositories, &scope, &env).create(new("a\nb", " ")).await;
        let Err(SupportError::Invalid(errors)) = wrong else { panic!("{wrong:?}") };
        assert_eq!(errors.len(), 2);
        let scope = customer(env.new_id(), env.new_id());
        let refused = CannedReplies::new(&mut repositories, &scope, &env).create(new("a", "b")).await;
        assert!(matches!(refused, Err(SupportError::Denied(_))), "{refused:?}");
        assert!(repositories.events().is_empty());
    }
}
