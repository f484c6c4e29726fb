//! The picture of a person.

use portico_kernel::Event;

use crate::{Accounts, IdentityError, events, user::User};

impl Accounts<'_> {
    /// Sets or removes the caller's own picture. The reader of `user.updated` deletes the picture that it replaces. Errors:
    /// `Stale` from the store when the account is changed at the same moment.
    pub async fn set_avatar(&mut self, url: Option<String>) -> Result<User, IdentityError> {
        let before = self.caller().await?;
        if before.avatar_url == url {
            return Ok(before);
        }
        let mut user = User { avatar_url: url, updated_at: self.env.now(), ..before.clone() };
        self.repositories.users().update(&user).await?;
        user.version += 1;
        let event = Event::new(self.env, self.scope, &events::USER_UPDATED, user.id.uuid());
        self.append_about(user.id, event.before(&before).after(&user)).await?;
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Store;

    #[tokio::test]
    async fn a_picture_is_set_replaced_and_removed_with_an_event_each() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", true);
        let (scope, env) = (store.signed_in(&user), store.env());
        let mut accounts = Accounts::new(&mut store, &scope, &env);
        for (url, version) in [(Some("a"), 2), (Some("b"), 3), (Some("b"), 3), (None, 4), (None, 4)] {
            let user = accounts.set_avatar(url.map(str::to_owned)).await.unwrap();
            assert_eq!((user.avatar_url.as_deref(), user.version), (url, version));
        }
        assert_eq!(store.event_kinds(), ["user.updated"; 3]);
        let replaced = &store.events()[1];
        assert_eq!(replaced.before.as_ref().unwrap()["avatarUrl"], "a");
        assert_eq!(replaced.after.as_ref().unwrap()["avatarUrl"], "b");
    }

    #[tokio::test]
    async fn needs_somebody_signed_in() {
        let mut store = Store::default();
        let (scope, env) = (store.anonymous(), store.env());
        let result = Accounts::new(&mut store, &scope, &env).set_avatar(None).await;
        assert!(matches!(result, Err(IdentityError::Denied(_))));
    }
}
